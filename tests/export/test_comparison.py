"""A run with another below it: which states are matched, where they are drawn, and their captions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from export_runs import decoded, make_run, tiles
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import CLEAN
from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.comparison import Pair, matched, paired, stacked
from diffusion_studio.export.render import Caption, caption_parts, lines
from diffusion_studio.export.slideshow import slideshow
from diffusion_studio.runs.trajectory import Trajectory


def other_run(steps: int = 5):
    """As long as asked, and in negative."""
    return [replace(frame, x=255 - frame.x, x0=255 - frame.x0) for frame in make_run(steps=steps)]


def levels(run):
    return [frame.level.log_snr for frame in run]


@pytest.mark.parametrize("steps", [1, 4, 10, 37])
def test_states_go_together_by_their_noise(grey, steps):
    others = make_run(steps=steps)
    found = matched(grey, others)
    assert found[0] == 0 and found[-1] == steps and found == sorted(found)
    for k, at in enumerate(found[1:-1], 1):
        apart = [abs(value - levels(grey)[k]) for value in levels(others)]
        assert apart[at] == min(apart)


def test_a_run_that_was_stopped_is_matched_as_far_as_it_came(grey):
    assert matched(grey, grey[:4]) == [0, 1, 2, 3, *[3] * 7] and matched(grey[:4], grey) == [0, 1, 2, 3]
    assert matched(grey[-1:], grey) == [10]  # a finished picture alone: with the finished one


def test_noise_that_is_there_twice_goes_by_the_way():
    """Restoring jumps back into noise: of two states at one level the one as far on its way."""
    steps = make_run(steps=4)
    twice = [*steps[:3], *steps[1:]]  # 0 1 2 1 2 3 4
    assert matched(twice, twice) == list(range(7))


def test_films_go_together_by_their_length(grey):
    assert matched(slideshow(grey), slideshow(make_run(count=2))) == [0, 0, 1, 1]


def test_both_canvases_are_there_pixel_for_pixel():
    rng = np.random.default_rng(0)
    above, below = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 10, 1), (3, 4, 3)))
    sheet = stacked(above, below, 255)
    assert sheet.shape == (6 + 1 + 6, 10, 3) and (sheet[6] == 255).all()
    assert (sheet[:6] == above).all()
    assert (sheet[7:, 1:9] == below.repeat(2, 0).repeat(2, 1)).all() and (sheet[7:, [0, 9]] == 255).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng", ".png"])
def test_a_file_has_both_runs(tmp_path, suffix, grey):
    others = other_run()
    recipe = ds.Recipe(model="m", steps=10)
    path = Trajectory(recipe, grey).save(
        tmp_path / f"both{suffix}", beside=Trajectory(replace(recipe, steps=5), others), scale=1
    )
    with Image.open(path) as file:
        file.seek(getattr(file, "n_frames", 1) - 1)
        seen = np.asarray(file.convert("L"))
    above, below = tiles(grey[-1].x, 2, 1)[..., 0], tiles(others[-1].x, 2, 1)[..., 0]
    assert (seen[: len(above)] == above).all() and (seen[-len(below) :] == below).all()
    assert len(seen) == 1 + len(above) + len(below)
    assert ds.Recipe.from_file(path) == recipe


def test_a_video_has_both_runs(tmp_path, grey):
    path = save(grey, tmp_path / "both.mp4", "{}", ExportOptions(scale=16), beside=other_run())
    alone = save(grey, tmp_path / "one.mp4", "{}", ExportOptions(scale=16))
    both, one = decoded(path), decoded(alone)
    assert (
        len(both) == len(one)
        and both[0].shape[1] == one[0].shape[1]
        and both[0].shape[0] > 2 * one[0].shape[0]
    )


def test_the_caption_has_a_line_for_each(grey):
    pairs = paired(grey, make_run(steps=5), (("sampler ddim", "steps 10"), ("sampler ddpm", "steps 5")))
    assert lines(pairs[4]) == [
        ["sampler ddim", "steps 10", *caption_parts(pairs[4].above)],
        ["sampler ddpm", "steps 5", *caption_parts(pairs[4].below)],
    ]
    assert lines(grey[4]) == [caption_parts(grey[4])]
    for width in (40, 300, 2000):
        caption = Caption.fitting(pairs, width)
        above, below = caption.places
        assert max(top for _, top in above) < min(
            top for _, top in below
        )  # no part of one beside the other's
        assert all(0 <= left < caption.width and 0 <= top < caption.height for left, top in (*above, *below))
        assert caption.draw(pairs[0]).min() < 64


@pytest.mark.parametrize("view, rows", [("x", 2), ("both", 4)])
def test_a_strip_has_the_rows_of_both(tmp_path, grey, view, rows):
    others = other_run()
    alone, both = (
        Image.open(
            save(
                grey,
                tmp_path / f"{len(more)}.png",
                "{}",
                ExportOptions(view=view, states=4, scale=8),
                "strip",
                *more,
            )
        )
        for more in ((), (others, (("steps 10",), ("steps 5",))))
    )
    tile = 8 * 2 * grey[0].x.shape[1]
    gap = max(2, tile // 32)
    assert both.height - alone.height >= rows // 2 * (tile + gap) and both.width >= alone.width
    assert np.array_equal(
        np.asarray(both)[gap : gap + tile, : alone.width], np.asarray(alone)[gap : gap + tile]
    )


def test_pictures_and_points_do_not_go_together(tmp_path, grey):
    points = [
        replace(frame, x=np.zeros((1, 5, 2), np.float16), x0=np.zeros((1, 5, 2), np.float16))
        for frame in grey
    ]
    with pytest.raises(OptionError, match="One of these runs makes pictures and the other points"):
        save(grey, tmp_path / "x.gif", "{}", ExportOptions(), beside=points)
    assert save(points, tmp_path / "x.gif", "{}", ExportOptions(scale=1), beside=points).is_file()


def test_a_pair_looks_like_the_frame_above(grey):
    pair = Pair(grey[2], grey[-1])
    assert pair.x is grey[2].x and pair.level == grey[2].level and pair.index == 2 and grey[-1].level == CLEAN
