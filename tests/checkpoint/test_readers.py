"""Other programs' checkpoints against what those programs computed: see make_golden.py for the oracles' origin."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.diffusion.guidance import clamped
from diffusion_studio.errors import CheckpointError, OptionError

_FOUND = importlib.util.spec_from_file_location("make_reader_golden", Path(__file__).with_name("make_golden.py"))
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)

STORED = {layout: np.load(golden.HERE / f"golden_{layout}.npz") for layout in golden.LAYOUTS}
CASES = [(layout, name.removesuffix(".about")) for layout, stored in STORED.items() for name in stored if name.endswith(".about")]


def outputs(model, name: str, stored) -> float:
    """The largest |difference| from the original's outputs at any of the timesteps."""
    x = torch.from_numpy(golden.normal("x", golden.BATCH, model.spec.channels, golden.SIZE, golden.SIZE))
    label = torch.tensor(golden.LABELS) if model.spec.labels else None
    worst = 0.0
    for t in golden.TIMES:
        with torch.no_grad():
            # OpenAI's network is called with what its process feeds it; ours does that itself
            found = model.network(x, torch.full((golden.BATCH,), t / model.spec.network.time_scale), label)
        worst = max(worst, float(np.abs(found.numpy() - stored[f"{name}.t{t:g}"]).max()))
    return worst


@pytest.mark.parametrize("layout, name", CASES)
def test_outputs_are_those_of_the_original(saved, layout, name):
    """Measured: at most 5e-6, of outputs up to 3."""
    assert outputs(ds.load(saved(layout, name), "cpu", "fp32"), name, STORED[layout]) < 1e-5


@pytest.mark.parametrize("layout, name", CASES)
def test_ten_steps_are_those_of_the_original(saved, layout, name):
    """With the defaults that the file's origin says: schedule, parametrization, variance, clipping, spacing."""
    model = ds.load(saved(layout, name), "cpu", "fp32")
    recipe = ds.Recipe.from_settings({key: value for key, value in {**model.spec.defaults, "label": None}.items()})
    x = torch.from_numpy(golden.normal("x", golden.BATCH, *model.shape))
    denoise = model.denoiser(golden.LABELS if model.spec.labels else None)
    run = ds.sample(recipe.sampler, clamped(denoise) if recipe.clip else denoise, x,
                    ds.path(model.schedule, golden.STEPS, recipe.spacing),
                    lambda k: torch.from_numpy(golden.normal(f"noise {k}", golden.BATCH, *model.shape)))
    *_, last = run
    wanted = STORED[layout][f"{name}.sampled"]
    assert np.mean(np.abs(wanted) < 0.999) > 0.2                            # not all of it at the clip
    assert np.abs(last.x.numpy() - wanted).max() / max(np.abs(wanted).max(), 1) < 1e-4


# What shapes cannot tell, by layout; everything else comes back without any configuration.
UNKNOWABLE = {
    "diffusers": {"head_channels", "heads", "downsample_padding", "norm_groups", "norm_eps", "time_order", "time_shift",
                  "middle_groups", "middle_scale", "center_input"},
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


def test_golden_files_are_small():
    assert sum(file.stat().st_size for file in golden.HERE.glob("golden_*.npz")) < 2_000_000


# ---- diffusers -----------------------------------------------------------------------------------------------------

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
    (nested / "scheduler" / "scheduler_config.json").write_bytes((flat / "scheduler_config.json").read_bytes())
    assert dataclasses.replace(checkpoint.inspect(nested).spec, name="google") == wanted
    assert checkpoint.inspect(nested).spec.name == "pipeline"
    assert checkpoint.inspect(flat / "diffusion_pytorch_model.safetensors").spec == wanted


def test_the_scheduler_gives_the_recipes_defaults(saved):
    spec = checkpoint.inspect(saved("diffusers", "google")).spec
    assert dict(spec.defaults) == {"sampler": {"name": "ddpm", "variance": "large"}, "spacing": "leading", "clip": True, "steps": 250}
    spec = checkpoint.inspect(saved("diffusers", "everywhere")).spec
    assert spec.parametrization == "v" and spec.defaults["spacing"] == "trailing"
    folder = saved("diffusers", "default")
    (folder / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler", "clip_sample": false, "rescale_betas_zero_snr": '
                                                  'true, "prediction_type": "v_prediction", "new_key_of_2030": [1]}')
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


@pytest.mark.parametrize("change, message", [
    ({"block_out_channels": [8, 24]}, r"file's config says block_out_channels = \[8, 24\], but the shapes of the weights say \[8, 16\]"),
    ({"down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"]}, "down_block_types"),
    ({"act_fn": "mish"}, "activation is 'mish'"),
    ({"sample_size": [8, 16]}, "only square ones"),
    ({"norm_eps": "small"}, "norm_eps must be a finite number"),
    ({"attention_head_dim": 5}, "do not divide into heads of 5"),
    ({"sample_size": 7}, "multiples of 2"),
    ({"time_embedding_type": "fourier"}, "NCSN"),
])
def test_a_configuration_that_does_not_fit(saved, change, message):
    folder = saved("diffusers", "default")
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, **change}))
    with pytest.raises(CheckpointError, match=message):
        ds.load(folder)


