"""The states that /stream sends, taken by a program that is slower than the run."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

import diffusion_studio as ds
from diffusion_studio.ui import api, sessions
from diffusion_studio.ui.compute import Compute, Progress
from diffusion_studio.ui.price import Prices
from diffusion_studio.ui.store import RunStore


def _runs(write_checkpoint):
    studio, compute = ds.Studio(write_checkpoint("small").parent.parent), Compute()
    return api._Runs(studio, compute, RunStore(), Prices(studio, compute))


def test_a_run_waits_for_a_slow_program_and_leaves_nothing_out(write_checkpoint, monkeypatch):
    monkeypatch.setattr(api, "AHEAD", 3)
    runs = _runs(write_checkpoint)
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


def test_the_finished_state_comes_last_however_long_the_end_takes(write_checkpoint, monkeypatch):
    """Who takes only the last value, as a tool of an assistant, is given the picture."""
    runs = _runs(write_checkpoint)
    frames = runs._frames

    def slow_to_end(*given):
        yield from frames(*given)
        time.sleep(0.8)  # longer than the page waits before it says that it is at work

    monkeypatch.setattr(runs, "_frames", slow_to_end)
    *_, last = runs.states(ds.Recipe(model="small", steps=2, seeds=(0,)))
    assert last is not None and last.index == last.total == 2


@pytest.mark.parametrize("pulled_by", ["stream", "anything"])
def test_a_run_whose_program_never_fetches_the_answer_ends(pulled_by, write_checkpoint, monkeypatch):
    """It asked, and nobody listens for what comes: it was computed to its end. So are the runs of every other
    part of the page: all are pulled through `Compute.watched`.
    """
    monkeypatch.setattr(sessions, "UNHEARD_SECONDS", 0.3)
    runs, listeners = _runs(write_checkpoint), sessions.Listeners()
    listeners._page = SimpleNamespace(_queue=SimpleNamespace(pending_event_ids_session={}))
    runs.compute.while_heard = listeners.while_heard

    def endless(recipe, turn):
        while True:
            turn.spend(lambda: time.sleep(0.01))  # a network call
        yield

    monkeypatch.setattr(runs, "_frames", endless)
    request = LocalContext.request.set(SimpleNamespace(session_hash="gone"))
    try:
        if pulled_by == "stream":
            assert set(api._stream(runs)(model="small", steps=2)) <= {None}
        else:
            turn = runs.compute.turn()
            assert all(
                isinstance(one, Progress) for one in runs.compute.watched(endless(None, turn), 0, turn)
            )
    finally:
        LocalContext.request.reset(request)
    deadline = time.monotonic() + 30
    while len(runs.compute.turns) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(runs.compute.turns) == 0
