"""lucidrains', tqch's, dome272's, TeaPearce's and BrianPulfer's checkpoints against what those programs
computed.

make_golden_small.py says where the golden numbers come from.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.convert import convert
from diffusion_studio.diffusion.guidance import clamped, classifier_free
from diffusion_studio.diffusion.samplers import Heun
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.models.condition import Encoded

from .conftest import SMALL, small

CASES = [
    (layout, name.removesuffix(".about"))
    for layout, stored in SMALL.items()
    for name in stored
    if name.endswith(".about")
]
STEPS = small.STEPS


def part_of(case, key: str, found: np.ndarray) -> np.ndarray:
    """As much of a picture as the golden file keeps."""
    every = found.shape[-1] // case.arrays[key].shape[-1]
    return found[..., ::every, ::every]


def call(model, case, t: float) -> np.ndarray:
    x = torch.from_numpy(small.normal("x", *case.about["shape"]))
    label = case.about.get("label")
    if case.layout == "teapearce" and t == 2.0:  # the one that is asked for "any"
        label = [10] * len(x)
    more = (
        (torch.from_numpy(small.normal("before", *case.about["shape"])),)
        if model.spec.network.self_condition
        else ()
    )
    with torch.no_grad():
        return model.network(
            x, torch.full((len(x),), t), None if label is None else torch.tensor(label), None, *more
        ).numpy()


@pytest.mark.parametrize("layout, name", CASES)
def test_outputs_are_those_of_the_original(kept, tmp_path, layout, name):
    """Measured: at most 4e-6, of outputs up to 3."""
    case = kept(layout, name)
    model = ds.load(case.folder(tmp_path), "cpu", "fp32")
    assert checkpoint.inspect(case.folder(tmp_path)).found.layout == layout
    for t in case.about["times"]:
        assert np.abs(part_of(case, f"t{t:g}", call(model, case, t)) - case.arrays[f"t{t:g}"]).max() < 1e-5, t


@pytest.mark.parametrize("layout, name", [one for one in CASES if one[1] != "learned-waves"])
def test_ten_steps_are_those_of_the_original(kept, tmp_path, layout, name):
    """With the defaults that the file's origin says: schedule, parametrization, variance, clipping, spacing,
    self-conditioning.

    dome272 and TeaPearce end one level above the clean picture, so there the state before the last step is
    theirs.
    """
    case = kept(layout, name)
    model = ds.load(case.folder(tmp_path), "cpu", "fp32")
    recipe = ds.Recipe.from_settings({**model.spec.defaults, "label": None})
    assert recipe.stretch == (
        layout == "brianpulfer"
    )  # which shows each picture from its darkest to its brightest
    shape, above = tuple(case.about["shape"]), layout in ("dome272", "teapearce")
    denoise = model.denoiser(case.about.get("label"))
    if case.about.get("guidance", 1) != 1:
        denoise = classifier_free(denoise, model.denoiser(), case.about["guidance"])
    levels = ds.path(model.schedule, STEPS + above, recipe.spacing)
    x = torch.from_numpy(small.normal("x", *shape))
    x = x * levels[0].sigma if levels[0].alpha == 1 else x  # EDM's noise is as large as its levels
    scale = [1.0] * (STEPS + 1)
    if layout == "teapearce":  # their state is ours in the scale of pictures in [0, 1]
        scale = [(1 + 3 * level.alpha**2) ** -0.5 for level in levels]
        x = x / scale[0] - levels[0].alpha

    def noise(k: int) -> torch.Tensor:
        made = torch.from_numpy(small.normal(f"noise {k}", *shape))
        return (
            made
            * (scale[k - 1] / scale[k] if layout == "teapearce" else 1)
            * (0 if above and k == STEPS else 1)
        )

    steps = list(ds.sample(recipe.sampler, clamped(denoise) if recipe.clip else denoise, x, levels, noise))
    found = steps[STEPS].x
    if layout == "teapearce":
        found = (found + levels[STEPS].alpha) * scale[STEPS]
    wanted = case.arrays["sampled"]
    assert not recipe.clip or np.mean(np.abs(wanted) < 0.999) > 0.2  # not all of it at the clip
    assert (
        np.abs(part_of(case, "sampled", found.numpy()) - wanted).max() / max(np.abs(wanted).max(), 1) < 1e-4
    )


# What neither shapes nor buffers tell, by layout; everything else comes back without any flag.
UNKNOWABLE = {"lucidrains": {"cosine_scale", "standardized", "divided"}}


@pytest.mark.parametrize("layout, name", CASES)
def test_the_configuration_comes_back_from_the_shapes(kept, tmp_path, layout, name):
    case = kept(layout, name)
    wanted, bare = (checkpoint.inspect(case.folder(tmp_path, configured)) for configured in (True, False))
    one, other = wanted.spec.network.to_json(), bare.spec.network.to_json()
    assert {key for key in one if one[key] != other[key]} <= UNKNOWABLE.get(layout, set())
    sources = {fact.name: fact.source for fact in bare.found.facts}
    assert (
        not {"flag", "file's config"} & set(sources.values()) and "inferred from shapes" in sources.values()
    )
    if layout in ("lucidrains", "teapearce") and any(key.startswith("buffer.") for key in case.arrays):
        assert "buffers in the file" in sources.values() and bare.spec.schedule == wanted.spec.schedule


def test_golden_files_are_small():
    assert sum(file.stat().st_size for file in small.HERE.glob("golden_*.npz")) < 2_000_000


# ---- lucidrains
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, schedule, timesteps, means",
    [
        ("cosine", ds.SCHEDULES["cosine"], 10, "eps"),
        ("rms", ds.SCHEDULES["table"], 10, "v"),
        ("ddim", ds.SCHEDULES["table"], 1000, "v"),
        ("memory", ds.SCHEDULES["table"], 10, "v"),
        ("classes", ds.SCHEDULES["cosine"], 10, "eps"),
        ("full", ds.SCHEDULES["cosine"], 10, "eps"),
    ],
)
def test_the_process_is_read_from_the_buffers(kept, tmp_path, name, schedule, timesteps, means):
    spec = checkpoint.inspect(kept("lucidrains", name).folder(tmp_path, configured=False)).spec
    assert (
        isinstance(spec.schedule, schedule)
        and spec.schedule.timesteps == timesteps
        and spec.parametrization == means
    )


def test_betas_of_no_known_formula_are_taken_as_they_are(kept, tmp_path):
    folder = kept("lucidrains", "rms").folder(tmp_path, configured=False)
    state = load_file(folder / "model.safetensors")
    betas = torch.linspace(0.01, 0.3, 7)
    save_file({**state, "betas": betas}, folder / "model.safetensors")
    seen = checkpoint.inspect(folder)
    assert np.allclose(seen.spec.schedule.betas(), betas.numpy(), rtol=1e-6)
    assert {fact.name: fact.value for fact in seen.found.facts}["beta_schedule"] == "table"
    linear = checkpoint.inspect(folder, {"beta_schedule": "linear", "timesteps": 500}).spec.schedule
    assert (
        isinstance(linear, ds.SCHEDULES["linear"])
        and linear.timesteps == 500
        and linear.beta_end == pytest.approx(0.04)
    )
    with pytest.raises(
        OptionError, match="there are none for these timesteps. Choose one of: linear, cosine, sigmoid"
    ):
        checkpoint.inspect(folder, {"beta_schedule": "table", "timesteps": 8})
    save_file({**state, "betas": betas - 1}, folder / "model.safetensors")  # no betas: as if there were none
    assert checkpoint.inspect(folder).spec.schedule.timesteps == 1000


def test_the_trainers_file_gives_its_average_and_its_version(kept, tmp_path):
    """model-N.pt as Trainer.save writes it: {step, model, opt, ema, scaler, version}, ema_pytorch's state
    inside.
    """
    case = kept("lucidrains", "memory")
    state, average = case.state(), case.state("ema_model.")
    online = {f"online_model.{key}": value * 2 for key, value in state.items()}
    torch.save(
        {
            "step": 7,
            "model": {key: value * 2 for key, value in state.items()},
            "scaler": None,
            "version": "1.11.0",
            "opt": {"state": {0: {"exp_avg": torch.zeros(4, 3, 3, 3)}}, "param_groups": [{"lr": 1e-4}]},
            "ema": {"initted": torch.tensor(True), "step": torch.tensor(7), **online, **average},
        },
        tmp_path / "model-7.pt",
    )
    model = ds.load(
        convert(tmp_path / "model-7.pt", tmp_path / "out.safetensors", {"image_size": 8}), "cpu", "fp32"
    )
    assert (
        model.spec.provenance["taken"] == "ema"
        and model.spec.provenance["settings"]["version"] == "1.11.0 (buffers in the file)"
    )
    t = case.about["times"][1]
    assert np.abs(call(model, case, t) - case.arrays[f"t{t:g}"]).max() < 1e-5
    other = ds.load(
        convert(tmp_path / "model-7.pt", tmp_path / "model.safetensors", {"image_size": 8}, take="model"),
        "cpu",
        "fp32",
    )
    assert np.abs(call(other, case, t) - case.arrays[f"t{t:g}"]).max() > 1e-2


def test_the_version_matters_and_a_flag_gives_it(kept, tmp_path):
    case = kept("lucidrains", "standardized")
    folder = case.folder(tmp_path, configured=False)
    seen = checkpoint.inspect(folder)
    assert "give the version that trained it" in " ".join(seen.found.notes)
    right, wrong = (ds.load(folder, "cpu", "fp32", {"version": one}) for one in ("1.0.0", "1.7.4"))
    assert np.abs(call(right, case, 17.0) - case.arrays["t17"]).max() < 1e-5
    assert np.abs(call(wrong, case, 17.0) - case.arrays["t17"]).max() > 1e-2
    with pytest.raises(
        OptionError,
        match="version must be a version of denoising-diffusion-pytorch, such as 1.8.0, got 'newest'",
    ):
        checkpoint.inspect(folder, {"version": "newest"})


def test_a_run_starts_its_self_conditioning_over(kept, tmp_path):
    """The last x0 is kept from level to level of one run, and forgotten where the noise rises again."""
    model = ds.load(kept("lucidrains", "rms").folder(tmp_path), "cpu", "fp32")
    x = torch.from_numpy(small.normal("x", 3, 3, 8, 8))
    high, low = model.schedule.level(7), model.schedule.level(3)
    denoise = model.denoiser()
    first = denoise(x, high)
    with_memory = denoise(x, low)
    assert torch.equal(with_memory.x0, model.predict(x, low, Encoded((None,)), first.x0.clamp(-1, 1)).x0)
    assert not torch.allclose(with_memory.x0, model.denoiser()(x, low).x0, atol=1e-3)
    assert torch.equal(denoise(x, high).x0, first.x0)
    assert torch.equal(denoise(x[:2], low).x0, model.denoiser()(x[:2], low).x0)  # other pictures


def test_churn_does_not_start_self_conditioning_over(kept, tmp_path):
    """A churned level is noisier than the one before it, and yet the run goes on."""
    model = ds.load(kept("lucidrains", "rms").folder(tmp_path), "cpu", "fp32")
    x, given = torch.from_numpy(small.normal("x", 3, 3, 8, 8)), []
    predict = model.predict
    model.predict = lambda x, level, condition, before=None: (
        given.append(before is not None) or predict(x, level, condition, before)
    )
    noise = ds.Noise((0, 1, 2), model.shape)
    levels = ds.Levels(ds.path(model.schedule, 4), model.schedule)
    for _ in ds.sample(Heun(churn=2.0), model.denoiser(), x, levels, noise):
        pass
    assert given[0] is False and all(given[1:]) and len(given) > 4


def test_tensors_of_a_network_without_levels(tmp_path):
    """tqch's first and last layers alone."""
    shapes = {"in_conv.weight": (8, 3, 3, 3), "embed.0.weight": (32, 8), "out_conv.2.weight": (3, 8, 3, 3)}
    save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match="lacks the tensor downsamples.level_0.0.conv1.weight"):
        checkpoint.inspect(tmp_path / "m.safetensors")


