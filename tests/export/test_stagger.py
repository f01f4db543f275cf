"""Pictures that start one after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from export_runs import decoded, make_run

from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.render import caption_parts
from diffusion_studio.export.stagger import Staggered
from diffusion_studio.imaging.layout import Layout


def by_hand(run, delay: int) -> list[np.ndarray]:
    """(N, H, W, C) of each frame, written out: picture k at its own state."""
    last = len(run) - 1
    frames = []
    for time in range(last + delay * (len(run[0].x) - 1) + 1):
        states = [min(last, max(0, time - delay * k)) for k in range(len(run[0].x))]
        frames.append(np.stack([run[state].x[k] for k, state in enumerate(states)]))
    return frames


@pytest.mark.parametrize("delay", [1, 3, 20])
def test_each_picture_starts_after_the_one_before(delay):
    run = make_run(count=3)
    shown = Staggered(run, delay)
    expected = by_hand(run, delay)
    assert len(shown) == len(expected) == 11 + 2 * delay
    for frame, wanted in zip(shown, expected):
        np.testing.assert_array_equal(frame.x, wanted)
    assert [frame.index for frame in shown[:3]] == [0, 1, 2] and shown[-1].total == len(expected) - 1
    np.testing.assert_array_equal(shown[-1].x0, run[-1].x0)


def test_an_exported_word_has_its_shape_and_its_delay(grey, tmp_path):
    layout = Layout.of_lines(("ab c", "d"))
    run = [replace(frame, layout=layout) for frame in grey]
    shown = decoded(save(run, tmp_path / "word.gif", "{}", ExportOptions(delay=2, scale=1)))
    expected = [layout.sheet(images, 255)[..., 0] for images in by_hand(run, 2)]
    for frame, wanted in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(frame[..., 0], wanted)


def test_without_a_delay_and_for_one_picture_nothing_is_staggered(grey, tmp_path):
    plain = save(grey, tmp_path / "plain.gif", "{}", ExportOptions(picture=1)).read_bytes()
    assert save(grey, tmp_path / "one.gif", "{}", ExportOptions(picture=1, delay=3)).read_bytes() == plain


def test_captions_say_that_the_pictures_are_apart(grey):
    assert caption_parts(Staggered(grey, 1)[4]) == ["frame 5 of 14", "one after another, 1 step apart"]


def test_points_are_staggered_too(tmp_path):
    random = np.random.default_rng(0)
    run = [
        replace(
            frame, x=random.normal(size=(2, 50, 2)).astype(np.float16), x0=np.zeros((2, 50, 2), np.float16)
        )
        for frame in make_run(count=2, steps=4)
    ]
    assert len(decoded(save(run, tmp_path / "clouds.gif", "{}", ExportOptions(delay=2)))) == 7
