"""The network as it computes one state: its blocks and skips, one block's activations, and what x0 becomes
if a block or a skip is left out or scaled.

Blocks and skips are found in one call of the network with hooks, so that every layout is described alike.
"""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import OptionError, unknown
from . import drawing
from .run import State, check_pictures, picture_slice
from .seen import Tile, ViewResult
from .settings import Settings

CHANNELS = 16  # that are shown of a block
_CONTAINERS = {"Level", "Stage", "ModuleList", "Sequential", "ModuleDict"}
_SAMPLES = 64  # values that are compared to recognise a skip
# What each kind of block is drawn in, and what it is called.
KINDS = {
    "block": ((110, 150, 205), "convolutions with a skip around them"),
    "attention": ((230, 150, 60), "attention"),
    "resample": ((130, 175, 130), "change of size"),
    "other": ((165, 165, 172), "one convolution, or a norm"),
}
_SKIP = (170, 177, 187)
_PARTS = {"block": "the block", "branch": "what it adds", "skip": "the skip into it"}
MOST_BYTES = 1 << 28  # of one block's output
MARKS = 128  # pixels at the right of the drawing, for the size and the channels of each row


@dataclass(frozen=True)
class Block:
    """One block of the network: `channels` and `size` of its output, from `channels_in` channels of input.

    `skip` is the block whose output joins its input, in the channels from `skip_start` to `skip_stop`.
    """

    name: str
    kind: str
    channels_in: int
    channels: int
    size: tuple[int, int]
    parameters: int
    heads: int | None = None
    skip: str | None = None
    skip_start: int = 0
    skip_stop: int = 0


