"""The player of a tab and the recorded runs behind it, as Generate and Points share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import OptionError
from ..imaging.frame import Frame
from .store import Run, RunStore


class RunView:
    """Reads and records the runs that one tab's player shows. `press` says how to make a run there."""

    def __init__(self, store: RunStore, press: str) -> None:
        self.store, self.press = store, press

    def frames(self, key: object) -> list[Frame] | None:
        """The recorded frames of a run; None where the run is no longer kept."""
        run = self.store.get(key)
        return run.frames if run else None

    def record(self, key: str, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        """Keep the frames of any source while they are made. Yields each with the place of the newest kept
        one.
        """
        kept = 0
        for frame in frames:
            place = self.store.append(key, frame)
            kept = kept if place is None else place
            yield kept, frame

    def shown(self, value: object, purpose: str) -> tuple[Run, int]:
        """The run in a player's value, and the place of the state that it shows.

        Raises `OptionError` where there is none; `purpose` completes "There is no run to ...".
        """
        run = self.store.get(value.get("run")) if isinstance(value, dict) else None
        if run is None or not run.frames:
            raise OptionError(
                "run",
                f"There is no run to {purpose} yet. {self.press} first."
                if not value
                else f"This run is no longer kept on the server. {self.press} to make it again.",
            )
        place = value.get("shown") if isinstance(value, dict) else None
        return run, place if type(place) is int and place >= 0 else 0
