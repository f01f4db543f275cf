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
from diffusion_studio.inside.figure import Figure, Film, Histogram, Places
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


SYMBOLS = {
    "t / T",
    "linear",
    "linear: ᾱ",
    "linear: 1 − β",
    "log-SNR",
    "in ε",
    "in x0",
    "in v",
}  # as in German


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
        *(cell.caption for cell in cells if isinstance(cell, Places)),
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


def test_3_a_mistake_in_v_never_grows(studio):
    figure = drawn(studio, 3)
    found = curves(figure)  # from the least noise to the most, and so are the states
    assert np.all(np.diff(figure.curves[0].at) > 0) and figure.start == figure.states - 1
    levels = [
        (float(a), float(b)) for a, b in re.findall(r"(\S+) · picture \+ (\S+) · noise", str(figure.labels))
    ]
    alpha, sigma = np.array(levels).T
    assert len(levels) == figure.states and levels[-1] == (0.006, 1.0)  # as the lesson says
    # worked out by hand: from eps to the picture one divides by alpha, from x0 to the noise by sigma
    np.testing.assert_allclose(found["in ε"][1:-2], np.maximum(1, sigma / alpha)[1:-2], rtol=0.05)
    np.testing.assert_allclose(found["in x0"][1:], np.maximum(1, alpha / sigma)[1:], rtol=0.05)
    np.testing.assert_allclose(found["in v"], np.maximum(alpha, sigma), atol=0.001)
    assert found["in ε"][-1] == pytest.approx(160, rel=0.03) and found["in x0"][0] == pytest.approx(
        100, rel=0.01
    )
    # each answer stands beside the truth, and says how far it is from it
    [(_, (truth, eps, x0, v)), (_, noises)] = figure.rows
    assert truth.title == noises[0].title == "in truth" and [one.title for one in noises[1:]] == [
        one.title for one in (eps, x0, v)
    ]

    def away(one, other, state):
        return np.abs(one.pictures[state].astype(float) - other.pictures[state]).mean()

    assert away(eps, truth, -1) > 20 * max(away(x0, truth, -1), away(v, truth, -1), 1)
    assert away(noises[2], noises[0], 1) > 2 * max(away(noises[one], noises[0], 1) for one in (1, 3))
    assert eps.captions[-1] == "wrong by 1.3" and "mistake here: 0.0084" in figure.labels[-1]


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
    figure = drawn(studio, 5, steps=4, leave_out=["skip", "middle", "attention"])
    (_, (network,)), (_, (_,)), (_, (whole, without, middle, _)) = figure.rows
    states, height, width, channels = network.pictures.shape
    assert (states, channels) == (4, 3) and width > 1.6 * height  # the page shows it wide
    assert (network.pictures[0] != network.pictures[3]).mean() > 0.1  # with the run's data in it
    corner = network.pictures[:, height - 16 - 96 :, 16 : 16 + 96]  # the embedding of t: other at each step
    assert (corner[0] != 255).any() and (corner[0] != corner[3]).mean() > 0.1
    k = 2
    rough = [np.abs(np.diff(one.pictures[k].astype(float), axis=1)).mean() for one in (whole, without)]
    assert rough[1] > 4 * rough[0]
    assert np.abs(np.diff(middle.pictures[k].astype(float), axis=1)).mean() < 2 * rough[0]  # it stays clean
    found = curves(figure)
    assert found["without the finest skip"][0] > 100 * found["without the middle"][0]


@pytest.mark.parametrize("part", ["skip", "middle", "attention"])
def test_5_one_part_alone(studio, part):
    *_, (_, cells) = drawn(studio, 5, steps=2, leave_out=[part]).rows
    assert len(cells) == 2 and part in cells[1].title


