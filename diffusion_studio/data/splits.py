"""Folders named after the splits of a data set (train, test, validation). They are recognised, so that
none is taken for a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError

NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
}
# a single folder of such a name is no label
CONTAINERS = frozenset({"images", "imgs", "pictures", "photos", "data"})
# the folders that a split is read from; the first existing one counts
FALLBACK = {"train": ("train",), "test": ("test", "validation")}


@dataclass(frozen=True)
class Split:
    """The pictures of one split.

    `labels` has for each the folder that names its label, or None. `others` counts the pictures of other
    splits.
    """

    pictures: tuple[Path, ...]
    labels: tuple[str | None, ...]
    name: str = ""  # "" where the folder has no splits
    others: dict[str, int] = field(default_factory=dict)


def chosen(root: Path, pictures: Sequence[Path], split: str) -> Split:
    """The pictures of a split in ROOT/train/... or ROOT/LABEL/train/..., or one folder deeper.

    A folder without splits is taken whole. One folder around all labels is skipped. A single folder is no
    label if its name is one of `CONTAINERS`. Raises `DataError` if split folders are beside others, or the
    split is missing.
    """
    parts = [path.relative_to(root).parts for path in pictures]
    depth = _depth(root, parts)
    if depth is None:
        return Split(tuple(pictures), _labels(parts))
    of = [NAMES[one[depth].casefold()] for one in parts]
    counts = Counter(of)
    name = next((one for one in FALLBACK[split] if one in counts), None)
    if name is None:
        folders = ", ".join(sorted({one[depth] for one in parts}))
        raise DataError(
            f"{root} holds {'the splits' if len(counts) > 1 else 'the split'} {folders} and none for "
            f"{split}. Name the folder with those pictures {split}, or give it alone."
        )
    kept = [k for k, one in enumerate(of) if one == name]
    if len(given := {parts[k][depth] for k in kept}) > 1:
        raise DataError(
            f"{root} holds several folders for the split {name}: {', '.join(sorted(given))}. "
            "Keep one of them."
        )
    # LABEL/train/... as opposed to one folder around train/...
    by_top = depth == 1 and len({one[0] for one in parts}) > 1
    # from all splits together, so that each has its labels at the same depth
    labels = [one[0] for one in parts] if by_top else _labels([one[depth + 1 :] for one in parts])
    return Split(
        tuple(pictures[k] for k in kept),
        tuple(labels[k] for k in kept),
        name,
        {one: counts[one] for one in counts if one != name},
    )


def _labels(parts: Sequence[tuple[str, ...]]) -> tuple[str | None, ...]:
    """LABEL of LABEL/..., or of AROUND/LABEL/... if one folder is around all; None for pictures in no
    folder.
    """
    while parts and all(len(one) > 2 for one in parts) and len({one[0] for one in parts}) == 1:
        parts = [one[1:] for one in parts]
    labels = tuple(one[0] if len(one) > 1 else None for one in parts)
    single = next(iter(labels)) if len(set(labels)) == 1 else None
    return (None,) * len(labels) if single and single.casefold() in CONTAINERS else labels


def _depth(root: Path, parts: Sequence[tuple[str, ...]]) -> int | None:
    """The number of folders around the split folders, 0 or 1; None if there are no splits."""
    top = _folders(parts, 0)
    if top is None:
        return None
    named = {one for one in top if one.casefold() in NAMES}
    if named and named == top:
        return 0
    if len({NAMES[one.casefold()] for one in named}) > 1:
        others = sorted(top - named)
        raise DataError(
            f"{root} holds the splits {', '.join(sorted(named))} beside other folders "
            f"({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}), so it does not say which are "
            "labels. Move one kind away."
        )
    inner = _folders(parts, 1)
    return 1 if inner and all(one.casefold() in NAMES for one in inner) else None


def _folders(parts: Sequence[tuple[str, ...]], depth: int) -> set[str] | None:
    """The names of the folders at a depth; None if a picture is less deep."""
    return {one[depth] for one in parts} if parts and all(len(one) > depth + 1 for one in parts) else None
