"""The layout of tqch/ddpm-torch, an implementation of Ho et al. 2020."""

from __future__ import annotations

from typing import Any

from ..diffusion.schedule import NoiseSchedule, Table
from ..errors import CheckpointError
from ..networks.config import UNetConfig
from .facts import Settings
from .noise import named
from .reader import Found, Reader, Source
from .renames import Part, renames
from .spec import ModelSpec

_BLOCK = {
    "norm1": ("norm1",),
    "conv1": ("conv1",),
    "emb": ("fc",),
    "norm2": ("norm2",),
    "conv2": ("conv2",),
    "skip": ("skip",),
}
_INSIDE = {
    "block": _BLOCK,
    "down": {"conv": ("1",)},
    "up": {"conv": ("1",)},
    "attention": {"norm": ("norm",), "qkv": ("project_in",), "out": ("project_out",)},
    "time": {"0": ("0",), "2": ("2",)},
    "conv_in": {"": ("",)},
    "norm_out": {"": ("",)},
    "conv_out": {"": ("",)},
}
_SINGLE = {"time": "embed", "conv_in": "in_conv", "norm_out": "out_conv.0", "conv_out": "out_conv.2"}
_SCHEDULES = {
    "linear": "linear",
    "quad": "scaled_linear",
    "const": "const",
    "jsd": "jsd",
    "warmup10": "",
    "warmup50": "",
}
_IGNORED = (
    "drop_rate",
    "loss_type",
    "lr",
    "batch_size",
    "grad_norm",
    "epochs",
    "warmup",
    "use_ema",
    "ema_decay",
    "dataset",
    "beta1",
    "beta2",
    "num_accum",
    "num_workers",
    "root",
    "seed",
    "chkpt_intv",
    "image_intv",
    "num_samples",
    "config_path",
    "exp_name",
    "train_device",
    "eval_device",
    "image_dir",
    "config_dir",
    "chkpt_dir",
    "chkpt_name",
    "resume",
    "chkpt_path",
    "eval",
    "eval_total_size",
    "eval_batch_size",
    "use_ddim",
    "skip_schedule",
    "subseq_size",
    "distributed",
    "rigid_launch",
    "num_gpus",
    "dry_run",
)
_SIZES = {"cifar10": 32, "celeba": 64, "celebahq": 256}


def describe(source: Source) -> Found:
    """The network and its process, from shapes and from flags named as in ddpm-torch's configurations."""
    levels = max(
        1, len({name.split(".")[1] for name in source.shapes if name.startswith("downsamples.level_")})
    )
    attended = tuple(
        k for k in range(levels) if f"downsamples.level_{k}.0.1.project_in.weight" in source.shapes
    )

    def inner(level: int) -> str:
        return "0." if level in attended else ""

    blocks = source.count(f"downsamples.level_0.{{}}.{inner(0)}conv1.weight")
    base, channels = source.shape("in_conv.weight", 4)[:2]
    widths = [source.shape(f"downsamples.level_{k}.0.{inner(k)}conv1.weight", 4)[0] for k in range(levels)]
    out = source.shape("out_conv.2.weight", 4)[0]
    if widths[0] != base:
        raise CheckpointError(
            f"in_conv of {source.path.name} gives {base} channels and the first level has {widths[0]}; "
            "only networks with the same number in both are supported."
        )
    if channels not in (1, 3):
        raise CheckpointError(
            f"{source.path.name} takes {channels} channels: its pictures are folded into blocks (block_size "
            "above 1), which is not supported."
        )
    settings = Settings("tqch", source.flags, source.args, {})
    multipliers = tuple(w // base if w % base == 0 else w / base for w in widths)
    convolved = levels == 1 or f"downsamples.level_0.{blocks}.1.weight" in source.shapes
    for name, value in (
        ("in_channels", channels),
        ("hid_channels", base),
        ("ch_multipliers", list(multipliers)),
        ("num_res_blocks", blocks),
        ("apply_attn", [k in attended for k in range(levels)]),
        ("resample_with_conv", convolved),
    ):
        settings.inferred(name, value)
    settings.check("out_channels", out)
    settings.check("time_embedding_dim", source.shape("embed.0.weight", 2)[0])
    settings.check("block_size", 1)
    words = source.path.stem.split("_")
    named_size = next((one for name, one in _SIZES.items() if name in words), 32 if levels < 5 else 256)
    size = settings.read("image_size", named_size)
    steps = settings.read("timesteps", 1000)
    kind = settings.read("beta_schedule", "linear", choices=tuple(_SCHEDULES))
    start, end = settings.read("beta_start", 1e-4), settings.read("beta_end", 0.02)
    means = {"eps": "eps", "x_0": "x0", "mean": "mean"}[
        settings.read("model_mean_type", "eps", choices=("eps", "x_0", "mean"))
    ]
    variance = settings.read(
        "model_var_type",
        "learned" if out == 2 * channels else "fixed-large",
        choices=("fixed-large", "fixed-small", "learned"),
    )
    if (out == 2 * channels) != (variance == "learned"):
        raise CheckpointError(
            f"model_var_type {variance} needs a network with {channels * (1 + (variance == 'learned'))} "
            f"output channels; this one has {out}. Correct model_var_type."
        )
    config = UNetConfig(
        in_channels=channels,
        out_channels=out,
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
        embedding_channels=None if (wide := source.shape("embed.0.weight", 2)[0]) == 4 * base else wide,
    )
    notes = (
        (
            "its network predicts the logarithm of the variance, which is not followed here; the fixed large "
            "variance is used",
        )
        if variance == "learned"
        else ()
    )
    variance = "large" if variance == "learned" else variance.removeprefix("fixed-")
    defaults: dict[str, Any] = {
        "sampler": {"name": "ddpm", "variance": variance},
        "spacing": "leading",
        "clip": True,
        "steps": min(250, steps),
    }
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=_schedule(kind, steps, start, end),
        parametrization=means,
        image_size=size,
        channels=channels,
        learned_variance=out == 2 * channels,
        defaults=defaults,
    )

    def place(part: Part) -> str:
        if part.kind in _SINGLE:
            return _SINGLE[part.kind]
        if part.way == "middle":
            return f"middle.{part.index}"
        at = f"{part.way}samples.level_{part.level}."
        if part.kind in ("down", "up"):
            return f"{at}{blocks + (part.kind == 'up')}"
        return f"{at}{part.index}" + (f".{int(part.kind == 'attention')}" if part.level in attended else "")

    return Found(
        "tqch",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(renames(config, place, _INSIDE)),
        settings.finish(_IGNORED, whole=True),
        notes,
    )


def _schedule(kind: str, steps: int, start: float, end: float) -> NoiseSchedule:
    if _SCHEDULES[kind]:
        return named(_SCHEDULES[kind], steps, start, end)
    flat = named("const", steps, start, end).betas().tolist()
    rising = int(steps * int(kind.removeprefix("warmup")) / 100)
    return Table(
        values=tuple([start + (end - start) * k / max(rising - 1, 1) for k in range(rising)] + flat[rising:])
    )


READER = Reader(
    title="tqch/ddpm-torch",
    sentinels=("in_conv.weight", "embed.0.weight", "out_conv.2.weight"),
    describe=describe,
    ambiguous=(
        (("beta_schedule",), (("linear",), ("quad",))),
        (("model_mean_type",), (("eps",), ("x_0",), ("mean",))),
    ),
)
