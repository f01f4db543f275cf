"""The layout of EDM (Karras et al. 2022): preconditioned SongUNet (DDPM++, NCSN++) and DhariwalUNet (ADM).

It was checked against the classes of NVlabs/edm.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..diffusion.schedule import NoiseSchedule, Table, VarianceExploding, VariancePreserving
from ..errors import CheckpointError, OptionError
from ..networks.config import UNetConfig
from .facts import Settings
from .openai import compare_list, plain_number
from .reader import Found, Reader, Source
from .renames import Part, Rename, renames
from .spec import ModelSpec

PRECONDITIONINGS = ("vp", "ve", "iddpm", "edm")
_BLOCK = {
    "norm1": ("norm0",),
    "conv1": ("conv0",),
    "emb": ("affine",),
    "norm2": ("norm1",),
    "conv2": ("conv1",),
    "skip": ("skip",),
}
_INSIDE = {
    "block": _BLOCK,
    "down": _BLOCK,
    "up": _BLOCK,
    "attention": {"norm": ("norm2",), "qkv": ("qkv",), "out": ("proj",)},
    "time": {"0": ("map_layer0",), "2": ("map_layer1",)},
    "label": {"": ("",)},
    "input": {"conv": ("",)},
    "output": {"norm": ("aux_norm",), "conv": ("aux_conv",)},
    "conv_in": {"": ("",)},
    "norm_out": {"": ("",)},
    "conv_out": {"": ("",)},
}
_UNUSED = (
    "resample_filter",
    "map_augment.weight",
)  # the filter is a formula, and augmentation labels are used in training only
_IGNORED = (
    "dropout",
    "label_dropout",
    "use_fp16",
    "duration",
    "batch",
    "lr",
    "ema",
    "augment",
    "xflip",
    "fp16",
    "ls",
    "seed",
    "outdir",
    "data",
    "bench",
    "cache",
    "workers",
    "desc",
    "nosubdir",
    "tick",
    "snap",
    "dump",
    "transfer",
    "resume",
    "dry_run",
    "batch_gpu",
    "P_mean",
    "P_std",
    "path",
    "use_labels",
    "max_size",
    "pin_memory",
    "num_workers",
    "prefetch_factor",
    "betas",
    "eps",
    "p",
    "yflip",
    "scale",
    "rotate_frac",
    "aniso",
    "translate_frac",
    "total_kimg",
    "ema_halflife_kimg",
    "batch_size",
    "loss_scaling",
    "cudnn_benchmark",
    "kimg_per_tick",
    "snapshot_ticks",
    "state_dump_ticks",
    "run_dir",
    "ema_rampup_ratio",
    "resume_pkl",
    "resume_state_dump",
    "resume_kimg",
)
_CLASSES = {"VPPrecond": "vp", "VEPrecond": "ve", "iDDPMPrecond": "iddpm", "EDMPrecond": "edm"}
_ARCHES = {"ddpmpp": (False, "positional"), "ncsnpp": (False, "fourier"), "adm": (True, None)}


@dataclass(frozen=True)
class _Frame:
    """The kind of network, its size, levels and blocks per level, from names and shapes."""

    adm: bool
    size: int
    levels: int
    blocks: int

    def at(self, level: int) -> str:
        """The size of a level in EDM's names, such as "16x16"."""
        return f"{self.size >> level}x{self.size >> level}"

    def place(self, part: Part) -> str:
        """The name in EDM of a part of the U-Net."""
        last = self.levels - 1
        if part.kind in ("time", "label"):
            return {"time": "", "label": "map_label"}[part.kind]
        if part.kind == "conv_in":
            return f"enc.{self.at(0)}_conv"
        if part.kind in ("norm_out", "conv_out"):
            return f"out_{part.kind[:-4]}" if self.adm else f"dec.{self.at(0)}_aux_{part.kind[:-4]}"
        if part.way == "middle":
            return f"dec.{self.at(last)}_in{int(part.index > 1)}"
        if part.kind == "down":
            return f"enc.{self.at(part.level + 1)}_down"
        if part.kind == "up":
            return f"dec.{self.at(part.level - 1)}_up"
        if part.kind == "input":
            return f"enc.{self.at(part.level + 1)}_aux"
        if part.kind == "output":
            return f"dec.{self.at(part.level)}_"
        return f"{'enc' if part.way == 'down' else 'dec'}.{self.at(part.level)}_block{part.index}"


