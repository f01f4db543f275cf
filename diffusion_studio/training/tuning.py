"""Fine-tuning: train some parts of a network and freeze the others."""

from __future__ import annotations

from torch import nn

from ..errors import OptionError


def tune_only(network: nn.Module, parts: str) -> None:
    """Freeze all weights except those of `parts`, which are beginnings of weight names with commas:
    "up.2,conv_out".

    Raises `OptionError` for a part that the network does not have, or that is not trained anyway.
    """
    wanted = [part.strip() for part in parts.split(",")]
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    for part in wanted:
        if not any(_belongs_to(name, part) for name in trained):
            raise OptionError(
                "tune",
                f"tune names {part!r}, and no weight that is trained has a name that begins so. There are, "
                f"among others: {', '.join(sorted({'.'.join(name.split('.')[:2]) for name in trained}))}.",
            )
    for name, p in trained.items():
        p.requires_grad_(any(_belongs_to(name, part) for part in wanted))


def _belongs_to(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
