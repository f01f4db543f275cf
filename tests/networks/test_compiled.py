"""What `--compile` compiles: the whole network at once, or little of it is worth the minutes."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"conditioning": "scale_shift", "resample": "residual"}], ids=["ddpm", "adm"]
)
def test_a_step_in_bf16_with_dropout_is_one_graph(changes):
    """The ways that are quick without a compiler (dropout's draws, a group norm's way back) would break it
    into pieces.
    """
    net = UNet(
        UNetConfig(
            channels=16, multipliers=(1.0, 2.0), attention_levels=(1,), heads=2, dropout=0.1, **changes
        )
    ).train()
    net = net.to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)

    def forward(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x, t)

    found = torch._dynamo.explain(forward)(x, torch.tensor([3.0, 700.0]))
    assert found.graph_break_count == 0, [reason.reason[:200] for reason in found.break_reasons]
    assert found.graph_count == 1
