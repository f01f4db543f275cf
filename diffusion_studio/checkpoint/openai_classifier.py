"""The noisy classifiers of OpenAI's guided-diffusion (EncoderUNetModel with attention pooling)."""

from __future__ import annotations

import math

from ..diffusion.schedule import Cosine
from ..errors import CheckpointError, OptionError
from ..networks.classifier_config import ClassifierConfig
from . import openai
from .classifier_spec import ClassifierSpec
from .facts import IDLE, Fact, Settings
from .noise import rescaled_linear
from .reader import Found, Reader, Source
from .renames import Rename, parts, renames

_POOL = "out.2"
# Published files by (channels, blocks, multipliers), with the schedule of the models they guide (README).
_PRESETS = {
    "64x64_classifier": ((128, 4, (1, 2, 3, 4)), {"noise_schedule": "cosine"}),
    "128x128_classifier": ((128, 2, (1, 1, 2, 3, 4)), {"noise_schedule": "linear"}),
    "256x256_classifier": ((128, 2, (1, 1, 2, 2, 4, 4)), {"noise_schedule": "linear"}),
    "512x512_classifier": ((128, 2, (0.5, 1, 1, 2, 2, 4, 4)), {"noise_schedule": "linear"}),
}
_IGNORED = (
    *openai.TRAINING,
    "classifier_use_fp16",
    "classifier_scale",
    "classifier_path",
    "learn_sigma",
    "timestep_respacing",
    "predict_xstart",
    "use_ddim",
    "class_cond",
    "clip_denoised",
    "sigma_small",
)
# Flags of classifier_sample.py that belong to the guided model.
_MODELS = (
    "num_channels",
    "num_res_blocks",
    "num_heads",
    "num_heads_upsample",
    "num_head_channels",
    "attention_resolutions",
    "channel_mult",
    "use_scale_shift_norm",
    "resblock_updown",
    "use_new_attention_order",
)


