from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diffusion_studio.metrics import features
from diffusion_studio.metrics.features import FeatureNetwork


class Small(nn.Module):
    """Stands in for a feature network of millions of weights: a projection of the pixels, as a network
    would be called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3 * 8 * 8, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.project(x.flatten(1)))

    def logits(self, found: torch.Tensor) -> torch.Tensor:
        return 3 * self.head(found)


@pytest.fixture
def small_features(monkeypatch, tmp_path) -> Path:
    """Puts the small network in the place of EfficientNet-Lite0, with weights in a file."""
    from safetensors.torch import save_file

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Small()
    path = tmp_path / "efficientnet-lite0.safetensors"
    save_file(network.state_dict(), path)
    kind = FeatureNetwork("Small", Small, lambda rgb: rgb / 255, "none", "Make it")
    monkeypatch.setitem(features.FEATURES, "efficientnet-lite0", kind)
    monkeypatch.setattr(features, "PLACES", (str(tmp_path),))
    return path


@pytest.fixture
def pictures_file(tmp_path) -> Path:
    """1024 grey training and 40 test pictures of 7x7, three labels that are easy to tell apart."""
    random = np.random.default_rng(0)
    labels = np.arange(1064) % 3
    images = random.integers(0, 60, (1064, 7, 7), dtype=np.uint8)
    for k in range(3):
        images[labels == k, 2 * k : 2 * k + 3] += 150
    path = tmp_path / "three.npz"
    np.savez(path, x_train=images[:1024], y_train=labels[:1024], x_test=images[1024:], y_test=labels[1024:])
    return path
