"""Messages about a run besides its states: its place in the queue, a model that loads, network calls, and
time.
"""

from __future__ import annotations

from typing import Any

from .compute import Progress

BETWEEN_STATES = 4  # network calls since the last state, from which on they are told


class Waiting:
    """The presses of Generate and Points that have no state to show yet, by the names that their pages gave
    them. Every method is one operation on a dict, so that it can be called from any thread, and where a
    generator is closed.
    """

    def __init__(self) -> None:
        self._presses: dict[str, dict[str, Any]] = {}

    def join(self, name: str) -> None:
        """A press that has come."""
        self._presses[name] = {"ahead": 0, "seconds": None}

    def prepare(self, name: str, doing: str) -> None:
        """A press whose first state is being prepared; `doing` says how, in words."""
        self._presses[name] = {"doing": doing}

    def load(self, name: str, model: str) -> None:
        """Its model is not in memory."""
        self._presses[name] = {"loading": model}

    def tell(self, name: str, progress: Progress) -> None:
        """How its run stands among the others."""
        self._presses[name] = (
            {"ahead": progress.place, "seconds": progress.seconds}
            if progress.place
            else {"running": True, "others": progress.others}
        )

    def refuse(self, name: str, why: str) -> None:
        """The server takes no more runs now; its page asks again after a while."""
        self._presses[name] = {"full": why}

    def leave(self, name: str) -> None:
        """Its run has ended, or will not come."""
        self._presses.pop(name, None)

    def at(self, name: str) -> dict[str, Any] | None:
        """What the page is told of a press: what is done (`doing`); `loading` a model; `running`, in turns
        with `others`; or how many must end before it (`ahead`), with the `seconds` until it is finished
        itself; or why no run is taken now (`full`). None where it is not known (yet).
        """
        return self._presses.get(name)


def with_progress(tick: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The player's tick of a run's newest state, with how the run stands now.

    `made` are the network calls so far, of which there may be thousands between two states; `place` is the
    run's place among those that wait, 0 while it computes; `others` take turns with it; `seconds_left` are
    those until its end, None where nobody knows. `pace` says in words what makes the next state slow.
    """
    told = {
        **tick,
        "made": progress.calls,
        "place": progress.place,
        "others": progress.others,
        "seconds_left": None if tick["done"] else progress.seconds,
    }
    if not tick["done"] and progress.calls - tick["calls"] > BETWEEN_STATES:
        told["pace"] = f"{progress.calls:,} network calls so far"
    elif not tick["done"] and progress.others:
        runs = "another run" if progress.others == 1 else f"{progress.others} other runs"
        told["pace"] = f"in turns with {runs}"
    return told
