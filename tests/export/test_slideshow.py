"""The finished pictures as a slideshow, and states of runs whose noise does not only decrease."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from export_runs import decoded

from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions, save
from diffusion_studio.export.render import caption_parts, evenly, time_of
from diffusion_studio.export.slideshow import slideshow


@pytest.mark.parametrize("bounce, places", [(False, [0, 1, 2, 3]), (True, [0, 1, 2, 3, 2, 1])])
def test_a_film_shows_the_finished_pictures_in_order(grey, tmp_path, bounce, places):
    options = ExportOptions(frames="pictures", bounce=bounce, scale=2, picture=2)
    shown = decoded(save(grey, tmp_path / "film.gif", "{}", options))
    expected = [np.kron(grey[-1].x[k, ..., 0], np.ones((2, 2), np.uint8)) for k in places]
    assert len(shown) == len(places) and all(np.array_equal(a[..., 0], b) for a, b in zip(shown, expected))


def test_what_has_no_frames_shows_all_pictures_as_ever(grey, tmp_path):
    one, other = (
        save(grey, tmp_path / f"{name}.png", "{}", ExportOptions(frames=name)) for name in ("pictures", "all")
    )
    assert one.read_bytes() == other.read_bytes()


def test_captions_count_pictures(grey):
    assert [caption_parts(frame) for frame in slideshow(grey)][0] == ["picture 1 of 4"] and caption_parts(
        grey[0]
    )[0] == "step 0/10"
    assert [time_of(frame, "t ") for frame in slideshow(grey)] == [["1"], ["2"], ["3"], ["4"]]
    assert caption_parts(replace(grey[0], part="into noise")) == [*caption_parts(grey[0]), "into noise"]


def test_one_picture_is_a_film_of_one(grey):
    single = [replace(frame, x=frame.x[:1], x0=frame.x0[:1]) for frame in grey]
    assert len(slideshow(single)) == len(slideshow(single, bounce=True)) == 1


@pytest.mark.parametrize(
    "log_snr, count, picks",
    [
        ([5, 3, 1, 2, 4, 6, float("inf")], 3, [0, 3, 6]),
        ([5, 3, 1, 2], 9, [0, 1, 2, 3]),
        ([float("inf")] * 5, 3, [0, 2, 4]),
        ([1, 2, 1, 2, 3], 2, [0, 4]),
    ],
)
def test_a_run_that_goes_up_and_down_is_shown_evenly_by_place(log_snr, count, picks):
    assert evenly(log_snr, count) == picks


def test_an_unknown_choice_of_frames():
    with pytest.raises(OptionError, match="There is no export.frames 'picturs'.*Did you mean 'pictures'"):
        ExportOptions(frames="picturs")
