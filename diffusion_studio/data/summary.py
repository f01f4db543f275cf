"""What was read to train on, as an object and as one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.fitting import FITS
from .imagedata import ImageData

if TYPE_CHECKING:
    from .points import PointData

# pixel values that are counted for the shades; of larger data, evenly chosen pictures
_MAX_VALUES = 1 << 26
_TOLERANCE = 2  # of a grey pixel's channels: a JPEG rounds them apart
_NAMED = 12  # labels in the line


@dataclass(frozen=True)
class DataSummary:
    """What a data set holds, as training takes it. `str` is the one line that `train` begins with.

    `size` is (width, height) of the pictures in memory and None for points; `sizes` those in the files, by
    how many; `shades` the different values of their channels; `grey_as_rgb` whether all are grey and yet have
    three channels; `labels` the number of pictures of each label; `captions` how many texts there are in all;
    `looked` how many pictures were decoded, where that is not all.
    """

    name: str
    pictures: int
    size: tuple[int, int] | None = None
    channels: int = 0
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    fit: str = ""
    shades: int = 0
    grey_as_rgb: bool = False
    labels: Mapping[str, int] = field(default_factory=dict)
    captions: int = 0
    split: str = ""
    other_splits: Mapping[str, int] = field(default_factory=dict)
    left_out: str = ""
    left_out_count: int = 0
    notes: tuple[str, ...] = ()
    looked: int | None = None

    def __str__(self) -> str:
        return self.line()

    def line(self, to_grey: str = "--colours grey") -> str:
        """The line; `to_grey` is how the reader asks for grey pictures."""
        what = "points" if self.size is None else "pictures"
        where = f"{self.name}, split {self.split}" if self.split else self.name
        parts = [
            f"Read {where}: {self.pictures:,} {what if self.pictures != 1 else what[:-1]}"
            f"{self._form(to_grey)}",
            self._labels(),
            f"{self.captions:,} caption{'s' * (self.captions != 1)}" if self.captions else "no captions",
        ]
        if self.size is None:
            parts.pop()
        parts += self.notes
        if self.looked is not None:
            parts.append(f"{self.looked:,} of them were looked into")
        if self.other_splits:
            parts.append(
                "not trained on: " + ", ".join(f"{name} ({n:,})" for name, n in self.other_splits.items())
            )
        if self.size is not None:
            parts.append(f"left out: {self.left_out}" if self.left_out else "nothing left out")
        return "; ".join(parts) + "."

    def _form(self, to_grey: str) -> str:
        if self.size is None:
            return " in the plane"
        kind = "grey" if self.channels == 1 else "grey saved as RGB" if self.grey_as_rgb else "RGB"
        own = [f"{w}x{h}" for w, h in self.sizes] or [f"{self.size[0]}x{self.size[1]}"]
        now = f"{self.size[0]}x{self.size[1]}"
        of = (
            own[0]
            if len(own) == 1
            else f"{len(own)} sizes ({', '.join(own[:3])}{', ...' if len(own) > 3 else ''})"
        )
        brought = f", brought to {now} ({self.fit})" if own != [now] else ""
        greyness = (
            f"; a colour model is trained on them, with {to_grey} a grey one" if self.grey_as_rgb else ""
        )
        shades = f"{self.shades} shade{'s' * (self.shades != 1)}{' of each channel' * (self.channels == 3)}"
        return f" of {of}{brought}, {kind}, {shades}{greyness}"

    def _labels(self) -> str:
        if not self.labels:
            return "no labels"
        named = [f"{name} {count:,}" for name, count in [*self.labels.items()][:_NAMED]]
        more = f" and {len(self.labels) - _NAMED:,} more" if len(self.labels) > _NAMED else ""
        return f"{len(self.labels):,} label{'s' * (len(self.labels) != 1)}: {', '.join(named)}{more}"


def summary(data: ImageData, name: str, fit: str = "pad") -> DataSummary:
    """What is in memory, under the name or path that it was read from."""
    about, images = data.reading, data.images
    totals = data.counts
    return DataSummary(
        name=Path(name).name or name,
        pictures=totals["pictures"],
        size=(images.shape[2], images.shape[1]),
        channels=images.shape[-1],
        sizes=about.sizes,
        fit=fit if fit in FITS else "",
        shades=_shades(images),
        grey_as_rgb=images.shape[-1] == 3 and _grey(images),
        labels=totals["labels"],
        captions=totals["captions"],
        split=about.split,
        other_splits=about.others,
        left_out=about.left_out,
        left_out_count=about.left_out_count,
        notes=about.notes,
        looked=len(images) if about.totals else None,
    )


def summary_of_points(data: PointData, name: str) -> DataSummary:
    """The same of points in the plane."""
    counts = (
        {}
        if data.labels is None
        else dict(zip(data.names, np.bincount(data.labels, minlength=len(data.names)).tolist()))
    )
    return DataSummary(name=Path(name).name or name, pictures=len(data.points), labels=counts)


def _shades(images: np.ndarray) -> int:
    each = max(1, images[0].size)
    step = max(1, -(-len(images) * each // _MAX_VALUES))
    seen = np.zeros(256, bool)
    for k in range(0, len(images), 1024 * step):
        seen[np.unique(images[k : k + 1024 * step : step])] = True
    return int(seen.sum())


def _grey(images: np.ndarray) -> bool:
    """Whether the three channels of every picture are alike, up to the rounding of a JPEG."""
    for k in range(0, len(images), 1024):
        some = images[k : k + 1024].astype(np.int16)
        if (some.max(axis=3) - some.min(axis=3)).max() > _TOLERANCE:
            return False
    return True
