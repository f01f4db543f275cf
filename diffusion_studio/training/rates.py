"""The learning rate over a run. No torch."""

from __future__ import annotations

import math

LR_SHAPES = ("constant", "cosine", "inverse-sqrt")


def lr_factor(shape: str, step: float, total: float, warmup: int, cooldown: float) -> float:
    """The learning rate at `step` of `total` as a share of its peak: the product of rise, shape and fall.

    The rise is linear over `warmup` steps. The shape is constant, half a cosine down to zero at the end of
    the run, or 1 / sqrt(step) from the end of the warm-up (Vaswani et al. 2017, section 5.3). The fall is
    linear to zero over the last share `cooldown`.
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