def candidates(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that may be blocks: the outermost ones that hold no list of others."""

    def walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
        for key, child in module.named_children():
            full = f"{name}.{key}" if name else key
            if type(child).__name__ in _CONTAINERS:
                yield from walk(child, full)
            else:
                yield full, child

    return walk(network, "")


class _Watch:
    """Lists the blocks of a call in this thread. With `wanted` it keeps the output of that block instead."""

    def __init__(self, network: nn.Module, wanted: str | None = None) -> None:
        self.network, self.wanted = network, wanted
        self.blocks: list[Block] = []
        self.output: torch.Tensor | None = None
        self._known: list[tuple[str, tuple[int, ...], torch.Tensor, torch.Tensor]] = []
        self._thread = threading.get_ident()

    @property
    def outputs(self) -> torch.Tensor:
        """The wanted block's output (N, C, h, w) after a call in `watching`."""
        assert self.output is not None, "no call was watched"
        return self.output

    @contextmanager
    def watching(self) -> Iterator[None]:
        hooks = [
            module.register_forward_hook(self._output_hook(name))
            for name, module in candidates(self.network)
            if self.wanted in (None, name)
        ]
        hooks.append(self.network.register_forward_pre_hook(self._begin))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _begin(self, module: nn.Module, args: Any) -> None:
        if threading.get_ident() == self._thread:  # of several calls the last counts
            self.blocks, self._known = [], []

    def _output_hook(self, name: str) -> Callable:
        def see(module: nn.Module, args: Any, output: Any) -> None:
            given = args[0] if args else None
            if threading.get_ident() != self._thread:
                return
            if not isinstance(output, torch.Tensor) or not isinstance(given, torch.Tensor):
                return
            if output.ndim != 4 or given.ndim != 4:
                return
            if self.wanted is not None:
                self.output = output.detach().clone()
                return
            skip, start, stop = self._skip(given)
            self.blocks.append(
                Block(
                    name,
                    type(module).__name__,
                    given.shape[1],
                    output.shape[1],
                    (output.shape[-2], output.shape[-1]),
                    sum(one.numel() for one in module.parameters()),
                    getattr(module, "heads", None),
                    skip,
                    start,
                    stop,
                )
            )
            at = _places(output.shape[1:])
            self._known.append((name, tuple(output.shape[1:]), at, output[0].reshape(-1)[at].clone()))

        return see

    def _skip(self, given: torch.Tensor) -> tuple[str | None, int, int]:
        """The earlier block whose output is a part of this input, and where. Its values are compared."""
        channels = given.shape[1]
        for name, shape, at, values in self._known[-2::-1]:
            if shape[1:] != tuple(given.shape[2:]) or shape[0] >= channels:
                continue
            for start in (channels - shape[0], 0):
                part = given[0, start : start + shape[0]].reshape(-1)
                if torch.equal(part[at], values):
                    return name, start, start + shape[0]
        return None, 0, 0


def _places(shape: Sequence[int]) -> torch.Tensor:
    size = math.prod(shape)
    return torch.from_numpy(np.random.default_rng(0).integers(0, size, _SAMPLES))


def describe(state: State) -> list[Block]:
    """The blocks in the order in which they compute, from one call of the network."""
    check_pictures(state.run, "network")
    watch = _Watch(state.run.model.network)
    state.ask_network(watch.watching, slice(0, 1))
    return watch.blocks


def look(state: State, settings: Settings) -> ViewResult:
    """One block of the network about one picture, and x0 with the block's part scaled. One call with two
    rows, after one that finds the blocks.

    arrays: `x0` and `x0_scaled` (C, H, W), `change` = x0_scaled - x0; `channels` (16 or fewer, h, w), the
    channels of the block's output that vary most over the picture, and `channel_numbers`.
    numbers: `blocks`, the whole network as a list of `Block`s; `mean`, `deviation`, `least`, `most` of the
    output; `change_size`, the root mean square of the change.
    """
    run = state.run
    blocks = run_blocks(state)
    block = _chosen_block(blocks, settings.block)
    one = picture_slice(state.x, settings.picture)
    watch = _Watch(run.model.network, block.name)
    scaling = _Scaling(run.model.network, block, settings.part, settings.factor)
    if state.remembers:
        plain = state.ask_network(watch.watching).x0[one][0]
        scaled = state.ask_network(lambda: scaling.active(0)).x0[one][0]
        outputs = watch.outputs
        output = outputs[min(settings.picture, len(outputs) - 1)]
    else:
        if block.channels * block.size[0] * block.size[1] * 8 > MOST_BYTES:
            raise OptionError(
                "block", f"The output of {block.name} is too large to be shown. Choose a smaller block."
            )

        @contextmanager
        def both() -> Iterator[None]:
            with watch.watching(), scaling.active(1):
                yield

        p = state.ask_network(both, one, copies=2)
        plain, scaled, output = p.x0[0], p.x0[1], watch.outputs[0]
    arrays, numbers = _compare_outputs(plain, scaled, output)
    numbers |= {"blocks": blocks, "block": block.name, "part": settings.part, "factor": settings.factor}
    return ViewResult(
        "network",
        state.index,
        arrays,
        numbers,
        _lines(state, block, numbers),
        _tiles(arrays, blocks, block, numbers),
        state.notes,
    )


def run_blocks(state: State) -> list[Block]:
    """The network's blocks, found once for a run."""
    run = state.run
    if "blocks" not in run.memo:
        run.memo["blocks"] = describe(state)
    return run.memo["blocks"]


def middle_of(blocks: Sequence[Block]) -> Block:
    """The network's middle: its first block of that name, or else the one half way through those with the
    smallest maps, changes of size left aside.
    """
    least = min(one.size[0] * one.size[1] for one in blocks)
    lowest = [one for one in blocks if one.size[0] * one.size[1] == least]
    named = [one for one in lowest if one.name.startswith("middle")]
    others = [one for one in lowest if kind_of(one) != "resample"] or lowest
    return named[0] if named else others[(len(others) - 1) // 2]


def _chosen_block(blocks: Sequence[Block], name: str | None) -> Block:
    if name is None:
        return middle_of(blocks)
    named = {one.name: one for one in blocks}
    if name not in named:
        raise unknown("block", name, named)
    return named[name]


class _Scaling:
    """Scales a block's output, what the block adds to its input, or the skip that enters it, in this thread's
    calls.
    """

    def __init__(self, network: nn.Module, block: Block, part: str, factor: float) -> None:
        self.block, self.part, self.factor = block, part, factor
        self.module = dict(network.named_modules())[block.name]
        self._thread = threading.get_ident()
        if part == "skip" and block.skip is None:
            raise OptionError(
                "part", f"No skip enters {block.name}. Choose the part 'block', or a block of the way up."
            )
        if part == "branch" and block.channels != block.channels_in:
            raise OptionError(
                "part",
                f"{block.name} goes from {block.channels_in} to {block.channels} channels, so its "
                "input does not pass it unchanged. Choose the part 'block'.",
            )

    @contextmanager
    def active(self, first: int) -> Iterator[None]:
        """Rows of the batch from `first` on are scaled."""

        def before(module: nn.Module, args: tuple) -> tuple | None:
            if threading.get_ident() != self._thread or self.part != "skip":
                return None
            given = args[0].clone()
            given[first:, self.block.skip_start : self.block.skip_stop] *= self.factor
            return (given, *args[1:])

        def after(module: nn.Module, args: tuple, output: torch.Tensor) -> torch.Tensor | None:
            if threading.get_ident() != self._thread or self.part == "skip":
                return None
            if self.part == "branch" and args[0].shape != output.shape:
                raise OptionError(
                    "part",
                    f"{self.block.name} changes the size, so its input does not pass it unchanged. "
                    "Choose the part 'block'.",
                )
            if self.factor == 1:
                return None
            made = output.clone()
            if self.part == "block":
                made[first:] *= self.factor
            else:
                made[first:] = torch.lerp(args[0][first:], output[first:], self.factor)
            return made

        # always before a hook that watches
        hooks = [self.module.register_forward_pre_hook(before), self.module.register_forward_hook(after)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _compare_outputs(
    plain: torch.Tensor, scaled: torch.Tensor, output: torch.Tensor
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    values = output.float()
    order = values.flatten(1).var(1, correction=0).argsort(descending=True)[:CHANNELS]
    arrays = {
        "x0": plain.float().cpu().numpy(),
        "x0_scaled": scaled.float().cpu().numpy(),
        "change": (scaled - plain).float().cpu().numpy(),
        "channels": values[order].cpu().numpy(),
        "channel_numbers": order.cpu().numpy(),
    }
    numbers = {
        "mean": float(values.mean()),
        "deviation": float(values.std(correction=0)),
        "least": float(values.min()),
        "most": float(values.max()),
        "change_size": float(((scaled - plain) ** 2).mean().sqrt()),
    }
    return arrays, numbers


def _lines(state: State, block: Block, numbers: dict[str, Any]) -> list[str]:
    what = {"block": "its output", "branch": "what it adds to its input", "skip": "the skip that enters it"}
    how = "left out" if numbers["factor"] == 0 else f"times {numbers['factor']:g}"
    skip = f", joined by the skip of {block.skip}" if block.skip else ""
    return [
        f"{block.name}: {block.kind}, {block.channels_in} to {block.channels} channels at {block.size[0]}x"
        f"{block.size[1]}, {block.parameters:,} parameters{skip}.",
        f"Its output at step {state.index}: mean {numbers['mean']:.3g}, standard deviation "
        f"{numbers['deviation']:.3g}, from {numbers['least']:.3g} to {numbers['most']:.3g}. With "
        f"{what[numbers['part']]} {how}, x0 changes by {numbers['change_size']:.3g} (root mean square).",
    ]


def _alteration_title(numbers: dict[str, Any]) -> str:
    """The change to the block, as a part of a title."""
    part, factor = _PARTS[numbers["part"]], numbers["factor"]
    return f"without {part}" if factor == 0 else f"with {part} times {factor:g}"


def _tiles(
    arrays: dict[str, np.ndarray], blocks: Sequence[Block], block: Block, numbers: dict[str, Any]
) -> list[Tile]:
    sheet, group = [], f"The channels of {block.name} that vary most"
    for number, one in zip(arrays["channel_numbers"], arrays["channels"]):
        sheet.append(Tile(f"channel {number}", drawing.signed(one[None]), group=group))
    most, effect = float(np.abs(arrays["change"]).max()), "The predicted picture"
    return [
        Tile("the network", drawn(blocks, block.name), whole=True),
        Tile("x0", drawing.picture(arrays["x0"]), group=effect),
        Tile(f"x0 {_alteration_title(numbers)}", drawing.picture(arrays["x0_scaled"]), group=effect),
        Tile(f"change, ±{most:.2g}", drawing.signed(arrays["change"]), group=effect),
        *sheet,
    ]


# The drawing: one box for each block, from left to right as they compute, lower where maps are smaller.


@dataclass(frozen=True)
class _Box:
    block: Block
    x: float
    y: float
    width: float
    height: float

    @property
    def colour(self) -> tuple[int, int, int]:
        return KINDS[kind_of(self.block)][0]


def _boxes(blocks: Sequence[Block], width: float, height: float) -> list[_Box]:
    each = width / max(len(blocks), 1)
    sizes = sorted({one.size[0] for one in blocks}, reverse=True)
    row = height / max(len(sizes), 1)
    most = max(one.channels for one in blocks)
    found = []
    for k, one in enumerate(blocks):
        tall = row * (0.25 + 0.55 * one.channels / most)
        middle = row * (sizes.index(one.size[0]) + 0.5)
        found.append(_Box(one, k * each + 1, middle - tall / 2, max(each - 2, 1), tall))
    return found


def kind_of(block: Block) -> str:
    """Which of `KINDS` a block is."""
    kind = block.kind.lower()
    if "attention" in kind or "transformer" in kind:
        return "attention"
    if "sample" in kind or "shuffle" in kind:
        return "resample"
    return "other" if kind.startswith("conv") or "norm" in kind else "block"


def kinds_in(blocks: Sequence[Block]) -> list[str]:
    """The kinds that a network has, for the legend."""
    found = {kind_of(one) for one in blocks}
    return [kind for kind in KINDS if kind in found]


def drawn(
    blocks: Sequence[Block], marked: str | None = None, width: int = 840, height: int = 240
) -> np.ndarray:
    """The network as an RGB picture (height and a line for the legend, width, 3)."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height + 24), drawing.PAPER)
    draw = ImageDraw.Draw(image)
    boxes = _boxes(blocks, width - MARKS, height)
    named = {box.block.name: box for box in boxes}
    for box in boxes:
        if box.block.skip in named:
            draw.line(_skip_path(named[box.block.skip], box, boxes), fill=_SKIP, width=1)
    for box in boxes:
        corners = (box.x, box.y, box.x + box.width, box.y + box.height)
        chosen_here = box.block.name == marked
        draw.rectangle(corners, fill=box.colour, outline=(190, 20, 40) if chosen_here else None, width=2)
    for size, channels, y in _size_marks(boxes):
        draw.text((width - MARKS + 6, y - 7), size, drawing.INK, drawing._font(12), anchor="lm")
        draw.text((width - MARKS + 6, y + 8), channels, drawing.GREY, drawing._font(12), anchor="lm")
    x, y = 2.0, height + 12
    for kind in kinds_in(blocks):
        colour, said = KINDS[kind]
        draw.rectangle((x, y - 6, x + 11, y + 5), fill=colour)
        draw.text((x + 16, y), said, drawing.INK, drawing._font(12), anchor="lm")
        x += 32 + draw.textlength(said, drawing._font(12))
    draw.line((x, y, x + 16, y), fill=_SKIP, width=2)
    draw.text((x + 22, y), "skip", drawing.INK, drawing._font(12), anchor="lm")
    return np.asarray(image)


def _size_marks(boxes: Sequence[_Box]) -> list[tuple[str, str, float]]:
    """For each row its size, its channels, and its middle. The last block gives the picture's channels, which
    are left out.
    """
    rows: dict[tuple[int, int], list[_Box]] = {}
    for box in boxes:
        rows.setdefault(box.block.size, []).append(box)
    found = []
    for (h, w), row in rows.items():
        inner = [box.block.channels for box in row if box is not boxes[-1]] or [row[-1].block.channels]
        low, high = min(inner), max(inner)
        channels = f"{high}" if low == high else f"{low}-{high}"
        found.append((f"{h}x{w}", f"{channels} channels", row[0].y + row[0].height / 2))
    return found


def svg(
    blocks: Sequence[Block],
    model: Any = None,
    width: int = 780,
    height: int = 250,
    marked: str | None = None,
    explain: bool = True,
) -> str:
    """The network as SVG text: a box for each block (its name and shapes as a tooltip, `data-block` its
    name), a line for each skip (`data-skip` the block that it enters), the way of the data through the blocks
    (class `flow`), and with `explain` a legend, and how time and condition enter.
    """
    boxes = _boxes(blocks, width - MARKS, height)
    named = {box.block.name: box for box in boxes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 48 * explain}" '
        'font-family="sans-serif" font-size="12" fill="currentColor" role="img" '
        'aria-label="The blocks of the network, from left to right as they compute">'
    ]
    for box in boxes:
        if box.block.skip in named:
            other = named[box.block.skip]
            way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in _skip_path(other, box, boxes))
            parts.append(
                f'<g class="skip" fill="none" data-skip="{html.escape(box.block.name)}"><title>The skip from '
                f"{html.escape(other.block.name)} into {html.escape(box.block.name)}</title>"
                f'<path d="{way}" stroke="transparent" stroke-width="4"/>'
                f'<path d="{way}" stroke="#{bytes(_SKIP).hex()}" stroke-width="1.5"/>'
                "</g>"
            )
    way = " ".join(f"{box.x + box.width / 2:.1f},{box.y + box.height / 2:.1f}" for box in boxes)
    for box in boxes:
        one = box.block
        said = (
            f"{one.name}: {one.kind}, {one.channels_in} to {one.channels} channels at {one.size[0]}x"
            f"{one.size[1]}, {one.parameters:,} parameters" + (f", skip from {one.skip}" if one.skip else "")
        )
        chosen_here = ' class="chosen" stroke="#be1428" stroke-width="2.5"' if one.name == marked else ""
        parts.append(
            f'<rect data-block="{html.escape(one.name)}" x="{box.x:.1f}" y="{box.y:.1f}" '
            f'width="{box.width:.1f}" height="{box.height:.1f}" rx="1.5" fill="#{bytes(box.colour).hex()}"'
            f"{chosen_here}><title>{html.escape(said)}</title></rect>"
        )
    parts.append(f'<polyline class="flow" points="{way}" pathLength="100" fill="none" stroke="none"/>')
    for size, channels, y in _size_marks(boxes):
        at = f'font-size="14" x="{width - MARKS + 6}"'  # the page shows the drawing smaller than it is
        parts.append(f'<text {at} y="{y - 3:.1f}" font-weight="600">{size}</text>')
        parts.append(f'<text {at} y="{y + 14:.1f}">{channels}</text>')
    if explain:
        parts.append(_legend(blocks, height + 14))
    if explain and model is not None:
        parts.append(f'<text x="1" y="{height + 42}">{html.escape(entering(model))}</text>')
    return "\n".join([*parts, "</svg>"])


def _skip_path(start: _Box, end: _Box, boxes: Sequence[_Box]) -> list[tuple[float, float]]:
    """The corners of a skip's line: straight, or above the boxes in its way, the more the higher."""
    y, x1, x2 = start.y + start.height / 2, start.x + start.width, end.x
    between = [one for one in boxes if x1 < one.x + one.width / 2 < x2 and one.y < y < one.y + one.height]
    if not between:
        return [(x1, y), (x2, y)]
    top = max(1.0, min(one.y for one in (start, end, *between)) - 2 - min(8.0, 1.2 * len(between)))
    left, right = x1 - start.width / 2, x2 + end.width / 2
    return [(left, start.y), (left, top), (right, top), (right, end.y)]


def _legend(blocks: Sequence[Block], y: float) -> str:
    """What the colours mean; the width of a letter is guessed."""
    parts, x = ['<g class="legend">'], 1.0
    for kind in kinds_in(blocks):
        colour, said = KINDS[kind]
        parts.append(f'<path d="M{x} {y - 10}h12v12h-12z" fill="#{bytes(colour).hex()}"/>')
        parts.append(f'<text x="{x + 17}" y="{y}">{said}</text>')
        x += 40 + 6.4 * len(said)
    parts.append(f'<path d="M{x} {y - 4}h18" stroke="#{bytes(_SKIP).hex()}" stroke-width="2"/>')
    parts.append(f'<text x="{x + 23}" y="{y}">skip</text></g>')
    return "".join(parts)


def entering(model: Any) -> str:
    """How time and condition enter the network, in words, from its configuration."""
    config = model.spec.network
    said = ["Time enters every block as an embedding"]
    if config.classes:
        said.append("the label is added to it or stands beside it")
    if config.text is not None:
        said.append(
            "the text is read word by word by cross-attention and as one vector in the embedding"
            if config.text.cross
            else "the text is one vector in the embedding"
        )
    if model.spec.low_res is not None:
        said.append("the picture to enlarge is further channels of x")
    if config.self_condition:
        said.append("its last x0 is further channels of x")
    return "; ".join(said) + "."
