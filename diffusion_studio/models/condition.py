"""What pictures are generated from: a condition as users give it, and as a network takes it."""

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
    """The condition of a batch of pictures: label, prompt, and small pictures to enlarge.

    `label` and `prompt` hold one value for all pictures, or a sequence with one entry per picture. None means
    unconditional, if the model supports it. `low_res` is (1 or N, C, h, w) in [-1, 1], for models that
    enlarge pictures.
    """

    label: Label | Sequence[Label] = None
    prompt: Prompt | Sequence[Prompt] = None
    low_res: torch.Tensor | None = field(default=None, compare=False)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The one label, or one for each picture."""
        if self.label is None or isinstance(self.label, (str, int)):
            return (self.label,)
        if isinstance(self.label, Integral):  # a numpy integer
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
    """A `Condition` as a network takes it. Each part has one entry for all pictures, or one per picture.

    `classes` are class indices, None for a network without classes. `text` holds encoded prompts. `low_res`
    holds the pictures to enlarge, already interpolated to the size of x.
    """

    classes: tuple[int | None, ...]
    text: TextFeatures | None = field(default=None, compare=False)
    low_res: torch.Tensor | None = field(default=None, compare=False)

    def for_each(self, x: torch.Tensor) -> Encoded:
        """This condition with exactly one entry per picture of x (N, C, H, W).

        Raises `OptionError` if a part has neither 1 nor N entries.
        """
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
        """The parts concatenated along the batch. Each part must have one entry per picture."""
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
    """Raise `OptionError` unless `count` is 1 or the number of pictures. `what` names the entries."""
    if count not in (1, pictures):
        raise OptionError(
            what, f"{count} {what} were given for {pictures} pictures. Give one, or one for each."
        )
