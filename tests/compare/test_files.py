"""Files of races and grids: they re-open as what they are, and show at each tick what the runs had."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence

import diffusion_studio as ds
from diffusion_studio.compare.curve_plot import COLOURS, CurvePlot
from diffusion_studio.compare.drawing import drawing, evenly_spaced, wrapped
from diffusion_studio.compare.files import check, formats
from diffusion_studio.errors import ExportError, OptionError
from diffusion_studio.export import ExportOptions


# The runs are made once: the tests read them, and write files into folders of their own.
@pytest.fixture(scope="module")
def studio(tmp_path_factory, checkpoint_writer):
    folder = tmp_path_factory.mktemp("compare") / "checkpoints"
    checkpoint_writer(folder)("tiny")
    return ds.Studio(folder, "cpu", "fp32")


@pytest.fixture(scope="module")
def race(studio):
    base = studio.recipe("tiny", label="Dog", seeds=(3, 4), steps=6)
    return ds.race([base, {"sampler": "dpmpp_2m", "steps": 3}], "steps", studio=studio, reference=True)


@pytest.fixture(scope="module")
def grid(studio):
    base = studio.recipe("tiny", label="Dog", seeds=(3,), steps=4)
    return ds.grid(base, ("guidance", [1, 2, 4]), ("sampler", ["ddim", "ddpm"]), "steps", studio=studio)


@pytest.mark.parametrize("suffix", ["gif", "mp4", "webp", "apng", "png", "html"])
def test_every_format_carries_the_race(race, tmp_path, suffix):
    path = race.save(tmp_path / f"race.{suffix}", scale=2)
    assert ds.read_race(path) == race.recipe
    with pytest.raises(OptionError, match="a race of several runs"):
        ds.Recipe.from_file(path)


def test_a_strip_and_a_sheet_carry_them(race, grid, tmp_path):
    strip = race.save(tmp_path / "strip.png", "strip", states=3, scale=4)
    assert ds.read_race(strip) == race.recipe
    assert ds.read_grid(grid.save(tmp_path / "sheet.png")) == grid.recipe
    assert formats(race) == ("gif", "mp4", "webp", "apng", "html", "png", "strip")
    assert formats(grid) == ("gif", "mp4", "webp", "apng", "html", "png")
    assert ds.read_grid(grid.save(tmp_path / "grid.html")) == grid.recipe


def test_an_animation_has_a_frame_for_each_tick_with_the_pixels_of_each_run(grid, tmp_path):
    drawn = drawing(grid, ExportOptions(scale=3))
    path = grid.save(tmp_path / "grid.webp", scale=3)
    frames = [np.asarray(one.convert("RGB")) for one in ImageSequence.Iterator(Image.open(path))]
    assert len(frames) == len(grid.ticks) == 5
    for tick in (0, 2, 4):
        for number, frame in enumerate(grid.shown(tick)):
            left, top = drawn._at(number)
            seen = frames[tick][top : top + 24 : 3, left : left + 24 : 3]
            np.testing.assert_array_equal(seen, np.repeat(frame.x[0], 3, axis=-1))
    fewer = grid.save(tmp_path / "fewer.webp", scale=3, every=3)
    assert Image.open(fewer).n_frames == 3  # ticks 0, 3 and the last


def test_a_race_shows_the_pixels_of_each_lane_and_a_finished_one_stays(race):
    drawn = drawing(race, ExportOptions(scale=2, view="x0"))
    for tick in (0, 4, 6):
        picture = drawn.picture(tick)
        for number, frame in enumerate(race.shown(tick)):
            left, top = drawn._at(number)
            top += drawn._heights[0] + 2
            seen = picture[top : top + 16 : 2, left : left + 32 : 2, 0]
            np.testing.assert_array_equal(seen, np.concatenate(list(frame.x0[..., 0]), axis=1))
    assert race.shown(4)[1] is race.shown(6)[1]
    assert drawn._progress(1, 3) == [
        "step 3 of 3",
        f"3 of 3 calls, {race.lanes[1].took:.2f} s",
        f"{race.lanes[1].distance:.3f} from the reference",
    ]


def test_the_marker_stands_on_the_curve(race):
    plot = CurvePlot(race, 400, (0, 0, 0), (255, 255, 255))
    lane = race.lanes[1]
    for place, frame in enumerate(lane.frames):
        x, y = plot.place(frame.level.log_snr, lane.curve.rms[place])
        found = np.asarray(plot.at((0, place), None))[round(y), round(x)]
        assert np.abs(found.astype(int) - COLOURS[1]).max() < 40
    assert plot.place(float("inf"), 0)[0] > plot.place(plot.high, 0)[0]


def test_a_file_says_what_all_its_runs_have(race, grid):
    assert race.common == "tiny, “Dog”, seeds 3 to 4"
    assert grid.common == "tiny, “Dog”, 4 steps, seed 3"
    for shown in (race, grid):  # above the first run, in the colour of lesser words
        drawn = drawing(shown, ExportOptions(scale=3))
        top = drawn.picture(0)[14 : drawn._top - 4]
        assert (top < 200).any() and (drawn.picture(0)[:10] == 255).all()


def test_the_paper_of_a_gif_is_white_in_every_frame(grid, tmp_path):
    path = grid.save(tmp_path / "grid.gif")
    corners = [
        np.asarray(one.convert("RGB"))[0, 0].tolist() for one in ImageSequence.Iterator(Image.open(path))
    ]
    assert corners == [[255, 255, 255]] * len(grid.ticks)


def test_points_race_too(tmp_path, studio):
    bundled = ds.Studio(device="cpu")
    base = bundled.recipe("swiss-roll", steps=4, points=50, seeds=(0,))
    made = ds.race([base, {"steps": 2}], studio=bundled)
    path = made.save(tmp_path / "points.png", theme="dark", view="both")
    assert ds.read_race(path) == made.recipe
    assert np.asarray(Image.open(path))[0, 0].tolist() == [11, 14, 20]


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("a.html", {"picture": 2}, "pictures 0 to 1, got picture 2"),
        ("a.html", {"bounce": True}, "no option bounce"),
        ("a.txt", {}, "suffix must be one of"),
        ("a.gif", {"delay": 3}, "no option delay"),
        ("a.gif", {"picture": 2}, "pictures 0 to 1, got picture 2"),
        ("a.gif", {"scale": 64, "view": "both"}, None),
        ("a.gif", {"fpss": 3}, "fpss"),
    ],
)
def test_what_cannot_be_saved_is_said_before_the_runs(race, studio, tmp_path, name, options, message):
    if message is None:
        check(studio, race.recipe, tmp_path / name, None, options)
        return
    with pytest.raises(OptionError, match=message):
        check(studio, race.recipe, tmp_path / name, None, options)
    with pytest.raises(OptionError, match=message):
        race.save(tmp_path / name, **options)


def test_a_picture_that_is_too_large_and_a_folder_that_is_not_there(race, studio, tmp_path):
    many = ds.RaceRecipe.of(
        [studio.recipe("tiny", seeds=tuple(range(64)), steps=2), *[{"steps": k} for k in (3, 4, 5, 6, 7)]]
    )
    with pytest.raises(OptionError, match="Choose a smaller scale"):
        check(studio, many, tmp_path / "a.gif", None, {"scale": 64})
    with pytest.raises(ExportError, match="There is no folder"):
        check(studio, race.recipe, tmp_path / "no" / "a.gif", None, {})


def test_words():
    assert evenly_spaced(10, 3) == [0, 4, 9] and evenly_spaced(2, 8) == [0, 1]
    lines = wrapped("steps 25, sampler dpmpp_2m", 100)
    assert len(lines) > 1 and " ".join(lines) == "steps 25, sampler dpmpp_2m"


def test_a_strip_has_most_states_where_there_is_something_to_see(studio):
    """The first and the last tick, and between them log-SNR from -5 to 5."""
    from diffusion_studio.compare.drawing import RaceDrawing

    base = studio.recipe("tiny", steps=20)
    made = ds.race([base, {"steps": 8}], studio=studio)
    ticks = RaceDrawing(made, ExportOptions())._strip_ticks(7)
    assert len(ticks) == 7 and (ticks[0], ticks[-1]) == (0, len(made.ticks) - 1)
    assert all(-5 <= made.ticks[k] <= 5 for k in ticks[1:-1])
    steps = RaceDrawing(made.on("steps"), ExportOptions())._strip_ticks(5)
    assert steps == [0, 5, 10, 15, 20]
