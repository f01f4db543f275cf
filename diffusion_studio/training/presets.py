"""Training presets by the time that they take on two CPU cores. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config import TrainConfig

SIZES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Preset:
    """A preset. `images` is the number of 32x32 images that fit in its time; twice the size leaves a
    quarter of them.
    """

    title: str
    help: str
    images: int
    settings: Mapping[str, Any]


PRESETS: dict[str, Preset] = {
    "quick": Preset(
        "Quick look",
        "About 2 minutes on two idle cores: shapes appear. To check that the data is right.",
        12_000,
        {"channels": 32, "lr": 2e-3, "warmup": 30, "ema": 0.99},
    ),
    "hour": Preset("An hour", "The bundled model's network: simple pictures come out well.", 130_000, {}),
    "overnight": Preset(
        "Overnight",
        "A wider network and four times the pictures, for varied or coloured data.",
        480_000,
        {"channels": 96, "lr": 6e-4, "ema": 0.9995},
    ),
}


def configured(preset: str, size: int, data: str = TrainConfig.data, **changes: Any) -> TrainConfig:
    """The configuration of a preset for pictures of size x size."""
    chosen = PRESETS[preset]
    smallest = size // 2 ** (len(TrainConfig.multipliers.split(",")) - 1)
    images = max(1000, round(chosen.images * (32 / size) ** 2, -3))
    fitted = {"data": data, "size": size, "attention": str(smallest), "images": int(images)}
    return TrainConfig(**{**fitted, **chosen.settings, **changes})
