"""MP4: every state, true colours, even sizes, the right length."""

from __future__ import annotations

import dataclasses

import av
import numpy as np
import pytest
from export_runs import decoded, make_run, mp4_rgb, psnr, tiles

from diffusion_studio.errors import ExportError
from diffusion_studio.export import ExportOptions, mp4, save
from diffusion_studio.export.render import Scene

RECIPE = '{"diffusion-studio": 1}'


@pytest.mark.parametrize("channels, floor", [(1, 33), (3, 27)])
@pytest.mark.parametrize("options", [{}, {"view": "both", "caption": True, "scale": 6}])
def test_every_state_is_there_and_looks_like_itself(tmp_path, channels, floor, options):
    """The floor for colour noise is what 4:2:0 leaves of it; finished pictures are much nearer."""
    frames = make_run(channels)
    options = ExportOptions(hold=0, **options)
    found = mp4_rgb(save(frames, tmp_path / "run.mp4", RECIPE, options))
    wanted = list(Scene.of(frames, options).pictures())
    assert len(found) == 11
    for k, (a, b) in enumerate(zip(found, wanted)):
        a = a[: b.shape[0], : b.shape[1]]
        assert psnr(a, np.broadcast_to(b, a.shape)) > (floor if k < 10 else 36)


def test_colours_are_not_shifted(tmp_path):
    """Large flat areas come back as themselves: matrix and range fit their tags."""
    frames = make_run(3, steps=2, count=1, height=4, width=4)
    colours = np.array(
        [
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [255, 255, 255],
            [0, 0, 0],
            [200, 120, 40],
            [16, 16, 16],
            [235, 235, 235],
        ],
        np.uint8,
    )
    x = np.repeat(colours[None, :4], 4, axis=0)[None], np.repeat(colours[None, 4:], 4, axis=0)[None]
    frames = [dataclasses.replace(frames[0], x=x[0]), dataclasses.replace(frames[1], x=x[1])]
    file = save(frames, tmp_path / "run.mp4", RECIPE, ExportOptions(scale=32, hold=0))
    for picture, four in zip(mp4_rgb(file), (colours[:4], colours[4:])):
        for k, colour in enumerate(four):
            area = picture[32:96, 32 * k + 8 : 32 * k + 24].mean(axis=(0, 1))
            assert np.abs(area - colour).max() < 3
    with av.open(str(file)) as container:
        stream, frame = container.streams.video[0], next(container.decode(video=0))
        assert stream.codec_context.name == "h264" and frame.format.name == "yuv420p"
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)


@pytest.mark.parametrize("fps", [20, 30, 12.5, 50, 0.5, 29.97])
def test_the_length_is_exact_and_the_last_frame_is_held(tmp_path, grey, fps):
    file = save(grey, tmp_path / "run.mp4", RECIPE, ExportOptions(fps=fps, hold=1.2, scale=1))
    frames = 10 + max(1, round(1.2 * fps))
    found = decoded(file)
    assert len(found) == frames
    for held in found[10:]:
        assert psnr(held, found[10]) > 40
    with av.open(str(file)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(fps, rel=1e-6)
        assert container.duration / 1e6 == pytest.approx(frames / fps, abs=0.002)


@pytest.mark.parametrize(
    "height, width, scale, size",
    [(5, 7, 1, (6, 8)), (5, 7, 3, (16, 22)), (9, 4, 5, (46, 20)), (8, 8, 2, (16, 16)), (1, 1, 1, (2, 2))],
)
def test_odd_sizes_are_padded_and_never_resized(tmp_path, height, width, scale, size):
    frames = make_run(1, steps=3, count=1, height=height, width=width)
    options = ExportOptions(scale=scale, hold=0)
    found = mp4_rgb(save(frames, tmp_path / "run.mp4", RECIPE, options))
    assert len(found) == 4
    for picture, frame in zip(found, frames):
        assert picture.shape[:2] == size
        inner = picture[: height * scale, : width * scale]
        assert psnr(inner, np.broadcast_to(tiles(frame.x, 1, scale), inner.shape)) > 30


def test_it_starts_before_it_is_downloaded(tmp_path, grey):
    """Fast start: the index lies in front of the pictures."""
    data = save(grey, tmp_path / "run.mp4", RECIPE, ExportOptions()).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_video_that_ffmpeg_did_not_finish_is_an_error(tmp_path, grey, monkeypatch):
    whole = mp4.mp4_is_whole

    def cut(path):
        path.write_bytes(path.read_bytes()[:-9])
        return whole(path)

    monkeypatch.setattr(mp4, "mp4_is_whole", cut)
    with pytest.raises(ExportError, match="did not finish the video.*Make room"):
        save(grey, tmp_path / "run.mp4", RECIPE, ExportOptions(scale=1))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_ffmpeg_is_an_error_that_says_what_to_do(tmp_path, grey, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(ExportError, match="could not make the video.*imageio-ffmpeg"):
        save(grey, tmp_path / "run.mp4", RECIPE, ExportOptions(scale=1))
    assert list(tmp_path.iterdir()) == []
