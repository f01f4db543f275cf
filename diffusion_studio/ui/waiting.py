"""What a press of Generate waits for: other runs, the loading of a model, its own first state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FORGOTTEN = 10.0  # seconds after which a press that its page asks no more about stands before nobody
_WEIGHT = 0.3  # of the newest run in the usual length


@dataclass
class _Press:
    asked: float  # when its page last asked
    begun: float | None = None
    model: str = ""  # being loaded
    done: float = 0.0  # share of its states


class Waiting:
    """The presses in their order. Every method is one or two operations on a dict, so that it can be called
    from any thread, and where a generator is closed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._presses: dict[str, _Press] = {}
        self._usual: float | None = None  # seconds of a run
        self._clock = clock

    def join(self, name: str) -> None:
        """A press that waits from now on."""
        self._presses[name] = _Press(self._clock())

    def begin(self, name: str, loading: str = "") -> None:
        """Its turn has come; `loading` names a model that is not in memory."""
        self._presses[name] = _Press(self._clock(), self._clock(), loading)

    def step(self, name: str, index: int, total: int) -> None:
        """It has made a state."""
        if (press := self._presses.get(name)) is not None:
            press.model, press.done = "", index / total if total else 1.0

    def leave(self, name: str) -> None:
        """Its run has ended, or will not come."""
        press = self._presses.pop(name, None)
        if press is not None and press.begun is not None and press.done >= 1:
            took = self._clock() - press.begun
            self._usual = took if self._usual is None else self._usual + _WEIGHT * (took - self._usual)

    def at(self, name: str) -> dict[str, Any] | None:
        """What the page is told of a press: `loading` a model, `running`, or how many are `ahead` and for
        about how many `seconds`. None where it is not known (yet).
        """
        now, press = self._clock(), self._presses.get(name)
        if press is None:
            return None
        press.asked = now
        if press.begun is not None:
            return {"loading": press.model} if press.model else {"running": True}
        ahead = []
        for other, one in list(self._presses.items()):
            if other == name:
                break
            if one.begun is not None or now - one.asked < FORGOTTEN:
                ahead.append(one)
        left = [self._left(one, now) for one in ahead]
        return {
            "ahead": len(ahead),
            "seconds": round(sum(left), 1) if left and None not in left else None,
        }

    def _left(self, press: _Press, now: float) -> float | None:
        """About how many seconds a press still takes."""
        if press.begun is None or not press.done:
            return self._usual
        spent = now - press.begun
        return spent / press.done - spent
