"""The layout of lucidrains' denoising-diffusion-pytorch, versions 0.22 to 2.3 (2022 to 2026).

Its arithmetic changed more often than its tensor names. What the names do not tell follows from the version,
which files of the trainer hold from 0.32 on, and which is guessed from the names otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..diffusion.schedule import Cosine, NoiseSchedule, Table, TableSchedule, VarianceExploding
from ..errors import CheckpointError, OptionError
from ..networks.post_norm_config import PostNormConfig
from .facts import Settings
from .noise import rescaled_linear
from .reader import Found, Reader, Source
from .renames import Rename
from .spec import ModelSpec

BUFFERS = "buffers in the file"
_HEADS = (4, 32)  # default heads and channels per head in all versions
_SCHEDULES = ("linear", "cosine", "sigmoid")
_OBJECTIVES = {"pred_noise": "eps", "pred_x0": "x0", "pred_v": "v"}
# Settings of training, and names of values that shapes determine.
_IGNORED = (
    "dropout",
    "flash_attn",
    "offset_noise_strength",
    "min_snr_loss_weight",
    "min_snr_gamma",
    "immiscible",
    "loss_type",
    "p2_loss_weight_gamma",
    "p2_loss_weight_k",
    "random_fourier_features",
    "cond_drop_prob",
    "use_cfg_plus_plus",
    "vb_loss_weight",
    "P_mean",
    "P_std",
    "train_batch_size",
    "gradient_accumulate_every",
    "augment_horizontal_flip",
    "train_lr",
    "train_num_steps",
    "ema_update_every",
    "ema_decay",
    "adam_betas",
    "save_and_sample_every",
    "num_samples",
    "results_folder",
    "amp",
    "fp16",
    "mixed_precision_type",
    "split_batches",
    "convert_image_to",
    "calculate_fid",
    "inception_block_idx",
    "max_grad_norm",
    "num_fid_samples",
    "save_best_and_latest_only",
    "folder",
    "model",
    "net",
    "with_time_emb",
    "learned_schedule_net_hidden_dim",
    "learned_noise_schedule_frac_gradient",
    "schedule_fn_kwargs",
)


def describe(source: Source) -> Found:
    """The network, from its shapes and version, and the process, from its buffers."""
    levels = source.count("downs.{}.0.block1.proj.weight")
    if (
        source.count("ups.{}.0.block1.proj.weight") != levels
        or f"downs.{levels - 1}.3.weight" not in source.shapes
    ):
        raise CheckpointError(
            f"{source.path.name} was written by denoising-diffusion-pytorch before version 0.22, "
            "whose U-Net has one skip connection per level; only later versions, with two, are supported."
        )
    widths = [source.shape(f"downs.{k}.0.block1.proj.weight", 4)[1] for k in range(levels)]
    widths.append(source.shape(f"downs.{levels - 1}.3.weight", 4)[0])
    time = source.shape("time_mlp.3.weight", 2)[0]
    base, taken, out = (
        time // 4,
        source.shape("init_conv.weight", 4)[1],
        source.shape("final_conv.weight", 4)[0],
    )
    conditioned, channels = taken in (2, 6), taken // 2 if taken in (2, 6) else taken
    classes = source.shape("classes_emb.weight", 2)[0] if "classes_emb.weight" in source.shapes else None
    waves = source.shape("time_mlp.0.weights", 1)[0] if "time_mlp.0.weights" in source.shapes else None
    block = "rms" if "downs.0.0.block1.norm.g" in source.shapes else "group"
    wrapped = "downs.0.2.fn.norm.g" in source.shapes
    strided = "downs.0.3.weight" in source.shapes and source.shape("downs.0.3.weight", 4)[3] == 4
    full = tuple(k for k in range(levels) if f"{_inner(k, wrapped)}to_out.weight" in source.shapes)
    memory = (
        source.shape(f"{_inner(0, wrapped)}mem_kv", 4)[2 if 0 in full else 3]
        if f"{_inner(0, wrapped)}mem_kv" in source.shapes
        else 0
    )

    schedule, process = _from_buffers(source)
    written = {"version": source.version} if source.version else {}
    settings = Settings("lucidrains", source.flags, source.args, {**process, **written})
    settings.preset_source = BUFFERS
    version = settings.read("version", _usual_version(source, block, wrapped, strided, memory, classes))
    at = _version_numbers(version)
    for name, value in (
        ("dim", base),
        ("init_dim", widths[0]),
        ("dim_mults", [_plain_number(w / base) for w in widths[1:]]),
        ("channels", channels),
        ("self_condition", conditioned),
        ("learned_variance", out == 2 * channels),
    ):
        settings.inferred(name, value)
    (settings.check if classes is None else settings.inferred)("num_classes", classes, none_says_none=True)
    settings.check("out_dim", out)
    if waves:
        settings.inferred("learned_sinusoidal_dim", 2 * waves)
        settings.check(
            "learned_sinusoidal_cond",
            settings.text_of("learned_sinusoidal_cond") == "True"
            or settings.text_of("random_fourier_features") != "True",
        )
    else:
        settings.check("learned_sinusoidal_cond", False)
    settings.inferred("full_attn", [k in full for k in range(levels)])
    heads, per_head = _heads(source, settings, levels, wrapped, full)
    groups = settings.read("resnet_block_groups", 8) if block == "group" else 8
    period = 10_000.0 if waves else settings.read("sinusoidal_pos_emb_theta", 10_000.0)
    size = settings.read("image_size", 2 ** (levels + 2))
    normalised = settings.read("auto_normalize", True) if settings.text_of("auto_normalize") else True
    learned = out == 2 * channels
    # only the name of the network, net, distinguishes ElucidatedDiffusion from a process in continuous time
    elucidated = waves is not None and settings.read("elucidated", source.prefix.endswith("net."))
    newer = at >= (1, 0, 1) and not waves and classes is None
    if elucidated:
        schedule, means, defaults, sigma = *_elucidated_process(settings), settings.read("sigma_data", 0.5)
    else:
        schedule, means, defaults = _gaussian_process(
            settings, schedule, process, at, newer, waves is not None, learned
        )
        sigma = ModelSpec.sigma_data

    bias = wrapped and "downs.0.2.fn.norm.b" in source.shapes
    rms = at >= (1, 7, 1) or not wrapped
    config = PostNormConfig(
        in_channels=channels,
        out_channels=out,
        channels=base,
        widths=tuple(widths),
        full_attention=full,
        heads=heads,
        head_channels=per_head,
        memory=memory,
        norm=block,
        norm_groups=groups,
        standardized=block == "group" and (0, 27, 4) <= at < (1, 7, 3),
        attention_norm="rms" if rms else "layer_bias" if bias else "layer",
        divided=(0, 26, 4) <= at < (1, 7, 4),
        cosine_scale=None if not (0, 26, 0) <= at < (0, 28, 0) else 16.0 if at < (0, 27, 4) else 10.0,
        down="strided" if strided or levels == 1 else "unshuffle",
        learned_waves=waves,
        wave_period=period,
        time="log_snr" if waves and not elucidated else "t",
        self_condition=conditioned,
        classes=classes,
        null_class=classes is not None,
    )
    labels = tuple(f"class {k}" for k in range(classes or 0))
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=schedule,
        parametrization=means,
        image_size=size,
        channels=channels,
        learned_variance=learned,
        labels=labels,
        defaults=defaults,
        sigma_data=sigma,
    )
    notes = []
    if elucidated:
        notes.append(
            "learned frequencies in a network named net mean ElucidatedDiffusion, whose preconditioning and "
            "sampler are EDM's; a process in continuous time has the same tensors (elucidated False)"
        )
    elif waves:
        notes.append(
            "learned frequencies mean a process in continuous time, whose network takes the log-SNR: its "
            "levels are followed exactly, and beta_schedule only determines which of them a run visits"
        )
    if not normalised:
        notes.append(
            "auto_normalize False means that the training program chose the range of pictures; here it is "
            "[-1, 1], so if it was [0, 1], all pictures are too bright and clipped wrongly"
        )
    if conditioned:
        notes.append(
            f"{taken} input channels mean a network that also takes its last x0 (self_condition); a run "
            "starts with zeros"
        )
    if block == "group" and "version" not in (*source.flags, *source.args) and not source.version:
        notes.append(
            "the scaling of convolutions and attention depends on the version, and no tensor shows it; if "
            "the pictures are garbage, give the version that trained it"
        )
    return Found(
        "lucidrains",
        f"it has {', '.join(READER.sentinels)}",
        spec,
        tuple(_renames(config, wrapped)),
        settings.finish(_IGNORED if waves else (*_IGNORED, "learned_sinusoidal_dim"), whole=True),
        tuple(notes),
    )


def _gaussian_process(
    settings: Settings,
    schedule: NoiseSchedule | None,
    process: dict[str, Any],
    at: tuple[int, int, int],
    newer: bool,
    waves: bool,
    learned: bool,
) -> tuple[NoiseSchedule, str, dict[str, Any]]:
    """Schedule, parametrization and default recipe of GaussianDiffusion, also in continuous time."""
    steps = settings.read("timesteps", 1000)
    drawn, clips = 250, True
    if waves:  # ContinuousTimeGaussianDiffusion's own names
        drawn = max(1, settings.read("num_sample_steps", 250))
        clips = settings.read("clip_sample_denoised", True)
    named = "noise_schedule" if waves and settings.text_of("noise_schedule") else "beta_schedule"
    kind = settings.read(
        named, "linear" if waves else "sigmoid" if newer else "cosine", choices=(*_SCHEDULES, "table")
    )
    if schedule is None or (kind, steps) != (process["beta_schedule"], process["timesteps"]):
        schedule = named_schedule(kind, steps)
    usual = "pred_v" if newer and at >= (1, 6, 3) else "pred_noise"
    # LearnedGaussianDiffusion always predicts noise, whatever its objective says
    objective = (
        settings.fixed("objective", "pred_noise")
        if learned
        else settings.read("objective", usual, choices=(*_OBJECTIVES,))
    )
    fewer, eta = (
        settings.read("sampling_timesteps", 0, optional=True) or 0,
        settings.read("ddim_sampling_eta", 0.0),
    )
    fewer = max(0, min(fewer, steps))
    if fewer == steps:  # the original then samples by DDPM
        fewer = 0
    return (
        schedule,
        _OBJECTIVES[objective],
        {
            "sampler": {"name": "ddim", "eta": eta}
            if fewer
            else {"name": "ddpm", "variance": "learned" if learned else "small"},
            "spacing": "trailing",
            "clip": clips,
            "steps": fewer or min(drawn, steps),
        },
    )


def _elucidated_process(settings: Settings) -> tuple[NoiseSchedule, str, dict[str, Any]]:
    """Schedule, parametrization and default recipe of ElucidatedDiffusion, which is EDM with churn."""
    schedule = VarianceExploding(
        sigma_min=settings.read("sigma_min", 0.002), sigma_max=settings.read("sigma_max", 80.0)
    )
    sampler = {
        "name": "heun",
        "churn": settings.read("S_churn", 80.0),
        "s_tmin": settings.read("S_tmin", 0.05),
        "s_tmax": settings.read("S_tmax", 50.0),
        "s_noise": settings.read("S_noise", 1.003),
    }
    return (
        schedule,
        "edm",
        {
            "sampler": sampler,
            "spacing": {"name": "karras", "rho": settings.read("rho", 7.0)},
            "clip": True,
            "steps": max(1, settings.read("num_sample_steps", 32)),
        },
    )


def _inner(level: int, wrapped: bool) -> str:
    return f"downs.{level}.2.{'fn.fn.' if wrapped else ''}"


def _usual_version(
    source: Source, block: str, wrapped: bool, strided: bool, memory: int, classes: int | None
) -> str:
    """The version that fits names and shapes; of several, the one that was current longest."""
    old_weight = source.buffer("p2_loss_weight") is not None
    if block == "rms":
        return "2.0.0"
    if not wrapped:
        return "1.9.0" if memory else "1.8.0"
    if "downs.0.2.fn.norm.b" in source.shapes:
        return "0.25.3"
    if classes is not None:
        return "1.4.0" if old_weight else "1.8.0"
    return "0.31.1" if strided else "1.4.0" if old_weight else "1.6.0"


def _version_numbers(version: str) -> tuple[int, int, int]:
    """(major, minor, patch) of a version. Raises `OptionError` for another text."""
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})\w*", version)
    if not found:
        raise OptionError(
            "version",
            f"must be a version of denoising-diffusion-pytorch, such as 1.8.0, got {version[:80]!r}.",
        )
    major, minor, patch = map(int, found.groups())
    return (0, 32, 0) if (major, minor) == (0, 1) else (major, minor, patch)  # 0.32 wrote 0.1 into its files


def _heads(
    source: Source, settings: Settings, levels: int, wrapped: bool, full: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Heads and channels per head for each level: from the shape of the memory, else assumed."""
    heads, channels = [], []
    usual = None
    for level in range(levels):
        rows = source.shape(f"{_inner(level, wrapped)}to_qkv.weight", 4)[0] // 3
        kept = source.shapes.get(f"{_inner(level, wrapped)}mem_kv")
        if kept is not None and len(kept) == 4:
            heads.append(kept[1])
            channels.append(kept[3 if level in full else 2])
            continue
        if usual is None:
            usual = settings.read(
                "attn_heads", _HEADS[0] if rows % (4 * _HEADS[1]) == 0 else max(1, rows // _HEADS[1])
            )
        if usual < 1 or rows % usual:
            raise OptionError(
                "attn_heads",
                f"The {rows} channels of attention on level {level} do not divide into {usual} heads "
                "(attn_heads).",
            )
        heads.append(usual)
        channels.append(rows // usual)
    if usual is None:
        settings.inferred("attn_heads", heads if len(set(heads)) > 1 else heads[0])
    settings.inferred("attn_dim_head", channels if len(set(channels)) > 1 else channels[0])
    return tuple(heads), tuple(channels)


def named_schedule(kind: str, steps: int) -> TableSchedule:
    """A schedule by its name in the original program. Raises `OptionError` for a name or T without one."""
    if not 1 <= steps <= 100_000:
        raise OptionError("timesteps", f"must be from 1 to 100,000, got {steps:,}.")
    if kind == "linear":
        return rescaled_linear(steps)
    if kind == "cosine":
        return Cosine(steps)
    if kind == "table":
        raise OptionError(
            "beta_schedule",
            "beta_schedule 'table' means the betas in the file's buffers, and there are none for these "
            f"timesteps. Choose one of: {', '.join(_SCHEDULES)}.",
        )
    alpha_bar = 1 / (
        1 + np.exp(np.linspace(-3, 3, steps + 1))
    )  # Jabri et al. 2022 (arXiv:2212.11972), figure 8
    kept = (alpha_bar - alpha_bar[-1]) / (alpha_bar[0] - alpha_bar[-1])
    return Table(values=tuple(np.clip(1 - kept[1:] / kept[:-1], 1e-12, 0.999).tolist()))


def _from_buffers(source: Source) -> tuple[NoiseSchedule | None, dict[str, Any]]:
    """The schedule of the buffer `betas`, and settings that follow from the buffers.

    A schedule that equals a named one gets that name. The weights of the loss determine the objective.
    """
    betas = source.buffer("betas")
    if betas is None or not ((betas > 0) & (betas < 1)).all():
        return None, {}
    known: dict[str, Any] = {"timesteps": len(betas), "beta_schedule": "table"}
    schedule: TableSchedule = Table(values=tuple(betas.tolist()))
    for kind in _SCHEDULES:
        try:
            tried = named_schedule(kind, len(betas))
        except OptionError:  # linear, at few timesteps: betas above 1
            continue
        if np.allclose(tried.betas(), betas, rtol=1e-4, atol=1e-7):
            schedule, known["beta_schedule"] = tried, kind
            break
    weight = source.buffer("loss_weight")
    if weight is not None and len(weight) == len(betas):
        snr = np.exp([schedule.level(t).log_snr for t in range(len(betas))])
        at = int(np.argmin(np.abs(np.log(snr) - np.log(0.5))))  # below any usual clip of the weights
        known["objective"] = min(
            (("pred_noise", 1.0), ("pred_x0", snr[at]), ("pred_v", snr[at] / (1 + snr[at]))),
            key=lambda one: abs(one[1] - weight[at]),
        )[0]
    return schedule, known


def _renames(config: PostNormConfig, wrapped: bool) -> Iterator[Rename]:
    """All renames. `wrapped` means that attention is in Residual(PreNorm(...)), as before version 1."""
    names = _Names(config, wrapped)
    yield from names.two_layers("time", "time_mlp", 1)
    if config.learned_waves:
        yield Rename("waves", ("time_mlp.0.weights",))
    if config.classes:
        yield Rename("label.weight", ("classes_emb.weight",))
        yield Rename("any_label", ("null_classes_emb",))
        yield from names.two_layers("label_mlp", "classes_mlp", 0)
    yield from names.layer("conv_in", "init_conv")
    for k in range(config.levels):
        yield from names.level(k)
    yield from names.block("middle.0", "mid_block1")
    yield from names.attention("middle.1", "mid_attn", True)
    yield from names.block("middle.2", "mid_block2")
    yield from names.block("last", "final_res_block", skip=True)
    yield from names.layer("conv_out", "final_conv")


@dataclass(frozen=True)
class _Names:
    """The renames of each kind of part."""

    config: PostNormConfig
    wrapped: bool

    def layer(self, ours: str, theirs: str, bias: bool = True) -> Iterator[Rename]:
        for leaf in ("weight", "bias") if bias else ("weight",):
            yield Rename(f"{ours}.{leaf}", (f"{theirs}.{leaf}",))

    def two_layers(self, ours: str, theirs: str, first: int) -> Iterator[Rename]:
        yield from self.layer(f"{ours}.0", f"{theirs}.{first}")
        yield from self.layer(f"{ours}.2", f"{theirs}.{first + 2}")

    def norm(self, ours: str, theirs: str) -> Iterator[Rename]:
        yield Rename(f"{ours}.weight", (f"{theirs}.g",))
        if self.config.attention_norm == "layer_bias":
            yield Rename(f"{ours}.bias", (f"{theirs}.b",))

    def block(self, ours: str, theirs: str, skip: bool = False) -> Iterator[Rename]:
        yield from self.layer(f"{ours}.emb", f"{theirs}.mlp.1")
        for half, name in (("first", "block1"), ("second", "block2")):
            yield from self.layer(f"{ours}.{half}.conv", f"{theirs}.{name}.proj")
            if self.config.norm == "rms":
                yield Rename(f"{ours}.{half}.norm.weight", (f"{theirs}.{name}.norm.g",))
            else:
                yield from self.layer(f"{ours}.{half}.norm", f"{theirs}.{name}.norm")
        if skip:
            yield from self.layer(f"{ours}.skip", f"{theirs}.res_conv")

    def attention(self, ours: str, theirs: str, full: bool) -> Iterator[Rename]:
        inner = f"{theirs}.fn.fn" if self.wrapped else theirs
        yield from self.norm(f"{ours}.norm", f"{theirs}.fn.norm" if self.wrapped else f"{theirs}.norm")
        yield from self.layer(f"{ours}.qkv", f"{inner}.to_qkv", bias=False)
        if self.config.memory:
            yield Rename(f"{ours}.memory", (f"{inner}.mem_kv",))
        yield from self.layer(f"{ours}.out", f"{inner}.to_out" if full else f"{inner}.to_out.0")
        if not full:
            yield from self.norm(f"{ours}.norm_out", f"{inner}.to_out.1")

    def level(self, k: int) -> Iterator[Rename]:
        """Level k of the down path, and the k-th level of the up path."""
        top = self.config.levels - 1
        full, place = k in self.config.full_attention, top - k
        yield from self.block(f"down.{k}.first", f"downs.{k}.0")
        yield from self.block(f"down.{k}.second", f"downs.{k}.1")
        yield from self.attention(f"down.{k}.attention", f"downs.{k}.2", full)
        inside = k < top and self.config.down == "unshuffle"
        yield from self.layer(
            f"down.{k}.resample{'.conv' if inside else ''}", f"downs.{k}.3{'.1' if inside else ''}"
        )
        yield from self.block(f"up.{place}.first", f"ups.{place}.0", skip=True)
        yield from self.block(f"up.{place}.second", f"ups.{place}.1", skip=True)
        yield from self.attention(f"up.{place}.attention", f"ups.{place}.2", full)
        yield from self.layer(
            f"up.{place}.resample{'.conv' if k else ''}", f"ups.{place}.3{'.1' if k else ''}"
        )


def _plain_number(value: float) -> float:
    return int(value) if value == int(value) else value


READER = Reader(
    title="lucidrains denoising-diffusion-pytorch",
    sentinels=("init_conv.weight", "time_mlp.1.weight", "downs.0.0.block1.proj.weight"),
    describe=describe,
    ambiguous=(
        (
            ("version",),
            (("0.25.3",), ("0.27.12",), ("0.31.1",), ("1.4.0",), ("1.7.4",), ("1.8.0",), ("2.0.0",)),
        ),
        (("attn_heads",), ((1,), (2,), (4,), (8,))),
        (
            ("beta_schedule", "objective"),
            tuple((kind, means) for kind in _SCHEDULES for means in _OBJECTIVES),
        ),
    ),
)
