"""The kinds of training: for each its data, network, objective, spec and model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from .. import checkpoint, data
from ..checkpoint import classifier as classifier_files
from ..checkpoint.classifier_spec import ClassifierSpec
from ..checkpoint.spec import ModelSpec
from ..data import points
from ..data.summary import summary_of_points
from ..errors import DataError, OptionError
from ..imaging import palettes
from ..imaging.arrays import from_uint8
from ..networks.classifier import NoisyClassifier
from ..networks.config import UNetConfig
from ..networks.mlp import MLP
from ..networks.mlp_config import MLPConfig
from ..networks.unet import UNet
from .captions import Captions, read_hold_out
from .config import TrainConfig
from .growing import grow
from .objective import OBJECTIVES, ClassifierObjective
from .processes import PROCESSES
from .samples import cloud_sheet, enlarging_sheet, sample_sheet

Spec = Any  # with to_json: a ModelSpec or a ClassifierSpec


class DenoiserTask:
    """A U-Net denoiser, written as a native model."""

    file_name = "model.safetensors"

    @staticmethod
    def load(config: TrainConfig) -> data.ImageData:
        """The training data."""
        return data.load(
            config.data,
            size=config.size,
            fit=config.fit,
            background=config.background,
            colours=config.colours,
        )

    def __init__(self, config: TrainConfig, images: data.ImageData, device: torch.device) -> None:
        self.config, self.images = config, images
        labelled = images.labels is not None
        self.captions = (
            Captions(config, images.captions, labelled) if config.text and images.captions else None
        )
        network = self._network_config()
        self.objective = OBJECTIVES[config.objective](
            config.noise_schedule(),
            config.predicts,
            network.classes if network.null_class else None,
            device,
            min_snr=config.min_snr,
            weighting=config.weighting,
            sigma_data=config.sigma_data,
            bound_weight=config.bound_weight,
        )

    def network(self) -> nn.Module:
        """A new network, with the fixed word vectors if there are any; initialized from torch's generator."""
        made = UNet(self._network_config())
        if self.captions and self.captions.vectors is not None and made.text is not None:
            made.text.set_vectors(self.captions.vectors)
        return made

    def x0(self, chosen: np.ndarray) -> torch.Tensor:
        """A batch of pictures as x0, float32. Exactly black pixels lie `black_margin` below -1."""
        return from_uint8(chosen, self.config.black_margin)

    @property
    def licence(self) -> str:
        known = data.KNOWN.get(self.config.data)
        return known.licence if known else "that of the data"

    def begin(self, network: nn.Module) -> None:
        """Fill the network with the weights of `start_from` or `grow_from`, if the configuration names
        either.
        """
        if self.config.start_from and self.config.grow_from:
            raise OptionError(
                "start_from",
                "A run begins with one file: give start_from, for the same network, or grow_from, for a "
                "smaller one.",
            )
        if self.config.start_from:
            self.start_from(network, self.config.start_from)
        elif self.config.grow_from:
            grow(network, self.config.grow_from, self.captions.words if self.captions else ())

    def start_from(self, network: nn.Module, path: str) -> None:
        """Fill a new network with the weights of a model file. Raises `OptionError` if its network or
        vocabulary differs.
        """
        kept, mine = checkpoint.read_any(path), self._network_config()
        spec = checkpoint.model_spec(path, kept.spec)
        words = self.captions.words if self.captions else ()
        if spec.network != mine or spec.words != words:
            theirs, ours = spec.network.to_json(), mine.to_json()
            other = [
                f"{name} {theirs[name]!r:.60} there, {ours[name]!r:.60} here"
                for name in ours
                if theirs[name] != ours[name]
            ]
            raise OptionError(
                "start_from",
                f"{path} has another network than this run: {'; '.join(other) or 'another table of words'}. "
                "Ask for the same one, or leave start_from out.",
            )
        network.load_state_dict(kept.network.state_dict())

    def _network_config(self) -> UNetConfig:
        return self.config.network(
            self.images.images.shape[-1],
            len(self.images.names) or None,
            self.captions.config if self.captions else None,
        )

    def spec(self, name: str, provenance: Mapping[str, Any]) -> ModelSpec:
        known = data.KNOWN.get(self.config.data)
        made = self.config.spec(
            name,
            self.images.images.shape[-1],
            self.images.names,
            provenance,
            show=known.show if known else None,
            **self.captions.spec_fields(known) if self.captions else {},
        )
        if not self.config.palette:
            return made
        colours = palettes.of_pictures(self.images.images, self.config.palette)
        return replace(made, palette=colours, defaults={**made.defaults, "palette": palettes.OWN})

    def write(self, path: Path, spec: Spec, state: Mapping[str, torch.Tensor]) -> None:
        checkpoint.write(path, spec, state, torch.float16)

    def sheet(
        self, spec: Spec, state: Mapping[str, torch.Tensor], device: torch.device
    ) -> Image.Image | None:
        """A sample sheet, or None if the kind has none."""
        if spec.low_res:
            return enlarging_sheet(spec, state, device, self.images)
        return sample_sheet(spec, state, device)


