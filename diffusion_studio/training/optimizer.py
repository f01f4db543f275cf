"""Optimizers: AdamW for all weights, or Muon for the inner matrices and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..errors import OptionError

ENDS = ("conv_in", "conv_out", "first", "last", "pool.out")  # first and last layers: AdamW trains them


class Optimizer:
    """Updates the trainable weights, with one learning rate for all.

    "muon" (Jordan et al. 2024) updates each inner matrix (a convolution is flattened to one) by the
    orthogonal matrix nearest to its momentum. The update is scaled to the usual size of AdamW's (Liu et al.
    2025, "Muon is scalable for LLM training", eq. 4), so both use the same learning rate. Tables, norms,
    biases, and the first and last layers are updated by AdamW.
    """

    def __init__(self, network: nn.Module, name: str, lr: float, weight_decay: float = 0.0) -> None:
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        inner = set(_inner(network)) & trained.keys() if name == "muon" else set()
        self._flat = {
            name: (trained[name], nn.Parameter(_flat(trained[name].data)))
            for name in trained
            if name in inner
        }
        self._rest = {name: p for name, p in trained.items() if name not in inner}
        device = next(network.parameters()).device.type
        self._adam = torch.optim.AdamW(
            self._rest.values(),
            lr=lr,
            weight_decay=weight_decay,
            betas=(0.9, 0.99),
            fused=device in ("cpu", "cuda"),
        )
        self._muon = None
        if self._flat:
            if not hasattr(torch.optim, "Muon"):
                raise OptionError(
                    "optimizer",
                    f"The optimizer muon needs torch 2.9 or later, and this is {torch.__version__}. Choose "
                    "adamw.",
                )
            self._muon = torch.optim.Muon(
                [flat for _, flat in self._flat.values()],
                lr=lr,
                weight_decay=weight_decay,
                momentum=0.95,
                adjust_lr_fn="match_rms_adamw",
            )

    def step(self, lr: float) -> None:
        """Update all weights from their gradients."""
        for one in self._optimizers():
            for group in one.param_groups:
                group["lr"] = lr
        for p, flat in self._flat.values():
            flat.grad = None if p.grad is None else _flat(p.grad)
        for one in self._optimizers():
            one.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for p, flat in self._flat.values():
            p.grad = flat.grad = None
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """The optimizer's state to resume from, with keys "KEY.WEIGHT"."""
        kept = {}
        for one, names in self._named_optimizers():
            moments = one.state_dict()["state"]
            kept |= {
                f"{key}.{names[k]}": value for k, values in moments.items() for key, value in values.items()
            }
        return kept

    def restore(self, kept: dict[str, torch.Tensor]) -> None:
        """Load what `state` returned. Raises `KeyError` or `RuntimeError` if it belongs to other weights."""
        for one, names in self._named_optimizers():
            weights = [p for group in one.param_groups for p in group["params"]]
            keys = ("momentum_buffer",) if one is self._muon else ("exp_avg", "exp_avg_sq")
            # in the weight's memory layout, which fused steps require
            moments = {
                k: {key: torch.empty_like(p.data).copy_(kept[f"{key}.{name}"]) for key in keys}
                for k, (name, p) in enumerate(zip(names, weights))
            }
            if one is self._adam:
                for k, name in enumerate(names):
                    moments[k]["step"] = kept[f"step.{name}"]
            one.load_state_dict({"state": moments, "param_groups": one.state_dict()["param_groups"]})

    def _optimizers(self) -> Iterator[torch.optim.Optimizer]:
        yield self._adam
        if self._muon is not None:
            yield self._muon

    def _named_optimizers(self) -> Iterator[tuple[torch.optim.Optimizer, list[str]]]:
        """Each optimizer with the names of its weights, in the optimizer's order."""
        yield from zip(self._optimizers(), (list(self._rest), list(self._flat)))


def _inner(network: nn.Module) -> Iterator[str]:
    """Names of the weights of inner layers, which map features to features."""
    for name, layer in network.named_modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)) and not name.endswith(ENDS):
            yield f"{name}.weight"


def _flat(weight: torch.Tensor) -> torch.Tensor:
    """A weight (out, ...) as a matrix that shares its memory, for any memory layout."""
    if weight.ndim == 4 and not weight.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.flatten(1)
