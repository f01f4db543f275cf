"""The layout of OpenAI's improved-diffusion (2021) and guided-diffusion (ADM, 2021)."""

from __future__ import annotations

import math
from typing import Any

from ..diffusion.schedule import Cosine
from ..errors import CheckpointError, OptionError
from ..networks.config import UNetConfig
from .facts import Settings, check_groups, parsed
from .noise import rescaled_linear
from .reader import Found, Reader, Source
from .renames import Part, renames
from .spec import ModelSpec

_BLOCK = {
    "norm1": ("in_layers.0",),
    "conv1": ("in_layers.2",),
    "emb": ("emb_layers.1",),
    "norm2": ("out_layers.0",),
    "conv2": ("out_layers.3",),
    "skip": ("skip_connection",),
}
INSIDE = {
    "block": _BLOCK,
    "down": {**_BLOCK, "conv": ("op",)},
    "up": {**_BLOCK, "conv": ("conv",)},
    "attention": {"norm": ("norm",), "qkv": ("qkv",), "out": ("proj_out",)},
    "time": {"0": ("0",), "2": ("2",)},
    "label": {"": ("",)},
    "conv_in": {"": ("",)},
    "norm_out": {"": ("",)},
    "conv_out": {"": ("",)},
}
_SINGLE = {
    "time": "time_embed",
    "label": "label_emb",
    "conv_in": "input_blocks.0.0",
    "norm_out": "out.0",
    "conv_out": "out.2",
}
_SIZES: dict[tuple[float, ...], int] = {
    (1, 2, 2, 2): 32,
    (1, 2, 3, 4): 64,
    (1, 1, 2, 3, 4): 128,
    (1, 1, 2, 2, 4, 4): 256,
    (0.5, 1, 1, 2, 2, 4, 4): 512,
}
# Published files: their shapes, and the flags in their READMEs that shapes do not determine.
# name: (channels, blocks, multipliers, residual resampling, classes), flags
_IMPROVED = {"num_heads": 4, "noise_schedule": "cosine", "diffusion_steps": 4000}
_ADM = {"num_head_channels": 64, "noise_schedule": "linear"}
_PRESETS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "64x64_diffusion": (
        (192, 3, (1, 2, 3, 4), True, True),
        {"num_head_channels": 64, "use_new_attention_order": True, "noise_schedule": "cosine"},
    ),
    "128x128_diffusion": (
        (256, 2, (1, 1, 2, 3, 4), True, True),
        {"num_heads": 4, "noise_schedule": "linear"},
    ),
    "256x256_diffusion": ((256, 2, (1, 1, 2, 2, 4, 4), True, True), _ADM),
    "256x256_diffusion_uncond": ((256, 2, (1, 1, 2, 2, 4, 4), True, False), _ADM),
    "512x512_diffusion": ((256, 2, (0.5, 1, 1, 2, 2, 4, 4), True, True), _ADM),
    "cifar10_uncond": ((128, 3, (1, 2, 2, 2), False, False), {**_IMPROVED, "rescale_timesteps": True}),
    "imagenet64_uncond": ((128, 3, (1, 2, 3, 4), False, False), {**_IMPROVED, "rescale_timesteps": True}),
    "imagenet64_cond": ((192, 3, (1, 2, 3, 4), False, True), {**_IMPROVED, "rescale_timesteps": False}),
    # for super-resolution models the shapes include the levels with attention
    "64_256_upsampler": (
        (192, 2, (1, 1, 2, 2, 4, 4), True, True, (3, 4, 5)),
        {"num_heads": 4, "noise_schedule": "linear"},
    ),
    "128_512_upsampler": (
        (192, 2, (1, 1, 2, 2, 4, 4), True, True, (4, 5)),
        {**_ADM, "large_size": 512, "small_size": 128},
    ),
    "upsample_cond_500K": (
        (192, 2, (1, 1, 2, 2, 4, 4), False, True, (4, 5)),
        {**_IMPROVED, "noise_schedule": "linear", "rescale_timesteps": False},
    ),
    "lsun_uncond": ((128, 2, (1, 1, 2, 2, 4, 4), False, False), {"num_heads": 1, "noise_schedule": "linear"}),
}
# Names in the original scripts and classes without effect here: training, speed, files.
TRAINING = (
    "dropout",
    "use_fp16",
    "use_checkpoint",
    "use_kl",
    "rescale_learned_sigmas",
    "batch_size",
    "num_samples",
    "model_path",
    "lr",
    "microbatch",
    "ema_rate",
    "log_interval",
    "save_interval",
    "schedule_sampler",
    "weight_decay",
    "data_dir",
    "lr_anneal_steps",
    "resume_checkpoint",
    "fp16_scale_growth",
    "iterations",
    "anneal_lr",
    "noised",
    "val_data_dir",
    "eval_interval",
    "base_samples",
    "dims",
    "overwrite",
    "type",
    "seed",
)
_IGNORED = (
    *TRAINING,
    "classifier_path",
    "classifier_scale",
    "classifier_depth",
    "classifier_use_fp16",
    "classifier_width",
    "classifier_attention_resolutions",
    "classifier_use_scale_shift_norm",
    "classifier_resblock_updown",
    "classifier_pool",
)


