"""Prompts from the recipe to the pictures: spec, model, guidance, command line and the app's controls."""

from __future__ import annotations

import json
import shlex

import pytest
import torch
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.cli import main
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.networks.tokens import TextConfig
from diffusion_studio.runs import generate
from diffusion_studio.runs.recipe import Recipe

WORDS = ("red", "blue", "square", "circle")
LEVEL = Linear(timesteps=100).level(40)
F64 = torch.float64


def text(null: bool = True, **changes) -> dict:
    """Arguments of `tiny_model` and its kin for a model that reads text."""
    config = TextConfig(words=len(WORDS), width=8, heads=2, tokens=6, pieces=20, null=null)
    return {
        "words": WORDS,
        "prompts": ("red square", "blue circle"),
        **changes,
        "network": {"text": config, "attention_levels": (1,), **changes.get("network", {})},
    }


@pytest.fixture
def x():
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)


def eps(denoise, x):
    return denoise(x, LEVEL).eps


def test_spec_round_trip(tiny_spec):
    spec = tiny_spec(**text(defaults={"prompt": "red square", "negative": "blue", "guidance": 4.0}))
    assert ModelSpec.from_json(spec.to_json()) == spec and spec.takes_text
    assert not tiny_spec().takes_text
    old = json.loads(tiny_spec().to_json())
    for name in ("words", "prompts"):
        assert old.pop(name) == []
    assert old["network"].pop("text") is None
    assert ModelSpec.from_json(json.dumps(old)) == tiny_spec()  # a header from before there was text


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"words": ("red",)}, "The network's text encoder has 4 words and the table 1"),
        ({"words": "red"}, "words must be a list of texts"),
        ({"prompts": (1,)}, "prompts must be a list of texts"),
    ],
)
def test_specs_that_cannot_be(tiny_spec, changes, message):
    with pytest.raises(OptionError, match=message):
        tiny_spec(**{**text(), **changes})
    with pytest.raises(OptionError, match="has 0 words and the table 1"):
        tiny_spec(words=("red",))


def test_prompts_one_for_all_or_one_each(tiny_model, x):
    """A picture is what it is alone with its prompt, whatever its neighbours' prompts."""
    model = tiny_model(**text())
    each = eps(model.denoiser("Dog", ["red square", "a blue wug, red circle"]), x)
    for k, prompt in enumerate(["red square", "a blue wug, red circle"]):
        alone = eps(model.denoiser("Dog", prompt), x[k : k + 1])
        assert (alone - each[k : k + 1]).abs().max() < 1e-12
        assert (eps(model.denoiser("Dog", prompt), x)[k] - each[k]).abs().max() < 1e-12
    assert (each - eps(model.denoiser("Dog", ["blue square"]), x)).abs().amax((1, 2, 3)).min() > 1e-5
    assert (each - eps(model.denoiser("Cat", ["red square", "a blue wug, red circle"]), x)).abs().amax(
        (1, 2, 3)
    ).min() > 1e-5
    assert torch.equal(
        eps(model.denoiser("Dog", "RED  Square!"), x), eps(model.denoiser("Dog", "red square"), x)
    )
    assert torch.equal(eps(model.denoiser("Dog"), x), eps(model.denoiser("Dog", ""), x))
    with pytest.raises(OptionError, match="3 prompts were given for 2 pictures"):
        model.denoiser(None, ["red"] * 3)(x, LEVEL)


def test_the_network_is_read_with_the_tokens_of_the_prompt(tiny_model, x):
    """By hand, from the network itself."""
    model = tiny_model(**text())
    tokens = torch.from_numpy(model.spec.tokenizer(["red square"])).expand(2, -1, -1)
    output = model.network(x, torch.full((2,), LEVEL.t), torch.tensor([1, 1]), tokens)
    assert (eps(model.denoiser("Dog", "red square"), x) - output).abs().max() < 1e-12


