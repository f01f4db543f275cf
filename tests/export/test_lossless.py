"""APNG and WebP: every state, every colour to the pixel, every millisecond; read by decoders that share no
code with them.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np
import pytest
from export_runs import decoded, make_run
from PIL import Image

from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.render import Scene

RECIPE = '{"diffusion-studio": 1}'
KINDS = ("apng", "webp")


def by_pillow(file):
    """Every picture as (H, W, 3) uint8 and how long it stays, in ms."""
    found, times = [], []
    with Image.open(file) as image:
        assert image.info["loop"] == 0
        for k in range(image.n_frames):
            image.seek(k)
            found.append(np.asarray(image.convert("RGB")))
            times.append(round(image.info["duration"]))
    return found, times


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"view": "both", "caption": True},
        {"picture": 2, "scale": 3},
        {"frames": "every", "every": 3, "scale": 1},
    ],
)
def test_every_state_is_exact_to_the_pixel(tmp_path, kind, channels, options):
    frames, options = make_run(channels, height=7, width=9), ExportOptions(**options)
    file = save(frames, tmp_path / f"run.{kind}", RECIPE, options)
    wanted = list(Scene.of(frames, options).pictures())
    for found in (
        by_pillow(file)[0],
        *([decoded(file)] if kind == "apng" else []),
    ):  # ffmpeg reads no animated WebP
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted):
            assert np.array_equal(a, np.broadcast_to(b, a.shape))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fps, hold", [(20, 1.0), (30, 0), (29.97, 2.345), (0.5, 60), (50, 0.02)])
def test_times_are_exact_to_the_millisecond(tmp_path, kind, fps, hold):
    file = save(make_run(3), tmp_path / f"run.{kind}", RECIPE, ExportOptions(fps=fps, hold=hold, scale=1))
    times = by_pillow(file)[1]
    for k in range(1, 11):
        assert abs(sum(times[:k]) - 1000 * k / fps) <= 0.5 + 1e-9
    assert abs(sum(times) - 1000 * (10 / fps + max(hold, 1 / fps))) <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_states_that_look_alike_stay_states(tmp_path, kind):
    frames = make_run(3, steps=6)
    frames = [dataclasses.replace(frame, x=frames[-1].x) for frame in frames]
    file = save(frames, tmp_path / f"run.{kind}", RECIPE, ExportOptions(fps=20, hold=0))
    assert by_pillow(file)[1] == [50] * 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_state_is_a_film(tmp_path, kind):
    file = save(make_run(3)[-1:], tmp_path / f"run.{kind}", RECIPE, ExportOptions(hold=3))
    with Image.open(file) as image:
        assert image.size == (512, 512)


def test_the_chunks_of_an_apng_are_whole_and_in_order(tmp_path):
    data = save(make_run(3), tmp_path / "run.apng", RECIPE, ExportOptions(scale=1)).read_bytes()
    at, kinds, numbers = 8, [], []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        if kind in (b"fcTL", b"fdAT"):
            numbers.append(struct.unpack_from(">I", body)[0])
        at += length + 12
    assert (
        kinds[:5] == [b"IHDR", b"acTL", b"iTXt", b"fcTL", b"IDAT"]
        and kinds[-1] == b"IEND"
        and at == len(data)
    )
    assert numbers == list(range(len(numbers)))


def test_the_chunks_of_a_webp_fill_its_riff(tmp_path):
    data = save(make_run(3), tmp_path / "run.webp", RECIPE + " ", ExportOptions(scale=1)).read_bytes()
    at, kinds = 12, []
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        kinds.append(kind)
        at += 8 + length + length % 2
    assert kinds == [b"VP8X", b"ANIM", *[b"ANMF"] * 11, b"DStR"] and at == len(data)


def test_a_webp_that_is_too_wide_says_so(tmp_path):
    frames = make_run(1, steps=1, count=1, height=1, width=5500)
    with pytest.raises(
        OptionError,
        match="at most 16383 pixels a side; this one would have 16500 x 3. Choose a smaller scale",
    ):
        save(frames, tmp_path / "run.webp", RECIPE, ExportOptions(scale=3))
