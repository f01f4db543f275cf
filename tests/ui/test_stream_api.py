"""The states that /stream sends, taken by a program that is slower than the run."""

from __future__ import annotations

import time

import diffusion_studio as ds
from diffusion_studio.ui import api
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.price import Prices
from diffusion_studio.ui.store import RunStore


def test_a_run_waits_for_a_slow_program_and_leaves_nothing_out(write_checkpoint, monkeypatch):
    monkeypatch.setattr(api, "AHEAD", 3)
    studio, compute = ds.Studio(write_checkpoint("small").parent.parent), Compute()
    runs = api._Runs(studio, compute, RunStore(), Prices(studio, compute))
    recipe = ds.Recipe(model="small", steps=20, seeds=(0,))
    made = []
    frames = runs._frames
    monkeypatch.setattr(
        runs, "_frames", lambda *given: (made.append(one.index) or one for one in frames(*given))
    )
    states = (one for one in runs.states(recipe) if one is not None)
    first = next(states)
    time.sleep(1.5)  # the whole run takes a part of this
    assert first.index == 0 and len(made) <= 1 + 2 * 3
    assert [one.index for one in states] == list(range(1, 21)) and len(made) == 21
