"""Every wrapper against its paper's formula or a closed form, in float64; all keep alpha x0 + sigma eps ==
x.
"""

from __future__ import annotations

import math

import pytest
import torch
from guidance_cases import F64, LEVELS, SCHEDULE, VARIED, X, conditional, loud, slope, unconditional

from diffusion_studio.diffusion import guidance as g
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_x0
from diffusion_studio.diffusion.samplers import SAMPLERS, Euler, Heun
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Cosine, Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError

WRAPPERS = {
    "classifier_free": lambda: g.classifier_free(conditional, unconditional, 3.0),
    "varying": lambda: g.classifier_free(conditional, unconditional, g.shaped(3.0, LEVELS, "cosine")),
    "interval": lambda: g.classifier_free(conditional, unconditional, g.within_interval(3.0, 0.1, 2.0)),
    "rescaled": lambda: g.rescaled(conditional, unconditional, 3.0),
    "adaptive_projected": lambda: g.adaptive_projected(conditional, unconditional, 3.0, radius=2.0),
    "classifier_score": lambda: g.classifier_guided(conditional, slope, 2.0),
    "classifier_mean": lambda: g.classifier_guided(conditional, slope, 2.0, g.AncestralSteps(LEVELS)),
    "clamped": lambda: g.clamped(conditional),
    "in_palette": lambda: g.in_palette(conditional, torch.tensor([[-1.0, 0.5], [0.2, 0.0], [1, 1]])),
    "thresholded": lambda: g.dynamically_thresholded(conditional),
    "switched": lambda: g.switched(conditional, unconditional, LEVELS, 5),
    "composed": lambda: g.dynamically_thresholded(
        g.classifier_guided(g.rescaled(conditional, unconditional, 4.0), slope, 1.0)
    ),
}


