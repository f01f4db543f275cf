"""Muon's step against the singular value decomposition that it stands for; what stays AdamW's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet
from diffusion_studio.training.optimizer import Optimizer

CONFIG = UNetConfig(channels=16, multipliers=(1.0, 2.0), attention_levels=(1,), heads=2, classes=3)
LR = 1e-3


def network(layout: torch.memory_format = torch.contiguous_format) -> UNet:
    torch.manual_seed(0)
    made = UNet(CONFIG).to(memory_format=layout)
    generator = torch.Generator().manual_seed(1)
    for p in made.parameters():
        p.grad = torch.randn(p.shape, generator=generator).contiguous(
            memory_format=layout if p.ndim == 4 else torch.contiguous_format
        )
    return made


def moved(net: UNet, name: str, lr: float = LR) -> dict[str, torch.Tensor]:
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    Optimizer(net, name, lr).step(lr)
    return {key: p.detach() - before[key] for key, p in net.named_parameters()}


def is_inner(name: str, p: torch.Tensor) -> bool:
    return p.ndim > 1 and not name.startswith(("conv_in", "conv_out", "label"))


@pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"]
)
def test_inner_matrices_move_by_the_nearest_orthogonal_one(layout):
    """From the gradient U S V', by lr 0.2 sqrt(max) U V' (Liu et al. 2025, eq. 4). The iteration in bf16
    leaves singular values from 0.68 to 1.14 (Jordan et al. 2024), and vectors good to some hundredths.
    """
    net = network(layout)
    checked = 0
    for name, by in moved(net, "muon").items():
        p = net.get_parameter(name)
        if not is_inner(name, p):
            continue
        u, s, vt = np.linalg.svd(p.grad.flatten(1).double().numpy(), full_matrices=False)
        size = LR * 0.2 * max(u.shape[0], vt.shape[1]) ** 0.5
        inside = -u.T @ by.flatten(1).double().numpy() @ vt.T / size
        drawn = np.diag(inside)[s > 0.01 * np.linalg.norm(s)]  # smaller ones are not there yet
        assert 0.6 < drawn.min() and np.diag(inside).max() < 1.25, name
        assert np.abs(inside - np.diag(np.diag(inside))).max() < 0.06, name
        checked += 1
    assert checked > 20


def test_the_step_is_as_large_as_adamws():
    """Whose first step moves every number by lr; its later ones by 0.2 to 0.4 of it (Liu et al. 2025,
    section 2.2).
    """
    net = network()
    for name, by in moved(net, "muon").items():
        if is_inner(name, net.get_parameter(name)):
            assert 0.6 * 0.2 < by.square().mean().sqrt().item() / LR < 1.25 * 0.2, name


def test_the_rest_is_adamws():
    one, other = network(), network()
    with_muon, alone = moved(one, "muon"), moved(other, "adamw")
    rest = [name for name, p in one.named_parameters() if not is_inner(name, p)]
    assert {"conv_in.weight", "conv_out.weight", "label.weight", "time.0.bias"} <= set(rest)
    assert all(torch.equal(with_muon[name], alone[name]) for name in rest)
    assert not any(torch.equal(with_muon[name], alone[name]) for name in with_muon.keys() - set(rest))


def test_memory_layouts_move_alike():
    one, other = moved(network(), "muon"), moved(network(torch.channels_last), "muon")
    assert all(
        torch.allclose(one[name], other[name], rtol=0, atol=0.05 * one[name].abs().max().item())
        for name in one
    )


def test_without_muon_in_torch_it_says_so(monkeypatch):
    from diffusion_studio.errors import OptionError

    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(OptionError, match="needs torch 2.9 or later.*Choose adamw"):
        Optimizer(network(), "muon", LR)
