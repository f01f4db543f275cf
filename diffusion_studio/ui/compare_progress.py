"""How far the runs of a race or grid are, while they are made."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from secrets import token_hex
from typing import Any, NamedTuple

from ..compare.grid import Grid
from ..compare.race import Race
from ..compare.recipes import GridRecipe
from ..imaging.frame import Frame
from .compare_choices import Asked
from .compute import Progress, duration

EARLY = 0.05  # share of the runs before which the rest is not estimated


class Reached(NamedTuple):
    """How far the runs are: the run of the newest state (-1: the reference), and the number of all states."""

    run: int
    frame: Frame
    states: int


class Told(NamedTuple):
    """What the page is told while runs are made: a text, and the share that is made, None while it waits."""

    text: str
    share: float | None = None


class Followed:
    """What pages are told of runs that are being made. A page asks for it, by the run's key, when it has
    time: messages that the server sends by itself queue up in a page that is slower than they come.
    """

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}

    def begin(self) -> str:
        """The key of a new run."""
        key = token_hex(8)
        self._told[key] = Told("Starting ...")
        return key

    def tell(self, key: str, told: Told) -> None:
        self._told[key] = told

    def end(self, key: str) -> None:
        self._told.pop(key, None)

    def at(self, key: object) -> dict[str, Any] | None:
        """How far a run is; None of one that has ended."""
        told = self._told.get(key) if isinstance(key, str) else None
        return None if told is None else told._asdict()


def progress(found: Reached | Progress, asked: Asked, seconds: float = 0.0) -> Told | None:
    """How far the runs are, None for no news; `seconds` have passed since the first state."""
    if isinstance(found, Progress):
        if found.place:
            return Told(f"Waiting: place {found.place}.")
        if found.others and not found.calls:
            runs = "1 other run" if found.others == 1 else f"{found.others} other runs"
            takes = "takes" if found.others == 1 else "take"
            return Told(f"Starting. {runs} of this server {takes} turns with this one.")
        return None
    if isinstance(asked, GridRecipe):
        expected = max(found.states, sum(cell.steps + 1 for cell in asked.cells))
        text = f"{found.states} of about {expected} states of {len(asked.cells)} cells"
        return _told(text, found.states / expected, seconds)
    runs, frame = len(asked.lanes), found.frame
    name = "The reference run" if found.run < 0 else f"Lane {found.run + 1} of {runs}"
    each = [lane.steps for lane in asked.lanes]
    whole = sum(each) + asked.reference_to_run
    # the reference runs last; runs of more steps take longer
    before = sum(each) if found.run < 0 else sum(each[: found.run])
    own = asked.reference if found.run < 0 else each[found.run]
    share = (before + own * frame.index / max(frame.total, 1)) / max(whole, 1)
    return _told(f"{name}: step {frame.index} of {frame.total}", share, seconds)


def _told(text: str, share: float, seconds: float) -> Told:
    left = f", about {duration(seconds * (1 / share - 1))} left" if EARLY < share < 1 and seconds > 1 else ""
    return Told(f"{text}{left}", round(share, 3))


def counted(run: Generator[tuple[int, Frame], None, Race | Grid]) -> Iterator[Reached | Race | Grid]:
    """How far the runs are, state by state, and at the end the race or grid."""
    count = 0
    while True:
        try:
            number, frame = next(run)
        except StopIteration as end:
            yield end.value
            return
        count += 1
        yield Reached(number, frame, count)
