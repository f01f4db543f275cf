"""The native checkpoint of a noisy classifier: like a model's, with a spec of its own kind in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, OptionError
from .classifier_spec import KIND, ClassifierSpec
from .container import opened
from .native import FORMAT, VERSION, compare, read_into
from .native import write as write  # the header takes any spec

if TYPE_CHECKING:
    from ..networks.classifier import NoisyClassifier


def is_one(metadata: Mapping[str, str]) -> bool:
    """Whether a native file's header is a classifier's."""
    try:
        given = json.loads(metadata.get("spec", ""))
    except (ValueError, RecursionError):
        return False
    network = given.get("network") if isinstance(given, dict) else None
    return isinstance(network, dict) and network.get("name") == KIND


def read_spec(path: str | Path) -> ClassifierSpec:
    """The spec in a classifier's header, without its weights. Raises `CheckpointError`."""
    with opened(Path(path), framework="np") as file:
        return _spec(Path(path), file.metadata() or {})


def _spec(path: Path, header: Mapping[str, str]) -> ClassifierSpec:
    if header.get("format") != FORMAT or header.get("version") != VERSION or "spec" not in header:
        raise CheckpointError(
            f"{path.name} has no {FORMAT} header of version {VERSION}, so it is no classifier that "
            "'diffusion-studio train --kind classifier' wrote."
        )
    try:
        return ClassifierSpec.from_json(header["spec"])
    except OptionError as error:
        raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error


def skeleton(path: Path, spec: ClassifierSpec) -> NoisyClassifier:
    """The spec's network without memory behind it."""
    from ..networks.classifier import NoisyClassifier
    from .memory import without_weights

    try:
        return without_weights(lambda: NoisyClassifier(spec.network))
    except (OptionError, RuntimeError) as error:
        raise CheckpointError(
            f"The header of {path.name} describes no network that can be built: {error}"
        ) from error


def read_classifier(path: str | Path) -> tuple[ClassifierSpec, NoisyClassifier]:
    """Spec and network, on the CPU, in the file's precision. Strict: every tensor there, of its shape, and
    none besides.
    """
    path = Path(path)
    with opened(path, framework="np") as file:
        spec = _spec(path, file.metadata() or {})
        network = skeleton(path, spec)
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        compare(path, file, expected)
    return spec, read_into(path, network, expected)
