"""The evaluation of a model of points: generated clouds, and true points of each label."""

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
from ..runs import generate
from ..runs.guidance_builder import Guides
from . import bits
from .bound import bound_terms
from .evaluation import Evaluation
from .flow import log_likelihood
from .parts import Arrays, Job, Tick, load_or_compute
from .pictures import GenerationSetup, digest, fingerprint, for_label, selected_labels

MOST = 50_000  # points of a label: the cost of figures is quadratic
BITS = 1000  # number of true points whose likelihood is measured by default


@dataclass(frozen=True)
class Cloud:
    """One run of the recipe, of one label and seed; it makes `recipe.points` points."""

    label: str | None
    seed: int


@dataclass(eq=False)
class PointEvaluation(Evaluation):
    """True and generated points of one evaluation, computed or read when first used. Figures are computed
    for each label.
    """

    def __post_init__(self) -> None:
        self.drawing = GenerationSetup(self.model, self.recipe, self.classifier, self.weaker)
        self.labels = selected_labels(self.model.spec, self.config.labels)
        self.count = self.config.pictures
        self.real_count = self.config.real or self.config.pictures

    def check(self) -> None:
        """Raise `OptionError` or `DataError` if drawing or comparing is impossible, before anything is
        drawn.
        """
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

    def true_points(self, label: str | None, split: str) -> np.ndarray:
        """All true points of a label in a split, (N, 2) float64, in a fixed random order."""
        data = self._loaded[split]
        if label is not None and label in data.names:
            data = data.only([label])
        elif label is not None and (data.names or len(self.labels) > 1):
            raise DataError(
                f"{self.config.data} has the labels {', '.join(data.names) or 'none'}, not {label!r} of "
                f"{self.model.spec.name}. Give data with its labels, or choose one with --labels, or 'any'."
            )
        order = np.random.Generator(np.random.Philox(0)).permutation(len(data.points))
        return data.points[order].astype(np.float64)

    def real(self, label: str | None) -> np.ndarray:
        """The true points that the generated points of a label are compared with."""
        points_of_label = self.true_points(label, self.config.split)
        if len(points_of_label) < self.real_count:
            raise DataError(
                f"{self.real_count:,} true points {'' if label is None else f'of {label} '}were asked for; "
                f"{self.config.data} has {len(points_of_label):,}. Ask for fewer with --real."
            )
        return points_of_label[: self.real_count]

    def further_points(self, label: str | None) -> np.ndarray | None:
        """As many further true points as are generated, which is what a perfect model would draw. None if
        there are too few.
        """
        points_of_label = self.true_points(label, self.config.split)[self.real_count :][: self.count]
        return points_of_label if len(points_of_label) == self.count else None

    # ---- generated ones

    @property
    def clouds(self) -> list[Cloud]:
        """The clouds to generate. Cloud j of label l has the seed first + j * labels + l, so asking for more
        keeps the existing ones.
        """
        runs, first = -(-self.count // self.recipe.points), self.config.seed
        return [
            Cloud(label, first + j * len(self.labels) + k)
            for j in range(runs)
            for k, label in enumerate(self.labels)
        ]

    @cached_property
    def generated_folder(self) -> Path:
        """The folder of the generated clouds."""
        return self.folder / self.drawing.name

    def part(self, cloud: Cloud, tick: Tick = lambda count: None) -> Arrays:
        """The `points` (recipe.points, 2) of a cloud, as the sampler returned them."""

        def make() -> Arrays:
            recipe = replace(for_label(self.model, self.recipe, cloud.label), seeds=(cloud.seed,))
            plan = generate.plan(self.model, recipe, Guides(self.drawing.classifier, self.drawing.weaker))
            for step in sample(recipe.sampler, plan.denoise, plan.start(), plan.levels, plan.noise):
                if step.index:
                    tick(1)
            return {"points": step.x[0].cpu().numpy()}

        return load_or_compute(
            self.generated_folder / "clouds" / f"{self.drawing.label_code(cloud.label)}-{cloud.seed}.npz",
            make,
        )

    def generated(self, label: str | None) -> np.ndarray:
        """The generated points of a label, (count, 2) float64. Raises `DataError` if they are not finite."""
        points = np.concatenate(
            [self.part(cloud)["points"] for cloud in self.clouds if cloud.label == label]
        )[: self.count]
        if not np.isfinite(points).all():
            raise DataError(
                "The points that were generated are not all finite numbers, so there is nothing to compare. "
                "Choose more steps, less guidance or another sampler."
            )
        return points.astype(np.float64)

    def jobs(self) -> list[Job]:
        return [
            Job(lambda tick, cloud=cloud: self.part(cloud, tick), self.recipe.steps) for cloud in self.clouds
        ]

    # ---- likelihood

    def test(self, label: str | None) -> np.ndarray:
        """True points of the test split whose bits are measured, the same number for each label."""
        points_of_label = self.true_points(label, "test")
        return points_of_label[: max(1, (self.config.bits_pictures or BITS) // len(self.labels))]

    def bits_part(self, name: str, label: str | None, tick: Tick = lambda count: None) -> Arrays:
        """Bits per dimension of the density at a label's test points: for the bound `terms` (levels + 1,
        N) and `t`, for the flow `bits` (N,).
        """
        x, config = self.test(label), self.config
        settings = (config.bound_steps, bits.variance(self)) if name == "bound" else config.flow_steps
        key = f"points {self.model_digest} {fingerprint(x)} {label} {settings}"

        def make() -> Arrays:
            denoise = bits.double_denoiser(self.model, label)
            return (self._bound if name == "bound" else self._flow)(denoise, torch.from_numpy(x), tick)

        return load_or_compute(
            self.folder / "bits" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.npz", make
        )

    def _bound(self, denoise: bits.Denoiser, x0: torch.Tensor, tick: Tick) -> Arrays:
        cloud = Noise((0,), tuple(x0.shape), dtype=torch.float64)
        terms, times = [], []
        for t, term in bound_terms(
            denoise,
            x0,
            bits.levels(self),
            lambda i: cloud(i)[0],
            bits.variance(self),
            clip=False,
            discrete=False,
        ):
            terms.append(term.numpy())
            times.append(t)
            tick(1)
        return {"terms": np.stack(terms), "t": np.array(times)}

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
