"""The layouts of three tutorials for small pictures: dome272's, TeaPearce's and BrianPulfer's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..diffusion.schedule import NoiseSchedule, Table
from ..errors import CheckpointError, OptionError
from ..networks.base import NetworkConfig
from ..networks.small_config import LayerNormConfig, MaxPoolConfig, VectorConfig
from .facts import Settings
from .lucidrains import BUFFERS
from .noise import named
from .reader import Found, Reader, Source
from .renames import Rename
from .spec import ModelSpec

_DDPM: dict[str, Any] = {
    "sampler": {"name": "ddpm", "variance": "large"},
    "spacing": "trailing",
    "clip": False,
}
_UNCLIPPED = (
    "the original does not clip x0, so it is not clipped here; if pictures are all black or white, clip "
    "(--clip) or stretch their shades (--stretch)"
)
_STRETCHED = (
    "the original does not clip x0 and stretches the shades of each picture that it shows, so this is done "
    "here too (change it with --clip, --no-stretch)"
)


_IGNORED = (
    "lr",
    "epochs",
    "batch_size",
    "run_name",
    "dataset_path",
    "device",
    "drop_prob",
    "n_epoch",
    "lrate",
    "save_model",
    "save_dir",
    "ws_test",
    "nn_model",
    "network",
    "no_train",
    "fashion",
    "bs",
    "seed",
    "num_workers",
    "lr_schedule",
    "slice_size",
)


def _layer(ours: str, theirs: str, bias: bool = True) -> Iterator[Rename]:
    for leaf in ("weight", "bias") if bias else ("weight",):
        yield Rename(f"{ours}.{leaf}", (f"{theirs}.{leaf}",))


# ---- dome272/Diffusion-Models-pytorch, and forks of other widths
# ----------------------------------------------------


def describe_dome272(source: Source) -> Found:
    """The network and its process in the layout of dome272."""
    levels = 1 + source.count("down{}.emb_layer.1.weight", 1)
    middle = source.count("bot{}.double_conv.0.weight", 1)
    widths = [
        source.shape("inc.double_conv.3.weight", 4)[0],
        *(source.shape(f"down{k}.emb_layer.1.weight", 2)[0] for k in range(1, levels)),
    ]
    up = [source.shape(f"up{k}.emb_layer.1.weight", 2)[0] for k in range(1, levels)]
    attentions = source.count("sa{}.mha.in_proj_weight", 1)
    if levels < 2 or not middle or attentions != 2 * (levels - 1):
        raise CheckpointError(
            f"{source.path.name} is a changed version of dome272's U-Net: it has {levels - 1} levels, "
            f"{middle} middle convolutions and {attentions} attentions. Supported are networks with at least "
            "one level and one middle convolution, and an attention after each level on both paths."
        )
    channels = source.shape("inc.double_conv.0.weight", 4)[1]
    classes = source.shape("label_emb.weight", 2)[0] if "label_emb.weight" in source.shapes else None
    settings = Settings("dome272", source.flags, source.args, {})
    for name, value in (
        ("c_in", channels),
        ("c_out", source.shape("outc.weight", 4)[0]),
        ("time_dim", source.shape("down1.emb_layer.1.weight", 2)[1]),
    ):
        settings.inferred(name, value)
    (settings.check if classes is None else settings.inferred)("num_classes", classes, none_says_none=True)
    settings.inferred("widths", [*widths, *up])
    # the original's process and its arguments use different names for the size
    heads, size = (
        settings.read("num_heads", 4),
        settings.read("img_size" if settings.text_of("img_size") else "image_size", 64),
    )
    settings.check("image_size", size)
    steps = settings.read("noise_steps", 1000)
    start, end = settings.read("beta_start", 1e-4), settings.read("beta_end", 0.02)
    config = MaxPoolConfig(
        in_channels=channels,
        out_channels=source.shapes["outc.weight"][0],
        widths=tuple(widths),
        middle=tuple(source.shape(f"bot{k}.double_conv.3.weight", 4)[0] for k in range(1, middle + 1)),
        up_widths=tuple(up),
        heads=heads,
        embedding_channels=source.shapes["down1.emb_layer.1.weight"][1],
        classes=classes,
        null_class=classes is not None,
    )
    return _found(
        "dome272",
        source,
        settings,
        config,
        named("linear", steps, start, end),
        size,
        channels,
        classes,
        _dome272_renames(config),
    )


def _dome272_renames(config: MaxPoolConfig) -> Iterator[Rename]:
    def convs(ours: str, theirs: str) -> Iterator[Rename]:
        for place, name, bias in (
            (0, "conv1", False),
            (1, "norm1", True),
            (3, "conv2", False),
            (4, "norm2", True),
        ):
            yield from _layer(f"{ours}.{name}", f"{theirs}.double_conv.{place}", bias)

    def stage(ours: str, first: str, second: str, emb: str, attention: str) -> Iterator[Rename]:
        yield from convs(f"{ours}.first", first)
        yield from convs(f"{ours}.second", second)
        yield from _layer(f"{ours}.emb", emb)
        for leaf in ("weight", "bias"):
            yield Rename(f"{ours}.attention.qkv.{leaf}", (f"{attention}.mha.in_proj_{leaf}",))
        for name, place in (
            ("out", "mha.out_proj"),
            ("norm", "ln"),
            ("norm2", "ff_self.0"),
            ("linear1", "ff_self.1"),
            ("linear2", "ff_self.3"),
        ):
            yield from _layer(f"{ours}.attention.{name}", f"{attention}.{place}")

    levels = len(config.up_widths)
    if config.classes:
        yield Rename("label.weight", ("label_emb.weight",))
    yield from convs("conv_in", "inc")
    for k in range(1, levels + 1):
        yield from stage(
            f"down.{k - 1}",
            f"down{k}.maxpool_conv.1",
            f"down{k}.maxpool_conv.2",
            f"down{k}.emb_layer.1",
            f"sa{k}",
        )
        yield from stage(
            f"up.{k - 1}", f"up{k}.conv.0", f"up{k}.conv.1", f"up{k}.emb_layer.1", f"sa{levels + k}"
        )
    for k in range(len(config.middle)):
        yield from convs(f"middle.{k}", f"bot{k + 1}")
    yield from _layer("conv_out", "outc")


# ---- TeaPearce/Conditional_Diffusion_MNIST
# --------------------------------------------------------------------------


def describe_teapearce(source: Source) -> Found:
    """The network and its process in the layout of TeaPearce."""
    width, channels = source.shape("init_conv.conv1.0.weight", 4)[:2]
    classes, pool = source.shape("contextembed1.model.0.weight", 2)[1], source.shape("up0.0.weight", 4)[3]
    alphas = source.buffer("alpha_t")
    if alphas is not None and not (len(alphas) > 1 and ((alphas > 0) & (alphas < 1)).all()):
        alphas = None
    settings = Settings(
        "teapearce",
        source.flags,
        source.args,
        {"n_T": len(alphas) - 1, "beta1": float(1 - alphas[0]), "beta2": float(1 - alphas[-1])}
        if alphas is not None
        else {},
    )
    settings.preset_source = BUFFERS
    for name, value in (("in_channels", channels), ("n_feat", width), ("n_classes", classes)):
        settings.inferred(name, value)
    # the original's class takes both as one pair
    pair = settings.read("betas", (1e-4, 0.02)) if settings.text_of("betas") else (None, None)
    if len(pair) != 2 or not all(one is None or isinstance(one, float) for one in pair):
        raise OptionError(
            "betas", f"must be the first and the last beta, such as 1e-4,0.02; got {str(pair)[:80]}."
        )
    steps = settings.read("n_T", 400)
    first, last = (
        settings.read(name, usual) if given is None else given
        for name, usual, given in (("beta1", 1e-4, pair[0]), ("beta2", 0.02, pair[1]))
    )
    unit = settings.read("unit_range", True)
    known = set(settings.flags) | set(source.args)
    betas = (
        1 - alphas
        if alphas is not None and not known & {"n_T", "beta1", "beta2", "betas"}
        else named("linear", steps + 1, first, last).betas()
    )
    if unit:  # the levels with the same signal-to-noise ratio for pictures in [-1, 1]
        alpha_bar = np.cumprod(1 - betas)
        alpha_bar = alpha_bar / (4 - 3 * alpha_bar)
        betas = 1 - alpha_bar / np.concatenate([[1.0], alpha_bar[:-1]])
    config = VectorConfig(
        in_channels=channels,
        out_channels=source.shape("out.3.weight", 4)[0],
        channels=width,
        pool=pool,
        classes=classes,
        timesteps=steps,
        unit_range=unit,
    )
    digits = tuple(map(str, range(10))) if classes == 10 else None
    return _found(
        "teapearce",
        source,
        settings,
        config,
        Table(values=tuple(betas.tolist())),
        4 * pool,
        channels,
        classes,
        _teapearce_renames(),
        labels=digits,
        notes=(
            "it was trained on pictures in [0, 1] (unit_range), which are mapped to [-1, 1] at the same "
            "signal-to-noise ratio; its guidance w is guidance 1 + w here",
        ),
    )


def _teapearce_renames() -> Iterator[Rename]:
    def convs(ours: str, theirs: str) -> Iterator[Rename]:
        for k in (1, 2):
            yield from _layer(f"{ours}.conv{k}", f"{theirs}.conv{k}.0")
            yield from _layer(f"{ours}.norm{k}", f"{theirs}.conv{k}.1")
            for leaf in ("running_mean", "running_var"):
                yield Rename(f"{ours}.norm{k}.{leaf}", (f"{theirs}.conv{k}.1.{leaf}",))

    yield from convs("conv_in", "init_conv")
    for k in (0, 1):
        yield from convs(f"down.{k}", f"down{k + 1}.model.0")
        for name in ("time", "label"):
            theirs = {"time": "timeembed", "label": "contextembed"}[name]
            yield from _layer(f"{name}.{k}.0", f"{theirs}{k + 1}.model.0")
            yield from _layer(f"{name}.{k}.2", f"{theirs}{k + 1}.model.2")
        yield from _layer(f"up.{k}.0", f"up{k + 1}.model.0")
        yield from convs(f"up.{k}.1", f"up{k + 1}.model.1")
        yield from convs(f"up.{k}.2", f"up{k + 1}.model.2")
    for ours, theirs in (
        ("widen", "up0.0"),
        ("norm", "up0.1"),
        ("conv_last", "out.0"),
        ("norm_out", "out.1"),
        ("conv_out", "out.3"),
    ):
        yield from _layer(ours, theirs)


# ---- BrianPulfer/PapersReimplementations, with well-known weights for MNIST and Fashion-MNIST
# -------------------------


def describe_brianpulfer(source: Source) -> Found:
    """The network and its process in the layout of BrianPulfer."""
    steps, columns = source.shape("time_embed.weight", 2)
    channels, size = source.shape("b1.0.ln.weight", 3)[:2]
    settings = Settings("brianpulfer", source.flags, source.args, {})
    for name, value in (("n_steps", steps), ("time_emb_dim", columns), ("image_chw", [channels, size, size])):
        settings.inferred(name, value)
    start, end = settings.read("min_beta", 1e-4), settings.read("max_beta", 0.02)
    config = LayerNormConfig(
        in_channels=channels,
        out_channels=source.shape("conv_out.weight", 4)[0],
        size=size,
        channels=source.shape("b1.0.conv1.weight", 4)[0],
        timesteps=steps,
        time_channels=columns,
    )
    return _found(
        "brianpulfer",
        source,
        settings,
        config,
        named("linear", steps, start, end),
        size,
        channels,
        None,
        _brianpulfer_renames(),
        stretch=True,
    )


def _brianpulfer_renames() -> Iterator[Rename]:
    yield Rename("waves", ("time_embed.weight",))
    for k, (block, time) in enumerate(
        (
            ("b1", "te1"),
            ("b2", "te2"),
            ("b3", "te3"),
            ("b_mid", "te_mid"),
            ("b4", "te4"),
            ("b5", "te5"),
            ("b_out", "te_out"),
        )
    ):
        yield from _layer(f"time.{k}.0", f"{time}.0")
        yield from _layer(f"time.{k}.2", f"{time}.2")
        for j in range(3):
            if (k, j) != (6, 2):
                yield from _layer(f"levels.{k}.{j}.norm", f"{block}.{j}.ln")
            yield from _layer(f"levels.{k}.{j}.conv1", f"{block}.{j}.conv1")
            yield from _layer(f"levels.{k}.{j}.conv2", f"{block}.{j}.conv2")
    for ours, theirs in (
        ("down.0", "down1"),
        ("down.1", "down2"),
        ("down.2.0", "down3.0"),
        ("down.2.2", "down3.2"),
        ("up.0.0", "up1.0"),
        ("up.0.2", "up1.2"),
        ("up.1", "up2"),
        ("up.2", "up3"),
        ("conv_out", "conv_out"),
    ):
        yield from _layer(ours, theirs)


def _found(
    layout: str,
    source: Source,
    settings: Settings,
    config: NetworkConfig,
    schedule: NoiseSchedule,
    size: int,
    channels: int,
    classes: int | None,
    made: Iterator[Rename],
    labels: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
    stretch: bool = False,
) -> Found:
    """The result of a reader of one of these layouts."""
    labels = labels or tuple(f"class {k}" for k in range(classes or 0))
    shown = {"stretch": True} if stretch else {}
    spec = ModelSpec(
        name=source.name,
        network=config,
        schedule=schedule,
        image_size=size,
        channels=channels,
        labels=labels,
        defaults={**_DDPM, **shown, "steps": min(250, schedule.timesteps)},
    )
    return Found(
        layout,
        f"it has {', '.join(SMALL[layout].sentinels)}",
        spec,
        tuple(made),
        settings.finish(_IGNORED, whole=True),
        (*notes, _STRETCHED if stretch else _UNCLIPPED),
    )


SMALL: dict[str, Reader] = {
    "dome272": Reader(
        "dome272/Diffusion-Models-pytorch",
        ("inc.double_conv.0.weight", "down1.emb_layer.1.weight", "outc.weight"),
        describe_dome272,
        ambiguous=((("num_heads",), ((1,), (2,), (4,), (8,))), (("beta_end",), ((0.02,), (0.01,)))),
    ),
    "teapearce": Reader(
        "TeaPearce/Conditional_Diffusion_MNIST",
        ("init_conv.conv1.0.weight", "contextembed1.model.0.weight", "up0.0.weight"),
        describe_teapearce,
        ambiguous=((("unit_range",), ((True,), (False,))),),
        unused=("num_batches_tracked",),
    ),
    "brianpulfer": Reader(
        "BrianPulfer's DDPM for MNIST",
        ("time_embed.weight", "te1.0.weight", "b1.0.ln.weight"),
        describe_brianpulfer,
        ambiguous=((("max_beta",), ((0.02,), (0.01,), (0.05,))),),
        unused=("b_out.2.ln.weight", "b_out.2.ln.bias"),
    ),
}
