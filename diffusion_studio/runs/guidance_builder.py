"""Build the guided denoiser that a recipe's run calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ..checkpoint.spec import PICTURES, ModelSpec
from ..diffusion.denoiser import Altered, Denoiser, PairedDenoiser
from ..diffusion.guidance import (
    AncestralSteps,
    Scale,
    adaptive_projected,
    at_schedule,
    blurred_attention,
    cfg_zero_star,
    clamped,
    classifier_free,
    classifier_guided,
    dynamically_thresholded,
    gradient_of,
    guided_away,
    identity_attention,
    in_palette,
    rescaled,
    scale_at,
    shaped,
    switched,
    within_interval,
    without_blocks,
)
from ..diffusion.guidance.perturbed import Altering
from ..diffusion.levels import Levels
from ..diffusion.samplers import Sampler
from ..errors import OptionError, Setting
from ..imaging.arrays import from_uint8, values
from ..models.classifier import Classifier
from ..models.condition import Condition
from ..models.model import Model
from ..options import name_of
from .applicability import check_usable, idle_options, is_guided, unusable
from .edits import EDITS
from .guidance_options import SelfGuidance, incompatibility, scales
from .recipe import Recipe


class Guides(NamedTuple):
    """The other networks that a recipe names to guide its run: a noisy classifier and a weaker model."""

    classifier: Classifier | None = None
    weaker: Model | None = None


NO_GUIDES = Guides()


def guided(
    model: Model,
    recipe: Recipe,
    levels: Levels,
    guides: Guides = NO_GUIDES,
    low_res: torch.Tensor | None = None,
) -> Denoiser:
    """The model bound to the recipe's condition, with all its guidance and without clipping.

    `guides` are the networks that the recipe names. `low_res` replaces the recipe's picture to enlarge, see
    `generate.plan`. Raises `OptionError` for settings that cannot be combined or that the model cannot use.
    """
    check(model, recipe, len(levels) - 1, guides)
    if guides.weaker is not None and recipe.weaker is not None:
        level = levels[0]
        guides.weaker.check(replace(level, t=guides.weaker.schedule.timestep(level.log_snr)))
    low_res_tensor = _low_res_tensor(model, recipe) if low_res is None else low_res
    build = _Builder(model, levels, guides, low_res_tensor)
    denoise = build(recipe)
    if recipe.change.step is not None:
        denoise = switched(denoise, build(recipe.changed()), levels, recipe.change.step)
    return denoise


def condition_of(recipe: Recipe, low_res: torch.Tensor | None = None) -> Condition:
    """The condition of a recipe: label and prompt, one for all pictures or one for each."""
    return Condition(recipe.labels or recipe.label, recipe.prompts or recipe.prompt, low_res)


def limited(denoise: Denoiser, recipe: Recipe, spec: ModelSpec) -> Denoiser:
    """Wrap a denoiser in the recipe's limits on the predicted x0: thresholding or clipping, and a palette.

    These are the outermost wrappers.
    """
    keep_eps = recipe.sampler.keep_eps
    if spec.makes == PICTURES and "threshold_most" not in idle_options(recipe):
        denoise = dynamically_thresholded(
            denoise, recipe.threshold, most=recipe.threshold_most, keep_eps=keep_eps
        )
    elif (bound := clipped_to(recipe, spec)) is not None:
        denoise = clamped(denoise, -bound, bound, keep_eps=keep_eps)
    if recipe.palette.on:
        denoise = in_palette(
            denoise, values(recipe.palette.colours(spec), spec.channels), recipe.palette.below
        )
    return denoise


def clipped_to(recipe: Recipe, spec: ModelSpec) -> float | None:
    """The bound to which a run clips the predicted x0; None where it does not clip. Points have no bounds,
    and dynamic thresholding takes the place of clipping.
    """
    idle = idle_options(recipe)
    clips = spec.makes == PICTURES and "clip_range" not in idle and "threshold_most" in idle
    return recipe.clip_range if clips else None


def check(model: Model, recipe: Recipe, steps: int, guides: Guides) -> None:
    """Raise `OptionError` for guidance that the model, the guides, the sampler or the number of steps do
    not allow.
    """
    spec = model.spec
    check_asked(spec, recipe)
    helpers = ([one] if one else [] for one in (recipe.classifier.name, recipe.weaker))
    reasons = unusable(spec, recipe.sampler, *helpers)
    if is_guided(recipe):
        check_usable(
            reasons, "guidance", "Set guidance to 1, or name a weaker model or a classifier to guide it."
        )
    if recipe.edit is not None:
        check_usable(reasons, f"edit={name_of(EDITS, recipe.edit)}")
    if recipe.reuse > 1:
        check_usable(reasons, "reuse", "Set it to 1.")
    _check_combination(recipe, steps)
    _check_self_guidance(reasons, recipe.self_guidance)
    variance = getattr(recipe.sampler, "variance", "")
    check_usable(reasons, f"sampler.variance={variance}", "Choose 'small', 'large' or 'interpolated'.")
    if recipe.weaker is not None:
        _check_guide("weaker", "weaker model", recipe.weaker, guides.weaker, model)
    if recipe.classifier.on and recipe.classifier.name is not None:
        _check_guide("classifier", "classifier", recipe.classifier.name, guides.classifier, model)
        check_usable(
            reasons,
            f"classifier.form={recipe.classifier.form}",
            "Choose the form 'score', or the sampler ddpm.",
        )


def check_asked(spec: ModelSpec, recipe: Recipe) -> None:
    """Raise `OptionError` for a label or prompt of the recipe that the model does not know or cannot read.

    Negative ones are checked too, whether or not guidance is on.
    """
    for prompt in dict.fromkeys((*recipe.prompts, recipe.prompt, recipe.negative)):
        if prompt is not None:
            spec.prompt_text(prompt)
    for label in dict.fromkeys((*recipe.labels, recipe.label, recipe.negative_label)):
        if label is not None:
            spec.label_index(label)


def _check_combination(recipe: Recipe, steps: int) -> None:
    """Raise `OptionError` for guidance settings that exclude each other, and for a change after the last
    step.
    """
    if recipe.weaker is not None and (recipe.negative is not None or recipe.negative_label is not None):
        raise OptionError(
            "weaker",
            "Guidance leads away from one thing: leave out the weaker model, or the negative label and "
            "prompt.",
        )
    if recipe.reuse > 1 and recipe.self_guidance.on:
        raise OptionError(
            "reuse",
            "Self-guidance alters the network's features, so those of other calls cannot be reused. Set ",
            Setting("reuse"),
            " to 1, or leave ",
            Setting("self_guidance"),
            " out.",
        )
    if recipe.projection.on and recipe.guidance_rescale:
        raise OptionError(
            "guidance_rescale",
            "Projected and rescaled guidance both reduce the glare of strong guidance. Choose one: set ",
            Setting("guidance_rescale"),
            " to 0, or leave projection out.",
        )
    if recipe.cfg_zero.on and (recipe.projection.on or recipe.guidance_rescale):
        other = "projection" if recipe.projection.on else "guidance_rescale"
        raise OptionError(
            "cfg_zero.star",
            "CFG-Zero* has its own formula, which can be neither projected nor rescaled. Choose one: leave ",
            Setting("cfg_zero.star"),
            " out, or ",
            Setting(other),
            ".",
        )
    if recipe.change.step is not None and recipe.change.step >= steps:
        raise OptionError(
            "change.step",
            f"The run has {steps} steps, so it can change at step 1 to {steps - 1}, got {recipe.change.step}."
            if steps > 1
            else "A run of 1 step cannot change on its way.",
        )


def _check_self_guidance(reasons: Mapping[str, str], settings: SelfGuidance) -> None:
    """Raise `OptionError` if the network has nothing that this kind of self-guidance could disturb."""
    if not settings.on:
        return
    check_usable(reasons, "self_guidance", "Leave it out.")
    if settings.name == "skipped_layers" and settings.layers is not None:
        return  # named blocks need not be in the middle
    check_usable(reasons, f"self_guidance={settings.name}", "Choose another kind, or leave it out.")


def _check_guide(field: str, kind: str, name: str, helper: Classifier | Model | None, model: Model) -> None:
    if helper is None:
        raise OptionError(
            field,
            f"The recipe is guided by the {kind} {name!r}, which was not given. Run it with a Studio that "
            "has it, or pass it as an argument.",
        )
    if (why := incompatibility(helper.spec, model.spec)) is not None:
        raise OptionError(
            field, f"The {kind} {name} cannot guide {model.spec.name}: {why}. Choose another one."
        )


@dataclass(frozen=True)
class _Builder:
    """Builds the guided denoiser of a recipe without its change on the way."""

    model: Model
    levels: Levels
    guides: Guides
    low_res: torch.Tensor | None

    def __call__(self, recipe: Recipe) -> Denoiser:
        condition = condition_of(recipe, self.low_res)
        denoise = self._self_guided(recipe, condition)
        classifier = self.guides.classifier
        if classifier is not None and recipe.classifier.on:
            denoise = classifier_guided(
                denoise,
                gradient_of(classifier.seeing(self._classifier_labels(recipe, condition, classifier))),
                recipe.classifier.scale,
                self._ancestral_steps(recipe.sampler) if recipe.classifier.form == "mean" else None,
            )
        return denoise

    def _self_guided(self, recipe: Recipe, condition: Condition) -> Denoiser:
        """With classifier-free (or similar) guidance inside, and self-guidance around it."""
        given, bare = recipe.self_guidance, self.model.conditioned(condition, recipe.reuse)
        if not given.on:
            return self._away_guided(recipe, condition, bare)
        scale: Scale = given.scale
        if recipe.interval.on:
            high = recipe.interval.high
            scale = within_interval(
                scale, recipe.interval.low, float("inf") if high is None else high, off=0.0
            )
        # bound a second time, because a self-conditioned network remembers its last x0 in its denoiser
        worse = Altered(self.model.conditioned(condition), altering(self.model, given))
        pair = PairedDenoiser(bare, worse, lambda level: scale_at(scale, level) != 0)
        return guided_away(self._away_guided(recipe, condition, pair), pair, scale)

    def _away_guided(self, recipe: Recipe, condition: Condition, denoise: Denoiser) -> Denoiser:
        """With guidance away from another prediction: the null condition, the negative ones, or a weaker
        model.
        """
        scale = _scale(recipe, self.levels)
        conditions = (*recipe.labels, *recipe.prompts, recipe.label, recipe.prompt)
        away_from = (recipe.negative, recipe.negative_label, recipe.weaker)
        if scale == 1 or all(one is None for one in conditions + away_from):
            return denoise
        weaker = self.guides.weaker if recipe.weaker is not None else None
        away = self._away(recipe, condition) if weaker is None else _weaker_denoiser(weaker, condition)
        if recipe.projection.on:
            return adaptive_projected(
                denoise, away, scale, parallel=recipe.projection.parallel, radius=recipe.projection.radius
            )
        if recipe.cfg_zero.on:
            silent = recipe.cfg_zero.silent
            return cfg_zero_star(denoise, away, scale, float("inf") if silent is None else silent)
        if recipe.guidance_rescale:
            return rescaled(denoise, away, scale, recipe.guidance_rescale)
        return classifier_free(denoise, away, scale)

    def _away(self, recipe: Recipe, condition: Condition) -> Denoiser:
        """The denoiser that guidance leads away from.

        Its condition has the negative label and prompt; without them the null label and null prompt, as far
        as the model was trained with them.
        """
        network = self.model.spec.network
        keeps_label = network.text is not None and not network.null_class
        keeps_prompt = network.text is not None and not network.text.null and network.null_class
        label, prompt = recipe.negative_label, recipe.negative
        return self.model.conditioned(
            Condition(
                label if label is not None else condition.label if keeps_label else None,
                prompt if prompt is not None else condition.prompt if keeps_prompt else None,
                condition.low_res,
            ),
            recipe.reuse,
        )

    def _ancestral_steps(self, sampler: Sampler) -> AncestralSteps:
        return AncestralSteps(self.levels, lambda level, p: sampler.variance_share(level, p.variance))

    def _classifier_labels(
        self, recipe: Recipe, condition: Condition, classifier: Classifier
    ) -> str | list[str]:
        """The label that the classifier guides towards, or one for each picture. Raises `OptionError` if
        there is none.
        """
        if recipe.classifier.label is not None:
            return recipe.classifier.label
        labels = [label for label in condition.labels if isinstance(label, str)]
        if len(labels) == len(condition.labels):
            return labels
        which = condition.labels.index(None) + 1
        none = f"picture {which} has none" if len(condition.labels) > 1 else "none is given"
        raise OptionError(
            "classifier.label",
            f"Classifier guidance goes towards a label, and {none}. Choose one: "
            f"{', '.join(classifier.spec.labels)}.",
        )


def altering(model: Model, settings: SelfGuidance) -> Altering:
    """The alteration of the model's network that self-guidance leads away from."""
    layers, network = settings.layer_names, model.network
    if settings.name == "perturbed_attention":
        return identity_attention(network, layers)
    if settings.name == "smoothed_energy":
        return blurred_attention(network, math.inf if settings.blur is None else settings.blur, layers)
    return without_blocks(network, model.spec.network.middle_blocks if layers is None else layers)


