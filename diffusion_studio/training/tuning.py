"""Training some parts of a network, while the others stay as they are."""

from __future__ import annotations

from torch import nn

from ..errors import OptionError


def tune_only(network: nn.Module, parts: str) -> None:
    """Keep every weight but those of the parts, which are named by how their weights' names begin:
    "up.2,conv_out".

    Raises `OptionError` for a part that the network does not have, or that is not trained anyway.
    """
    wanted = [part.strip() for part in parts.split(",")]
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    for part in wanted:
        if not any(_of(name, part) for name in trained):
            raise OptionError(
                "tune",
                f"tune names {part!r}, and no weight that is trained has a name that begins so. There are, "
                f"among others: {', '.join(sorted({'.'.join(name.split('.')[:2]) for name in trained}))}.",
            )
    for name, p in trained.items():
        p.requires_grad_(any(_of(name, part) for part in wanted))


def _of(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
