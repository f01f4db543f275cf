"""Guidance in an evaluation: it draws what `generate` draws, and never mixes pictures of different
guidance.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.classifier_spec import ClassifierSpec
from diffusion_studio.cli import main
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import OptionError
from diffusion_studio.metrics.config import EvalConfig
from diffusion_studio.metrics.picture_evaluation import PictureEvaluation
from diffusion_studio.metrics.pictures import GeneratedPictures, GenerationSetup, batches, default_recipe
from diffusion_studio.metrics.table import row, write_plot
from diffusion_studio.models.classifier import Classifier
from diffusion_studio.networks.classifier import NoisyClassifier
from diffusion_studio.networks.classifier_config import ClassifierConfig
from diffusion_studio.runs import generate
from diffusion_studio.runs.guidance_builder import Guides
from diffusion_studio.runs.guidance_options import ByClassifier, Change, Interval, Projection

pytestmark = pytest.mark.slow

LABELS = ("0", "1", "2")
GUIDED = [
    {"guidance": 4.0},
    {"guidance": 4.0, "guidance_shape": "linear"},
    {"guidance": 4.0, "guidance_rescale": 0.7},
    {"guidance_scales": "1,6,3"},
    {"guidance": 4.0, "interval": Interval(0.5, 3.0)},
    {"guidance": 4.0, "projection": Projection(0.0)},
    {"guidance": 4.0, "projection": Projection(0.0, 1.0)},
    {"guidance": 4.0, "negative_label": "2"},
    {"guidance": 4.0, "threshold": 0.8},
    {"guidance": 4.0, "clip": False},
    {"guidance": 4.0, "change": Change(1, guidance=1.0)},
    {"guidance": 4.0, "weaker": "small"},
    {"guidance": 3.0, "weaker": "small"},
    {"guidance": 4.0, "classifier": ByClassifier("judge", 2.0)},
    {"guidance": 4.0, "classifier": ByClassifier("judge", 3.0)},
    {"guidance": 4.0, "classifier": ByClassifier("judge", 2.0, label="1")},
]


def judge(seed: int = 1) -> Classifier:
    config = ClassifierConfig(
        in_channels=1, classes=3, size=8, channels=8, multipliers=(1, 1), blocks=1, norm_groups=4
    )
    spec = ClassifierSpec(name="judge", network=config, schedule=Linear(timesteps=100), labels=LABELS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NoisyClassifier(config).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return Classifier(spec, network, torch.device("cpu"))


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(torch.float32, labels=LABELS)


@pytest.fixture(scope="module")
def small(tiny_model):
    return tiny_model(torch.float32, labels=LABELS, network={"multipliers": (1,)})


def test_every_setting_reaches_the_pictures_and_the_name_of_their_folder(model, small, tmp_path):
    """Each is what `generate` draws of the same recipe, and each is kept apart from all others."""
    by, seen = judge(), {}
    for given in GUIDED:
        recipe = default_recipe(model.spec, steps=3, **given)
        drawn = GeneratedPictures(model, recipe, batches(model.spec, "0", 5, 3), tmp_path, by, small)
        images = drawn.all()["images"]
        *_, last = generate.stream(
            model,
            ds.Recipe.from_settings({**vars(recipe), "label": "0", "seeds": (5, 6, 7)}),
            Guides(by, small),
        )
        np.testing.assert_array_equal(images, last.x, str(given))
        seen[drawn.folder] = images
    assert len(seen) == len(GUIDED)
    assert len({images.tobytes() for images in seen.values()}) == len(GUIDED)


def test_other_weights_are_kept_apart_and_other_names_of_the_same_are_not(model, small, tiny_model):
    """A checkpoint trained further, a helper trained further: nothing of what was drawn before is taken
    for theirs.
    """
    later = tiny_model(torch.float32, labels=LABELS)
    next(later.network.parameters()).mul_(1.001)
    plain = default_recipe(model.spec, steps=3)
    assert GenerationSetup(model, plain).name != GenerationSetup(later, plain).name

    by = default_recipe(model.spec, steps=3, classifier=ByClassifier("judge"))
    other_name = default_recipe(model.spec, steps=3, classifier=ByClassifier("other"))
    assert GenerationSetup(model, by, judge()).name == GenerationSetup(model, other_name, judge()).name
    assert GenerationSetup(model, by, judge()).name != GenerationSetup(model, by, judge(2)).name

    auto = default_recipe(model.spec, steps=3, guidance=2.0, weaker="small")
    assert GenerationSetup(model, auto, None, small).name != GenerationSetup(model, auto, None, later).name
    assert (
        GenerationSetup(model, plain, judge(), small).name == GenerationSetup(model, plain).name
    )  # helpers that are not asked


def test_a_resumed_evaluation_never_takes_pictures_of_other_guidance(
    model, small_features, pictures_file, tmp_path
):
    """In one folder, in any order, as in folders of their own."""
    config = EvalConfig(data=str(pictures_file), pictures=9, real=20, metrics="frechet")
    found = {}
    for place in ("shared", "own"):
        for guidance in (1.0, 3.0, 1.0, 3.0):
            folder = tmp_path / (place if place == "shared" else f"own-{guidance}")
            report = ds.evaluate(
                model,
                config,
                default_recipe(model.spec, steps=2, guidance=guidance, interval=Interval(high=5.0)),
                folder,
            )
            found.setdefault(guidance, set()).add(report["figures"]["frechet"]["value"])
    assert all(len(values) == 1 for values in found.values()) and found[1.0] != found[3.0]


def test_a_model_without_labels_draws_those_of_the_classifier_that_guides_it(
    tiny_model, pictures_file, tmp_path
):
    model, by = tiny_model(torch.float32, network={"classes": None, "null_class": False}), judge()
    recipe = default_recipe(model.spec, steps=2, classifier=ByClassifier("judge", 4.0))
    config = EvalConfig(data=str(pictures_file), pictures=7, metrics="neighbours")
    report = ds.evaluate(model, config, recipe, tmp_path, classifier=by)
    assert report["labels"] == "each" and report["pictures"] == 7
    run = PictureEvaluation(model, config, recipe, tmp_path, None, by)
    assert run.labelled_split("test").names == LABELS and run.generated["labels"].tolist() == [
        0,
        1,
        2,
        0,
        1,
        2,
        0,
    ]
    *_, last = generate.stream(
        model, ds.Recipe(steps=2, seeds=(1, 4), classifier=ByClassifier("judge", 4.0, label="1")), Guides(by)
    )
    np.testing.assert_array_equal(run.generated["images"][[1, 4]], last.x)
    with pytest.raises(OptionError, match="goes towards a label, and none is given"):
        ds.evaluate(model, replace(config, labels="any"), recipe, tmp_path, classifier=by)


def test_helpers_that_were_not_given(model, pictures_file, tmp_path):
    config = EvalConfig(data=str(pictures_file), metrics="neighbours")
    for changes, kind in (
        ({"classifier": "judge"}, "classifier 'judge'"),
        ({"weaker": "small"}, "weaker model 'small'"),
    ):
        with pytest.raises(OptionError, match=f"guided by the {kind}, which was not given"):
            ds.evaluate(model, config, default_recipe(model.spec, **changes), tmp_path)


# ---- the command line


@pytest.fixture
def words(write_checkpoint, pictures_file, tmp_path):
    folder = write_checkpoint(labels=LABELS).parents[1]
    write_checkpoint("small", labels=LABELS, network={"multipliers": (1,)})
    by = judge()
    (folder / "judge").mkdir()
    checkpoint.write(
        folder / "judge" / "classifier.safetensors", by.spec, by.network.state_dict(), torch.float32
    )
    return [
        "evaluate",
        "tiny",
        "--checkpoints",
        str(folder),
        "--data",
        str(pictures_file),
        "--pictures",
        "6",
        "--metrics",
        "neighbours",
        "--steps",
        "3",
        "--work",
        str(tmp_path / "work"),
        "--precision",
        "fp32",
        "--json",
        str(tmp_path / "out.json"),
    ]


def test_the_flags_are_those_of_generate(words, tmp_path, capsys):
    """The recipe in the report is the one that the verb generate makes of the same words."""
    elsewhere = str(tmp_path / "checkpoints" / "small" / "model.safetensors")
    said = [
        "--guidance",
        "3",
        "--guidance-shape",
        "cosine",
        "--interval-low",
        "0.1",
        "--interval-high",
        "9",
        "--projection-parallel",
        "0.5",
        "--projection-radius",
        "4",
        "--classifier",
        "judge",
        "--classifier-scale",
        "2",
        "--classifier-label",
        "1",
        "--weaker",
        elsewhere,
        "--threshold",
        "0.9",
        "--change-step",
        "2",
        "--change-guidance",
        "2",
    ]
    assert main([*words, *said]) == 0
    told = capsys.readouterr().out
    assert "guidance 3, guidance shape cosine, threshold 0.9, weaker" in told
    assert "classifier judge, classifier scale 2" in told
    found = json.loads((tmp_path / "out.json").read_text())["recipe"]
    assert (
        main(
            [
                "generate",
                "tiny",
                "--checkpoints",
                words[3],
                "--steps",
                "3",
                *said,
                "--precision",
                "fp32",
                "--count",
                "1",
                "--out",
                str(tmp_path / "a.png"),
            ]
        )
        == 0
    )
    wanted = json.loads(ds.Recipe.from_file(tmp_path / "a.png").to_json())
    assert {**found, "label": 0, "seeds": 0} == {**wanted, "label": 0, "seeds": 0}


def test_a_table_over_guidance(words, tmp_path):
    table = tmp_path / "table.csv"
    assert (
        main([*words[:-2], "--sampler", "ddim", "ddpm", "--guidance", "0", "1", "2.5", "--table", str(table)])
        == 0
    )
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(line["sampler"], line["steps"], line["guidance"]) for line in rows] == [
        (sampler, "3", guidance) for sampler in ("ddim", "ddpm") for guidance in ("0.0", "1.0", "2.5")
    ]
    assert len({line["nearest"] for line in rows}) == 6
    with Image.open(table.with_suffix(".png")) as plot:
        assert plot.size == (420, 34 + 20 * 2 + 300)  # over guidance: a line for each sampler


def test_a_plot_over_steps_has_a_line_for_each_guidance(tmp_path):
    rows = [
        row("ddim", steps, {"pictures": 9, "figures": {"frechet": {"value": guidance}}}, guidance)
        for steps in (5, 10)
        for guidance in (1.0, 2.0, 3.0)
    ]
    write_plot(tmp_path / "plot.png", rows, "")
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.size == (420, 34 + 20 * 3 + 300)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--guidance", "1", "2"], "Say where to write it, with --table FILE.csv"),
        (["--guidance", "much"], "guidance must be a finite number from -20 to 50, got 'much'"),
        (
            ["--guidance", "1", "2", "--guidance-scales", "1,2", "--table", "t.csv"],
            "--guidance-scales takes the place of",
        ),
        (["--interval-low", "3", "--interval-high", "1"], "goes from a low to a high noise, got 3 to 1"),
        (["--classifier", "jugde"], "Did you mean 'judge'"),
        (["--weaker", "none-such"], "There is no model"),
        (
            ["--steps", "5", "2", "--change-step", "3", "--change-guidance", "2", "--table", "t.csv"],
            "The run has 2 steps",
        ),
    ],
)
def test_mistakes_are_said_before_anything_is_drawn(words, more, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words[:-2], *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert not (tmp_path / "work").exists()
