"""A fingerprint of a run's training data: its labels in order and hashes of its pictures. A resume
compares it.
"""

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

_ALL = ""  # label name for pictures without labels


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint of training data.

    `labels` has, in the labels' order, the number of pictures of each label and a hash of their files' names
    and sizes (of their pixels if they are no files). `captions` is a hash of all texts, "" for none.
    `contents` has for each label a hash of parts of its files (`data.files.digest`). It is empty if they are
    no files, and for runs of earlier versions, which are compared by names and sizes alone.

    Pixels of files are not hashed, because decoders round them differently.
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
        """The differences of `now` from this fingerprint, as texts."""
        before, after = self.labels, now.labels
        what = "points" if self.channels == 2 else "pictures"
        changes = [
            f"label {name!r} is gone" if name else f"the {what} had no labels"
            for name in before
            if name not in after
        ]
        changes += [
            f"label {name!r} is new" if name else f"the {what} have no labels now"
            for name in after
            if name not in before
        ]
        for name in [name for name in before if name in after]:
            of = f" of {name!r}" if name else ""
            if before[name][0] != after[name][0]:
                changes.append(f"{what}{of}: {before[name][0]:,} -> {after[name][0]:,}")
            elif before[name][1] != after[name][1] or self._other_contents(name, now):
                changes.append(f"other {what}{of} ({before[name][0]:,}, as before)")
        if not changes and [*before] != [*after]:
            changes.append(f"order of labels: {', '.join(before)} -> {', '.join(after)}")
        if self.captions != now.captions:
            changes.append(
                "other captions"
                if self.captions and now.captions
                else "captions are new"
                if now.captions
                else "captions are gone"
            )
        if self.channels != now.channels:
            changes.append(f"channels: {self.channels} -> {now.channels}")
        return changes

    def _other_contents(self, name: str, now: Fingerprint) -> bool:
        """Whether the contents of a label's files differ; False if either is unknown."""
        before, after = self.contents.get(name), now.contents.get(name)
        return before is not None and after is not None and before != after


def fingerprint(data: ImageData | PointData) -> Fingerprint:
    """The fingerprint of data as it was loaded for training."""
    if isinstance(data, PointData):
        return Fingerprint(2, _by_label(data.labels, data.names, ("",) * len(data.points)))
    captions = _digest(repr(texts) for texts in data.captions) if data.captions else ""
    contents = _by_label(data.labels, data.names, data.digests) if data.digests else {}
    return Fingerprint(
        data.images.shape[-1],
        _by_label(data.labels, data.names, data.marks or ("",) * len(data.images)),
        captions,
        {name: hashes for name, (_, hashes) in contents.items()},
    )


def with_label_order(data: ImageData | PointData, before: Sequence[str]) -> ImageData | PointData:
    """The data with its labels in the order `before`, if they are the same labels."""
    same = set(before) == set(data.names) and len(before) == len(data.names)
    return data.only([*before]) if same and data.names and tuple(before) != tuple(data.names) else data


def check_same(folder: Path, before: Fingerprint, data: ImageData | PointData) -> None:
    """Raise `DataError` with the differences unless the data has the fingerprint `before`."""
    _refuse(folder, before.differences(fingerprint(data)))


def check_labels(folder: Path, before: Sequence[str], data: ImageData | PointData) -> None:
    """Raise `DataError` unless the data has these labels; for a run of an earlier version without a
    fingerprint.
    """
    changes = [f"label {name!r} is gone" for name in before if name not in data.names]
    _refuse(folder, changes + [f"label {name!r} is new" for name in data.names if name not in before])


def _refuse(folder: Path, changes: Sequence[str]) -> None:
    if changes:
        raise DataError(
            f"The data differs from that of the run in {folder}: {'; '.join(changes[:12])}"
            f"{f'; and {len(changes) - 12:,} more differences' if len(changes) > 12 else ''}. Bring "
            "it back to what it was to resume, or start a new run; with as many labels, --start-from uses "
            "the weights of this one."
        )


def _by_label(labels: Any, names: Sequence[str], marks: Sequence[str]) -> dict[str, tuple[int, str]]:
    hashes = [hashlib.blake2b(digest_size=12) for _ in names or (_ALL,)]
    counts = [0] * len(hashes)
    for mark, label in zip(marks, labels.tolist() if names else [0] * len(marks)):
        hashes[label].update(mark.encode("utf-8", "surrogateescape") + b"\0")
        counts[label] += 1
    return {name: (count, one.hexdigest()) for name, count, one in zip(names or (_ALL,), counts, hashes)}


def _digest(texts: Iterable[str]) -> str:
    hashes = hashlib.blake2b(digest_size=12)
    for text in texts:
        hashes.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return hashes.hexdigest()
