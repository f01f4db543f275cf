"""The terms of a sampler's step, found by running the sampler itself on traced tensors.

A sampler's update is linear in the state, the predictions and the noise. `Traced` stands for a tensor and
remembers of which known tensors it is made, with their coefficients. The engine's own loop (`sample`) runs
on it, so no formula is written twice. The network is not asked: a prediction is a name until its values are
needed. At every state that the run has shown, the trace goes on from that state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..diffusion.levels import Levels
from ..diffusion.prediction import Prediction
from ..diffusion.sampling import has_restarted, indexed_noise, offset_noise, sample
from ..diffusion.schedule import NoiseLevel
from .run import State

Coefficient = float | torch.Tensor


@dataclass(frozen=True, eq=False)
class Term:
    """`coefficient` times `array` (N, ...). `kind` is x, x0, eps, noise or known.

    `step` is the state (for noise the arrival) that it belongs to; `level` is where a prediction was asked;
    `again` counts further calls within one step. A coefficient is a number, or an array that broadcasts with
    the state where it differs by picture or pixel.
    """

    kind: str
    step: int
    level: NoiseLevel | None
    again: int
    coefficient: Coefficient
    array: torch.Tensor

    @property
    def product(self) -> torch.Tensor:
        by = self.coefficient
        return self.array.cpu().double() * (by.cpu() if isinstance(by, torch.Tensor) else by)


# What a known tensor is, the number of the state, its level, and which of several calls at it.
Key = tuple[str, int, NoiseLevel | None, int]


class _ValuesNeeded(Exception):
    """Values were asked for before the step that is traced."""


class _Node:
    """A known tensor (`make` gives its values), or a sum of (coefficient, node) in `parts`."""

    __slots__ = ("asked", "key", "make", "parts")

    def __init__(
        self,
        key: Key | None = None,
        make: Callable[[], torch.Tensor] | None = None,
        parts: list[tuple[Coefficient, _Node]] | None = None,
    ) -> None:
        self.key, self.make, self.parts, self.asked = key, make, parts, False

    def value(self) -> torch.Tensor:
        if self.parts is None:
            return self.known()
        (first, node), *rest = self.parts
        total = node.value() * first
        for coefficient, node in rest:
            total = total + node.value() * coefficient
        return total

    def known(self) -> torch.Tensor:
        """The values of a known tensor."""
        assert self.make is not None, "a node is known or has parts"
        return self.make()

    @property
    def named(self) -> Key:
        """The key of a known tensor."""
        assert self.key is not None, "a node is known or has parts"
        return self.key

    def leaves(self, scale: Coefficient, into: dict[_Node, Coefficient]) -> dict[_Node, Coefficient]:
        """The known tensors that this is made of, each with its whole coefficient."""
        if self.parts is None:
            into[self] = into[self] + scale if self in into else scale
        else:
            for coefficient, node in self.parts:
                node.leaves(coefficient * scale, into)
        return into


class Traced:
    """Stands for a tensor of the run. What is linear stays a sum of terms; anything else works on values."""

    def __init__(self, tracer: _Tracer, node: _Node) -> None:
        self._tracer, self._node = tracer, node

    # what samplers ask of a tensor without its values
    @property
    def shape(self) -> torch.Size:
        return self._tracer.like.shape

    @property
    def ndim(self) -> int:
        return self._tracer.like.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self._tracer.like.dtype

    @property
    def device(self) -> torch.device:
        return self._tracer.like.device

    def __len__(self) -> int:
        return len(self._tracer.like)

    def __getattr__(self, name: str) -> Any:
        values = self._values()
        return getattr(values.clone() if name.endswith("_") else values, name)  # never change a known tensor

    def __getitem__(self, at: Any) -> torch.Tensor:
        return self._values()[at]

    def _values(self) -> torch.Tensor:
        if self._tracer.before:
            raise _ValuesNeeded
        return self._node.value()

    def _sum(self, *parts: tuple[Coefficient, Any]) -> Traced:
        return Traced(self._tracer, _Node(parts=[(c, self._tracer.node(one)) for c, one in parts]))

    def _grow(self, coefficient: Coefficient, other: Any) -> Traced:
        """In place: the tensor that others took from here before stays what it was."""
        own = self._node.parts if self._node.parts is not None else [(1.0, self._node)]
        self._node = _Node(parts=[*own, (coefficient, self._tracer.node(other))])
        return self

    def _scale(self, factor: Coefficient) -> Traced:
        self._node = _Node(parts=[(factor, self._node)])
        return self

    def __mul__(self, factor: Any) -> Traced:
        return self._sum((_number(factor), self))

    __rmul__ = mul = __mul__

    def __truediv__(self, factor: Any) -> Traced:
        return self._sum((1 / _number(factor), self))

    div = __truediv__

    def __neg__(self) -> Traced:
        return self._sum((-1.0, self))

    def __add__(self, other: Any) -> Traced:
        return self._sum((1.0, self), (1.0, other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Traced:
        return self._sum((1.0, self), (-1.0, other))

    def __rsub__(self, other: Any) -> Traced:
        return self._sum((-1.0, self), (1.0, other))

    def add(self, other: Any, *, alpha: float = 1.0) -> Traced:
        return self._sum((1.0, self), (alpha, other))

    def sub(self, other: Any, *, alpha: float = 1.0) -> Traced:
        return self._sum((1.0, self), (-alpha, other))

    def add_(self, other: Any, *, alpha: float = 1.0) -> Traced:
        return self._grow(alpha, other)

    def sub_(self, other: Any, *, alpha: float = 1.0) -> Traced:
        return self._grow(-alpha, other)

    def mul_(self, factor: Any) -> Traced:
        return self._scale(_number(factor))

    def div_(self, factor: Any) -> Traced:
        return self._scale(1 / _number(factor))

    def addcmul_(self, one: Any, other: Any, *, value: float = 1.0) -> Traced:
        factor, tensor = (one, other) if isinstance(other, Traced) else (other, one)
        return self._grow(value * _number(factor), tensor)

    def where(self, condition: torch.Tensor, other: Any) -> Traced:
        kept = _number(condition).to(self.dtype)
        return self._sum((kept, self), (1 - kept, other))

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.strip("_")
        swapped = {"mul": "__mul__", "rmul": "__mul__", "add": "__add__", "radd": "__add__"}
        swapped |= {"sub": "__rsub__", "rsub": "__sub__"}
        if name in swapped and len(args) == 2 and not kwargs and not isinstance(args[0], Traced):
            return getattr(args[1], swapped[name])(args[0])
        if name == "where" and any(isinstance(one, Traced) for one in args[1:]):
            _, one, other = args
            traced = one if isinstance(one, Traced) else other
            kept = args[0].to(traced.dtype)
            return traced._sum((kept, one), (1 - kept, other))
        if name == "zeros_like":
            return torch.zeros_like(args[0]._tracer.like, **(kwargs or {}))
        return func(*(_number(one) for one in args), **{k: _number(one) for k, one in (kwargs or {}).items()})


def _number(given: Any) -> Any:
    """A factor as a number, and a traced tensor as its values."""
    return given._values() if isinstance(given, Traced) else given


class _Tracer:
    """One run of `sample` on traced tensors from state `start` of the segment, up to the traced state's step.

    With `lazy` values that are asked for before that step raise `_ValuesNeeded`.
    """

    def __init__(self, state: State, start: int, lazy: bool) -> None:
        self.state, self.run, self.segment = state, state.run, state.segment
        self.start, self.lazy = start, lazy
        self.offset = state.index - state.local  # of the segment in the run
        self.at, self.again = start, 0
        self.like = state.x
        self._waiting: list[dict[str, _Node]] = []  # the calls since the last shown state

    @property
    def before(self) -> bool:
        """Whether the traced step has not begun, so that no value is to be computed."""
        return self.lazy and self.at <= self.state.local

    def node(self, given: Any) -> _Node:
        if isinstance(given, Traced):
            return given._node
        return _Node(("known", self.offset + self.at, None, 0), lambda: given)

    def _known(self, local: int) -> _Node:
        index = self.offset + local
        return _Node(("x", index, self.segment.levels[local], 0), lambda: self.run.x(index))

    def denoise(self, x: Any, level: NoiseLevel) -> Prediction:
        """A prediction by name. It counts as a further call of the step before until a state is shown with
        it.
        """
        node, kept = self.node(x), []
        node.asked = True
        self.again += 1

        def answer() -> Prediction:
            if not kept:
                kept.append(self._answer(node, level, parts["x0"].named[3]))
            return kept[0]

        index = self.offset + max(self.at - 1, 0)
        names = ("x0", "eps", "variance") if self.run.model.spec.learned_variance else ("x0", "eps")
        parts = {
            name: _Node((name, index, level, self.again), lambda name=name: getattr(answer(), name))
            for name in names
        }
        self._waiting.append(parts)
        traced: list[Any] = [Traced(self, node) for node in parts.values()]  # they act as tensors
        return Prediction(*traced)

    @torch.no_grad()
    def _answer(self, node: _Node, level: NoiseLevel, again: int) -> Prediction:
        if again == 0 and node.key is not None and node.key[0] == "x":
            return self.run.prediction(node.key[1])
        return self.segment.denoise(node.value(), level)

    def trace(self) -> _Node:
        """The state after the traced one, as the sampler makes it."""
        levels = Levels.of(self.segment.levels)[self.start :]
        noise = self.segment.noise
        if self.start and has_restarted(self.segment.levels, self.start):
            noise = indexed_noise(noise)
        traced_noise: Any = _Noise(self, offset_noise(noise, self.offset + self.start))
        x: Any = Traced(self, self._known(self.start))  # it acts as a tensor
        loop = sample(self.segment.sampler, self.denoise, x, levels, traced_noise)
        while True:
            step = next(loop)
            if self.at == self.state.local + 1:
                loop.close()
                return self.node(step.x)
            self._rebase(step)
            self.at, self.again = self.at + 1, 0

    def _rebase(self, step: Any) -> None:
        """Take the shown state for known, and what else hung on the state before it as well (UniPC's
        corrected state), so that a step's terms do not reach back to the start.
        """
        shown = step.prediction.x0
        for parts in self._waiting:
            if isinstance(shown, Traced) and parts["x0"] is shown._node:
                for node in parts.values():
                    kind, _, level, _ = node.named
                    node.key = (kind, self.offset + self.at, level, 0)
        self._waiting = []
        node, known = step.x._node, self._known(self.at)
        made = node.parts
        node.key, node.make, node.parts = known.key, known.make, None
        if made is None:
            return
        deep = [(c, child) for c, child in made if child.parts is not None]
        if len(deep) == 1 and not deep[0][1].asked and isinstance(deep[0][0], float) and deep[0][0]:
            (scale, hidden), rest = deep[0], [(c, child) for c, child in made if child.parts is None]
            if rest:
                hidden.parts = [(1 / scale, node), *((-c / scale, child) for c, child in rest)]


class _Noise:
    """The run's noise, named and not yet drawn."""

    def __init__(self, tracer: _Tracer, noise: Any) -> None:
        self._tracer, self._noise = tracer, noise
        self._intervals: dict[int, list[tuple[float, float]]] = {}

    def __call__(self, index: int) -> Traced:
        return self._named(index, lambda: self._noise(index))

    def _named(self, number: int, draw: Callable[[], torch.Tensor], again: int = 0) -> Traced:
        tracer, kept = self._tracer, {}

        def values() -> torch.Tensor:
            if "drawn" not in kept:
                kept["drawn"] = draw()
            return kept["drawn"]

        arrival = tracer.offset + tracer.start + number
        return Traced(tracer, _Node(("noise", arrival, None, again), values))

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._noise, name)  # an AttributeError where the run's noise has none, as it should
        if name == "further":
            return lambda index, number: self._named(index, lambda: inner(index, number), number + 1)
        if name == "over":
            return lambda start, end: self._interval(start, end, lambda: inner(start, end))
        return inner

    def _interval(self, start: float, end: float, draw: Callable[[], torch.Tensor]) -> Traced:
        """Noise of a part of a Brownian path; the parts that one step asks for are told apart."""
        number = self._tracer.at - self._tracer.start
        parts = self._intervals.setdefault(number, [])
        if (start, end) not in parts:
            parts.append((start, end))
        return self._named(number, draw, parts.index((start, end)))