@pytest.mark.parametrize("text, message", [("{", "is not JSON"), ("[1]", "holds no JSON object"), ("[" * 100_000, "is not JSON")])
def test_a_configuration_that_is_none(saved, text, message):
    folder = saved("diffusers", "default")
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.inspect(folder)


def test_a_consistency_model_is_said_to_be_one(saved):
    folder = saved("diffusers", "default")
    (folder / "scheduler_config.json").write_text('{"_class_name": "CMStochasticIterativeScheduler"}')
    with pytest.raises(CheckpointError, match="CMStochasticIterativeScheduler, which is not a process of betas"):
        checkpoint.inspect(folder)


# ---- OpenAI --------------------------------------------------------------------------------------------------------

def test_the_order_of_qkv_matters_and_flags_give_it(saved):
    folder = saved("openai", "adm-new-order", configured=False)
    flags = golden.OPENAI["adm-new-order"][1]
    assert outputs(ds.load(folder, "cpu", "fp32", flags=flags), "adm-new-order", STORED["openai"]) < 1e-5
    wrong = ds.load(folder, "cpu", "fp32", flags={**flags, "use_new_attention_order": False})
    assert outputs(wrong, "adm-new-order", STORED["openai"]) > 1e-2


def test_flags_as_a_readme_gives_them(saved):
    from diffusion_studio.checkpoint.facts import parse_flags

    text = ("--attention_resolutions 32,16,4 --class_cond True --diffusion_steps 1000 --dropout 0.1 --image_size 8 --learn_sigma True "
            "--noise_schedule=cosine --num_channels 32 --num_head_channels 16 --num_res_blocks 1 --resblock_updown True "
            "--use_new_attention_order --use_fp16 True --use_scale_shift_norm True --channel_mult 1,2 --timestep_respacing ddim25")
    spec = checkpoint.inspect(saved("openai", "adm", configured=False), parse_flags(text)).spec
    assert spec.network.head_channels == 16 and spec.network.attention_levels == (1,) and spec.image_size == 8
    assert isinstance(spec.schedule, ds.SCHEDULES["cosine"]) and spec.defaults["sampler"] == {"name": "ddim"}
    assert spec.defaults["steps"] == 25 and spec.learned_variance and len(spec.labels) == 5


@pytest.mark.parametrize("flags, error, message", [
    ({"num_chanels": 32}, OptionError, "There is no flag of the layout openai 'num_chanels'.*Did you mean 'num_channels'"),
    ({"num_channels": 64}, CheckpointError, "flag says num_channels = 64, but the shapes of the weights say 32"),
    ({"attention_resolutions": "8", "image_size": 8}, CheckpointError, r"shapes of the weights say \[4\] for pictures 8 wide"),
    ({"channel_mult": "1,2,4"}, CheckpointError, r"shapes of the weights say \[1, 2\]"),
    ({"channel_mult": "one"}, OptionError, "list of numbers with commas"),
    ({"num_heads": 3}, OptionError, "do not divide into 3 heads"),
    ({"num_heads": "many"}, OptionError, "num_heads must be a whole number"),
    ({"noise_schedule": "sqrt"}, OptionError, "Choose one of: linear, cosine"),
    ({"diffusion_steps": 0}, OptionError, "at least 1, got 0"),
])
def test_flags_that_do_not_fit(saved, flags, error, message):
    with pytest.raises(error, match=message):
        checkpoint.inspect(saved("openai", "lsun" if "image" in flags else "adm", configured=False) if "image_size" not in flags
                           else saved("openai", "adm", configured=False), flags)


def test_a_published_file_is_known_by_its_shapes(tmp_path):
    """CIFAR-10 of Improved DDPM: 4 heads, cosine, 4000 timesteps, rescaled; said to come from the table."""
    from diffusion_studio.checkpoint import openai

    name, flags = openai._preset("cifar10_uncond_50M_500K", (128, 3, (1, 2, 2, 2), False, False))
    assert name == "cifar10_uncond by name and shapes" and flags["diffusion_steps"] == 4000
    name, flags = openai._preset("model", (192, 3, (1, 2, 3, 4), True, True))
    assert name == "64x64_diffusion by shapes" and flags["use_new_attention_order"] is True
    assert openai._preset("model", (192, 3, (1, 2), True, True)) == ("", {})


# ---- files that are none of these ----------------------------------------------------------------------------------

def write(path: Path, *names_and_shapes) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in names_and_shapes}, path)
    return path


