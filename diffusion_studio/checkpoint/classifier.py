"""The native checkpoint of a noisy classifier: that of a diffusion model with another spec in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, OptionError
from .classifier_spec import KIND, ClassifierSpec
from .container import open_weights
from .native import FORMAT, VERSION, check_tensors, read_into
from .native import write as write  # writes any spec

if TYPE_CHECKING:
    from ..networks.classifier import NoisyClassifier


def is_classifier(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata of a native file describe a classifier."""
    try:
        given = json.loads(metadata.get("spec", ""))
    except (ValueError, RecursionError):
        return False
    network = given.get("network") if isinstance(given, dict) else None
    return isinstance(network, dict) and network.get("name") == KIND


def read_spec(path: str | Path) -> ClassifierSpec:
    """The spec in a classifier's header; no weight is read. Raises `CheckpointError`."""
    with open_weights(Path(path), framework="np") as file:
        return _spec(Path(path), file.metadata() or {})


def _spec(path: Path, header: Mapping[str, str]) -> ClassifierSpec:
    """The spec in the metadata of a native file. Raises `CheckpointError`."""
    if header.get("format") != FORMAT or header.get("version") != VERSION or "spec" not in header:
        raise CheckpointError(
            f"{path.name} has no {FORMAT} header of version {VERSION}, so it was not written by "
            "'diffusion-studio train --kind classifier'. Give a file of that program."
        )
    try:
        return ClassifierSpec.from_json(header["spec"])
    except OptionError as error:
        raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error


def skeleton(path: Path, spec: ClassifierSpec) -> NoisyClassifier:
    """The network of a spec without memory for its weights. Raises `CheckpointError`."""
    from ..networks.classifier import NoisyClassifier
    from .memory import without_weights

    try:
        return without_weights(lambda: NoisyClassifier(spec.network))
    except (OptionError, RuntimeError) as error:
        raise CheckpointError(
            f"The network that the header of {path.name} describes cannot be built: {error}"
        ) from error


def read_classifier(path: str | Path) -> tuple[ClassifierSpec, NoisyClassifier]:
    """Read spec and network, on the CPU, in the file's precision.

    Raises `CheckpointError` unless the file holds exactly the tensors of the network.
    """
    path = Path(path)
    with open_weights(path, framework="np") as file:
        spec = _spec(path, file.metadata() or {})
        network = skeleton(path, spec)
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        check_tensors(path, file, expected)
    return spec, read_into(path, network, expected)