def off(p: Prediction, x: torch.Tensor, level: NoiseLevel) -> float:
    return (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max().item()


@pytest.mark.parametrize("level", VARIED, ids=str)
@pytest.mark.parametrize("name", WRAPPERS)
def test_the_invariant(name, level):
    p = WRAPPERS[name]()(X, level)
    assert off(p, X, level) < 1e-12 * max(1, p.x0.abs().max().item())


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", WRAPPERS)
def test_every_sampler_runs_under_every_wrapper(name, sampler):
    """n = 1, 2, 7, T."""
    variance = torch.full((1,), 0.5, dtype=F64)
    inner = WRAPPERS[name]()

    def denoise(x, level):
        p = inner(x, level)
        return Prediction(p.x0, p.eps, variance.expand_as(x))

    noise = Noise((0, 1, 2), (2, 4, 4), dtype=F64)
    for steps in (1, 2, 7, 12):
        levels = path(Linear(timesteps=12, beta_end=0.5), steps)
        states = list(sample(SAMPLERS[sampler](), g.clamped(denoise), noise(0), levels, noise))
        assert len(states) == steps + 1 and states[-1].x.isfinite().all(), steps


@pytest.mark.parametrize("kind", [g.classifier_free, g.rescaled, g.adaptive_projected])
def test_scale_1_and_0_are_the_denoisers_themselves(kind):
    assert (
        kind(conditional, unconditional, 1) is conditional
        and kind(conditional, unconditional, 0.0) is unconditional
    )
    for scale, one in ((1.0, conditional), (0.0, unconditional)):
        p = kind(conditional, unconditional, lambda level: scale)(X, VARIED[0])
        assert torch.equal(p.x0, one(X, VARIED[0]).x0) and torch.equal(p.eps, one(X, VARIED[0]).eps)


def test_a_scale_of_1_saves_the_network_call():
    asked = []
    mixed = g.classifier_free(
        conditional,
        lambda x, level: asked.append(level) or unconditional(x, level),
        g.within_interval(3.0, 0.5, 2.0),
    )
    for level in LEVELS[:-1]:
        mixed(X, level)
    assert (
        asked == [level for level in LEVELS[:-1] if 0.5 <= level.sigma / level.alpha <= 2.0]
        and 0 < len(asked) < 9
    )


@pytest.mark.parametrize("level", VARIED, ids=str)
def test_rescaled_has_the_conditional_contrast(level):
    """Lin et al. 2023, eq. 14 to 16; at amount 0 it is plain guidance."""
    c, plain = conditional(X, level), g.classifier_free(conditional, unconditional, 5.0)(X, level)
    whole = g.rescaled(conditional, unconditional, 5.0, 1.0)(X, level)
    dims = (1, 2, 3)
    assert torch.allclose(whole.x0.std(dims), c.x0.std(dims), rtol=1e-12)
    none = g.rescaled(conditional, unconditional, 5.0, 0.0)(X, level)
    assert torch.allclose(none.x0, plain.x0, rtol=0, atol=1e-11)
    half = g.rescaled(conditional, unconditional, 5.0, 0.5)(X, level)
    assert torch.allclose(half.x0, (whole.x0 + plain.x0) / 2, rtol=0, atol=1e-11)


@pytest.mark.parametrize("level", VARIED, ids=str)
def test_adaptive_projected(level):
    """Sadat et al. 2024, algorithm 1 without momentum."""
    c, u = conditional(X, level), unconditional(X, level)
    plain = g.classifier_free(conditional, unconditional, 4.0)(X, level)
    same = g.adaptive_projected(conditional, unconditional, 4.0, parallel=1.0)(X, level)
    assert torch.allclose(same.x0, plain.x0, rtol=0, atol=1e-11)
    across = g.adaptive_projected(conditional, unconditional, 4.0)(X, level).x0 - c.x0
    assert ((across * c.x0).sum((1, 2, 3)).abs() < 1e-10 * c.x0.square().sum((1, 2, 3))).all()
    short = (
        g.adaptive_projected(conditional, unconditional, 4.0, parallel=1.0, radius=0.01)(X, level).x0 - c.x0
    )
    assert torch.allclose(torch.linalg.vector_norm(short, dim=(1, 2, 3)), torch.full((3,), 0.03, dtype=F64))
    long = g.adaptive_projected(conditional, unconditional, 4.0, parallel=1.0, radius=1e9)(X, level)
    assert torch.allclose(long.x0, plain.x0, rtol=0, atol=1e-11)
    assert (c.x0 - u.x0).norm() > 0.01


# --- limits


@pytest.mark.parametrize("level", VARIED, ids=str)
def test_dynamic_thresholding(level):
    """Saharia et al. 2022, section 2.3, with torch.quantile as the reference."""
    bare, p = conditional(X, level).x0, g.dynamically_thresholded(conditional, 0.9)(X, level).x0
    s = torch.quantile(bare.abs().flatten(1), 0.9, dim=1).clamp_min(1)[:, None, None, None]
    assert torch.allclose(p, bare.clamp(-s, s) / s, rtol=1e-12, atol=1e-14)
    assert p.abs().max() <= 1


def test_dynamic_thresholding_leaves_small_pictures_alone():
    small = lambda x, level: from_x0(x / 10, x, level.alpha, level.sigma)
    assert torch.equal(g.dynamically_thresholded(small)(X, VARIED[0]).x0, X / 10)


# --- timing


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_progress_counts_the_steps(steps):
    levels = path(SCHEDULE, steps)
    progress = g.Progress(levels)
    assert [progress.step(level) for level in levels[:-1]] == list(range(steps))
    assert progress.step(levels[-1]) == steps - 1
    assert progress(levels[0]) == 0 and progress(levels[-2]) == (1 if steps > 1 else 0)


def test_progress_of_a_call_between_two_steps_lies_between_them():
    progress = g.Progress(LEVELS)
    middle = SCHEDULE.level((LEVELS[3].t + LEVELS[4].t) / 2)
    assert 3 < progress.step(middle) < 4
    assert g.Progress([NoiseLevel(9, 0.0, 1.0), *LEVELS[5:]]).step(NoiseLevel(9, 0.0, 1.0)) == 0


@pytest.mark.parametrize(
    "shape, first, last",
    [
        ("constant", 5, 5),
        ("linear", 5, 1),
        ("cosine", 5, 1),
        ("rising", 1, 5),
        ([2, 8, 3], 2, 3),
        ([4], 4, 4),
    ],
)
def test_shapes(shape, first, last):
    scale = g.shaped(5.0, LEVELS, shape)
    assert scale(LEVELS[0]) == pytest.approx(first) and scale(LEVELS[-2]) == pytest.approx(last)
    if shape == [2, 8, 3]:
        nine = g.shaped(5.0, path(SCHEDULE, 9), shape)
        assert [nine(level) for level in path(SCHEDULE, 9)[:-1]] == pytest.approx(
            [2, 3.5, 5, 6.5, 8, 6.75, 5.5, 4.25, 3]
        )


def test_a_change_at_a_step():
    mixed = g.switched(conditional, unconditional, LEVELS, 4)
    for k, level in enumerate(LEVELS[:-1]):
        assert torch.equal(mixed(X, level).eps, (conditional if k < 4 else unconditional)(X, level).eps)


@pytest.mark.parametrize("sampler", [Euler(churn=4.0), Heun(churn=4.0)], ids=str)
def test_a_change_under_churn_counts_by_the_runs_own_steps(sampler):
    """The network is asked at the churned level, which is noisier than the step's; Heun's second call
    belongs to the next.
    """
    asked = []

    def noting(name, denoise):
        return lambda x, level: asked.append(name) or denoise(x, level)

    mixed = g.switched(noting("before", conditional), noting("after", unconditional), LEVELS, 4)
    noise = Noise((0,), (2, 4, 4), dtype=F64)
    steps = list(sample(sampler, mixed, noise(0), Levels(LEVELS, SCHEDULE), noise))
    own = [asked[0], *(asked[step.calls] for step in steps[:-2])]
    assert own == ["before"] * 4 + ["after"] * 6 and asked == sorted(asked, reverse=True)


@pytest.mark.parametrize(
    "limit", [lambda **k: g.clamped(loud, **k), lambda **k: g.dynamically_thresholded(loud, 0.9, **k)]
)
def test_a_limit_can_leave_eps_as_it_was(limit):
    level = SCHEDULE.level(700)
    kept, moved = limit(keep_eps=True)(X, level), limit()(X, level)
    assert torch.equal(kept.eps, loud(X, level).eps) and not torch.allclose(moved.eps, kept.eps)
    assert torch.equal(kept.x0, moved.x0)


def test_a_network_of_another_schedule_is_asked_at_the_same_noise():
    asked = []
    other = g.at_schedule(lambda x, level: asked.append(level) or conditional(x, level), Cosine())
    other(X, SCHEDULE.level(500))
    assert asked[0].t != 500 and asked[0].alpha == SCHEDULE.level(500).alpha
    assert math.isclose(Cosine().level(asked[0].t).log_snr, SCHEDULE.level(500).log_snr, abs_tol=1e-9)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: g.shaped(2, LEVELS, "square"),
            "There is no guidance shape 'square'. Choose one of: constant",
        ),
        (lambda: g.shaped(2, LEVELS, []), "at least one finite number"),
        (lambda: g.shaped(2, LEVELS, [1, math.nan]), "at least one finite number"),
        (lambda: g.within_interval(2, 3, 1), "from a low to a high sigma / alpha.*got 3 to 1"),
        (
            lambda: g.switched(conditional, unconditional, LEVELS, 11),
            "must be a step of the run, from 0 to 10, got 11",
        ),
        (lambda: g.AncestralSteps(LEVELS[:1]), "needs the levels of the run"),
        (lambda: g.Progress(LEVELS[:1]), "at least two levels"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(OptionError, match=message):
        make()