@torch.no_grad()
def step_terms(state: State) -> list[Term]:
    """The terms whose sum is the run's next state, largest share first within the order x, predictions,
    noise.

    Where an earlier state's values decide the coefficients (an adaptive step, a learned variance), the trace
    begins at this state; such samplers remember nothing.
    """
    state.check_has_prediction()
    try:
        made = _Tracer(state, 0, lazy=True).trace()
    except _ValuesNeeded:
        made = _Tracer(state, _begin(state), lazy=False).trace()
    found = made.leaves(1.0, {})
    terms: dict[tuple, Term] = {}
    for node, coefficient in found.items():
        kind, step, level, again = node.named
        key = (kind, step, again, None if level is None else level.log_snr)
        if kind == "known" or key not in terms:
            key = (*key, len(terms)) if kind == "known" else key
            terms[key] = Term(kind, step, level, again, coefficient, node.known())
        else:
            one = terms[key]
            terms[key] = Term(kind, step, level, again, one.coefficient + coefficient, one.array)
    if state.segment.known is not None and state.local + 1 == state.segment.steps:
        return _kept_exactly(list(terms.values()), *state.segment.known, state)
    order = ("x", "x0", "eps", "noise", "known")
    kept = [one for one in terms.values() if not _zero(one.coefficient)]
    return sorted(kept, key=lambda one: (order.index(one.kind), -one.step, one.again))


def _begin(state: State) -> int:
    """Where a trace with values begins: at the state, or one before it where the run turns back to noise,
    which `sample` only does after a step.
    """
    here, levels = state.local, state.segment.levels
    turns = here > 0 and levels[here + 1].log_snr < levels[here].log_snr
    return here - 1 if turns and levels[here].log_snr > levels[here - 1].log_snr else here


def _zero(coefficient: Coefficient) -> bool:
    return not isinstance(coefficient, torch.Tensor) and coefficient == 0


def _kept_exactly(terms: list[Term], picture: torch.Tensor, stays: torch.Tensor, state: State) -> list[Term]:
    """In-painting ends in the known pixels exactly, whatever a solver carries into its last step."""
    kept = (stays == 1).cpu().double()
    changed = []
    for one in terms:
        by = one.coefficient.cpu() if isinstance(one.coefficient, torch.Tensor) else one.coefficient
        changed.append(Term(one.kind, one.step, one.level, one.again, by * (1 - kept), one.array))
    known = picture.expand_as(state.x)
    return [*changed, Term("known", state.index + 1, None, 0, kept, known)]
