"""The progress of a race or grid while its runs are computed."""

from __future__ import annotations

import base64
import io
from collections.abc import Generator, Iterator, Mapping
from secrets import token_hex
from typing import Any, NamedTuple

from ..compare.grid import Grid
from ..compare.race import Race
from ..compare.recipes import GridRecipe
from ..imaging.arrays import to_pil
from ..imaging.frame import Frame
from .compare_choices import Asked
from .compute import Progress, duration

EARLY = 0.05  # share of the runs before which the rest is not estimated
MOST_PIXELS = 100_000  # of the pictures in one answer, at most 0.4 MB of noise; the others wait for the next
Newest = Mapping[int, tuple[int, Frame]]  # run -> the number of states of all runs when it came, and itself


class NewestState(NamedTuple):
    """The newest state: the number of its run (-1: the reference), its frame, the number of states so far,
    and the newest state of each run.
    """

    run: int
    frame: Frame
    states: int
    of_each: Newest = {}


class ProgressText(NamedTuple):
    """The progress as the page shows it: a text, and the share that is computed, None while the runs wait."""

    text: str
    share: float | None = None


class ProgressBoard:
    """The progress of all runs that are being computed, with their newest states. A page asks for it by the
    key of its runs: messages that the server sends unasked would queue up in a slow page.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[ProgressText, Newest]] = {}

    def begin(self) -> str:
        """The key of a new run."""
        key = token_hex(8)
        self._told[key] = ProgressText("Starting ..."), {}
        return key

    def tell(self, key: str, told: ProgressText, newest: Newest | None = None) -> None:
        """Without `newest` the states are those of before."""
        before = self._told.get(key, (None, {}))[1]
        self._told[key] = told, before if newest is None else newest

    def end(self, key: str) -> None:
        self._told.pop(key, None)

    def at(self, key: object, after: object = 0) -> dict[str, Any] | None:
        """The progress of runs; None after their end. `states` are [run, WebP in base64] of the runs whose
        newest state came after the number `after`, and `upto` is the number to ask with next.
        """
        told = self._told.get(key) if isinstance(key, str) else None
        if told is None:
            return None
        text, newest = told
        upto, states = after if isinstance(after, int) else 0, []
        pixels = 0
        for run, (number, frame) in sorted(newest.items(), key=lambda one: one[1][0]):
            if number <= upto or run < 0 or frame.of_points:
                continue
            picture = frame.sheet(frame.x)
            pixels += picture.shape[0] * picture.shape[1]
            if states and pixels > MOST_PIXELS:
                break
            upto = number
            states.append([run, _webp(picture)])
        return {**text._asdict(), "states": states, "upto": upto}


def _webp(picture: Any) -> str:
    """A picture (H, W, C) as a lossless WebP in base64, made fast and not small: it is shown for a moment."""
    buffer = io.BytesIO()
    to_pil(picture).convert("RGB").save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return base64.b64encode(buffer.getvalue()).decode()


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
    """The newest state of all and of each run, again and again; at the end the race or grid."""
    count = 0
    of_each: dict[int, tuple[int, Frame]] = {}
    while True:
        try:
            number, frame = next(run)
        except StopIteration as end:
            yield end.value
            return
        count += 1
        of_each = {**of_each, number: (count, frame)}  # anew, as another thread reads the one before
        yield NewestState(number, frame, count, of_each)
