"""What was assumed of a model, and what is not followed, is said wherever it is run."""

from __future__ import annotations

import json
import warnings

import gradio as gr
import pytest
from rendered_controls import render_outside_drawer
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.remarks import MOST_CHARACTERS, remarks
from diffusion_studio.cli import main
from diffusion_studio.convert import convert
from diffusion_studio.ui.controls import RecipeControls

NAME = "diffusion_pytorch_model.safetensors"


def test_generate_says_what_was_assumed(saved, tmp_path, capsys):
    folder = saved("diffusers", "default", configured=False)
    (folder / "config.json").unlink(missing_ok=True)
    run = [
        "generate",
        "--model",
        str(folder),
        "--flags",
        "--sample_size 8",
        "--steps",
        "2",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "a.png"),
    ]
    assert main(run) == 0
    first, *more = capsys.readouterr().err.splitlines()
    assert (
        first.startswith(
            "diffusion-studio: default: the file does not say, and so it is assumed: num_train_timesteps "
            "1000, beta_schedule linear, beta_start 0.0001"
        )
        and " more. Give what you know as flags" in first
    )
    assert not [line for line in more if line.startswith("diffusion-studio")]
    # all but what nobody can take for granted is known now
    flags = " ".join(
        f"--{fact.name} {fact.value}"
        for fact in checkpoint.inspect(folder).found.facts
        if fact.source == "assumed" and fact.name not in ("sample_size", "trained_betas", "beta_schedule")
    )
    run[4] = f"--sample_size 8 {flags}"
    assert main(run) == 0
    assert "it is assumed: beta_schedule linear. Give" in capsys.readouterr().err


def test_a_bundled_model_has_no_remarks(tiny_checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ds.load(tiny_checkpoint, "cpu", "fp32").remarks == ()
    assert checkpoint.inspect(tiny_checkpoint).remarks == ()


def test_python_warns_and_the_model_keeps_it(saved):
    folder = saved("openai", "adm", configured=False)
    with pytest.warns(
        ds.CheckpointWarning,
        match="adm: the file does not say, and so it is assumed: .*noise_schedule linear.*note: "
        "the file does not show the order of qkv's rows",
    ):
        model = ds.load(folder, "cpu", "fp32")
    assert model.remarks == checkpoint.inspect(folder).remarks and len(model.remarks) == 2


def test_notes_of_what_is_not_followed_travel_too(saved, tmp_path, capsys):
    """Whatever a reader puts into its notes; here an option of the scheduler that no sampler has, and a
    new configuration's.
    """
    folder = saved("diffusers", "default")
    path = folder / NAME
    save_file(
        {
            **{f"net.{key}": value for key, value in load_file(path).items()},
            "prior.weight": load_file(path)["conv_in.weight"],
        },
        path,
    )
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, "gated_skips": True}))
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    card = studio.card(studio.open(folder))
    (note,) = [line for line in card.remarks if line.startswith("note: ")]
    assert "1 tensors around the network are left out: prior.weight" in note
    assert "its configuration has settings that are not known here and not followed: gated_skips" in note
    assert (
        studio.remarks(studio.recipe(card.name)) == {card.name: card.remarks}
        and studio.model(card.name).remarks == card.remarks
    )


def test_a_converted_file_remembers_them(saved, tmp_path, capsys):
    folder = saved("openai", "adm", configured=False)
    wanted = checkpoint.inspect(folder)
    assert main(["convert", str(folder), str(tmp_path / "made.safetensors")]) == 0
    assert "diffusion-studio: made: the file does not say" in capsys.readouterr().err
    seen = checkpoint.inspect(tmp_path / "made.safetensors")
    assert seen.remarks[1:] == wanted.remarks[1:] and "Convert the original again with" in seen.remarks[0]
    assert seen.remarks[0].partition(". ")[0] == wanted.remarks[0].partition(". ")[0]
    assert main(["inspect", str(tmp_path / "made.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "when it was converted the file does not say" in said and "nothing was assumed" not in said


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"settings": 3, "notes": "x"},
        {"settings": {"a": 1, "b": None}, "notes": [1, None]},
        {"settings": {"a" * 999: "1 (assumed)" * 999}, "notes": ["n" * 10**6] * 3},
    ],
)
def test_a_header_can_hold_anything(provenance):
    for line in remarks(None, provenance):
        assert len(line) < MOST_CHARACTERS + 300


def test_the_generate_tab_shows_them_with_the_model(saved, tmp_path):
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    known = studio.open(convert(saved("diffusers", "default"), tmp_path / "known.safetensors"))
    guessed = studio.open(saved("openai", "adm", configured=False))
    name = studio.open(convert(saved("openai", "lsun", configured=False), tmp_path / "<b>.safetensors"))
    with gr.Blocks():
        controls = RecipeControls(studio)
        render_outside_drawer(controls)
        controls.render_rest()
    assert controls.remarks in controls.outputs()
    for model, there in ((known, False), (guessed, True), (name, True)):
        shown = controls.show(studio.recipe(model))[controls.remarks]
        assert shown["visible"] is there and ("it is assumed" in shown["value"]) is there
    assert "&#x27;inspect&#x27;" in shown["value"]
