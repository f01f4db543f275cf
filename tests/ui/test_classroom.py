"""Rooms: what a teacher's page shows reaches the pages of its room, and nothing else does."""

from __future__ import annotations

import json

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import StudioError
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.ui.classroom import rooms as module
from diffusion_studio.ui.classroom.rooms import GONE_SECONDS, QUIET_SECONDS, Rooms
from diffusion_studio.ui.store import RunStore


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def school():
    """A server with one run of two of its five steps; (rooms, clock, store, the run's name)."""
    clock, store = Clock(), RunStore()
    run = store.open("teacher", ds.Recipe(model="fashion-mnist", label="Bag", steps=5))
    level = Linear().level(500)
    for index in range(3):
        pixels = np.zeros((1, 8, 8, 1), np.uint8)
        store.append(run, Frame(index, 5, level, pixels, pixels, calls=index))
    return Rooms(store, clock), clock, store, run


def show(rooms, room, run, **more):
    return rooms.show({**room, "run": run, "place": 2, "playing": False, "fps": 20, "leads": True, **more})


def test_pages_are_told_the_run_and_the_place(school):
    rooms, _, _, run = school
    room = rooms.open()
    assert rooms.look({"code": room["code"], "page": "a"}) == {
        "tick": None,
        "place": 0,
        "playing": False,
        "fps": 10,
    }
    assert show(rooms, room, run) == {"watching": 1}
    told = rooms.look({"code": room["code"].lower(), "page": "b"})  # as somebody types it
    assert told["tick"]["run"] == run and told["tick"]["kept"] == 2 and not told["tick"]["done"]
    assert told["tick"]["about"]["label"] == "Bag" and not told["tick"]["stopped"]
    assert (told["place"], told["playing"], told["fps"]) == (2, False, 20)
    assert show(rooms, room, run, ended=True, leads=False) == {"watching": 2}
    told = rooms.look({"code": room["code"], "page": "b"})
    assert told["tick"]["stopped"] and "place" not in told


def test_only_the_teachers_page_leads(school):
    rooms, _, _, run = school
    room, other = rooms.open(), rooms.open()
    for key in ("", "x", None, 3, other["key"], "ü"):
        assert show(rooms, {"code": room["code"], "key": key}, run) == {"closed": True}
        rooms.close({"code": room["code"], "key": key})
    assert rooms.look({"code": room["code"]})["tick"] is None
    assert room["key"] not in json.dumps(rooms.look({"code": room["code"]}))


def test_what_a_page_sends_beside_the_run_reaches_no_other(school):
    """The tick is made from the run that the server holds."""
    rooms, _, _, run = school
    room = rooms.open()
    evil = "<img src=x onerror=alert(1)>"
    show(rooms, room, run, tick={"right": evil}, about=evil, place=evil, fps=evil, playing=evil)
    told = rooms.look({"code": room["code"]})
    assert "onerror" not in json.dumps(told) and (told["place"], told["fps"], told["playing"]) == (
        0,
        10,
        False,
    )
    for wrong in (None, 5, ["a"], evil, "a" * 10_000):
        assert show(rooms, room, wrong) == {"watching": 0}
        assert rooms.look({"code": room["code"]})["tick"] is None
        assert rooms.look({"code": wrong}) == {"closed": True}


def test_a_room_closes_with_its_teachers_page(school):
    rooms, clock, _, run = school
    room, left = rooms.open(), rooms.open()
    for _ in range(4):
        clock.now += GONE_SECONDS / 2
        show(rooms, room, run)
    assert rooms.look({"code": left["code"]}) == {"closed": True}
    assert rooms.look({"code": room["code"]})["tick"]
    assert (
        rooms.close(room) == {"closed": True} == rooms.look({"code": room["code"]}) == show(rooms, room, run)
    )


def test_pages_that_went_are_counted_no_more(school):
    rooms, clock, _, run = school
    room = rooms.open()
    for page in ("a", "b", "a"):
        rooms.look({"code": room["code"], "page": page})
    assert show(rooms, room, run) == {"watching": 2}
    clock.now += module.AWAY_SECONDS + 1
    rooms.look({"code": room["code"], "page": "a"})
    assert show(rooms, room, run) == {"watching": 1}


def test_rooms_and_pages_are_bounded(school, monkeypatch):
    rooms, clock, _, run = school
    monkeypatch.setattr(module, "MAX_ROOMS", 3)
    monkeypatch.setattr(module, "MAX_PAGES", 2)
    room, *_ = [rooms.open() for _ in range(3)]
    with pytest.raises(StudioError, match="All 3 rooms.*Try again in a few minutes"):
        rooms.open()
    for page in range(9):
        assert "tick" in rooms.look({"code": room["code"], "page": f"{page}"})
    assert show(rooms, room, run) == {"watching": 2}
    clock.now += GONE_SECONDS + 1
    assert len(rooms.open()["code"]) == module.CODE_LETTERS


def test_a_run_that_was_freed_is_nothing_to_show(school):
    rooms, _, store, run = school
    room = rooms.open()
    show(rooms, room, run)
    store.forget("teacher")
    assert rooms.look({"code": room["code"]})["tick"] is None


def test_pages_are_told_that_the_teacher_has_left(school):
    rooms, clock, store, run = school
    room, other = rooms.open(), rooms.open()
    show(rooms, room, run)
    rooms.forget("")  # a page without a session is nobody's
    rooms.forget("somebody else")
    assert "away" not in rooms.look(room) and "away" not in rooms.look(other)
    store.forget("teacher")  # as the app does when a page closes
    rooms.forget("teacher")
    assert rooms.look(room) == {"tick": None, "away": True} and "away" not in rooms.look(other)
    show(rooms, room, "")  # loaded again
    assert "away" not in rooms.look(room)
    clock.now += QUIET_SECONDS + 1  # no word of closing: the computer sleeps, or its line is broken
    assert rooms.look(room)["away"] is True
    clock.now += GONE_SECONDS - QUIET_SECONDS
    assert rooms.look(room) == {"closed": True}
