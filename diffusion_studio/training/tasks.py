"""What can be trained: for each kind its network, its objective, its spec and its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from .. import checkpoint, data
from ..checkpoint import classifier as classifier_files
from ..classifier_spec import ClassifierSpec
from ..errors import DataError, OptionError
from ..nets.classifier import NoisyClassifier
from ..nets.config import UNetConfig
from ..nets.unet import UNet
from ..spec import ModelSpec
from .captions import Captions
from .config import TrainConfig
from .objective import OBJECTIVES, ClassifierObjective
from .samples import enlarging_sheet, sample_sheet

Spec = Any                      # with to_json: a ModelSpec or a ClassifierSpec


class DenoiserTask:
    """A U-Net that denoises, written as a native model."""

    file_name = "model.safetensors"

    def __init__(self, config: TrainConfig, images: data.ImageData, device: torch.device) -> None:
        self.config, self.images = config, images
        labelled = images.labels is not None
        self.captions = Captions(config, images.captions, labelled) if config.text and images.captions else None
        network = self._network_config()
        self.objective = OBJECTIVES[config.objective](
            config.noise_schedule(), config.predicts, network.classes if network.null_class else None, device,
            min_snr=config.min_snr, weighting=config.weighting, sigma_data=config.sigma_data, bound_weight=config.bound_weight)

    def network(self) -> nn.Module:
        """A new one, with the given table of words where there is one; drawn from torch's generator."""
        made = UNet(self._network_config())
        if self.captions and self.captions.vectors is not None:
            made.text.set_vectors(self.captions.vectors)
        return made

    def start_from(self, network: nn.Module, path: str) -> None:
        """Fill a new network with the weights in a model file. An `OptionError` where that has another network or table."""
        kept, mine = checkpoint.read_any(path), self._network_config()
        words = self.captions.words if self.captions else ()
        if kept.spec.network != mine or kept.spec.words != words:
            theirs, ours = kept.spec.network.to_json(), mine.to_json()
            other = [f"{name} {theirs[name]!r:.60} there, {ours[name]!r:.60} here"
                     for name in ours if theirs[name] != ours[name]]
            raise OptionError(f"{path} has another network than this run: {'; '.join(other) or 'another table of words'}. "
                              "Ask for the same one, or leave start_from out.")
        network.load_state_dict(kept.network.state_dict())

    def _network_config(self) -> UNetConfig:
        return self.config.network(self.images.images.shape[-1], len(self.images.names) or None,
                                   self.captions.config if self.captions else None)

    def spec(self, name: str, provenance: Mapping[str, Any]) -> ModelSpec:
        known = data.KNOWN.get(self.config.data)
        return self.config.spec(name, self.images.images.shape[-1], self.images.names, provenance,
                                show=known.show if known else None,
                                **self.captions.of_spec(known) if self.captions else {})

    def write(self, path: Path, spec: Spec, state: Mapping[str, torch.Tensor]) -> None:
        checkpoint.write(path, spec, state, torch.float16)

    def sheet(self, spec: Spec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image | None:
        """A sheet of samples."""
        if spec.low_res:
            return enlarging_sheet(spec, state, device, self.images)
        return sample_sheet(spec, state, device)


class ClassifierTask(DenoiserTask):
    """Half a U-Net that tells the class of a noisy picture (Dhariwal & Nichol 2021, section 4)."""

    file_name = "classifier.safetensors"
    captions = None                     # a classifier reads none

    def __init__(self, config: TrainConfig, images: data.ImageData, device: torch.device) -> None:
        self.config, self.images = config, images
        if len(images.names) < 2:
            raise DataError(f"A classifier needs pictures of at least 2 classes, and {config.data} has "
                            f"{len(images.names) or 'no'} label{'s' * (len(images.names) != 1)}. Put the pictures into one "
                            "sub-folder for each class, or give an .npz with labels.")
        self.objective = ClassifierObjective(config.noise_schedule(), "eps", None, device)

    def network(self) -> nn.Module:
        return NoisyClassifier(self.config.classifier(self.images.images.shape[-1], len(self.images.names)))

    def spec(self, name: str, provenance: Mapping[str, Any]) -> ClassifierSpec:
        config = self.config.classifier(self.images.images.shape[-1], len(self.images.names))
        return ClassifierSpec(name, config, self.config.noise_schedule(), self.images.names, dict(provenance))

    def start_from(self, network: nn.Module, path: str) -> None:
        """Fill a new network with the weights in a classifier's file; it must be the same."""
        spec, kept = classifier_files.read_classifier(path)
        if spec.network != network.config:
            raise OptionError(f"{path} has another network than this run: {spec.network} there, {network.config} here. "
                              "Ask for the same one, or leave start_from out.")
        network.load_state_dict(kept.state_dict())

    def write(self, path: Path, spec: Spec, state: Mapping[str, torch.Tensor]) -> None:
        classifier_files.write(path, spec, state, torch.float16)

    def sheet(self, spec: Spec, state: Mapping[str, torch.Tensor], device: torch.device) -> Image.Image | None:
        """A classifier makes no pictures."""
        return None


TASKS: dict[str, type[DenoiserTask]] = {"denoiser": DenoiserTask, "classifier": ClassifierTask}
