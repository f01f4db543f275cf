"""Guidance is Denoiser -> Denoiser: wrappers that compose, of which samplers know nothing.

mixing.py mixes the answers of two denoisers, limits.py keeps x0 in the range of pictures or to few colours,
classifier.py follows a classifier's gradient, perturbed.py leads away from the network with its attention
disturbed or blocks left out, timing.py lets any of it depend on where the run is. Each keeps alpha * x0 +
sigma * eps == x.
"""

from .classifier import AncestralSteps, Share, classifier_guided, gradient_of
from .limits import clamped, dynamically_thresholded, in_palette
from .mixing import Scale, adaptive_projected, at_schedule, classifier_free, rescaled
from .perturbed import (
    blurred_attention,
    cfg_zero_star,
    guided_away,
    identity_attention,
    perturbed_attention,
    scale_at,
    skipped_layers,
    smoothed_energy,
    without_blocks,
)
from .timing import SHAPES, Progress, shaped, switched, within_interval

__all__ = [
    "AncestralSteps",
    "Progress",
    "SHAPES",
    "Scale",
    "Share",
    "adaptive_projected",
    "at_schedule",
    "blurred_attention",
    "cfg_zero_star",
    "guided_away",
    "identity_attention",
    "perturbed_attention",
    "scale_at",
    "skipped_layers",
    "smoothed_energy",
    "within_interval",
    "clamped",
    "classifier_free",
    "classifier_guided",
    "dynamically_thresholded",
    "gradient_of",
    "in_palette",
    "rescaled",
    "shaped",
    "switched",
    "without_blocks",
]