def test_a_version_with_one_skip_a_level_is_said_to_be_too_old(kept, tmp_path):
    folder = kept("lucidrains", "bias").folder(tmp_path)
    state = load_file(folder / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if ".ups.1." not in key and "ups.0.0" not in key},
        folder / "model.safetensors",
    )
    with pytest.raises(
        CheckpointError, match="before version 0.22, whose U-Net has one skip connection per level"
    ):
        checkpoint.inspect(folder)


# ---- all five
# -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layout, name",
    [
        ("lucidrains", "classes"),
        ("lucidrains", "rms"),
        ("tqch", "plain"),
        ("dome272", "classes"),
        ("teapearce", "mnist"),
        ("brianpulfer", "mnist"),
    ],
)
def test_converting_gives_bit_equal_outputs(kept, tmp_path, layout, name):
    case = kept(layout, name)
    folder = case.folder(tmp_path)
    one = ds.load(folder, "cpu", "fp32")
    other = ds.load(convert(folder, tmp_path / "out.safetensors"), "cpu", "fp32")
    for t in case.about["times"][:2]:
        assert np.array_equal(call(one, case, t), call(other, case, t))
    assert other.spec.provenance["layout"] == layout and other.spec.network == one.spec.network


@pytest.mark.parametrize(
    "layout, name, wrap, taken",
    [
        (
            "tqch",
            "plain",
            lambda state: {
                "model": {key: value * 2 for key, value in state.items()},
                "epoch": 3,
                "ema": {"decay": 0.9999, "shadow": state, "num_updates": 3},
            },
            "ema.shadow",
        ),
        (
            "teapearce",
            "mnist",
            lambda state: state | {"nn_model.init_conv.conv1.1.num_batches_tracked": torch.tensor(7)},
            "whole file",
        ),
        (
            "dome272",
            "classes",
            lambda state: {f"module.{key}": value for key, value in state.items()},
            "whole file",
        ),
        ("brianpulfer", "mnist", lambda state: state, "whole file"),
    ],
)
def test_pickles_as_these_programs_write_them(kept, tmp_path, layout, name, wrap, taken):
    case = kept(layout, name)
    folder = case.folder(tmp_path)
    torch.save(wrap(case.state()), folder / "theirs.pt")
    model = ds.load(convert(folder / "theirs.pt", tmp_path / "out.safetensors"), "cpu", "fp32")
    t = case.about["times"][1]
    assert model.spec.provenance["taken"] == taken
    assert np.abs(part_of(case, f"t{t:g}", call(model, case, t)) - case.arrays[f"t{t:g}"]).max() < 1e-5


