"""Guidance by other models that the studio finds by name: folders, headers, replays and the command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from guided_cases import classifier_spec, network_of, recipe

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.runs.guidance_options import ByClassifier, Change, Interval, Projection


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    write_checkpoint("small", network={"channels": 16})
    write_checkpoint("other", image_size=16)
    write_checkpoint("dogs", network={"classes": 2})
    for name, changes in (("judge", {}), ("large", {"network": {"size": 16}})):
        spec = classifier_spec(name=name, **changes)
        (tmp_path / "checkpoints" / name).mkdir()
        checkpoint.write(
            tmp_path / "checkpoints" / name / "classifier.safetensors",
            spec,
            network_of(spec).state_dict(),
            torch.float32,
        )
    (tmp_path / "checkpoints" / "broken").mkdir()
    (tmp_path / "checkpoints" / "broken" / "classifier.safetensors").write_bytes(b"nothing")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


def test_helpers_are_found_by_folder(studio):
    assert [card.name for card in studio.models()] == ["dogs", "other", "small", "tiny"]
    assert set(studio.classifiers()) == {"judge", "large"} and studio.problems() == {}
    assert studio.helpers(studio.card("tiny")) == (["judge"], ["small"])
    assert studio.helpers(studio.card("other")) == (["large"], [])
    with pytest.raises(
        OptionError, match="There is no classifier in .* 'jugde'. Choose one of: .*Did you mean 'judge'"
    ):
        studio.classifier("jugde")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        studio.classifier("broken")
    with pytest.raises(
        CheckpointError, match="model.safetensors is a diffusion model, not a noisy classifier"
    ):
        studio.open_classifier(studio.folder / "tiny" / "model.safetensors")


def test_a_header_can_suggest_how_to_guide(studio, write_checkpoint):
    write_checkpoint(
        "suggests",
        defaults={
            "interval": {"high": 3},
            "classifier": "judge",
            "change": {"step": 2, "label": "Dog"},
            "guidance_scales": "1,4",
            "weaker": "small",
            "projection": {"parallel": 0},
        },
    )
    assert studio.recipe("suggests") == ds.Recipe(
        "suggests",
        interval=Interval(high=3),
        classifier=ByClassifier("judge"),
        change=Change(2, "Dog"),
        guidance_scales="1,4",
        weaker="small",
        projection=Projection(0),
    )


def test_models_lists_classifiers_too(studio, capsys):
    from diffusion_studio.cli import main

    assert main(["models", "--checkpoints", str(studio.folder)]) == 0
    assert (
        "judge: a noisy classifier to guide with, 8x8 grey; labels: Cat, Dog, Elk" in capsys.readouterr().out
    )


def test_a_recipe_with_helpers_runs_and_is_replayed_from_its_file(studio, tmp_path):
    plain = studio.run(recipe(clip=True)).images
    for changes in ({"weaker": "small"}, {"classifier": ByClassifier("judge", 5.0)}):
        given = recipe(clip=True, **changes)
        run = studio.run(given)
        assert (run.images != plain).any()
        again = ds.Recipe.from_file(run.save(tmp_path / "run.gif"))
        assert again == given
        np.testing.assert_array_equal(studio.run(again).images, run.images)


def test_the_command_line_takes_names_and_paths(studio, tmp_path):
    from diffusion_studio.cli import main

    def made(name: str, *words: str) -> ds.Recipe:
        out = tmp_path / name
        assert (
            main(
                [
                    "generate",
                    "tiny",
                    "--checkpoints",
                    str(studio.folder),
                    "--label",
                    "Cat",
                    "--steps",
                    "3",
                    *words,
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        return ds.Recipe.from_file(out)

    by = studio.folder / "judge"
    assert made("a.gif", "--classifier", "judge", "--classifier-scale", "2").classifier == ByClassifier(
        "judge", 2.0
    )
    assert made("b.gif", "--classifier", str(by)).classifier == ByClassifier("judge")
    assert made("c.gif", "--classifier", str(by / "classifier.safetensors")).classifier == ByClassifier(
        "judge"
    )
    other = made(
        "d.gif",
        "--weaker",
        str(studio.folder / "small"),
        "--guidance",
        "2",
        "--interval-high",
        "9",
        "--change-step",
        "2",
        "--change-label",
        "any",
        "--projection-parallel",
        "0",
        "--guidance-scales",
        "1,2",
    )
    assert (other.weaker, other.interval, other.change, other.projection, other.guidance_scales) == (
        "small",
        Interval(high=9),
        Change(2, "any"),
        Projection(0),
        "1,2",
    )
