"""The report of `inspect`: the kind of a file, each setting with its source, and unknown settings."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from .classifier_spec import ClassifierSpec
from .container import tree
from .facts import ASSUMED
from .native import FOREIGN_DTYPES
from .readers import READERS, Inspection


def as_json(seen: Inspection) -> dict[str, Any]:
    """The report as data for JSON."""
    given: dict[str, Any] = {
        "file": seen.path.name,
        "layout": seen.found.layout if seen.found else "native",
        "parameters": _parameters(seen),
        "bytes": seen.outline.bytes,
        "dtypes": dict(Counter(seen.outline.dtypes.values())),
        "spec": json.loads(seen.spec.to_json()),
        "missing": list(seen.missing),
        "surplus": list(seen.surplus),
    }
    if seen.found:
        given["settings"] = {one.name: {"value": one.value, "source": one.source} for one in seen.found.facts}
        given["assumed"] = _assumed(seen)
        given["notes"] = list(seen.found.notes)
    return given


def as_text(seen: Inspection, outline: bool = False) -> str:
    """The report as text. With `outline` a tree of the file's tensors follows."""
    spec, dtypes = seen.spec, Counter(seen.outline.dtypes.values())
    kind = f"{READERS[seen.found.layout].title} (layout '{seen.found.layout}')" if seen.found else "native"
    lines = [f"{seen.path.name}: {kind}"]
    if seen.found:
        lines.append(f"recognised because {seen.found.why}")
    classifies = isinstance(spec, ClassifierSpec)
    what = (
        f"pictures: {spec.network.size}x{spec.network.size} "
        f"{'grey' if spec.network.in_channels == 1 else 'RGB'}"
        if classifies
        else f"{spec.makes}: {spec.form}"
    )
    does = (
        "tells the class"
        if classifies
        else f"predicts {spec.parametrization}" + (", learned variance" if spec.learned_variance else "")
    )
    lines += [
        f"{_parameters(seen):,} parameters, {seen.outline.bytes / 1e6:.1f} MB of {', '.join(dtypes)}; "
        f"running in fp32 takes {_parameters(seen) * 4 / 1e6:.0f} MB and the working memory of a picture",
        f"{what}, {f'{len(spec.labels)} classes' if spec.labels else 'no classes'}"
        + (f", enlarged from {spec.low_res}x{spec.low_res}" if not classifies and spec.low_res else ""),
        f"process: {type(spec.schedule).__name__} schedule, T = {spec.schedule.timesteps}, {does}",
    ]
    if seen.found:
        width = max(len(one.name) for one in seen.found.facts)
        shown = [(one.name, _short(one.value), one.source) for one in seen.found.facts]
        wide = max(len(value) for _, value, _ in shown)
        lines += ["", "settings, by their original names, and where each comes from:"]
        lines += [f"  {name:{width}}  {value:{wide}}  {source}" for name, value, source in shown]
        if assumed := _assumed(seen):
            lines += [
                "",
                "the file does not tell these, so the usual values of the layout are assumed; give what you "
                "know as flags:",
                "  --flags "
                + json.dumps(" ".join(f"--{name} {_flag(value)}" for name, value in assumed.items())),
            ]
        lines += ["", *(f"note: {note}" for note in seen.found.notes)] if seen.found.notes else []
    lines.append("")
    if seen.missing or seen.surplus:
        lines.append(
            "cannot be loaded: "
            + "; ".join(
                f"{what} {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
                for what, names in (("missing", seen.missing), ("not in the network", seen.surplus))
                if names
            )
        )
    elif seen.unreadable:
        allowed = ", ".join(FOREIGN_DTYPES)
        lines.append(f"cannot be loaded: {'; '.join(seen.unreadable[:8])} ({allowed} can be read)")
    else:
        lines += (
            [
                "complete: the file holds exactly the tensors of the network; shapes are compared when it is "
                "loaded"
            ]
            if seen.found
            else [f"when it was converted {line}" for line in seen.remarks]
            or ["its header holds all settings; nothing was assumed"]
        )
    if outline:
        lines += ["", tree(seen.outline.shapes, 10_000)]
    return "\n".join(lines)


def _parameters(seen: Inspection) -> int:
    return sum(math.prod(shape) for shape in seen.outline.shapes.values())


def _assumed(seen: Inspection) -> dict[str, Any]:
    return {one.name: one.value for one in (seen.found.facts if seen.found else ()) if one.source == ASSUMED}


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _flag(value: Any) -> str:
    return '""' if value == "" else _short(value)
