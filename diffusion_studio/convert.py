"""Another program's weights as a native file."""

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
    """Write `out`, a native file with the spec in its header; the network computes bit for bit as the given
    file's does.

    Pickles are opened here and nowhere else (`weights_only`); `take` names one of several state dicts in one.
    What had to be assumed is kept in the header's provenance. Raises `CheckpointError`, `OptionError`.
    """
    import torch

    from .checkpoint.container import PICKLES
    from .checkpoint.pickles import to_safetensors

    given, out = Path(given), Path(out)
    if out.suffix != ".safetensors":
        raise CheckpointError(f"The file to write must end in .safetensors, got {out.name!r}.")
    if out.exists() and not force:
        raise CheckpointError(f"{out} is there already. Name another file, or write over it with --force.")
    provenance: dict[str, Any] = {"converted_from": given.name}
    if given.is_file() and given.suffix.lower() in PICKLES:
        if not out.parent.is_dir():
            raise CheckpointError(f"There is no folder {out.parent} to write to.")
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
    kept = len(dtypes) == 1 and dtypes != {torch.float64}  # no native file is of float64
    checkpoint.write(out, spec, state, dtypes.pop() if kept else torch.float32)
