"""GIF: every state, every grey, every hundredth of a second."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from export_runs import decoded, make_run, psnr, tiles
from PIL import Image

from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.render import Scene

RECIPE = '{"diffusion-studio": 1}'


def ticks_of(file):
    """The duration of each frame in 1/100 s, by Pillow."""
    with Image.open(file) as image:
        found = []
        for k in range(image.n_frames):
            image.seek(k)
            found.append(round(image.info["duration"] / 10))
        return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"view": "x0"},
        {"view": "both", "caption": True},
        {"picture": 2, "scale": 3},
        {"frames": "every", "every": 3},
        {"scale": 1, "picture": 0, "caption": True},
    ],
)
def test_grey_is_exact_to_the_pixel(tmp_path, grey, options):
    options = ExportOptions(**options)
    file = save(grey, tmp_path / "run.gif", RECIPE, options)
    wanted = list(Scene.of(grey, options).pictures())
    found = decoded(file)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert np.array_equal(a, np.broadcast_to(b, a.shape))


def test_pillow_reads_the_same_states(tmp_path, grey):
    file = save(grey, tmp_path / "run.gif", RECIPE, ExportOptions(scale=2))
    with Image.open(file) as image:
        assert image.n_frames == 11 and image.info["loop"] == 0
        for k, frame in enumerate(grey):
            image.seek(k)
            assert np.array_equal(np.asarray(image.convert("L")), tiles(frame.x, 2, 2)[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_states_that_look_alike_stay_states(tmp_path, channels):
    frames = make_run(channels, steps=6)
    frames = [dataclasses.replace(frame, x=frames[-1].x) for frame in frames]
    file = save(frames, tmp_path / "run.gif", RECIPE, ExportOptions(fps=20, hold=0))
    assert len(decoded(file)) == 7 and ticks_of(file) == [5] * 7


@pytest.mark.parametrize("fps", [20, 30, 12.5, 50, 24, 29.97, 0.5, 49])
@pytest.mark.parametrize("hold", [0, 1.0, 2.345])
def test_the_total_is_exact_and_no_frame_is_shorter_than_browsers_play(tmp_path, grey, fps, hold):
    file = save(grey, tmp_path / "run.gif", RECIPE, ExportOptions(fps=fps, hold=hold, scale=1))
    ticks = ticks_of(file)
    last = max(hold, 1 / fps)
    assert len(ticks) == 11
    assert abs(sum(ticks) - 100 * (10 / fps + last)) <= 0.5 + 1e-9
    assert min(ticks) >= 2 and max(ticks[:-1]) - min(ticks[:-1]) <= 1
    assert abs(ticks[-1] - 100 * last) < 1.001
    for k in range(1, 11):
        assert abs(sum(ticks[:k]) - 100 * k / fps) <= 0.5 + 1e-9


def test_a_single_state_is_a_gif(tmp_path, grey):
    file = save(grey[-1:], tmp_path / "run.gif", RECIPE, ExportOptions(hold=3))
    assert ticks_of(file) == [300] and len(decoded(file)) == 1


def test_colour_shares_one_palette_and_serves_the_last_frame_best(tmp_path):
    """The last frame is within 3 dB of what Pillow makes of it alone, all 256 colours for it; noise stays
    noise.
    """
    frames = make_run(3, steps=20, count=9, height=24, width=24)
    file = save(frames, tmp_path / "run.gif", RECIPE, ExportOptions(scale=1))
    found = decoded(file)
    assert len(found) == 21
    alone = Image.fromarray(tiles(frames[-1].x, 3, 1)).quantize(256, dither=Image.Dither.NONE).convert("RGB")
    last = tiles(frames[-1].x, 3, 1)
    assert psnr(found[-1], last) > max(36, psnr(np.asarray(alone), last) - 3)
    assert psnr(found[0], tiles(frames[0].x, 3, 1)) > 20
    assert len(np.unique(np.concatenate(found).reshape(-1, 3), axis=0)) <= 256


def test_flat_areas_stay_flat_and_true(tmp_path):
    """No dither: an area of one colour is one colour in the GIF, and that very one in the last frame."""
    frames = make_run(3, steps=8, count=1, height=32, width=32)
    flat = np.empty((1, 32, 32, 3), np.uint8)
    flat[:, :16], flat[:, 16:] = (201, 37, 90), (12, 180, 33)
    frames[-1] = dataclasses.replace(frames[-1], x=flat, x0=flat)
    found = decoded(save(frames, tmp_path / "run.gif", RECIPE, ExportOptions(scale=2)))[-1]
    assert (
        len(np.unique(found[:32].reshape(-1, 3), axis=0))
        == len(np.unique(found[32:].reshape(-1, 3), axis=0))
        == 1
    )
    assert np.abs(found.astype(int) - np.kron(flat[0], np.ones((2, 2, 1), int))).max() <= 2


def test_a_caption_in_colour_is_black_on_white(tmp_path, colour):
    options = ExportOptions(caption=True, scale=8)
    found = decoded(save(colour, tmp_path / "run.gif", RECIPE, options))
    wanted = list(Scene.of(colour, options).pictures())
    for a, b in zip(found, wanted):
        strip = a[128:].astype(int)
        assert (strip.max(axis=-1) == strip.min(axis=-1)).all(), "coloured text"
        assert np.abs(strip - b[128:]).max() <= 19


def test_pixels_are_enlarged_as_crisp_blocks(tmp_path, colour):
    for picture in decoded(save(colour, tmp_path / "run.gif", RECIPE, ExportOptions(scale=5))):
        assert np.array_equal(picture, np.kron(picture[::5, ::5], np.ones((5, 5, 1), np.uint8)))


def test_colours_and_greys_are_not_confused_by_both_views(tmp_path, colour):
    found = decoded(save(colour, tmp_path / "run.gif", RECIPE, ExportOptions(view="both", scale=1)))
    assert (found[0][:, 16:17] == 255).all()
    assert psnr(found[-1][:, :16], tiles(colour[-1].x, 2, 1)) > 34
    assert psnr(found[-1][:, 17:], tiles(colour[-1].x0, 2, 1)) > 34
