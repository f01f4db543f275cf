"""OpenAI's layout: flags as its READMEs give them, and what no file of it can tell."""

from __future__ import annotations

import pytest

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError, OptionError

from .conftest import STORED, golden, outputs


def test_the_order_of_qkv_matters_and_flags_give_it(saved):
    folder = saved("openai", "adm-new-order", configured=False)
    flags = golden.OPENAI["adm-new-order"][1]
    assert outputs(ds.load(folder, "cpu", "fp32", flags=flags), "adm-new-order", STORED["openai"]) < 1e-5
    wrong = ds.load(folder, "cpu", "fp32", flags={**flags, "use_new_attention_order": False})
    assert outputs(wrong, "adm-new-order", STORED["openai"]) > 1e-2


def test_flags_as_a_readme_gives_them(saved):
    from diffusion_studio.checkpoint.facts import parse_flags

    text = (
        "--attention_resolutions 32,16,4 --class_cond True --diffusion_steps 1000 --dropout 0.1 --image_size "
        "8 --learn_sigma True --noise_schedule=cosine --num_channels 32 --num_head_channels 16 "
        "--num_res_blocks 1 --resblock_updown True --use_new_attention_order --use_fp16 True "
        "--use_scale_shift_norm True --channel_mult 1,2 --timestep_respacing ddim25"
    )
    spec = checkpoint.inspect(saved("openai", "adm", configured=False), parse_flags(text)).spec
    assert spec.network.head_channels == 16 and spec.network.attention_levels == (1,) and spec.image_size == 8
    assert isinstance(spec.schedule, ds.SCHEDULES["cosine"]) and spec.defaults["sampler"] == {"name": "ddim"}
    assert spec.defaults["steps"] == 25 and spec.learned_variance and len(spec.labels) == 5


@pytest.mark.parametrize(
    "flags, error, message",
    [
        (
            {"num_chanels": 32},
            OptionError,
            "There is no flag of the layout openai 'num_chanels'.*Did you mean 'num_channels'",
        ),
        (
            {"num_channels": 64},
            CheckpointError,
            "flag says num_channels = 64, but the shapes of the weights say 32",
        ),
        (
            {"attention_resolutions": "8", "image_size": 8},
            CheckpointError,
            r"shapes of the weights say \[4\] for pictures 8 wide",
        ),
        ({"channel_mult": "1,2,4"}, CheckpointError, r"shapes of the weights say \[1, 2\]"),
        ({"channel_mult": "one"}, OptionError, "list of numbers with commas"),
        ({"num_heads": 3}, OptionError, "do not divide into 3 heads"),
        ({"num_heads": "many"}, OptionError, "num_heads must be a whole number"),
        ({"noise_schedule": "sqrt"}, OptionError, "Choose one of: linear, cosine"),
        ({"diffusion_steps": 0}, OptionError, "at least 1, got 0"),
    ],
)
def test_flags_that_do_not_fit(saved, flags, error, message):
    with pytest.raises(error, match=message):
        checkpoint.inspect(
            saved("openai", "lsun" if "image" in flags else "adm", configured=False)
            if "image_size" not in flags
            else saved("openai", "adm", configured=False),
            flags,
        )


def test_a_published_file_is_known_by_its_shapes(tmp_path):
    """CIFAR-10 of Improved DDPM: 4 heads, cosine, 4000 timesteps, rescaled; said to come from the table."""
    from diffusion_studio.checkpoint import openai

    name, flags = openai._preset("cifar10_uncond_50M_500K", (128, 3, (1, 2, 2, 2), False, False))
    assert name == "cifar10_uncond by name and shapes" and flags["diffusion_steps"] == 4000
    name, flags = openai._preset("model", (192, 3, (1, 2, 3, 4), True, True))
    assert name == "64x64_diffusion by shapes" and flags["use_new_attention_order"] is True
    assert openai._preset("model", (192, 3, (1, 2), True, True)) == ("", {})
