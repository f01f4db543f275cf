"""The thread that runs networks: order, newest items, endings."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from diffusion_studio.ui.compute import NICER, Compute


def test_a_call_gives_its_result_or_its_exception():
    compute = Compute()
    assert compute.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        compute.call(lambda: 1 / 0)


def test_everything_runs_in_one_thread():
    compute = Compute()
    first = compute.call(threading.get_ident)
    ran = list(compute.newest((threading.get_ident() for _ in range(3)), 0))
    assert {first, *ran} == {first} and first != threading.get_ident()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives threads priorities of their own")
@pytest.mark.parametrize("gives_way", [True, False])
def test_the_thread_and_the_team_that_it_starts_stand_behind_those_that_answer(gives_way):
    def priorities():
        return {
            int(one.name): os.getpriority(os.PRIO_PROCESS, int(one.name))
            for one in Path("/proc/self/task").iterdir()
        }

    before = priorities()
    expected = min(os.getpriority(os.PRIO_PROCESS, 0) + NICER * gives_way, 19)
    x = torch.zeros(4, 64, 64, 64)
    compute = Compute()
    compute.worker.gives_way = gives_way
    own = compute.call(lambda: (torch.nn.functional.silu(x).sum(), threading.get_native_id())[1])
    after = priorities()
    started = {name for name in after if name not in before}
    assert own in started and {after[name] for name in started} == {expected}
    assert {name: after[name] for name in before if name in after} == {
        name: before[name] for name in before if name in after
    }


def test_the_last_item_always_comes_and_none_comes_out_of_order():
    for _ in range(50):
        seen = list(Compute().newest(iter(range(200)), 0.0001))
        assert seen == sorted(set(seen)) and seen[-1] == 199


def test_a_slow_watcher_skips_and_does_not_hold_the_run():
    made = threading.Event()

    def items():
        yield from range(100)
        made.set()

    watched = Compute().newest(items(), 0)
    next(watched)
    assert made.wait(5)  # while nobody watches
    assert len(list(watched)) <= 1


def test_closing_ends_the_run_after_the_item_in_the_making():
    made, closed = [], threading.Event()

    def items():
        try:
            for k in range(10_000):
                made.append(k)
                time.sleep(0.001)
                yield k
        finally:
            closed.set()

    compute = Compute()
    watched = compute.newest(items(), 0)
    next(watched)
    watched.close()
    assert closed.wait(5) and len(made) < 5_000
    assert compute.call(lambda: "free") == "free"


def test_a_run_can_be_ended_from_outside():
    ended, made = threading.Event(), []

    def items():
        for k in range(10_000):
            made.append(k)
            time.sleep(0.001)
            yield k

    watched = Compute().newest(items(), 0, ended)
    next(watched)
    ended.set()
    *_, last = [0, *watched]
    assert last <= made[-1] < 9_999


def test_a_failing_run_gives_what_it_made_and_then_its_exception():
    def items():
        yield 1
        raise ValueError("broken")

    watched = Compute().newest(items(), 0)
    assert next(watched) == 1
    with pytest.raises(ValueError, match="broken"):
        next(watched)


def test_an_empty_run():
    assert list(Compute().newest(iter(()), 0)) == []
