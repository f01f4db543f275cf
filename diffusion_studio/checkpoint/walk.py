"""The U-Net as a list of its parts, so that a layout's names are data: which module of ours is which of theirs. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..networks.config import UNetConfig

WEIGHTS = ("weight", "bias")


@dataclass(frozen=True)
class Part:
    """One module. `kind`: conv_in, block, attention, down, up, input, output, norm_out, conv_out, time, label.

    `way` is down, middle or up; `level` counts from the finest; `index` is the place in its level (in the middle: 0, 1, 2);
    `number` counts OpenAI's flat input and output blocks. `inside` are the submodules that hold weights and biases.
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


def parts(config: UNetConfig) -> Iterator[Part]:
    """All parts with weights, in the order in which the network runs them."""
    block = ("norm1", "conv1", "emb", "norm2", "conv2")
    attention = ("norm", "qkv", "out")
    bare = ("qkv", "out") if config.middle_groups == 0 else attention
    widths, last = config.widths, len(config.widths) - 1

    def stage(prefix: str, width: int, out: int, **place) -> Iterator[Part]:
        yield Part("block", f"{prefix}.block", (*block, "skip") if width != out else block, **place)
        attended = config.attention_levels if place["way"] == "down" else config.attention_going_up
        if place["way"] == "up" and config.up_attention == "last" and place["index"] < config.blocks:
            attended = ()
        if place["level"] in attended:
            yield Part("attention", f"{prefix}.attention", attention, **place)

    def resample(prefix: str, way: str, **place) -> Iterator[Part]:
        if config.resample == "residual":
            yield Part(way, prefix, (*block, "skip") if config.resample_skip else block, way, **place)
        elif config.resample == "conv":
            yield Part(way, prefix, ("conv",), way, **place)

    yield Part("time", "time", ("0", "2"))
    if config.classes is not None:
        waves = config.class_embedding == "sinusoidal"
        yield Part("label", "label", ("0", "2") if waves else ("",), biased=waves)
    yield Part("conv_in", "conv_in")
    number, width, skips = 1, config.stem, [config.stem]
    for level, out in enumerate(widths):
        for k in range(config.blocks):
            yield from stage(f"down.{level}.stages.{k}", width, out, way="down", level=level, index=k, number=number)
            number, width = number + 1, out
            skips.append(out)
        if level < last:
            yield from resample(f"down.{level}.resample", "down", level=level, number=number)
            if config.input_path != "none":
                yield Part("input", f"input_path.{level}", ("conv",), "down", level)
            number += 1
            skips.append(out)
    kinds = {"attention": ("block", "attention", "block"), "residual": ("block", "block"), "none": ()}[config.middle]
    for k, kind in enumerate(kinds):
        yield Part(kind, f"middle.{k}", block if kind == "block" else bare, "middle", last, k)
    number = 0
    for place, level in enumerate(range(last, -1, -1)):
        for k in range(config.blocks + 1):
            at = {"way": "up", "level": level, "index": k, "number": number}
            yield from stage(f"up.{place}.stages.{k}", width + skips.pop(), widths[level], **at)
            number, width = number + 1, widths[level]
        if level and config.output_path == "skip":
            yield Part("output", f"output_path.{place}", ("norm", "conv"), "up", level)
        if level:
            attended = level in config.attention_going_up
            yield from resample(f"up.{place}.resample", "up", level=level, number=number - 1, after_attention=attended)
    yield Part("norm_out", "norm_out")
    yield Part("conv_out", "conv_out")


Names = Callable[[Part, str], tuple[str, ...]]


@dataclass(frozen=True)
class Rename:
    """One tensor of ours, made of theirs: several are stacked by rows; `rows` names what is changed besides (`assemble`)."""

    ours: str
    theirs: tuple[str, ...]
    rows: str = ""


def renames(config: UNetConfig, place: Callable[[Part], str], inside: Mapping[str, Mapping[str, tuple[str, ...]]],
            rows: str = "") -> list[Rename]:
    """Every tensor of the network with its foreign names: `place` gives a module's, `inside` those of its submodules."""
    found = []
    for part in parts(config):
        for name in part.inside:
            for leaf in WEIGHTS if part.biased else WEIGHTS[:1]:
                ours = ".".join(one for one in (part.ours, name, leaf) if one)
                theirs = tuple(".".join(one for one in (place(part), inner, leaf) if one)
                               for inner in inside[part.kind][name])
                found.append(Rename(ours, theirs, rows if name == "qkv" else ""))
    return found