def _scale(recipe: Recipe, levels: Levels) -> Scale:
    """The guidance scale over the run: a number or a function of the level, after shape, list and
    interval.
    """
    scale: float | Callable = recipe.guidance
    if (listed := scales(recipe.guidance_scales)) is not None:
        scale = shaped(recipe.guidance, levels, listed)
    elif recipe.guidance_shape != "constant" and scale != 1:
        scale = shaped(scale, levels, recipe.guidance_shape)
    if recipe.interval.on and scale != 1:
        high = recipe.interval.high
        scale = within_interval(scale, recipe.interval.low, float("inf") if high is None else high)
    return scale


def _low_res_tensor(model: Model, recipe: Recipe) -> torch.Tensor | None:
    """The recipe's picture to enlarge as a tensor (1, C, h, w) in [-1, 1], or None. The model checks
    whether it takes one.
    """
    given = recipe.low_res
    if given is not None and model.spec.low_res is not None:
        given = given.fitted(model.spec.low_res, model.spec.channels)
    return None if given is None else from_uint8(given.pixels[None].copy())


def _weaker_denoiser(weaker: Model, condition: Condition) -> Denoiser:
    """The weaker model bound to the same condition, as far as it takes one, at the same noise-to-signal
    ratio.
    """
    denoise = weaker.denoiser(
        condition.label if weaker.spec.labels else None, condition.prompt if weaker.spec.takes_text else None
    )
    return at_schedule(denoise, weaker.schedule)
