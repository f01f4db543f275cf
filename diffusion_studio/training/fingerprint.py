"""What a run was begun with: its labels in order and marks of its pictures, so that a resume goes on with the
same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..data.imagedata import ImageData
from ..data.points import PointData
from ..errors import CheckpointError, DataError

_ALL = ""  # stands for the label of pictures without labels


@dataclass(frozen=True)
class Fingerprint:
    """`labels` has the number of pictures of each label, in the labels' order, and a digest of their files'
    names and sizes (of their pixels, where they are no files); `captions` a digest of all texts, "" for none.
    `contents` has a digest of each label's files by parts of their bytes (`data.files.digest`); it is empty
    where they are no files, and of runs by earlier versions, which are compared by names and sizes alone.

    Files are not told apart by their pixels, which decoders round in ways of their own.
    """

    channels: int
    labels: Mapping[str, tuple[int, str]]
    captions: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str, path: Path) -> Fingerprint:
        try:
            given = json.loads(text)
            labels = {
                str(name): (int(count), str(digest)) for name, (count, digest) in given["labels"].items()
            }
            contents = {str(name): str(digest) for name, digest in given.get("contents", {}).items()}
            return cls(int(given["channels"]), labels, str(given["captions"]), contents)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}), so the run's data cannot be compared with what is read now. "
                "Delete it to resume without comparing."
            ) from error

    def differences(self, now: Fingerprint) -> list[str]:
        """What `now` has otherwise, as texts."""
        kept, found = self.labels, now.labels
        what = "points" if self.channels == 2 else "pictures"
        told = [
            f"label {name!r} is gone" if name else f"the {what} had no labels"
            for name in kept
            if name not in found
        ]
        told += [
            f"label {name!r} is new" if name else f"the {what} have no labels now"
            for name in found
            if name not in kept
        ]
        for name in [name for name in kept if name in found]:
            of = f" of {name!r}" if name else ""
            if kept[name][0] != found[name][0]:
                told.append(f"{what}{of}: {kept[name][0]:,} -> {found[name][0]:,}")
            elif kept[name][1] != found[name][1] or self._other_contents(name, now):
                told.append(f"other {what}{of} ({kept[name][0]:,}, as before)")
        if not told and [*kept] != [*found]:
            told.append(f"order of labels: {', '.join(kept)} -> {', '.join(found)}")
        if self.captions != now.captions:
            told.append(
                "other captions"
                if self.captions and now.captions
                else "captions are new"
                if now.captions
                else "captions are gone"
            )
        if self.channels != now.channels:
            told.append(f"channels: {self.channels} -> {now.channels}")
        return told

    def _other_contents(self, name: str, now: Fingerprint) -> bool:
        before, after = self.contents.get(name), now.contents.get(name)
        return before is not None and after is not None and before != after


def fingerprint(data: ImageData | PointData) -> Fingerprint:
    """Of the data as training takes it."""
    if isinstance(data, PointData):
        return Fingerprint(2, _by_label(data.labels, data.names, ("",) * len(data.points)))
    captions = _digest(repr(texts) for texts in data.captions) if data.captions else ""
    contents = _by_label(data.labels, data.names, data.digests) if data.digests else {}
    return Fingerprint(
        data.images.shape[-1],
        _by_label(data.labels, data.names, data.marks or ("",) * len(data.images)),
        captions,
        {name: made for name, (_, made) in contents.items()},
    )


def in_kept_order(data: ImageData | PointData, kept: Sequence[str]) -> ImageData | PointData:
    """The data with its labels in the order of the run, where they are the same ones."""
    same = set(kept) == set(data.names) and len(kept) == len(data.names)
    return data.only([*kept]) if same and data.names and tuple(kept) != tuple(data.names) else data


def check_same(folder: Path, kept: Fingerprint, data: ImageData | PointData) -> None:
    """A `DataError` with the differences, unless the data is what the run was begun with."""
    _refuse(folder, kept.differences(fingerprint(data)))


def check_labels(folder: Path, kept: Sequence[str], data: ImageData | PointData) -> None:
    """The same of a run by an earlier version, of which only the labels are known."""
    told = [f"label {name!r} is gone" for name in kept if name not in data.names]
    _refuse(folder, told + [f"label {name!r} is new" for name in data.names if name not in kept])


def _refuse(folder: Path, told: Sequence[str]) -> None:
    if told:
        raise DataError(
            f"The data is not what the run in {folder} was begun with: {'; '.join(told[:12])}"
            f"{f'; and {len(told) - 12:,} more differences' if len(told) > 12 else ''}. Bring "
            "it back to what it was to "
            "resume, or start a new run; with as many labels, --start-from takes the weights of "
            "this one along."
        )


def _by_label(labels: Any, names: Sequence[str], marks: Sequence[str]) -> dict[str, tuple[int, str]]:
    made = [hashlib.blake2b(digest_size=12) for _ in names or (_ALL,)]
    counts = [0] * len(made)
    for mark, label in zip(marks, labels.tolist() if names else [0] * len(marks)):
        made[label].update(mark.encode("utf-8", "surrogateescape") + b"\0")
        counts[label] += 1
    return {name: (count, one.hexdigest()) for name, count, one in zip(names or (_ALL,), counts, made)}


def _digest(texts: Iterable[str]) -> str:
    made = hashlib.blake2b(digest_size=12)
    for text in texts:
        made.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return made.hexdigest()
