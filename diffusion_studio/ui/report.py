"""The report on a checkpoint as HTML. All text from the file is escaped: anybody can write a header."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..checkpoint import READERS, Inspection
from ..checkpoint.classifier_spec import ClassifierSpec
from ..checkpoint.facts import ASSUMED
from ..checkpoint.spec import ModelSpec
from ..diffusion.samplers import SAMPLERS, sampler_label
from ..models.calibrate import Trial

_LONGEST = 60


def report(seen: Inspection) -> str:
    """A file's layout and figures, its settings with their sources, and whether it can be run."""
    found, spec = seen.found, seen.spec
    layout = f"{READERS[found.layout].title} (layout {found.layout})" if found else "native"
    state = (
        ("bad", seen.problem)
        if seen.problem
        else (
            "good",
            "Complete: the file has every tensor of the network and no other. It can be run if the shapes "
            "fit, which is checked when it is loaded.",
        )
    )
    rows = (
        "".join(
            f'<tr class="{_kind(one.source)}"><td><code>{escape(one.name)}</code></td>'
            f"<td>{_value(one.value)}</td>"
            f"<td>{escape(one.source)}</td></tr>"
            for one in found.facts
        )
        if found
        else ""
    )
    table = (
        (
            f"<details open><summary>{len(found.facts)} settings, named as in the original program, and the "
            f"source of each</summary>{_filter(found)}"
            '<div class="scroll"><table><thead><tr><th>setting</th><th>value</th><th>source</th></tr></thead>'
            f"<tbody>{rows}"
            "</tbody></table></div></details>"
        )
        if found
        else "".join(f"<p>When it was converted {escape(line)}</p>" for line in seen.remarks)
        or "<p>The header gives every setting: nothing was assumed.</p>"
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes) if found else ""
    return (
        f'<div class="doctor"><h3>{escape(seen.path.name)}</h3>'
        f'<p class="{state[0]}">{escape(state[1])}</p><dl>{_facts(seen, layout, spec)}</dl>'
        + (f"<p>Recognised because {escape(found.why)}.</p>" if found else "")
        + _assumed(seen)
        + table
        + (f"<ul>{notes}</ul>" if notes else "")
        + "</div>"
    )


def refusal(sentence: str) -> str:
    """A sentence that says why a file is refused; lines below the first are an outline of the file."""
    first, _, rest = sentence.partition("\n")
    return (
        f'<div class="doctor"><p class="bad">{escape(first)}</p>'
        + (f'<pre class="scroll">{escape(rest)}</pre>' if rest else "")
        + "</div>"
    )


def ranking(trials: Sequence[Trial], shown: int = 12) -> str:
    """The settings that were tried, best first, each with its error as a number and a bar."""
    worst = max(one.error for one in trials[:shown]) or 1.0
    rows = "".join(
        f'<tr><td>{k + 1}</td><td>{one.error:.5f}</td><td><div class="bar" '
        f'style="width:{100 * one.error / worst:.0f}%">'
        f"</div></td><td><code>{escape(flags_text(one.flags))}</code></td></tr>"
        for k, one in enumerate(trials[:shown])
    )
    return (
        '<div class="doctor"><p>Mean squared error of the noise that each setting predicts in your pictures, '
        "best first "
        f"({len(trials)} tried). Close errors mean that it hardly matters.</p><div "
        'class="scroll"><table><thead><tr><th></th>'
        f"<th>error</th><th></th><th>settings</th></tr></thead><tbody>{rows}</tbody></table></div></div>"
    )


def flags_text(flags: Mapping[str, Any]) -> str:
    """Settings as flags of a command line."""
    return " ".join(f"--{name} {_plain(value) or chr(34) * 2}" for name, value in flags.items())


def assumed_flags(seen: Inspection) -> str:
    """The assumed settings, as flags."""
    return (
        flags_text({one.name: one.value for one in seen.found.facts if one.source == ASSUMED})
        if seen.found
        else ""
    )


def _facts(seen: Inspection, layout: str, spec: Any) -> str:
    count = sum(math.prod(shape) for shape in seen.outline.shapes.values())
    facts = {
        "Layout": layout,
        "Parameters": f"{count:,}",
        "In the file": f"{seen.outline.bytes / 1e6:,.1f} MB of "
        f"{', '.join(Counter(seen.outline.dtypes.values()))}",
        "Memory in fp32": f"{count * 4 / 1e6:,.0f} MB, and what a picture takes",
        "Draws": getattr(spec, "form", ""),
        "Classes": f"{len(spec.labels)}" if spec.labels else "none",
    }
    if not isinstance(spec, ClassifierSpec):
        facts |= {
            "Process": f"{type(spec.schedule).__name__}, T = {spec.schedule.timesteps}",
            "Sampler": _sampler(spec),
            "Predicts": spec.parametrization + (", and the variance" if spec.learned_variance else ""),
        }
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value
    )


def _sampler(spec: ModelSpec) -> str:
    """The sampler and steps that the file, or the scheduler's configuration beside it, names; with which the
    model begins.
    """
    given = spec.defaults.get("sampler")
    if given is None:
        return ""
    name = given if isinstance(given, str) else str(given.get("name", ""))
    label = sampler_label(name) if name in SAMPLERS else name
    steps = spec.defaults.get("steps")
    return label + (f", {steps} steps" if steps else "")


def _assumed(seen: Inspection) -> str:
    text = assumed_flags(seen)
    if not text:
        return ""
    return (
        "<p>The file does not give the settings marked <mark>assumed</mark>: they have the usual values of "
        "the layout. If you know better values, write them as flags. If not, measure them with a few example "
        "pictures.</p>"
    )


def _filter(found: Any) -> str:
    """A box that leaves only the assumed settings in the table; nothing where none is assumed."""
    count = sum(one.source == ASSUMED for one in found.facts)
    if not count:
        return ""
    return (
        '<label class="filter"><input type="checkbox" class="only-assumed"> only what was assumed '
        f"({count})</label>"
    )


def _kind(source: str) -> str:
    return "assumed" if source == ASSUMED else ""


def _value(value: Any) -> str:
    text = _plain(value)
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
