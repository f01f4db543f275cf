"""ZeroGPU of Hugging Face Spaces: a GPU that is there only while a marked function runs, in a process forked
for it.

Outside of that function torch reports a CUDA that is emulated, so the app itself stays on the CPU, and a
whole run is made inside. Spaces keep their own queue for it and count each visitor's seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from ..imaging.frame import Frame
from ..runs.recipe import Recipe
from ..studio import Studio

LEAST, MOST = 15, 120  # seconds that are asked for
SECONDS_EACH = 0.003  # of a picture in a network call, on the safe side
GPUStream = Callable[[Recipe], Iterator[Frame]]


def on_zero_gpu(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Space on ZeroGPU."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")


def gpu_stream(studio: Studio) -> GPUStream | None:
    """On ZeroGPU the function that makes a recipe's frames on the GPU; elsewhere None."""
    if not on_zero_gpu():
        return None
    spaces: Any = import_module("spaces")  # it is there on ZeroGPU alone

    def duration(recipe: Recipe) -> int:
        seconds = studio.network_calls(recipe) * recipe.pictures * SECONDS_EACH
        return int(min(MOST, LEAST + seconds))

    @spaces.GPU(duration=duration)
    def run_on_gpu(recipe: Recipe) -> Iterator[Frame]:
        yield from studio.on("auto").stream(recipe)

    return run_on_gpu
