"""Guidance: Denoiser -> Denoiser, keeping alpha x0 + sigma eps == x."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.diffusion.denoiser import Batchable, ask_all
from diffusion_studio.diffusion.guidance import clamped, classifier_free
from diffusion_studio.diffusion.prediction import Prediction, from_eps
from diffusion_studio.diffusion.schedule import Linear, NoiseLevel

F64 = torch.float64
LEVELS = [NoiseLevel(3.0, 0.6, 0.8), NoiseLevel(1.0, 1.0, 5.0), NoiseLevel(0.5, 0.5, 0.5)]
X = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)


def conditional(x, level):
    return from_eps(0.7 * torch.sin(3 * x) - 0.1, x, level.alpha, level.sigma)


def unconditional(x, level):
    return from_eps(0.3 * x, x, level.alpha, level.sigma)


def off(p: Prediction, x: torch.Tensor, level: NoiseLevel) -> float:
    return (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max().item()


def test_scale_1_is_the_conditional_denoiser_itself_and_0_the_other():
    assert classifier_free(conditional, unconditional, 1) is conditional
    assert classifier_free(conditional, unconditional, 1.0) is conditional
    assert classifier_free(conditional, unconditional, 0) is unconditional


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("scale", [-2.0, 0.3, 0.5, 2.0, 7.5, 50.0])
def test_classifier_free_is_the_papers_formula(scale, level):
    """Ho & Salimans 2022, eq. 6: (1 + w) eps(x, c) - w eps(x), scale = 1 + w."""
    w = scale - 1
    p = classifier_free(conditional, unconditional, scale)(X, level)
    wanted = (1 + w) * conditional(X, level).eps - w * unconditional(X, level).eps
    assert (p.eps - wanted).abs().max() < 1e-13 * max(1, abs(scale))
    assert off(p, X, level) < 1e-13 * max(1, abs(scale)) * 10


def test_guidance_keeps_the_conditional_variance():
    v = torch.full_like(X, 0.25)
    guided = classifier_free(lambda x, level: Prediction(x, x, v), unconditional, 2.0)
    assert guided(X, LEVELS[0]).variance is v


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (-0.2, 0.4)])
def test_clamped_stays_in_range_and_keeps_the_invariant(level, low, high):
    bare, p = conditional(X, level), clamped(conditional, low, high)(X, level)
    assert bare.x0.min() < low and bare.x0.max() > high  # there was something to clamp
    assert p.x0.min() == low and p.x0.max() == high
    inside = (bare.x0 > low) & (bare.x0 < high)
    assert torch.equal(p.x0[inside], bare.x0[inside])
    assert (p.eps[inside] - bare.eps[inside]).abs().max() < 1e-12
    assert off(p, X, level) < 1e-13


def test_clamped_passes_the_variance_on():
    v = torch.full_like(X, 0.25)
    assert clamped(lambda x, level: Prediction(2 * x, x, v))(X, LEVELS[0]).variance is v


def test_wrappers_compose():
    """Clamped around guided: what a run does."""
    p = clamped(classifier_free(conditional, unconditional, 3.0))(X, LEVELS[0])
    wanted = classifier_free(conditional, unconditional, 3.0)(X, LEVELS[0]).x0.clamp(-1, 1)
    assert torch.equal(p.x0, wanted) and off(p, X, LEVELS[0]) < 1e-13


def test_ask_all_asks_each_of_those_that_share_nothing():
    found = ask_all((conditional, unconditional), X, LEVELS[0])
    assert torch.equal(found[0].eps, conditional(X, LEVELS[0]).eps)
    assert torch.equal(found[1].eps, unconditional(X, LEVELS[0]).eps)
    assert not isinstance(conditional, Batchable)


def calls(model) -> list[int]:
    """The batch sizes with which a model's network is called from now on."""
    seen: list[int] = []
    model.network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    return seen


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("labels", ["Cat", ["Cat", None, "Dog"]], ids=str)
def test_one_network_call_for_both_equals_two(tiny_model, labels, learned):
    model = tiny_model(network={"out_channels": 2} if learned else {}, learned_variance=learned)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
    level = Linear(timesteps=100).level(60)
    one, other = model.denoiser(labels), model.denoiser()
    separate = one(x, level), other(x, level)
    seen = calls(model)
    together = ask_all((one, other), x, level)
    assert seen == [6]
    for a, b in zip(together, separate, strict=True):
        assert (a.x0 - b.x0).abs().max() < 1e-12 and (a.eps - b.eps).abs().max() < 1e-12
        assert (a.variance is None) == (b.variance is None) == (not learned)
        if learned:
            assert a.variance.shape == x.shape and (a.variance - b.variance).abs().max() < 1e-12
    assert (separate[0].eps - separate[1].eps).abs().max() > 1e-3  # the label matters, so a mix-up would show


def test_different_models_are_not_asked_together(tiny_model):
    first, second = tiny_model(), tiny_model(network={"blocks": 2})
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
    level = Linear(timesteps=100).level(60)
    seen = calls(first), calls(second)
    found = ask_all((first.denoiser("Cat"), second.denoiser()), x, level)
    assert seen == ([2], [2])
    assert torch.equal(found[1].eps, second.denoiser()(x, level).eps)


def test_a_wrapped_denoiser_is_asked_by_itself(tiny_model):
    model = tiny_model()
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
    level = Linear(timesteps=100).level(60)
    wrapped = clamped(model.denoiser())
    found = ask_all((model.denoiser("Cat"), wrapped), x, level)
    assert torch.equal(found[1].x0, wrapped(x, level).x0)
