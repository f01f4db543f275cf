"""A noisy classifier bound to a device. Classifier guidance uses its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import checkpoint
from ..checkpoint.classifier_spec import ClassifierSpec
from ..device import pick_device
from ..diffusion.schedule import NoiseLevel
from ..errors import CheckpointError
from ..networks.classifier import NoisyClassifier
from ..networks.precision import channels_last
from .condition import check_count

FILE_NAME = "classifier.safetensors"


class Classifier:
    """A noisy classifier, log p(class | x, level), ready to run in float32 on a device.

    It is differentiable in x where grad mode is on.
    """

    def __init__(self, spec: ClassifierSpec, network: NoisyClassifier, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.network = network.to(device, torch.float32)
        channels_last(self.network)

    def logits(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """Class logits (N, classes) for x (N, C, size, size) at a level of the classifier's own process.

        `seeing` and `log_probabilities` take levels of any other process.
        """
        return self.network(x.float(), torch.full((len(x),), level.t, device=x.device))

    def log_probability(self, x: torch.Tensor, level: NoiseLevel, classes: torch.Tensor) -> torch.Tensor:
        """log p(class | x) as (N,), for class indices (N,) and a level of the classifier's own process."""
        return self.logits(x, level).log_softmax(1).gather(1, classes[:, None]).squeeze(1)

    def seeing(self, label: str | Sequence[str]) -> Callable[[torch.Tensor, NoiseLevel], torch.Tensor]:
        """The function (x, level) -> log p(label | x) as (N,), for x at a level of any process.

        `ds.gradient_of` takes this function. `label` is one for all pictures, or one for each. The level of
        the classifier's own process with the same log-SNR is used, and x is scaled to it; log-SNRs outside
        the classifier's range are clamped to its ends. Raises `OptionError` for an unknown label.
        """
        labels = (label,) if isinstance(label, (str, int)) else tuple(label)
        classes = torch.tensor([self.spec.label_index(one) for one in labels])

        def log_probability(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
            check_count("labels", len(classes), len(x))
            each = classes.to(x.device).expand(len(x))
            return self.log_probabilities(x, level).gather(1, each[:, None]).squeeze(1)

        return log_probability

    def log_probabilities(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """log p(class | x) as (N, classes) for x at a level of any process; see `seeing`."""
        own = self.spec.schedule.level(self.spec.schedule.timestep(level.log_snr))
        scale = math.hypot(own.alpha, own.sigma) / math.hypot(level.alpha, level.sigma)
        return self.logits(x * scale, own).log_softmax(1)


def load_classifier(
    path: str | Path, device: str = "auto", flags: Mapping[str, Any] | None = None
) -> Classifier:
    """Load a noisy classifier from a native or OpenAI file, or a folder that holds `classifier.safetensors`.

    `flags` are those of `load`. Raises `CheckpointError` if the file is broken or holds a diffusion model.
    """
    path = Path(path)
    path = path / FILE_NAME if (path / FILE_NAME).is_file() else path
    weights = checkpoint.read_any(path, flags)
    spec, network = weights.spec, weights.network
    if not isinstance(spec, ClassifierSpec) or not isinstance(network, NoisyClassifier):
        raise CheckpointError(
            f"{path.name} is a diffusion model, not a noisy classifier. Open it with ds.load."
        )
    return Classifier(spec, network, pick_device(device))