@pytest.mark.parametrize(
    "layout, name, key",
    [
        ("lucidrains", "rms", "mid_attn.to_qkv.weight"),
        ("tqch", "plain", "middle.1.norm.bias"),
        ("dome272", "plain", "bot2.double_conv.1.bias"),
        ("teapearce", "mnist", "up1.model.1.conv1.1.running_var"),
        ("brianpulfer", "mnist", "b5.1.conv2.bias"),
    ],
)
def test_a_missing_a_surplus_and_a_misshapen_tensor(kept, tmp_path, layout, name, key):
    case = kept(layout, name)
    folder, state, key = case.folder(tmp_path), case.state(), case.about["prefix"] + key
    plain = key.removeprefix(case.about["prefix"])
    for changed, said in (
        ({**state, f"{case.about['prefix']}extra.weight": torch.zeros(2)}, "not in the network extra.weight"),
        ({k: v for k, v in state.items() if k != key}, f"missing .*{plain}"),
        ({**state, key: torch.zeros(3)}, f"{plain} is .3,.; the network"),
    ):
        save_file(changed, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=said):
            ds.load(folder)


@pytest.mark.parametrize(
    "layout, name",
    [
        ("lucidrains", "memory"),
        ("tqch", "cifar-like"),
        ("dome272", "classes"),
        ("teapearce", "mnist"),
        ("brianpulfer", "mnist"),
    ],
)
def test_the_whole_file_runs_with_its_defaults(kept, tmp_path, layout, name):
    """Through the studio: an odd batch, two steps, guided where the model knows classes."""
    folder = tmp_path / "models"
    folder.mkdir()
    case = kept(layout, name)
    case.folder(folder)
    studio = ds.Studio(folder, "cpu", "fp32")
    (card,) = studio.models()
    guided = {"guidance": 2.0, "label": card.spec.labels[1]} if card.spec.labels else {}
    found = studio.run(studio.recipe(card.name, steps=2, seeds=(0, 1, 2), **guided)).images
    assert found.shape == (3, card.spec.image_size, card.spec.image_size, card.spec.channels)
    assert not np.array_equal(found[0], found[1])


