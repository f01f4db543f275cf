"""What make_golden_scores.py stored: networks that enlarge or classify, and those of score-based models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

_FOUND = importlib.util.spec_from_file_location(
    "make_scores_golden", Path(__file__).with_name("make_golden_scores.py")
)
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)
STORED = {layout: np.load(golden.HERE / f"golden_{layout}.npz") for layout in golden.LAYOUTS}


def cases(*layouts: str) -> list[tuple[str, str]]:
    return [
        (layout, name.removesuffix(".about"))
        for layout in layouts
        for name in STORED[layout]
        if name.endswith(".about")
    ]


def x_of(channels: int) -> torch.Tensor:
    return torch.from_numpy(golden.normal("x", golden.BATCH, channels, golden.SIZE, golden.SIZE))
