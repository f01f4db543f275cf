"""Our dropout is dropout: its rate, its mean, its gradient, its draws; and torch's own where it is not
faster.
"""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.networks.dropout import RATE_STEPS, Dropout


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_that_share_and_scales_the_rest(p, layout):
    x = torch.ones(8, 32, 64, 64, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    torch.manual_seed(0)
    made = Dropout(p)(x)
    rate = round(p * RATE_STEPS) / RATE_STEPS
    assert made.is_contiguous(memory_format=layout)
    assert set(made.unique().tolist()) == {0.0, 1 / (1 - rate)}
    deviation = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs((made == 0).double().mean().item() - rate) < 5 * deviation
    made.sum().backward()
    assert torch.equal(x.grad, made.detach())


def test_neighbours_are_independent():
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(1, 64, 128, 128)) > 0).double().flatten() - 0.5
    for apart in (1, 2, 3, 4, 8):
        assert abs((kept[:-apart] * kept[apart:]).mean().item()) < 5 * 0.25 / len(kept) ** 0.5


def test_the_draws_are_torchs():
    x = torch.randn(2, 4, 6, 6)
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(Dropout(0.3)(x))
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


@pytest.mark.parametrize("shape, p", [((3, 5, 7), 0.3), ((4, 4), 0.0), ((4, 4), 1.0), ((4, 4), 1e-7)])
def test_what_does_not_pack_is_torchs_own(shape, p):
    x = torch.randn(shape)
    torch.manual_seed(5)
    made = Dropout(p)(x)
    torch.manual_seed(5)
    assert torch.equal(made, torch.nn.Dropout(p)(x))


def test_sampling_drops_nothing():
    x = torch.randn(4, 4)
    assert Dropout(0.9).eval()(x) is x
