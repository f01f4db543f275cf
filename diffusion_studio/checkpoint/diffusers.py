"""The layout of diffusers' UNet2DModel (checked against version 0.42.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..errors import CheckpointError
from ..networks.config import UNetConfig
from .diffusers_scheduler import SCHEDULER_FLAGS, Process, process_of
from .facts import FILE, PRESET, Settings, check_groups
from .reader import Found, Reader, Source
from .renames import Part, renames
from .spec import ModelSpec

_BLOCK = {
    "norm1": ("norm1",),
    "conv1": ("conv1",),
    "emb": ("time_emb_proj",),
    "norm2": ("norm2",),
    "conv2": ("conv2",),
    "skip": ("conv_shortcut",),
}
_RESAMPLE = {**_BLOCK, "conv": ("conv",)}
INSIDE = {
    "block": _BLOCK,
    "down": _RESAMPLE,
    "up": _RESAMPLE,
    "attention": {"norm": ("group_norm",), "qkv": ("to_q", "to_k", "to_v"), "out": ("to_out.0",)},
    "time": {"0": ("linear_1",), "2": ("linear_2",)},
    "label": {"": ("",), "0": ("linear_1",), "2": ("linear_2",)},
    "conv_in": {"": ("",)},
    "norm_out": {"": ("",)},
    "conv_out": {"": ("",)},
}
_SINGLE = {"time": "time_embedding", "label": "class_embedding", "norm_out": "conv_norm_out"}
# Channels and blocks of google's DDPM files, which have the old names of attention tensors.
_GOOGLE = {((128, 256, 256, 256), 2): 32, ((128, 128, 256, 256, 512, 512), 2): 256}
_GOOGLE_PRESET = {
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
# Hugging Face's diffusion course, unit 2: classes are further input channels of a UNet2DModel named model.
_COURSE_TABLE = "class_emb.weight"
_COURSE_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
}
# Names in a config.json that have no effect here: of training and EMA, and of values that shapes determine.
IGNORED = (
    "dropout",
    "downsample_type",
    "upsample_type",
    "num_train_timesteps",
    "decay",
    "inv_gamma",
    "min_decay",
    "id2label",
    "optimization_step",
    "power",
    "update_after_step",
    "use_ema_warmup",
)
MAX_CLASSES = 100_000


def place(part: Part, last: int) -> str:
    """The name in diffusers of a part of the U-Net; `last` is the number of the coarsest level."""
    if part.kind in _SINGLE:
        return _SINGLE[part.kind]
    if not part.way:
        return part.ours
    if part.way == "middle":
        return (
            "mid_block.attentions.0"
            if part.kind == "attention"
            else f"mid_block.resnets.{int(part.index > 0)}"
        )
    at = f"{part.way}_blocks.{part.level if part.way == 'down' else last - part.level}"
    if part.kind in ("down", "up"):
        return f"{at}.{part.kind}samplers.0"
    return f"{at}.{'attentions' if part.kind == 'attention' else 'resnets'}.{part.index}"


def describe(source: Source) -> Found:
    """The network and its process, from config.json, scheduler_config.json, flags and shapes."""
    _check_block_types(source)
    source, s = without_extras(source), source.shapes
    levels = source.count("down_blocks.{}.resnets.0.norm1.weight")
    widths = tuple(source.shape(f"down_blocks.{k}.resnets.0.conv1.weight", 4)[0] for k in range(levels))
    blocks = source.count("down_blocks.0.resnets.{}.norm1.weight")
    google = _GOOGLE.get((widths, blocks)) if source.aliased else None
    mine = {name: value for name, value in source.flags.items() if name not in SCHEDULER_FLAGS}
    settings = Settings(
        "diffusers", mine, source.config, _GOOGLE_PRESET if google else {}, "google/ddpm by shapes"
    )
    widths = settings.inferred("block_out_channels", list(widths)) and widths
    if source.shape("conv_in.weight", 4)[0] != widths[0]:
        raise CheckpointError(
            f"In {source.path.name} conv_in and the first level differ in width, which UNet2DModel does not "
            "have. The file is damaged or of another network."
        )
    settings.inferred("layers_per_block", blocks)
    taken, out = source.shape("conv_in.weight", 4)[1], source.shape("conv_out.weight", 4)[0]
    settings.inferred("in_channels", taken)
    settings.inferred("out_channels", out)
    planes = source.shape(_COURSE_TABLE, 2)[1] if _COURSE_TABLE in s else 0
    channels = taken - planes
    if channels not in (1, 3):
        raise CheckpointError(
            f"{source.path.name} takes {taken} channels and gives {out}: it needs a further input besides "
            "the picture (a class, a mask, another picture) that no tensor in the file computes. If its "
            f"program has a table of classes beside the network ({_COURSE_TABLE}), save both together."
        )

    def levels_with_attention(way: str) -> tuple[int, ...]:
        found = [k for k in range(levels) if f"{way}_blocks.{k}.attentions.0.to_q.weight" in s]
        return tuple(found if way == "down" else sorted(levels - 1 - k for k in found))

    resample = _resample(source, levels)
    plain = {"conv": "", "residual": "Resnet"}[resample]
    for way in ("down", "up"):
        names = []
        for level in range(levels) if way == "down" else reversed(range(levels)):
            kind = "Attn" if level in levels_with_attention(way) else plain
            suffix = (
                {"down": "DownsampleBlock2D", "up": "UpsampleBlock2D"}
                if kind == "Resnet"
                else {"down": "DownBlock2D", "up": "UpBlock2D"}
            )
            names.append(kind + suffix[way])
        _check_types(settings, source, f"{way}_block_types", names)
    rows = source.shape("down_blocks.0.resnets.0.time_emb_proj.weight", 2)[0]
    scaled = (
        settings.inferred("resnet_time_scale_shift", "scale_shift" if rows == 2 * widths[0] else "default")
        == "scale_shift"
    )
    middle = (
        "attention"
        if "mid_block.attentions.0.to_q.weight" in s
        else "residual"
        if "mid_block.resnets.0.conv1.weight" in s
        else "none"
    )
    embedding = source.shape("time_embedding.linear_1.weight", 2)[0]
    check_frame(settings, middle, embedding, "positional")

    head = settings.read("attention_head_dim", _first_divisor((8, 4, 2, 1), widths), absent=8, optional=True)
    groups = (
        settings.read("norm_num_groups", _first_divisor(range(32, 0, -1), widths), absent=32, optional=True)
        or 32
    )
    check_groups("norm_num_groups", groups, widths, source.path.name)
    bare = middle == "attention" and "mid_block.attentions.0.group_norm.weight" not in s
    middle_groups = 0 if bare else settings.read("attn_norm_num_groups", None, absent=None)
    check_groups("attn_norm_num_groups", middle_groups or 1, widths[-1:], source.path.name)
    if middle_groups == groups:
        middle_groups = None
    padding = settings.read("downsample_padding", 1, absent=1, choices=(0, 1))
    act = settings.read("act_fn", "silu", absent="silu")
    if act not in ("silu", "swish"):
        raise CheckpointError(
            f"{source.path.name} has the activation {act[:80]!r} (act_fn); only silu is supported."
        )
    pixels = picture_size(
        source, settings, 28 if planes and channels == 1 else google or {6: 128, 5: 64}.get(levels, 32)
    )
    names, label = labels(source, settings)
    config = UNetConfig(
        in_channels=channels,
        out_channels=out,
        channels=widths[0],
        multipliers=tuple(w / widths[0] for w in widths),
        blocks=blocks,
        attention_levels=levels_with_attention("down"),
        up_attention_levels=None
        if levels_with_attention("up") == levels_with_attention("down")
        else levels_with_attention("up"),
        head_channels=head,
        conditioning="scale_shift" if scaled else "add",
        resample=resample,
        downsample_padding="both" if padding else "end",
        norm_groups=groups,
        norm_eps=settings.read("norm_eps", 1e-5, absent=1e-5),
        time_order="cos_sin" if settings.read("flip_sin_to_cos", True, absent=True) else "sin_cos",
        time_shift=settings.read("freq_shift", 0, absent=0),
        middle=middle,
        middle_groups=middle_groups,
        middle_scale=settings.read("mid_block_scale_factor", 1.0, absent=1.0),
        embedding_channels=None if embedding == 4 * widths[0] else embedding,
        center_input=settings.read("center_input_sample", False, absent=False),
        **label,
    )
    if planes and config.center_input:
        raise CheckpointError(
            f"{source.path.name} centres its input (center_input_sample) together with the channels of its "
            "class, which is not supported."
        )
    process = (
        _course_process(source) if planes else process_of(source.scheduler, source.flags, out == 2 * channels)
    )
    notes, defaults = process.notes, process.defaults
    if google and "norm_eps" not in source.config:
        notes.append(
            "the settings of google's DDPM files are used, because channels and the old names of attention "
            "tensors are theirs"
        )
    if names:
        defaults["label"] = names[0]
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=process.schedule,
        parametrization=process.parametrization,
        sigma_data=process.sigma_data,
        image_size=pixels,
        channels=channels,
        learned_variance=out == 2 * channels,
        labels=names,
        defaults=defaults,
    )
    renamed = renames(
        config,
        lambda part: (
            _COURSE_TABLE.rpartition(".")[0] if planes and part.kind == "label" else place(part, levels - 1)
        ),
        INSIDE,
    )
    return Found(
        "diffusers",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(renamed),
        settings.finish(IGNORED, whole=True) + process.facts,
        tuple(notes),
    )


def without_extras(source: Source) -> Source:
    """The source without flags of a pasted config.json that have no effect.

    These are the class, and a num_train_timesteps of None.
    """
    flags = {name: value for name, value in source.flags.items() if not name.startswith("_")}
    if str(flags.get("num_train_timesteps", "")).lower() in ("none", "null"):
        del flags["num_train_timesteps"]
    return replace(source, flags=flags)


def check_frame(settings: Settings, middle: str, embedding: int, time: str) -> None:
    """Check settings that the shapes determine and that are not read elsewhere."""
    settings.check("mid_block_type", None if middle == "none" else "UNetMidBlock2D", none_says_none=True)
    if middle != "none":
        settings.check("add_attention", middle == "attention")
    settings.check("time_embedding_dim", embedding)
    settings.check("time_embedding_type", time)


def _resample(source: Source, levels: int) -> str:
    """How all levels change size: "residual" or "conv". Raises `CheckpointError` for anything else."""
    found = set()
    for way, last in (("down", levels - 1), ("up", levels - 1)):
        for k in range(last):
            at = f"{way}_blocks.{k}.{way}samplers.0"
            found.add(
                "residual"
                if f"{at}.norm1.weight" in source.shapes
                else "conv"
                if f"{at}.conv.weight" in source.shapes
                else "nothing"
            )
    if len(found) > 1 or "nothing" in found:
        raise CheckpointError(
            f"The levels of {source.path.name} change size in different ways ({', '.join(sorted(found))}). "
            "Only convolutions at all levels, or residual blocks at all levels, are supported."
        )
    return found.pop() if found else "conv"


def _check_types(settings: Settings, source: Source, name: str, names: list[str]) -> None:
    """Check block types against those that the shapes determine.

    The last level has no resampling, so types that differ only in their resampling are the same there.
    """

    def plain_kind(kind: str) -> str:
        return (
            str(kind)
            .replace("ResnetDownsampleBlock2D", "DownBlock2D")
            .replace("ResnetUpsampleBlock2D", "UpBlock2D")
        )

    given = source.config.get(name)
    if isinstance(given, list) and [plain_kind(one) for one in given] == [plain_kind(one) for one in names]:
        names = given
    settings.inferred(name, names)


def picture_size(source: Source, settings: Settings, assumed: int) -> int:
    """Height and width of the pictures. Raises `CheckpointError` for pictures that are not square."""
    size = source.config.get("sample_size")
    if "sample_size" in source.flags or not isinstance(size, list):
        given = settings.read("sample_size", assumed, optional=True)
        return given or settings.assume("sample_size", assumed)  # null: the network has no fixed size
    if len(size) != 2 or size[0] != size[1] or type(size[0]) is not int:
        raise CheckpointError(
            f"The pictures of this model are {str(size)[:80]}; only square ones are supported. Give another "
            "size with the flag sample_size."
        )
    settings.inferred("sample_size", size)
    return size[0]


def _first_divisor(candidates: Iterable[int], widths: tuple[int, ...]) -> int:
    return next(one for one in candidates if all(width % one == 0 for width in widths))


def labels(source: Source, settings: Settings) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the classes, and the fields of `UNetConfig` that describe how they are embedded."""
    if _COURSE_TABLE in source.shapes:
        count, width = source.shape(_COURSE_TABLE, 2)
        settings.check("num_class_embeds", None)
        settings.check("class_embed_type", None)
        return tuple(f"class {k}" for k in range(count)), {
            "classes": count,
            "class_embedding": "channels",
            "class_channels": width,
        }
    if "class_embedding.weight" in source.shapes:
        settings.inferred(
            "num_class_embeds", source.shape("class_embedding.weight", 2)[0], none_says_none=True
        )
        settings.check("class_embed_type", None)
        count, kind = source.shapes["class_embedding.weight"][0], "table"
    elif "class_embedding.linear_1.weight" in source.shapes:
        settings.inferred("class_embed_type", "timestep")
        count, kind = settings.read("num_class_embeds", 1000, optional=True) or 1000, "sinusoidal"
        if not 1 <= count <= MAX_CLASSES:
            raise CheckpointError(
                f"num_class_embeds must be from 1 to {MAX_CLASSES:,}, got {count:,}. No tensor tells how "
                "many classes there are; give the flag num_class_embeds."
            )
    else:
        settings.check("num_class_embeds", None)
        settings.check("class_embed_type", None)
        return (), {}
    null = settings.read("null_class", False)
    given = source.config.get("id2label")
    known = given if isinstance(given, dict) else {}
    names = tuple(str(known.get(str(k), f"class {k}")) for k in range(count - null))
    return names, {"classes": count - null, "null_class": null, "class_embedding": kind}


