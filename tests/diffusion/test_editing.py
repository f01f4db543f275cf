"""Editing: known pixels stay exact, states have the forward process's law, paths are the papers'."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_studio.diffusion import editing
from diffusion_studio.diffusion.guidance import clamped
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction, from_eps, from_x0
from diffusion_studio.diffusion.samplers import DDIM, DDPM, DPMPP2MSDE, SAMPLERS
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError

F64 = torch.float64
SCHEDULE = Linear()
PICTURE = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=F64) * 2 - 1
MASK = (torch.rand(1, 6, 5, generator=torch.Generator().manual_seed(2)) < 0.5).to(F64)
NOISE = Noise((3, 4, 5), (2, 6, 5), dtype=F64)


def network(x, level):
    """Any function will do."""
    return from_eps(0.8 * torch.tanh(x) + 0.1, x, level.alpha, level.sigma)


def network_with_variance(x, level):
    p = network(x, level)
    return Prediction(p.x0, p.eps, torch.full_like(x, 0.5))


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("plms", "pndm", "lms")])
def test_in_painting_leaves_known_pixels_exact(sampler, steps):
    levels = path(SCHEDULE, steps)
    denoise = editing.inpainted(clamped(network), PICTURE, MASK)
    *_, last = sample(SAMPLERS[sampler](), denoise, NOISE(0), levels, NOISE)
    known = MASK.expand(3, 2, 6, 5) == 1
    assert torch.equal(last.x[known], PICTURE.expand(3, 2, 6, 5)[known])
    assert (last.x[~known] - PICTURE.expand(3, 2, 6, 5)[~known]).abs().mean() > 0.05


def test_in_painting_keeps_the_invariant_and_mixes_under_a_soft_mask():
    level = SCHEDULE.level(400)
    x = NOISE(0)
    p = editing.inpainted(network, PICTURE, torch.full((1, 6, 5), 0.25, dtype=F64))(x, level)
    assert (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max() < 1e-12
    assert torch.allclose(p.x0, 0.75 * network(x, level).x0 + 0.25 * PICTURE)


@pytest.mark.parametrize(
    "picture, mask, what",
    [
        (torch.zeros(2, 6, 6), MASK, "The picture has the shape \\(2, 6, 6\\).*Resize it to 6 x 5"),
        (PICTURE, torch.zeros(1, 3, 5), "The mask has the shape \\(1, 3, 5\\)"),
        (PICTURE, torch.zeros(1, 1, 1), "The mask has the shape"),
        (torch.zeros(5, 2, 6, 5), MASK, "The picture has the shape"),
    ],
)
def test_pictures_and_masks_of_another_size(picture, mask, what):
    with pytest.raises(OptionError, match=what):
        editing.inpainted(network, picture, mask)(NOISE(0), SCHEDULE.level(10))


def test_climbing_is_the_forward_process():
    """Two climbs have the law of one, and a climb from a noised picture has the law of noising it there at
    once.
    """
    low, middle, high = (SCHEDULE.level(t) for t in (100, 400, 800))
    for now, to in ((low, middle), (middle, high), (low, high)):
        kept = to.alpha / now.alpha
        assert math.isclose(kept**2 * now.sigma**2 + (to.sigma**2 - kept**2 * now.sigma**2), to.sigma**2)
    big = torch.Generator().manual_seed(0)
    x0 = torch.full((200_000,), 0.3, dtype=F64)

    def draw():
        return torch.randn(200_000, generator=big, dtype=F64)

    x = editing.renoise(
        editing.renoise(editing.noised(x0, low, draw()), low, middle, draw()), middle, high, draw()
    )
    assert abs(x.mean().item() - high.alpha * 0.3) < 4 * high.sigma / math.sqrt(200_000)
    assert abs(x.std().item() - high.sigma) < 4 * high.sigma / math.sqrt(400_000)


def walked(steps: int, length: int, jumps: int) -> list[int]:
    """The places that the authors' program visits, by its rule: where t steps from the end it has jumps
    left, it goes back.
    """
    left = {t: jumps - 1 for t in range(0, steps - length, length)}
    t, found = steps - 1, [0]
    while t > 0:
        t -= 1
        found.append(steps - 1 - t)
        if left.get(t, 0) > 0:
            left[t] -= 1
            t += length
            found.append(steps - 1 - t)
    return [*found, steps]


@pytest.mark.parametrize(
    "steps, length, jumps",
    [
        (20, 5, 2),
        (10, 3, 1),
        (10, 3, 2),
        (10, 5, 4),
        (11, 5, 2),
        (7, 10, 3),
        (7, 7, 3),
        (8, 7, 3),
        (1, 1, 5),
        (2, 1, 3),
        (4, 1, 2),
    ],
)
def test_resampled_levels(steps, length, jumps):
    """The stretches of RePaint's own program; without jumps the run's levels."""
    levels = path(SCHEDULE, steps)
    visited = editing.resampled(levels, length, jumps)
    assert [levels.index(level) for level in visited] == walked(steps, length, jumps)
    assert visited.steps == steps and (jumps > 1 or visited == levels)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resampled_run_shows_every_level_and_ends_clean(sampler):
    levels = editing.resampled(path(SCHEDULE, 6), 2, 3)
    steps = list(sample(SAMPLERS[sampler](), clamped(network_with_variance), NOISE(0), levels, NOISE))
    assert [step.index for step in steps] == list(range(len(levels)))
    assert [step.level for step in steps] == list(levels) and steps[-1].x.isfinite().all()
    calls = [step.calls for step in steps]
    assert calls == sorted(calls)


@pytest.mark.slow
@pytest.mark.parametrize("sampler, length, jumps", [(DDPM("large"), 50, 3), (DPMPP2MSDE(), 10, 5)], ids=str)
def test_a_resampled_run_of_the_exact_denoiser_keeps_the_law(sampler, length, jumps):
    """Down with the Gaussian's own reverse process, so climbing and falling again from it leaves every
    level's law as it was: the finished spread is the data's. A noise that came again on a second way down
    would add to what the state has of it.
    """
    spread, shape = 0.5, (1, 160, 160)
    many = Noise((0, 1), shape, dtype=F64)

    def exact(x, level):
        return from_x0(
            level.alpha * spread**2 / (level.alpha**2 * spread**2 + level.sigma**2) * x,
            x,
            level.alpha,
            level.sigma,
        )

    levels = editing.resampled(path(SCHEDULE, 200), length, jumps)
    *_, last = sample(sampler, exact, many(0), levels, many)
    assert abs(last.x.std().item() - spread) < 0.02


def test_rising_levels_end_where_runs_begin():
    levels = path(SCHEDULE, 10)
    up = editing.rising(levels)
    assert up == tuple(reversed(levels[:-1])) and all(a.sigma < b.sigma for a, b in zip(up, up[1:]))


def test_inverting_and_sampling_returns_the_picture_at_first_order():
    """DDIM's Euler steps there and back: the error falls as 1/n on a Gaussian's exact denoiser."""
    spread = 0.5

    def exact(x, level):
        return from_x0(
            level.alpha * spread**2 / (level.alpha**2 * spread**2 + level.sigma**2) * x,
            x,
            level.alpha,
            level.sigma,
        )

    def error(steps):
        half = [math.exp(z / 2) for z in torch.linspace(-8, 6, steps + 1, dtype=F64).tolist()]
        levels = [NoiseLevel(k, h / math.hypot(1, h), 1 / math.hypot(1, h)) for k, h in enumerate(half)]
        up = editing.rising(levels)
        x = PICTURE.expand(1, 2, 6, 5)
        *_, top = sample(DDIM(), exact, x, up, NOISE)
        *_, back = sample(DDIM(), exact, top.x, levels, NOISE)
        return (back.x - x).abs().max().item()

    errors = [error(n) for n in (50, 100, 200, 400)]
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert all(abs(order - 1) < 0.15 for order in orders), (errors, orders)


def test_slerp():
    a, b = NOISE(0), NOISE(1)
    assert torch.allclose(editing.slerp(a, b, 0.0), a) and torch.allclose(editing.slerp(a, b, 1.0), b)
    big = Noise((0, 1), (1, 100, 100), dtype=F64)
    for share in (0.25, 0.5, 0.75):
        assert (editing.slerp(big(0), big(1), share).std(dim=(1, 2, 3)) - 1).abs().max() < 0.03
        assert torch.lerp(big(0), big(1), share).std() < 0.85  # as the straight line would shrink it
    unit = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(
        editing.slerp(*unit, 1 / 3), torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])
    )
    assert torch.equal(editing.slerp(a, a, 0.3), torch.lerp(a, a, 0.3))


@pytest.mark.parametrize("length, jumps", [(0, 2), (3, 0)])
def test_jumps_that_cannot_be(length, jumps):
    with pytest.raises(OptionError, match=f"got {length} and {jumps}"):
        editing.resampled(path(SCHEDULE, 5), length, jumps)
