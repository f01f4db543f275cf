"""The rooms of a server: which run each teacher's page shows, and how many pages watch.

A run is computed once, for the teacher. The other pages are told its tick and pull its frames as the
teacher's page does, so thirty of them cost no network call.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import StudioError
from ...runs.edits import FILMS
from ...runs.recipe_diff import flat_settings
from ..player import tick
from ..store import RunStore

MAX_ROOMS = 100
MAX_PAGES = 500  # of one room, counted
GONE_SECONDS = 150.0  # a browser lets a page in the background speak once a minute
QUIET_SECONDS = 75.0  # then the pages of the room are told that its teacher does not answer
AWAY_SECONDS = 8.0  # a page that has not asked for so long watches no more
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like digits
CODE_LETTERS = 5


@dataclass
class _Room:
    key: str  # only the teacher's page knows it
    heard: float
    run: str = ""
    visitor: str = ""  # whose run it is: the teacher's session
    left: bool = False  # the teacher's page has closed
    place: int = 0
    playing: bool = False
    fps: int = 10
    ended: bool = False
    leads: bool = True
    pages: dict[str, float] = field(default_factory=dict)


class Rooms:
    """All open rooms. A room closes `GONE_SECONDS` after its teacher's page; a reload keeps it."""

    def __init__(self, store: RunStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._rooms: dict[str, _Room] = {}
        self._lock = threading.Lock()

    def open(self) -> dict[str, str]:
        """A new room: its code, for the link, and its key, for the teacher's page alone."""
        with self._lock:
            self._drop_left()
            if len(self._rooms) >= MAX_ROOMS:
                raise StudioError(
                    f"All {MAX_ROOMS} rooms of this server are in use. Try again in a few minutes, or run "
                    "the app on a computer of your own."
                )
            code = self._code()
            while code in self._rooms:
                code = self._code()
            room = self._rooms[code] = _Room(secrets.token_urlsafe(16), self._clock())
            return {"code": code, "key": room.key}

    @staticmethod
    def _code() -> str:
        return "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS))

    def show(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what the teacher's page shows: `code`, `key`, `run`, `place`, `playing`, `fps`, `ended`,
        `leads`.

        Answers with the number of pages that watch, or that the room is closed.
        """
        with self._lock:
            self._drop_left()
            room = self._taught(told)
            if room is None:
                return {"closed": True}
            room.heard = self._clock()
            room.run = told["run"] if isinstance(told.get("run"), str) else ""
            room.left = False
            if (run := self._store.get(room.run)) is not None:
                room.visitor = run.visitor
            room.place, room.fps = (
                _whole(told.get("place"), 0, 10**6),
                max(1, _whole(told.get("fps"), 10, 60)),
            )
            room.playing, room.ended, room.leads = (
                told.get(name) is True for name in ("playing", "ended", "leads")
            )
            return {"watching": self._watching(room)}

    def close(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Close the teacher's room."""
        with self._lock:
            if self._taught(told) is not None:
                del self._rooms[told["code"]]
            return {"closed": True}

    def forget(self, visitor: str) -> None:
        """Note that a visitor's page has closed. Its room stays open for a while: it may be loaded again."""
        with self._lock:
            for room in self._rooms.values():
                room.left = room.left or (room.visitor == visitor != "")

    def look(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a page in the room `code` is to show: the run's tick and, where the teacher leads, the
        place in it; `page` is a name that the page gave itself. `tick` is None before the first run. `away`
        says that the teacher's page has closed, or does not answer.
        """
        with self._lock:
            self._drop_left()
            code = asked.get("code")
            room = self._rooms.get(code.upper()) if isinstance(code, str) else None
            if room is None:
                return {"closed": True}
            page = asked.get("page")
            if (
                isinstance(page, str)
                and len(page) <= 40
                and (page in room.pages or len(room.pages) < MAX_PAGES)
            ):
                room.pages[page] = self._clock()
            self._watching(room)
            if room.left or self._clock() - room.heard > QUIET_SECONDS:
                return {"tick": self._tick(room), "away": True}
            led = {"place": room.place, "playing": room.playing, "fps": room.fps} if room.leads else {}
            return {"tick": self._tick(room), **led}

    def _tick(self, room: _Room) -> dict[str, Any] | None:
        """Made here from the run itself: what a page says of itself reaches no other page."""
        run = self._store.get(room.run)
        if run is None or not run.frames:
            return None
        frame, place = run.frames[-1], len(run.frames) - 1
        film = isinstance(run.recipe.edit, FILMS)
        settings = flat_settings(run.recipe)
        told = tick(room.run, place, self._store.last_place(frame), frame, settings, film)
        return {**told, "stopped": room.ended and not told["done"]}

    def _taught(self, told: Mapping[str, Any]) -> _Room | None:
        code, key = told.get("code"), told.get("key")
        room = self._rooms.get(code) if isinstance(code, str) else None
        if room is None or not isinstance(key, str):
            return None
        return room if secrets.compare_digest(key.encode(), room.key.encode()) else None

    def _watching(self, room: _Room) -> int:
        now = self._clock()
        room.pages = {page: seen for page, seen in room.pages.items() if now - seen < AWAY_SECONDS}
        return len(room.pages)

    def _drop_left(self) -> None:
        now = self._clock()
        for code in [code for code, room in self._rooms.items() if now - room.heard > GONE_SECONDS]:
            del self._rooms[code]


def _whole(value: Any, default: int, high: int) -> int:
    return min(max(value, 0), high) if type(value) is int else default
