"""The layout of DDPM in torch: pesser's port of Ho et al. 2020, which ermongroup/ddim uses too."""

from __future__ import annotations

from typing import Any

from ..errors import CheckpointError
from ..networks.config import UNetConfig
from . import openai
from .facts import Settings
from .noise import named
from .reader import Found, Reader, Source
from .renames import Part, renames
from .spec import ModelSpec

_BLOCK = {
    "norm1": ("norm1",),
    "conv1": ("conv1",),
    "emb": ("temb_proj",),
    "norm2": ("norm2",),
    "conv2": ("conv2",),
    "skip": ("nin_shortcut",),
}
_INSIDE = {
    "block": _BLOCK,
    "down": {"conv": ("conv",)},
    "up": {"conv": ("conv",)},
    "attention": {"norm": ("norm",), "qkv": ("q", "k", "v"), "out": ("proj_out",)},
    "time": {"0": ("0",), "2": ("1",)},
    "conv_in": {"": ("",)},
    "norm_out": {"": ("",)},
    "conv_out": {"": ("",)},
}
_SIZES: dict[tuple[float, ...], int] = {(1, 2, 2, 2): 32, (1, 2, 2, 2, 4): 64, (1, 1, 2, 2, 4, 4): 256}
# Settings of training and of data preparation that do not affect sampling.
_IGNORED = (
    "dropout",
    "ema",
    "ema_rate",
    "type",
    "dataset",
    "category",
    "random_flip",
    "num_workers",
    "uniform_dequantization",
    "gaussian_dequantization",
    "batch_size",
    "n_epochs",
    "n_iters",
    "snapshot_freq",
    "validation_freq",
    "last_only",
    "weight_decay",
    "optimizer",
    "lr",
    "beta1",
    "amsgrad",
    "eps",
    "grad_clip",
)
_SCHEDULES = {
    "linear": "linear",
    "quad": "scaled_linear",
    "const": "const",
    "jsd": "jsd",
    "sigmoid": "sigmoid",
}


def _place(part: Part) -> str:
    """The name in the original of a part of the U-Net."""
    if part.kind == "time":
        return "temb.dense"
    if not part.way:
        return part.ours
    if part.way == "middle":
        return ("mid.block_1", "mid.attn_1", "mid.block_2")[part.index]
    if part.kind in ("down", "up"):
        return f"{part.way}.{part.level}.{part.kind}sample"
    return f"{part.way}.{part.level}.{'attn' if part.kind == 'attention' else 'block'}.{part.index}"


def describe(source: Source) -> Found:
    """The network and its process, from shapes and from flags named as in ddim's configuration files."""
    levels = source.count("down.{}.block.0.norm1.weight")
    blocks = source.count("down.0.block.{}.norm1.weight")
    base, channels = source.shape("conv_in.weight", 4)[:2]
    widths = [source.shape(f"down.{k}.block.0.conv1.weight", 4)[0] for k in range(levels)]
    multipliers = tuple(w // base if w % base == 0 else w / base for w in widths)
    attended = tuple(k for k in range(levels) if f"down.{k}.attn.0.q.weight" in source.shapes)
    settings = Settings("ddpm", source.flags, source.args, {})
    size = settings.read("image_size", _SIZES.get(multipliers, 2 ** (levels + 1)))
    for name, value in (
        ("ch", base),
        ("ch_mult", list(multipliers)),
        ("num_res_blocks", blocks),
        ("in_channels", channels),
        ("out_ch", source.shape("conv_out.weight", 4)[0]),
        ("resamp_with_conv", levels == 1 or "down.0.downsample.conv.weight" in source.shapes),
    ):
        settings.inferred(name, value)
    openai.compare_list(settings, "attn_resolutions", [size // 2**k for k in attended], size, levels)
    settings.check("resolution", size)
    settings.check("channels", channels)
    if any(
        settings.text_of(name) and settings.read(name, usual) != usual
        for name, usual in (("logit_transform", False), ("rescaled", True))
    ):
        raise CheckpointError(
            f"{source.path.name} was trained on pictures that are not scaled to [-1, 1] (rescaled False, or "
            "logit_transform True). This program cannot undo that."
        )
    steps = settings.read("num_diffusion_timesteps", 1000)
    schedule = settings.read("beta_schedule", "linear", choices=tuple(_SCHEDULES))
    start, end = settings.read("beta_start", 1e-4), settings.read("beta_end", 0.02)
    variance = settings.read("var_type", "fixedlarge", choices=("fixedlarge", "fixedsmall"))
    convolved = levels == 1 or "down.0.downsample.conv.weight" in source.shapes
    config = UNetConfig(
        in_channels=channels,
        out_channels=source.shapes["conv_out.weight"][0],
        channels=base,
        multipliers=multipliers,
        blocks=blocks,
        attention_levels=attended,
        heads=1,
        conditioning="add",
        resample="conv" if convolved else "plain",
        downsample_padding="end",
        norm_eps=1e-6,
        time_order="sin_cos",
        time_shift=1,
        stem_channels=None if widths[0] == base else base,
    )
    defaults: dict[str, Any] = {
        "sampler": {"name": "ddpm", "variance": variance.removeprefix("fixed")},
        "spacing": "leading",
        "clip": True,
        "steps": min(250, steps),
    }
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=named(_SCHEDULES[schedule], steps, start, end),
        image_size=size,
        channels=channels,
        learned_variance=config.out_channels == 2 * channels,
        defaults=defaults,
    )
    return Found(
        "ddpm",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(renames(config, _place, _INSIDE)),
        settings.finish(_IGNORED, whole=True),
    )


READER = Reader(
    title="DDPM in torch (pesser/pytorch_diffusion, ermongroup/ddim)",
    sentinels=("temb.dense.0.weight", "down.0.block.0.norm1.weight", "conv_in.weight"),
    describe=describe,
    ambiguous=((("beta_schedule",), (("linear",), ("quad",))),),
)
