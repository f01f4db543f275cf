"""What a visitor is told of a run beside its states: its place among others, its network calls, its time."""

from __future__ import annotations

from html import escape
from typing import Any

from .compute import Progress

BETWEEN_STATES = 4  # network calls since the last state, from which on they are told
LONG_SECONDS = 60  # a run that takes longer says so


def with_progress(tick: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The player's tick of a run's newest state, with how the run stands now.

    `made` are the network calls so far, of which there may be thousands between two states; `place` is the
    run's place among those that wait, 0 while it computes; `others` take turns with it; `left` are the
    seconds until its end, None where nobody knows. `doing` says the calls where the next state is far.
    """
    told = {
        **tick,
        "made": progress.calls,
        "place": progress.place,
        "others": progress.others,
        "left": None if tick["done"] else progress.seconds,
    }
    if not tick["done"] and progress.calls - tick["calls"] > BETWEEN_STATES:
        told["doing"] = f"denoising, {progress.calls:,} network calls so far"
    return told


def waiting_line(progress: Progress, done: bool) -> str:
    """The line above a run as HTML, while it waits for others or will take long; else nothing."""
    told = not done and (progress.place or progress.others or (progress.seconds or 0) > LONG_SECONDS)
    return f"<p>{escape(progress.sentence)}</p>" if told else ""
