"""NCSN++ in diffusers' layout: UNet2DModel of Skip blocks, with FIR filters, input and output paths."""

from __future__ import annotations

import math
from typing import Any

from ..diffusion.schedule import VarianceExploding
from ..errors import CheckpointError
from ..networks.config import UNetConfig
from . import diffusers
from .diffusers_scheduler import SCHEDULER_FLAGS, Process, check_defaults, process_of
from .facts import Settings
from .reader import Found, Reader, Source
from .renames import Part, Rename, renames
from .spec import ModelSpec

_INSIDE = {
    **diffusers.INSIDE,
    "input": {"conv": ("",)},
    "output": {"norm": ("skip_norm",), "conv": ("skip_conv",)},
}
_VE_FLAGS = ("num_train_timesteps", "sigma_min", "sigma_max", "snr", "correct_steps", "sampling_eps")
_SQRT2 = math.sqrt(2)
_LEAST = 128  # channels of a level with attention; with fewer, diffusers determines groups by another rule


def describe(source: Source) -> Found:
    """The network and its process, from config.json, scheduler_config.json, flags and shapes."""
    source = diffusers.without_extras(source)
    s, levels = source.shapes, source.count("down_blocks.{}.resnets.0.norm1.weight")
    source.shape("down_blocks.0.resnets.0.norm1.weight", 1)
    widths = tuple(source.shape(f"down_blocks.{k}.resnets.0.conv1.weight", 4)[0] for k in range(levels))
    blocks = source.count("down_blocks.0.resnets.{}.norm1.weight")
    flags = {
        name: value for name, value in source.flags.items() if name not in (*SCHEDULER_FLAGS, *_VE_FLAGS)
    }
    settings = Settings("diffusers", flags, source.config, {})
    settings.inferred("block_out_channels", list(widths))
    settings.inferred("layers_per_block", blocks)
    channels, out = source.shape("conv_in.weight", 4)[1], source.shape("conv_out.weight", 4)[0]
    settings.inferred("in_channels", channels)
    settings.inferred("out_channels", out)
    going = {
        way: tuple(k for k in range(levels) if f"{way}_blocks.{k}.attentions.0.to_q.weight" in s)
        for way in ("down", "up")
    }
    for way, suffix in (("down", "SkipDownBlock2D"), ("up", "SkipUpBlock2D")):
        settings.inferred(
            f"{way}_block_types", [("Attn" if k in going[way] else "") + suffix for k in range(levels)]
        )
    rising = tuple(sorted(levels - 1 - k for k in going["up"]))
    for level in {*going["down"], *rising}:
        if widths[level] < _LEAST:
            raise CheckpointError(
                f"{source.path.name} has attention on a level of {widths[level]} channels. Below {_LEAST} "
                "channels diffusers normalises such levels by another rule, which is not supported."
            )
    rows = source.shape("down_blocks.0.resnets.0.time_emb_proj.weight", 2)[0]
    scaled = (
        settings.inferred("resnet_time_scale_shift", "scale_shift" if rows == 2 * widths[0] else "default")
        == "scale_shift"
    )
    random = (
        settings.inferred("time_embedding_type", "fourier" if "time_proj.weight" in s else "positional")
        == "fourier"
    )
    middle = (
        "attention"
        if "mid_block.attentions.0.to_q.weight" in s
        else "residual"
        if "mid_block.resnets.0.conv1.weight" in s
        else "none"
    )
    head = settings.read("attention_head_dim", None, absent=8, optional=True)
    groups = settings.read("norm_num_groups", None, absent=32)
    for width in (widths[0], *([widths[-1]] if middle != "none" else [])):
        if groups not in (None, min(width // 4, 32)):
            raise CheckpointError(
                f"norm_num_groups = {groups} gives the middle and the end of {source.path.name} other groups "
                "than its Skip blocks have. Only null, or the number of the Skip blocks, is supported."
            )
    bare = middle == "attention" and "mid_block.attentions.0.group_norm.weight" not in s
    embedding = source.shape("time_embedding.linear_1.weight", 2)[0]
    diffusers.check_frame(settings, middle, embedding, "fourier" if random else "positional")
    labels, label = diffusers.labels(source, settings)
    size = diffusers.picture_size(source, settings, 32 * 2 ** max(levels - 4, 0))
    centred = settings.read("center_input_sample", False, absent=False)
    settings.read("act_fn", "silu", absent="silu", choices=("silu", "swish"))
    if random:
        process = _exploding(source)
        time: dict[str, Any] = {
            "time_embedding": "fourier",
            "time_channels": 2 * widths[0],
            "time_log": True,
            "time_scale": 0.5,
            "time_order": "sin_cos",
            "unit_input": not centred,
        }
    else:
        process = process_of(source.scheduler, source.flags, out == 2 * channels)
        time = {
            "time_order": "cos_sin" if settings.read("flip_sin_to_cos", True, absent=True) else "sin_cos",
            "time_shift": settings.read("freq_shift", 0, absent=0),
            "center_input": centred,
        }
    config = UNetConfig(
        in_channels=channels,
        out_channels=out,
        channels=widths[0],
        multipliers=tuple(w / widths[0] for w in widths),
        blocks=blocks,
        attention_levels=going["down"],
        up_attention_levels=None if rising == going["down"] else rising,
        head_channels=head,
        conditioning="scale_shift" if scaled else "add",
        resample="residual",
        norm_least=4,
        norm_eps=settings.read("norm_eps", 1e-6, absent=1e-5),
        middle=middle,
        middle_groups=0 if bare else settings.read("attn_norm_num_groups", None, absent=None),
        middle_scale=settings.read("mid_block_scale_factor", _SQRT2, absent=1.0),
        embedding_channels=None if embedding == 4 * widths[0] else embedding,
        resample_filter="fir",
        resample_skip=True,
        skip_scale=math.sqrt(0.5),
        up_attention="last",
        input_path="skip",
        output_path="skip",
        **time,
        **label,
    )
    if labels:
        process.defaults["label"] = labels[0]
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=process.schedule,
        parametrization=process.parametrization,
        sigma_data=process.sigma_data,
        image_size=size,
        channels=channels,
        learned_variance=out == 2 * channels,
        labels=labels,
        defaults=process.defaults,
    )
    made = [_signed(one, random) for one in renames(config, lambda part: _place(part, levels - 1), _INSIDE)]
    if random:
        made.append(Rename("frequencies", ("time_proj.weight",)))
    return Found(
        "diffusers-ncsnpp",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(made),
        settings.finish((*diffusers.IGNORED, "downsample_padding"), whole=True) + process.facts,
        tuple(process.notes),
    )


def _place(part: Part, last: int) -> str:
    if part.kind in ("down", "input"):
        return f"down_blocks.{part.level}.{'resnet_down' if part.kind == 'down' else 'skip_conv'}"
    if part.kind in ("up", "output"):
        return f"up_blocks.{last - part.level}" + (".resnet_up" if part.kind == "up" else "")
    if part.kind == "attention" and part.way == "up":
        return f"up_blocks.{last - part.level}.attentions.0"
    return diffusers.place(part, last)


def _signed(one: Rename, random: bool) -> Rename:
    """A rename that negates the last layers of a network with Fourier features, which predicts -eps / sigma.

    The division by sigma is left out, so that our network predicts eps.
    """
    last = one.ours.startswith("conv_out.") or (one.ours.startswith("output_path.") and ".conv." in one.ours)
    return Rename(one.ours, one.theirs, "negated") if random and last else one


def _exploding(source: Source) -> Process:
    """The process of ScoreSdeVeScheduler.

    Its pictures lie in [0, 1] and ours in [-1, 1], so all sigmas are doubled.
    """
    settings = Settings(
        "diffusers scheduler",
        {name: value for name, value in source.flags.items() if name in _VE_FLAGS},
        source.scheduler,
        {},
    )
    kind = str(source.scheduler.get("_class_name", "ScoreSdeVeScheduler"))[:80]
    if kind != "ScoreSdeVeScheduler":
        raise CheckpointError(
            f"{source.path.name} embeds sigma by Fourier features and divides by it, but {kind} gives it no "
            "sigma. It belongs to ScoreSdeVeScheduler; correct scheduler_config.json, or move it away."
        )
    timesteps = settings.read("num_train_timesteps", 2000, absent=2000)
    least, most = (
        settings.read("sigma_min", 0.01, absent=0.01),
        settings.read("sigma_max", 1348.0, absent=1348.0),
    )
    correct, snr = settings.read("correct_steps", 1, absent=1), settings.read("snr", 0.15, absent=0.15)
    settings.read("sampling_eps", 1e-5, absent=1e-5)
    notes = [
        "pictures of its program lie in [0, 1], and here in [-1, 1], so its sigmas are doubled",
        "its program uses the mean norms of noise and score over a batch for its Langevin steps; here each "
        "picture uses its own, so that it does not depend on the others",
    ]
    defaults = {
        "sampler": {
            "name": "predictor_corrector",
            "correct_steps": correct,
            "snr": snr,
            "correct_first": True,
        },
        "spacing": "log-snr",
        "clip": False,
        "steps": min(250, timesteps),
    }
    check_defaults(defaults)
    return Process(
        VarianceExploding(timesteps, 2 * least, 2 * most, "sigma"), "eps", defaults, settings.finish(), notes
    )


READER = Reader(
    title="NCSN++ as diffusers' UNet2DModel",
    sentinels=("conv_in.weight", "time_embedding.linear_1.weight", "down_blocks.0.skip_conv.weight"),
    describe=describe,
    aliases=diffusers.READER.aliases,
    ambiguous=(
        (("attention_head_dim",), ((None,), (8,), (32,), (64,))),
        (("center_input_sample",), ((False,), (True,))),
    ),
)
