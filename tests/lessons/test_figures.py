"""The lessons' figures, drawn by the bundled models: each shows what its lesson says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffusion_studio.compare.recipes import RaceRecipe
from diffusion_studio.errors import OptionError
from diffusion_studio.inside.figure import Figure
from diffusion_studio.lessons.figures import FIGURES, check, draw
from diffusion_studio.lessons.lesson import course
from diffusion_studio.studio import Studio
from diffusion_studio.ui.learn_tab import go_on_recipe

ROOT = Path(__file__).resolve().parents[2]
LESSONS = {one.number: one for one in course("en")}


@pytest.fixture(scope="module")
def studio():
    return Studio(ROOT / "checkpoints", device="cpu", precision="fp32")


def drawn(studio, number: int, **changes) -> Figure:
    one = LESSONS[number]
    *_, last = draw(studio, one.figure, {**one.settings, **changes})
    assert last.to_json()["states"] == last.states
    return last


def curves(figure: Figure) -> dict[str, np.ndarray]:
    return {name: np.asarray(ys) for one in figure.curves for name, _, ys in one.series}


def test_1_without_the_factor_the_variance_grows_to_about_nine(studio):
    found = curves(drawn(studio, 1))
    assert found["linear, unscaled"][-1] == pytest.approx(9, abs=0.5)
    assert (np.diff(found["linear, unscaled"]) > 0).mean() > 0.9
    for way in ("closed", "iterated"):
        assert found[f"linear, {way}"][-1] == pytest.approx(1, abs=0.05)


def test_2_one_step_ends_in_speckles_and_more_steps_agree(studio):
    figure = drawn(studio, 2)
    one, few, many = (cells[0].pictures[-1].astype(float) for _, cells in figure.rows)

    def rough(x):  # how much neighbours differ
        return np.abs(np.diff(x, axis=1)).mean()

    assert rough(one) > 2 * rough(many)
    assert np.abs(few - many).mean() < np.abs(one - many).mean() / 2
    assert figure.rows[0][1][0].captions[-1].startswith("step 1 of 1")


def test_3_the_picture_is_worse_at_much_noise_and_the_noise_at_little(studio):
    found = curves(drawn(studio, 3))  # from the least noise to the most
    assert found["picture"][-1] > 10 * found["noise"][-1]
    assert found["noise"][0] > 2 * found["picture"][0]


def test_4_the_loss_falls_while_it_is_watched(studio):
    one = LESSONS[4]
    figures = list(draw(studio, one.figure, {**one.settings, "steps": 120}))
    assert figures[0].states == 1 and [f.states for f in figures[1:]] == [*range(1, len(figures))]
    loss = curves(figures[-1])["loss"]
    assert len(figures) > 10 and 0.8 < loss[-1] < loss[0] < 1.1


def test_5_without_the_finest_skip_the_picture_falls_apart(studio):
    figure = drawn(studio, 5, steps=4)
    (_, (network,)), (_, (whole, without)) = figure.rows
    states, height, width, channels = network.pictures.shape
    assert (states, channels) == (4, 3) and width > 1.6 * height  # the page shows it wide
    assert (network.pictures[0] != network.pictures[3]).mean() > 0.1  # with the run's data in it
    k = 2
    rough = [np.abs(np.diff(one.pictures[k].astype(float), axis=1)).mean() for one in (whole, without)]
    assert rough[1] > 4 * rough[0]
    middle = drawn(studio, 5, steps=4, leave_out="middle").rows[1][1][1]
    assert np.abs(np.diff(middle.pictures[k].astype(float), axis=1)).mean() < 2 * rough[0]  # it stays clean


def test_6_the_schedules_halfway(studio):
    figure = drawn(studio, 6)
    at = {name: np.interp(0.5, xs, ys) for name, xs, ys in figure.curves[0].series}
    assert at["linear"] == pytest.approx(0.08, abs=0.01) and at["cosine"] == pytest.approx(0.49, abs=0.01)
    assert figure.start == 25
    (_, (photograph, _)), (_, samples) = figure.rows
    assert all(len(one.pictures) == len(photograph.pictures) for one in samples)
    away = [float(one.title.split("ends ")[1].split()[0]) for one in samples]
    assert away[0] < away[1] / 2  # as the lesson says, and not as one might expect
    early = slice(-11, None)  # the run goes from right to left

    def changes(one, where):
        return np.abs(np.diff(one.pictures[where].astype(float), axis=0)).mean()

    linear, cosine = samples
    assert changes(linear, early) < changes(cosine, early)
    assert (linear.pictures[-1] == cosine.pictures[-1]).mean() > 0.9  # the same first guess, of pure noise


def test_7_the_multistep_solver_ends_nearest(studio):
    figure = drawn(studio, 7)
    ((_, cells),) = figure.rows
    away = {one.title.split(",")[0]: float(one.title.split("ends ")[1].split()[0]) for one in cells[1:]}
    assert away["DPM-Solver++ (2M)"] < away["DDIM"] < away["DDPM"]
    assert cells[0].title == "DDIM, 50 steps" and cells[1].captions[-1] == "step 8 of 8"
    found = curves(figure)
    assert [*found] == [one.title.partition(":")[0] for one in cells[1:]]
    assert found["DDPM, 8 steps"][-1] == pytest.approx(away["DDPM"], abs=1e-3)
    starts = [one.pictures[0] for one in cells]
    assert all((one == starts[0]).mean() > 0.9 for one in starts)  # one noise, so one first guess


def test_8_guidance_makes_bags_alike(studio):
    one = LESSONS[8]
    assert one.settings["rows"][0]["label"] is None and one.settings["rows"][3]["label"] is None
    ((_, cells),) = drawn(studio, 8).rows
    spread = []
    for cell in cells[1:3]:
        sheet = cell.pictures[-1][..., 0].astype(float)
        tiles = np.stack([sheet[y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)])
        spread.append(tiles.std(0).mean())
    assert spread[1] < 0.8 * spread[0]


def test_9_the_blob_is_as_near_as_a_good_run(studio):
    ((_, cells),) = drawn(studio, 9).rows
    found = {one.title: float(one.captions[0].split()[1]) for one in cells}
    blob, good = found["one Gaussian of the data's mean and spread"], found["50 steps"]
    assert found["the data"] == 0 and found["other points of the same data"] < 0.01
    assert max(blob, good) < 0.01 < 0.1 < found["3 steps"] < found["50 steps, guidance 8"]


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_leads_on_with_what_its_figure_shows(studio, number):
    one = LESSONS[number]
    if isinstance(one.go_on, str):
        assert one.go_on in ("Forward", "Points")
        return
    found = go_on_recipe(studio, one.go_on)
    if isinstance(found, RaceRecipe):
        assert [lane.steps for lane in found.lanes] == [row["steps"] for row in one.settings["rows"]]
    recipe = found.lanes[0] if isinstance(found, RaceRecipe) else found
    assert one.settings.get("model", recipe.model) == recipe.model
    rows = one.settings.get("rows", [one.settings])
    assert any(row.get("steps", recipe.steps) == recipe.steps for row in rows)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("backward", {}, "backward"),
        ("forward", {"schedule": "linear"}, "schedules"),
        ("runs", {"model": "fashion-mnist", "rows": []}, "1 to 5 rows, got 0"),
        ("runs", {"model": "fashion-mnist", "rows": [{"steps": 900}]}, "may take 400"),
        ("runs", {"model": "fashion-mnist", "rows": [{"steps": 2}], "against": "x"}, "x"),
        ("runs", {"model": "fashion-mnist", "rows": [{"step": 2}]}, "step"),
        ("training", {"steps": 9}, "from 50 to 1500"),
        ("training", {"shape": "cube"}, "cube"),
        ("targets", {"levels": 1}, "from 2 to 50"),
        ("network", {"leave_out": "all"}, "all"),
        ("distance", {"rows": []}, "1 to 5 rows"),
    ],
)
def test_settings_that_do_not_fit_are_refused(studio, name, settings, said):
    with pytest.raises(OptionError, match=said):
        list(draw(studio, name, settings))


def test_settings_are_checked_without_drawing():
    for name in FIGURES:
        check(name, {})
    check("runs", {"guidance": 3.0})  # of a recipe
