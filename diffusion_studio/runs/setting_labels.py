"""The names of settings and of their values for people, as labels of the page, lanes and axes have them."""

from __future__ import annotations

from typing import Any

from ..diffusion.samplers import sampler_label
from .edits import EDITS
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
    # of samplers
    "eta": "Fresh noise (eta)",
    "keep_eps": "Keep the predicted noise (keep eps)",
    "fixed_stride": "Fixed stride of the timesteps",
    "interpolation": "Place between small and large variance",
    "learned_above": "Learned variance from noise",
    "last_noise": "Noise in the last step too",
    "churn": "Fresh noise (churn)",
    "s_tmin": "Churn from noise (S_tmin)",
    "s_tmax": "Churn up to noise (S_tmax)",
    "s_noise": "Scale of fresh noise (S_noise)",
    "correction": "Rule of the correction",
    "lower_order_final": "Lower order at the end",
    "difference": "Weight of the second difference",
    "order": "Order of the solver",
    "solver": "Formula of the solver, B(h)",
    "tolerance": "Error tolerance of the solver",
    "correct_steps": "Langevin steps at each level",
    "snr": "Signal-to-noise ratio of the corrector (snr)",
    "correct_first": "Correct the first state too",
    "sigma_min": "Noise left at the clean end (sigma min)",
    # of classifier guidance
    "classifier_scale": "Strength of the classifier",
    "classifier_form": "Form of classifier guidance",
    # of spacings
    "reach": "Start, as a share of all t (reach)",
    "rho": "Concentration at little noise (rho)",
    "power": "Power of the ramp",
    "follow": "Schedule to follow",
    "timesteps": "Timesteps t to visit",
    "sections": "Steps in each section",
    "timestep_spacing": "Rule of the timesteps",
    "spread": "Number of spread timesteps",
    "steps_offset": "Offset of the timesteps",
    "sigmas": "Formula of the noise levels",
    "label_rounding": "Rounding of t between timesteps",
    "final_sigma": "Where the run ends (final sigma)",
    "lambda_min": "Lowest log(alpha / sigma) (lambda min)",
    # of edits
    "strength": "Strength of the edit",
    "jump_length": "Length of a jump back (RePaint)",
    "jumps": "Repeats of each stretch (RePaint)",
    "source_label": "Label of the given picture",
    "source_prompt": "Prompt of the given picture",
    "film": "Pictures of the film",
    "loop": "Film back to its beginning",
    "stops": "Prompts or labels on the way",
    # of x0 and of what is computed
    "threshold": "Dynamic thresholding",
    "threshold_most": "Most that thresholding scales back",
    "clip_range": "Bound of the clipping",
    "reuse": "Reuse deep features",
}
# where no panel around it says what it belongs to: in menus of all settings, captions and lists
ALONE = LABELS | {
    "variance": "Variance of each step",
    "interval_low": "Guidance from noise",
    "interval_high": "Guidance up to noise",
    "projection_parallel": "Projection of guidance",
    "projection_radius": "Longest step of guidance",
    "cfg_zero_silent": "CFG-Zero*: silent above noise",
    "self_guidance_layers": "Attentions or blocks of self-guidance",
    "self_guidance_blur": "Blur of self-guidance's queries",
    "change_label": "Label after the change",
    "change_prompt": "Prompt after the change",
    "change_guidance": "Guidance after the change",
    "reuse": "Reuse of deep features",
    "edit_picture": "Given picture",
    "edit_mask": "Part drawn anew",
    "edit_other": "Picture at the end",
    "spell": "Text that is written",
    "points": "Points of each cloud",
    "clip": "Clipping of x0",
    "stretch": "Stretch of the shades",
}
_LABELLED_VALUES = ("self_guidance",)  # whose values are words of this program
_OWN_OPTIONS = ("sampler", "spacing", "edit")  # whose options have flags without a group
_NO_TEXT = ("label", "prompt")  # without one of these, a run is asked for anything


def setting_label(name: str) -> str:
    """The name of a setting within a line: "self-guidance strength" for `self_guidance_scale`, also as
    `flat_settings` writes it ("self_guidance scale"). One without a label keeps its own name.
    """
    own = _flag(name)
    label = ALONE.get(own)
    if label is None:
        return own.replace("_", " ")
    return label if label[1:2].isupper() else f"{label[:1].lower()}{label[1:]}"


def _flag(name: str) -> str:
    """The name of a setting's flag, also of a name from `flat_settings`: "sampler eta" is eta."""
    group, _, inner = name.partition(" ")
    if group in GROUPS and inner:
        return flags_of(group)[inner].name
    return inner if group in _OWN_OPTIONS and inner in ALONE else name.replace(" ", "_")


def value_text(name: str, value: Any) -> str:
    """A value of a setting for people. None is what the setting has where it is left out."""
    name = _flag(name)
    if value is None:
        value = _DEFAULTS.get(name)
    if value is None:
        return "any" if name in _NO_TEXT else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if name == "edit" and value in EDITS:
        return EDITS[value].short
    if name == "sampler":
        return sampler_label(str(value))
    return str(value).replace("_", " ") if name in _LABELLED_VALUES else str(value)


_DEFAULTS = {one.name: one.default for group in GROUPS for one in flags_of(group).values()}
