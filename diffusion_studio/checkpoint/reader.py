"""The types of readers of foreign layouts: how a layout is recognised and described."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .classifier_spec import ClassifierSpec
from .container import Outline, open_weights
from .facts import Fact
from .folders import name_of
from .renames import Rename
from .spec import ModelSpec

MAX_BUFFER = 100_000
_AVERAGES = {"ema", "shadow", "averaged", "average", "avg", "swa"}  # words in the prefixes of EMA weights


@dataclass(frozen=True)
class Source:
    """A foreign file as a reader sees it.

    `shapes` are those of the network's tensors, by names without wrappers and old spellings; `original` gives
    their names in the file. `aside` are tensors outside the network, such as buffers or another copy.
    `config`, `scheduler` and `args` are configurations in the file's folder.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    original: Mapping[str, str]
    prefix: str = ""
    aside: tuple[str, ...] = ()
    aliased: bool = False
    outline: Outline | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name, see `folders.name_of`."""
        return name_of(self.path)

    @property
    def version(self) -> str:
        """The version of the program that wrote the file, if `convert` found one in a pickle; else empty."""
        return str(self.outline.metadata.get("version", ""))[:20] if self.outline else ""

    def buffer(self, name: str) -> np.ndarray | None:
        """A 1-D buffer of the process around the network, such as betas, as float64; None if absent."""
        around = [self.prefix.rpartition(".")[0].rpartition(".")[0], self.prefix.rpartition(".")[0], ""]
        for place in dict.fromkeys(f"{one}." if one else "" for one in around):
            spelt = None if self.outline is None else self.outline.plain.get(place + name)
            if self.outline is None or spelt is None:
                continue
            shape = self.outline.shapes[spelt]
            plain = self.outline.dtypes[spelt] in ("F32", "F64")
            if plain and len(shape) == 1 and 1 <= shape[0] <= MAX_BUFFER:
                with open_weights(self.path, framework="np") as file:
                    values = file.get_tensor(spelt).astype(np.float64)
                return values if np.isfinite(values).all() else None
        return None

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """The shape of a tensor of the network.

        Raises `CheckpointError` unless it exists with `rank` sides.
        """
        found = self.shapes.get(name)
        if found is None:
            raise CheckpointError(
                f"{self.path.name} lacks the tensor {name}, so its network cannot be determined. It may be "
                "part of a checkpoint, or another network; export the whole state dict."
            )
        if len(found) != rank or not all(found):
            raise CheckpointError(
                f"In {self.path.name} the tensor {name} is {found}; it should have {rank} sides, none of "
                "them 0. This is another network, or a damaged file."
            )
        return found

    def count(self, pattern: str, first: int = 0) -> int:
        """The number of consecutive names pattern.format(k), from `first` on, in the file."""
        n = 0
        while pattern.format(first + n) in self.shapes:
            n += 1
        return n


@dataclass(frozen=True)
class Found:
    """The result of a reader: the spec, the names of each tensor, each setting's source, and notes.

    `why` says how the layout was recognised.
    """

    layout: str
    why: str
    spec: ModelSpec | ClassifierSpec
    renames: tuple[Rename, ...]
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()  # tensors of the layout without effect on sampling


@dataclass(frozen=True)
class Reader:
    """One layout.

    A file has this layout if the tensors `sentinels` exist under a common prefix. `aliases` are old spellings
    with their new ones. `describe` determines spec and settings.
    """

    title: str
    sentinels: tuple[str, ...]
    describe: Callable[[Source], Found]
    aliases: tuple[tuple[str, str], ...] = ()
    ambiguous: tuple[
        tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]], ...
    ] = ()  # settings that files do not tell, and the values that `rank_settings` tries, in groups
    outside: tuple[str, ...] = ()  # tensors that belong to the network but lie outside its prefix
    unused: tuple[str, ...] = ()  # endings of names of tensors that the original does not use

    def missing(self, outline: Outline) -> tuple[str, ...]:
        """The sentinels that are missing under the best prefix; empty if the layout is recognised."""
        lacks = [
            tuple(s for s in self.sentinels if p + s not in outline.plain) for p in self._prefixes(outline)
        ]
        return min(lacks, key=len, default=self.sentinels)

    def copies(self, outline: Outline) -> list[str]:
        """The prefixes of complete networks in the file, EMA weights first."""
        return [p for p in self._prefixes(outline) if all(p + s in outline.plain for s in self.sentinels)]

    def _prefixes(self, outline: Outline) -> list[str]:
        """The prefixes before the first sentinel, EMA weights first, then shorter ones."""
        head = self.sentinels[0]
        found = [name[: -len(head)] for name in outline.plain if name == head or name.endswith(f".{head}")]
        return sorted(found, key=lambda p: (not _AVERAGES & set(re.split(r"[._]", p.lower())), len(p), p))

    def source(self, outline: Outline, **given: Any) -> Source:
        """The file as `describe` takes it: the tensors of one network, without wrappers and old spellings."""
        prefix, *others = self.copies(outline)
        inner = tuple(
            p for p in others if p.startswith(prefix)
        )  # other copies whose prefixes begin with this one
        outer = (
            {
                prefix.removesuffix(".").rpartition(".")[0] + "." * (prefix.count(".") > 1) + name
                for name in self.outside
            }
            if prefix
            else set()
        )
        shapes, original, aside, aliased = {}, {}, [], False
        for name, spelt in outline.plain.items():
            if not (name.startswith(prefix) or name in outer) or (inner and name.startswith(inner)):
                aside.append(spelt)
                continue
            short = (
                name.rsplit(".", 2)[-2] + "." + name.rsplit(".", 1)[-1]
                if name in outer
                else name[len(prefix) :]
            )
            for old, new in self.aliases:
                if old in short:
                    short, aliased = short.replace(old, new), aliased or "Conv2d" not in old
            if short in shapes or short.endswith(self.unused):  # the former: a tensor with two names
                aside.append(spelt)
            else:
                shapes[short], original[short] = outline.shapes[spelt], spelt
        return Source(outline.path, shapes, original, prefix, tuple(aside), aliased, outline, **given)

    def notes_on(self, outline: Outline, source: Source) -> list[str]:
        """Notes about parts of the file that are not used: other networks, and other weights."""
        others = [p for p in self.copies(outline) if p != source.prefix]
        notes = []
        if others:
            shown = ", ".join(repr(p) for p in others[:4])
            notes.append(
                f"the file holds {len(others) + 1} networks of this layout: the one under {source.prefix!r} "
                f"is used, and not {shown}"
            )
        beside = {outline.plain.get(name): name for name in outline.plain}
        lost = [
            spelt
            for spelt in source.aside
            if len(outline.shapes[spelt]) > 1
            and not str(beside.get(spelt, spelt)).startswith(tuple(p for p in others if p))
            and not spelt.endswith(self.unused)
        ]
        if lost and source.prefix:
            notes.append(
                f"{len(lost)} tensors around the network are left out: "
                f"{', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
            )
        return notes
