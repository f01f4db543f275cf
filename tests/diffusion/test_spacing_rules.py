"""The rules of spacings, against other programs and papers, and what they cannot make."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio import options
from diffusion_studio.diffusion.schedule import (
    SCHEDULES,
    Cosine,
    FlowMatching,
    JensenShannon,
    Linear,
    ScaledLinear,
    Table,
    VarianceExploding,
)
from diffusion_studio.diffusion.spacing import (
    MOST_STEPS,
    SPACINGS,
    Exponential,
    Follow,
    Karras,
    Quadratic,
    Sections,
    Timesteps,
    path,
)
from diffusion_studio.errors import OptionError


def brief(given: object) -> str:
    return str(given)[:60]


# --- paths that are regular in the noise

# diffusers 0.42.1, `EulerDiscreteScheduler` with scaled-linear betas, timestep_spacing="linspace" and 10
# steps: its float32 sigmas differ by 1.3e-5 of themselves at most, its t (by the same interpolation in log
# sigma) by 1.7e-3.
DIFFUSERS = {
    "karras": (
        [
            14.614646911621094,
            9.102937698364258,
            5.478401184082031,
            3.1686110496520996,
            1.7494231462478638,
            0.9140765070915222,
            0.44692090153694153,
            0.20139986276626587,
            0.08191105723381042,
            0.02916753478348255,
        ],
        [
            999.0,
            916.2840576171875,
            815.0449829101562,
            687.1532592773438,
            523.198974609375,
            327.1472473144531,
            145.93905639648438,
            40.856876373291016,
            6.732410907745361,
            0.0,
        ],
    ),
    "exponential": (
        [
            14.614646911621094,
            7.324882984161377,
            3.6712424755096436,
            1.8400323390960693,
            0.9222270250320435,
            0.46222156286239624,
            0.23166616261005402,
            0.11611142754554749,
            0.05819522589445114,
            0.02916753478348255,
        ],
        [
            999.0,
            874.7420043945312,
            723.701904296875,
            538.06689453125,
            329.7677001953125,
            152.72100830078125,
            52.38246154785156,
            14.15245246887207,
            2.9506661891937256,
            0.0,
        ],
    ),
}


@pytest.mark.parametrize("name", DIFFUSERS)
def test_sigmas_are_those_of_diffusers(name):
    levels = path(ScaledLinear(), 10, name)[:-1]
    sigmas, t = DIFFUSERS[name]
    np.testing.assert_allclose([one.sigma / one.alpha for one in levels], sigmas, rtol=2e-5)
    np.testing.assert_allclose([one.t for one in levels], t, rtol=0, atol=2e-3)


def test_karras_on_variance_exploding_is_edm():
    """Equation 5 of Karras et al. 2022, by plain powers; also equal to diffusers' EDMEulerScheduler within
    its float32.
    """
    n, rho, low, high = 18, 7, 0.002, 80
    wanted = [
        (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho for i in range(n)
    ]
    found = path(VarianceExploding(), n, "karras")[:-1]
    np.testing.assert_allclose([one.sigma for one in found], wanted, rtol=1e-12)
    np.testing.assert_allclose([one.t for one in found], np.log(wanted) / 4, rtol=0, atol=1e-12)


def test_rho_1_is_even_in_sigma():
    sigma = [one.sigma / one.alpha for one in path(Linear(), 20, Karras(rho=1.0))[:-1]]
    np.testing.assert_allclose(np.diff(sigma), (sigma[-1] - sigma[0]) / 19, rtol=1e-8)


def test_exponential_at_power_1_is_even_in_log_snr():
    found = path(Cosine(), 30, "log-snr")
    np.testing.assert_allclose(
        [one.t for one in path(Cosine(), 30, Exponential())], [one.t for one in found], atol=1e-9
    )
    gaps = np.diff([one.log_snr for one in found[:-1]])
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-9)
    powered = np.array([one.log_snr for one in path(Cosine(), 30, Exponential(power=2.0))[:-1]])
    share = (powered[-1] - powered) / (powered[-1] - powered[0])
    np.testing.assert_allclose(share, np.linspace(1, 0, 30) ** 2, atol=1e-9)


@pytest.mark.parametrize("spacing", ["karras", "exponential", "log-snr"])
@pytest.mark.parametrize("schedule", [JensenShannon(), Linear(zero_snr=True), FlowMatching()], ids=brief)
def test_from_pure_noise_the_rule_runs_as_if_from_log_snr_minus_10(schedule, spacing):
    first, second, *_, last, _ = path(schedule, 50, spacing)
    assert (
        first.log_snr == -np.inf
        and first.t == schedule.t_max
        and last.t == pytest.approx(schedule.t_min, abs=1e-9)
    )
    like = VarianceExploding(sigma_min=last.sigma / last.alpha, sigma_max=np.exp(5.0))
    assert second.log_snr == pytest.approx(path(like, 50, spacing)[1].log_snr, rel=1e-9)


@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid", "quadratic"])
def test_follow_visits_the_other_schedules_levels(name):
    """A linear network along another curve: the log-SNRs are the other's at evenly spaced t of its own."""
    own, other = Linear(), SCHEDULES[name]()
    found = path(own, 40, Follow(follow=name))
    t = np.array([other.timestep(one.log_snr) for one in found[:-1]])
    np.testing.assert_allclose(np.diff(t), (t[-1] - t[0]) / 39, rtol=1e-6)
    assert found[0].t == 999 and (
        t[-1] == pytest.approx(0, abs=1e-9) or found[-2].t == pytest.approx(0, abs=1e-9)
    )


