"""Which levels a run visits."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.diffusion.schedule import CLEAN, Cosine, Linear
from diffusion_studio.diffusion.spacing import SPACINGS, path
from diffusion_studio.errors import OptionError

CASES = [(timesteps, steps) for timesteps in (1, 2, 7, 10, 1000)
         for steps in sorted({1, 2, 3, 6, 7, 50, 333, 501, 999, timesteps}) if steps <= timesteps]


def labels(timesteps: int, steps: int, spacing: str) -> np.ndarray:
    return np.array([level.t for level in path(Linear(timesteps=timesteps), steps, spacing)[:-1]])


@pytest.mark.parametrize("timesteps, steps", CASES)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_n_different_whole_timesteps_noisiest_first_and_the_clean_end(spacing, timesteps, steps):
    levels = path(Linear(timesteps=timesteps), steps, spacing)
    assert isinstance(levels, tuple) and len(levels) == steps + 1
    assert levels[-1] == CLEAN
    t = labels(timesteps, steps, spacing)
    assert (t == np.round(t)).all() and t[0] <= timesteps - 1 and t[-1] >= 0
    assert (np.diff(t) < 0).all()
    assert (np.diff([level.log_snr for level in levels]) > 0).all()


@pytest.mark.parametrize("timesteps, steps", CASES)
def test_trailing_starts_at_the_noisiest(timesteps, steps):
    t = labels(timesteps, steps, "trailing")
    assert t[0] == timesteps - 1
    np.testing.assert_array_less(np.abs(t + 1 - timesteps * np.arange(steps, 0, -1) / steps), 0.5 + 1e-9)


@pytest.mark.parametrize("timesteps, steps", CASES)
def test_leading_is_the_formula_of_diffusers(timesteps, steps):
    """Its schedulers with timestep_spacing='leading' and steps_offset=0: multiples of T // n, reversed."""
    wanted = (np.arange(0, steps) * (timesteps // steps)).round()[::-1]
    np.testing.assert_array_equal(labels(timesteps, steps, "leading"), wanted)


@pytest.mark.parametrize("timesteps, steps", CASES)
def test_linspace_has_both_ends_and_even_gaps(timesteps, steps):
    t = labels(timesteps, steps, "linspace")
    assert t[0] == timesteps - 1
    if steps > 1:
        assert t[-1] == 0
        gaps = -np.diff(t)
        assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("spacing", SPACINGS)
def test_all_timesteps_are_all_timesteps(spacing):
    np.testing.assert_array_equal(labels(1000, 1000, spacing), np.arange(999, -1, -1))


def test_known_paths():
    """By hand from the formulas; trailing 4 of 1000 is the example of Lin et al. 2023, table 2 scaled (999, 749, ...)."""
    assert labels(1000, 4, "trailing").tolist() == [999, 749, 499, 249]
    assert labels(1000, 4, "leading").tolist() == [750, 500, 250, 0]
    assert labels(1000, 4, "linspace").tolist() == [999, 666, 333, 0]
    assert labels(10, 3, "trailing").tolist() == [9, 6, 2]
    assert labels(10, 3, "leading").tolist() == [6, 3, 0]
    assert labels(10, 3, "linspace").tolist() == [9, 5, 0]


@pytest.mark.parametrize("steps", [0, -1, 11, 3.0, 2.5, True, "3", None])
def test_bad_steps(steps):
    with pytest.raises(OptionError, match=rf"steps must be a whole number from 1 to 10, the timesteps .*; got {steps!r}\."):
        path(Linear(timesteps=10), steps)


def test_an_unknown_spacing():
    with pytest.raises(OptionError, match="There is no spacing 'trialing'. Choose one of: .*Did you mean 'trailing'?"):
        path(Linear(), 10, "trialing")


@pytest.mark.parametrize("spacing", SPACINGS)
def test_levels_are_those_of_the_schedule(spacing):
    schedule = Cosine(timesteps=77)
    for level in path(schedule, 13, spacing)[:-1]:
        assert level == schedule.level(level.t)
