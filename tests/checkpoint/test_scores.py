"""Networks of score-based models, EDM's and diffusers' NCSN++, against what their own programs computed.

make_golden_scores.py says where the stored outputs come from.
"""

from __future__ import annotations

import dataclasses
import json
import zlib

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

# --- EDM


def edm_about(name: str) -> dict:
    return json.loads(zlib.decompress(STORED["edm"][f"{name}.about"].tobytes()))


@pytest.mark.parametrize("name", [name for _, name in cases("edm")])
def test_edm_outputs(stored, name):
    """Measured: at most 3e-6. A network of VE says -eps to its own program and eps here."""
    model, kind = ds.load(stored("edm", name), "cpu", "fp32"), golden.EDM[name][0]
    x = x_of(model.spec.channels)
    label = torch.tensor(golden.LABELS) if model.spec.labels else None
    for t in golden.LABELS_OF[kind]:
        with torch.no_grad():
            found = model.network(x, torch.full((golden.BATCH,), t), label).numpy()
        wanted = STORED["edm"][f"{name}.t{t:g}"]
        assert np.abs(found - (-wanted if kind == "ve" else wanted)).max() < 1e-5


@pytest.mark.parametrize(
    "name, what",
    [
        (name, what)
        for _, name in cases("edm")
        for what in ("sampled", "churned")
        if f"{name}.{what}" in STORED["edm"]
    ],
)
def test_ten_steps_of_edms_sampler(stored, name, what):
    """Algorithm 2 of the paper, with and without churn, in float64 but for the network, as the original has
    it.

    Processes with alpha below 1 are run in their own scale here and in that of alpha = 1 there.
    """
    model = ds.load(stored("edm", name), "cpu", "fp32")
    recipe = ds.Recipe.from_settings({**model.spec.defaults, "label": None})
    assert (
        recipe.sampler == ds.SAMPLERS["heun"]()
        and recipe.spacing == ds.SPACINGS["karras"](rho=7.0)
        and not recipe.clip
    )
    spacing = recipe.spacing
    if visited := edm_about(name).get("visited"):
        spacing = ds.SPACINGS["timesteps"](timesteps=",".join(map(str, visited)))
    levels = ds.Levels(ds.path(model.schedule, golden.STEPS, spacing), model.schedule)
    churn = {"churn": 20.0, "s_tmin": 0.05, "s_tmax": 40.0, "s_noise": 1.003} if what == "churned" else {}
    noise = lambda k: torch.from_numpy(golden.normal(f"noise {k}", golden.BATCH, *model.shape)).double()
    denoise = model.denoiser(golden.LABELS if model.spec.labels else None)
    *_, last = ds.sample(
        ds.SAMPLERS["heun"](**churn),
        denoise,
        levels[0].sigma * x_of(model.spec.channels).double(),
        levels,
        noise,
    )
    wanted = STORED["edm"][f"{name}.{what}"]
    assert np.abs(last.x.numpy() - wanted).max() / max(np.abs(wanted).max(), 1) < 1e-4


@pytest.mark.parametrize("name", [name for _, name in cases("edm")])
def test_an_edm_network_is_told_by_its_names_and_shapes(stored, name):
    """All but the preconditioning and its constants."""
    told = checkpoint.inspect(stored("edm", name)).spec
    bare = checkpoint.inspect(stored("edm", name, configured=False))
    open_ = {one.name for one in bare.found.facts if one.source == "assumed"}
    assert open_ <= {"precond", "sigma_min", "sigma_max", "sigma_data", "M", "C_1", "C_2", "null_class"}
    kind = golden.EDM[name][0]
    given = checkpoint.inspect(stored("edm", name, configured=False), {"precond": kind}).spec
    assert given.network == told.network
    assert bare.spec.parametrization == ("eps" if kind == "iddpm" else "edm")
    assert not bare.missing and not bare.surplus
    assert any("augmentation labels are left out" in note for note in bare.found.notes) == (
        "augment_dim" in golden.EDM[name][1]
    )


def test_edm_converts_to_the_same_bits(stored, tmp_path):
    for name in ("ncsnpp-ve", "ddpmpp-edm"):
        before = ds.load(folder := stored("edm", name), "cpu", "fp32")
        after = ds.load(convert(folder, tmp_path / f"{name}.safetensors"), "cpu", "fp32")
        labels = golden.LABELS if before.spec.labels else None
        level = before.schedule.level(before.schedule.timestep(1.0))
        x = x_of(3)
        assert torch.equal(before.denoiser(labels)(x, level).x0, after.denoiser(labels)(x, level).x0)
        assert after.spec.schedule == before.spec.schedule and after.spec.network == before.spec.network