def test_no_reader_fits(tmp_path):
    path = write(tmp_path / "odd.safetensors", ("blocks.0.linear.weight", (4, 3)), ("blocks.0.linear.bias", (4,)),
                 ("blocks.1.linear.weight", (4, 3)), ("blocks.1.linear.bias", (4,)), ("head", (2, 4)))
    with pytest.raises(CheckpointError) as caught:
        ds.load(path)
    said = str(caught.value)
    for name, reader in checkpoint.READERS.items():
        assert f"{name} ({reader.title}) looks for {', '.join(reader.sentinels)}; not there: {', '.join(reader.sentinels)}" in said
    assert "blocks\n  0..1\n    linear: bias [4], weight [4, 3]" in said.replace("\t", "  ") and "head [2, 4]" in said


@pytest.mark.parametrize("names, said", [
    ([("unet.lora_down.weight", (4, 8))], "It is a LoRA"),
    ([("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", (4, 4))], "text-to-image U-Net of latent diffusion"),
    ([("encoder.conv_in.weight", (8, 3, 3, 3)), ("quant_conv.weight", (8, 8, 1, 1))], "an autoencoder"),
    ([("conv_in.weight", (8, 4, 3, 3))], "Its input has 4 channels: it works on an autoencoder's codes"),
    ([("conv_in.weight", (8, 6, 3, 3))], "given a picture besides the noise"),
    ([("x_embedder.proj.weight", (8, 3, 2, 2))], "diffusion transformer"),
])
def test_a_stranger_is_said_to_be_what_it_is(tmp_path, names, said):
    with pytest.raises(CheckpointError, match=said):
        checkpoint.inspect(write(tmp_path / "model.safetensors", *names))


@pytest.mark.parametrize("content, said", [
    (b"", "it is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer.*git lfs pull"),
    (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"), (b"PK\x03\x04" + b"\0" * 50, "zip archive"),
    (b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01.", "it is a pickle"), (b"GGUF" + b"\0" * 50, "GGUF"),
    ((2_000_000_000).to_bytes(8, "little") + b'{"a":', "its header claims 2,000,000,000 bytes"),
    ((50).to_bytes(8, "little") + b'{"a":', "cut short"), (b"no weights at all", "not a whole safetensors file"),
], ids=["empty", "lfs", "html", "zip", "pickle", "gguf", "huge header", "cut", "text"])
def test_what_is_no_safetensors_file(tmp_path, content, said):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        ds.load(path)


def header(tensors: dict) -> bytes:
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


def test_overlapping_tensors_and_too_many_are_refused(tmp_path):
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    path = tmp_path / "model.safetensors"
    path.write_bytes(header({"a": one, "b": one}) + b"\0" * 8)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        ds.load(path)
    path.write_bytes(header({f"t{k}": {"dtype": "U8", "shape": [1], "data_offsets": [k, k + 1]} for k in range(100_000)}) + b"\0" * 100_000)
    with pytest.raises(CheckpointError, match="holds 100,000 tensors"):
        ds.load(path)


def test_names_with_path_parts_are_only_names(tmp_path):
    with pytest.raises(CheckpointError, match="in no layout that is known"):
        checkpoint.inspect(write(tmp_path / "m.safetensors", ("../../etc/passwd", (1,)), ("a/b", (1,))))


def test_folders_that_hold_none_several_or_pickles(tmp_path):
    with pytest.raises(CheckpointError, match="There is no weight file at .*model.safetensors, nor at"):
        ds.load(tmp_path)
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="only a pickle, diffusion_pytorch_model.bin.*diffusion-studio convert"):
        ds.load(tmp_path)
    for name in "abc":
        write(tmp_path / f"{name}.safetensors", ("w", (1,)))
    with pytest.raises(CheckpointError, match="3 weight files .a.safetensors, b.safetensors, c.safetensors.. Name the one"):
        ds.load(tmp_path)


@pytest.mark.parametrize("layout, name", [("diffusers", "default"), ("openai", "adm"), ("ddpm", "cifar-like")])
def test_a_missing_a_surplus_and_a_misshapen_tensor(saved, layout, name):
    folder = saved(layout, name)
    path = folder / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file
    state = load_file(path)
    key = next(key for key in state if key.endswith(("norm2.weight", "out_layers.0.weight")))
    for changed, said in (({**state, "extra.weight": torch.zeros(2)}, "not in the network extra.weight"),
                          ({k: v for k, v in state.items() if k != key}, f"missing .*{key}"),
                          ({**state, key: torch.zeros(3)}, f"{key} is .3,.; the network"),
                          ({**state, key: state[key].to(torch.int8)}, f"{key} is I8")):
        save_file(changed, path)
        with pytest.raises(CheckpointError, match=said):
            ds.load(folder)


def test_half_precision_weights_are_read(saved):
    folder = saved("diffusers", "default")
    path = folder / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    assert outputs(ds.load(folder, "cpu", "fp32"), "default", STORED["diffusers"]) < 1e-2
