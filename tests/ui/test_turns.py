"""Runs of several visitors in turns: fairness, waiting, ends, threads."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion_studio.errors import StudioError
from diffusion_studio.models.network_call import NetworkCall, output_of
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.studio import Studio
from diffusion_studio.ui.compute import Compute, Progress, ServerFull, Turn, duration
from diffusion_studio.ui.price import Prices, shares
from diffusion_studio.ui.waiting import with_progress


def run_of(compute: Compute, name: str, log: list, states: int, calls_each: int = 1, **given):
    """A run that makes so many network calls before each state, in the order of `log`."""
    turn = compute.turn(**given)

    def items():
        for state in range(states):
            for _ in range(calls_each):
                turn.ask(lambda: (log.append((name, threading.get_ident())), time.sleep(0.002)))
            yield state

    return turn, compute.watched(items(), 0, turn)


def started(watched) -> tuple[threading.Thread, list]:
    found: list = []

    def watch():
        found.extend(watched)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread, found


def until_all_ask(compute: Compute) -> None:
    """Wait, in a call, until every other run has asked for its own, as a network's takes longer than that.

    On a busy machine a run's thread would else be late for its turn.
    """
    until = time.monotonic() + 5
    while time.monotonic() < until:
        others = sum(not one.ended.is_set() for one in [*compute.turns._running]) - 1
        if len(compute.worker._runs) >= others:
            return
        time.sleep(0.0005)


def test_a_short_run_begins_within_two_calls_of_all_others_and_shares_equally():
    """Also beside runs with hundreds of calls between two states, as adaptive solvers have."""
    compute, log, begun = Compute(), [], []

    def call(name: str) -> None:
        until_all_ask(compute)
        log.append((name, threading.get_ident()))

    def run(name: str, states: int, calls_each: int = 1):
        turn = compute.turn()

        def items():
            begun.append(len(log))
            for state in range(states):
                for _ in range(calls_each):
                    turn.ask(lambda: call(name))
                yield state

        return turn, compute.watched(items(), 0, turn)

    long = [run(f"long {k}", 2, 100_000) for k in range(3)]
    threads = [started(watched)[0] for _, watched in long]
    while len(log) < 30:
        time.sleep(0.01)
    _, short = run("short", 10)
    thread, states = started(short)
    thread.join(60)
    for turn, _ in long:
        turn.ended.set()
    for one in threads:
        one.join(5)
        assert not one.is_alive()
    names = [name for name, _ in log]
    assert names.index("short") - begun[-1] <= 2 * 3 + 2
    first, last = names.index("short"), len(names) - 1 - names[::-1].index("short")
    shares = [names[first:last].count(f"long {k}") for k in range(3)]
    assert all(abs(share - 10) <= 2 for share in shares)
    assert [one for one in states if not isinstance(one, Progress)][-1] == 9
    assert len({thread for _, thread in log}) == 1  # one thread runs all networks


def test_a_run_ends_at_its_next_call_and_leaves_its_turn():
    compute, log = Compute(), []
    turn, watched = run_of(compute, "endless", log, 1, 1_000_000)
    thread, found = started(watched)
    while len(log) < 5:
        time.sleep(0.01)
    turn.ended.set()
    thread.join(5)
    assert not thread.is_alive() and len(compute.turns) == 0
    assert all(isinstance(one, Progress) for one in found)  # it made no state, and no error either
    count = len(log)
    time.sleep(0.1)
    assert len(log) == count


def test_progress_comes_between_the_states():
    compute, log = Compute(), []
    turn, watched = run_of(compute, "slow", log, 1, 1_000_000, price=30.0)
    told = next(watched)
    assert isinstance(told, Progress) and told.calls > 0 and told.place == 0 and 20 < told.seconds < 30
    watched.close()
    assert turn.ended.is_set()


def test_later_runs_wait_in_their_order_and_begin_by_themselves():
    compute, log = Compute(most=1, waiting=2), []
    first, watched = run_of(compute, "first", log, 1, 1_000_000, price=100.0)
    thread, _ = started(watched)
    while not log:
        time.sleep(0.01)
    second, third = (run_of(compute, name, log, 2, price=10.0) for name in ("second", "third"))
    iterators = [second[1], third[1]]
    told = [next(one) for one in iterators]
    assert [one.place for one in told] == [1, 2]
    # shared equally: as long as itself, and as long again for each that goes on as long
    assert told[0].seconds == pytest.approx(20) and told[1].seconds == pytest.approx(30)
    assert told[1].place == 2
    with pytest.raises(ServerFull, match="1 run is computed here and 2 wait.*Try again"):
        next(run_of(compute, "fourth", log, 1)[1])
    with pytest.raises(ServerFull, match="1 run is computed here and 2 wait"):
        compute.turns.check_room()
    first.ended.set()
    thread.join(5)
    assert [one for one in iterators[0] if not isinstance(one, Progress)][-1] == 1
    assert [one for one in iterators[1] if not isinstance(one, Progress)][-1] == 1
    compute.turns.check_room()
    names = [name for name, _ in log if name != "first"]
    assert names == ["second"] * 2 + ["third"] * 2


def test_a_run_that_waits_can_be_given_up():
    compute, log = Compute(most=1), []
    first, watched = run_of(compute, "first", log, 1, 1_000_000)
    thread, _ = started(watched)
    waiting = run_of(compute, "second", log, 1)[1]
    assert next(waiting).place == 1
    waiting.close()
    deadline = time.monotonic() + 5
    while len(compute.turns) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(compute.turns) == 1
    first.ended.set()
    thread.join(5)
    assert len(compute.turns) == 0 and not any(name == "second" for name, _ in log)


def test_runs_made_item_by_item_take_turns_with_the_others():
    compute, order = Compute(), []

    def items(name):
        until = time.monotonic() + 30
        while not order and len(compute.turns) < 2 and time.monotonic() < until:
            time.sleep(0.001)  # the other thread may begin later
        for k in range(20):
            until_all_ask(compute)
            order.append(name)
            yield k

    threads = [started(compute.newest(items(name), 0))[0] for name in "ab"]
    for one in threads:
        one.join(60)
    assert len(order) == 40
    half = order[: len(order) // 2]
    assert abs(half.count("a") - half.count("b")) <= 4


def test_no_thread_is_left():
    before = threading.active_count()
    compute = Compute()
    for _ in range(20):
        assert list(compute.newest(range(5), 0))[-1] == 4
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before + 1  # the one that computes


def test_a_limit_ends_the_run_with_its_error():
    compute, log = Compute(), []

    def limit(turn: Turn) -> None:
        if turn.calls == 7:
            raise StudioError("that is all")

    with pytest.raises(StudioError, match="that is all"):
        list(run_of(compute, "x", log, 2, 100, limit=limit)[1])
    assert len(log) == 7 and len(compute.turns) == 0


def test_what_the_page_is_told():
    tick = {"calls": 3, "done": False}
    told = with_progress(tick, Progress(2000, 0, 2, 100.0))
    assert told == {
        "calls": 3,
        "done": False,
        "made": 2000,
        "place": 0,
        "others": 2,
        "seconds_left": 100.0,
        "pace": "2,000 network calls so far",
    }
    assert "pace" not in with_progress(tick, Progress(4))
    assert with_progress(tick, Progress(4, others=3))["pace"] == "in turns with 3 other runs"
    assert with_progress({"calls": 3, "done": True}, Progress(2000, seconds=4.0))["seconds_left"] is None
    assert [duration(one) for one in (0.2, 89, 100, 5399, 6840)] == [
        "1 s",
        "89 s",
        "2 minutes",
        "90 minutes",
        "1.9 hours",
    ]


def test_runs_of_one_model_share_network_calls_and_keep_their_pictures(tiny_checkpoint):
    """Four runs wait while the thread is held, so that the first call is of all four."""
    studio = Studio(tiny_checkpoint.parent.parent, "cpu", "fp32")
    recipes = [Recipe(model="tiny", label="Cat", steps=6, seeds=(k, k + 9)) for k in range(4)]
    alone = [list(studio.stream(one)) for one in recipes]
    network, rows = studio.model("tiny").network, []
    network.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
    compute = Compute()
    prices, free = Prices(studio, compute), threading.Event()

    def begun(recipe):
        turn, kept = prices.turn(recipe), []
        frames = compute.call(lambda: studio.stream(recipe, turn.ask))
        return turn, kept, compute.watched((kept.append(one) for one in frames), 0, turn)

    started_runs = [begun(one) for one in recipes]
    holding = threading.Thread(target=lambda: compute.call(free.wait))
    holding.start()
    threads = [started(watched)[0] for _, _, watched in started_runs]
    deadline = time.monotonic() + 60
    while len(compute.worker._runs) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    free.set()
    for one in [holding, *threads]:
        one.join(60)
        assert not one.is_alive()
    assert rows[0] == 8 and sum(rows) == 4 * 6 * 2
    for (turn, kept, _), frames in zip(started_runs, alone):
        assert turn.calls == 6 and turn.spent > 0
        assert [one.index for one in kept] == list(range(7))
        for one, other in zip(kept, frames, strict=True):
            assert np.abs(one.x.astype(int) - other.x).max() <= 1  # fp32 in a larger batch
    assert len(compute.turns) == 0


def test_a_call_that_fails_fails_its_own_run_alone():
    """The two are made as one first, which cannot be: one of the networks is given too few numbers."""
    compute, free = Compute(), threading.Event()
    network = torch.nn.Conv2d(1, 1, 1)

    def net(x, t, label, text):
        if len(x) > 3 or x.isnan().any():
            raise StudioError("too much")
        return network(x)

    def asked(x):
        with torch.no_grad():
            one = NetworkCall(net, x, torch.zeros(len(x)))
        turn = compute.turn(shares=True)
        return turn, compute.watched((turn.ask(lambda: output_of(one)) for _ in range(1)), 0, turn)

    good, bad = asked(torch.ones(2, 1, 4, 4)), asked(torch.full((2, 1, 4, 4), torch.nan))
    holding = threading.Thread(target=lambda: compute.call(free.wait))
    holding.start()
    errors: list = []

    def failing():
        try:
            list(bad[1])
        except StudioError as error:
            errors.append(str(error))

    thread, found = started(good[1])
    other = threading.Thread(target=failing)
    other.start()
    deadline = time.monotonic() + 60
    while len(compute.worker._runs) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    free.set()
    for one in (holding, thread, other):
        one.join(60)
        assert not one.is_alive()
    results = [one for one in found if isinstance(one, torch.Tensor)]
    assert torch.equal(results[0], network(torch.ones(2, 1, 4, 4))) and errors == ["too much"]


def test_what_alters_the_network_or_needs_gradients_is_not_shared():
    plain = Recipe(model="m", label="Cat")
    assert shares(plain) and shares(replace(plain, guidance=3.0))
    assert not shares(replace(plain, self_guidance="perturbed_attention"))
    assert not shares(replace(plain, classifier={"name": "c", "scale": 2}))
    altered = replace(plain, self_guidance="perturbed_attention", steps=10)
    assert not shares(replace(altered.continued(3), self_guidance=plain.self_guidance))


def test_a_call_of_nobody_goes_before_those_of_runs():
    compute, log = Compute(), []
    runs = [run_of(compute, f"run {k}", log, 2, 200) for k in range(5)]
    threads = [started(watched)[0] for _, watched in runs]
    while len(log) < 20:
        time.sleep(0.01)
    waited = []
    for _ in range(5):
        begun = len(log)
        compute.call(lambda: waited.append(len(log) - begun))
    assert max(waited) <= 2
    for turn, _ in runs:
        turn.ended.set()
    for one in threads:
        one.join(20)
        assert not one.is_alive()
