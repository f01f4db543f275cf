"""Guidance: functions Denoiser -> Denoiser that compose. Samplers do not know about them.

mixing.py combines the predictions of two denoisers. limits.py restricts x0 to the range of pictures or to a
palette. classifier.py follows a classifier's gradient. perturbed.py guides away from the network with
disturbed attention or skipped blocks. timing.py makes guidance depend on the progress of the run. All of them
keep alpha * x0 + sigma * eps == x.
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
