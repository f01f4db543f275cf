"""The progress of a race or grid while its runs are computed."""

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


class NewestState(NamedTuple):
    """The newest state: the number of its run (-1: the reference), its frame, and the number of states so
    far.
    """

    run: int
    frame: Frame
    states: int


class ProgressText(NamedTuple):
    """The progress as the page shows it: a text, and the share that is computed, None while the runs wait."""

    text: str
    share: float | None = None


class ProgressBoard:
    """The progress of all runs that are being computed. A page asks for it by the key of its runs: messages
    that the server sends unasked would queue up in a slow page.
    """

    def __init__(self) -> None:
        self._told: dict[str, ProgressText] = {}

    def begin(self) -> str:
        """The key of a new run."""
        key = token_hex(8)
        self._told[key] = ProgressText("Starting ...")
        return key

    def tell(self, key: str, told: ProgressText) -> None:
        self._told[key] = told

    def end(self, key: str) -> None:
        self._told.pop(key, None)

    def at(self, key: object) -> dict[str, Any] | None:
        """The progress of runs; None after their end."""
        told = self._told.get(key) if isinstance(key, str) else None
        return None if told is None else told._asdict()


def progress(
    found: NewestState | Progress, asked: Asked, seconds: float = 0.0, most: float = 0
) -> ProgressText | None:
    """The progress as the page shows it, None if there is no news; `seconds` have passed since the first
    state, 0 where there is none. `most` are the network calls of all runs if each ran alone.
    """
    if isinstance(found, Progress):
        if found.place:
            return ProgressText(f"Waiting: place {found.place}.")
        if found.others and not found.calls:
            runs = "1 other run" if found.others == 1 else f"{found.others} other runs"
            takes = "takes" if found.others == 1 else "take"
            return ProgressText(f"Starting. {runs} of this server {takes} turns with this one.")
        if seconds or not most:
            return None
        what = f"{len(asked.cells)} cells" if isinstance(asked, GridRecipe) else f"{len(asked.lanes)} lanes"
        return ProgressText(f"{what}: network call {found.calls + 1} of at most {most:g}", 0.0)
    if isinstance(asked, GridRecipe):
        expected = max(found.states, sum(cell.steps + 1 for cell in asked.cells))
        text = f"{found.states} of about {expected} states of {len(asked.cells)} cells"
        return _with_time_left(text, found.states / expected, seconds)
    runs, frame = len(asked.lanes), found.frame
    name = "The reference run" if found.run < 0 else f"Lane {found.run + 1} of {runs}"
    each = [lane.steps for lane in asked.lanes]
    whole = sum(each) + asked.reference_to_run
    # the reference runs last; runs of more steps take longer
    before = sum(each) if found.run < 0 else sum(each[: found.run])
    own = asked.reference if found.run < 0 else each[found.run]
    share = (before + own * frame.index / max(frame.total, 1)) / max(whole, 1)
    return _with_time_left(f"{name}: step {frame.index} of {frame.total}", share, seconds)


def _with_time_left(text: str, share: float, seconds: float) -> ProgressText:
    left = f", about {duration(seconds * (1 / share - 1))} left" if EARLY < share < 1 and seconds > 1 else ""
    return ProgressText(f"{text}{left}", round(share, 3))


def with_counts(run: Generator[tuple[int, Frame], None, Race | Grid]) -> Iterator[NewestState | Race | Grid]:
    """The newest state with the number of states so far, again and again; at the end the race or grid."""
    count = 0
    while True:
        try:
            number, frame = next(run)
        except StopIteration as end:
            yield end.value
            return
        count += 1
        yield NewestState(number, frame, count)
