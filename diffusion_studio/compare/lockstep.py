"""Several runs in lockstep: calls of the same network at the same noise level become one batch.

A sampler calls its denoiser in the middle of a step, so each run has a thread that can wait there. Only one
thread works at a time, and the network is always called by the thread that iterates. The noisiest runs go
first, so that runs with other steps meet at the levels they share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..diffusion.denoiser import Ask, RunEnded
from ..diffusion.prediction import Prediction
from ..diffusion.schedule import NoiseLevel
from ..models.condition import Encoded
from ..models.model import Model
from ..networks.reuse import DeepFeatures

MOST_PICTURES = 64  # of one network call; more take no less time for each


class Call(NamedTuple):
    """A network call that a run waits for."""

    model: Model
    x: torch.Tensor
    level: NoiseLevel
    given: Encoded
    before: torch.Tensor | DeepFeatures | None

    @property
    def key(self) -> tuple[Any, ...]:
        """Calls with the same key can be one. Features that a run reuses are its own."""
        own = id(self.before) if isinstance(self.before, DeepFeatures) else self.before is None
        return (id(self.model), self.level, self.x.shape[1:], self.x.dtype, own)


class SharedModel(Model):
    """A model whose network calls wait until they can be made together with those of other runs."""

    def __init__(self, model: Model, wait: Callable[[Call], Prediction]) -> None:
        self.__dict__.update(model.__dict__)
        self._model, self._wait = model, wait

    def predict(
        self,
        x: torch.Tensor,
        level: NoiseLevel,
        given: Encoded,
        before: torch.Tensor | DeepFeatures | None = None,
    ) -> Prediction:
        if torch.is_grad_enabled():  # guidance that needs the gradient of this very call
            return self._model.predict(x, level, given, before)
        return self._wait(Call(self._model, x, level, given.for_each(x), before))


class _Run:
    """A run in a thread of its own, which works only between `resume` and the run's next network call."""

    def __init__(self, make: Callable[[Callable[[Call], Prediction]], Iterator[Any]]) -> None:
        self.call: Call | None = None  # what it waits for
        self.items: list[Any] = []  # what it has made since it was last looked at
        self.failed: BaseException | None = None
        self.done = False
        self._answer: Prediction | BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._items = make(self._wait)  # a run that does not fit fails here
        self._thread = threading.Thread(target=self._work, daemon=True)

    def resume(self, answer: Prediction | BaseException | None) -> list[Any]:
        """Work until its next network call or its end. Returns its new items or raises its error."""
        self._answer, self.call = answer, None
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self.done:
            self._thread.join()
        if self.failed is not None:
            raise self.failed
        made, self.items = self.items, []
        return made

    def end(self) -> None:
        """End it at the call that it waits for."""
        if self._thread.ident is not None and not self.done:
            try:
                self.resume(RunEnded("the other runs have ended"))
            except RunEnded:
                pass

    def _work(self) -> None:
        self._go.acquire()
        try:
            for item in self._items:
                self.items.append(item)
        except BaseException as error:  # raised again by the thread that iterates
            self.failed = error
        finally:
            self.done = True
            self._back.release()

    def _wait(self, call: Call) -> Prediction:
        self.call = call
        self._back.release()
        self._go.acquire()
        if isinstance(self._answer, BaseException):
            raise self._answer
        assert self._answer is not None
        return self._answer


def in_lockstep(
    makes: Sequence[Callable[[Callable[[Call], Prediction]], Iterator[Any]]], ask: Ask | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield (number of the run, item) for the items of several runs.

    Each of `makes` gets the function by which its `SharedModel`s wait, and returns the run's iterator. `ask`
    makes the network calls, see `Studio.stream`. If one run fails, or the caller stops iterating, all runs
    end. A run that does not fit raises its error here, before the first item.
    """
    return _take_turns([_Run(make) for make in makes], ask)


def _take_turns(runs: Sequence[_Run], ask: Ask | None) -> Iterator[tuple[int, Any]]:
    try:
        for number, run in enumerate(runs):
            for item in run.resume(None):
                yield number, item
        while waiting := {number: run.call for number, run in enumerate(runs) if run.call is not None}:
            together = _noisiest(waiting)
            answers = _predict_batch([waiting[number] for number in together], ask)
            for number, answer in zip(together, answers):
                for item in runs[number].resume(answer):
                    yield number, item
    finally:
        for run in runs:
            run.end()


def _noisiest(waiting: Mapping[int, Call]) -> list[int]:
    """The runs whose calls at the noisiest level make one batch of at most `MOST_PICTURES` pictures."""
    first = min(waiting, key=lambda number: waiting[number].level.log_snr)
    key, found, size = waiting[first].key, [first], len(waiting[first].x)
    for number, call in waiting.items():
        if number != first and call.key == key and size + len(call.x) <= MOST_PICTURES:
            found.append(number)
            size += len(call.x)
    return found


def _predict_batch(calls: Sequence[Call], ask: Ask | None) -> list[Prediction]:
    """The predictions of calls with one key, by one network call."""
    model, _, level, _, before = calls[0]
    x = torch.cat([call.x for call in calls])
    given = Encoded.cat([call.given for call in calls])
    last = before
    if isinstance(before, torch.Tensor):
        last = torch.cat([call.before for call in calls if isinstance(call.before, torch.Tensor)])

    @torch.no_grad()
    def predict() -> Prediction:
        return model.predict(x, level, given, last)

    found = predict() if ask is None else ask(predict)
    sizes = [len(call.x) for call in calls]
    variances = [None] * len(calls) if found.variance is None else found.variance.split(sizes)
    return [Prediction(*one) for one in zip(found.x0.split(sizes), found.eps.split(sizes), variances)]
