"""Points as pictures: their positions, their soft edges, and that every format supports them."""

from __future__ import annotations

import numpy as np
import pytest
from export_runs import decoded
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Cosine
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.export.clouds import drawn, flow, spread
from diffusion_studio.export.options import ExportOptions
from diffusion_studio.imaging import point_plot as plot
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.runs.trajectory import Trajectory

LIGHT = plot.THEMES["light"]
BLACK = np.zeros((1, 3))


def run(clouds: int = 1, count: int = 60, steps: int = 4) -> list[Frame]:
    """Noise that goes straight to a ring."""
    random = np.random.default_rng(0)
    x0 = np.stack([np.cos(a := random.uniform(0, 7, (clouds, count))), np.sin(a)], axis=-1)
    eps = random.standard_normal(x0.shape)
    return [
        Frame(
            k,
            steps,
            level,
            (level.alpha * x0 + level.sigma * eps).astype(np.float16),
            x0.astype(np.float16),
            k,
        )
        for k, level in enumerate(path(Cosine(), steps))
    ]


def darkness(picture: np.ndarray) -> np.ndarray:
    return 255.0 - picture[..., 0]


@pytest.mark.parametrize("point", [(0.0, 0.0), (1.0, 2.0), (-2.37, 0.41)])
def test_a_point_is_drawn_where_it_is_with_y_up(point):
    """The centre of gravity of its ink, to a hundredth of a pixel, whatever part of a pixel it lies on."""
    side = 160
    ink = darkness(plot.canvas(np.array([point]), BLACK, side, LIGHT, axes=False, radius=3.3))
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    centre = np.array([(ink * columns).sum(), (ink * rows).sum()]) / ink.sum()
    expected = side / 2 + np.array([point[0], -point[1]]) * side / (2 * plot.EXTENT)
    np.testing.assert_allclose(centre, expected, atol=0.02)


def test_a_disc_has_its_area_and_soft_edges():
    ink = darkness(plot.canvas(np.array([[0.013, -0.021]]), BLACK, 100, LIGHT, axes=False, radius=6.0)) / 255
    assert ink.max() == pytest.approx(LIGHT.opacity, abs=0.01)
    assert ink.sum() / LIGHT.opacity == pytest.approx(np.pi * 36, rel=0.02)
    assert len(np.unique(ink)) > 20


def test_points_mix_whatever_their_order_and_those_outside_are_left_out():
    random = np.random.default_rng(0)
    points, colours = random.normal(size=(300, 2)), random.uniform(0, 255, (300, 3))
    order = random.permutation(300)
    a = plot.canvas(points, colours, 90, LIGHT)
    assert np.array_equal(a, plot.canvas(points[order], colours[order], 90, LIGHT))
    more = np.concatenate([points, [[99.0, 0.0], [np.inf, 1.0], [np.nan, np.nan]]])
    assert np.array_equal(
        a,
        plot.canvas(
            more,
            np.concatenate([colours, np.zeros((3, 3))]),
            90,
            LIGHT,
            radius=max(0.7, 90 / 230 * min(1.5, (2000 / 300) ** 0.25)),
        ),
    )


@pytest.mark.parametrize("theme", plot.THEMES)
def test_colours_go_round_and_stand_out_from_the_ground(theme):
    chosen = plot.THEMES[theme]
    angle = np.linspace(0, 2 * np.pi, 73)
    colours = plot.wheel(np.stack([np.cos(angle), np.sin(angle)], axis=1), chosen)
    np.testing.assert_allclose(colours[0], colours[-1], atol=1e-6)
    assert np.abs(np.diff(colours, axis=0)).max() < 45  # no jump between neighbours
    assert np.abs(colours - np.array(chosen.ground)).max(axis=1).min() > 90
    assert np.abs(colours[0] - colours[36]).max() > 90  # opposite ones differ


def test_a_line_goes_from_end_to_end():
    lines = plot.Lines((np.array([[-2.0, -1.0], [2.0, 1.0]]),), BLACK, opacity=1.0)
    picture = darkness(plot.canvas(np.zeros((0, 2)), np.zeros((0, 3)), 128, LIGHT, (lines,), axes=False))
    for share in (0.05, 0.5, 0.95):
        column, row = (64 + np.array([-2 + 4 * share, 1 - 2 * share]) * 20).round().astype(int)
        assert picture[row - 1 : row + 2, column - 1 : column + 2].max() > 60
    assert picture[:, :20].max() == picture[:, 108:].max() == 0


def test_the_flow_is_towards_x0_and_is_the_velocity_of_the_exact_path():
    """On x = alpha x0 + sigma eps with constant x0 and eps, dx/d(half log-SNR) = alpha sigma (sigma x0 -
    alpha eps).
    """
    frames = run(count=200, steps=50)
    frame, after = frames[30], frames[31]
    np.testing.assert_allclose(flow(frame, "x0"), frame.x0.astype(float) - frame.x.astype(float))
    alpha, sigma = frame.level.alpha, frame.level.sigma
    step = (after.level.log_snr - frame.level.log_snr) / 2
    moved = (after.x.astype(float) - frame.x.astype(float)) / step
    scale = np.abs(moved).max()
    np.testing.assert_allclose(alpha * sigma * flow(frame, "velocity"), moved, atol=0.08 * scale)


def test_few_of_many_evenly():
    assert (
        spread(10, 3).tolist() == [0, 4, 9]
        and spread(2, 300).tolist() == [0, 1]
        and spread(1, 5).tolist() == [0]
    )


@pytest.mark.parametrize(
    "clouds, scale, fit, side",
    [(1, None, 512, 512), (4, None, 512, 256), (5, None, 512, 170), (1, 3, 512, 192)],
)
def test_the_size_of_a_cloud(clouds, scale, fit, side):
    frames, options = drawn(run(clouds), ExportOptions(scale=scale), fit)
    assert options.scale == 1 and frames[0].x.shape == (clouds, side, side, 3)
    assert (frames[2].index, frames[2].total, frames[2].calls) == (2, 4, 2)


def test_a_point_keeps_the_colour_of_where_it_began():
    frames, _ = drawn(run(count=1), ExportOptions(scale=1, axes=False), 512)
    inks = [one.x[0].reshape(-1, 3)[darkness(one.x[0]).argmax()] for one in frames]
    assert all(np.abs(ink.astype(int) - inks[0]).max() < 40 for ink in inks)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"theme": "dark", "caption": True},
        {"trails": 20, "arrows": "x0", "view": "both"},
        {"picture": 1, "axes": False, "arrows": "velocity"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["run.gif", "run.mp4", "run.png", "strip"])
def test_every_format_takes_points(name, options, tmp_path):
    recipe = Recipe(model="dots", seeds=(0, 1), steps=4, points=60)
    target = tmp_path / (name if "." in name else "strip.png")
    Trajectory(recipe, run(2)).save(target, None if "." in name else name, scale=1, **options)
    assert Recipe.from_file(target) == recipe
    pictures = [np.asarray(Image.open(target).convert("RGB"))] if target.suffix == ".png" else decoded(target)
    corner = pictures[0][:3, :3].mean()
    assert corner < 40 if options.get("theme") == "dark" else corner > 215
    assert len(np.unique(pictures[-1].reshape(-1, 3), axis=0)) > 30


def test_a_picture_that_is_not_there(tmp_path):
    with pytest.raises(ds.StudioError, match="This run has pictures 0 to 1, got picture 5"):
        Trajectory(Recipe(model="dots", seeds=(0, 1)), run(2)).save(tmp_path / "a.png", picture=5)
