"""The names of settings and of their values for people, as labels of the page, lanes and axes have them."""

from __future__ import annotations

from typing import Any

from ..diffusion.samplers import sampler_label
from .guidance_options import GROUPS, flags_of

# by the name of the setting's flag, with _ for -
LABELS = {
    "guidance_shape": "Guidance over the run",
    "guidance_scales": "Guidance as a list",
    "guidance_rescale": "Restore contrast",
    "negative": "Negative prompt",
    "weaker": "Weaker model",
    "interval_low": "Least noise",
    "interval_high": "Most noise",
    "projection_parallel": "Projection",
    "projection_radius": "Longest step",
    "classifier": "Classifier",
    "classifier_label": "Classifier's label",
    "change_step": "Change at step",
    "change_label": "New label",
    "change_prompt": "New prompt",
    "change_guidance": "New guidance",
    "palette": "Palette",
    "palette_below": "Palette from noise",
    "cfg_zero_star": "CFG-Zero*",
    "cfg_zero_silent": "Silent above noise",
    "self_guidance": "Self-guidance",
    "self_guidance_scale": "Self-guidance strength",
    "self_guidance_layers": "Attentions or blocks",
    "self_guidance_blur": "Blur of the queries",
}
_LABELLED_VALUES = ("self_guidance",)  # whose values are words of this program
_NO_TEXT = ("label", "prompt")  # without one of these, a run is asked for anything


def setting_label(name: str) -> str:
    """The name of a setting within a line: "self-guidance strength" for `self_guidance_scale`, also as
    `flat_settings` writes it ("self_guidance scale"). One without a label keeps its own name.
    """
    label = LABELS.get(name.replace(" ", "_"))
    if label is None:
        return name.replace("_", " ")
    return label if label[1:2].isupper() else f"{label[:1].lower()}{label[1:]}"


def value_text(name: str, value: Any) -> str:
    """A value of a setting for people. None is what the setting has where it is left out."""
    name = name.replace(" ", "_")
    if value is None:
        value = _DEFAULTS.get(name)
    if value is None:
        return "any" if name in _NO_TEXT else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if name == "sampler":
        return sampler_label(str(value))
    return str(value).replace("_", " ") if name in _LABELLED_VALUES else str(value)


_DEFAULTS = {one.name: one.default for group in GROUPS for one in flags_of(group).values()}
