"""Realistic runs, and decoders that share no code with the writers."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.imaging.frame import Frame


def make_run(
    channels: int = 1, steps: int = 10, count: int = 4, height: int = 8, width: int = 8
) -> list[Frame]:
    """From noise to a blob on a gradient, as the forward process mixes them; x0 is a prediction that
    sharpens.
    """
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    tint = random.uniform(-0.9, 0.9, (2, count, 1, 1, channels))
    blob = np.exp(-20 * ((x - 0.4) ** 2 + (y - 0.5) ** 2))[..., None]
    x0 = tint[0] * y[..., None] * (1 - blob) + tint[1] * blob
    eps = random.standard_normal(x0.shape)
    frames = []
    for k, level in enumerate(path(Linear(), steps)):
        guess = level.alpha**2 * x0 + (1 - level.alpha**2) * x0.mean()
        frames.append(
            Frame(k, steps, level, _pictures(level.alpha * x0 + level.sigma * eps), _pictures(guess))
        )
    return frames


def _pictures(values: np.ndarray) -> np.ndarray:
    return (values * 127.5 + 127.5).clip(0, 255).round().astype(np.uint8)


def tiles(images: np.ndarray, columns: int, scale: int) -> np.ndarray:
    """A full grid, written out with loops: (rows*H*scale, columns*W*scale, C)."""
    rows = [np.concatenate(list(images[at : at + columns]), axis=1) for at in range(0, len(images), columns)]
    return np.kron(np.concatenate(rows, axis=0), np.ones((scale, scale, 1), np.uint8))


def decoded(file: Path) -> list[np.ndarray]:
    """Every picture of a GIF or MP4 as (H, W, 3) uint8, by ffmpeg's own readers."""
    with av.open(str(file)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def mp4_rgb(file: Path) -> list[np.ndarray]:
    """Every picture of an MP4 as (H, W, 3) float, by the formulas of BT.709 in limited range."""
    pictures = []
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            luma, blue, red = (
                np.frombuffer(bytes(plane), np.uint8)
                .reshape(plane.height, plane.line_size)[:, : plane.width]
                .astype(float)
                for plane in frame.planes
            )
            y, cb, cr = (luma - 16) / 219, _doubled(blue - 128) / 224, _doubled(red - 128) / 224
            r, b = y + 1.5748 * cr, y + 1.8556 * cb
            g = (y - 0.2126 * r - 0.0722 * b) / 0.7152
            pictures.append((np.stack([r, g, b], axis=-1) * 255).clip(0, 255))
    return pictures


def _doubled(plane: np.ndarray) -> np.ndarray:
    return np.kron(plane, np.ones((2, 2)))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in 0..255."""
    return float(10 * np.log10(255**2 / max(1e-6, np.mean((a.astype(float) - b.astype(float)) ** 2))))