def test_no_label_is_zeros_for_edm(stored):
    """What the original's networks take for "any": zeros where the label would be."""
    for name in ("ddpmpp-edm", "adm-edm"):
        model = ds.load(stored("edm", name), "cpu", "fp32", flags={"null_class": True, "label_dim": 5})
        weights = golden.formula_weights(edm_about(name)["shapes"])
        table = model.network.label.weight.numpy()
        assert model.spec.network.classes == 5 and table.shape[0] == 6
        assert np.abs(table[5] - weights.get("model.map_label.bias", 0)).max() == 0
        scale = 5**0.5 if "model.map_label.bias" in weights else 1
        assert np.abs(table[:5] - table[5] - scale * weights["model.map_label.weight"].T).max() < 1e-6


@pytest.mark.parametrize(
    "flags, error, message",
    [
        ({"precond": "edm2"}, OptionError, "Choose one of: vp, ve, iddpm, edm"),
        (
            {"precond": "iddpm"},
            CheckpointError,
            "needs a network with twice as many output channels.*this one has as many",
        ),
        ({"precond": "vp", "M": 1}, OptionError, "M must be the timesteps of training"),
        (
            {"attn_resolutions": "8"},
            CheckpointError,
            r"attn_resolutions = .8., but the shapes of the weights say \[4, 8\]|\[8, 4\]",
        ),
        ({"encoder_type": "residual"}, CheckpointError, "the shapes of the weights say 'standard'"),
        ({"cbase": 24}, CheckpointError, "flag says cbase = 24, but the shapes of the weights say"),
        ({"cbas": 16}, OptionError, "There is no flag of the layout edm 'cbas'"),
    ],
)
def test_edm_flags_that_do_not_fit(stored, flags, error, message):
    with pytest.raises(error, match=message):
        checkpoint.inspect(stored("edm", "ddpmpp-vp", configured=False), flags)


def test_an_edm_file_that_is_cut_short(stored):
    folder = stored("edm", "ncsnpp-ve")
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    for key, message in (
        ("model.enc.8x8_conv.weight", "no first convolution"),
        ("model.enc.8x8_block0.norm0.weight", "no blocks at 8x8"),
        ("model.dec.4x4_up.skip.weight", "missing dec.4x4_up.skip.weight"),
        ("model.map_noise.freqs", "say"),
    ):
        save_file({name: value for name, value in state.items() if name != key}, path)
        with pytest.raises(CheckpointError, match=message):
            ds.load(folder)


