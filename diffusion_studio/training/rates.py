"""How the learning rate goes over a run. No torch."""

from __future__ import annotations

import math

LR_SHAPES = ("constant", "cosine", "inverse-sqrt")


def lr_factor(shape: str, step: float, total: float, warmup: int, cooldown: float) -> float:
    """The share of the peak rate at `step` of `total`: rise, shape and fall multiplied.

    A linear rise over `warmup` steps; then constant, half a cosine down to zero at the run's end, or 1 /
    sqrt(step) from the end of warm-up on (Vaswani et al. 2017, section 5.3); a linear fall to zero over the
    last share `cooldown`.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    left = max(total - step, 0) / total
    fall = min(1.0, left / cooldown) if cooldown else 1.0
    if shape == "cosine":
        after = max(step - warmup, 0) / max(total - warmup, 1)
        return rise * fall * 0.5 * (1 + math.cos(math.pi * min(after, 1.0)))
    if shape == "inverse-sqrt":
        return rise * fall * math.sqrt(max(warmup, 1) / max(step + 1, warmup, 1))
    return rise * fall
