"""Other programs' checkpoints against what those programs computed: see make_golden.py for the oracles'
origin.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.convert import convert
from diffusion_studio.errors import CheckpointError
from diffusion_studio.runs.guidance_builder import limited

from .conftest import STORED, golden, outputs

CASES = [
    (layout, name.removesuffix(".about"))
    for layout, stored in STORED.items()
    for name in stored
    if name.endswith(".about")
]


@pytest.mark.parametrize("layout, name", CASES)
def test_outputs_are_those_of_the_original(saved, layout, name):
    """Measured: at most 5e-6, of outputs up to 3."""
    assert outputs(ds.load(saved(layout, name), "cpu", "fp32"), name, STORED[layout]) < 1e-5


@pytest.mark.parametrize("layout, name", CASES)
def test_ten_steps_are_those_of_the_original(saved, layout, name):
    """With the defaults that the file's origin says: schedule, parametrization, variance, clipping,
    spacing.
    """
    model = ds.load(saved(layout, name), "cpu", "fp32")
    recipe = ds.Recipe.from_settings(
        {key: value for key, value in {**model.spec.defaults, "label": None}.items()}
    )
    x = torch.from_numpy(golden.normal("x", golden.BATCH, *model.shape))
    denoise = model.denoiser(golden.LABELS if model.spec.labels else None)
    run = ds.sample(
        recipe.sampler,
        limited(denoise, recipe, model.spec),
        x,
        ds.path(model.schedule, golden.STEPS, recipe.spacing),
        lambda k: torch.from_numpy(golden.normal(f"noise {k}", golden.BATCH, *model.shape)),
    )
    *_, last = run
    wanted = STORED[layout][f"{name}.sampled"]
    assert np.mean(np.abs(wanted) < 0.999) > 0.2  # not all of it at the clip
    assert np.abs(last.x.numpy() - wanted).max() / max(np.abs(wanted).max(), 1) < 1e-4


# What shapes cannot tell, by layout; everything else comes back without any configuration.
UNKNOWABLE = {
    "diffusers": {
        "head_channels",
        "heads",
        "downsample_padding",
        "norm_groups",
        "norm_eps",
        "time_order",
        "time_shift",
        "middle_groups",
        "middle_scale",
        "center_input",
    },
    "openai": {"heads", "head_channels", "time_scale"},
    "ddpm": set(),
}


@pytest.mark.parametrize("layout, name", CASES)
def test_the_configuration_comes_back_from_the_shapes(saved, layout, name):
    wanted = checkpoint.inspect(saved(layout, name)).spec.network.to_json()
    (saved(layout, name) / "args.json").unlink(missing_ok=True)
    for file in ("config.json", "scheduler_config.json"):
        (saved(layout, name, configured=False) / file).unlink(missing_ok=True)
    found = checkpoint.inspect(saved(layout, name, configured=False))
    inferred = found.spec.network.to_json()
    assert {key for key in wanted if inferred[key] != wanted[key]} <= UNKNOWABLE[layout]
    sources = {fact.name: fact.source for fact in found.found.facts}
    assert "file's config" not in sources.values() and "inferred from shapes" in sources.values()


# ---- diffusers
# -----------------------------------------------------------------------------------------------------

OLD = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))


def old_name(key: str) -> str:
    for new, old in OLD:
        key = key.replace(f".{new}.", f".{old}.")
    return key


def test_old_attention_names_are_read(saved):
    folder = saved("diffusers", "everywhere", rename=old_name)
    assert outputs(ds.load(folder, "cpu", "fp32"), "everywhere", STORED["diffusers"]) < 1e-5


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "ema_model.", "unet.module."])
def test_wrapped_names_are_read(saved, prefix):
    folder = saved("diffusers", "default", rename=lambda key: prefix + key)
    assert outputs(ds.load(folder, "cpu", "fp32"), "default", STORED["diffusers"]) < 1e-5


def test_a_nested_folder_and_a_lone_file_are_the_flat_folder(saved, tmp_path):
    flat = saved("diffusers", "google")
    wanted = checkpoint.inspect(flat).spec
    nested = tmp_path / "pipeline"
    (nested / "unet").mkdir(parents=True)
    (nested / "scheduler").mkdir()
    for file in ("config.json", "diffusion_pytorch_model.safetensors"):
        (nested / "unet" / file).write_bytes((flat / file).read_bytes())
    (nested / "scheduler" / "scheduler_config.json").write_bytes(
        (flat / "scheduler_config.json").read_bytes()
    )
    assert dataclasses.replace(checkpoint.inspect(nested).spec, name="google") == wanted
    assert checkpoint.inspect(nested).spec.name == "pipeline"
    assert checkpoint.inspect(flat / "diffusion_pytorch_model.safetensors").spec == wanted


def test_the_scheduler_gives_the_recipes_defaults(saved):
    spec = checkpoint.inspect(saved("diffusers", "google")).spec
    assert dict(spec.defaults) == {
        "sampler": {"name": "ddpm", "variance": "large"},
        "spacing": "leading",
        "clip": True,
        "steps": 250,
    }
    spec = checkpoint.inspect(saved("diffusers", "everywhere")).spec
    assert spec.parametrization == "v" and spec.defaults["spacing"]["timestep_spacing"] == "trailing"
    folder = saved("diffusers", "default")
    (folder / "scheduler_config.json").write_text(
        '{"_class_name": "DDIMScheduler", "clip_sample": false, "rescale_betas_zero_snr": '
        'true, "prediction_type": "v_prediction", "new_key_of_2030": [1]}'
    )
    spec = checkpoint.inspect(folder).spec
    assert spec.defaults["sampler"] == {"name": "ddim"} and spec.defaults["clip"] is False
    assert spec.schedule.level(999).alpha == pytest.approx(0, abs=1e-7)


def test_a_setting_left_out_is_not_a_setting_that_is_null(saved):
    """A missing attention_head_dim means 8 channels a head; null means one head."""
    folder = saved("diffusers", "google")
    given = json.loads((folder / "config.json").read_text())
    assert checkpoint.inspect(folder).spec.network.head_channels is None
    del given["attention_head_dim"]
    (folder / "config.json").write_text(json.dumps(given))
    assert checkpoint.inspect(folder).spec.network.head_channels == 8


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"block_out_channels": [8, 24]},
            r"file's config says block_out_channels = \[8, 24\], but the shapes of the weights say \[8, 16\]",
        ),
        ({"down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"]}, "down_block_types"),
        ({"act_fn": "mish"}, "has the activation 'mish'"),
        ({"sample_size": [8, 16]}, "only square ones"),
        ({"norm_eps": "small"}, "norm_eps must be a finite number"),
        ({"attention_head_dim": 5}, "do not divide into heads of 5"),
        ({"sample_size": 7}, "multiples of 2"),
        ({"time_embedding_type": "fourier"}, "NCSN"),
        ({"norm_num_groups": 3}, "norm_num_groups = 3 does not divide the 8 channels of a level"),
        ({"attn_norm_num_groups": 3}, "attn_norm_num_groups = 3 does not divide the 16 channels"),
    ],
)
def test_a_configuration_that_does_not_fit(saved, change, message):
    folder = saved("diffusers", "default")
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, **change}))
    with pytest.raises(CheckpointError, match=message):
        ds.load(folder)


@pytest.mark.parametrize(
    "text, message", [("{", "is not JSON"), ("[1]", "holds no JSON object"), ("[" * 100_000, "is not JSON")]
)
def test_a_configuration_that_is_none(saved, text, message):
    folder = saved("diffusers", "default")
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.inspect(folder)


@pytest.mark.parametrize(
    "kind, message",
    [
        ("FlowMatchEulerDiscrete", "FlowMatchEulerDiscreteScheduler, which is not a process of betas"),
        ("Newest", "NewestScheduler, which is not known here.*give the flag beta_schedule"),
    ],
)
def test_a_scheduler_that_cannot_be_followed_is_named(saved, kind, message):
    folder = saved("diffusers", "default")
    (folder / "scheduler_config.json").write_text(json.dumps({"_class_name": f"{kind}Scheduler"}))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.inspect(folder)


def test_a_configuration_may_begin_with_a_mark_of_its_encoding(saved):
    """ThilinaRajapakse/simpletransformers#1169: editors of Windows write a BOM."""
    folder = saved("diffusers", "default")
    wanted = checkpoint.inspect(folder)
    for name in ("config.json", "scheduler_config.json"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert checkpoint.inspect(folder).spec == wanted.spec


def test_a_size_that_is_null_is_assumed_and_said(saved):
    """huggingface/diffusers#10139: sample_size is not always a number."""
    folder = saved("diffusers", "default")
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, "sample_size": None}))
    found = checkpoint.inspect(folder).found
    assert [(one.value, one.source) for one in found.facts if one.name == "sample_size"] == [(32, "assumed")]
    with pytest.warns(ds.CheckpointWarning, match="assumed: sample_size 32"):
        ds.load(folder)


