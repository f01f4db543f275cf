"""Diffusion Studio: watch, understand and animate diffusion models.

import diffusion_studio as ds
studio = ds.Studio("checkpoints")
studio.run(studio.recipe("fashion-mnist", label="Sneaker")).save("sneaker.gif", scale=8)
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# The module of each public name. It is imported on first use, so that parsing arguments does not load torch.
_HOME = {
    "Studio": "studio",
    "ModelCard": "studio",
    "Recipe": "runs.recipe",
    "Trajectory": "runs.trajectory",
    "Frame": "imaging.frame",
    "Interval": "runs.guidance_options",
    "Projection": "runs.guidance_options",
    "ByClassifier": "runs.guidance_options",
    "Change": "runs.guidance_options",
    "Palette": "runs.guidance_options",
    "Picture": "imaging.picture",
    "EDITS": "runs.edits",
    "FromPicture": "runs.edits",
    "Inpaint": "runs.edits",
    "Invert": "runs.edits",
    "Interpolate": "runs.edits",
    "Morph": "runs.edits",
    "Travel": "runs.edits",
    "Branch": "runs.branch",
    "ModelSpec": "checkpoint.spec",
    "Model": "models.model",
    "Condition": "models.condition",
    "load": "models.model",
    "ExportOptions": "export",
    "FORMATS": "export",
    "NoiseLevel": "diffusion.schedule",
    "NoiseSchedule": "diffusion.schedule",
    "SCHEDULES": "diffusion.schedule",
    "Noise": "diffusion.noise",
    "Prediction": "diffusion.prediction",
    "PARAMETRIZATIONS": "diffusion.prediction",
    "SPACINGS": "diffusion.spacing",
    "Spacing": "diffusion.spacing",
    "path": "diffusion.spacing",
    "Denoiser": "diffusion.denoiser",
    "classifier_free": "diffusion.guidance",
    "rescaled": "diffusion.guidance",
    "adaptive_projected": "diffusion.guidance",
    "AncestralSteps": "diffusion.guidance",
    "classifier_guided": "diffusion.guidance",
    "gradient_of": "diffusion.guidance",
    "at_schedule": "diffusion.guidance",
    "clamped": "diffusion.guidance",
    "dynamically_thresholded": "diffusion.guidance",
    "in_palette": "diffusion.guidance",
    "perturbed_attention": "diffusion.guidance",
    "smoothed_energy": "diffusion.guidance",
    "skipped_layers": "diffusion.guidance",
    "cfg_zero_star": "diffusion.guidance",
    "shaped": "diffusion.guidance",
    "within_interval": "diffusion.guidance",
    "switched": "diffusion.guidance",
    "DDIM": "diffusion.samplers",
    "DDPM": "diffusion.samplers",
    "SAMPLERS": "diffusion.samplers",
    "Levels": "diffusion.levels",
    "Sampler": "diffusion.samplers",
    "Step": "diffusion.samplers",
    "sample": "diffusion.sampling",
    "UNet": "networks.unet",
    "UNetConfig": "networks.config",
    "TextConfig": "networks.tokens",
    "Classifier": "models.classifier",
    "load_classifier": "models.classifier",
    "read_config": "training.config_file",
    "train_config": "training.config_file",
    "TrainConfig": "training.config",
    "TrainStep": "training.loop",
    "train": "training.loop",
    "EvalConfig": "metrics.config",
    "evaluate": "metrics.evaluate",
    "race": "compare.race",
    "Race": "compare.race",
    "RaceRecipe": "compare.recipes",
    "read_race": "compare.recipes",
    "grid": "compare.grid",
    "Grid": "compare.grid",
    "GridRecipe": "compare.recipes",
    "read_grid": "compare.recipes",
    "CLOCKS": "compare.clocks",
    "StudioError": "errors",
    "CheckpointWarning": "errors",
}
__all__ = ["__version__", "inside", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]  imported lazily


def __getattr__(name: str) -> Any:
    if name == "inside":  # a package, used as ds.inside.attention(...)
        return importlib.import_module(f"{__name__}.inside")
    if name not in _HOME:
        raise AttributeError(f"module 'diffusion_studio' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
