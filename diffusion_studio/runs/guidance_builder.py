"""A recipe's guidance on a model: the denoiser that its run asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ..checkpoint.spec import PICTURES, ModelSpec
from ..diffusion.denoiser import Denoiser
from ..diffusion.guidance import (
    AncestralSteps,
    Scale,
    Share,
    adaptive_projected,
    at_schedule,
    clamped,
    classifier_free,
    classifier_guided,
    dynamically_thresholded,
    gradient_of,
    in_palette,
    rescaled,
    shaped,
    switched,
    within_interval,
)
from ..diffusion.levels import Levels
from ..diffusion.prediction import Prediction
from ..diffusion.samplers import DDIM, DDPM, EulerAncestral
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError
from ..imaging.arrays import from_uint8, values
from ..models.classifier import Classifier
from ..models.model import Model
from .guidance_options import incompatibility, scales
from .recipe import Recipe


def guided(
    model: Model,
    recipe: Recipe,
    levels: Levels,
    classifier: Classifier | None = None,
    weaker: Model | None = None,
    low_res: torch.Tensor | None = None,
) -> Denoiser:
    """The model bound to the recipe's condition, with all its guidance; nothing clipped.

    `classifier` and `weaker` are what the recipe names so; `low_res` takes the place of its picture to
    enlarge, see `generate.plan`. Raises `OptionError` for what does not go together.
    """
    check(model, recipe, len(levels) - 1, classifier, weaker)
    if weaker is not None and recipe.weaker is not None:
        weaker.check(replace(levels[0], t=weaker.schedule.timestep(levels[0].log_snr)))
    small = _small(model, recipe) if low_res is None else low_res
    denoise = _one(model, recipe, levels, classifier, weaker, small)
    if recipe.change.on:
        after = _one(model, recipe.changed(), levels, classifier, weaker, small)
        denoise = switched(denoise, after, levels, recipe.change.step)
    return denoise


def limited(denoise: Denoiser, recipe: Recipe, spec: ModelSpec) -> Denoiser:
    """With the recipe's limits on the predicted picture, which are outermost: thresholding or clipping,
    and a palette.
    """
    if spec.makes == PICTURES:  # points have no range to keep
        keep_eps = isinstance(recipe.sampler, DDIM) and recipe.sampler.keep_eps
        if recipe.threshold < 1:
            denoise = dynamically_thresholded(
                denoise, recipe.threshold, most=recipe.threshold_most, keep_eps=keep_eps
            )
        elif recipe.clip:
            denoise = clamped(denoise, -recipe.clip_range, recipe.clip_range, keep_eps=keep_eps)
    if recipe.palette.on:
        denoise = in_palette(
            denoise, values(recipe.palette.colours(spec), spec.channels), recipe.palette.below
        )
    return denoise


def check(
    model: Model, recipe: Recipe, steps: int, classifier: Classifier | None, weaker: Model | None
) -> None:
    """Raise `OptionError` for guidance that this model, these helpers, the sampler or a run of so many
    steps cannot serve.
    """
    spec = model.spec
    for prompt in (
        recipe.prompt,
        recipe.negative,
    ):  # what the model cannot read is said whatever the guidance
        if prompt is not None:
            spec.prompt_text(prompt)
    for label in (recipe.label, recipe.negative_label):
        if label is not None:
            spec.label_index(label)
    if not spec.labels and not spec.takes_text and recipe.weaker is None and not _off(recipe):
        raise OptionError(
            f"{spec.name} takes neither label nor prompt, so guidance has nothing to strengthen. Set "
            "guidance to 1, or name a weaker model or a classifier to guide it."
        )
    _check_combination(recipe, steps)
    if (
        isinstance(recipe.sampler, DDPM)
        and recipe.sampler.variance == "learned"
        and not spec.learned_variance
    ):
        raise OptionError(
            f"variance 'learned' needs a model that predicts its variance, and {spec.name} does not. Choose "
            "'small', 'large' or 'interpolated'."
        )
    if recipe.weaker is not None:
        _check_helper("weaker model", recipe.weaker, weaker, model)
    if recipe.classifier.on:
        _check_helper("classifier", recipe.classifier.name, classifier, model)
        if recipe.classifier.form == "mean" and not _ancestral(recipe):
            raise OptionError(
                "Classifier guidance in the form 'mean' moves the mean of ancestral steps, which this "
                "sampler does not take. Choose the form 'score', or the sampler ddpm."
            )


def _check_combination(recipe: Recipe, steps: int) -> None:
    """Raise `OptionError` for settings of guidance that exclude each other, or a change after the end."""
    if recipe.weaker is not None and (recipe.negative is not None or recipe.negative_label is not None):
        raise OptionError(
            "Guidance leads away from one thing: leave out the weaker model, or the negative label and "
            "prompt."
        )
    if recipe.projection.on and recipe.guidance_rescale:
        raise OptionError(
            "Projected and rescaled guidance both mend the glare of strong guidance. Choose one: set "
            "guidance_rescale to 0, or leave projection out."
        )
    if recipe.change.on and recipe.change.step >= steps:
        raise OptionError(
            f"The run has {steps} steps, so it can change at step 1 to {steps - 1}, got {recipe.change.step}."
            if steps > 1
            else "A run of 1 step cannot change on its way."
        )


def _check_helper(kind: str, name: str, helper: Classifier | Model | None, model: Model) -> None:
    if helper is None:
        raise OptionError(
            f"The recipe is guided by the {kind} {name!r}, which was not given. Run it with a Studio that "
            "has it, or pass it on."
        )
    if (why := incompatibility(helper.spec, model.spec)) is not None:
        raise OptionError(f"The {kind} {name} cannot guide {model.spec.name}: {why}. Choose another one.")


def _ancestral(recipe: Recipe) -> bool:
    return (
        isinstance(recipe.sampler, DDPM)
        or isinstance(recipe.sampler, (DDIM, EulerAncestral))
        and recipe.sampler.eta == 1
    )


def _off(recipe: Recipe) -> bool:
    """Whether the recipe's guidance is 1 at all times."""
    return all(one.guidance == 1 and one.guidance_scales is None for one in (recipe, recipe.changed()))