def test_weights_in_double_precision_are_read_and_converted(saved, tmp_path):
    folder = saved("diffusers", "default")
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({key: value.double() for key, value in load_file(path).items()}, path)
    assert outputs(ds.load(folder, "cpu", "fp32"), "default", STORED["diffusers"]) < 1e-5
    made = convert(folder, tmp_path / "native.safetensors")
    assert {value.dtype for value in load_file(made).values()} == {torch.float32}
    assert outputs(ds.load(made, "cpu", "fp32"), "default", STORED["diffusers"]) < 1e-5


def test_half_precision_weights_are_read(saved):
    folder = saved("diffusers", "default")
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    assert outputs(ds.load(folder, "cpu", "fp32"), "default", STORED["diffusers"]) < 1e-2


# ---- the diffusion course's network
# --------------------------------------------------------------------------------


def test_the_courses_network_runs_from_its_state_dict_alone(saved, tmp_path):
    """The notebook saves no configuration: MNIST's size and its scheduler are taken, and said."""
    folder = saved("diffusers", "course", configured=False)
    seen = checkpoint.inspect(folder)
    assert seen.spec.shape == (1, 28, 28) and seen.spec.labels == tuple(f"class {k}" for k in range(5))
    assert isinstance(seen.spec.schedule, ds.SCHEDULES["cosine"]) and seen.spec.schedule.timesteps == 1000
    assert any("Hugging Face's diffusion course" in note for note in seen.found.notes)
    sources = {fact.name: fact.source for fact in seen.found.facts}
    assert sources["beta_schedule"] == "preset diffusion course" and sources["sample_size"] == "assumed"
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    found = studio.run(studio.recipe(studio.open(folder), steps=2, label="class 3", seeds=(0, 1, 2))).images
    assert found.shape == (3, 28, 28, 1)


def test_a_table_of_classes_without_room_for_it_is_refused(saved):
    folder = saved("diffusers", "course")
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    save_file(
        {key.removeprefix("model."): value for key, value in state.items() if key != "class_emb.weight"}, path
    )
    with pytest.raises(
        CheckpointError, match="takes 5 channels and gives 1: it needs a further input besides the picture"
    ):
        checkpoint.inspect(folder)
    save_file({**state, "class_emb.weight": torch.zeros(5, 3)}, path)
    with pytest.raises(CheckpointError, match="takes 5 channels and gives 1"):
        checkpoint.inspect(folder)
