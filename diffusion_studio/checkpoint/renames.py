"""The parts of our U-Net, and the names of their tensors in foreign layouts. It does not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..networks.config import UNetConfig

WEIGHTS = ("weight", "bias")


@dataclass(frozen=True)
class Part:
    """One module of the U-Net.

    `kind` is conv_in, block, attention, down, up, input, output, norm_out, conv_out, time or label. `ours` is
    its name in our network, and `inside` are its submodules with weights and biases. `way` is down, middle or
    up. `level` counts from the finest, `index` is the place in the level (in the middle 0, 1 or 2), and
    `number` is that of OpenAI's flat list of input or output blocks.
    """

    kind: str
    ours: str
    inside: tuple[str, ...] = ("",)
    way: str = ""
    level: int = 0
    index: int = 0
    number: int = 0
    after_attention: bool = False
    biased: bool = True


_BLOCK = ("norm1", "conv1", "emb", "norm2", "conv2")
_ATTENTION = ("norm", "qkv", "out")
_MIDDLES = {"attention": ("block", "attention", "block"), "residual": ("block", "block"), "none": ()}


def parts(config: UNetConfig) -> Iterator[Part]:
    """All parts with weights, in the order of the network's forward pass."""
    yield Part("time", "time", ("0", "2"))
    if config.classes is not None:
        waves = config.class_embedding == "sinusoidal"
        yield Part("label", "label", ("0", "2") if waves else ("",), biased=waves)
    yield Part("conv_in", "conv_in")
    yield from _down(config)
    last = len(config.widths) - 1
    for k, kind in enumerate(_MIDDLES[config.middle]):
        bare = ("qkv", "out") if config.middle_groups == 0 else _ATTENTION
        yield Part(kind, f"middle.{k}", _BLOCK if kind == "block" else bare, "middle", last, k)
    yield from _up(config)
    yield Part("norm_out", "norm_out")
    yield Part("conv_out", "conv_out")


def _skips(config: UNetConfig) -> list[int]:
    """Channels of the skip connections, in the order in which the down path computes them."""
    last, found = len(config.widths) - 1, [config.stem]
    for level, out in enumerate(config.widths):
        found += [out] * (config.blocks + (level < last))
    return found


def _down(config: UNetConfig) -> Iterator[Part]:
    last, number, width = len(config.widths) - 1, 1, config.stem
    for level, out in enumerate(config.widths):
        for k in range(config.blocks):
            at = {"way": "down", "level": level, "index": k, "number": number}
            yield from _stage(config, f"down.{level}.stages.{k}", width, out, at)
            number, width = number + 1, out
        if level < last:
            yield from _resample(config, f"down.{level}.resample", "down", level=level, number=number)
            if config.input_path != "none":
                yield Part("input", f"input_path.{level}", ("conv",), "down", level)
            number += 1


def _up(config: UNetConfig) -> Iterator[Part]:
    widths, skips, number = config.widths, _skips(config), 0
    width = widths[-1]
    for place, level in enumerate(reversed(range(len(widths)))):
        for k in range(config.blocks + 1):
            at = {"way": "up", "level": level, "index": k, "number": number}
            yield from _stage(config, f"up.{place}.stages.{k}", width + skips.pop(), widths[level], at)
            number, width = number + 1, widths[level]
        if level and config.output_path == "skip":
            yield Part("output", f"output_path.{place}", ("norm", "conv"), "up", level)
        if level:
            attended = level in config.attention_going_up
            at = {"level": level, "number": number - 1, "after_attention": attended}
            yield from _resample(config, f"up.{place}.resample", "up", **at)


def _stage(config: UNetConfig, prefix: str, width: int, out: int, place: dict[str, Any]) -> Iterator[Part]:
    """A residual block, and the attention after it if there is one."""
    yield Part("block", f"{prefix}.block", (*_BLOCK, "skip") if width != out else _BLOCK, **place)
    attended = config.attention_levels if place["way"] == "down" else config.attention_going_up
    if place["way"] == "up" and config.up_attention == "last" and place["index"] < config.blocks:
        attended = ()
    if place["level"] in attended:
        yield Part("attention", f"{prefix}.attention", _ATTENTION, **place)


def _resample(config: UNetConfig, prefix: str, way: str, **place: Any) -> Iterator[Part]:
    if config.resample == "residual":
        yield Part(way, prefix, (*_BLOCK, "skip") if config.resample_skip else _BLOCK, way, **place)
    elif config.resample == "conv":
        yield Part(way, prefix, ("conv",), way, **place)


Names = Callable[[Part, str], tuple[str, ...]]


@dataclass(frozen=True)
class Rename:
    """A tensor of our network, and the foreign tensors from which it is made.

    Several tensors are stacked by rows. `rows` names a further change, see `assemble._converted`.
    """

    ours: str
    theirs: tuple[str, ...]
    rows: str = ""


def renames(
    config: UNetConfig,
    place: Callable[[Part], str],
    inside: Mapping[str, Mapping[str, tuple[str, ...]]],
    rows: str = "",
) -> list[Rename]:
    """The renames of all tensors of a U-Net.

    `place` gives the foreign name of a part. `inside` gives, for each kind of part, the foreign names of its
    submodules. `rows` is the order of the rows of qkv.
    """
    found = []
    for part in parts(config):
        for name in part.inside:
            for leaf in WEIGHTS if part.biased else WEIGHTS[:1]:
                ours = ".".join(one for one in (part.ours, name, leaf) if one)
                theirs = tuple(
                    ".".join(one for one in (place(part), inner, leaf) if one)
                    for inner in inside[part.kind][name]
                )
                found.append(Rename(ours, theirs, rows if name == "qkv" else ""))
    return found
