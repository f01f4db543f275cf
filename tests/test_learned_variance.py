"""What the script that measures learned variances says of one that is known."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.errors import OptionError


def test_a_variance_that_is_as_large_as_it_should_be(script):
    """Of x0 ~ N(0, s^2) with the exact denoiser, whose error is known, and a network that says just that
    variance.
    """
    s2, levels = 0.25, ds.path(ds.SCHEDULES["cosine"](), 6)
    after = dict(pairwise(levels))

    def denoise(x, level):
        to, a, v = after[level], level.alpha, level.sigma**2
        large = v - (a / to.alpha * to.sigma) ** 2
        small = large * to.sigma**2 / v
        best = small + (to.alpha * large / v) ** 2 * s2 * v / (a**2 * s2 + v)
        share = math.log(best / small) / math.log(large / small)
        return from_x0(a * s2 / (a**2 * s2 + v) * x, x, a, level.sigma, torch.full_like(x, share))

    model = SimpleNamespace(denoiser=lambda labels: denoise)
    x0 = math.sqrt(s2) * torch.randn(
        40, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    found = list(script("learned_variance").rows(model, x0, None, levels))
    assert [level for level, *_ in found] == list(levels[:-2])  # the last step arrives at the clean picture
    for _, _, added, wanted, _ in found:
        assert added / wanted == pytest.approx(
            1, abs=0.02
        )  # 5 standard errors of a variance of 122,880 numbers


def test_a_variance_that_was_not_learnt_cannot_be_measured(script):
    model = SimpleNamespace(
        denoiser=lambda labels: lambda x, level: from_x0(x, x, level.alpha, level.sigma),
        spec=SimpleNamespace(name="mine"),
    )
    with pytest.raises(OptionError, match="mine has not learnt its variance"):
        list(
            script("learned_variance").rows(
                model, torch.zeros(1, 1, 4, 4), None, ds.path(ds.SCHEDULES["cosine"](), 3)
            )
        )
