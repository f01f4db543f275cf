"""Recorded runs: bounded, private, freed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import ExportError, OptionError
from diffusion_studio.export import ExportOptions
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.ui import store as module
from diffusion_studio.ui.export_panel import export_file
from diffusion_studio.ui.store import MAX_RUNS_PER_VISITOR, NoRecipe, RunStore

RECIPE = ds.Recipe(model="m", steps=100)


def frame(index: int, total: int = 100, side: int = 8) -> Frame:
    picture = np.zeros((1, side, side, 1), np.uint8)
    return Frame(index, total, Linear().level(999 - index), picture, picture)


def fill(store: RunStore, visitor: str, total: int = 100) -> str:
    key = store.open(visitor, RECIPE)
    for k in range(total + 1):
        store.append(key, frame(k, total))
    return key


def test_a_run_is_kept_whole_where_there_is_room():
    store = RunStore()
    key = fill(store, "a")
    run = store.get(key)
    assert [one.index for one in run.frames] == list(range(101))
    assert run.nbytes == sum(one.nbytes for one in run.frames) == store.nbytes
    assert run.trajectory.recipe == RECIPE and store.last_place(run.frames[0]) == 100


@pytest.mark.parametrize("room", [100, 33, 7, 2])
def test_a_long_run_keeps_evenly_spaced_frames_and_the_last(room):
    size = frame(0).nbytes
    store = RunStore(max_run_bytes=room * size)
    key = store.open("a", RECIPE)
    places = [store.append(key, frame(k)) for k in range(101)]
    kept = [one.index for one in store.get(key).frames]
    assert len(kept) <= room + 1 and kept[0] == 0 and kept[-1] == 100
    assert len(set(np.diff(kept[:-1]))) <= 1
    assert places[-1] == len(kept) - 1 == store.last_place(frame(0))


def test_the_oldest_runs_make_room():
    size = frame(0).nbytes * 101
    store = RunStore(max_bytes=2 * size)
    keys = [fill(store, name) for name in "abc"]
    assert store.get(keys[0]) is None and store.get(keys[2]) is not None and store.nbytes <= 2 * size


def test_a_run_larger_than_all_room_is_not_thrown_out_while_it_grows():
    store = RunStore(max_bytes=1)
    assert len(store.get(fill(store, "a")).frames) == 101


def test_a_visitor_keeps_the_last_runs_and_no_other_visitors():
    store = RunStore()
    keys = [fill(store, "a", 3) for _ in range(MAX_RUNS_PER_VISITOR + 1)]
    other = fill(store, "b", 3)
    assert [store.get(key) is not None for key in keys] == [False] + [True] * MAX_RUNS_PER_VISITOR
    store.forget("a")
    assert all(store.get(key) is None for key in keys) and store.get(other) is not None
    assert store.append(keys[-1], frame(0)) is None  # a run that goes on after its page closed


@pytest.mark.parametrize("key", [None, 3, "", "no-such-run", ["x"], {"run": 1}])
def test_what_is_no_run(key):
    assert RunStore().get(key) is None


def test_a_visitor_keeps_the_last_runs():
    store = RunStore()
    first = fill(store, "a", 3)
    theirs = fill(store, "b", 3)
    later = [fill(store, "a", 3) for _ in range(MAX_RUNS_PER_VISITOR)]
    assert store.get(first) is None and store.get(theirs) is not None
    assert all(store.get(key) is not None for key in later)


def test_a_visitors_runs_that_are_too_large_make_room_but_for_the_last(monkeypatch):
    size = frame(0).nbytes * 4
    monkeypatch.setattr(module, "MAX_VISITOR_BYTES", 2 * size)
    store = RunStore()
    keys = [fill(store, "a", 3) for _ in range(5)]
    assert [store.get(key) is not None for key in keys] == [False, False, True, True, True]  # 2, and the next
    monkeypatch.setattr(module, "MAX_VISITOR_BYTES", 0)
    newest = fill(store, "a", 3)
    assert [key for key in keys if store.get(key)] == keys[-1:] and store.get(newest) is not None


def test_frames_that_no_recipe_makes_are_exported_under_their_own_name(tmp_path):
    store = RunStore()
    key = store.open("a", NoRecipe("moons-training"))
    for k in range(3):
        store.append(key, frame(k, 2))
    run = store.get(key)
    with pytest.raises(OptionError, match="frames of moons-training were made by no recipe") as refused:
        run.recipe
    assert refused.value.field == "run"
    for name in ("gif", "html"):
        path = Path(export_file(run.recorded, name, ExportOptions()))
        assert path.name.startswith("moons-training") and path.stat().st_size
        with pytest.raises(ExportError, match="carries no recipe"):
            ds.Recipe.from_file(path)
    assert "<title>moons-training" in path.read_text("utf-8")
    assert store.forget("a") == [] and store.get(key) is None  # no recipe, of which states would be kept


def test_a_run_of_a_recipe_is_its_trajectory():
    store = RunStore()
    run = store.get(fill(store, "a", 3))
    assert run.recorded == run.trajectory and run.recipe == RECIPE
    assert store.forget("a") == [RECIPE]