def describe(source: Source) -> Found:
    """The network and its preconditioning, from names and shapes, and from flags or args.json.

    Flags have the names of the arguments of EDM's classes.
    """
    shapes, frame = source.shapes, _frame(source)
    stem, channels = source.shape(f"enc.{frame.at(0)}_conv.weight", 4)[:2]
    widths = [source.shape(f"enc.{frame.at(k)}_block0.conv1.weight", 4)[0] for k in range(frame.levels)]
    embedding, waves = source.shape("map_layer0.weight", 2)
    base = waves if frame.adm else stem
    out = source.shape("out_conv.weight" if frame.adm else f"dec.{frame.at(0)}_aux_conv.weight", 4)[0]
    settings = Settings("edm", source.flags, source.args, {})

    settings.inferred("img_resolution", frame.size)
    settings.inferred("in_channels", channels)
    settings.inferred("out_channels", out)
    settings.check("img_channels", channels)
    settings.check("resolution", frame.size)
    settings.inferred("model_channels", base)
    settings.inferred("channel_mult", [plain_number(w / base) for w in widths])
    settings.inferred("channel_mult_emb", plain_number(embedding / base))
    settings.inferred("num_blocks", frame.blocks)
    attended = tuple(k for k in range(frame.levels) if f"enc.{frame.at(k)}_block0.qkv.weight" in shapes)
    compare_list(settings, "attn_resolutions", [frame.size >> k for k in attended], frame.size, frame.levels)
    settings.check("cbase", base)
    settings.check("cres", [plain_number(w / base) for w in widths])
    settings.check("cond", "map_label.weight" in shapes)
    settings.check("model_type", "DhariwalUNet" if frame.adm else "SongUNet")
    if "map_label.weight" not in shapes:
        settings.check("label_dim", 0)
    label = _labels(source, settings, frame)
    if "map_augment.weight" in shapes:
        settings.inferred("augment_dim", source.shape("map_augment.weight", 2)[1])
    song = {} if frame.adm else _song_unet(source, settings, frame, base, waves)
    if (arch := settings.text_of("arch")) in _ARCHES:
        settings.check(
            "arch",
            arch
            if _ARCHES[arch]
            == (frame.adm, None if frame.adm else "fourier" if "map_noise.freqs" in shapes else "positional")
            else "another",
        )
    kind = _preconditioning(settings, out == 2 * channels)
    schedule, spec, time = _process(settings, kind, out == 2 * channels)

    config = UNetConfig(
        in_channels=channels,
        out_channels=out,
        channels=base,
        multipliers=tuple(w / base for w in widths),
        blocks=frame.blocks,
        attention_levels=attended,
        heads=1,
        head_channels=64 if frame.adm else None,
        conditioning="scale_shift" if frame.adm else "add",
        resample="residual",
        norm_least=4,
        norm_eps=1e-5 if frame.adm else 1e-6,
        embedding_channels=None if embedding == 4 * base else embedding,
        stem_channels=None if stem == widths[0] else stem,
        **song,
        **label,
        **time,
    )
    labels = tuple(f"class {k}" for k in range(config.classes or 0))
    defaults: dict[str, Any] = {
        "sampler": {"name": "heun"},
        "spacing": {"name": "karras", "rho": 7.0},
        "clip": False,
        "steps": 18,
    }
    if labels:
        defaults["label"] = labels[0]
    spec_found = ModelSpec(
        name=source.name,
        network=config,
        schedule=schedule,
        image_size=frame.size,
        channels=channels,
        labels=labels,
        learned_variance=out == 2 * channels,
        defaults=defaults,
        **spec,
    )
    notes = (
        []
        if settings.text_of("precond") or settings.text_of("class_name")
        else [
            "its weights do not tell the preconditioning: it is edm in files named edm-..., and vp or ve in "
            "files named baseline-..., whose networks look the same"
        ]
    )
    if "map_augment.weight" in shapes:
        notes.append("the weights for augmentation labels are left out: they are used in training only")
    unused = tuple(name for name in shapes if name.endswith(_UNUSED))
    return Found(
        "edm",
        f"it has {', '.join(READER.sentinels)}",
        spec_found,
        tuple(_renames(config, frame, kind)),
        settings.finish(_IGNORED, whole=True),
        tuple(notes),
        unused,
    )


