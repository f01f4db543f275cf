"""Labels and prompts that differ from picture to picture, in one run with one network call for all.

The truth is the run of each picture alone, from the same noise: a picture never depends on its neighbours.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from guided_cases import classifier_spec, network_of
from segment_cases import MASK, OTHER, PICTURE

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.models.classifier import Classifier
from diffusion_studio.networks.tokens import TextConfig
from diffusion_studio.runs import each_picture
from diffusion_studio.runs.edits import FromPicture, Inpaint, Interpolate, Invert, Morph, Travel
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.guidance_builder import NO_GUIDES, Guides, guided
from diffusion_studio.runs.recipe import Recipe, file_name
from diffusion_studio.runs.recipe_diff import differences
from diffusion_studio.runs.segments import run_segments, segments_of

CHECKPOINTS = Path(ds.__file__).resolve().parents[1] / "checkpoints"
DIFF = ("D", "I", "F", "F")
SPRITES = ("orc, coat red", "elf, robe white", None, "dwarf, hood gray")
SEEDS = (3, 4, 5, 9)
LETTERS = {"model": "letters", "labels": DIFF, "prompts": ("red serif", "blue", None, "bold sans")}
STRONG = {"guidance": 4.0}


@pytest.fixture(scope="module")
def studio():
    return ds.Studio(CHECKPOINTS, "cpu", "fp64")


def states(model: ds.Model, recipe: Recipe, guides=NO_GUIDES) -> list[torch.Tensor]:
    """Every state of a run as the sampler has it. `guides`: Guides, or those of any recipe."""

    def planned(one: Recipe, strength: float):
        return plan(model, one, guides if isinstance(guides, Guides) else guides(one), strength)

    segments = segments_of(recipe, planned)
    return [x for _, x in run_segments(segments, sum(segment.steps for segment in segments))]


def apart(model: ds.Model, recipe: Recipe, guides=NO_GUIDES) -> float:
    """Largest difference between the run's pictures and each one's own run, over all states."""
    together = states(model, recipe, guides)
    return max(
        (many[k] - one[0]).abs().max().item()
        for k in range(recipe.pictures)
        for many, one in zip(together, states(model, alone(recipe, k), guides), strict=True)
    )


def alone(recipe: Recipe, k: int) -> Recipe:
    """The run of picture k by itself."""
    parent = recipe.branch and replace(recipe.branch, recipe=alone(recipe.branch.recipe, k))
    return replace(
        recipe,
        label=recipe.each_label[k],
        prompt=recipe.each_prompt[k],
        labels=(),
        prompts=(),
        seeds=recipe.seeds[k : k + 1],
        branch=parent,
    )


BUNDLED = {
    "letters": {**LETTERS, **STRONG},
    "cifar10 score": {
        "model": "cifar10",
        "labels": ("ship", "cat", "dog", "cat"),
        "spacing": "leading",  # not from alpha near 0, by which the gradient and its rounding are divided
        "classifier": {"name": "cifar10-classifier", "scale": 2},
    },
    "cifar10 mean": {
        "model": "cifar10",
        "labels": ("ship", "cat", "dog", "cat"),
        "sampler": {"name": "ddpm", "variance": "learned"},
        "classifier": {"name": "cifar10-classifier", "scale": 2, "form": "mean"},
    },
    "heroes": {"model": "heroes", "prompts": SPRITES, "negative": "elf", "palette": None, **STRONG},
    "emoji": {
        "model": "emoji",
        "labels": ("google", "twitter", "google", None),
        "prompts": ("cat face", "owl", "rocket", None),
        **STRONG,
    },
}


@pytest.mark.parametrize(
    "name", ["letters", *(pytest.param(one, marks=pytest.mark.slow) for one in BUNDLED if one != "letters")]
)
def test_each_picture_is_that_of_its_own_run(studio, name):
    """In float64, but for the classifier, which computes in float32."""
    recipe = studio.recipe(**{"seeds": SEEDS, "steps": 2, **BUNDLED[name]})
    most = 1e-5 if "classifier" in BUNDLED[name] else 1e-10
    assert apart(studio.model(recipe.model), recipe, studio.guides) < most


WORDS = ("red", "blue", "square", "circle")
EACH = {"labels": ("Cat", "Dog", None, "Dog"), "prompts": ("red", None, "blue square", "circle")}
GUIDANCE = {
    "off": {"guidance": 1.0},
    "unguided": {"guidance": 0.0},
    "plain": {},
    "shape": {"guidance_shape": "cosine"},
    "list": {"guidance_scales": "1,6,3"},
    "interval": {"interval": {"low": 0.3, "high": 4}},
    "rescaled": {"guidance_rescale": 0.7},
    "projected": {"projection": {"parallel": 0.3, "radius": 5}},
    "negative": {"negative_label": "Cat", "negative": "blue"},
    "change prompt": {"change": {"step": 2, "prompt": "blue", "guidance": 2}},
    "change label": {"change": {"step": 2, "label": "Ankle boot"}},
    "weaker": {"weaker": "w"},
    "threshold": {"threshold": 0.9},
    "palette": {"palette": "black-white"},
    "labels alone": {"prompts": (), "prompt": "red"},
    "prompts alone": {"labels": (), "label": "Cat"},
    "noisy": {"sampler": {"name": "dpmpp_2m_sde"}},
    "adaptive": {"sampler": "adaptive"},
    "classifier": {"classifier": {"name": "judge", "scale": 2, "label": "Dog"}},
    "classifier each": {"labels": ("Cat", "Dog", "Dog", "Cat"), "classifier": {"name": "judge", "scale": 2}},
}


def reading(tiny_model, **changes) -> ds.Model:
    """A model that takes labels and prompts."""
    config = TextConfig(words=len(WORDS), width=8, heads=2, tokens=6, pieces=20)
    network = {"text": config, "attention_levels": (1,), **changes}
    return tiny_model(words=WORDS, prompts=("red square",), network=network)


FEW = ("adaptive", "classifier each")  # long, or much like others


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if k % 2 or name in FEW else name
        for k, name in enumerate(GUIDANCE)
    ],
)
def test_with_every_guidance(tiny_model, name):
    """In float64, but for the classifier's float32."""
    given = GUIDANCE[name]
    recipe = Recipe.from_settings({"model": "tiny", "seeds": SEEDS, "steps": 3, **STRONG, **EACH, **given})
    spec = classifier_spec()
    judge = Classifier(spec, network_of(spec), torch.device("cpu"))
    guides = Guides(
        judge if recipe.classifier.on else None,
        reading(tiny_model, multipliers=(1, 1)) if recipe.weaker else None,
    )
    model = reading(tiny_model)
    assert apart(model, recipe, guides) < (1e-5 if recipe.classifier.on else 1e-10)
    shifted = {
        name: (*values[1:], values[0]) for name in ("labels", "prompts") if (values := getattr(recipe, name))
    }
    other = states(model, replace(recipe, **shifted), guides)[-1]
    moved = (other - states(model, recipe, guides)[-1]).abs().amax((1, 2, 3))
    assert recipe.guidance == 0 or (moved > 1e-3).all()  # what is asked counts, for each picture


