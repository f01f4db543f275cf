"""Who sees the label of a picture: a small network on its pixels, or, for photographs, a linear one on
features.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from _timing import ROOT  # noqa: F401  first of what is the project's, as it puts this checkout on the path
from tqdm import tqdm

from diffusion_studio.data import ImageData
from diffusion_studio.metrics import linear
from diffusion_studio.metrics.classifier import load_or_train, predict_classes
from diffusion_studio.metrics.features import Features
from diffusion_studio.metrics.picture_evaluation import CachedFeatures, random_subset

PIXELS, FEATURES = "pixels", "features"
Judge = Callable[[np.ndarray], np.ndarray]  # (N, H, W, C) uint8 -> (N,) labels


def add_judge(parser: argparse.ArgumentParser) -> None:
    """The flags of `judge_of`, which reads `cache` and `judge_seed` besides."""
    parser.add_argument(
        "--judge",
        choices=(PIXELS, FEATURES),
        default=PIXELS,
        help="a small network on pixels, or a linear one on EfficientNet-Lite0's features (for photographs)",
    )
    parser.add_argument("--feature-weights", help="of EfficientNet-Lite0; by default from their usual place")
    parser.add_argument(
        "--real", type=int, help="how many real pictures a judge of features learns from; by default all"
    )


def judge_of(train: ImageData, asked: argparse.Namespace) -> Judge:
    """It learns from the real training pictures, none of them noisy."""
    if asked.judge == PIXELS:
        with tqdm(desc="training the judge") as bar:
            network = load_or_train(train, asked.judge_seed, asked.cache, lambda done, total: bar.update())
        return lambda pictures: predict_classes(network, pictures)
    look, real = (
        Features("efficientnet-lite0", asked.feature_weights, "cpu"),
        random_subset(train, asked.real),
    )
    fitted = linear.fit(CachedFeatures(real.images, look, asked.cache).features, real.labels, len(real.names))
    return lambda pictures: fitted(CachedFeatures(pictures, look, asked.cache).features)
