"""What an evaluation of a model of points compares: clouds by seed, and true points of each label."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data import points
from ..data.points import PointData
from ..diffusion.noise import Noise
from ..diffusion.sampling import sample
from ..errors import DataError, OptionError, Setting
from ..models.classifier import Classifier
from ..models.model import Model
from ..runs import generate
from ..runs.guidance_builder import Guides
from ..runs.recipe import Recipe
from . import bits
from .bound import bound_terms
from .config import EvalConfig
from .flow import log_likelihood
from .parts import Arrays, Job, Progress, Tick, kept
from .pictures import Drawing, digest, fingerprint, labelled, labels_asked

MOST = 50_000  # points of a label: figures look at every pair
BITS = 1000  # true points whose likelihood is measured by default


@dataclass(frozen=True)
class Cloud:
    """One run of the recipe: as many points as it has."""

    label: str | None
    seed: int


class Clouds:
    """One evaluation's points, each made or read when it is first asked for. Figures are of each label by
    itself.
    """

    def __init__(
        self,
        model: Model,
        config: EvalConfig,
        recipe: Recipe,
        folder: Path,
        progress: Progress | None,
        classifier: Classifier | None = None,
        weaker: Model | None = None,
    ) -> None:
        self.model, self.config, self.recipe, self.folder, self.progress = (
            model,
            config,
            recipe,
            folder,
            progress,
        )
        self.drawing = Drawing(model, recipe, classifier, weaker)
        self.labels = labels_asked(model.spec, config.labels)
        self.count = config.pictures
        self.real_count = config.real or config.pictures

    def check(self) -> None:
        """Raise what stands against drawing and comparing, before anything is drawn."""
        if self.recipe.edit is not None or self.recipe.branch is not None:
            raise OptionError(
                "recipe",
                "An evaluation of points draws them from noise. Leave the recipe's edit and branch out.",
            )
        if (most := max(self.count, self.real_count)) > MOST:
            raise OptionError(
                "pictures",
                f"Figures of points look at every pair, so at most {MOST:,} for each label; {most:,} were "
                "asked for. Ask for fewer ",
                Setting("pictures"),
                ", or fewer ",
                Setting("real"),
                ".",
            )
        self.drawing.check(self.labels)
        for label in self.labels:
            self.real(label)

    # ---- true points

    @cached_property
    def _loaded(self) -> dict[str, PointData]:
        if not points.is_points(self.config.data):
            raise DataError(
                f"{self.model.spec.name} makes points, and {self.config.data!r} is no set of them. Give one "
                f"of {', '.join(points.POINT_SETS)}, {points.SHAPES}, a .csv, an .npz with 'points', or a "
                "picture of a shape."
            )
        return {split: points.load(self.config.data, split) for split in ("train", "test")}

    def true(self, label: str | None, split: str) -> np.ndarray:
        """(N, 2) float64: all points of a label in a split, in an order that is always the same one by
        chance.
        """
        found = self._loaded[split]
        if label is not None and label in found.names:
            found = found.only([label])
        elif label is not None and (found.names or len(self.labels) > 1):
            raise DataError(
                f"{self.config.data} has the labels {', '.join(found.names) or 'none'}, not {label!r} of "
                f"{self.model.spec.name}. Give data with its labels, or choose one with --labels, or 'any'."
            )
        order = np.random.Generator(np.random.Philox(0)).permutation(len(found.points))
        return found.points[order].astype(np.float64)

    def real(self, label: str | None) -> np.ndarray:
        """The true points that those of the label are compared with."""
        found = self.true(label, self.config.split)
        if len(found) < self.real_count:
            raise DataError(
                f"{self.real_count:,} true points {'' if label is None else f'of {label} '}were asked for; "
                f"{self.config.data} has {len(found):,}. Ask for fewer with --real."
            )
        return found[: self.real_count]

    def other(self, label: str | None) -> np.ndarray | None:
        """As many true points as are generated, apart from `real`: what a perfect model would draw. None
        where there are not enough.
        """
        found = self.true(label, self.config.split)[self.real_count :][: self.count]
        return found if len(found) == self.count else None

    # ---- generated ones

    @property
    def asked(self) -> list[Cloud]:
        """Cloud j of label l has the seed first + j * labels + l, so that asking for more points keeps
        those there are.
        """
        runs, first = -(-self.count // self.recipe.points), self.config.seed
        return [
            Cloud(label, first + j * len(self.labels) + k)
            for j in range(runs)
            for k, label in enumerate(self.labels)
        ]

    @cached_property
    def kept_in(self) -> Path:
        return self.folder / self.drawing.name

    def part(self, cloud: Cloud, tick: Tick = lambda count: None) -> Arrays:
        """`points` (recipe.points, 2), as the sampler left them."""

        def make() -> Arrays:
            recipe = replace(labelled(self.model, self.recipe, cloud.label), seeds=(cloud.seed,))
            made = generate.plan(self.model, recipe, Guides(self.drawing.classifier, self.drawing.weaker))
            for step in sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise):
                if step.index:
                    tick(1)
            return {"points": step.x[0].cpu().numpy()}

        return kept(self.kept_in / "clouds" / f"{self.drawing.kind(cloud.label)}-{cloud.seed}.npz", make)

    def made(self, label: str | None) -> np.ndarray:
        """(count, 2) float64. Raises `DataError` where the run went to infinity."""
        found = np.concatenate([self.part(cloud)["points"] for cloud in self.asked if cloud.label == label])[
            : self.count
        ]
        if not np.isfinite(found).all():
            raise DataError(
                "The points that were generated are not all finite numbers, so there is nothing to compare. "
                "Choose more steps, less guidance or another sampler."
            )
        return found.astype(np.float64)

    def jobs(self) -> list[Job]:
        return [
            Job(lambda tick, cloud=cloud: self.part(cloud, tick), self.recipe.steps) for cloud in self.asked
        ]

    # ---- likelihood

    def test(self, label: str | None) -> np.ndarray:
        """True points of the test split whose bits are measured, the same number of each label."""
        found = self.true(label, "test")
        return found[: max(1, (self.config.bits_pictures or BITS) // len(self.labels))]

    def bits_part(self, name: str, label: str | None, tick: Tick = lambda count: None) -> Arrays:
        """Of a label's test points: for the bound `terms` (levels + 1, N) and `t`, for the flow `bits`
        (N,), all in bits per dimension of the density.
        """
        x, config = self.test(label), self.config
        settings = (config.bound_steps, bits.variance(self)) if name == "bound" else config.flow_steps
        told = f"points {self.model_digest} {fingerprint(x)} {label} {settings}"

        def make() -> Arrays:
            denoise = bits.in_double(self.model, label)
            return (self._bound if name == "bound" else self._flow)(denoise, torch.from_numpy(x), tick)

        return kept(
            self.folder / "bits" / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:20]}.npz", make
        )

    def _bound(self, denoise: bits.Denoiser, x0: torch.Tensor, tick: Tick) -> Arrays:
        cloud = Noise((0,), tuple(x0.shape), dtype=torch.float64)
        found, at = [], []
        for t, term in bound_terms(
            denoise,
            x0,
            bits.levels(self),
            lambda i: cloud(i)[0],
            bits.variance(self),
            clip=False,
            discrete=False,
        ):
            found.append(term.numpy())
            at.append(t)
            tick(1)
        return {"terms": np.stack(found), "t": np.array(at)}

    def _flow(self, denoise: bits.Denoiser, x0: torch.Tensor, tick: Tick) -> Arrays:
        density = log_likelihood(
            denoise, x0, self.model.schedule, self.config.flow_steps, None, lambda done, of: tick(1)
        )
        return {"bits": -density.numpy() / (x0.shape[1] * np.log(2))}

    def bits_jobs(self, name: str) -> list[Job]:
        weight = len(bits.levels(self)) if name == "bound" else self.config.flow_steps
        return [
            Job(lambda tick, label=label: self.bits_part(name, label, tick), weight) for label in self.labels
        ]

    @cached_property
    def model_digest(self) -> str:
        return digest(self.model)
