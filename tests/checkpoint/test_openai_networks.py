"""OpenAI's networks that enlarge or classify, against what their own program computed.

make_golden_scores.py says where the stored outputs come from.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from score_cases import STORED, cases, golden, x_of

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.convert import convert
from diffusion_studio.diffusion.guidance import clamped
from diffusion_studio.errors import CheckpointError, OptionError

# --- OpenAI's networks that enlarge


def small_of(model) -> torch.Tensor:
    return torch.from_numpy(
        golden.normal("low_res", golden.BATCH, model.spec.channels, golden.SMALL, golden.SMALL)
    )


@pytest.mark.parametrize("layout, name", cases("openai_enlarging"))
def test_enlarging_networks(stored, layout, name):
    """Outputs at several times, and ten steps of the original's sampler; measured: 4e-6 and 1e-5."""
    model = ds.load(stored(layout, name), "cpu", "fp32")
    assert model.spec.low_res == golden.SMALL and model.spec.image_size == golden.SIZE
    labels = golden.LABELS if model.spec.labels else None
    beside = model.denoiser(labels, low_res=small_of(model)).given.low_res
    x, label = x_of(model.spec.channels), torch.tensor(labels) if labels else None
    for t in golden.TIMES:
        with torch.no_grad():
            found = model.network(torch.cat([x, beside], 1), torch.full((golden.BATCH,), t), label).numpy()
        assert np.abs(found - STORED[layout][f"{name}.t{t:g}"]).max() < 1e-5
    recipe = ds.Recipe.from_settings({**model.spec.defaults, "label": None})
    levels = ds.path(model.schedule, golden.STEPS, recipe.spacing)
    noise = lambda k: torch.from_numpy(golden.normal(f"noise {k}", golden.BATCH, *model.shape))
    *_, last = ds.sample(
        recipe.sampler, clamped(model.denoiser(labels, low_res=small_of(model))), x, levels, noise
    )
    wanted = STORED[layout][f"{name}.sampled"]
    assert np.mean(np.abs(wanted) < 0.999) > 0.2 and np.abs(last.x.numpy() - wanted).max() < 1e-4


def test_an_enlarging_network_is_told_by_its_shapes(stored):
    """Only sizes, heads, order and process are open; published files are known by their shapes."""
    from diffusion_studio.checkpoint import openai

    told = checkpoint.inspect(stored("openai_enlarging", "adm")).spec
    bare = checkpoint.inspect(stored("openai_enlarging", "adm", configured=False))
    assert (bare.spec.low_res, bare.spec.image_size) == (4, 16)
    assert {one.name for one in bare.found.facts if one.source == "assumed"} >= {
        "large_size",
        "small_size",
        "num_heads",
    }
    assert bare.spec.network == told.network
    assert "enlarged from 4x4" in checkpoint.as_text(bare)
    name, flags = openai._preset("128_512_upsampler", (192, 2, (1, 1, 2, 2, 4, 4), True, True, (4, 5)))
    assert name == "128_512_upsampler by name and shapes" and flags["small_size"] == 128
    assert (
        openai._preset("m", (192, 2, (1, 1, 2, 2, 4, 4), True, True, (3, 4, 5)))[0]
        == "64_256_upsampler by shapes"
    )


# --- OpenAI's classifiers


@pytest.mark.parametrize("name", [name for _, name in cases("openai_classifier")])
def test_classifiers(stored, name):
    """Logits at several times; measured: at most 3e-6."""
    classifier = ds.load_classifier(stored("openai_classifier", name), "cpu")
    x = x_of(classifier.spec.network.in_channels)
    for t in golden.TIMES:
        with torch.no_grad():
            found = classifier.network(x, torch.full((golden.BATCH,), t)).numpy()
        assert np.abs(found - STORED["openai_classifier"][f"{name}.t{t:g}"]).max() < 1e-5


@pytest.mark.parametrize("name", [name for _, name in cases("openai_classifier")])
def test_a_classifier_is_told_by_its_shapes(stored, name):
    told = checkpoint.inspect(stored("openai_classifier", name)).spec
    flags = {"num_head_channels": told.network.head_channels}
    found = checkpoint.inspect(
        stored("openai_classifier", name, configured=False) / "diffusion_pytorch_model.safetensors", flags
    )
    assert found.spec.network == told.network
    bare = checkpoint.inspect(stored("openai_classifier", name, configured=False))
    assumed = {one.name: one.value for one in bare.found.facts if one.source == "assumed"}
    assert assumed.keys() == {
        "num_head_channels",
        "use_new_attention_order",
        "diffusion_steps",
        "noise_schedule",
        "rescale_timesteps",
    }
    assert assumed["num_head_channels"] == (
        64
        if min(bare.spec.network.body.widths[k] for k in (*bare.spec.network.attention_levels, -1)) == 64
        else 32
    )


def test_a_classifier_converts_to_the_same_bits_and_is_said_to_be_one(stored, tmp_path):
    folder = stored("openai_classifier", "adm")
    before = ds.load_classifier(folder, "cpu")
    out = convert(folder, tmp_path / "classifier.safetensors")
    after = ds.load_classifier(out, "cpu")
    x, level = x_of(3), before.spec.schedule.level(400)
    assert torch.equal(before.logits(x, level), after.logits(x, level))
    assert after.spec.provenance["layout"] == "openai-classifier"
    for path in (folder, out):
        text = checkpoint.as_text(checkpoint.inspect(path))
        assert "pictures: 8x8 RGB, 5 classes" in text and "tells the class" in text
        with pytest.raises(
            CheckpointError, match="is a noisy classifier.*draws nothing itself.*ds.load_classifier"
        ):
            ds.load(path)
    with pytest.raises(CheckpointError, match="is a diffusion model, not a noisy classifier"):
        ds.load_classifier(stored("openai_enlarging", "grey"), "cpu")
    with pytest.raises(CheckpointError, match="is a noisy classifier"):
        ds.Studio(tmp_path / "none").open(folder)


def test_classifier_flags_that_do_not_fit(stored):
    folder = stored("openai_classifier", "adm")
    for flags, error, message in (
        (
            {"classifier_width": 64},
            CheckpointError,
            "flag says classifier_width = 64, but the shapes of the weights say 32",
        ),
        ({"classifier_attention_resolutions": "2"}, CheckpointError, r"shapes of the weights say \[8, 4\]"),
        (
            {"classifier_heads": 4},
            OptionError,
            "There is no flag of the layout openai-classifier 'classifier_heads'",
        ),
        ({"diffusion_steps": 0}, OptionError, "from 1 to 100,000, got 0"),
    ):
        with pytest.raises(error, match=message):
            checkpoint.inspect(folder, flags)
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    for key in ("input_blocks.3.0.in_layers.2.weight", "out.2.c_proj.weight"):
        save_file({name: value for name, value in state.items() if name != key}, path)
        with pytest.raises(CheckpointError, match="lacks the tensor|cut short"):
            ds.load_classifier(folder)