def test_following_itself_is_linspace_unrounded():
    found = [one.t for one in path(Cosine(), 8, Follow(follow="cosine"))[:-1]]
    np.testing.assert_allclose(found, np.linspace(999, 0, 8), atol=1e-9)


def test_nothing_in_common_to_follow():
    with pytest.raises(
        OptionError, match="schedule and laplace have no noise level in common. Follow another one"
    ):
        path(Table(values=(1e-6, 1e-6)), 2, Follow(follow="laplace"))


def test_in_continuous_time_nothing_is_rounded():
    flow = FlowMatching(scale=1.0)
    np.testing.assert_allclose(
        [one.t for one in path(flow, 4, "trailing")], [1, 0.75, 0.5, 0.25, -1], atol=1e-15
    )
    np.testing.assert_allclose(
        [one.t for one in path(flow, 3, "leading")], [0.667, 0.334, 0.001, -1], atol=1e-12
    )
    np.testing.assert_allclose(
        [one.t for one in path(flow, 4, "linspace")], [1, 0.667, 0.334, 0.001, -1], atol=1e-12
    )
    assert path(flow, 3000, "trailing")[-2].t == flow.t_min


def test_quadratic_is_the_square_of_an_even_ramp():
    t = [one.t for one in path(Linear(), 5, Quadratic(reach=0.8))[:-1]]
    np.testing.assert_allclose(t, 0.8 * 999 * np.array([1, 9 / 16, 1 / 4, 1 / 16, 0]), atol=1e-9)


# --- paths that somebody wrote down


def test_a_list_of_timesteps_is_visited_as_it_is():
    found = path(Linear(), 4, Timesteps(timesteps=" 999, 500.5,20 ,0"))
    assert [one.t for one in found] == [999, 500.5, 20, 0, -1]


def test_sections_are_those_of_openai():
    """As guided-diffusion's space_timesteps (commit 22e0df8) answers, with which 517 strings on T from 1
    to 4000 agree; the strings were drawn at random. Only ddim1 differs: it is the single step 0 here and
    an error there.
    """
    assert [one.t for one in path(Linear(timesteps=300), 45, Sections(sections="10,15,20"))[:-1]] == [
        299,
        294,
        289,
        283,
        278,
        273,
        268,
        263,
        257,
        252,
        247,
        242,
        236,
        231,
        226,
        221,
        216,
        210,
        205,
        200,
        199,
        192,
        185,
        178,
        171,
        164,
        157,
        149,
        142,
        135,
        128,
        121,
        114,
        107,
        100,
        99,
        88,
        77,
        66,
        55,
        44,
        33,
        22,
        11,
        0,
    ]
    assert [one.t for one in path(Linear(), 50, Sections(sections="ddim50"))[:-1]] == list(
        range(980, -1, -20)
    )
    assert [one.t for one in path(Linear(), 30, Sections(sections="ddim30"))[:-1]] == list(
        range(986, -1, -34)
    )
    assert [one.t for one in path(Linear(timesteps=10), 5, Sections(sections="3,2"))[:-1]] == [9, 5, 4, 2, 0]


