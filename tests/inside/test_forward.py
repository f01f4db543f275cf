"""The forward process of points, and the field that a network makes of the plane."""

from __future__ import annotations

import numpy as np

from diffusion_studio.data.point_sets import POINT_SETS
from diffusion_studio.diffusion.schedule import Cosine, Linear
from diffusion_studio.inside.forward import forward


def test_every_state_is_drawn_from_the_levels_marginal():
    """Given the data, x_t is N(alpha x0, sigma^2): its residual has no mean, its spread, and no memory of
    x0.
    """
    data = POINT_SETS["swiss-roll"](20_000, 0)
    frames = list(forward(data, Linear(), 10, seed=3))
    assert (
        [one.index for one in frames] == list(range(11))
        and frames[0].level.sigma == 0
        and frames[0].of_points
    )
    np.testing.assert_allclose(frames[0].x[0].astype(float), data, atol=2e-3)
    for frame in frames[1:]:
        rest = (frame.x[0].astype(float) - frame.level.alpha * data) / frame.level.sigma
        error = 1 / np.sqrt(len(data))
        assert (
            np.abs(rest.mean(axis=0)).max() < 4.5 * error
            and np.abs(rest.var(axis=0) - 1).max() < 4.5 * np.sqrt(2) * error
        )
        assert np.abs((rest * data).mean(axis=0)).max() < 5 * error


def test_neighbouring_states_share_their_noise_as_a_chain_does():
    """corr of the residuals at s < t is (alpha_t / alpha_s) sigma_s / sigma_t: the steps are q(x_t | x_s),
    not fresh draws.
    """
    data = POINT_SETS["moons"](20_000, 0)
    frames = list(forward(data, Cosine(), 8))
    rests = [(one.x[0].astype(float) - one.level.alpha * data) / one.level.sigma for one in frames[1:]]
    for (a, b), (one, two) in zip(zip(frames[1:], frames[2:]), zip(rests, rests[1:])):
        expected = b.level.alpha / a.level.alpha * a.level.sigma / b.level.sigma
        assert abs((one * two).mean() - expected) < 5 / np.sqrt(2 * len(data))