def test_a_picture_in_the_unit_range_is_the_same_picture(kept, tmp_path):
    """x of y in [-1, 1] becomes alpha' (y + 1) / 2 + sigma' eps with alpha'^2 + sigma'^2 = 1, at the same
    log-SNR but for 2 log 2.
    """
    config = ds.load(kept("teapearce", "mnist").folder(tmp_path), "cpu", "fp32").spec.network
    level = ds.SCHEDULES["linear"](1000).level(300)
    y, eps = torch.rand(2, 1, 28, 28).double() * 2 - 1, torch.randn(2, 1, 28, 28).double()
    sigma = level.sigma * (1 + 3 * level.alpha**2) ** -0.5
    alpha = math.sqrt(1 - sigma**2)
    assert 2 * math.log(alpha / sigma) == pytest.approx(level.log_snr + 2 * math.log(2))
    assert torch.allclose(
        config.network_input(level.alpha * y + level.sigma * eps, level),
        alpha * (y + 1) / 2 + sigma * eps,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "layout, name, flags, message",
    [
        (
            "brianpulfer",
            "mnist",
            {"n_steps": 20},
            "flag says n_steps = 20, but the shapes of the weights say 10",
        ),
        ("dome272", "plain", {"image_size": 20}, "multiples of 8; the pictures are 20 wide"),
        ("dome272", "plain", {"num_heads": 5}, "12 channels do not divide into 5 heads"),
        (
            "tqch",
            "plain",
            {"beta_schedule": "cosine"},
            "Choose one of: linear, quad, const, jsd, warmup10, warmup50",
        ),
        (
            "teapearce",
            "mnist",
            {"n_feet": 3},
            "There is no flag of the layout teapearce 'n_feet'.*Did you mean 'n_feat'",
        ),
        (
            "lucidrains",
            "standardized",
            {"attn_heads": 5},
            "The 128 channels of attention on level 0 do not divide into 5 heads",
        ),
        ("lucidrains", "full", {"resnet_block_groups": 5}, "16 channels do not divide into 5 groups"),
    ],
)
def test_flags_that_do_not_fit(kept, tmp_path, layout, name, flags, message):
    with pytest.raises((OptionError, CheckpointError), match=message):
        ds.load(kept(layout, name).folder(tmp_path, configured=False), flags=flags)