def test_all_pictures_are_one_network_call(studio, monkeypatch):
    model, sizes = studio.model("letters"), []
    network = model.network.forward

    def counting(x, *rest):
        sizes.append(len(x))
        return network(x, *rest)

    monkeypatch.setattr(model.network, "forward", counting)
    list(studio.stream(studio.recipe(**LETTERS, seeds=SEEDS, steps=3, guidance=2.0)))
    assert sizes == [8, 8, 8]  # four with what is asked for and four without, in each step


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": ("Dog", "Dog", None, "Cat")},
        {"label": "Cat"},
        {"prompts": ("blue", "blue", None, None)},
        {"labels": ("Dog", "Dog", None, "Cat"), "seeds": (20, 21, 22, 23), "sampler": "ddpm"},
    ],
    ids=str,
)
def test_a_branch_has_labels_of_its_own(tiny_model, changes):
    parent = Recipe("tiny", **EACH, **STRONG, seeds=SEEDS, steps=5)
    recipe = parent.continued(2, **changes)
    assert apart(reading(tiny_model), recipe) < 1e-10
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_run_of_one_picture_becomes_several(tiny_model):
    """They share the beginning; the labels say how many there are."""
    model = reading(tiny_model)
    recipe = Recipe("tiny", "Cat", (7,), 5, guidance=2.0).continued(2, labels=EACH["labels"])
    assert recipe.pictures == 4 and recipe.seeds == (7, 8, 9, 10)
    together = states(model, recipe)
    assert (together[1] - together[1][:1]).abs().max() == 0
    for k, label in enumerate(recipe.labels):
        one = states(model, replace(recipe, labels=(), label=label, seeds=recipe.seeds[k : k + 1]))
        assert (together[-1][k] - one[-1][0]).abs().max() < 1e-10
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_the_cache_of_states_serves_a_branch_with_labels():
    studio = ds.Studio(CHECKPOINTS, "cpu")
    parent = studio.recipe(**LETTERS, seeds=SEEDS, steps=4)
    branch = parent.continued(2, labels=("D", "I", "F", "X"))
    fresh = [frame.x for frame in studio.stream(branch)]
    list(studio.stream(parent))
    for a, b in zip(fresh, studio.stream(branch), strict=True):
        np.testing.assert_array_equal(a, b.x)


