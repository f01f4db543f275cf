"""A summary of the data that was read for training, as an object and as one line."""

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

# pixel values from which shades are counted; of larger data, evenly chosen pictures
_MAX_VALUES = 1 << 26
_TOLERANCE = 2  # between the channels of a grey pixel, which JPEG rounds differently
_NAMED = 12  # most labels in the line


@dataclass(frozen=True)
class DataSummary:
    """What a data set holds, as training uses it. `str` gives the line that `train` prints first.

    `size` is (width, height) of the pictures in memory, None for points. `sizes` counts the sizes in the
    files. `shades` is the number of different values of a channel. `grey_as_rgb` is whether all pictures are
    grey but have three channels. `labels` counts the pictures of each label, `captions` all texts. `looked`
    is the number of decoded pictures, if that is not all of them.
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
        """The summary as one line. `to_grey` is how the reader asks for grey pictures."""
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
            parts.append(f"{self.looked:,} of them, evenly chosen, were opened for this line")
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
    """The summary of pictures in memory. `name` is the name or path that they were read from."""
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
    """The summary of points in the plane."""
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
    """Whether the three channels of every picture are equal, up to JPEG's rounding."""
    for k in range(0, len(images), 1024):
        some = images[k : k + 1024].astype(np.int16)
        if (some.max(axis=3) - some.min(axis=3)).max() > _TOLERANCE:
            return False
    return True
