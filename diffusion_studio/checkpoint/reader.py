"""What a reader of a foreign layout is: keys to recognise it by, and a description of what it found. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..classifier_spec import ClassifierSpec
from ..errors import CheckpointError
from ..spec import ModelSpec
from .container import Outline, opened
from .facts import Fact
from .walk import Rename

WRAPPERS = re.compile(r"(?:(?:module|_orig_mod|model|ema_model|online_model|ema|nn_model|net|network|unet|denoise_fn|"
                      r"state_dict|_model)\.)*")

MAX_BUFFER = 100_000

_ANONYMOUS = ("model", "diffusion_pytorch_model", "diffusion_pytorch_model.fp16", "unet", "unet_ema")


@dataclass(frozen=True)
class Source:
    """A foreign file: shapes under names freed of wrappers and aliases, and the configurations found beside it.

    `original` gives a name's spelling in the file; `aside` are tensors outside the network (another copy, buffers).
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
        """The file's name, or its folder's where the file is called as all of them are."""
        parts = [self.path.stem, *(part.name for part in self.path.resolve().parents)]
        return next((part for part in parts if part and part not in _ANONYMOUS), self.path.stem)

    @property
    def version(self) -> str:
        """The version of the program that wrote the file, where `convert` found one in a pickle; else empty."""
        return str(self.outline.metadata.get("version", ""))[:20] if self.outline else ""

    def buffer(self, name: str) -> np.ndarray | None:
        """A table of numbers that the process keeps around the network (betas, ...), float64; None where there is none."""
        around = [self.prefix.rpartition(".")[0].rpartition(".")[0], self.prefix.rpartition(".")[0], ""]
        for place in dict.fromkeys(f"{one}." if one else "" for one in around):
            shape = self.outline.shapes.get(place + name) if self.outline else None
            if shape and len(shape) == 1 and 1 <= shape[0] <= MAX_BUFFER \
                    and self.outline.dtypes[place + name] in ("F32", "F64"):
                with opened(self.path, framework="np") as file:
                    values = file.get_tensor(place + name).astype(np.float64)
                return values if np.isfinite(values).all() else None
        return None

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """The shape of a tensor that has to be there, with `rank` sides. Raises `CheckpointError`."""
        found = self.shapes.get(name)
        if found is None:
            raise CheckpointError(f"{self.path.name} lacks the tensor {name}, so its network cannot be told. It may be part "
                                  "of a checkpoint, or another network; export the whole state dict.")
        if len(found) != rank or not all(found):
            raise CheckpointError(f"In {self.path.name} the tensor {name} is {found}; it should have {rank} sides, none of "
                                  "them 0. This is another network, or a damaged file.")
        return found

    def count(self, pattern: str, first: int = 0) -> int:
        """How many of pattern.format(first), pattern.format(first + 1), ... there are in a row."""
        n = 0
        while pattern.format(first + n) in self.shapes:
            n += 1
        return n


@dataclass(frozen=True)
class Found:
    """What a reader made of a file: the spec, each tensor's names, each setting's source, and what it could not tell."""

    layout: str
    why: str
    spec: ModelSpec | ClassifierSpec
    renames: tuple[Rename, ...]
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()                            # tensors that belong there and play no part in drawing


@dataclass(frozen=True)
class Reader:
    """One layout: its name for people, keys that must be there, spellings to unify, and what describes a file of it."""

    title: str
    sentinels: tuple[str, ...]
    describe: Callable[[Source], Found]
    aliases: tuple[tuple[str, str], ...] = ()
    ambiguous: tuple[tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]], ...] = ()     # names, and values to try together
    unused: tuple[str, ...] = ()                    # endings of names that the origin keeps and does not compute with

    def missing(self, outline: Outline) -> tuple[str, ...]:
        """The sentinels that are not in the file under any one prefix; empty where the layout is recognised."""
        prefixes = self.prefixes(outline)
        lacks = [tuple(s for s in self.sentinels if p + s not in outline.shapes) for p in prefixes]
        return min(lacks, key=len, default=self.sentinels)

    def prefixes(self, outline: Outline) -> list[str]:
        """The wrappers under which the first sentinel lies, an average of the weights (EMA) first."""
        head = self.sentinels[0]
        found = [name[:-len(head)] for name in outline.shapes if name.endswith(head)]
        return sorted((p for p in found if WRAPPERS.fullmatch(p)), key=lambda p: ("ema" not in p, len(p)))

    def source(self, outline: Outline, **given: Any) -> Source:
        """The file as `describe` wants it: one network's tensors, unwrapped, in this layout's newest spelling."""
        prefix = next(p for p in self.prefixes(outline) if all(p + s in outline.shapes for s in self.sentinels))
        shapes, original, aside, aliased = {}, {}, [], False
        for name, shape in outline.shapes.items():
            if not name.startswith(prefix) or (not prefix and _other_copy(name)):
                aside.append(name)
                continue
            short = name[len(prefix):]
            for old, new in self.aliases:
                if old in short:
                    short, aliased = short.replace(old, new), aliased or "Conv2d" not in old
            if short in shapes or short.endswith(self.unused):      # one tensor under two names
                aside.append(name)
            else:
                shapes[short], original[short] = shape, name
        return Source(outline.path, shapes, original, prefix, tuple(aside), aliased, outline, **given)


def _other_copy(name: str) -> bool:
    return name.startswith(("ema_model.", "ema.", "model_ema."))
