"""Noise schedules by name. A new schedule is a class, and an entry in `SCHEDULES`."""

from .base import CLEAN, NoiseLevel, NoiseSchedule
from .continuous import FlowMatching, VarianceExploding, VariancePreserving
from .tables import (
    Constant,
    Cosine,
    JensenShannon,
    Laplace,
    Linear,
    Quadratic,
    ScaledLinear,
    Sigmoid,
    Table,
    TableSchedule,
)

SCHEDULES: dict[str, type[NoiseSchedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "scaled-linear": ScaledLinear,
    "sigmoid": Sigmoid,
    "quadratic": Quadratic,
    "constant": Constant,
    "jsd": JensenShannon,
    "laplace": Laplace,
    "table": Table,
    "ve": VarianceExploding,
    "vp": VariancePreserving,
    "flow": FlowMatching,
}

# The tables of betas that a formula gives for any number of timesteps. Training offers these.
TABLES = tuple(name for name, cls in SCHEDULES.items() if issubclass(cls, TableSchedule) and cls is not Table)

__all__ = [
    "CLEAN",
    "SCHEDULES",
    "TABLES",
    "Constant",
    "Cosine",
    "FlowMatching",
    "JensenShannon",
    "Laplace",
    "Linear",
    "NoiseLevel",
    "NoiseSchedule",
    "Quadratic",
    "ScaledLinear",
    "Sigmoid",
    "Table",
    "TableSchedule",
    "VarianceExploding",
    "VariancePreserving",
]