class ClassifierTask(DenoiserTask):
    """Half a U-Net that classifies noisy pictures (Dhariwal & Nichol 2021, section 4)."""

    file_name = "classifier.safetensors"
    captions = None

    def __init__(self, config: TrainConfig, images: data.ImageData, device: torch.device) -> None:
        self.config, self.images = config, images
        if len(images.names) < 2:
            raise DataError(
                f"A classifier needs pictures of at least 2 classes, and {config.data} has "
                f"{len(images.names) or 'no'} label{'s' * (len(images.names) != 1)}. Put the pictures into "
                "one sub-folder for each class, or give an .npz with labels."
            )
        self.objective = ClassifierObjective(config.noise_schedule(), "eps", None, device)

    def network(self) -> nn.Module:
        return NoisyClassifier(self.config.classifier(self.images.images.shape[-1], len(self.images.names)))

    def spec(self, name: str, provenance: Mapping[str, Any]) -> ClassifierSpec:
        config = self.config.classifier(self.images.images.shape[-1], len(self.images.names))
        return ClassifierSpec(name, config, self.config.noise_schedule(), self.images.names, dict(provenance))

    def start_from(self, network: nn.Module, path: str) -> None:
        """Fill a new network with the weights of a classifier's file. Raises `OptionError` if its network
        differs.
        """
        spec, kept = classifier_files.read_classifier(path)
        if spec.network != network.config:
            raise OptionError(
                "start_from",
                f"{path} has another network than this run: {spec.network} there, {network.config} here. "
                "Ask for the same one, or leave start_from out.",
            )
        network.load_state_dict(kept.state_dict())

    def write(self, path: Path, spec: Spec, state: Mapping[str, torch.Tensor]) -> None:
        classifier_files.write(path, spec, state, torch.float16)

    def sheet(
        self, spec: Spec, state: Mapping[str, torch.Tensor], device: torch.device
    ) -> Image.Image | None:
        """A classifier has no sample sheet."""
        return None


class PointsTask(DenoiserTask):
    """A small network that denoises points in the plane (Sohl-Dickstein et al. 2015, section 3.1.1)."""

    captions = None

    @staticmethod
    def load(config: TrainConfig) -> points.PointData:
        if config.black_margin:
            raise OptionError(
                "black_margin", "black_margin is for pictures, and points have no black. Leave it out."
            )
        if config.palette:
            raise OptionError("palette", "palette is of pictures, and points have no colours. Leave it out.")
        if config.flips:
            raise OptionError(
                "flips", "flips mirror pictures; points are trained on as they are. Leave it out."
            )
        return points.load(config.data)

    def __init__(self, config: TrainConfig, images: points.PointData, device: torch.device) -> None:
        self.config, self.images = config, images
        null_class = len(images.names) if images.names and config.label_dropout > 0 else None
        self.objective = OBJECTIVES[config.objective](
            config.noise_schedule(),
            config.predicts,
            null_class,
            device,
            min_snr=config.min_snr,
            weighting=config.weighting,
            sigma_data=config.sigma_data,
            bound_weight=config.bound_weight,
            points=True,
        )

    def network(self) -> nn.Module:
        return MLP(self._network_config())

    @staticmethod
    def x0(chosen: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(chosen)

    @property
    def licence(self) -> str:
        made = not Path(self.config.data).expanduser().exists()
        return "none is needed: points drawn by a formula" if made else "that of the data"

    def _network_config(self) -> MLPConfig:
        classes = len(self.images.names) or None
        return MLPConfig(
            out_channels=4 if self.config.learned_variance else 2,
            width=self.config.channels,
            layers=self.config.blocks,
            classes=classes,
            null_class=classes is not None and self.config.label_dropout > 0,
        )

    def spec(self, name: str, provenance: Mapping[str, Any]) -> ModelSpec:
        config, names = self.config, self.images.names
        defaults: dict[str, Any] = {
            "steps": min(config.sample_steps, config.timesteps),
            "clip": False,
            "count": 1,
            **PROCESSES[config.schedule].defaults,
        }
        if names:
            defaults |= {"label": names[0], "guidance": 1.0}
        return ModelSpec(
            name=name,
            network=self._network_config(),
            schedule=config.noise_schedule(),
            parametrization=config.predicts,
            sigma_data=config.sigma_data,
            learned_variance=config.learned_variance,
            labels=names,
            defaults=defaults,
            provenance=dict(provenance),
        )

    def sheet(
        self, spec: Spec, state: Mapping[str, torch.Tensor], device: torch.device
    ) -> Image.Image | None:
        return cloud_sheet(spec, state, device)


TASKS: dict[str, type[DenoiserTask]] = {
    "denoiser": DenoiserTask,
    "classifier": ClassifierTask,
    "points": PointsTask,
}


def load_data(config: TrainConfig) -> data.ImageData | points.PointData:
    """The training data of a configuration, restricted by `only` and `hold_out`."""
    found = TASKS[config.kind].load(config)
    whole = len(found.images)
    if config.only:
        found = found.only([name.strip() for name in config.only.split(",")])
    if config.hold_out:
        found = found.without(read_hold_out(config.hold_out))
    if (left := whole - len(found.images)) and isinstance(found, data.ImageData):
        names = " and ".join(name for name in ("only", "hold_out") if getattr(config, name))
        found = replace(
            found,
            reading=replace(found.reading, notes=(*found.reading.notes, f"{left:,} left out by {names}")),
        )
    return found


def summary_of(config: TrainConfig, found: data.ImageData | points.PointData) -> data.DataSummary:
    """The summary of data that was loaded for a configuration."""
    return (
        summary_of_points(found, config.data)
        if isinstance(found, points.PointData)
        else data.summary(found, config.data, config.fit)
    )
