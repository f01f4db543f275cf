"""Seconds to export 51 states of 512 x 512 pixels, and the ratio to Pillow's plain PNG of the same pictures.

python tests/benchmarks/export_speed.py
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.render import Scene
from diffusion_studio.imaging.arrays import to_pil
from diffusion_studio.imaging.frame import Frame


def run(channels: int, steps: int = 50, count: int = 16, side: int = 32) -> list[Frame]:
    """Frames from noise to smooth blobs."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    centre, colour = (
        random.uniform(0.3, 0.7, (2, count, 1, 1)),
        random.uniform(0.2, 2, (count, 1, 1, channels)),
    )
    x0 = np.exp(-10 * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2))[..., None] * colour - 0.8
    eps = random.standard_normal(x0.shape)
    pictures = lambda values: (values * 127.5 + 127.5).clip(0, 255).round().astype(np.uint8)
    return [
        Frame(k, steps, level, pictures(level.alpha * x0 + level.sigma * eps), pictures(x0))
        for k, level in enumerate(path(Linear(), steps))
    ]


def seconds(action) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    options = ExportOptions()
    with tempfile.TemporaryDirectory() as folder:
        for channels, name in ((1, "grey"), (3, "RGB")):
            frames = run(channels)
            pictures = [to_pil(picture) for picture in Scene.of(frames, options).pictures()]
            plain = seconds(lambda: [picture.save(io.BytesIO(), "PNG") for picture in pictures])
            print(
                f"{name}: {len(pictures)} pictures of {pictures[0].width} x {pictures[0].height}; PNG "
                f"{plain:.2f} s"
            )
            for suffix in ("gif", "mp4", "webp", "apng"):
                file = Path(folder, f"run.{suffix}")
                taken = seconds(lambda: save(frames, file, '{"diffusion-studio": 1}', options))
                print(
                    f"  {suffix}: {taken:.2f} s, {taken / plain:.2f} x PNG, {file.stat().st_size / 1e6:.2f} "
                    "MB"
                )


if __name__ == "__main__":
    main()
