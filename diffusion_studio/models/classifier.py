"""A noisy classifier bound to a device: what classifier guidance asks for its gradient."""

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
    """Ready to run, in float32. Differentiable in x: leave grad mode on around `log_probability` to guide
    with it.
    """

    def __init__(self, spec: ClassifierSpec, network: NoisyClassifier, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.network = network.to(device, torch.float32)
        channels_last(self.network)

    def logits(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """(N, classes) for x (N, C, size, size) at a level of the classifier's own process.

        For levels of a model's process, which may be another, see `seeing`.
        """
        return self.network(x.float(), torch.full((len(x),), level.t, device=x.device))

    def log_probability(self, x: torch.Tensor, level: NoiseLevel, classes: torch.Tensor) -> torch.Tensor:
        """(N,) log p(class | x) at the level, for class indices (N,)."""
        return self.logits(x, level).log_softmax(1).gather(1, classes[:, None]).squeeze(1)

    def seeing(self, label: str | Sequence[str]) -> Callable[[torch.Tensor, NoiseLevel], torch.Tensor]:
        """(x, level) -> (N,) log p(label | x), for x at a level of any process: what `ds.gradient_of` takes.

        `label` is one for all pictures, or one for each. The level is found by its log-SNR in the
        classifier's own process, and x brought to that one's scale; noise beyond the classifier's is taken
        for its own ends. Raises `OptionError` for a label that it does not know.
        """
        labels = (label,) if isinstance(label, (str, int)) else tuple(label)
        classes = torch.tensor([self.spec.label_index(one) for one in labels])

        def log_probability(x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
            check_count("labels", len(classes), len(x))
            each = classes.to(x.device).expand(len(x))
            return self.log_probabilities(x, level).gather(1, each[:, None]).squeeze(1)

        return log_probability

    def log_probabilities(self, x: torch.Tensor, level: NoiseLevel) -> torch.Tensor:
        """(N, classes) log p(class | x) for x at a level of any process, as in `seeing`."""
        own = self.spec.schedule.level(self.spec.schedule.timestep(level.log_snr))
        scale = math.hypot(own.alpha, own.sigma) / math.hypot(level.alpha, level.sigma)
        return self.logits(x * scale, own).log_softmax(1)


def load_classifier(
    path: str | Path, device: str = "auto", flags: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier in a checkpoint file, ours or OpenAI's, or in a folder that holds
    `classifier.safetensors`.

    `flags` say what a foreign file cannot, as in `load`. Raises `CheckpointError`, also for a model that
    draws.
    """
    path = Path(path)
    path = path / FILE_NAME if (path / FILE_NAME).is_file() else path
    weights = checkpoint.read_any(path, flags)
    spec, network = weights.spec, weights.network
    if not isinstance(spec, ClassifierSpec) or not isinstance(network, NoisyClassifier):
        raise CheckpointError(
            f"{path.name} is a model that draws, not a noisy classifier. Open it with ds.load."
        )
    return Classifier(spec, network, pick_device(device))
