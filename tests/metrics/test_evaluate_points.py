"""The evaluation of models of points: figures against closed forms and plain computation, and the bundled
models.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial
import torch

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.data import points
from diffusion_studio.data.point_sets import POINT_SETS
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import from_x0
from diffusion_studio.diffusion.schedule import Cosine, Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.metrics import point_evaluation
from diffusion_studio.metrics.bound import bound_terms
from diffusion_studio.metrics.config import POINT_METRICS, EvalConfig
from diffusion_studio.metrics.kernel import WIDTHS, gaussians, kernel_distance, mmd2
from diffusion_studio.metrics.parts import World
from diffusion_studio.metrics.pictures import default_recipe
from diffusion_studio.metrics.point_evaluation import PointEvaluation
from diffusion_studio.metrics.point_figures import POINT_FIGURES, nearest
from diffusion_studio.metrics.points import energy_distance, log_density
from diffusion_studio.runs import generate
from diffusion_studio.runs.guidance_builder import Guides

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture(scope="module")
def roll():
    return ds.load(CHECKPOINTS / "swiss-roll", "cpu", "fp32")


@pytest.fixture(scope="module")
def shapes():
    return ds.load(CHECKPOINTS / "shapes", "cpu", "fp32")


def recipe(model, **changes):
    return default_recipe(model.spec, **{"steps": 12, **changes})


# ---- the figures


def test_mmd_of_two_gaussians_is_the_closed_form():
    """E exp(-|X - Y|^2 / 2w^2) of N(m, s^2) and N(0, u^2) in the plane: v exp(-v |m|^2 / 2w^2) with
    v = w^2 / (w^2 + s^2 + u^2)."""
    random, m, s, u = np.random.default_rng(0), np.array([0.4, -0.3]), 0.5, 0.8

    def expected(variance: float, apart: float) -> float:
        shares = [w**2 / (w**2 + variance) for w in WIDTHS]
        return sum(v * math.exp(-v * apart / (2 * w**2)) for v, w in zip(shares, WIDTHS)) / len(WIDTHS)

    wanted = expected(2 * s**2, 0) + expected(2 * u**2, 0) - 2 * expected(s**2 + u**2, float(m @ m))
    found = [
        mmd2(m + s * random.normal(size=(900, 2)), u * random.normal(size=(700, 2)), gaussians)
        for _ in range(4)
    ]
    assert np.mean(found) == pytest.approx(wanted, rel=0.08) and wanted > 0.03
    none = [mmd2(random.normal(size=(60, 2)), random.normal(size=(90, 2)), gaussians) for _ in range(100)]
    assert abs(np.mean(none)) < 4 * np.std(none) / math.sqrt(100)  # without bias


def test_the_rows_of_a_kernel_add_up_however_they_are_cut():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(1300, 3)), random.normal(size=(40, 3))
    table = (np.concatenate([x, y]) @ np.concatenate([x, y]).T / 3 + 1) ** 3
    xx, yy, xy = table[:1300, :1300], table[1300:, 1300:], table[:1300, 1300:]
    wanted = (xx.sum() - np.trace(xx)) / (1300 * 1299) + (yy.sum() - np.trace(yy)) / (40 * 39) - 2 * xy.mean()
    assert mmd2(x, y) == pytest.approx(wanted, rel=1e-9)
    mean, spread = kernel_distance(x, y, 5, 30, kernel=gaussians)
    assert spread > 0 and abs(mean - mmd2(x, y, gaussians)) < 4 * spread


def test_nearest_points_are_those_of_a_tree():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2500, 2)), random.normal(size=(700, 2))
    np.testing.assert_allclose(nearest(x, y), scipy.spatial.cKDTree(y).query(x)[0], atol=1e-12)


@pytest.mark.parametrize(("schedule", "steps"), [(Linear(), 25), (Cosine(), 25), (Linear(), 1)])
@pytest.mark.parametrize("variance", ["small", "large"])
def test_the_bound_of_gaussian_points_is_its_closed_form(schedule, steps, variance):
    """Of N(0, s^2) with its exact denoiser every term's expectation is known: the error of x0 given x has
    variance s^2 sigma^2 / (alpha^2 s^2 + sigma^2). Bits per dimension, from the levels.
    """
    s, levels = 0.6, path(schedule, steps, "trailing")

    def exact(x, level):
        return from_x0(
            level.alpha * s**2 / (level.alpha**2 * s**2 + level.sigma**2) * x, x, level.alpha, level.sigma
        )

    wanted = [0.5 * (levels[0].sigma ** 2 - 1 - math.log(levels[0].sigma ** 2) + levels[0].alpha ** 2 * s**2)]
    last = None  # of the posterior's variances
    for now, to in zip(levels, levels[1:]):
        ratio = (now.alpha / to.alpha) ** 2
        beta = now.sigma**2 - ratio * to.sigma**2
        left = s**2 * now.sigma**2 / (now.alpha**2 * s**2 + now.sigma**2)
        posterior = beta * to.sigma**2 / now.sigma**2
        small = posterior or last or beta
        given = beta if variance == "large" else small
        error = (to.alpha * beta / now.sigma**2) ** 2 * left
        wanted.append(
            0.5 * (math.log(given / posterior) - 1 + (posterior + error) / given)
            if to.sigma
            else 0.5 * (math.log(2 * math.pi * given) + left / given)
        )
        last = posterior
    x0 = torch.from_numpy(s * np.random.default_rng(0).standard_normal((20000, 2)))
    noise = Noise((3,), (20000, 2), dtype=torch.float64)
    terms = torch.stack(
        [term for _, term in bound_terms(exact, x0, levels, lambda i: noise(i)[0], variance, False, False)]
    )
    spread = terms.std(1) / math.sqrt(20000)
    assert ((terms.mean(1) - torch.tensor(wanted) / math.log(2)).abs() < 4 * spread + 1e-9).all()
    assert sum(wanted) > 0.5 * math.log(2 * math.pi * math.e * s**2)  # above the entropy


# ---- a whole evaluation


def test_the_registries_agree():
    assert tuple(POINT_FIGURES) == tuple(POINT_METRICS)


def test_all_figures_of_the_swiss_roll(roll, tmp_path):
    config = EvalConfig(
        data="swiss-roll", metrics="all", pictures=600, bound_steps=40, flow_steps=20, bits_pictures=200
    )
    report = ds.evaluate(roll, config, recipe(roll, points=400), tmp_path)
    figures = report["figures"]
    assert json.loads(json.dumps(report)) == report and list(figures) == list(POINT_METRICS)
    assert report["points"] == 600 and "pictures" not in report and report["labels"] is None

    # by hand: two clouds of 400 by their seeds, all but the last 200, against 600 of the 50,000 true ones
    made = []
    for seed in (0, 1):
        *_, last = generate.stream(roll, recipe(roll, points=400, seeds=(seed,)))
        made.append(last.x[0].astype(float))  # frames hold float16
    made = np.concatenate(made)[:600]
    true = points.load("swiss-roll").points.astype(float)
    order = np.random.Generator(np.random.Philox(0)).permutation(50_000)
    real, other = true[order[:600]], true[order[600:1200]]
    assert figures["energy"]["value"] == pytest.approx(energy_distance(made, real), abs=1e-4)
    assert figures["energy"]["of_real"] == pytest.approx(energy_distance(other, real), abs=1e-12)
    tree = scipy.spatial.cKDTree
    assert figures["nearest"]["to_real"] == pytest.approx(tree(real).query(made)[0].mean(), rel=0.01)
    assert figures["nearest"]["from_real"] == pytest.approx(tree(made).query(real)[0].mean(), rel=0.01)
    radii, reach = tree(real).query(real, 4)[0][:, 3], scipy.spatial.distance.cdist(other, real)
    assert figures["precision-recall"]["precision_of_real"] == pytest.approx(
        (reach <= radii).any(1).mean(), abs=1e-9
    )

    # the roll is drawn well: its likelihood is near its entropy of 0.90 nats, and the bound is above the
    # flow's
    held_out = PointEvaluation(roll, config, recipe(roll), tmp_path, None).test(None)
    assert figures["flow"]["nats_a_point"] == pytest.approx(
        -log_density(roll, held_out, steps=30).mean(), abs=0.03
    )
    assert 0.8 < figures["flow"]["nats_a_point"] < 1.15
    assert figures["bound"]["value"] > figures["flow"]["value"] - 2 * figures["bound"]["standard_error"]
    assert sum(term["bits"] for term in figures["bound"]["terms"]) == pytest.approx(figures["bound"]["value"])


def test_figures_tell_a_wrong_shape(roll, tmp_path):
    config = {"metrics": "energy,kernel,precision-recall", "pictures": 500}
    right, wrong = (
        ds.evaluate(roll, EvalConfig(data=name, **config), recipe(roll), tmp_path)["figures"]
        for name in ("swiss-roll", "two-gaussians")
    )
    assert wrong["energy"]["p_value"] == 1 / 201 < right["energy"]["p_value"]
    assert wrong["kernel"]["value"] > 10 * abs(right["kernel"]["value"])
    assert wrong["precision-recall"]["precision"] < 0.8 < right["precision-recall"]["precision"]


@pytest.mark.slow
def test_every_label_is_compared_with_its_own_points(shapes, tmp_path):
    config = EvalConfig(data="shapes", metrics="energy,flow", pictures=200, bits_pictures=80, flow_steps=10)
    figures = ds.evaluate(shapes, config, recipe(shapes, points=200), tmp_path)["figures"]
    each = figures["energy"]["of_each"]
    assert list(each) == list(POINT_SETS) == list(figures["flow"]["of_each"])
    assert figures["energy"]["value"] == pytest.approx(np.mean([one["value"] for one in each.values()]))
    assert "p_value" not in figures["energy"] and figures["flow"]["points"] == 80
    run = PointEvaluation(shapes, config, recipe(shapes, points=200), tmp_path, None)
    for k, label in enumerate(POINT_SETS):  # by hand: cloud k by its seed, and the label's own set
        *_, last = generate.stream(shapes, recipe(shapes, points=200, label=label, seeds=(k,)))
        order = np.random.Generator(np.random.Philox(0)).permutation(50_000)[:200]
        true = POINT_SETS[label](50_000, 0)[order].astype(float)
        assert each[label]["value"] == pytest.approx(energy_distance(last.x[0].astype(float), true), abs=2e-4)
        assert not np.array_equal(run.generated(label), run.generated("rings")) or label == "rings"
    config = EvalConfig(data="rings", metrics="energy", labels="rings", pictures=200)
    one = ds.evaluate(shapes, config, recipe(shapes), tmp_path)
    assert "of_each" not in one["figures"]["energy"] and one["figures"]["energy"]["p_value"] > 1 / 201


def test_guidance_reaches_points_and_the_name_of_their_folder(shapes, roll, tmp_path):
    """Guidance trades what is covered for what is sure; each scale is a cloud of its own in one folder of
    work.
    """
    config = EvalConfig(data="shapes", labels="rings", metrics="precision-recall", pictures=400)
    found = {}
    for guidance in (1.0, 2.0, 1.0):
        report = ds.evaluate(shapes, config, recipe(shapes, guidance=guidance, steps=30), tmp_path)
        figure = report["figures"]["precision-recall"]
        assert found.setdefault(guidance, figure) == figure
    assert found[2.0]["precision"] > found[1.0]["precision"] and found[2.0]["recall"] < found[1.0]["recall"]
    auto = recipe(shapes, guidance=2.0, weaker="roll")
    run = PointEvaluation(shapes, config, auto, tmp_path, None, weaker=roll)
    *_, last = generate.stream(
        shapes, ds.Recipe.from_settings({**vars(auto), "label": "rings"}), Guides(weaker=roll)
    )
    assert np.abs(run.part(run.clouds[0])["points"] - last.x[0]).max() < 2e-3


def test_processes_share_clouds_and_more_points_keep_those_that_are_there(shapes, tmp_path, monkeypatch):
    config = EvalConfig(data="shapes", pictures=250, seed=3)
    many = PointEvaluation(shapes, config, recipe(shapes, points=100, steps=3), tmp_path, None)
    assert len({cloud.seed for cloud in many.clouds}) == 24
    for rank in range(3):
        World(rank, 3).share("", many.jobs(), None)
    monkeypatch.setattr(point_evaluation, "sample", None)  # all is there
    config = EvalConfig(data="shapes", pictures=120, seed=3)
    few = PointEvaluation(shapes, config, recipe(shapes, points=100, steps=3), tmp_path, None)
    for label in shapes.spec.labels:
        np.testing.assert_array_equal(few.generated(label), many.generated(label)[:120])


def test_the_command_writes_a_table_and_json(tmp_path, capsys):
    words = [
        "evaluate",
        str(CHECKPOINTS / "swiss-roll"),
        "--data",
        "swiss-roll",
        "--pictures",
        "300",
        "--work",
        str(tmp_path / "work"),
        "--steps",
        "5",
        "20",
        "--table",
        str(tmp_path / "t.csv"),
        "--json",
        str(tmp_path / "t.json"),
    ]
    assert main(words) == 0
    assert (
        "swiss-roll on swiss-roll: 300 points, ddim, 20 steps\n  energy distance: " in capsys.readouterr().out
    )
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "sampler",
        "steps",
        "guidance",
        "points",
        "kernel",
        "precision",
        "recall",
        "energy",
        "to_real",
        "from_real",
    ]
    reports = json.loads((tmp_path / "t.json").read_text())
    assert [float(line["energy"]) for line in rows] == [one["figures"]["energy"]["value"] for one in reports]
    assert float(rows[0]["to_real"]) > float(rows[1]["to_real"])  # five steps leave points between the arms
    assert (tmp_path / "t.png").is_file()


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"metrics": "energy,frechet"},
            OptionError,
            "'frechet' looks at pictures through a feature network, and shapes makes "
            "points. Choose among: energy, kernel",
        ),
        ({"metrics": "labels"}, OptionError, "'labels' is a figure of pictures, and shapes makes points"),
        ({"metrics": "energie"}, OptionError, "There is no metric 'energie'.*Did you mean 'energy'"),
        (
            {"data": "mnist"},
            DataError,
            "shapes makes points, and 'mnist' is no set of them. Give one of swiss-roll",
        ),
        ({"data": "rings"}, DataError, "rings has the labels none, not 'swiss-roll' of shapes"),
        ({"real": 60_000}, OptionError, "at most 50,000 for each label; 60,000 were asked for"),
        (
            {"pictures": 3, "metrics": "precision-recall"},
            OptionError,
            "at least 4 points on either side, got 3",
        ),
        ({"labels": "ring"}, OptionError, "There is no label of shapes 'ring'"),
        (
            {"metrics": "bound", "variance": "learned"},
            OptionError,
            "needs a model that predicts its variance",
        ),
        ({"metrics": "bound", "bound_steps": 5000}, OptionError, "from 1 to 1000"),
    ],
)
def test_mistakes_are_said_before_anything_is_drawn(changes, error, sentence, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(point_evaluation, "sample", None)
    with pytest.raises(error, match=sentence):
        ds.evaluate(shapes, EvalConfig(**{"data": "shapes", **changes}), recipe(shapes), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_tables_with_too_few_points_and_pictures_in_the_place_of_points(roll, tiny_model, tmp_path):
    rows = POINT_SETS["swiss-roll"](40, 0)
    np.savetxt(tmp_path / "roll.csv", rows, delimiter=",")
    config = {"data": str(tmp_path / "roll.csv"), "metrics": "energy", "real": 40}
    with pytest.raises(
        DataError, match="50 true points were asked for; .* has 40. Ask for fewer with --real"
    ):
        ds.evaluate(roll, EvalConfig(**{**config, "real": 50}), recipe(roll), tmp_path / "work")
    figure = ds.evaluate(roll, EvalConfig(**config), recipe(roll), tmp_path / "work")["figures"]["energy"]
    assert figure["real_points"] == 40 and "of_real" not in figure  # no further true points are left
    with pytest.raises(DataError, match="swiss-roll is a set of points, and tiny makes pictures"):
        ds.evaluate(tiny_model(), EvalConfig(data="swiss-roll", metrics="neighbours"), None, tmp_path)
