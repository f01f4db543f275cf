"""Our containers (GIF, APNG, WebP, MP4) against those that Pillow and PyAV write of the same pictures.

    python tests/benchmarks/containers.py

For each: bytes, seconds, how many of the states a reader finds again, the largest difference of a state that
stands at its own number, and the ratio of bytes and seconds to ours. Two of the states are equal to their
neighbours, as in a run that is held or restarted.

Found (Pillow 12.3, PyAV 18, two cores): Pillow merges the two, so 26 of 28 states come back and the ones behind
them stand at other numbers; it saves 6 % of an APNG, and between -5 % and 19 % of a WebP. Ours stay. PyAV
makes the same MP4 in a fifth to a half of the time, but would be one more package to install beside Pillow and
imageio's ffmpeg for half a second an export: ours stays too.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageSequence

import diffusion_studio as ds
from diffusion_studio.export import FORMATS, ExportOptions
from diffusion_studio.export.render import Scene

FPS = 20.0


def pillow(path: Path, pictures: list[np.ndarray]) -> None:
    """As Pillow animates by itself, with the settings of ours."""
    first, *rest = [Image.fromarray(one.squeeze()) for one in pictures]
    more = {
        ".gif": {"optimize": False},
        ".apng": {"format": "PNG", "compress_level": 4},
        ".webp": {"lossless": True, "quality": 0, "method": 0},
    }[path.suffix]
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / FPS), loop=0, **more)


def pyav(path: Path, pictures: list[np.ndarray]) -> None:
    """H.264 by PyAV, with the quality of ours."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(FPS), options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for one in pictures:
            whole = np.pad(one, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
            whole = np.broadcast_to(whole, (*whole.shape[:2], 3))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), "rgb24")))
        file.mux(stream.encode())


def states_in(path: Path) -> list[np.ndarray]:
    """The pictures that a reader finds, as RGB."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as file:
            return [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]
    with Image.open(path) as file:
        return [np.array(one.convert("RGB")) for one in ImageSequence.Iterator(file)]


def worst(found: list[np.ndarray], pictures: list[np.ndarray]) -> int:
    height, width = pictures[0].shape[:2]
    return max(
        int(np.abs(a[:height, :width].astype(int) - np.broadcast_to(b, (height, width, 3))).max())
        for a, b in zip(found, pictures)
    )


def measure(kind: str, model: str) -> None:
    studio = ds.Studio(device="cpu")
    frames = list(studio.stream(studio.recipe(model, steps=25, seeds=(0, 1, 2, 3))))
    held = [frames[0], frames[0], *frames[1:], frames[-1]]  # two states equal to their neighbours
    frames = [replace(one, index=k, total=len(held) - 1) for k, one in enumerate(held)]
    options = ExportOptions(fps=FPS, scale=4, hold=0.0)
    recipe = studio.recipe(model).to_json()
    pictures = list(Scene.of(frames, options).pictures())
    print(f"{kind}: {len(pictures)} states of {pictures[0].shape}")
    with tempfile.TemporaryDirectory() as folder:
        for name, other in (("gif", pillow), ("apng", pillow), ("webp", pillow), ("mp4", pyav)):
            rows = []
            for who in ("ours", other.__name__):
                path, started = Path(folder) / f"{who}.{name}", time.perf_counter()
                if who == "ours":
                    FORMATS[name].write(frames, path, recipe, options)
                else:
                    other(path, pictures)
                seconds, found = time.perf_counter() - started, states_in(path)
                rows.append((path.stat().st_size, seconds))
                print(
                    f"  {name:5}{who:7}{rows[-1][0] / 1e3:9.1f} kB ({rows[-1][0] / rows[0][0]:4.2f})"
                    f"{seconds:7.2f} s ({seconds / rows[0][1]:4.2f})  {len(found):3} of {len(pictures)} states, "
                    f"largest difference {worst(found, pictures)}"
                )


if __name__ == "__main__":
    measure("grey", "fashion-mnist")
    measure("colour", "heroes")