def test_a_half_is_rounded_to_even():
    """diffusers 0.42.1, DDIMScheduler.set_timesteps: the linspace has 832.5 and 166.5, trailing 937.5,
    812.5, 687.5, ...
    """
    assert [one.t for one in path(Linear(), 16, "trailing")[:-1]] == [
        999,
        937,
        874,
        811,
        749,
        687,
        624,
        561,
        499,
        437,
        374,
        311,
        249,
        187,
        124,
        61,
    ]
    assert [one.t for one in path(Linear(), 7, "linspace")[:-1]] == [999, 832, 666, 500, 333, 166, 0]


def test_a_half_is_rounded_as_openai_rounds_it():
    """Repeated addition of 99/41 in float64 comes to 36.5 less a little; multiplication would not."""
    found = [one.t for one in path(Linear(timesteps=100), 59, Sections(sections="59"))[:-1]]
    assert found[:5] == [99, 97, 96, 94, 92] and found != sorted(
        {round(k * 99 / 58) for k in range(59)}, reverse=True
    )


@pytest.mark.parametrize(
    "steps, spacing, schedule, message",
    [
        (
            3,
            Timesteps(),
            Linear(),
            "The spacing timesteps always makes 4 steps, and 3 were asked for. Ask for 4",
        ),
        (50, Sections(), Linear(), "The spacing sections always makes 45 steps, and 50 were asked for"),
        (4, Timesteps(), Linear(timesteps=100), "t must be from 0 to 99 on this schedule, got 999"),
        (1, Timesteps(timesteps="-1"), Linear(), r"t must be from 0 to 999 on this schedule, got -1\.0"),
        (
            400,
            Sections(sections="ddim400"),
            Linear(),
            "No whole stride makes exactly 400 of 1000 timesteps; ddim400 would "
            "make 334. Choose ddim334, or the spacing leading with 400 steps",
        ),
        (
            60,
            Sections(sections="55,5"),
            Linear(timesteps=100),
            "Section 1 of '55,5' has 50 of the 100 timesteps, too few",
        ),
        (
            1001,
            "linspace",
            Linear(),
            "steps must be a whole number from 1 to 1000, the timesteps .* got 1001",
        ),
        (
            MOST_STEPS + 1,
            "karras",
            Linear(),
            f"steps must be a whole number from 1 to {MOST_STEPS}; got {MOST_STEPS + 1}",
        ),
        (
            MOST_STEPS + 1,
            "trailing",
            FlowMatching(),
            f"steps must be a whole number from 1 to {MOST_STEPS}; got",
        ),
        (2, "karras", Linear(timesteps=1), "steps must be a whole number from 1 to 1, the timesteps"),
        (
            10_000,
            Exponential(power=10.0),
            Linear(),
            "10000 steps are too many for this spacing on this schedule",
        ),
    ],
)
def test_what_a_spacing_cannot_make(steps, spacing, schedule, message):
    with pytest.raises(OptionError, match=message):
        path(schedule, steps, spacing)


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"name": "timesteps", "timesteps": ""},
            "timesteps must be falling numbers with commas between .* got ''",
        ),
        *(
            ({"name": "timesteps", "timesteps": text}, "falling numbers")
            for text in ("0,500", "5,5", "9,x", "inf,1", "nan")
        ),
        ({"name": "timesteps", "timesteps": 5}, "must be a text"),
        (
            {"name": "timesteps", "timesteps": ",".join(map(str, range(10_001, 0, -1)))},
            "at most 10000 labels, got 10001",
        ),
        (
            {"name": "sections", "sections": "10,,20"},
            "sections must be whole numbers with commas .* got '10,,20'",
        ),
        *(
            ({"name": "sections", "sections": text}, "sections must be whole numbers")
            for text in ("ddim", "ddim0", "-5", "0,0", "9" * 5000, "", "1.5")
        ),
        ({"name": "karras", "rho": 0.5}, "spacing.rho must be a finite number from 1 to 20, got 0.5"),
        (
            {"name": "follow", "follow": "table"},
            "There is no spacing.follow 'table'. Choose one of: linear, cosine",
        ),
        ({"name": "trailing", "rho": 7}, "There is no option of the spacing 'trailing' 'rho'"),
    ],
)
def test_options_that_cannot_be(given, message):
    with pytest.raises(OptionError, match=message):
        options.from_json(SPACINGS, "spacing", given)