def _course_process(source: Source) -> Process:
    """The process of the scheduler, or of the course's notebook if there is no scheduler."""
    if source.scheduler:
        return process_of(source.scheduler, source.flags, False)
    found = process_of(_COURSE_SCHEDULER, source.flags, False)
    found.facts = tuple(
        replace(one, source=f"{PRESET} diffusion course") if one.source.startswith(FILE) else one
        for one in found.facts
    )
    found.notes.append(
        "its classes are further input channels, as in Hugging Face's diffusion course: the scheduler of "
        "that course's notebook is used (1000 timesteps, squaredcos_cap_v2)"
    )
    return found


def _check_block_types(source: Source) -> None:
    kinds = []
    for name in ("down_block_types", "up_block_types"):
        given = source.config.get(name)
        kinds += given if isinstance(given, list) else []
    if (
        any("Skip" in str(kind) for kind in kinds)
        or source.config.get("time_embedding_type") == "fourier"
        or source.shapes.get("time_proj.weight", ())
        and len(source.shapes["time_proj.weight"]) == 1
    ):
        raise CheckpointError(
            f"{source.path.name} mixes parts of NCSN++ (Skip blocks, Fourier embedding) with others. NCSN++ "
            "is supported only if all levels are Skip blocks."
        )
    if (
        source.config.get("time_embedding_type", "positional") != "positional"
        or "time_proj.weight" in source.shapes
    ):
        raise CheckpointError(
            f"{source.path.name} embeds time by a learned table; only sines and cosines are supported."
        )
    if source.config.get("class_embed_type") == "identity":
        raise CheckpointError(
            f"{source.path.name} takes class embeddings as input (class_embed_type identity), and no file "
            "here computes them."
        )


READER = Reader(
    title="diffusers UNet2DModel",
    sentinels=("conv_in.weight", "time_embedding.linear_1.weight", "down_blocks.0.resnets.0.norm1.weight"),
    describe=describe,
    aliases=(
        (".Conv2d_0.", ".conv."),
        (".query.", ".to_q."),
        (".key.", ".to_k."),
        (".value.", ".to_v."),
        (".proj_attn.", ".to_out.0."),
    ),
    outside=(_COURSE_TABLE,),
    ambiguous=(
        (("attention_head_dim",), ((None,), (4,), (8,), (16,), (32,), (64,))),
        (("flip_sin_to_cos", "freq_shift"), ((True, 0), (False, 1), (True, 1), (False, 0))),
        (("downsample_padding",), ((1,), (0,))),
        (("norm_num_groups",), ((32,), (16,), (8,), (4,))),
        (
            ("beta_schedule", "prediction_type"),
            tuple(
                (kind, means)
                for kind in ("linear", "squaredcos_cap_v2", "scaled_linear", "sigmoid")
                for means in ("epsilon", "v_prediction", "sample")
            ),
        ),
    ),
)
