"""Which states are shown, their size, and their captions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from export_runs import make_run, tiles

from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions
from diffusion_studio.export.render import Scene, canvas, choose, evenly
from diffusion_studio.imaging.frame import Frame


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, list(range(11))),
        ({"frames": "every", "every": 1}, list(range(11))),
        ({"frames": "every", "every": 4}, [0, 4, 8, 10]),
        ({"frames": "every", "every": 5}, [0, 5, 10]),
        ({"frames": "every", "every": 99}, [0, 10]),
        ({"frames": "log_snr", "states": 2}, [0, 10]),
        ({"frames": "log_snr", "states": 99}, list(range(11))),
    ],
)
def test_choice_has_both_ends_and_no_state_twice(grey, options, expected):
    assert choose(grey, ExportOptions(**options)) == expected


@pytest.mark.parametrize("frames", ["all", "every", "log_snr"])
def test_a_run_of_one_state_is_shown(grey, frames):
    assert choose(grey[:1], ExportOptions(frames=frames)) == [0]
    assert choose(grey[-1:], ExportOptions(frames=frames)) == [0]


@pytest.mark.parametrize("n", [3, 8, 50, 999])
@pytest.mark.parametrize("states", [2, 3, 8, 49])
def test_even_in_log_snr_gives_as_many_states_as_asked(n, states):
    frames = make_run(steps=n, count=1, height=1, width=1)
    picks = choose(frames, ExportOptions(frames="log_snr", states=states))
    assert len(picks) == min(states, n + 1)
    assert picks == sorted(set(picks)) and picks[0] == 0 and picks[-1] == n


def test_even_in_log_snr_is_even():
    """On a fine path, where no two picks want the same state, no other state is nearer to the even steps."""
    frames = make_run(steps=1000, count=1, height=1, width=1)
    values = np.array([frame.level.log_snr for frame in frames[:-1]])
    values = np.clip(values, -6, 6) + 0.01 * (values - np.clip(values, -6, 6))  # beyond, steps hardly count
    *inner, last = choose(frames, ExportOptions(frames="log_snr", states=9))
    assert last == 1000
    for pick, target in zip(inner, np.linspace(values[0], values[-1], 8), strict=True):
        assert np.abs(values - target).min() == abs(values[pick] - target)


@pytest.mark.parametrize(
    "values, count, expected",
    [
        ([-math.inf, 0.0, 1.0, 2.0, math.inf], 5, [0, 1, 2, 3, 4]),
        ([-math.inf, 0.0, 1.0, 2.0, math.inf], 4, [0, 1, 3, 4]),
        ([-math.inf, 0.0, math.inf], 2, [0, 2]),
        ([-4.0, -1.0, 0.0, 0.1, 4.0], 3, [0, 2, 4]),  # a run that was stopped: no clean end
        ([0.0, 0.1, 0.2, 0.3, 10.0], 4, [0, 1, 3, 4]),
        ([-math.inf], 8, [0]),
    ],
)
def test_infinite_ends_are_picks_of_their_own(values, count, expected):
    picks = evenly(values, count)
    assert len(picks) == len(expected) and picks[0] == expected[0] and picks[-1] == expected[-1]
    if values[0] != 0.0:
        assert picks == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_its_tiles_and_a_picture_is_itself(channels):
    frame = make_run(channels)[-2]
    assert np.array_equal(canvas(frame, ExportOptions()), tiles(frame.x, 2, 1))
    assert np.array_equal(canvas(frame, ExportOptions(view="x0")), tiles(frame.x0, 2, 1))
    assert np.array_equal(canvas(frame, ExportOptions(picture=3)), frame.x[3])


def test_both_is_x_then_x0_with_a_thin_white_gap(colour):
    frame = colour[4]
    both = canvas(frame, ExportOptions(view="both", picture=1))
    gap = both.shape[1] - 2 * 8
    assert 1 <= gap <= 2
    assert np.array_equal(both[:, :8], frame.x[1]) and np.array_equal(both[:, 8 + gap :], frame.x0[1])
    assert (both[:, 8 : 8 + gap] == 255).all()


@pytest.mark.parametrize(
    "height, width, count, expected",
    [
        (32, 32, 16, 4),
        (28, 28, 1, 18),
        (28, 28, 64, 2),
        (64, 64, 16, 2),
        (512, 1, 1, 1),
        (513, 4, 1, 1),
        (5, 7, 1, 73),
    ],
)
def test_the_scale_is_the_largest_that_fits_512(height, width, count, expected):
    scene = Scene.of(make_run(steps=1, count=count, height=height, width=width), ExportOptions())
    assert scene.scale == expected
    assert max(next(scene.pictures()).shape) == max(canvas(scene.frames[0], scene.options).shape) * expected


def test_the_view_does_not_change_the_scale(grey):
    assert Scene.of(grey, ExportOptions(view="both")).scale == Scene.of(grey, ExportOptions()).scale == 32


def test_a_picture_beyond_the_run_is_an_error_that_says_which_there_are(grey):
    with pytest.raises(OptionError, match=r"pictures 0 to 3, got picture 4"):
        Scene.of(grey, ExportOptions(picture=4))
    with pytest.raises(OptionError, match=r"only picture 0, got picture 1"):
        Scene.of(make_run(count=1), ExportOptions(picture=1))


def test_a_size_that_would_fill_the_memory_is_an_error(grey):
    frames = make_run(steps=1, count=4, height=64, width=64)
    with pytest.raises(
        OptionError, match=r"8192 x 8192 = 67 million pixels; the limit is 17 million.*smaller scale"
    ):
        Scene.of(frames, ExportOptions(scale=64))


@pytest.mark.parametrize("scale, picture", [(1, 0), (1, None), (4, None), (64, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_caption_changes_no_pixel_of_the_picture_and_is_never_cut_off(scale, picture, channels):
    frames = make_run(channels, steps=100)
    plain = Scene.of(frames, ExportOptions(scale=scale, picture=picture))
    scene = Scene.of(frames, ExportOptions(scale=scale, picture=picture, caption=True))
    shapes = set()
    for bare, with_caption in zip(plain.pictures(), scene.pictures()):
        height, width, _ = bare.shape
        left = (with_caption.shape[1] - width) // 2
        assert np.array_equal(with_caption[:height, left : left + width], bare)
        strip = with_caption[height:]
        edge = np.concatenate(
            [strip[:2].ravel(), strip[-2:].ravel(), strip[:, :2].ravel(), strip[:, -2:].ravel()]
        )
        assert (edge == 255).all(), "text at the edge"
        assert (strip < 128).sum() > 20, "no text"
        shapes.add(with_caption.shape)
    assert len(shapes) == 1


def test_captions_of_all_states_differ_and_fractional_and_infinite_levels_are_written(grey):
    scene = Scene.of(grey, ExportOptions(caption=True))
    strips = [picture[512:].tobytes() for picture in scene.pictures()]
    assert len(set(strips)) == len(strips)
    x = grey[0].x
    odd = [Frame(0, 1, NoiseLevel(1.0, 0.0, 1.0), x, x), Frame(1, 1, NoiseLevel(0.25, 0.75, 0.25), x, x)]
    for picture in Scene.of(odd, ExportOptions(caption=True)).pictures():
        assert (picture[512:] < 128).sum() > 50


def test_a_schedule_that_begins_in_pure_noise_does_not_fill_a_strip_with_noise():
    """Cosine levels over 25 steps from log-SNR -19.8, as emoji's: of eight states five looked the same."""
    values = [-19.8, *np.linspace(-8, 8, 24), np.inf]
    picks = evenly(values, 8)
    noise = [k for k in picks if values[k] < -4]  # more than 98 % noise
    assert len(picks) == 8 and picks[0] == 0 and picks[-1] == 25 and len(noise) <= 2