def describe(source: Source) -> Found:
    """The classifier and its process, from shapes, flags, args.json and the table of published files."""
    levels, blocks, resample = _frame(source)
    starts = [1 + level * (blocks + 1) for level in range(levels)]
    base = source.shape("time_embed.0.weight", 2)[1]
    widths = [source.shape(f"input_blocks.{k}.0.out_layers.3.weight", 4)[0] for k in starts]
    multipliers = tuple(openai.plain_number(width / base) for width in widths)
    first, channels = source.shape("input_blocks.0.0.weight", 4)[:2]
    if first != widths[0]:
        raise CheckpointError(
            f"The first convolution of {source.path.name} gives {first} channels and the first level has "
            f"{widths[0]}; only classifiers with the same number in both are supported."
        )
    attended = tuple(k for k in range(levels) if f"input_blocks.{starts[k]}.1.qkv.weight" in source.shapes)
    positions = source.shape(f"{_POOL}.positional_embedding", 2)[1] - 1
    side = math.isqrt(max(positions, 0))
    if side < 1 or side * side != positions:
        raise CheckpointError(
            f"The attention pooling of {source.path.name} has {positions} positions, which is not the area "
            "of a square. The file is damaged or of another network."
        )
    classes = source.shape(f"{_POOL}.c_proj.weight", 3)[0]
    name, preset = next(
        (
            (f"{name} by {'name and ' if name in source.path.stem else ''}shapes", flags)
            for name, (wanted, flags) in _PRESETS.items()
            if wanted == (base, blocks, multipliers)
        ),
        ("", {}),
    )
    stated = {**source.args, **source.flags}
    scripted = _MODELS if "num_channels" in stated and "model_channels" not in stated else ()
    flags, args = (
        {key: value for key, value in one.items() if key not in scripted}
        for one in (source.flags, source.args)
    )
    settings = Settings("openai-classifier", flags, args, preset, name)
    size = settings.inferred("image_size", side * 2 ** (levels - 1))
    settings.inferred("classifier_width", base)
    settings.inferred("classifier_depth", blocks)
    openai.compare_list(settings, "channel_mult", list(multipliers))
    openai.compare_list(
        settings,
        "classifier_attention_resolutions",
        sorted((size // 2**k for k in attended), reverse=True),
        size,
        levels,
    )
    rows = source.shape(f"input_blocks.{starts[0]}.0.emb_layers.1.weight", 2)[0]
    scaled = settings.inferred("classifier_use_scale_shift_norm", rows == 2 * widths[0])
    settings.inferred("classifier_resblock_updown", resample == "residual")
    settings.inferred("classifier_pool", "attention")
    for other, value in (
        ("model_channels", base),
        ("num_res_blocks", blocks),
        ("in_channels", channels),
        ("out_channels", classes),
        ("pool", "attention"),
        ("use_scale_shift_norm", scaled),
        ("resblock_updown", resample == "residual"),
    ):
        settings.check(other, value)
    settings.check("conv_resample", resample == "conv" or settings.text_of("conv_resample") == "True")
    if settings.text_of("attention_resolutions"):
        openai.compare_list(
            settings,
            "attention_resolutions",
            sorted((size // 2**k for k in attended), reverse=True),
            size,
            levels,
        )
    seeing = [widths[-1], *(widths[k] for k in attended)]
    per_head = settings.read(
        "num_head_channels", next(n for n in range(64, 0, -1) if all(width % n == 0 for width in seeing))
    )
    # the numbers of heads have an effect only if the channels per head are not given
    ignored = (
        *_IGNORED,
        *(
            ("num_heads", "num_heads_upsample")
            if settings.text_of("num_head_channels") not in ("", "-1")
            else ()
        ),
    )
    order = "" if settings.read("use_new_attention_order", False) else "legacy"
    steps = settings.read("diffusion_steps", 1000)
    if not 1 <= steps <= 100_000:
        raise OptionError(
            "diffusion_steps", f"must be the training timesteps, from 1 to 100,000, got {steps}."
        )
    kind = settings.read("noise_schedule", "linear", choices=("linear", "cosine"))
    if settings.read("rescale_timesteps", False) and steps != 1000:
        raise OptionError(
            "rescale_timesteps",
            "rescale_timesteps is supported for 1000 timesteps only: the classifier takes t unscaled.",
        )
    config = ClassifierConfig(
        in_channels=channels,
        classes=classes,
        size=size,
        channels=base,
        multipliers=multipliers,
        blocks=blocks,
        attention_levels=attended,
        head_channels=per_head,
        conditioning="scale_shift" if scaled else "add",
        resample=resample,
    )
    spec = ClassifierSpec(
        name=source.name,
        network=config,
        labels=tuple(f"class {k}" for k in range(classes)),
        schedule=Cosine(steps) if kind == "cosine" else rescaled_linear(steps),
    )
    notes = ("it guides a diffusion model and draws nothing itself: ds.load_classifier opens it",)
    return Found(
        "openai-classifier",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(_renames(config, order)),
        (
            *settings.finish(ignored, whole=True),
            *(Fact(key, stated[key], IDLE) for key in scripted if key in stated),
        ),
        notes,
    )


def _frame(source: Source) -> tuple[int, int, str]:
    """The number of levels, blocks per level, and kind of resampling, from the numbers of input blocks."""
    total = 1
    while any(f"input_blocks.{total}.0.{one}.weight" in source.shapes for one in ("in_layers.0", "op")):
        total += 1
    # between levels there is a strided convolution or a residual block; `_levels_fit` recognises the latter
    strided = [k for k in range(1, total) if f"input_blocks.{k}.0.op.weight" in source.shapes]
    if strided:
        blocks, levels = strided[0] - 1, 1 + len(strided)
    else:
        blocks = next(
            (one for one in range(1, 17) if total % (one + 1) == 0 and _levels_fit(source, total, one)), 0
        )
        levels = total // (blocks + 1) if blocks else 0
    if not blocks or total != levels * (blocks + 1):
        raise CheckpointError(
            f"{source.path.name} has {total} input blocks, which no classifier of this layout has. It may be "
            "cut short."
        )
    return levels, blocks, "conv" if strided else "residual"


def _levels_fit(source: Source, total: int, blocks: int) -> bool:
    """Whether input blocks 1 + blocks, 2 + 2 blocks, ... may be those that downsample.

    Such blocks keep the width and have no attention, and all blocks of a level have the same width.
    """

    def outer(k: int) -> tuple[int, int]:
        out, inner = source.shape(f"input_blocks.{k}.0.in_layers.2.weight", 4)[:2]
        return inner, out

    halving = range(1 + blocks, total, blocks + 1)
    return all(
        len(set(outer(k))) == 1 and f"input_blocks.{k}.1.qkv.weight" not in source.shapes for k in halving
    ) and all(
        len({f"input_blocks.{k}.1.qkv.weight" in source.shapes for k in range(at - blocks, at)}) == 1
        and len({outer(k)[1] for k in range(at - blocks, at)}) == 1
        for at in (*halving, total)
    )


def _renames(config: ClassifierConfig, order: str) -> list[Rename]:
    """The renames of the U-Net's down path and middle, then those of the attention pooling."""
    body = config.body
    kept = {part.ours for part in parts(body) if part.way != "up" and part.kind != "conv_out"}
    found = [
        one
        for one in renames(body, openai.place, openai.INSIDE, order)
        if any(one.ours.startswith(f"{part}.") for part in kept)
    ]
    for ours, theirs, rows in (
        ("query", "qkv_proj", "first third"),
        ("key_value", "qkv_proj", "other thirds"),
        ("out", "c_proj", ""),
    ):
        found += [
            Rename(f"pool.{ours}.{leaf}", (f"{_POOL}.{theirs}.{leaf}",), rows) for leaf in ("weight", "bias")
        ]
    return [*found, Rename("pool.place", (f"{_POOL}.positional_embedding",), "transposed")]


READER = Reader(
    title="OpenAI guided-diffusion's noisy classifier",
    sentinels=("time_embed.0.weight", "input_blocks.0.0.weight", "out.2.positional_embedding"),
    describe=describe,
)