@pytest.mark.parametrize(
    "recipe, condition, away",
    [
        ({"prompt": "red"}, (None, "red"), (None, None)),
        ({"prompt": "red", "negative": "blue"}, (None, "red"), (None, "blue")),
        ({"prompt": "red", "label": "Dog", "negative": "blue"}, ("Dog", "red"), (None, "blue")),
        ({"prompt": "red", "label": "Dog"}, ("Dog", "red"), (None, None)),
        ({"label": "Dog"}, ("Dog", None), (None, None)),
        ({"negative": "blue"}, (None, None), (None, "blue")),
    ],
    ids=str,
)
def test_guidance_leads_from_the_negative_prompt_or_from_any(tiny_model, x, recipe, condition, away):
    """Ho & Salimans 2022, eq. 6, by hand; one network call and several agree."""
    model = tiny_model(**text())
    made = generate.plan(model, Recipe(model="tiny", seeds=(0, 1), guidance=3.0, clip=False, **recipe))
    c, u = eps(model.denoiser(*condition), x), eps(model.denoiser(*away), x)
    assert (c - u).abs().max() > 1e-5
    assert (eps(made.denoise, x) - (u + 3 * (c - u))).abs().max() < 1e-10


def test_guidance_where_only_one_condition_knows_any(tiny_model, x):
    """The other is kept on both sides."""
    model = tiny_model(**text(network={"null_class": False}))
    made = generate.plan(
        model, Recipe(model="tiny", label="Dog", prompt="red", seeds=(0, 1), guidance=2.0, clip=False)
    )
    c, u = eps(model.denoiser("Dog", "red"), x), eps(model.denoiser("Dog", None), x)
    assert (eps(made.denoise, x) - (2 * c - u)).abs().max() < 1e-10
    model = tiny_model(**text(null=False))
    made = generate.plan(
        model, Recipe(model="tiny", label="Dog", prompt="red", seeds=(0, 1), guidance=2.0, clip=False)
    )
    c, u = eps(model.denoiser("Dog", "red"), x), eps(model.denoiser(None, "red"), x)
    assert (eps(made.denoise, x) - (2 * c - u)).abs().max() < 1e-10


@pytest.mark.parametrize(
    "settings, recipe, message",
    [
        (
            {},
            {"prompt": "red"},
            "tiny takes no prompt, got 'red'. Leave the prompt out, or choose a label: Cat, Dog",
        ),
        ({}, {"negative": "red"}, "tiny takes no prompt, got 'red'"),
        (
            {"network": {"classes": None, "null_class": False}},
            {"prompt": "red"},
            "tiny takes no prompt, got 'red'. Leave the prompt out.$",
        ),
        (
            text(network={"classes": None, "null_class": False}),
            {"label": "Dog", "prompt": "red"},
            "tiny takes no label, got 'Dog'",
        ),
        (
            text(),
            {"prompt": "red " * 7},
            "The text 'red red .*' has 7 words and commas; this model reads at most 6. Make it shorter",
        ),
        (text(), {"negative": "red " * 7}, "has 7 words and commas"),
        (
            text(null=False),
            {},
            "tiny was always trained with a text, so it needs a prompt, such as 'red square'",
        ),
        (text(null=False), {"prompt": "?!"}, "so it needs a prompt"),
    ],
    ids=str,
)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_recipes_that_do_not_fit_the_model(tiny_model, settings, recipe, message, guidance):
    with pytest.raises(OptionError, match=message):
        generate.plan(tiny_model(**settings), Recipe(model="tiny", guidance=guidance, **recipe))


def test_save_and_load(write_checkpoint, x):
    path = write_checkpoint(dtype=torch.float32, **text())
    model = ds.load(path, "cpu", "fp32")
    a, b = (eps(model.denoiser(None, prompt), x.float()) for prompt in ("red", "blue"))
    assert model.spec.words == WORDS and (a - b).abs().max() > 1e-5
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"red\\"', b'"rad\\"').replace(b"text.words", b"text.wards"))
    with pytest.raises(CheckpointError, match="missing text.words"):
        ds.load(path)