def test_a_pickle_of_edm_says_how_to_export_it(tmp_path):
    path = tmp_path / "edm-cifar10-32x32-cond-vp.pkl"
    torch.save({"ema": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(
        CheckpointError,
        match=r"(?s)an object of torch.nn.modules.linear.Linear, which is not allowed.*In EDM's own folder "
        r"run: python -c .*'ema'\]; "
        r"torch.save\(net.state_dict\(\), 'edm-cifar10-32x32-cond-vp.pt'\)",
    ):
        convert(path, tmp_path / "out.safetensors")


# --- diffusers' NCSN++


@pytest.mark.parametrize("name", [name for _, name in cases("diffusers_skip")])
def test_ncsnpp_outputs(stored, name):
    """Where the original gives the score of pictures in [0, 1] at sigma, ours gives eps of pictures in
    [-1, 1] at 2 sigma.
    """
    model = ds.load(stored("diffusers_skip", name), "cpu", "fp32")
    exploding = model.spec.network.time_embedding == "fourier"
    x = x_of(3)
    label = torch.tensor(golden.LABELS) if model.spec.labels else None
    for t in golden.SIGMAS if exploding else golden.TIMES:
        wanted = STORED["diffusers_skip"][f"{name}.t{t:g}"]
        with torch.no_grad():
            found = model.network(
                2 * x - 1 if exploding else x, torch.full((golden.BATCH,), 2 * t if exploding else t), label
            ).numpy()
        wanted = -t * wanted if exploding else wanted
        assert np.abs(wanted).max() > 0.3 and np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("name", [name for _, name in cases("diffusers_skip")])
def test_ten_steps_of_ncsnpp(stored, name):
    model = ds.load(stored("diffusers_skip", name), "cpu", "fp32")
    exploding = model.spec.network.time_embedding == "fourier"
    recipe = ds.Recipe.from_settings({**model.spec.defaults, "label": None})
    levels = ds.path(model.schedule, golden.STEPS, recipe.spacing)
    x = levels[0].sigma * x_of(3) - 1 if exploding else x_of(3)
    denoise = model.denoiser(golden.LABELS if model.spec.labels else None)
    denoise = clamped(denoise) if recipe.clip else denoise
    # the pipeline with its Langevin steps, and without them
    samplers = (
        {"corrected": recipe.sampler, "sampled": dataclasses.replace(recipe.sampler, correct_steps=0)}
        if exploding
        else {"sampled": recipe.sampler}
    )
    for what, sampler in samplers.items():
        *_, last = ds.sample(sampler, denoise, x, levels, Noises())
        found, wanted = last.x.numpy(), STORED["diffusers_skip"][f"{name}.{what}"]
        found = (found + 1) / 2 if exploding else found
        assert np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1) < 1e-4, what
    if exploding:
        assert (
            np.abs(
                STORED["diffusers_skip"][f"{name}.corrected"] - STORED["diffusers_skip"][f"{name}.sampled"]
            ).max()
            > 0.1
        )


class Noises:
    """The noise of the golden runs, that of the Langevin steps too."""

    def __call__(self, index: int) -> torch.Tensor:
        return self._drawn(f"noise {index}")

    def further(self, index: int, number: int) -> torch.Tensor:
        return self._drawn(f"further {index} {number}")

    @staticmethod
    def _drawn(what: str) -> torch.Tensor:
        return torch.from_numpy(golden.normal(what, golden.BATCH, 3, golden.SIZE, golden.SIZE))


@pytest.mark.parametrize("name", [name for _, name in cases("diffusers_skip")])
def test_ncsnpp_is_told_by_its_shapes(stored, name):
    """All but heads, eps, the middle's scale, centring, the order of waves, and the process."""
    told = checkpoint.inspect(stored("diffusers_skip", name)).spec.network
    bare = checkpoint.inspect(stored("diffusers_skip", name, configured=False)).spec.network
    given = {
        key: getattr(told, key)
        for key in (
            "head_channels",
            "norm_eps",
            "middle_scale",
            "middle_groups",
            "center_input",
            "unit_input",
            "time_order",
            "time_shift",
        )
    }
    assert dataclasses.replace(bare, **given) == told


def test_ncsnpp_converts_to_the_same_bits(stored, tmp_path):
    before = ds.load(folder := stored("diffusers_skip", "centred"), "cpu", "fp32")
    after = ds.load(convert(folder, tmp_path / "m.safetensors"), "cpu", "fp32")
    level, x = before.schedule.level(3.0), x_of(3)
    assert torch.equal(before.denoiser()(x, level).x0, after.denoiser()(x, level).x0)
    seen = checkpoint.inspect(folder)
    assert "layout 'diffusers-ncsnpp'" in checkpoint.as_text(seen)
    assert any("here each picture uses its own" in note for note in seen.found.notes)
    assert before.spec.defaults["sampler"] == {
        "name": "predictor_corrector",
        "correct_steps": 1,
        "snr": 0.15,
        "correct_first": True,
    }


@pytest.mark.parametrize(
    "name, config, scheduler, message",
    [
        (
            "google",
            {},
            {"_class_name": "DDPMScheduler"},
            "embeds sigma by.*but DDPMScheduler gives it no sigma",
        ),
        ("google", {"norm_num_groups": 4}, {}, "norm_num_groups = 4 gives the middle and the end"),
        ("google", {"down_block_types": ["SkipDownBlock2D"] * 3}, {}, "down_block_types"),
        ("centred", {"time_embedding_type": "positional"}, {}, "the shapes of the weights say 'fourier'"),
        ("centred", {"act_fn": "mish"}, {}, "Choose one of: silu, swish"),
    ],
)
def test_ncsnpp_configurations_that_do_not_fit(stored, name, config, scheduler, message):
    folder = stored("diffusers_skip", name)
    for file, changes in (("config.json", config), ("scheduler_config.json", scheduler)):
        (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    with pytest.raises(CheckpointError, match=message):
        ds.load(folder)


def test_ncsnpp_that_diffusers_normalises_otherwise_is_refused(stored):
    """Its Attn levels below 128 channels have other groups than the rest; said, not guessed."""
    folder = stored("diffusers_skip", "google")
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    for way in ("down_blocks.0", "up_blocks.2"):
        state |= {f"{way}.attentions.0.to_q.weight": torch.zeros(32, 32)}
    save_file(state, path)
    (folder / "config.json").unlink()
    with pytest.raises(
        CheckpointError,
        match="has attention on a level of 32 channels. Below 128 channels diffusers normalises",
    ):
        ds.load(folder)


@pytest.mark.parametrize(
    "layout, name, tensor, shape",
    [
        ("diffusers_skip", "google", "down_blocks.0.resnets.0.norm1.weight", None),
        ("edm", "ddpmpp-vp", "model.enc.4x4_down.conv0.resample_filter", ()),
        ("edm", "ddpmpp-vp", "model.enc.4x4_down.conv0.resample_filter", (1, 1, 3, 3)),
        ("openai_classifier", "adm", "out.2.positional_embedding", (64, 6)),
    ],
)
def test_damage_is_said_to_be_one(stored, layout, name, tensor, shape):
    folder = stored(layout, name, configured=False)
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state.pop(tensor)
    save_file(state if shape is None else {**state, tensor: torch.ones(shape)}, path)
    with pytest.raises(
        CheckpointError,
        match="lacks the tensor|should have 4 sides|filter of 3 pixels|not the area of a square",
    ):
        checkpoint.inspect(folder)
