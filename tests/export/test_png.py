"""PNG: the finished pictures to the pixel, and the film strip."""

from __future__ import annotations

import numpy as np
import pytest
from export_runs import make_run, tiles
from PIL import Image

from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.export import FORMATS, ExportOptions, save
from diffusion_studio.imaging.frame import Frame

RECIPE = '{"diffusion-studio": 1}'


def pixels(file):
    with Image.open(file) as image:
        array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


@pytest.mark.parametrize("channels", [1, 3])
def test_the_finished_pictures_are_exact(tmp_path, channels):
    frames = make_run(channels)
    assert np.array_equal(
        pixels(save(frames, tmp_path / "a.png", RECIPE, ExportOptions())), tiles(frames[-1].x, 2, 32)
    )
    one = pixels(save(frames, tmp_path / "b.png", RECIPE, ExportOptions(picture=2, scale=1)))
    assert np.array_equal(one, frames[-1].x[2])


def test_a_stopped_run_shows_the_view_that_was_asked_for(tmp_path, colour):
    x = pixels(save(colour[:5], tmp_path / "x.png", RECIPE, ExportOptions(scale=1)))
    x0 = pixels(save(colour[:5], tmp_path / "x0.png", RECIPE, ExportOptions(scale=1, view="x0")))
    both = pixels(save(colour[:5], tmp_path / "both.png", RECIPE, ExportOptions(scale=1, view="both")))
    assert np.array_equal(x, tiles(colour[4].x, 2, 1)) and np.array_equal(x0, tiles(colour[4].x0, 2, 1))
    assert np.array_equal(both[:, :16], x) and np.array_equal(both[:, -16:], x0)


def find(sheet, tile):
    """(top, left) of every place where the tile lies in the sheet, pixel for pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet, tile.shape[:2], axis=(0, 1))
    return [
        tuple(map(int, at))
        for at in np.argwhere((windows == np.moveaxis(tile, -1, 0)).all(axis=(-1, -2, -3)))
    ]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("view", ["x", "x0", "both"])
def test_the_strip_shows_its_states_in_order_each_with_a_label(tmp_path, channels, view):
    frames = make_run(channels)
    options = ExportOptions(view=view, states=3, picture=0, scale=2)
    sheet = pixels(save(frames, tmp_path / "strip.png", RECIPE, options, "strip"))
    levels = [frame.level.log_snr for frame in frames[:-1]]
    picks = [0, int(np.argmax(levels)), 10]  # two evenly spaced, and the clean end
    rows = ["x", "x0"] if view == "both" else [view]
    places = [
        [find(sheet, np.kron(getattr(frames[k], row)[0], np.ones((2, 2, 1), np.uint8)))[r] for k in picks]
        for r, row in ((0 if row == rows[0] else -1, row) for row in rows)
    ]  # where clean, x0 is x
    for row in places:
        tops, lefts = zip(*row)
        assert (
            len(set(tops)) == 1
            and lefts[0] < lefts[1] < lefts[2]
            and lefts[2] - lefts[1] == lefts[1] - lefts[0]
        )
    if view == "both":
        assert places[0][0][0] < places[1][0][0] and places[0][0][1] == places[1][0][1]
    bottom = places[-1][-1][0] + 16
    assert (sheet[bottom:] < 128).any(), "no labels"
    edges = [sheet[-2:], sheet[:, -1:], sheet[:, :1], sheet[:1]]
    assert all((edge == 255).all() for edge in edges), "cut off"


def test_the_strip_has_as_many_states_as_asked_or_every_kth(tmp_path, grey):
    def columns(**options):
        sheet = pixels(save(grey, tmp_path / "s.png", RECIPE, ExportOptions(picture=1, **options), "strip"))
        dark = (sheet[10:60, :, 0] < 250).any(axis=0)  # white columns part the states
        return int((np.diff(dark.astype(int)) == 1).sum() + dark[0])

    assert columns() == 8
    assert columns(states=5) == 5
    assert columns(frames="every", every=5) == 3
    assert columns(states=1000) == 11


def test_a_strip_of_one_state_and_a_strip_too_large(tmp_path, grey):
    save(grey[:1], tmp_path / "one.png", RECIPE, ExportOptions(), "strip")
    with pytest.raises(OptionError, match="million pixels.*fewer states"):
        save(make_run(1, 2, 1, 128, 128), tmp_path / "large.png", RECIPE, ExportOptions(scale=64), "strip")


@pytest.mark.parametrize("view", ["x", "both"])
def test_the_ground_of_sprites_becomes_transparent(tmp_path, view):
    """A ring on black: the black around it goes, the black inside it and the ring stay."""
    sprite = np.zeros((7, 7, 3), np.uint8)
    sprite[2:5, 2:5] = 200
    sprite[3, 3] = 0
    pictures = np.stack([sprite, sprite, sprite])
    frame = Frame(0, 0, NoiseLevel(0.0, 1.0, 0.0), pictures, pictures)
    path = tmp_path / "sprites.png"
    options = ExportOptions(view=view, scale=3, caption=True, ground="transparent")
    FORMATS["png"].write([frame], path, "{}", options)
    with Image.open(path) as made:
        assert made.mode == "RGBA"
        opacity = np.asarray(made)[..., 3]
    begin = (opacity.shape[1] - 3 * (29 if view == "both" else 14)) // 2  # the caption is wider
    tile = opacity[: 3 * 7 : 3, begin : begin + 3 * 7 : 3]
    wanted = np.zeros((7, 7), np.uint8)
    wanted[2:5, 2:5] = 255
    np.testing.assert_array_equal(tile, wanted)
    assert (opacity[3 * 14 :] == 255).all()  # the caption
    assert (opacity[3 * 7 : 3 * 14, begin + 3 * 7 : begin + 3 * 14] == 0).all()  # where no fourth picture is
    kept = tmp_path / "kept.png"
    FORMATS["png"].write([frame], kept, "{}", ExportOptions(view=view, scale=3))
    with Image.open(kept) as made:
        assert made.mode == "RGB"
