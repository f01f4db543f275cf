"""A whole evaluation: what it measures, that it can be resumed, and that processes share it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.metrics import bits
from diffusion_studio.metrics.bound import bound_terms
from diffusion_studio.metrics.config import METRICS, EvalConfig
from diffusion_studio.metrics.features import FEATURES, Features
from diffusion_studio.metrics.figures import FIGURES
from diffusion_studio.metrics.frechet import Gaussian, frechet
from diffusion_studio.metrics.parts import Job, World, load_or_compute
from diffusion_studio.metrics.picture_evaluation import PictureEvaluation
from diffusion_studio.metrics.pictures import GeneratedPictures, batches, default_recipe
from diffusion_studio.runs import generate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("0", "1", "2")


@pytest.fixture
def model(tiny_model):
    return tiny_model(torch.float32, labels=LABELS)


def settings(source: Path, **changes) -> EvalConfig:
    small = {"pictures": 40, "bits_pictures": 3, "bound_steps": 4, "flow_steps": 2}
    return EvalConfig(**{"data": str(source), **small, **changes})


def recipe(model, **changes):
    return default_recipe(model.spec, **{"steps": 2, **changes})


def test_the_registries_agree():
    assert tuple(FIGURES) == tuple(METRICS)


def test_all_figures_of_a_model(model, small_features, pictures_file, tmp_path):
    config = settings(pictures_file, metrics="all")
    report = ds.evaluate(model, config, recipe(model), tmp_path / "work")
    assert json.loads(json.dumps(report)) == report
    assert list(report["figures"]) == [
        name for name in METRICS if name != "psnr"
    ]  # which is for models that enlarge
    assert all(isinstance(one["name"], str) for one in report["figures"].values())
    assert report["pictures"] == 40 and report["features"]["network"] == "Small"
    assert report["figures"]["frechet"]["name"] == "Frechet distance (Small)"  # never FID without Inception

    # the same by hand: pictures k with label k mod 3, through the network, against the padded training
    # pictures
    made = {}
    for label in range(3):
        seeds = tuple(range(label, 40, 3))
        *_, last = generate.stream(model, recipe(model, label=LABELS[label], seeds=seeds))
        made |= dict(zip(seeds, last.x))
    images = np.stack([made[k] for k in range(40)])
    network = Features("efficientnet-lite0")
    real = data.load(pictures_file).padded(8).images
    wanted = frechet(Gaussian.of(network(images)), Gaussian.of(network(real)))
    assert report["figures"]["frechet"]["value"] == pytest.approx(wanted, rel=1e-6)

    bound = report["figures"]["bound"]
    assert [term["t"] for term in bound["terms"]] == [100, 99, 74, 49, 24]
    assert sum(term["bits"] for term in bound["terms"]) == pytest.approx(bound["value"])
    assert bound["given_labels"] and bound["pictures"] == 3
    assert report["figures"]["labels"]["of_real_test_pictures"] == 1  # the three are easy to tell apart
    assert Path(report["figures"]["neighbours"]["sheet"]).is_file()
    closest = report["figures"]["neighbours"]["closest"][0]
    apart = np.linalg.norm(images[closest["seed"]] / 255.0 - real[closest["training_picture"]] / 255.0)
    assert closest["distance"] == pytest.approx(apart, rel=1e-5) == report["figures"]["neighbours"]["least"]


def test_real_pictures_against_themselves_are_perfect(
    model, small_features, pictures_file, tmp_path, monkeypatch
):
    """Pictures that are drawn as the training pictures: distance zero, precision and recall one."""
    real = data.load(pictures_file).padded(8).images

    def draw(model, asked, *guides, **given):
        yield ds.Frame(0, 1, None, real[list(asked.seeds)], real[list(asked.seeds)])

    monkeypatch.setattr(generate, "stream", draw)
    config = settings(pictures_file, pictures=1024, metrics="frechet,precision-recall,neighbours,labels")
    figures = ds.evaluate(model, config, recipe(model), tmp_path / "work")["figures"]
    assert figures["frechet"]["value"] < 1e-9
    assert (figures["precision-recall"]["precision"], figures["precision-recall"]["recall"]) == (1, 1)
    assert figures["neighbours"]["value"] == 0 and figures["labels"]["value"] == 1


def test_a_learned_variance_is_used_in_the_bound(tiny_model, pictures_file, tmp_path):
    model = tiny_model(network={"out_channels": 2}, learned_variance=True, labels=LABELS)
    found = {}
    for variance in ("auto", "small", "large"):
        config = settings(pictures_file, metrics="bound,flow", variance=variance, probes=2)
        found[variance] = ds.evaluate(model, config, recipe(model), tmp_path / "work")["figures"]
    assert found["auto"]["bound"]["variance"] == "learned"
    assert len({one["bound"]["value"] for one in found.values()}) == 3
    assert len({one["flow"]["value"] for one in found.values()}) == 1


def test_bits_are_per_picture_and_do_not_depend_on_the_batch(model, pictures_file, tmp_path, monkeypatch):
    """The first picture with its noise costs the same alone and among others."""
    whole = ds.evaluate(
        model, settings(pictures_file, metrics="bound,flow"), recipe(model), tmp_path / "one"
    )["figures"]
    monkeypatch.setattr(bits, "BATCH", 2)
    parts = ds.evaluate(
        model, settings(pictures_file, metrics="bound,flow"), recipe(model), tmp_path / "two"
    )["figures"]
    for name in ("bound", "flow"):
        assert parts[name]["value"] == pytest.approx(whole[name]["value"], rel=1e-5)
        assert parts[name]["standard_error"] == pytest.approx(whole[name]["standard_error"], rel=1e-4)


def test_bits_are_of_pictures_as_the_model_has_black(tiny_model, tmp_path):
    """By hand, of test pictures whose upper half lies beyond black where the model was trained so."""
    pixels = np.full((4, 8, 8), 130, np.uint8)
    pixels[:, :4] = 0
    np.savez(tmp_path / "half.npz", x_train=pixels, x_test=pixels)
    for margin in (0.0, 0.25):
        model = tiny_model(torch.float32, black_margin=margin)
        run = PictureEvaluation(
            model, settings(tmp_path / "half.npz"), recipe(model), tmp_path / "work", None
        )
        (term, *more) = [
            one
            for _, one in bound_terms(
                bits.double_denoiser(model, None),
                from_uint8(pixels[:3, ..., None], margin).double(),
                bits.levels(run),
                Noise((0, 1, 2), model.shape, dtype=torch.float64),
                "small",
                True,
            )
        ]
        config = settings(tmp_path / "half.npz", metrics="bound")
        found = ds.evaluate(model, config, recipe(model), tmp_path / "work")["figures"]["bound"]
        assert found["value"] == pytest.approx(float((term + sum(more)).mean()), rel=1e-9)


def test_only_inceptions_figures_have_the_papers_names(
    model, small_features, pictures_file, tmp_path, monkeypatch
):
    monkeypatch.setitem(FEATURES, "inception", FEATURES["efficientnet-lite0"])
    config = settings(pictures_file, features="inception", feature_weights=str(small_features))
    report = ds.evaluate(model, config, recipe(model), tmp_path / "work")
    assert [one["name"] for one in report["figures"].values()] == [
        "FID",
        "KID",
        "precision and recall (Inception)",
        "Inception score",
    ]


class Stopped(Exception):
    pass


def test_a_stopped_evaluation_goes_on_and_gives_the_same(
    model, small_features, pictures_file, tmp_path, monkeypatch
):
    config = settings(pictures_file, metrics="frechet,score,bound")
    whole = ds.evaluate(model, config, recipe(model), tmp_path / "one")

    def stop(title: str, done: int, total: int) -> None:
        if title == "generating" and done >= 3:  # in the middle of the second batch
            raise Stopped

    with pytest.raises(Stopped):
        ds.evaluate(model, config, recipe(model), tmp_path / "two", stop)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*.npz")}
    assert len(done) == 1
    again = ds.evaluate(model, config, recipe(model), tmp_path / "two")
    assert again["figures"] == whole["figures"]
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())

    # nothing is drawn or looked through a second time, and other figures need no new pictures
    monkeypatch.setattr(generate, "stream", None)
    monkeypatch.setattr(Features, "__call__", None)
    assert ds.evaluate(model, config, recipe(model), tmp_path / "two")["figures"] == whole["figures"]
    more = ds.evaluate(
        model, settings(pictures_file, metrics="kernel,neighbours"), recipe(model), tmp_path / "two"
    )
    assert list(more["figures"]) == ["kernel", "neighbours"]
    with pytest.raises(TypeError):  # but other settings do
        ds.evaluate(model, config, recipe(model, guidance=3.0), tmp_path / "two")


def test_progress_reaches_its_ends(model, small_features, pictures_file, tmp_path):
    config = settings(pictures_file, metrics="frechet,bound,flow")
    for _ in range(2):  # done anew, and found done
        seen = {}
        ds.evaluate(
            model,
            config,
            recipe(model),
            tmp_path,
            lambda title, *at, seen=seen: seen.setdefault(title, []).append(at),
        )
        for title, ticks in seen.items():
            assert ticks == sorted(ticks) and ticks[-1][0] == ticks[-1][1], title
    assert list(seen) == [
        "generating",
        "features of generated pictures",
        "features of real pictures",
        "bits per dimension, bound",
        "bits per dimension, flow",
        "figures",
    ]


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_picture_does_not_depend_on_the_number_of_processes(model, tmp_path, size):
    asked = batches(model.spec, "each", 5, 100)
    one = GeneratedPictures(model, recipe(model), asked, tmp_path / "one")
    World().share("", one.jobs(), None)
    many = GeneratedPictures(model, recipe(model), asked, tmp_path / "many")
    for rank in range(size):
        World(rank, size).share("", many.jobs(), None)
    assert len(list((many.folder / "pictures").iterdir())) == len(asked)
    assert one.all()["seeds"].tolist() == list(range(5, 105))
    for name, values in one.all().items():
        np.testing.assert_array_equal(values, many.all()[name])


def test_more_pictures_keep_those_that_are_there(model, tmp_path):
    few = GeneratedPictures(model, recipe(model), batches(model.spec, "each", 0, 96), tmp_path)
    more = GeneratedPictures(model, recipe(model), batches(model.spec, "each", 0, 130), tmp_path)
    World().share("", few.jobs(), None)
    there = set((few.folder / "pictures").iterdir())
    images = more.all()["images"]
    assert there <= set((more.folder / "pictures").iterdir())
    np.testing.assert_array_equal(images[:96], few.all()["images"])


def test_pictures_of_other_seeds_are_never_taken(model, tmp_path):
    """Those of each label and those of one begin with the same seed, and are as many."""
    asked = model.spec.labels[0]
    GeneratedPictures(
        model, recipe(model), batches(model.spec, "each", 0, 4 * len(model.spec.labels)), tmp_path
    ).all()
    own = GeneratedPictures(model, recipe(model), batches(model.spec, asked, 0, 4), tmp_path).all()
    assert own["seeds"].tolist() == [0, 1, 2, 3]
    alone = GeneratedPictures(
        model, recipe(model), batches(model.spec, asked, 0, 4), tmp_path / "alone"
    ).all()
    np.testing.assert_array_equal(own["images"], alone["images"])


def test_two_processes_of_torchrun_give_what_one_gives(write_checkpoint, pictures_file, tmp_path):
    checkpoint = write_checkpoint(labels=LABELS)
    words = [
        "evaluate",
        str(checkpoint.parent),
        "--data",
        str(pictures_file),
        "--metrics",
        "neighbours,bound",
        "--pictures",
        "40",
        "--steps",
        "2",
        "--bits-pictures",
        "20",
        "--bound-steps",
        "3",
        "--precision",
        "fp32",
    ]
    two, one = tmp_path / "two.json", tmp_path / "one.json"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        "-m",
        "diffusion_studio",
        *words,
        "--work",
        str(tmp_path / "two"),
        "--json",
        str(two),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    from diffusion_studio.cli import main

    assert main([*words, "--work", str(tmp_path / "one"), "--json", str(one)]) == 0
    found, wanted = (json.loads(path.read_text()) for path in (two, one))
    assert found["figures"]["bound"]["value"] == pytest.approx(wanted["figures"]["bound"]["value"], rel=1e-6)
    parts = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("pictures/*.npz"))
    assert len(parts) == 3
    for part in parts:
        with np.load(tmp_path / "one" / part) as a, np.load(tmp_path / "two" / part) as b:
            np.testing.assert_array_equal(a["images"], b["images"])


def test_a_broken_part_is_made_anew(tmp_path):
    path = tmp_path / "deep" / "part.npz"
    made = [load_or_compute(path, lambda: {"x": np.arange(3)})]
    path.write_bytes(path.read_bytes()[:50])
    made.append(load_or_compute(path, lambda: {"x": np.arange(3)}))
    made.append(load_or_compute(path, dict))
    assert all(one["x"].tolist() == [0, 1, 2] for one in made)
    assert [one.name for one in path.parent.iterdir()] == ["part.npz"]
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written .* name another folder with --work"):
        load_or_compute(tmp_path / "file" / "part.npz", lambda: {"x": np.arange(3)})


def test_the_world_comes_from_torchrun():
    assert World.from_environment({}) == World(0, 1, 0)
    assert World.from_environment({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}) == World(3, 4, 1)
    for broken in ({"RANK": "4", "WORLD_SIZE": "4"}, {"RANK": "x"}, {"WORLD_SIZE": "0"}):
        with pytest.raises(OptionError, match="RANK below WORLD_SIZE"):
            World.from_environment(broken)
    seen = []
    World(1, 3).share("", [Job(lambda tick, k=k: seen.append(k), 1) for k in range(8)], None)
    assert seen == [1, 4, 7]


def test_processes_get_the_same_work():
    """Full and partly full batches alternate: one of two processes drew three quarters of the pictures."""
    jobs = [Job(lambda tick: None, 10, pictures) for pictures in [32, 10] * 5]
    shares = [World(rank, 2).part_of(jobs) for rank in range(2)]
    assert sorted(id(job) for share in shares for job in share) == sorted(map(id, jobs))
    assert all(share == sorted(share, key=jobs.index) for share in shares)
    works = [sum(job.work for job in share) for share in shares]
    assert max(works) - min(works) <= 320 and sum(works) == 5 * 420


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"data": ""}, OptionError, "Name the real pictures"),
        ({"metrics": "frechet,fidd"}, OptionError, "There is no metric 'fidd'"),
        ({"pictures": 1}, OptionError, "pictures must be a whole number from 2"),
        ({"seed": 2**63 - 5}, OptionError, "Start lower"),
        ({"labels": "Cat"}, OptionError, "There is no label of tiny 'Cat'"),
        ({"labels": "any", "metrics": "labels"}, OptionError, "Choose labels each"),
        ({"real": 5000}, OptionError, "5,000 real pictures were asked for; there are 1,024"),
        (
            {"real": 3, "metrics": "precision-recall"},
            OptionError,
            "at least 4 pictures on either side, got 3",
        ),
        (
            {"variance": "learned", "metrics": "bound"},
            OptionError,
            "needs a model that predicts its variance",
        ),
        ({"bound_steps": 101, "metrics": "bound"}, OptionError, "from 1 to 100"),
        ({"data": "no-such-data"}, DataError, "There is no data set"),
    ],
)
def test_mistakes_are_said_before_anything_is_drawn(
    changes, error, sentence, model, small_features, pictures_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(generate, "stream", None)
    with pytest.raises(error, match=sentence):
        ds.evaluate(model, settings(pictures_file, **changes), recipe(model), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_data_that_do_not_fit_the_model(tiny_model, model, small_features, pictures_file, tmp_path):
    with pytest.raises(DataError, match="1 channels, tiny draws 3"):
        ds.evaluate(
            tiny_model(network={"in_channels": 3, "out_channels": 3}), settings(pictures_file), None, tmp_path
        )
    with pytest.raises(DataError, match="has the labels 0, 1, 2; tiny draws Cat, Dog, Ankle boot"):
        ds.evaluate(tiny_model(), settings(pictures_file, metrics="labels"), None, tmp_path)
    with pytest.raises(OptionError, match="tiny needs a label for each picture"):
        ds.evaluate(
            tiny_model(network={"null_class": False}),
            settings(pictures_file, metrics="bound"),
            None,
            tmp_path,
        )
    with pytest.raises(DataError, match="labels"):
        np.savez(tmp_path / "bare.npz", images=np.zeros((9, 8, 8), np.uint8))
        ds.evaluate(model, settings(tmp_path / "bare.npz", metrics="labels"), None, tmp_path)