def test_a_command_says_what_the_model_has_otherwise(write_checkpoint, tmp_path):
    defaults = {
        "prompt": "blue circle",
        "clip": False,
        "palette": "game-boy",
        "threshold": 0.9,
        "interval": {"high": 3},
        "guidance_scales": "1,3",
        "negative_label": "Cat",
        "steps": 2,
        "negative": "red",
    }
    path = write_checkpoint(**text(defaults=defaults))
    studio, out = ds.Studio(path.parents[1], "cpu", "fp32"), tmp_path / "x.gif"
    base = studio.recipe("tiny")
    assert base.palette.name == "game-boy" and not base.clip
    for one in (base, Recipe("tiny", steps=1), Recipe("tiny", steps=1, prompt="red", palette="pico-8")):
        assert (
            main(
                [
                    *shlex.split(one.to_command(base))[1:],
                    "--checkpoints",
                    str(path.parents[1]),
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        assert Recipe.from_file(out) == one


def test_the_command_line_makes_the_recipe(write_checkpoint, tmp_path, capsys):
    path = write_checkpoint(
        **text(defaults={"prompt": "blue circle", "guidance": 3.0, "steps": 2, "label": "Cat"})
    )
    folder = ["--checkpoints", str(path.parents[1])]
    recipe = Recipe(
        model="tiny",
        label="Dog",
        prompt="-red square's",
        negative="blue",
        steps=2,
        guidance=2.0,
        seeds=(3, 4),
    )
    for one in (recipe, Recipe(model="tiny", steps=2), Recipe(model="tiny", prompt="red", steps=2)):
        out = tmp_path / "x.gif"
        assert main([*shlex.split(one.to_command())[1:], *folder, "--out", str(out)]) == 0
        assert ds.Recipe.from_file(out) == one  # though the model's default is another prompt
    assert main(["generate", "tiny", *folder, "--out", str(out)]) == 0
    assert ds.Recipe.from_file(out) == Recipe(
        model="tiny", label="Cat", prompt="blue circle", guidance=3.0, steps=2
    )
    assert main(["generate", "--recipe", str(out), *folder, "--negative", "red", "--out", str(out)]) == 0
    assert ds.Recipe.from_file(out).prompt == "blue circle" and ds.Recipe.from_file(out).negative == "red"
    assert main(["generate", "tiny", *folder, "--prompt", "red " * 9, "--out", str(out)]) == 2
    assert "has 9 words and commas; this model reads at most 6" in capsys.readouterr().err
    assert main(["models", *folder]) == 0
    assert "labels: Cat, Dog, Ankle boot; reads prompts" in capsys.readouterr().out


def test_the_name_of_a_file_holds_the_prompts_words(write_checkpoint, tmp_path, monkeypatch, capsys):
    path = write_checkpoint(**text())
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            [
                "generate",
                "tiny",
                "--checkpoints",
                str(path.parents[1]),
                "--prompt",
                "red, a/../b: square",
                "--steps",
                "2",
            ]
        )
        == 0
    )
    assert capsys.readouterr().out.strip() == "tiny-red_a_b_square-0.gif"


def test_the_apps_controls(write_checkpoint):
    """What the boxes hold is the recipe, and back; a model without text hides them and takes none of it."""
    gr = pytest.importorskip("gradio")
    from diffusion_studio.ui.controls import RecipeControls

    path = write_checkpoint("reads", **text(defaults={"prompt": "red square", "guidance": 4.0}))
    write_checkpoint("zmute")
    studio = ds.Studio(path.parents[1], "cpu", "fp32")
    with gr.Blocks():
        controls = RecipeControls(studio)
        render_outside_drawer(controls)
        controls.render_rest()
    values = {control: control.value for control in controls.inputs()}
    assert (
        controls.recipe(values) == studio.recipe("reads") and controls.recipe(values).prompt == "red square"
    )
    assert (
        controls.text.visible and controls.guiding.controls["negative"].visible and controls.guidance.visible
    )
    values |= {controls.prompt: " ", controls.guiding.controls["negative"]: "12"}
    assert controls.recipe(values) == studio.recipe("reads", prompt=None, negative="12")
    shown = controls.show(studio.recipe("zmute"))
    assert not shown[controls.text]["visible"] and not shown[controls.guiding.controls["negative"]]["visible"]
    values |= {controls.model: "zmute", controls.prompt: "red"}
    assert controls.recipe(values).prompt is None and controls.recipe(values).negative is None
    assert set(shown) <= set(controls.outputs())
    back = controls.show(studio.recipe("reads", prompt="blue", negative="red"))
    assert back[controls.prompt] == "blue" and back[controls.guiding.controls["negative"]]["value"] == "red"
    assert back[controls.text]["visible"]
