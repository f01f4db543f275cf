"""The evaluation of models that enlarge: their inputs, what their results are compared with, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.cli import main
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.metrics import bits
from diffusion_studio.metrics.config import EvalConfig
from diffusion_studio.metrics.enlarged import bilinear, downscale, psnr
from diffusion_studio.metrics.parts import World
from diffusion_studio.metrics.picture_evaluation import PictureEvaluation
from diffusion_studio.metrics.pictures import default_recipe
from diffusion_studio.runs import generate

pytestmark = pytest.mark.slow

LABELS = ("0", "1", "2")


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(torch.float32, labels=LABELS, network={"in_channels": 2}, channels=1, low_res=4)


def settings(source, **changes) -> EvalConfig:
    return EvalConfig(**{"data": str(source), "metrics": "psnr", "pictures": 9, **changes})


def recipe(model, **changes):
    return default_recipe(model.spec, **{"steps": 2, **changes})


def test_psnr_is_what_its_definition_says():
    random = np.random.default_rng(0)
    real = random.integers(0, 226, (3, 6, 5, 3), dtype=np.uint8)
    assert psnr(real + np.uint8(25), real) == pytest.approx([20 * math.log10(255 / 25)] * 3)
    noisy = random.integers(0, 256, real.shape, dtype=np.uint8)
    wanted = [10 * math.log10(255**2 / np.mean((a.astype(float) - b) ** 2)) for a, b in zip(noisy, real)]
    assert psnr(noisy, real) == pytest.approx(wanted)
    assert psnr(real, real) == pytest.approx([10 * math.log10(12 * 255**2)] * 3)
    with pytest.raises(DataError, match=r"as many of the same size, got \(3, 6, 5, 3\) and \(2, 6, 5, 3\)"):
        psnr(real, real[:2])


def test_the_small_picture_is_the_mean_of_its_pixels_and_bilinear_keeps_planes():
    real = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    mean = real.reshape(300, 4, 2, 4, 2, 1).mean((2, 4))
    assert np.abs(downscale(real, 4) - mean).max() <= 0.5 + 1e-4
    plane = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (1, 32, 1))[None]  # steps of 8 a row
    inner = bilinear(downscale(plane, 8), 32)[:, 4:-4]  # edges are held
    assert np.array_equal(inner, plane[:, 4:-4])


def test_each_picture_is_enlarged_as_generate_does_and_compared_with_its_own(model, pictures_file, tmp_path):
    """By hand, one by one, from a picture in a recipe: with the real picture's label and the seed of its
    place.
    """
    report = ds.evaluate(model, settings(pictures_file, seed=5), recipe(model, guidance=2.0), tmp_path)
    real = data.load(pictures_file).padded(8)
    found, made = [], []
    for k in range(9):
        small = Picture(downscale(real.images[k : k + 1], 4)[0])
        *_, last = generate.stream(
            model, ds.Recipe("tiny", LABELS[real.labels[k]], (5 + k,), 2, guidance=2.0, low_res=small)
        )
        made.append(last.x[0])
        found.append(10 * math.log10(255**2 / np.mean((last.x[0].astype(float) - real.images[k]) ** 2)))
    run = PictureEvaluation(
        model, settings(pictures_file, seed=5), recipe(model, guidance=2.0), tmp_path, None
    )
    assert run.generated["seeds"].tolist() == list(range(5, 14)) and run.generated[
        "sources"
    ].tolist() == list(range(9))
    assert (
        np.abs(run.generated["images"].astype(int) - np.stack(made)).max() <= 1
    )  # another batch rounds otherwise
    figure = report["figures"]["psnr"]
    assert figure["value"] == pytest.approx(np.mean(found), abs=0.02) and figure["pictures"] == 9
    enlarged = torch.nn.functional.interpolate(
        from_uint8(downscale(real.images[:9], 4)), (8, 8), mode="bilinear"
    )
    error = ((enlarged.numpy().transpose(0, 2, 3, 1) - real.images[:9] / 127.5 + 1) / 2) ** 2
    assert figure["of_bilinear"] == pytest.approx((-10 * np.log10(error.mean((1, 2, 3)))).mean(), abs=0.05)


def test_a_picture_depends_neither_on_processes_nor_on_how_many_are_asked_for(
    model, pictures_file, tmp_path, monkeypatch
):
    many = PictureEvaluation(model, settings(pictures_file, pictures=200), recipe(model), tmp_path, None)
    for rank in range(3):
        World(rank, 3).share("", many.generated_pictures.jobs(), None)
    monkeypatch.setattr(generate, "stream", None)  # all is there
    few = PictureEvaluation(model, settings(pictures_file, pictures=192), recipe(model), tmp_path, None)
    np.testing.assert_array_equal(few.generated["images"], many.generated["images"][:192])


def test_a_choice_of_the_data_and_one_label_bring_their_own_pictures(model, pictures_file, tmp_path):
    """Never those of other pictures that were drawn with the same seeds."""
    one = PictureEvaluation(model, settings(pictures_file), recipe(model), tmp_path, None)
    other = PictureEvaluation(model, settings(pictures_file, real=50), recipe(model), tmp_path, None)
    assert one.generated_pictures.folder == other.generated_pictures.folder and not np.array_equal(
        one.generated["images"], other.generated["images"]
    )
    cats = PictureEvaluation(model, settings(pictures_file, labels="1"), recipe(model), tmp_path, None)
    assert (cats.generated["labels"] == 1).all() and (cats.real.labels[cats.generated["sources"]] == 1).all()
    anything = PictureEvaluation(model, settings(pictures_file, labels="any"), recipe(model), tmp_path, None)
    assert (anything.generated["labels"] == -1).all() and anything.generated["sources"].tolist() == list(
        range(9)
    )


def test_bits_are_given_the_small_picture(model, pictures_file, tmp_path):
    """The bare network of a part is that with the low-resolution of the very pictures, as the bound of
    them alone shows.
    """
    config = settings(pictures_file, metrics="bound,flow", bits_pictures=3, bound_steps=3, flow_steps=2)
    figures = ds.evaluate(model, config, recipe(model), tmp_path)["figures"]
    assert np.isfinite(figures["bound"]["value"]) and np.isfinite(figures["flow"]["value"])
    run = PictureEvaluation(model, config, recipe(model), tmp_path, None)
    part = bits.pictures(run)
    x, level = torch.zeros(3, 1, 8, 8, dtype=torch.float64), model.schedule.level(50)
    with torch.no_grad():
        seen = bits.double_denoiser(model, part.labels.tolist(), from_uint8(downscale(part.images, 4)))(
            x, level
        ).x0
        own = model.denoiser(part.labels.tolist(), low_res=from_uint8(downscale(part.images, 4)))(
            x.float(), level
        ).x0
    assert (seen - own).abs().max() < 1e-5 and seen[0].sub(seen[1]).abs().max() > 1e-3


def test_a_trained_one_beats_what_needs_no_network(tmp_path):
    """Stripes, one pixel wide, or their negative: the small picture tells which by its tone alone, and
    bilinear shows none.
    """
    random = np.random.default_rng(0)
    stripes = np.tile([[90, 40], [90, 40]], (4, 4)) * np.ones((64, 1, 1))
    stripes[::2] = np.tile([[200, 250], [200, 250]], (4, 4))
    images = (stripes + random.integers(0, 6, (64, 1, 1)))[..., None].astype(np.uint8)
    np.savez(tmp_path / "stripes.npz", images=images)
    config = ds.TrainConfig(
        data=str(tmp_path / "stripes.npz"),
        size=8,
        low_res=4,
        channels=16,
        multipliers="1",
        blocks=1,
        attention="",
        images=1280,
        batch=16,
        warmup=5,
        lr=5e-3,
        ema=0.8,
        parametrization="x0",
    )
    list(ds.train(config, tmp_path / "run", sample_every=10**6))
    words = [
        "evaluate",
        str(tmp_path / "run"),
        "--data",
        str(tmp_path / "stripes.npz"),
        "--metrics",
        "psnr",
        "--pictures",
        "16",
        "--steps",
        "5",
        "--work",
        str(tmp_path / "work"),
        "--table",
        str(tmp_path / "t.csv"),
        "--precision",
        "fp32",
    ]
    assert main(words) == 0
    head, line = (tmp_path / "t.csv").read_text().splitlines()
    assert head == "sampler,steps,guidance,pictures,psnr"
    figure = ds.evaluate(
        ds.load(tmp_path / "run", "cpu", "fp32"),
        settings(tmp_path / "stripes.npz", pictures=16),
        default_recipe(ds.load(tmp_path / "run").spec, steps=5),
        tmp_path / "work",
    )["figures"]["psnr"]
    assert float(line.split(",")[-1]) == figure["value"] > figure["of_bilinear"] + 3
    assert figure["of_bilinear"] == pytest.approx(
        20 * math.log10(255 / 25), abs=0.1
    )  # grey beside stripes of +-25
    assert figure["of_the_small_picture"] > 25


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"pictures": 2000},
            DataError,
            "one for each that is asked for: 2,000; the split 'train' of .* has 1,024 to choose",
        ),
        (
            {"pictures": 41, "split": "test"},
            DataError,
            "41; the split 'test' of .* has 40 to choose from. Ask for fewer",
        ),
        ({"pictures": 500, "labels": "2"}, DataError, "500; the split 'train' of .* has 341 to choose from"),
        ({"labels": "Cat"}, OptionError, "There is no label of tiny 'Cat'"),
        (
            {"metrics": "psnr,energy"},
            OptionError,
            "'energy' is a figure of points, and tiny makes pictures. Choose among",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_drawn(
    changes, error, sentence, model, pictures_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(generate, "stream", None)
    with pytest.raises(error, match=sentence):
        ds.evaluate(model, settings(pictures_file, **changes), recipe(model), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_data_without_the_labels_and_recipes_with_a_picture(model, tiny_model, pictures_file, tmp_path):
    np.savez(tmp_path / "bare.npz", images=np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(
        DataError, match="enlarges a picture of a label, and .* does not have its labels.* or --labels any"
    ):
        ds.evaluate(model, settings(tmp_path / "bare.npz"), recipe(model), tmp_path)
    assert (
        ds.evaluate(model, settings(tmp_path / "bare.npz", labels="any"), recipe(model), tmp_path)["pictures"]
        == 9
    )
    with pytest.raises(
        OptionError, match="enlarges the real pictures, made small. Leave the recipe's low_res out"
    ):
        ds.evaluate(
            model,
            settings(pictures_file),
            recipe(model, low_res=Picture(np.zeros((4, 4), np.uint8))),
            tmp_path,
        )
    with pytest.raises(
        OptionError, match="'psnr' compares enlarged pictures with their originals, and tiny enlarges"
    ):
        ds.evaluate(tiny_model(labels=LABELS), settings(pictures_file), None, tmp_path)