def _preconditioning(settings: Settings, doubled: bool) -> str:
    """The preconditioning vp, ve, iddpm or edm, from the flag precond or the class that wraps the network."""
    wrapper = settings.text_of("class_name").rpartition(".")[2]
    usual = "iddpm" if doubled else "edm"
    if wrapper not in _CLASSES:
        return settings.read("precond", usual, choices=PRECONDITIONINGS)
    settings.check("class_name", settings.text_of("class_name"))
    kind = _CLASSES[wrapper]
    settings.check("precond", kind)
    return kind


def _frame(source: Source) -> _Frame:
    """Read the frame of the network from names and shapes. Raises `CheckpointError`."""
    sizes = [
        int(found[1])
        for name in source.shapes
        if (found := re.fullmatch(r"enc\.(\d{1,5})x\1_conv\.weight", name))
    ]
    if len(sizes) != 1 or not sizes[0]:
        raise CheckpointError(
            f"{source.path.name} has EDM's mapping layers and {len(sizes) or 'no'} first convolution "
            "(enc.32x32_conv.weight or of another size), so it is not a network of this layout, or cut short."
        )
    size, levels = sizes[0], 1
    while size >> levels and f"enc.{size >> levels}x{size >> levels}_down.norm0.weight" in source.shapes:
        levels += 1
    blocks = source.count(f"enc.{size}x{size}_block{{}}.norm0.weight")
    if not blocks:
        raise CheckpointError(f"{source.path.name} has no blocks at {size}x{size}. It is cut short.")
    return _Frame("out_conv.weight" in source.shapes, size, levels, blocks)


def _labels(source: Source, settings: Settings, frame: _Frame) -> dict[str, Any]:
    if "map_label.weight" not in source.shapes:
        return {}
    count = settings.inferred("label_dim", source.shape("map_label.weight", 2)[1])
    # the original uses a label of zeros as unconditional, which works only if labels were dropped in training
    null = settings.read("null_class", False)
    return {"classes": count, "null_class": null, "class_embedding": "table" if frame.adm else "early"}


def _song_unet(source: Source, settings: Settings, frame: _Frame, base: int, waves: int) -> dict[str, Any]:
    """The fields of `UNetConfig` that only SongUNet has."""
    shapes, low = source.shapes, frame.at(1) if frame.levels > 1 else ""
    settings.inferred("channel_mult_noise", plain_number(waves / base))
    random = (
        settings.inferred("embedding_type", "fourier" if "map_noise.freqs" in shapes else "positional")
        == "fourier"
    )
    entering = settings.inferred(
        "encoder_type",
        next((kind for kind in ("skip", "residual") if f"enc.{low}_aux_{kind}.weight" in shapes), "standard"),
    )
    leaving = settings.inferred(
        "decoder_type",
        "skip"
        if f"dec.{frame.at(frame.levels - 1)}_aux_conv.weight" in shapes and frame.levels > 1
        else "standard",
    )
    name = f"enc.{low}_down.conv0.resample_filter"
    if name not in shapes:
        filtered = settings.read(
            "resample_filter", (1, 3, 3, 1) if random else (1, 1), choices=((1, 1), (1, 3, 3, 1))
        )
    else:
        width = source.shape(name, 4)[-1]
        filtered = (1, 3, 3, 1) if width == 4 else (1, 1)
        if width not in (2, 4):
            raise CheckpointError(
                f"{source.path.name} resamples with a filter of {width} pixels; only [1,1] and [1,3,3,1] are "
                "supported."
            )
        settings.inferred("resample_filter", list(filtered))
    return {
        "up_attention": "last",
        "skip_scale": math.sqrt(0.5),
        "middle_scale": math.sqrt(2),
        "resample_skip": True,
        "resample_filter": "fir" if len(filtered) == 4 else "box",
        "input_path": entering if entering != "standard" else "none",
        "output_path": "skip" if leaving == "skip" else "none",
        "time_order": "sin_cos",
        "time_shift": 0 if random else 1,
        "time_embedding": "fourier" if random else "sinusoidal",
        "time_channels": None if waves == base else waves,
    }