def place(part: Part) -> str:
    """The name in OpenAI's programs of a part of the U-Net."""
    if part.kind in _SINGLE:
        return _SINGLE[part.kind]
    if part.way == "middle":
        return f"middle_block.{part.index}"
    blocks = {"down": "input_blocks", "up": "output_blocks"}[part.way]
    inner = {"block": 0, "attention": 1, "down": 0, "up": 1 + part.after_attention}[part.kind]
    return f"{blocks}.{part.number}.{inner}"


def describe(source: Source) -> Found:
    """The network and its process, from shapes, flags, args.json and the table of published files."""
    levels, blocks, resample = _frame(source)
    base = source.shape("time_embed.0.weight", 2)[1]
    starts = [1 + level * (blocks + 1) for level in range(levels)]
    widths = [source.shape(f"input_blocks.{k}.0.out_layers.3.weight", 4)[0] for k in starts]
    multipliers = tuple(plain_number(width / base) for width in widths)
    first, taken = source.shape("input_blocks.0.0.weight", 4)[:2]
    channels = {2: 1, 6: 3}.get(taken, taken)  # super-resolution models also take the small picture
    if first != widths[0]:
        raise CheckpointError(
            f"The first convolution of {source.path.name} gives {first} channels and the first level has "
            f"{widths[0]}; only networks with the same number in both are supported."
        )
    out = source.shape("out.2.weight", 4)[0]
    attended = tuple(k for k in range(levels) if f"input_blocks.{starts[k]}.1.qkv.weight" in source.shapes)
    rising = tuple(
        k
        for k in range(levels)
        if f"output_blocks.{(levels - 1 - k) * (blocks + 1)}.1.qkv.weight" in source.shapes
    )
    classes = source.shape("label_emb.weight", 2)[0] if "label_emb.weight" in source.shapes else None
    shape: tuple[Any, ...] = (base, blocks, multipliers, resample == "residual", classes is not None)
    name, preset = _preset(source.path.stem, shape if taken == channels else (*shape, attended))
    settings = Settings("openai", source.flags, source.args, preset, name)

    usual = _SIZES.get(multipliers, 2 ** (levels + 2))
    if taken == channels:
        size, small = settings.read("image_size", usual), None
    else:
        size = settings.read("large_size", usual)
        small = settings.read("small_size", max(size // 4, 1))
    settings.inferred("num_channels", base)
    settings.check("model_channels", base)
    settings.check(
        "in_channels",
        channels if small is not None and settings.text_of("in_channels") == str(channels) else taken,
    )
    settings.check("out_channels", out)
    settings.check("num_classes", classes, none_says_none=True)
    settings.check(
        "conv_resample",
        resample == "conv" or (resample == "residual" and settings.text_of("conv_resample") == "True"),
    )
    settings.inferred("num_res_blocks", blocks)
    compare_list(settings, "channel_mult", list(multipliers))
    compare_list(
        settings,
        "attention_resolutions",
        sorted((size // 2**k for k in attended), reverse=True),
        size,
        levels,
    )
    settings.inferred("learn_sigma", out == 2 * channels)
    settings.inferred("class_cond", classes is not None)
    rows = source.shape(f"input_blocks.{starts[0]}.0.emb_layers.1.weight", 2)[0]
    settings.inferred("use_scale_shift_norm", rows == 2 * widths[0])
    settings.inferred("resblock_updown", resample == "residual")

    steps = settings.read("diffusion_steps", 1000)
    if size < 1:
        raise OptionError(
            "image_size" if small is None else "large_size",
            f"must be the width of the pictures in pixels, at least 1, got {size}.",
        )
    if steps < 1:
        raise OptionError("diffusion_steps", f"must be the training timesteps, at least 1, got {steps}.")
    per_head = settings.read("num_head_channels", -1)
    heads = settings.read("num_heads", 4)
    if settings.read("num_heads_upsample", -1) not in (-1, heads) and per_head == -1:
        raise OptionError(
            "num_heads_upsample",
            "num_heads_upsample differs from num_heads; only networks with the same number of heads on both "
            "paths are supported.",
        )
    rows_order = "" if settings.read("use_new_attention_order", False) else "legacy"
    groups = settings.read(
        "norm_groups", next(g for g in range(32, 0, -1) if all(w % g == 0 for w in widths))
    )
    check_groups("norm_groups", groups, widths, source.path.name)
    null = settings.read("null_class", False) and classes is not None
    clips = settings.read("clip_denoised", True) if settings.text_of("clip_denoised") else True
    rescale = settings.read("rescale_timesteps", resample != "residual" and steps != 1000)
    kind = settings.read("noise_schedule", "linear", choices=("linear", "cosine"))
    means = "x0" if settings.read("predict_xstart", False) else "eps"
    least = settings.read("sigma_small", False)
    config = UNetConfig(
        in_channels=taken,
        out_channels=out,
        channels=base,
        multipliers=multipliers,
        blocks=blocks,
        attention_levels=attended,
        up_attention_levels=None if rising == attended else rising,
        heads=heads,
        head_channels=None if per_head == -1 else per_head,
        conditioning="scale_shift" if rows == 2 * widths[0] else "add",
        resample=resample,
        norm_groups=groups,
        classes=None if classes is None else classes - null,
        null_class=null,
        time_scale=1000 / steps if rescale else 1.0,
    )
    labels = tuple(f"class {k}" for k in range((classes or 0) - null))
    variance = "learned" if out == 2 * channels else "small" if least else "large"
    defaults: dict[str, Any] = {
        "sampler": {"name": "ddpm", "variance": variance},
        "spacing": "linspace",
        "clip": clips,
        "steps": min(250, steps),
    }
    _respaced(defaults, settings.read("timestep_respacing", ""), bool(settings.read("use_ddim", False)))
    if labels:
        defaults["label"] = labels[0]
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=Cosine(steps) if kind == "cosine" else rescaled_linear(steps),
        parametrization=means,
        image_size=size,
        channels=channels,
        learned_variance=out == 2 * channels,
        low_res=small,
        labels=labels,
        defaults=defaults,
    )
    notes = (
        []
        if not name or "by name" in name
        else [
            f"its shapes are those of the published {name.split()[0]}, whose settings are used: "
            + ", ".join(f"{key} {value}" for key, value in preset.items())
        ]
    )
    if not rows_order or "use_new_attention_order" not in (*source.flags, *source.args, *preset):
        notes.append(
            "the file does not show the order of qkv's rows, and the wrong order gives garbage. If the "
            "pictures are garbage, change the flag use_new_attention_order, then num_heads"
        )
    made = renames(config, place, INSIDE, rows_order)
    return Found(
        "openai",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(made),
        settings.finish(_IGNORED, whole=True),
        tuple(notes),
    )


def _frame(source: Source) -> tuple[int, int, str]:
    """The number of levels, blocks per level, and kind of resampling, from the numbers of blocks."""
    if any(".encoder_kv." in name or ".attn2." in name for name in source.shapes):
        raise CheckpointError(
            f"{source.path.name} takes texts (GLIDE or latent diffusion); in this layout only networks "
            "without text are supported."
        )
    total = source.count("output_blocks.{}.0.in_layers.0.weight")
    if not total:
        raise CheckpointError(
            f"{source.path.name} has OpenAI's input blocks and no output blocks: it is a noisy classifier or "
            "another encoder, and not a diffusion model."
        )
    ups = {
        kind: sum(
            f"output_blocks.{k}.{at}.{inner}.weight" in source.shapes for k in range(total) for at in (1, 2)
        )
        for kind, inner in (("residual", "in_layers.0"), ("conv", "conv"))
    }
    gaps = [
        k
        for k in range(1, total)
        if f"input_blocks.{k}.0.in_layers.0.weight" not in source.shapes
        and f"input_blocks.{k}.0.op.weight" not in source.shapes
    ]
    resample = "residual" if ups["residual"] else "conv" if ups["conv"] or not gaps else "plain"
    levels = 1 + (len(gaps) if resample == "plain" else ups[resample])
    if total % levels or total // levels < 2:
        raise CheckpointError(
            f"{source.path.name} has {total} output blocks on {levels} levels, which no network of this "
            "layout has. It may be cut short."
        )
    return levels, total // levels - 1, resample


def _preset(stem: str, shape: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    """The published file with these shapes, in words, and the flags of its README."""
    for name, (wanted, flags) in _PRESETS.items():
        if wanted == shape:
            return f"{name} by {'name and ' if name in stem else ''}shapes", flags
    return "", {}


def compare_list(settings: Settings, name: str, wanted: list, size: int = 0, levels: int = 0) -> None:
    """Check flags and configuration for a comma-separated list that the shapes determine, and record it.

    With `size` the list holds resolutions. They may also be given as factors by which they are smaller than
    the picture, as the network's class takes them. Resolutions of no level are ignored. Raises `OptionError`
    or `CheckpointError`.
    """
    for given in (settings.flags, settings.config):
        text = given.get(name)
        if text in (None, ""):
            continue
        read = parsed(text) if isinstance(text, str) else text
        parts = read if isinstance(read, (list, tuple)) else [read]
        try:
            values = [plain_number(float(part)) for part in parts]
        except (TypeError, ValueError, OverflowError):
            raise OptionError(
                name, f"must be a list of numbers with commas between them, got {str(text)[:80]!r}."
            ) from None
        if size and sorted(set(values)) == sorted(size // one for one in wanted if one):
            continue
        if size:
            values = sorted(
                (v for v in values if v and v in {size // 2**k for k in range(levels)}), reverse=True
            )
        if values != wanted:
            raise CheckpointError(
                f"{name} = {str(text)[:80]} was given, but the shapes of the weights say {wanted}"
                f"{f' for pictures {size} wide' if size else ''}. These are the flags of another file, or "
                "image_size is wrong."
            )
    settings.record(name, wanted)


def _respaced(defaults: dict[str, Any], text: str, ddim: bool) -> None:
    """Change the default recipe as the flags timestep_respacing (`text`) and use_ddim say."""
    digits = text.removeprefix("ddim")
    if digits.isascii() and digits.isdigit() and len(digits) < 7 and int(digits):
        defaults["steps"] = int(digits)
    if ddim or text.startswith("ddim"):
        defaults["sampler"] = {"name": "ddim"}
        defaults["spacing"] = "leading" if text.startswith("ddim") else "linspace"


def plain_number(value: float) -> float:
    """The value as an int if it is whole."""
    return int(value) if math.isfinite(value) and value == int(value) else value


READER = Reader(
    title="OpenAI improved-diffusion and guided-diffusion",
    sentinels=("time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight"),
    describe=describe,
    ambiguous=(
        (
            ("num_heads", "num_head_channels", "use_new_attention_order"),
            tuple((heads, -1, new) for heads in (1, 2, 4, 8) for new in (False, True))
            + tuple((4, channels, new) for channels in (16, 32, 64) for new in (False, True)),
        ),
        (
            ("noise_schedule", "diffusion_steps", "rescale_timesteps"),
            tuple(
                (kind, *rest)
                for kind in ("linear", "cosine")
                for rest in ((1000, False), (4000, True), (4000, False))
            ),
        ),
        (("predict_xstart",), ((False,), (True,))),
    ),
)
