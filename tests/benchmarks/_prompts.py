"""Pictures of many prompts at once, with a model's own settings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path
from tqdm import tqdm

import diffusion_studio as ds
from diffusion_studio.diffusion.guidance import classifier_free
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging import arrays
from diffusion_studio.runs.guidance_builder import limited

DRAWN_TOGETHER = 32
SERVED = (
    "model",
    "steps",
    "sampler",
    "spacing",
    "guidance",
    "clip",
    "threshold",
    "negative",
    "palette",
)  # what `drawn` reads of a recipe


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The flags of `recipe_for`."""
    parser.add_argument("--guidance", type=float, help="by default as suits the model, as are the next four")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--sampler", help='name, or JSON with options: {"name": "ddim", "eta": 1}')
    parser.add_argument("--spacing")
    parser.add_argument("--palette", help="'' for none")


def recipe_for(model: ds.Model, asked: argparse.Namespace) -> ds.Recipe:
    """The model's default settings with those that were asked for."""
    if not model.spec.takes_text:
        raise OptionError(
            "model",
            f"{model.spec.name} reads no text, so nothing can be asked for. Give a model of captions.",
        )
    changes = {
        name: getattr(asked, name)
        for name in ("guidance", "steps", "spacing", "palette")
        if getattr(asked, name) is not None
    }
    if asked.sampler is not None:
        changes["sampler"] = json.loads(asked.sampler) if asked.sampler.startswith("{") else asked.sampler
    defaults = {
        name: value for name, value in model.spec.defaults.items() if name not in ("label", "count", "prompt")
    }
    recipe = ds.Recipe.from_settings({"model": model.spec.name, **defaults, **changes})
    plain = ds.Recipe()
    if further := [
        one.name
        for one in fields(ds.Recipe)
        if one.name not in SERVED and getattr(recipe, one.name) != getattr(plain, one.name)
    ]:
        raise OptionError(
            "model",
            f"{model.spec.name} is drawn with {', '.join(further)} by default, which this script does not do.",
        )
    return recipe


def drawn(
    model: ds.Model, prompts: Sequence[str], recipe: ds.Recipe, seed: int, labels: Sequence[str] | None = None
) -> np.ndarray:
    """(N, H, W, C) uint8, a picture of each prompt and label: many together, which a recipe has not."""
    levels = Levels(ds.path(model.schedule, recipe.steps, recipe.spacing), model.schedule)
    made = []
    with tqdm(total=len(prompts) * recipe.steps, desc="drawing", unit="step") as bar:
        for first in range(0, len(prompts), DRAWN_TOGETHER):
            some = slice(first, first + DRAWN_TOGETHER)
            texts = list(prompts[some])
            denoise = model.denoiser(None if labels is None else list(labels[some]), texts)
            if recipe.guidance != 1:
                denoise = classifier_free(denoise, model.denoiser(prompt=recipe.negative), recipe.guidance)
            noise = ds.Noise(
                tuple(range(seed + first, seed + first + len(texts))),
                model.shape,
                model.device,
                torch.float32,
            )
            for step in ds.sample(
                recipe.sampler, limited(denoise, recipe, model.spec), noise(0), levels, noise
            ):
                bar.update(len(texts) if step.index else 0)
            made.append(arrays.to_uint8(step.x))
    return np.concatenate(made)