def _process(
    settings: Settings, kind: str, doubled: bool
) -> tuple[NoiseSchedule, dict[str, Any], dict[str, Any]]:
    """The schedule, fields of `ModelSpec`, and fields of `UNetConfig` of a preconditioning (table 1)."""
    if doubled != (kind == "iddpm"):
        wanted, given = ("as many", "twice as many")[:: 1 if doubled else -1]
        raise CheckpointError(
            f"The preconditioning {kind} needs a network with {wanted} output channels as input channels; "
            f"this one has {given}. Choose another precond."
        )
    if kind == "edm":
        schedule = VarianceExploding(
            sigma_min=_sigma_bound(settings, "sigma_min", 0.002),
            sigma_max=_sigma_bound(settings, "sigma_max", 80.0),
        )
        return schedule, {"parametrization": "edm", "sigma_data": settings.read("sigma_data", 0.5)}, {}
    if kind == "ve":
        schedule = VarianceExploding(
            sigma_min=settings.read("sigma_min", 0.02),
            sigma_max=settings.read("sigma_max", 100.0),
            label="sigma",
        )
        return schedule, {}, {"time_scale": 0.5, "time_log": True}
    timesteps = settings.read("M", 1000)
    if not 2 <= timesteps <= 100_000:
        raise OptionError("M", f"must be the timesteps of training, from 2 to 100,000, got {timesteps}.")
    if kind == "vp":
        rise, least = settings.read("beta_d", 19.9), settings.read("beta_min", 0.1)
        return (
            VariancePreserving(
                timesteps, least, least + rise, timesteps - 1.0, settings.read("epsilon_t", 1e-5)
            ),
            {},
            {},
        )
    floor, offset = settings.read("C_1", 0.001), settings.read("C_2", 0.008)
    # alpha_bar before t = 0, 1, ...
    bars = np.sin(0.5 * np.pi * np.arange(timesteps, -1, -1) / timesteps / (offset + 1)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        betas = 1 - np.maximum(bars[1:] / bars[:-1], floor)
    return Table(timesteps, tuple(map(float, betas))), {}, {}


def _sigma_bound(settings: Settings, name: str, usual: float) -> float:
    """An end of the noise levels. EDMPrecond's defaults, 0 and infinity, are no bounds: `usual` is used."""
    try:
        unbounded = settings.text_of(name) != "" and float(settings.text_of(name)) in (0.0, math.inf)
    except ValueError:
        unbounded = False
    return settings.fixed(name, usual) if unbounded else settings.read(name, usual)


def _renames(config: UNetConfig, frame: _Frame, kind: str) -> list[Rename]:
    """The network's tensors with EDM's names. VE networks predict -eps, so their last layers are negated."""
    found = []
    for one in renames(config, frame.place, _INSIDE, "edm"):
        theirs = tuple(name.replace("_.aux_", "_aux_") for name in one.theirs)
        rows = one.rows
        if one.ours.startswith("label."):
            theirs = theirs if frame.adm else (theirs[0], theirs[0].replace("weight", "bias"))
            rows = "labels and any" if config.null_class else "labels"
        elif one.ours.startswith("input_path."):
            theirs = tuple(name.replace("_aux.", f"_aux_{config.input_path}.") for name in theirs)
        elif kind == "ve" and re.match(r"conv_out\.|output_path\.\d+\.conv\.", one.ours):
            rows = "negated"
        found.append(Rename(one.ours, theirs, rows))
    if config.time_embedding == "fourier":
        found.append(Rename("frequencies", ("map_noise.freqs",)))
    return found


READER = Reader(
    title="EDM's SongUNet and DhariwalUNet",
    sentinels=("map_layer0.weight", "map_layer1.weight"),
    describe=describe,
    ambiguous=((("precond",), (("edm",), ("vp",), ("ve",))),),
)