def _one(
    model: Model,
    recipe: Recipe,
    levels: Levels,
    classifier: Classifier | None,
    weaker: Model | None,
    small: torch.Tensor | None,
) -> Denoiser:
    """The guided denoiser of a recipe that does not change on its way."""
    denoise = model.denoiser(recipe.label, recipe.prompt, small)
    asked = (recipe.label, recipe.prompt, recipe.negative, recipe.negative_label, recipe.weaker)
    scale = _scale(recipe, levels)
    if scale != 1 and any(one is not None for one in asked):
        away = (
            _away(model, recipe, small)
            if weaker is None or recipe.weaker is None
            else _of_weaker(weaker, recipe)
        )
        if recipe.projection.on:
            denoise = adaptive_projected(
                denoise, away, scale, parallel=recipe.projection.parallel, radius=recipe.projection.radius
            )
        elif recipe.guidance_rescale:
            denoise = rescaled(denoise, away, scale, recipe.guidance_rescale)
        else:
            denoise = classifier_free(denoise, away, scale)
    if classifier is not None and recipe.classifier.on:
        label = recipe.classifier.label or recipe.label
        if label is None:
            raise OptionError(
                "Classifier guidance goes towards a label, and none is given. Choose one: "
                f"{', '.join(classifier.spec.labels)}."
            )
        denoise = classifier_guided(
            denoise,
            gradient_of(classifier.seeing(label)),
            recipe.classifier.scale,
            AncestralSteps(levels, _variance_share(recipe.sampler))
            if recipe.classifier.form == "mean"
            else None,
        )
    return denoise


def _variance_share(sampler: Any) -> Share:
    """Where the variance of a sampler's ancestral steps lies between the posterior's (0) and beta (1), in
    logarithm.
    """

    def share(level: NoiseLevel, p: Prediction) -> float | torch.Tensor:
        if not isinstance(sampler, DDPM):  # DDIM and Euler at eta 1 take the posterior's
            return 0.0
        if sampler.variance == "learned":
            return (
                p.variance
                if p.variance is not None and level.sigma >= sampler.learned_above * level.alpha
                else 0.0
            )
        return {"small": 0.0, "large": 1.0, "interpolated": float(sampler.interpolation)}[sampler.variance]

    return share


def _scale(recipe: Recipe, levels: Levels) -> Scale:
    """Guidance over the run: a number, a shape or a list, in its interval."""
    scale: float | Callable = recipe.guidance
    if (listed := scales(recipe.guidance_scales)) is not None:
        scale = shaped(recipe.guidance, levels, listed)
    elif recipe.guidance_shape != "constant" and scale != 1:
        scale = shaped(scale, levels, recipe.guidance_shape)
    if recipe.interval.on and scale != 1:
        high = recipe.interval.high
        scale = within_interval(scale, recipe.interval.low, float("inf") if high is None else high)
    return scale


def _away(model: Model, recipe: Recipe, small: torch.Tensor | None) -> Denoiser:
    """What guidance leads away from: the negatives, or else "any" of all that the model knows an "any" of."""
    network = model.spec.network
    label = recipe.label if network.text is not None and not network.null_class else None
    prompt = (
        recipe.prompt if network.text is not None and not network.text.null and network.null_class else None
    )
    return model.denoiser(
        label if recipe.negative_label is None else recipe.negative_label,
        prompt if recipe.negative is None else recipe.negative,
        small,
    )


def _small(model: Model, recipe: Recipe) -> torch.Tensor | None:
    """The picture to enlarge as the model takes it; whether it takes one is for the model to say."""
    given = recipe.low_res
    if given is not None and model.spec.low_res is not None:
        given = given.fitted(model.spec.low_res, model.spec.channels)
    return None if given is None else from_uint8(given.pixels[None].copy())


def _of_weaker(weaker: Model, recipe: Recipe) -> Denoiser:
    """What the weaker model sees of the same condition, as far as it takes one, at the same noise."""
    denoise = weaker.denoiser(
        recipe.label if weaker.spec.labels else None, recipe.prompt if weaker.spec.takes_text else None
    )
    return at_schedule(denoise, weaker.schedule)
