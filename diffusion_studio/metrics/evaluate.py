"""Evaluate a model: draw pictures, compute features, compare. Resumable, and shared between processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoint.spec import POINTS
from ..models.classifier import Classifier
from ..models.model import Model
from ..runs.recipe import Recipe
from . import bits
from .config import EvalConfig
from .figures import FIGURES
from .parts import Job, Progress, World
from .picture_evaluation import PictureEvaluation
from .pictures import default_recipe
from .point_evaluation import PointEvaluation
from .point_figures import POINT_FIGURES

COMPARED = {"frechet", "kernel", "precision-recall"}
FEATURED = COMPARED | {"score"}
DRAWN = FEATURED | {"labels", "neighbours", "psnr"}
BITS = ("bound", "flow")
VERSION = 1


def evaluate(
    model: Model,
    config: EvalConfig,
    recipe: Recipe | None = None,
    folder: str | Path = "runs/evaluate",
    progress: Progress | None = None,
    world: World | None = None,
    classifier: Classifier | None = None,
    weaker: Model | None = None,
) -> dict[str, Any] | None:
    """The figures that `config` asks for, as a JSON object; None on all processes but the first.

    `recipe` determines how pictures are drawn (sampler, steps, guidance, ...), by default with the model's
    own settings; its label and seeds are ignored. `classifier` and `weaker` are the networks that it names
    for guidance. For a model without labels the labels are then the classifier's. A model that enlarges is
    given the real pictures, scaled down. A model of points is compared with true points (`POINT_METRICS`).

    Slow results are kept in `folder`: pictures and features by seed, features of real pictures, terms of the
    bound. They are not computed again. So a stopped evaluation continues, more pictures only cost the
    additional ones, and another figure needs no new pictures. Another recipe, or other weights of model or
    guides, use another folder. Under torchrun the processes share the work, and pictures do not depend on
    their number. `progress(what, done, total)` is called on the first process.

    Raises `StudioError`s for what cannot be measured, before anything is drawn where that can be known.
    """
    world = world or World.from_environment()
    names = config.metric_names(model.spec)
    with world.together() as wait:
        kind = PointEvaluation if model.spec.makes == POINTS else PictureEvaluation
        run = kind(
            model,
            config,
            recipe or default_recipe(model.spec),
            Path(folder),
            progress if world.rank == 0 else None,
            classifier,
            weaker,
        )
        _check(run, names)
        for title, jobs in _jobs(run, names).items():
            world.share(title, jobs, run.progress)
        wait()  # until all parts are there
        report = _report(run, names) if world.rank == 0 else None
        wait()  # if one process left early, the others would fail
        return report


def _check(run: PictureEvaluation | PointEvaluation, names: tuple[str, ...]) -> None:
    """Raise the errors of an evaluation that can be known before anything is drawn."""
    if isinstance(run, PointEvaluation):
        run.check()
    else:
        if _uses_features(run, names):
            _ = run.network
        if DRAWN & {*names}:
            _ = run.generated_pictures
        if COMPARED & {*names}:
            _ = run.real
    for name in names:
        _figures(run)[name].check(run)


def _judges_features(run: PictureEvaluation, names: tuple[str, ...]) -> bool:
    """Whether labels are judged from features."""
    return "labels" in names and run.config.judge == "features"


def _uses_features(run: PictureEvaluation, names: tuple[str, ...]) -> bool:
    """Whether the feature network sees generated pictures."""
    return bool(FEATURED & {*names}) or _judges_features(run, names)


def _figures(run: PictureEvaluation | PointEvaluation) -> Mapping[str, Any]:
    return POINT_FIGURES if isinstance(run, PointEvaluation) else FIGURES


def _jobs(run: PictureEvaluation | PointEvaluation, names: tuple[str, ...]) -> dict[str, list[Job]]:
    """The jobs that processes can share, in order, by title."""
    jobs: dict[str, list[Job]] = {}
    if isinstance(run, PointEvaluation):
        if set(names) - {*BITS}:
            jobs["generating"] = run.jobs()
        return jobs | {f"bits per dimension, {name}": run.bits_jobs(name) for name in BITS if name in names}
    if DRAWN & {*names}:
        jobs["generating"] = run.generated_pictures.jobs()
    if _uses_features(run, names):
        features_part = run.generated_features_part
        jobs["features of generated pictures"] = [
            Job(lambda tick, batch=batch: features_part(batch), 1) for batch in run.generated_pictures.batches
        ]
    caches = [run.real_features] if COMPARED & {*names} else []
    if _judges_features(run, names):
        caches += [cache for cache, _ in (run.judge_training_set, run.judge_test_set) if cache not in caches]
    if caches:
        jobs["features of real pictures"] = [
            Job(lambda tick, cache=cache, at=at: cache.part(at), 1) for cache in caches for at in cache.parts
        ]
    for name in BITS:
        if name in names:
            jobs[f"bits per dimension, {name}"] = bits.jobs(run, name)
    return jobs


def _report(run: PictureEvaluation | PointEvaluation, names: tuple[str, ...]) -> dict[str, Any]:
    """All figures, with the settings that they depend on."""
    spec, config = run.model.spec, run.config
    report: dict[str, Any] = {
        "diffusion-studio evaluation": VERSION,
        "model": spec.name,
        "images_seen": spec.provenance.get("images_seen"),
        "device": str(run.model.device),
        "precision": str(run.model.dtype).removeprefix("torch."),
        "data": config.data,
    }
    if isinstance(run, PointEvaluation):
        report |= {"points": run.count * len(run.labels)}
        labels, folder = run.labels != (None,), run.generated_folder
    elif drawn := set(names) & DRAWN:
        report |= {"pictures": len(run.generated_pictures)}
        labels, folder = bool(run.label_spec.labels), run.generated_pictures.folder
    if isinstance(run, PointEvaluation) or drawn:
        report |= {
            "labels": config.labels if labels else None,
            "first_seed": config.seed,
            "recipe": json.loads(run.recipe.to_json()),
            "kept_in": str(folder),
        }
    if isinstance(run, PictureEvaluation) and _uses_features(run, names):
        report["features"] = {
            "network": run.network.kind.title,
            "weights": run.network.digest[:16],
            "preprocessing": run.network.kind.preprocessing,
        }
    figures = {}
    for k, name in enumerate(names):
        if run.progress is not None:
            run.progress("figures", k, len(names))
        figures[name] = _figures(run)[name].measure(run)
    if run.progress is not None:
        run.progress("figures", len(figures), len(figures))
    return {**report, "figures": figures}