@pytest.mark.parametrize("name", ["elucidated", "elucidated-random"])
def test_elucidated_diffusion_is_preconditioned_as_edm(kept, tmp_path, name):
    """c_skip, c_out, c_in and c_noise of Karras et al. 2022, table 1, whichever tensors stand for the
    time.
    """
    case = kept("lucidrains", name)
    model = ds.load(case.folder(tmp_path), "cpu", "fp32")
    for sigma in (0.1, 1.0, 10.0):
        level = model.schedule.level(model.schedule.timestep(-2 * math.log(sigma)))
        x = torch.from_numpy(small.normal("x", *case.about["shape"])) * (sigma**2 + 0.25) ** 0.5
        with torch.no_grad():
            assert np.abs(model.denoiser()(x, level).x0.numpy() - case.arrays[f"x0.{sigma:g}"]).max() < 1e-5
    seen = checkpoint.inspect(case.folder(tmp_path, configured=False))
    facts = {fact.name: (fact.value, fact.source) for fact in seen.found.facts}
    assert facts["elucidated"] == (True, "assumed") and "ElucidatedDiffusion" in " ".join(seen.found.notes)
    assert dict(seen.spec.defaults["sampler"]) == {
        "name": "heun",
        "churn": 80.0,
        "s_tmin": 0.05,
        "s_tmax": 50.0,
        "s_noise": 1.003,
    }
    other = checkpoint.inspect(
        case.folder(tmp_path, configured=False), {"elucidated": "False", "num_sample_steps": "10"}
    ).spec
    assert other.defaults["steps"] == 10
    assert other.parametrization == "eps" and other.network.time == "log_snr"


def test_a_learned_variance_is_always_of_noise(kept, tmp_path):
    """The buffers say pred_v, its program's default, and LearnedGaussianDiffusion reads noise all the
    same.
    """
    for flags in ({}, {"objective": "pred_v"}):
        seen = checkpoint.inspect(kept("lucidrains", "learned-v").folder(tmp_path), flags)
        assert seen.spec.parametrization == "eps"
        assert {fact.name: fact.source for fact in seen.found.facts}["objective"] == "settled by the layout"