THREE = ("Cat", None, "Dog")
EDITS = {
    "picture": (FromPicture(PICTURE), (1, 2, 3)),
    "inpaint": (Inpaint(PICTURE, MASK, jumps=2, jump_length=2), (1, 2, 3)),
    "interpolate": (Interpolate(film=3), (1, 2)),
    "morph": (Morph(PICTURE, OTHER, film=3), (1,)),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_take_a_label_for_each_picture(tiny_model, name):
    """Picture k is that of the same edit with label k for all: exact but for the last digits in float64."""
    edit, seeds = EDITS[name]
    model = tiny_model()
    recipe = Recipe("tiny", labels=THREE, seeds=seeds, steps=5, guidance=2.0, edit=edit)

    together = states(model, recipe)[-1]
    for k, label in enumerate(THREE):
        one = states(model, replace(recipe, label=label, labels=()))[-1]
        assert (together[k] - one[k]).abs().max() < 1e-12
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_model_that_enlarges_takes_them(tiny_model):
    model = tiny_model(network={"in_channels": 2}, channels=1, low_res=4)
    small = Picture(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16)
    recipe = Recipe("tiny", labels=THREE, seeds=(1, 2, 3), steps=3, guidance=2.0, low_res=small)
    made = plan(model, recipe)
    x = made.start()
    together = made.denoise(x, made.levels[1])
    for k, label in enumerate(THREE):
        one = plan(model, replace(recipe, label=label, labels=()))
        assert (together.x0 - one.denoise(x, made.levels[1]).x0)[k].abs().max() < 1e-12


def test_what_a_recipe_holds():
    recipe = Recipe("m", labels=["A", "any", None], prompts=(" red   dog ", "", None), seeds=(1, 2, 3))
    assert recipe.labels == ("A", None, None) and recipe.prompts == ("red dog", None, None)
    assert recipe.each_label == recipe.labels and recipe.captions == ("A, red dog", "", "")
    assert Recipe("m", labels=("A",), prompts=("red",)) == Recipe("m", label="A", prompt="red")
    assert Recipe("m", label="A", seeds=(1, 2)).each_label == ("A", "A")
    assert Recipe("m", "A", (1, 2), edit=Interpolate(film=5)).captions == ("A",) * 5
    assert hash(recipe) == hash(replace(recipe))


def test_json_says_lists_where_there_are_any():
    recipe = Recipe("m", labels=DIFF, prompts=("a", None, "b", "c"), seeds=SEEDS)
    told = json.loads(recipe.to_json())
    assert told["labels"] == list(DIFF) and told["prompts"] == ["a", None, "b", "c"] and told["label"] is None
    assert Recipe.from_json(recipe.to_json()) == recipe
    plain = json.loads(Recipe("m", label="D", seeds=SEEDS).to_json())
    assert "labels" not in plain and "prompts" not in plain  # files stay as they were


def test_an_exported_file_carries_them(studio, tmp_path):
    recipe = studio.recipe(**LETTERS, seeds=SEEDS, steps=2)
    path = studio.run(recipe).save(tmp_path / "made.gif")
    assert Recipe.from_file(path) == recipe


def test_settings_over_a_base():
    base = {"model": "m", "label": "A", "prompt": "red", "seeds": (5, 6, 7)}
    made = Recipe.from_settings({"labels": ("X", "Y")}, base)
    assert (made.label, made.labels, made.prompt, made.seeds) == (None, ("X", "Y"), "red", (5, 6))
    made = Recipe.from_settings({"labels": DIFF}, base)
    assert made.seeds == (5, 6, 7, 8)
    with pytest.raises(OptionError, match="4 labels for 3 pictures"):
        Recipe.from_settings({"labels": DIFF}, {**base, "seeds": (5, 9, 2)})  # chosen one by one
    with pytest.raises(OptionError, match="4 labels for 3 pictures"):
        Recipe.from_settings({"labels": DIFF, "seeds": (1, 2, 3)}, base)
    each = {"model": "m", "labels": DIFF, "prompts": ("a", "b", "c", "d"), "seeds": SEEDS}
    made = Recipe.from_settings({"label": "Z"}, each)
    assert (made.label, made.labels, made.prompts) == ("Z", (), ("a", "b", "c", "d"))
    made = Recipe.from_settings({"prompt": None}, each)
    assert made.labels == DIFF and made.prompts == ()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Recipe(labels=("A", "B")), "2 labels for 1 picture. Give one label for each picture"),
        (lambda: Recipe(labels=("A", "B"), seeds=(1, 2, 3)), "2 labels for 3 pictures"),
        (lambda: Recipe(prompts=("a",), seeds=(1, 2, 3)), "1 prompt for 3 pictures"),
        (lambda: Recipe(label="A", labels=("A", "B"), seeds=(1, 2)), r"both were given \('A' and 2 labels\)"),
        (lambda: Recipe(labels="AB", seeds=(1, 2)), "labels must be a list with one label for each picture"),
        (lambda: Recipe(labels=(1, 2), seeds=(1, 2)), "labels holds texts; entry 1 is 1"),
        (lambda: Recipe(labels=("A", "\ud800"), seeds=(1, 2)), "valid Unicode; entry 2"),
        (lambda: Recipe(label=("A", "B"), seeds=(1, 2)), "one label for each picture give labels"),
        (lambda: Recipe(prompt=["a", "b"], seeds=(1, 2)), "one prompt for each picture give prompts"),
        (lambda: Recipe(prompts=("a" * 2001, "b"), seeds=(1, 2)), "The prompt has 2,001 letters"),
        (
            lambda: Recipe(negative=("a", "b"), seeds=(1, 2)),
            r"negative must be a text, got \('a', 'b'\)",
        ),
        (lambda: Recipe(negative_label=("a", "b")), "negative_label must be a text"),
        (lambda: Recipe(change={"step": 1, "label": ["A", "B"]}), "change.label must be a text"),
        (lambda: Recipe(classifier={"name": "c", "label": ["A", "B"]}), "classifier.label must be a text"),
        (
            lambda: Recipe(labels=("A", "B"), edit=Travel(stops="A | B", film=2)),
            "its stops say what each picture shows. Leave the labels out",
        ),
        (lambda: Recipe(labels=("A", "B"), edit=Invert(PICTURE)), "2 labels for 1 picture"),
        (
            lambda: Recipe(labels=("A", "B"), seeds=(1, 2), edit=Interpolate(film=3)),
            "2 labels for 3 pictures",
        ),
        (
            lambda: Recipe(labels=("A", "B"), seeds=(1, 2)).continued(1, labels=("A", "B", "C")),
            "3 labels for 2 pictures",
        ),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize(
    "given, message",
    [
        ({"model": "letters", "labels": ("D", "Q9", "F")}, "There is no label of letters 'Q9'"),
        ({"model": "mnist", "prompts": ("a", "b")}, "mnist takes no prompt, got 'a'"),
        ({"model": "heroes", "labels": ("a", "b")}, "heroes takes no label, got 'a'"),
        (
            {"model": "cifar10", "labels": ("cat", "any"), "classifier": "cifar10-classifier"},
            "goes towards a label, and picture 2 has none",
        ),
    ],
)
def test_what_a_model_does_not_know_is_said_before_the_run(studio, given, message):
    with pytest.raises(OptionError, match=message):
        studio.stream(studio.recipe(**given))