@pytest.mark.slow
def test_5_where_attention_looks_and_when_it_helps(studio):
    figure = drawn(studio, 5)
    _, (_, [looks]), (_, [whole, without, _]) = figure.rows
    weights = looks.weights
    assert weights.shape == (12, 64, 64) and looks.size == (8, 8)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-4)  # the shares add up
    # at the end: from the trousers at the trousers, from the background at the background
    inside = whole.pictures[-1][..., 0].reshape(8, 4, 8, 4).mean((1, 3)).ravel() > 64
    first = looks.place[0] * 8 + looks.place[1]  # the place that is chosen first, at the hem
    own, others = weights[-1][inside][:, inside].sum(1), weights[-1][~inside][:, ~inside].sum(1)
    assert inside[first] and inside.mean() == pytest.approx(0.25, abs=0.03)
    assert own.mean() == pytest.approx(0.7, abs=0.03) and others.mean() > 0.7
    row, column = np.divmod(np.arange(64), 8)
    near = (abs(row[:, None] - row) <= 1) & (abs(column[:, None] - column) <= 1)
    beyond = (weights[-1] * ~near).sum(-1)
    assert beyond[inside].mean() > 0.5 and beyond[first] > 0.5
    assert weights[-1][first][row < 4].sum() > 0.4  # in the upper half
    found = curves(figure)
    assert found["without attention"][0] == pytest.approx(0.52, abs=0.02)  # helps at first
    assert found["without attention"][-1] < 0.01
    # without the finest skip slightly noisy trousers remain at the last step
    change = found["without the finest skip"]
    assert change[0] > 100 and change[-1] < 0.5  # of pixels from -1 to 1
    assert np.corrcoef(whole.pictures[-1].ravel(), without.pictures[-1].ravel())[0, 1] > 0.9


@pytest.mark.slow
def test_6_the_schedules_halfway(studio):
    figure = drawn(studio, 6)
    product, levels = figure.curves
    found = {name: np.asarray(ys) for name, _, ys in product.series}
    for name, halfway in (("linear", 0.0786), ("cosine", 0.494)):
        single, left = found[f"{name}: 1 − β"], found[f"{name}: ᾱ"]
        np.testing.assert_allclose(np.cumprod(single), left[1:], rtol=1e-6)  # DDPM's eq. 4
        assert left[500] == pytest.approx(halfway, abs=0.0005)
        assert f"{name}: " in figure.labels[25] and f" = {halfway:.3g}" in figure.labels[25]
    np.testing.assert_allclose(1 - found["linear: 1 − β"], np.linspace(1e-4, 0.02, 1000), rtol=1e-4)
    share = (np.arange(1001) / 1000 + 0.008) / 1.008  # Improved DDPM's eq. 17
    cosine = np.cos(share * np.pi / 2) ** 2
    np.testing.assert_allclose(found["cosine: ᾱ"][:-1], (cosine / cosine[0])[:-1], rtol=1e-4)
    assert figure.labels[25].startswith(
        "500 steps, each keeps 1 − β. linear: 0.99990 · 0.99988 · … · 0.98996"
    )
    dots = [np.asarray(xs) for _, xs, _ in levels.series]
    assert levels.rows and [len(one) for one in dots] == [1000, 1000, 10, 10]
    crowded = [(one < 0.1).mean() for one in dots]
    assert crowded[0] > 0.5 and crowded[1] < 0.25 and crowded[2] > crowded[3]
    assert figure.start == 25
    (_, (photograph, _)), (_, samples) = figure.rows
    assert all(len(one.pictures) == len(photograph.pictures) for one in samples)
    assert photograph.captions[25] == "8% of its variance left"
    away = [float(one.captions[-1].split(", ")[1].split()[0]) for one in samples]
    assert away == [0.09, pytest.approx(0.23, abs=0.02)]  # the first as the lesson quotes it
    assert away[0] < away[1] / 2  # as the lesson says, and not as one might expect
    early = slice(0, 11)

    def changes(one, where):
        return np.abs(np.diff(one.pictures[where].astype(float), axis=0)).mean()

    linear, cosine = samples
    assert changes(linear, early) < changes(cosine, early)
    assert (linear.pictures[0] == cosine.pictures[0]).mean() > 0.9  # the same first guess, of pure noise
    assert linear.captions[0] == "step 0 of 10" and linear.captions[-2].startswith("step 10 of 10")


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
        shown = {"schedules": ["linear", "cosine"], **one.settings}  # of the figure that has both anyway
        assert all(one.go_on[name] == shown[name] for name in names)
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
        ("network", {"leave_out": ["all"]}, "all"),
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
