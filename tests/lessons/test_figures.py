"""The lessons' figures, drawn by the bundled models: each shows what its lesson says of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from diffusion_studio.compare.recipes import RaceRecipe
from diffusion_studio.diffusion.schedule import CLEAN
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.inside.figure import Figure, Film, Histogram
from diffusion_studio.lessons.figures import FIGURES, _learning, check, draw
from diffusion_studio.lessons.lesson import course
from diffusion_studio.lessons.translation import translated
from diffusion_studio.studio import Studio
from diffusion_studio.training.live import Look
from diffusion_studio.ui.learn_tab import go_on_recipe

ROOT = Path(__file__).resolve().parents[2]
LESSONS = {one.number: one for one in course("en")}


@pytest.fixture(scope="module")
def studio():
    return Studio(ROOT / "checkpoints", device="cpu", precision="fp32")


def drawn(studio, number: int, **changes) -> Figure:
    one = LESSONS[number]
    *_, last = draw(studio, one.figure, {**one.settings, **changes})
    assert isinstance(last, Figure) and last.to_json()["states"] == last.states
    assert untranslated(last, one.settings) == []
    return last


SYMBOLS = {"t / T", "linear", "log-SNR"}  # as in German


def untranslated(figure: Figure, settings: dict) -> list[str]:
    """The texts of a figure that stay English in the German course."""
    named = SYMBOLS | {row["name"] for row in settings.get("rows", ())}  # a lesson translates its own rows
    found = texts(figure)
    return [
        old
        for old, new in zip(found, texts(translated(figure, "de")))
        if old == new and old not in named and re.search("[a-z]{3}", old)
    ]


def texts(figure: Figure) -> list[str]:
    cells = [cell for _, row in figure.rows for cell in row]
    return [
        *figure.labels,
        *(name for name, _ in figure.rows),
        *(cell.title for cell in cells),
        *(said for cell in cells if isinstance(cell, Film) for said in cell.captions),
        *(cell.curve_name for cell in cells if isinstance(cell, Histogram)),
        *(said for one in figure.curves for said in (one.title, one.x, *(line[0] for line in one.series))),
    ]


def curves(figure: Figure) -> dict[str, np.ndarray]:
    return {name: np.asarray(ys) for one in figure.curves for name, _, ys in one.series}


def test_1_without_the_factor_the_variance_grows_to_about_nine(studio):
    figure = drawn(studio, 1)
    found = curves(figure)  # named as the lesson's text has them
    assert found["never made fainter"][-1] == pytest.approx(9, abs=0.5)
    assert (np.diff(found["never made fainter"]) > 0).mean() > 0.9
    for way in ("at once", "step by step"):
        assert found[way][-1] == pytest.approx(1, abs=0.05)
    # over DDPM's single steps: the sum of its betas, and the photograph's own
    assert np.linspace(1e-4, 0.02, 1000).sum() + found["never made fainter"][0] == pytest.approx(
        10.15, abs=0.05
    )
    [(_, cells)] = figure.rows
    assert [one.title for one in cells][:3] == ["At once", "Step by step", "Never made fainter"]


def test_2_one_step_ends_in_speckles_and_more_steps_agree(studio):
    figure = drawn(studio, 2)
    one, few, many = (cells[0].pictures[-1].astype(float) for _, cells in figure.rows)

    def rough(x):  # how much neighbours differ
        return np.abs(np.diff(x, axis=1)).mean()

    assert rough(one) > 2 * rough(many)
    assert np.abs(few - many).mean() < np.abs(one - many).mean() / 2
    assert figure.rows[0][1][0].captions[-1].startswith("step 1 of 1")


def test_3_the_picture_is_worse_at_much_noise_and_the_noise_at_little(studio):
    figure = drawn(studio, 3)
    found = curves(figure)  # from the least noise to the most, and so are the states
    assert np.all(np.diff(figure.curves[0].at) > 0) and figure.start == figure.states - 1
    assert figure.labels[0].endswith("0.978 · picture + 0.207 · noise")  # as the lesson says
    assert np.all(found["v"] >= 0.999 * np.maximum(found["noise"], found["picture"]))
    assert found["v"][0] < 1.1 * found["noise"][0] and found["v"][-1] < 1.1 * found["picture"][-1]
    assert found["picture"][-1] > 10 * found["noise"][-1]
    assert found["noise"][0] > 2 * found["picture"][0]
    # each answer stands beside the truth, and says how far it is from it
    assert [name for name, _ in figure.rows] == ["", "the noise ε", "the picture x0", "v, the mixture"]
    for name, (_, (truth, said)) in zip(("noise", "picture", "v"), figure.rows[1:]):
        assert truth.title == "in truth" and said.captions[-1] == f"error {found[name][-1]:.2f}"


@pytest.mark.slow
def test_4_the_loss_falls_while_it_is_watched(studio):
    one = LESSONS[4]
    made = draw(studio, one.figure, {**one.settings, "steps": 120})
    figures = [found for found in made if isinstance(found, Figure)]
    assert figures[0].states == 1 and [f.states for f in figures[1:]] == [*range(1, len(figures))]
    loss = curves(figures[-1])["loss"]
    assert figures[-1].labels[-1].startswith("120 of 120 training steps")
    assert len(figures) > 10 and 0.8 < loss[-1] < loss[0] < 1.1
    assert "ended early" not in figures[-1].labels[-1]


def test_4_a_training_that_ends_before_its_steps_says_so():
    """As on a slow machine, where `training.live` ends it when its time is up."""
    cloud = np.zeros((1, 5, 2), np.float16)
    looks = [Look(Frame(k, 100, CLEAN, cloud, cloud), 0.9, 45.0 * k) for k in (0, 1)]
    ended = [*looks[:1], dataclasses.replace(looks[1], model=object())]
    assert _learning(ended, 100).labels[-1].endswith("this machine is too busy for 100 steps in this time")
    assert "early" not in _learning(looks, 100).labels[-1] + _learning(ended, 1).labels[-1]


def test_5_without_the_finest_skip_the_picture_falls_apart(studio):
    figure = drawn(studio, 5, steps=4)
    (_, (network,)), (_, (whole, without, middle)) = figure.rows
    states, height, width, channels = network.pictures.shape
    assert (states, channels) == (4, 3) and width > 1.6 * height  # the page shows it wide
    assert (network.pictures[0] != network.pictures[3]).mean() > 0.1  # with the run's data in it
    # below the state the embedding of t, below the answer where the centre looks: other at each step
    for left in (16, width - 16 - 2 * 120):
        corner = network.pictures[:, height - 16 - 96 :, left : left + 96]
        assert (corner[0] != 255).any() and (corner[0] != corner[3]).mean() > 0.1
    k = 2
    rough = [np.abs(np.diff(one.pictures[k].astype(float), axis=1)).mean() for one in (whole, without)]
    assert rough[1] > 4 * rough[0]
    assert np.abs(np.diff(middle.pictures[k].astype(float), axis=1)).mean() < 2 * rough[0]  # it stays clean
    found = curves(figure)
    assert found["without the finest skip"][0] > 100 * found["without the middle"][0]


@pytest.mark.parametrize("part", ["skip", "middle"])
def test_5_one_part_alone(studio, part):
    (_, (_,)), (_, cells) = drawn(studio, 5, steps=2, leave_out=part).rows
    assert len(cells) == 2 and ("skip" in cells[1].title) == (part == "skip")


@pytest.mark.slow
def test_5_at_the_last_step_a_slightly_noisy_shoe_remains(studio):
    figure = drawn(studio, 5)
    change = curves(figure)["without the finest skip"]
    assert change[0] > 100 and change[-1] < 0.5  # of pixels from -1 to 1
    _, without, _ = figure.rows[1][1]
    whole = figure.rows[1][1][0]
    assert np.corrcoef(whole.pictures[-1].ravel(), without.pictures[-1].ravel())[0, 1] > 0.9


@pytest.mark.slow
def test_6_the_schedules_halfway(studio):
    figure = drawn(studio, 6)
    at = {name: np.interp(0.5, xs, ys) for name, xs, ys in figure.curves[0].series}
    assert at["linear"] == pytest.approx(0.08, abs=0.01) and at["cosine"] == pytest.approx(0.49, abs=0.01)
    assert figure.start == 25
    (_, (photograph, _)), (_, samples) = figure.rows
    assert all(len(one.pictures) == len(photograph.pictures) for one in samples)
    away = [float(one.title.split("ends ")[1].split()[0]) for one in samples]
    assert away[0] < away[1] / 2  # as the lesson says, and not as one might expect
    early = slice(0, 11)

    def changes(one, where):
        return np.abs(np.diff(one.pictures[where].astype(float), axis=0)).mean()

    linear, cosine = samples
    assert changes(linear, early) < changes(cosine, early)
    assert (linear.pictures[0] == cosine.pictures[0]).mean() > 0.9  # the same first guess, of pure noise
    assert linear.captions[0] == "step 0 of 10" and linear.captions[-1] == "step 10 of 10"


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert [one.title.partition(": ")[2] for one in cells] == [
        "12 passes for each picture",
        "12 passes for each picture",
        "24 passes for each picture",
        "12 passes for each picture, and 12 through the classifier and back",
    ]


def test_9_the_blob_is_as_near_as_a_good_run(studio):
    ((_, cells),) = drawn(studio, 9).rows
    found = {one.title: float(one.captions[0].split()[1]) for one in cells}
    blob, good = found["one Gaussian of the data's mean and spread"], found["50 steps"]
    for one in cells:  # no cloud is cut off: all its drawn points lie within
        inked = (one.pictures[0] != 255).any(-1)
        edge = [inked[0], inked[-1], inked[:, 0], inked[:, -1]]
        assert inked.sum() > 100 and not any(side.any() for side in edge), one.title
    assert found["the data"] == 0 and found["other points of the same data"] < 0.01
    assert max(blob, good) < 0.01 < 0.1 < found["3 steps"] < found["50 steps, guidance 8"]


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_leads_on_with_what_its_figure_shows(studio, number):
    one = LESSONS[number]
    if isinstance(one.go_on, str):
        assert one.go_on in ("Forward", "Points")
        return
    if "tab" in one.go_on:
        names = {"Forward": ("schedules",), "Points": ("shape", "steps")}[one.go_on["tab"]]
        assert all(one.go_on[name] == one.settings[name] for name in names)
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
        ("runs", {"model": "fashion-mnist", "rows": [{"steps": 900}]}, "may take 500"),
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
