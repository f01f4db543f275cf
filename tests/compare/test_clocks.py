"""Clocks against places and ticks worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diffusion_studio.compare.clocks import CLOCKS, places, reached, ticks
from diffusion_studio.diffusion.schedule import CLEAN, NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.frame import Frame

INF = math.inf


def frame(index: int, total: int, log_snr: float, calls: int, part: str = "") -> Frame:
    """A state at a variance-preserving level of this log-SNR."""
    level = CLEAN
    if log_snr == -INF:
        level = NoiseLevel(999.0, 0.0, 1.0)
    elif log_snr < INF:
        alpha = math.sqrt(1 / (1 + math.exp(-log_snr)))
        level = NoiseLevel(1.0, alpha, math.sqrt(1 - alpha**2))
    empty = np.zeros((1, 2, 2, 1), np.uint8)
    return Frame(index, total, level, empty, empty, calls, part)


# four steps of a solver with one call a step, two steps of Heun's method (two calls, one at the end)
LONG = [
    frame(k, 4, place, calls) for k, (place, calls) in enumerate([(-8, 1), (-4, 2), (0, 3), (4, 4), (INF, 4)])
]
SHORT = [frame(k, 2, place, calls) for k, (place, calls) in enumerate([(-8, 1), (0, 3), (INF, 3)])]


def test_a_state_stands_where_it_is_reached():
    np.testing.assert_allclose(places("log-snr", LONG, [0.0] * 5), [-8, -4, 0, 4, INF], atol=1e-12)
    # x at step k needs the k calls before it; its own prediction is one more, which the last has not
    np.testing.assert_array_equal(places("calls", LONG, [0.0] * 5), [0, 1, 2, 3, 4])
    # Heun: both calls of the first step, and then the one of the last
    np.testing.assert_array_equal(places("calls", SHORT, [0.0] * 3), [0, 2, 3])
    np.testing.assert_array_equal(places("steps", SHORT, [0.0] * 3), [0, 1, 2])
    np.testing.assert_array_equal(places("seconds", SHORT, [0.1, 0.4, 0.5]), [0.1, 0.4, 0.5])


def test_ticks_of_the_noise_level_end_in_the_clean_picture():
    runs = [places("log-snr", one, [0.0] * len(one)) for one in (LONG, SHORT)]
    found = ticks("log-snr", runs, 8)  # -8 to 4 in seven ticks two apart, then the clean end
    np.testing.assert_allclose(found, [-8, -6, -4, -2, 0, 2, 4, INF], atol=1e-12)
    assert [reached(runs[0], one) for one in found] == [0, 0, 1, 1, 2, 2, 3, 4]
    assert [reached(runs[1], one) for one in found] == [0, 0, 0, 0, 1, 1, 1, 2]


def test_most_ticks_are_where_pictures_change():
    """From -10 to 10 with four times as many between -5 and 5: 50 parts of which 5 lie on either side."""
    run = np.array([-19.8, *np.linspace(-10, 10, 201), INF])
    found = ticks("log-snr", [run])
    inner = found[1:-1]
    assert (found[0], inner[0], inner[-1], found[-1]) == (-19.8, -10, 10, INF) and len(found) == 200
    assert np.mean(np.abs(inner) < 5) == pytest.approx(0.8, abs=0.01)
    assert (
        CLOCKS["log-snr"].tick_text(found[0]) == "pure noise"
        and CLOCKS["log-snr"].tick_text(-9.96) == "log-SNR -10.0"
    )
    even = ticks("log-snr", [run], 23)[1:-1]
    np.testing.assert_allclose(np.diff(even), 1.0)


def test_pure_noise_is_a_tick_of_its_own():
    run = places("log-snr", [frame(0, 2, -INF, 1), frame(1, 2, -3, 2), frame(2, 2, INF, 2)], [0.0] * 3)
    np.testing.assert_allclose(ticks("log-snr", [run], 4), [-INF, -3, INF])
    single = places("log-snr", [frame(0, 1, -INF, 1), frame(1, 1, INF, 1)], [0.0] * 2)
    assert list(ticks("log-snr", [single])) == [-INF, INF]


@pytest.mark.parametrize("clock, last", [("steps", 4), ("calls", 4)])
def test_a_clock_of_whole_numbers_ticks_one_by_one_and_a_run_finishes_where_it_finishes(clock, last):
    runs = [places(clock, one, [0.0] * len(one)) for one in (LONG, SHORT)]
    found = ticks(clock, runs)
    assert list(found) == [0, 1, 2, 3, last]
    short = {"steps": [0, 1, 2, 2, 2], "calls": [0, 0, 1, 2, 2]}[clock]
    assert [reached(runs[0], one) for one in found] == [0, 1, 2, 3, 4]
    assert [reached(runs[1], one) for one in found] == short


def test_a_clock_of_many_numbers_is_thinned_evenly():
    run = np.arange(1001.0)
    found = ticks("steps", [run])
    assert len(found) == 400 and found[0] == 0 and found[-1] == 1000 and set(np.diff(found)) <= {2, 3}


def test_seconds_begin_at_zero_and_show_the_first_state_until_the_next_is_there():
    found = ticks("seconds", [np.array([0.2, 0.6, 1.0])], 6)
    np.testing.assert_allclose(found, [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [reached(np.array([0.2, 0.6, 1.0]), one) for one in found] == [0, 0, 0, 1, 1, 2]


def test_a_jump_back_does_not_turn_the_clock_back():
    run = [frame(k, 5, place, k + 1) for k, place in enumerate([-4, 0, -2, 0, 2, INF])]
    np.testing.assert_allclose(places("log-snr", run, [0.0] * 6), [-4, 0, 0, 0, 2, INF], atol=1e-12)


def test_a_way_into_noise_has_no_place_on_the_noise_level():
    run = [frame(0, 2, INF, 1, "into noise"), frame(1, 2, -4, 2, "into noise"), frame(2, 2, INF, 2)]
    with pytest.raises(OptionError, match="goes into noise first") as wrong:
        places("log-snr", run, [0.0] * 3)
    assert wrong.value.field == "clock"
    assert list(places("steps", run, [0.0] * 3)) == [0, 1, 2]


def test_an_unknown_clock_lists_the_known():
    with pytest.raises(OptionError, match="log-snr, calls, steps, seconds.*Did you mean 'log-snr'") as wrong:
        places("logsnr", LONG, [0.0] * 5)
    assert wrong.value.field == "clock" and set(CLOCKS) == {"log-snr", "calls", "steps", "seconds"}
