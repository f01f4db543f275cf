"""What pictures are asked to be, as people say it and as a network takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import torch

from ..errors import OptionError
from ..networks.text import TextFeatures

Label = str | int | None
Prompt = str | None


@dataclass(frozen=True)
class Condition:
    """What the pictures of a batch are asked to be.

    `label` and `prompt` hold one value for all pictures, or a sequence with one entry for each; None means
    any, where the model knows that. `low_res`, for a model that enlarges: (1 or N, C, h, w) in [-1, 1].
    """

    label: Label | Sequence[Label] = None
    prompt: Prompt | Sequence[Prompt] = None
    low_res: torch.Tensor | None = field(default=None, compare=False)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The one label, or one for each picture."""
        if self.label is None or isinstance(self.label, (str, int)):
            return (self.label,)
        if isinstance(self.label, Integral):  # numpy's
            return (int(self.label),)
        return tuple(self.label)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The one prompt, or one for each picture."""
        if self.prompt is None or isinstance(self.prompt, str):
            return (self.prompt,)
        return tuple(self.prompt)


@dataclass(frozen=True)
class Encoded:
    """A `Condition` as a network takes it: class indices (None where it takes none), encoded prompts, and
    pictures to enlarge that already have the size of x. Each is one for all pictures, or one for each.
    """

    classes: tuple[int | None, ...]
    text: TextFeatures | None = field(default=None, compare=False)
    low_res: torch.Tensor | None = field(default=None, compare=False)

    def for_each(self, x: torch.Tensor) -> Encoded:
        """One entry for each of the pictures x. An `OptionError` where there is another number of them."""
        parts = {
            "labels": len(self.classes),
            "prompts": 1 if self.text is None else len(self.text.mask),
            "pictures to enlarge": 1 if self.low_res is None else len(self.low_res),
        }
        for what, count in parts.items():
            check_count(what, count, len(x))
        return Encoded(
            self.classes * len(x) if len(self.classes) == 1 else self.classes,
            None if self.text is None else self.text.expand(len(x)),
            None if self.low_res is None else self.low_res.to(x).expand_as(x),
        )

    @staticmethod
    def cat(parts: Sequence[Encoded]) -> Encoded:
        """The entries of all parts, one after the other; each part has one for each picture."""
        first = parts[0]
        return replace(
            first,
            classes=tuple(index for one in parts for index in one.classes),
            text=None
            if first.text is None
            else TextFeatures.cat([one.text for one in parts if one.text is not None]),
            low_res=None
            if first.low_res is None
            else torch.cat([one.low_res for one in parts if one.low_res is not None]),
        )


def check_count(what: str, count: int, pictures: int) -> None:
    """An `OptionError` unless there is one for all pictures, or one for each."""
    if count not in (1, pictures):
        raise OptionError(
            what, f"{count} {what} were given for {pictures} pictures. Give one, or one for each."
        )
