"""The spec of a noisy classifier, which its checkpoint's header holds. This module does not import torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .. import options
from ..diffusion.schedule import SCHEDULES, Linear, NoiseSchedule
from ..errors import OptionError
from ..networks.classifier_config import ClassifierConfig
from ..options import option

KIND = "classifier"


@dataclass(frozen=True)
class ClassifierSpec:
    """A noisy classifier, the process whose noise it was trained with, and the names of its classes."""

    name: str = option("", "The classifier's name.")
    network: ClassifierConfig = field(default_factory=ClassifierConfig)
    schedule: NoiseSchedule = field(default_factory=Linear)
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options.check(self)
        if not isinstance(self.network, ClassifierConfig) or not isinstance(self.schedule, NoiseSchedule):
            raise OptionError("network", "A ClassifierSpec needs a ClassifierConfig and a NoiseSchedule.")
        if not isinstance(self.labels, tuple) or not all(isinstance(label, str) for label in self.labels):
            raise OptionError("labels", f"must be a list of texts, got {self.labels!r}.")
        if len(self.labels) != self.network.classes:
            raise OptionError(
                "labels",
                f"The network has {self.network.classes} classes and {len(self.labels)} label names.",
            )
        if not isinstance(self.provenance, Mapping):
            raise OptionError("provenance", "must be an object of names and values.")

    def label_index(self, label: str) -> int:
        """The class index of a label, see `options.index_of`. Raises `OptionError` for an unknown label."""
        return options.index_of(f"label of the classifier {self.name}", label, self.labels)

    def to_json(self) -> str:
        """The spec as JSON, for the header of a checkpoint."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        given["network"] = {"name": KIND, **self.network.to_json()}
        given["schedule"] = options.to_json(SCHEDULES, self.schedule)
        return json.dumps(given)

    @classmethod
    def from_json(cls, text: str) -> ClassifierSpec:
        """The inverse of `to_json`. Any fault is an `OptionError`."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError("description", f"The classifier's description is not JSON: {error}") from error
        if not isinstance(given, dict) or not isinstance(given.get("network"), dict):
            raise OptionError("description", "The classifier's description is not an object with a network.")
        network = dict(given["network"])
        if network.pop("name", None) != KIND:
            raise OptionError(
                "network",
                f"The network is of kind {given['network'].get('name')!r}, wanted a {KIND!r}. Give the file "
                "that 'diffusion-studio train --kind classifier' wrote.",
            )
        given["network"] = ClassifierConfig.from_json(network)
        given["schedule"] = options.from_json(SCHEDULES, "noise schedule", given.get("schedule"))
        return options.build(cls, given, "field of the classifier's description")
