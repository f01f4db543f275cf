"""Evaluate a model: draw, look through the feature network, compare. Resumable and shared between
processes.
"""

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
from .clouds import Clouds
from .config import EvalConfig
from .figures import FIGURES
from .parts import Job, Progress, World
from .pictures import default_recipe
from .point_figures import POINT_FIGURES
from .session import Session

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
    """The figures that `config` asks for, as an object that is ready for JSON; None on all but the first
    process.

    The recipe says how to draw (sampler, steps, guidance, ...); left out it is the model's own, and its label
    and seeds are not read. `classifier` and `weaker` are what it names to guide it; of a model without labels
    the labels to draw are then the classifier's. A model that enlarges is given the real pictures, made
    small; one of points is compared with true points (`POINT_METRICS`).

    Everything that takes long is kept in `folder`: pictures and features by seed, real features, terms of the
    bound. What is there is not made again, so a stopped evaluation goes on, more pictures take only the time
    of the further ones, and another figure takes no new pictures; another recipe, or other weights of what
    guides it, have a folder of their own. Under torchrun the processes share the work, and a picture is the
    same at any number of them. `progress(what, done, total)` is called on the first process.

    Raises `StudioError`s for what does not fit, before anything is drawn where that can be known.
    """
    world = world or World.from_environment()
    wanted = config.wanted(model.spec)
    with world.together() as wait:
        kind = Clouds if model.spec.makes == POINTS else Session
        run = kind(
            model,
            config,
            recipe or default_recipe(model.spec),
            Path(folder),
            progress if world.rank == 0 else None,
            classifier,
            weaker,
        )
        _check(run, wanted)
        for title, jobs in _jobs(run, wanted).items():
            world.share(title, jobs, run.progress)
        wait()  # for the parts of all
        report = _report(run, wanted) if world.rank == 0 else None
        wait()  # a process that has left would take its neighbours with it
        return report


def _check(run: Session | Clouds, wanted: tuple[str, ...]) -> None:
    """Raise what stands against the evaluation before anything is drawn."""
    if isinstance(run, Clouds):
        run.check()
    else:
        if _featured(run, wanted):
            _ = run.network
        if DRAWN & {*wanted}:
            _ = run.drawn
        if COMPARED & {*wanted}:
            _ = run.real
    for name in wanted:
        _figures(run)[name].check(run)


def _judged(run: Session, wanted: tuple[str, ...]) -> bool:
    """Whether a judge looks at features."""
    return "labels" in wanted and run.config.judge == "features"


def _featured(run: Session, wanted: tuple[str, ...]) -> bool:
    """Whether the feature network looks at generated pictures."""
    return bool(FEATURED & {*wanted}) or _judged(run, wanted)


def _figures(run: Session | Clouds) -> Mapping[str, Any]:
    return POINT_FIGURES if isinstance(run, Clouds) else FIGURES


def _jobs(run: Session | Clouds, wanted: tuple[str, ...]) -> dict[str, list[Job]]:
    """What can be shared between processes, in order."""
    found: dict[str, list[Job]] = {}
    if isinstance(run, Clouds):
        if set(wanted) - {*BITS}:
            found["generating"] = run.jobs()
        return found | {f"bits per dimension, {name}": run.bits_jobs(name) for name in BITS if name in wanted}
    if DRAWN & {*wanted}:
        found["generating"] = run.drawn.jobs()
    if _featured(run, wanted):
        made = run.made_part
        found["features of generated pictures"] = [
            Job(lambda tick, batch=batch: made(batch), 1) for batch in run.drawn.asked
        ]
    real = [run.seen] if COMPARED & {*wanted} else []
    if _judged(run, wanted):
        real += [seen for seen, _ in (run.lesson, run.exam) if seen not in real]
    if real:
        found["features of real pictures"] = [
            Job(lambda tick, seen=seen, at=at: seen.part(at), 1) for seen in real for at in seen.parts
        ]
    for name in BITS:
        if name in wanted:
            found[f"bits per dimension, {name}"] = bits.jobs(run, name)
    return found


def _report(run: Session | Clouds, wanted: tuple[str, ...]) -> dict[str, Any]:
    """All figures, with everything that they depend on."""
    spec, config = run.model.spec, run.config
    told: dict[str, Any] = {
        "diffusion-studio evaluation": VERSION,
        "model": spec.name,
        "images_seen": spec.provenance.get("images_seen"),
        "device": str(run.model.device),
        "precision": str(run.model.dtype).removeprefix("torch."),
        "data": config.data,
    }
    if isinstance(run, Clouds):
        told |= {"points": run.count * len(run.labels)}
        labels, folder = run.labels != (None,), run.kept_in
    elif drawn := set(wanted) & DRAWN:
        told |= {"pictures": len(run.drawn)}
        labels, folder = bool(run.known.labels), run.drawn.folder
    if isinstance(run, Clouds) or drawn:
        told |= {
            "labels": config.labels if labels else None,
            "first_seed": config.seed,
            "recipe": json.loads(run.recipe.to_json()),
            "kept_in": str(folder),
        }
    if isinstance(run, Session) and _featured(run, wanted):
        told["features"] = {
            "network": run.network.kind.title,
            "weights": run.network.digest[:16],
            "preprocessing": run.network.kind.preprocessing,
        }
    figures = {}
    for k, name in enumerate(wanted):
        if run.progress is not None:
            run.progress("figures", k, len(wanted))
        figures[name] = _figures(run)[name].measure(run)
    if run.progress is not None:
        run.progress("figures", len(figures), len(figures))
    return {**told, "figures": figures}
