"""What an evaluation measures, and on what. No torch, so that the command line can list it quickly."""

from __future__ import annotations

from dataclasses import dataclass

from .. import options
from ..diffusion.noise import MAX_SEED
from ..errors import OptionError, unknown
from ..options import option

# name: what it says
METRICS: dict[str, str] = {
    "frechet": "Frechet distance of the features of generated and real pictures; FID with Inception's weights",
    "kernel": "kernel distance (KID): like it, without bias for few pictures",
    "precision-recall": "share of generated pictures that look real, and of real ones that are covered",
    "score": "Inception-style score: clear and varied contents",
    "labels": "how often a classifier of the real pictures sees the label that was asked for",
    "neighbours": "distance to the nearest training picture: does the model copy?",
    "bound": "bits per dimension by the variational bound, with its terms over t",
    "flow": "bits per dimension by the probability-flow ODE",
}
FEATURE_NAMES = ("efficientnet-lite0", "inception")
EACH = "each"
MOST = 10_000_000


@dataclass(frozen=True)
class EvalConfig:
    """What to measure. What determines the pictures themselves (sampler, steps, guidance, ...) is a `Recipe`."""

    data: str = option("", "Real pictures: a known name, or a path, as in training.")
    metrics: str = option("frechet,kernel,precision-recall,score", f"Figures, with commas: {', '.join(METRICS)}; or 'all'.")
    pictures: int = option(1000, "Pictures to generate. Papers take 50,000.", low=2, high=MOST)
    seed: int = option(0, "Seed of the first picture; the next ones count up from it.", low=0, high=MAX_SEED)
    labels: str = option(EACH, "What to draw: 'each' label in turn, 'any', or one label.")
    split: str = option("train", "Real pictures that generated ones are compared with.", choices=("train", "test"))
    real: int | None = option(None, "How many real pictures, a choice that is always the same; all by default.", low=2)
    features: str = option(FEATURE_NAMES[0], "Feature network.", choices=FEATURE_NAMES)
    feature_weights: str | None = option(None, "Its weights, a safetensors file; by default from their usual place.")
    k: int = option(3, "Neighbours that bound a manifold in precision and recall.", low=1, high=100)
    bits_pictures: int = option(64, "Test pictures whose bits per dimension are measured.", low=1, high=MOST)
    bound_steps: int | None = option(None, "Levels of the variational bound; by default all that the model has.", low=1)
    variance: str = option("auto", "Variance in the bound; auto is the learned one, where the model has it, else small.",
                           choices=("auto", "small", "large", "learned"))
    flow_steps: int = option(50, "Runge-Kutta steps of the flow, four network calls each.", low=1, high=100_000)
    probes: int = option(1, "Random probes of the flow's trace; 0 is exact, for tiny pictures.", low=0, high=1000)

    def __post_init__(self) -> None:
        options.check(self)
        if not self.data:
            raise OptionError("Name the real pictures with --data: a known data set or a path.")
        if MAX_SEED - self.seed < self.pictures:
            raise OptionError(f"The last of {self.pictures:,} seeds from {self.seed} up is over {MAX_SEED}. Start lower.")
        _ = self.wanted

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of the figures to measure, in the order of `METRICS`."""
        given = [name.strip() for name in self.metrics.split(",")]
        if given == ["all"]:
            return tuple(METRICS)
        for name in given:
            if name not in METRICS:
                raise unknown("metric", name, METRICS)
        return tuple(name for name in METRICS if name in given)
