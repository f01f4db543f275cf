"""Conversion of another program's weights to a native file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import checkpoint, files
from .errors import CheckpointError


def convert(
    given: str | Path,
    out: str | Path,
    flags: Mapping[str, Any] | None = None,
    take: str | None = None,
    force: bool = False,
) -> Path:
    """Write the weights of `given` to `out`, a native file with the spec in its header.

    The network of the native file computes bit for bit what the given one computes. `flags` are those of
    `load`. Pickles are opened here and nowhere else, with `weights_only`; `take` names the state dict to use
    if a pickle holds several. Settings that had to be assumed are kept in the header's provenance. Raises
    `CheckpointError` or `OptionError`; an existing `out` is an error unless `force` is set.
    """
    import torch

    from .checkpoint.container import PICKLES
    from .checkpoint.pickles import to_safetensors

    given, out = Path(given), Path(out)
    if out.suffix != ".safetensors":
        raise CheckpointError(f"The name of the file to write must end in .safetensors, got {out.name!r}.")
    if out.exists() and not force:
        raise CheckpointError(f"{out} exists already. Name another file, or overwrite it with --force.")
    provenance: dict[str, Any] = {"converted_from": given.name}
    if given.is_file() and given.suffix.lower() in PICKLES:
        if not out.parent.is_dir():
            raise CheckpointError(
                f"{files.missing(out.parent, 'folder')} Make it first, or write to another folder."
            )
        with tempfile.TemporaryDirectory(dir=None if files.streamed(out) else out.parent) as folder:
            plain = Path(folder) / f"{given.stem}.safetensors"
            provenance["taken"] = to_safetensors(given, plain, take)
            weights, seen = (
                checkpoint.read_any(plain, flags, given),
                checkpoint.inspect(plain, flags, given),
            )
            _write(out, weights, seen, provenance, torch)
    else:
        weights, seen = checkpoint.read_any(given, flags), checkpoint.inspect(given, flags)
        _write(out, weights, seen, provenance, torch)
    return out


def _write(out: Path, weights: Any, seen: Any, provenance: dict[str, Any], torch: Any) -> None:
    """Write `weights` to `out`. The provenance of a foreign file is extended by what `seen` found in it."""
    state = weights.network.state_dict()
    dtypes = {tensor.dtype for tensor in state.values()}
    spec = weights.spec
    if seen.found is not None:
        provenance |= {
            "layout": seen.found.layout,
            "settings": {one.name: f"{one.value} ({one.source})" for one in seen.found.facts},
            "notes": list(seen.found.notes),
        }
        spec = replace(spec, provenance={**spec.provenance, **provenance})
    keep_dtype = len(dtypes) == 1 and dtypes != {torch.float64}  # native files do not hold float64
    checkpoint.write(out, spec, state, dtypes.pop() if keep_dtype else torch.float32)
