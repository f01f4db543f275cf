"""Which levels a run visits."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio import options
from diffusion_studio.diffusion.schedule import (
    CLEAN,
    SCHEDULES,
    TABLES,
    Cosine,
    FlowMatching,
    JensenShannon,
    Linear,
    NoiseSchedule,
    Table,
    VarianceExploding,
    VariancePreserving,
)
from diffusion_studio.diffusion.spacing import (
    SPACINGS,
    Exponential,
    Follow,
    Karras,
    Quadratic,
    Sections,
    Spacing,
    Timesteps,
    path,
)
from diffusion_studio.errors import OptionError

RULES = [name for name, cls in SPACINGS.items() if cls().count is None]  # those that make any number of steps
WHOLE = [name for name in RULES if SPACINGS[name].whole]
SCHEDULE_CASES = [
    *(
        SCHEDULES[name](timesteps=timesteps, zero_snr=zero)
        for name in TABLES
        for timesteps in (1, 2, 7, 100)
        for zero in (False, True)
    ),
    Linear(),
    Linear(zero_snr=True),
    JensenShannon(),
    Table(values=tuple(np.linspace(0.001, 0.4, 30))),
    VarianceExploding(),
    VarianceExploding(label="sigma"),
    VariancePreserving(),
    VariancePreserving(scale=1.0),
    FlowMatching(),
    FlowMatching(scale=1.0, time_min=1e-7),
]
SPACING_CASES = [
    *(SPACINGS[name]() for name in RULES),
    Karras(rho=1.0),
    Karras(rho=20.0),
    Exponential(power=0.5),
    Exponential(power=3.0),
    Quadratic(reach=0.8),
    *(Follow(follow=name) for name in SCHEDULES if name not in ("table", "cosine")),
]
CASES = [
    (timesteps, steps)
    for timesteps in (1, 2, 7, 10, 1000)
    for steps in sorted({1, 2, 3, 6, 7, 50, 333, 501, 999, timesteps})
    if steps <= timesteps
]


def written(schedule: NoiseSchedule, steps: int) -> list[Spacing]:
    """The spacings whose number of steps is their own, for this one."""
    if schedule.t_min == schedule.t_max and steps > 1:
        return []
    t = np.linspace(schedule.t_max, schedule.t_min, steps)
    found: list[Spacing] = [Timesteps(timesteps=",".join(map(repr, t.tolist())))]
    if steps <= schedule.timesteps:
        found.append(Sections(sections=str(steps)))
        if len(range(0, schedule.timesteps, -(-schedule.timesteps // steps))) == steps:
            found.append(Sections(sections=f"ddim{steps}"))
    return found


def brief(given: object) -> str:
    return str(given)[:60]


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(one, marks=pytest.mark.slow) if one.timesteps >= 100 and k % 3 else one
        for k, one in enumerate(SCHEDULE_CASES)
    ],
    ids=brief,
)
def test_every_path_on_every_schedule(schedule):
    """Finite, of the right length, strictly less noise at every step, from the right end and to the clean
    picture; with 1, 2, 7 and T steps, and on short schedules more than T where the labels are fractional.
    """
    tried = 0
    for steps in sorted(
        {1, 2, 7, schedule.timesteps, *([2 * schedule.timesteps + 1] if schedule.timesteps <= 100 else [])}
    ):
        for spacing in (*SPACING_CASES, *written(schedule, steps)):
            if steps > spacing.most(schedule) or schedule.t_min == schedule.t_max and steps > 1:
                continue
            tried += 1
            if isinstance(spacing, Follow) and apart(schedule, SCHEDULES[spacing.follow]()):
                with pytest.raises(OptionError, match="have no noise level in common"):
                    path(schedule, steps, spacing)
                continue
            levels = path(schedule, steps, spacing)
            what = f"{spacing} with {steps} steps"
            assert isinstance(levels, tuple) and len(levels) == steps + 1 and levels[-1] == CLEAN, what
            assert np.isfinite([(one.t, one.alpha, one.sigma) for one in levels]).all(), what
            log_snr = np.array([one.log_snr for one in levels])
            assert (np.diff(log_snr[1:] if log_snr[0] == -np.inf else log_snr) > 0).all(), what
            assert all(one == schedule.level(one.t) for one in levels[:-1]), what
            right_ends(schedule, spacing, levels[0].t, levels[-2].t, steps)
    assert tried > 20


def apart(*schedules: NoiseSchedule) -> bool:
    """Whether one ends at less noise than the other begins with; a single level follows anything."""
    if any(one.t_min == one.t_max for one in schedules):
        return False
    most, least = (
        [one.level(t).log_snr for one, t in zip(schedules, ends)]
        for ends in ([one.t_max for one in schedules], [one.t_min for one in schedules])
    )
    return max(most) > min(least)


def right_ends(schedule: NoiseSchedule, spacing: Spacing, first: float, last: float, steps: int) -> None:
    name = options.name_of(SPACINGS, spacing)
    if name in ("trailing", "linspace", "karras", "exponential", "log-snr", "follow", "timesteps"):
        assert first == schedule.t_max
    if name == "quadratic":
        assert first == pytest.approx(
            schedule.t_min + spacing.reach * (schedule.t_max - schedule.t_min), abs=1e-9
        )
    if (
        name in ("leading", "sections")
        and schedule.timesteps > steps == 1
        or steps > 1
        and name
        in ("leading", "linspace", "quadratic", "karras", "exponential", "log-snr", "timesteps", "sections")
    ):
        assert last == pytest.approx(schedule.t_min, abs=1e-9)


@pytest.mark.parametrize("spacing", RULES)
@pytest.mark.parametrize("schedule", [Linear(), FlowMatching(), VarianceExploding()], ids=brief)
def test_more_than_t_steps(schedule, spacing):
    if SPACINGS[spacing].whole and schedule.discrete:
        with pytest.raises(
            OptionError, match="from 1 to 1000, the timesteps that the model was trained with; got 2500"
        ):
            path(schedule, 2500, spacing)
    else:
        levels = path(schedule, 2500, spacing)
        assert len(levels) == 2501 and (np.diff([one.log_snr for one in levels[1:]]) > 0).all()


def test_every_spacing_is_among_those_tested():
    assert {type(one) for one in (*SPACING_CASES, *written(Linear(), 10))} == set(SPACINGS.values())


def labels(timesteps: int, steps: int, spacing: str) -> np.ndarray:
    return np.array([level.t for level in path(Linear(timesteps=timesteps), steps, spacing)[:-1]])


@pytest.mark.parametrize("timesteps, steps", CASES)
@pytest.mark.parametrize("spacing", WHOLE)
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


@pytest.mark.parametrize("spacing", WHOLE)
def test_all_timesteps_are_all_timesteps(spacing):
    np.testing.assert_array_equal(labels(1000, 1000, spacing), np.arange(999, -1, -1))


def test_known_paths():
    """By hand from the formulas; trailing 4 of 1000 is the example of Lin et al. 2023, table 2 scaled
    (999, 749, ...).
    """
    assert labels(1000, 4, "trailing").tolist() == [999, 749, 499, 249]
    assert labels(1000, 4, "leading").tolist() == [750, 500, 250, 0]
    assert labels(1000, 4, "linspace").tolist() == [999, 666, 333, 0]
    assert labels(10, 3, "trailing").tolist() == [9, 6, 2]
    assert labels(10, 3, "leading").tolist() == [6, 3, 0]
    assert labels(10, 3, "linspace").tolist() == [9, 4, 0]  # 4.5, rounded to even


@pytest.mark.parametrize("steps", [0, -1, 11, 3.0, 2.5, True, "3", None])
def test_bad_steps(steps):
    with pytest.raises(
        OptionError, match=rf"steps must be a whole number from 1 to 10, the timesteps .*; got {steps!r}\."
    ):
        path(Linear(timesteps=10), steps)


def test_an_unknown_spacing():
    with pytest.raises(
        OptionError, match="There is no spacing 'trialing'. Choose one of: .*Did you mean 'trailing'?"
    ):
        path(Linear(), 10, "trialing")


@pytest.mark.parametrize("spacing", RULES)
def test_levels_are_those_of_the_schedule(spacing):
    schedule = Cosine(timesteps=77)
    for level in path(schedule, 13, spacing)[:-1]:
        assert level == schedule.level(level.t)
