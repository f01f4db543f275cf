"""The native checkpoint of a noisy classifier: like a model's, with a spec of its own kind in the header."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..classifier_spec import ClassifierSpec
from ..errors import CheckpointError, OptionError
from .container import opened
from .native import FORMAT, VERSION, compare, read_into
from .native import write as write                          # the header takes any spec

if TYPE_CHECKING:
    from ..nets.classifier import NoisyClassifier


def read_classifier(path: str | Path) -> tuple[ClassifierSpec, NoisyClassifier]:
    """Spec and network, on the CPU, in the file's precision. Strict: every tensor there, of its shape, and none besides."""
    from ..nets.classifier import NoisyClassifier
    from .memory import without_weights

    path = Path(path)
    with opened(path, framework="np") as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT or header.get("version") != VERSION or "spec" not in header:
            raise CheckpointError(f"{path.name} has no {FORMAT} header of version {VERSION}, so it is no classifier that "
                                  "'diffusion-studio train --kind classifier' wrote.")
        try:
            spec = ClassifierSpec.from_json(header["spec"])
            network = without_weights(lambda: NoisyClassifier(spec.network))
        except (OptionError, RuntimeError) as error:
            raise CheckpointError(f"The header of {path.name} is wrong: {error}") from error
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        compare(path, file, expected)
    return spec, read_into(path, network, expected)