def test_another_number_than_pictures_is_said_by_parts_used_alone(tiny_model):
    model = tiny_model()
    recipe = Recipe("tiny", labels=("Cat", "Dog"), seeds=(1, 2))
    made = plan(model, recipe)
    with pytest.raises(OptionError, match="2 labels were given for 3 pictures"):
        made.denoise(torch.zeros(3, 1, 8, 8, dtype=torch.float64), made.levels[0])
    assert guided(model, recipe, made.levels) == model.denoiser(("Cat", "Dog"))
    assert len(list(stream(model, recipe))) == 51


def test_an_evaluation_says_its_own_labels(tiny_model):
    from diffusion_studio.metrics.pictures import GenerationSetup

    with pytest.raises(OptionError, match="An evaluation chooses the label of each picture itself"):
        GenerationSetup(tiny_model(), Recipe("tiny", labels=("Cat", "Dog"), seeds=(1, 2)))


def test_two_recipes_compared_name_them():
    one = Recipe("m", labels=DIFF, seeds=SEEDS)
    here, there = differences(one, replace(one, labels=("X", None, "F", "F")))
    assert (here, there) == (("labels D, I, F, F",), ("labels X, any, F, F",))


@pytest.mark.parametrize("label", ["A", 'tench, "Tinca"', "-x", " b"])
def test_labels_in_one_line(label):
    assert each_picture.split_labels(each_picture.join_labels([label, "B"])) == (label.strip(), "B")


