"""One call of a network as a value, so that calls of several runs about one model can be made as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..networks.text import TextFeatures


@dataclass(frozen=True)
class NetworkCall:
    """A network and what it is given: pictures x (N, C, H, W), or points, with one time t for each, and
    labels and encoded texts where it takes them. `more` is what earlier calls of the same run have left.
    """

    network: nn.Module
    x: torch.Tensor
    t: torch.Tensor
    label: torch.Tensor | None = None
    text: TextFeatures | None = None
    more: tuple[Any, ...] = ()
    grad: bool = field(default_factory=torch.is_grad_enabled)  # a thread has a mode of its own

    def __call__(self) -> torch.Tensor:
        with torch.set_grad_enabled(self.grad):
            return self.network(self.x, self.t, self.label, self.text, *self.more)

    @property
    def rows(self) -> int:
        """Pictures in the batch; guidance asks about each of them twice."""
        return len(self.x)

    @property
    def joins(self) -> bool:
        """Whether the call may be made together with others, its result unchanged.

        Measured on a CPU: from two rows on a bf16 network returns the same bits in a larger batch, with one
        row it does not. In fp32 outputs differ by at most some 1e-5. Points gain no time.
        """
        least = 2 if self.x.dtype in (torch.bfloat16, torch.float16) else 1
        plain = not self.more and self.x.ndim == 4 and self.x.device.type == "cpu"
        return plain and self.rows >= least and not self.grad

    def fits(self, other: NetworkCall) -> bool:
        """Whether both can be one call. Texts must be equally long: padding changes the last bits."""
        return (
            self.network is other.network
            and self.x.shape[1:] == other.x.shape[1:]
            and self.x.dtype == other.x.dtype
            and _length(self.text) == _length(other.text)
        )


def _length(text: TextFeatures | None) -> int:
    return 0 if text is None else text.mask.shape[1]


@torch.no_grad()
def made_together(calls: Sequence[NetworkCall]) -> list[torch.Tensor]:
    """The results of calls that fit each other, from one network call."""
    first = calls[0]
    if len(calls) == 1:
        return [first()]
    labels = [one.label for one in calls if one.label is not None]
    texts = [one.text for one in calls if one.text is not None]
    # a batch of channels-last parts stays so
    whole = NetworkCall(
        first.network,
        torch.cat([one.x for one in calls]),
        torch.cat([one.t for one in calls]),
        torch.cat(labels) if labels else None,
        TextFeatures.cat(texts) if texts else None,
    )
    return list(whole().split([one.rows for one in calls]))


Caller = Callable[[NetworkCall], torch.Tensor]
_CALLER: ContextVar[Caller | None] = ContextVar("network_caller", default=None)


@contextmanager
def made_by(caller: Caller) -> Iterator[None]:
    """Let `caller` make the network calls that this thread asks for."""
    token = _CALLER.set(caller)
    try:
        yield
    finally:
        _CALLER.reset(token)


def output_of(call: NetworkCall) -> torch.Tensor:
    """The call's result, by whoever makes network calls for this thread: see `made_by`."""
    caller = _CALLER.get()
    return call() if caller is None else caller(call)
