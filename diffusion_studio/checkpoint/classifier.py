"""The native checkpoint of a noisy classifier: like a model's, with a spec of its own kind in the header."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..classifier_spec import ClassifierSpec
from ..errors import CheckpointError, OptionError
from .container import opened, outline
from .native import FORMAT, VERSION, compare
from .native import write as write                          # the header takes any spec

if TYPE_CHECKING:
    from ..nets.classifier import NoisyClassifier


def read_classifier_spec(path: str | Path) -> ClassifierSpec:
    """What the header says, reading no weight and loading no torch. Raises `CheckpointError`."""
    path = Path(path)
    header = outline(path).metadata
    if header.get("format") != FORMAT or header.get("version") != VERSION or "spec" not in header:
        raise _not_one(path)
    try:
        return ClassifierSpec.from_json(header["spec"])
    except OptionError as error:
        raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error


def _not_one(path: Path) -> CheckpointError:
    return CheckpointError(f"{path.name} has no {FORMAT} header of version {VERSION}, so it is no classifier that "
                           "'diffusion-studio train --kind classifier' wrote.")


def read_classifier(path: str | Path) -> tuple[ClassifierSpec, NoisyClassifier]:
    """Spec and network, on the CPU, in the file's precision. Strict: every tensor there, of its shape, and none besides."""
    import torch

    from ..nets.classifier import NoisyClassifier

    path = Path(path)
    with opened(path) as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT or header.get("version") != VERSION or "spec" not in header:
            raise _not_one(path)
        try:
            spec = ClassifierSpec.from_json(header["spec"])
            with torch.device("meta"):
                network = NoisyClassifier(spec.network)
        except (OptionError, RuntimeError) as error:
            raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error
        compare(path, file, {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})
        state = {name: file.get_tensor(name) for name in file.keys()}
    network.load_state_dict(state, strict=True, assign=True)
    return spec, network.eval().requires_grad_(False)