def test_names_of_files():
    assert file_name(Recipe("letters", labels=DIFF, seeds=SEEDS), ".gif") == "letters-D-I-F-F-3.gif"
    name = file_name(Recipe("m", prompts=(None, "red dog"), seeds=(1, 2)), ".gif")
    assert name == "m-red_dog-1.gif"
    assert len(file_name(Recipe("m", labels=("long label",) * 64, seeds=range(64)), ".gif")) < 80


def test_the_command_line_says_them_both_ways(studio, tmp_path, monkeypatch, capsys):
    """The command of a recipe makes a file with that recipe."""
    monkeypatch.chdir(tmp_path)
    recipe = studio.recipe(**{**LETTERS, "prompts": ("-red", "a b", None, "c")}, seeds=SEEDS, steps=2)
    command = shlex.split(recipe.to_command(studio.recipe("letters")))
    assert command[3:6] == ["--labels", "D,I,F,F", "--prompt=-red"]
    machine = ["--checkpoints", str(CHECKPOINTS)]
    assert main([*command[1:], *machine, "--out", "a.gif"]) == 0
    assert Recipe.from_file("a.gif") == recipe
    asked = ["generate", "--recipe", "a.gif", *machine, "--out", "b.gif"]
    assert main([*asked, "--label", "Z", "--prompt", "x"]) == 0
    one = Recipe.from_file("b.gif")
    assert (one.label, one.labels, one.prompt, one.prompts, one.seeds) == ("Z", (), "x", (), SEEDS)
    short = ["generate", "letters", *machine, "--steps", "2", "--out", "c.gif"]
    assert main([*short, "--labels", "O, K"]) == 0
    made = Recipe.from_file("c.gif")
    assert (made.labels, made.prompts, made.prompt, made.seeds) == (("O", "K"), (), None, (0, 1))
    capsys.readouterr()
    for words, message in (
        (["--labels", "O,K", "--count", "3"], "2 labels for 3 pictures"),
        (["--label", "O", "--labels", "O,K"], "--label is one for all pictures, --labels has one for each"),
        (["--labels", ""], "--labels needs one label for each picture"),
        (["--labels", "O,Ks"], "There is no label of letters 'Ks'"),
    ):
        assert main([*short, *words]) == 2 and message in capsys.readouterr().err
