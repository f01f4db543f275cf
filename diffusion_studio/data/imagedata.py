"""Pictures in memory with their labels and captions, and functions to select and resize them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import DataError, OptionError, unknown
from ..imaging.fitting import FITS, fitted

COLOURS = ("auto", "grey", "rgb")  # auto keeps what the files have


@dataclass(frozen=True)
class ReadReport:
    """Facts about how pictures were read (see `summary`).

    `left_out` names the files that were not read. `others` counts the pictures of splits that were not asked
    for. `sizes` counts the sizes (width, height) in the files. `totals` counts everything, if only some
    pictures were decoded.
    """

    left_out: str = ""
    left_out_count: int = 0
    split: str = ""
    others: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    totals: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ImageData:
    """`images` (N, H, W, C) uint8 with 1 or 3 channels; `labels` (N,) int64 indices into `names`, or None.

    `captions` holds one or more texts for each picture, or is None; a single text needs no tuple. `marks`
    identifies each picture: its file's name and number of bytes, or a checksum of its pixels. `digests` are
    hashes of parts of the files (`files.digest`), None if the pictures are no files. Raises `DataError` for
    captions that are missing or no texts.
    """

    images: np.ndarray
    labels: np.ndarray | None
    names: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] | None = None
    marks: tuple[str, ...] | None = None
    reading: ReadReport = ReadReport()
    digests: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.captions is None:
            return
        captions = tuple((one,) if isinstance(one, str) else tuple(one) for one in self.captions)
        if len(captions) != len(self.images):
            raise DataError(f"There are {len(captions)} captions for {len(self.images)} images.")
        for k, texts in enumerate(captions):
            if wrong := [one for one in texts if not isinstance(one, str)]:
                raise DataError(
                    f"Image {k} has the caption {wrong[0]!r:.80}, which is no text. Give texts, or leave the "
                    "captions out altogether."
                )
        if bare := [k for k, texts in enumerate(captions) if not texts or not all(map(str.strip, texts))]:
            raise DataError(
                f"{len(bare):,} of {len(captions):,} images have no caption, the first is number {bare[0]}. "
                "Give each one, or leave the captions out altogether."
            )
        object.__setattr__(self, "captions", captions)

    def padded(self, size: int, background: tuple[int, int, int] = (0, 0, 0)) -> ImageData:
        """The pictures centred on a `background` of size x size. Raises `DataError` for larger ones, which
        are never cropped.
        """
        height, width = self.images.shape[1:3]
        if height > size or width > size:
            raise DataError(
                f"The pictures are {width}x{height}, larger than the {size}x{size} asked for. "
                f"Ask for size {max(height, width)} or more, or for the fit 'crop' or 'resize'."
            )
        top, left = (size - height) // 2, (size - width) // 2
        channels = self.images.shape[3]
        images = np.empty((len(self.images), size, size, channels), np.uint8)
        images[:] = background if channels == 3 else round(sum(background) / 3)
        images[:, top : top + height, left : left + width] = self.images
        return replace(self, images=images)

    def fitted(self, size: int, fit: str = "pad", background: tuple[int, int, int] = (0, 0, 0)) -> ImageData:
        """The pictures brought to size x size by `fit`, see `imaging.fitting.FITS`."""
        if fit not in FITS:
            raise unknown("fit", fit, FITS)
        if self.images.shape[1:3] == (size, size):
            return self
        if fit == "pad":
            return self.padded(size, background)
        return replace(self, images=np.stack([fitted(image, size, fit, background) for image in self.images]))

    def only(self, labels: Sequence[str]) -> ImageData:
        """The pictures with one of these labels; `names` become these labels, in this order."""
        if self.labels is None:
            raise OptionError(
                "labels", f"The pictures have no labels, so none of {', '.join(labels)} can be chosen."
            )
        for label in labels:
            if label not in self.names:
                raise unknown("label of the data", label, self.names, field="labels")
        new = np.full(len(self.names), -1, np.int64)
        new[[self.names.index(label) for label in labels]] = np.arange(len(labels))
        chosen = np.flatnonzero(new[self.labels] >= 0)
        if not len(chosen):
            raise DataError(f"No picture has any of the labels {', '.join(labels)}.")
        return replace(self.chosen(chosen), labels=new[self.labels[chosen]], names=tuple(labels))

    def without(self, fragments: Sequence[str]) -> ImageData:
        """The pictures without captions that hold one of `fragments`.

        A fragment is one or more consecutive parts of a caption, where parts are separated by commas.
        """
        if self.captions is None:
            raise OptionError("captions", "The pictures have no captions, so none can be held out by them.")
        excluded = {parts for fragment in fragments if any(parts := _parts(fragment))}
        lengths = {len(parts) for parts in excluded}

        def holds(caption: str) -> bool:
            parts = _parts(caption)
            return any(parts[k : k + n] in excluded for n in lengths for k in range(len(parts) - n + 1))

        kept = [k for k, texts in enumerate(self.captions) if not any(map(holds, texts))]
        if not kept:
            raise DataError("Every picture's caption holds one of the parts to be held out. Hold fewer out.")
        return self.chosen(kept)

    def chosen(self, numbers: Sequence[int] | np.ndarray) -> ImageData:
        """The pictures with these indices, in this order."""
        some = {
            name: None if (given := getattr(self, name)) is None else tuple(given[k] for k in numbers)
            for name in ("captions", "marks", "digests")
        }
        return replace(
            self,
            images=self.images[numbers],
            labels=None if self.labels is None else self.labels[numbers],
            **some,
        )

    @property
    def counts(self) -> dict[str, Any]:
        """The number of pictures, of pictures for each label, and of captions, counting those that were
        not decoded.
        """
        if self.reading.totals is not None:
            return dict(self.reading.totals)
        labels = () if self.labels is None else np.bincount(self.labels, minlength=len(self.names)).tolist()
        return {
            "pictures": len(self.images),
            "labels": dict(zip(self.names, labels)),
            "captions": sum(map(len, self.captions or ())),
        }

    def sampled(self, most: int) -> ImageData:
        """At most `most` pictures, evenly chosen. `counts` stays that of all."""
        if len(self.images) <= most:
            return self
        kept = replace(self, reading=replace(self.reading, totals=self.counts))
        return kept.chosen(np.linspace(0, len(self.images) - 1, most).astype(int))

    def coloured(self, colours: str) -> ImageData:
        """The pictures in `colours`: "grey" (Rec. 601 luma, as Pillow computes it), "rgb", or "auto" for
        as they are.
        """
        if colours not in COLOURS:
            raise unknown("kind of colours", colours, COLOURS, field="colours")
        channels = {"auto": self.images.shape[-1], "grey": 1, "rgb": 3}[colours]
        if channels == self.images.shape[-1]:
            return self
        if channels == 3:
            return replace(self, images=np.repeat(self.images, 3, axis=3))
        return replace(
            self,
            images=np.concatenate(
                [_luma(self.images[k : k + _CHUNK]) for k in range(0, len(self.images), _CHUNK)]
            ),
        )


_CHUNK = 1024  # pictures at a time


def _luma(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, H, W, 1) uint8, in Pillow's fixed-point arithmetic."""
    wide = images.astype(np.uint32)
    return ((wide @ np.array([19595, 38470, 7471], np.uint32) + 0x8000) >> 16).astype(np.uint8)[..., None]


def _parts(caption: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()).casefold() for part in caption.split(","))
