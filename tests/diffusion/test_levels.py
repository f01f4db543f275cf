"""Levels between a run's levels."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from closed_forms import even

from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.schedule import CLEAN, Cosine, Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path


@pytest.mark.parametrize("schedule", [Linear(), Cosine(timesteps=50)], ids=str)
def test_a_schedule_is_asked(schedule):
    levels = Levels(path(schedule, 7), schedule)
    middle = (levels[2].log_snr + levels[3].log_snr) / 2
    found = levels.at(middle)
    assert found.log_snr == pytest.approx(middle, abs=1e-9) and found == schedule.level(
        schedule.timestep(middle)
    )
    assert levels.at_time(3.5) == schedule.level(3.5)
    assert levels.at(-1e3).t == schedule.timesteps - 1 and levels.at(1e3).t == 0


@pytest.mark.parametrize(
    "kind, law", [("vp", lambda a, s: a * a + s * s), ("ve", lambda a, s: a), ("flow", lambda a, s: a + s)]
)
def test_a_plain_list_says_its_kind(kind, law):
    levels = Levels.of([*even(kind, 5), CLEAN])
    for log_snr in (-20.0, -12.0, -3.3, 0.0, 8.0, 11.0):
        found = levels.at(log_snr)
        assert found.log_snr == pytest.approx(log_snr, abs=1e-12) and law(
            found.alpha, found.sigma
        ) == pytest.approx(1, abs=1e-12)
        assert found.t == pytest.approx(
            1000 * (8 - log_snr) / 20
        )  # even() is linear in log-SNR, beyond its ends too
        assert levels.at_time(found.t).log_snr == pytest.approx(log_snr, abs=1e-9)


def test_the_ends_without_signal_or_noise_are_left_out():
    levels = Levels.of([NoiseLevel(1.0, 0.0, 1.0), NoiseLevel(0.5, 0.5, 0.5), CLEAN])
    assert levels.at(1.0).t == 0.5 and levels.at(1.0).alpha + levels.at(1.0).sigma == pytest.approx(1)


def test_slices_and_copies_keep_the_schedule():
    levels = Levels(path(Linear(), 7), Linear())
    assert (
        isinstance(levels[2:], Levels)
        and levels[2:].schedule == Linear()
        and levels[2:] == path(Linear(), 7)[2:]
    )
    assert levels[0] == path(Linear(), 7)[0] and Levels.of(levels) is levels
    for again in (pickle.loads(pickle.dumps(levels)), copy.deepcopy(levels)):
        assert again == levels and again.schedule == Linear()
    assert math.isinf(levels[-1].log_snr)
