"""Points in the plane to train on: sets known by name, tables, and the dark pixels of a picture.

All are centred and scaled to unit variance: the mean of both coordinates' variances is 1, so shapes keep
their proportions.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, unknown
from .point_sets import FAMILY, POINT_SETS

COUNT = 50_000  # points drawn from a named set or a picture to train on
MOST = 5_000_000  # points of a table
FARTHEST = 1e100  # largest coordinate: its square has to be finite
MAX_SIDE = 2048  # pixels to which a picture is reduced
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
_SEPARATORS = (",", ";", "\t")  # of the cells of a table
SHAPES = "shapes"  # all named sets, each with its name as its label
_SEEDS = {"train": 0, "test": 1}


@dataclass(frozen=True)
class PointData:
    """`points` (N, 2) float32 of unit variance; `labels` (N,) int64 indices into `names`, or None."""

    points: np.ndarray
    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    captions: None = None

    @property
    def images(self) -> np.ndarray:
        """The points, under the name that training uses for its data."""
        return self.points

    def only(self, labels: list[str]) -> PointData:
        """The points with one of these labels; `names` become these labels, in this order."""
        if self.labels is None:
            raise DataError("These points have no labels to choose from.")
        for label in labels:
            if label not in self.names:
                raise unknown("label of the data", label, self.names, field="labels")
        new = np.full(len(self.names), -1, np.int64)
        new[[self.names.index(label) for label in labels]] = np.arange(len(labels))
        chosen = np.flatnonzero(new[self.labels] >= 0)
        return PointData(self.points[chosen], new[self.labels[chosen]], tuple(labels))


def is_points(source: str | Path) -> bool:
    """Whether a name or path is a data set of points: a named set, a .csv, a picture file, or an npz with
    `points`.
    """
    path = Path(source).expanduser()
    if not path.exists():
        return str(source) in POINT_SETS or str(source) == SHAPES
    return path.is_file() and (
        path.suffix.lower() in (".csv", *PICTURES) or path.suffix == ".npz" and _has_points(path)
    )


def load(source: str | Path, split: str = "train", count: int = COUNT) -> PointData:
    """The points of a named set, a .csv, an .npz, or a picture's dark pixels.

    `count` points are drawn from a named set (from each of them for "shapes") or a picture. `split` "test"
    draws others of the same set; a table has only one split. Raises `DataError`.
    """
    if split not in _SEEDS:
        raise DataError(f"split must be 'train' or 'test', got {split!r}.")
    path, seed = Path(source).expanduser(), _SEEDS[split]
    if not path.exists():
        if str(source) == SHAPES:
            return _shapes(count, seed)
        if str(source) not in POINT_SETS:
            raise DataError(
                f"There is no set of points {str(source)!r}: neither a file nor one of "
                f"{', '.join(POINT_SETS)}, {SHAPES}."
            )
        return PointData(POINT_SETS[str(source)](count, seed))
    if path.suffix.lower() in PICTURES:
        return PointData(from_picture(read_grey(path), count, seed))
    if path.suffix == ".npz":
        return _from_npz(path)
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    raise DataError(
        f"{path} is no file of points. Give a .csv with two numbers a line, an .npz with 'points' (N, 2), or "
        "a picture."
    )


def normalised(points: np.ndarray) -> np.ndarray:
    """Points (N, 2) centred and divided by the root of the mean of both variances: float32 of unit variance.

    Raises `DataError` unless they are finite and not all equal.
    """
    points = np.asarray(points, np.float64)
    if (
        points.ndim != 2
        or points.shape[1] != 2
        or not 2 <= len(points) <= MOST
        or not np.isfinite(points).all()
    ):
        raise DataError(
            f"Points must be (N, 2) finite numbers with N from 2 to {MOST:,}, got {points.shape}."
        )
    if (largest := np.abs(points).max()) > FARTHEST:
        raise DataError(
            f"A coordinate is {largest:.3g} in size; at most {FARTHEST:g} can be read. Scale the points, or "
            "leave that row out."
        )
    points = points - points.mean(axis=0)
    spread = math.sqrt(points.var(axis=0).mean())
    if not spread > 0:
        raise DataError(
            "All points are equal, so there is nothing to learn. Give at least two different ones."
        )
    return (points / spread).astype(np.float32)


def read_grey(path: str | Path) -> np.ndarray:
    """A picture file as grey (H, W) uint8 on white, reduced to at most 2048 pixels a side. Raises
    `DataError`.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > 64 << 20:
                raise DataError(
                    f"{Path(path).name} has {picture.width} x {picture.height} pixels. Give a smaller "
                    "picture."
                )
            picture.draft("L", (MAX_SIDE, MAX_SIDE))
            rgba = picture.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{Path(path).name} cannot be read as a picture ({error}).") from error
    paper = Image.new("RGBA", rgba.size, "white")
    paper.alpha_composite(rgba)
    paper.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.asarray(paper.convert("L"))


def from_picture(grey: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw `count` points from the dark pixels of a picture (H, W) uint8, with probability proportional to
    darkness.

    Values of 128 and more are background. y points up. Raises `DataError` if nothing is dark, or nearly
    everything.
    """
    ink = np.clip(128 - grey.astype(np.float64), 0, None)
    rows, columns = np.nonzero(ink)
    if len(rows) < 2:
        raise DataError("The picture has nothing dark to draw points from. Draw in black on white.")
    if len(rows) > 0.95 * grey.size:
        raise DataError("The picture is dark all over, so it shows no shape. Draw in black on white.")
    weight = ink[rows, columns]
    random = np.random.Generator(np.random.Philox(key=[seed, FAMILY]))
    chosen = random.choice(len(rows), count, p=weight / weight.sum())
    inside = random.random((count, 2))
    return normalised(np.stack([columns[chosen] + inside[:, 0], -rows[chosen] - inside[:, 1]], axis=1))


def _shapes(count: int, seed: int) -> PointData:
    points = np.concatenate([one(count, seed) for one in POINT_SETS.values()])
    return PointData(points, np.repeat(np.arange(len(POINT_SETS)), count), tuple(POINT_SETS))


def _has_points(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "points.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _from_npz(path: Path) -> PointData:
    """Read `points` (N, 2), and if present `labels` (N,) of whole numbers with their names in `classes`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in ("points", "labels", "classes") if name in archive}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a numpy archive: {error}") from error
    if "points" not in found or found["points"].dtype.kind not in "fiu":
        raise DataError(f"{path} has no numbers under 'points', (N, 2).")
    points, labels = normalised(found["points"]), found.get("labels")
    if labels is None:
        return PointData(points)
    if labels.shape != (len(points),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"The labels in {path} are {labels.dtype} {labels.shape} for {len(points)} points; wanted one "
            "whole number of at least 0 for each."
        )
    return _named(path, points, labels.astype(np.int64), tuple(map(str, found.get("classes", ()))))


def _from_csv(path: Path) -> PointData:
    """Rows of x, y and, in all rows or in none, a label; a first row of names is skipped.

    Cells are separated by commas, semicolons or tabs. Where they are not separated by commas, a comma in a
    number is its decimal point.
    """
    rows, first = _table(path)
    for k, row in enumerate(rows):
        if len(row) != len(rows[0]) or not _is_point(row):
            raise DataError(
                f"Row {first + k} of {path.name} is {','.join(row)[:80]!r}; wanted two numbers, x and y, "
                "separated by a comma, a semicolon or a tab, and after them a label in every row or in none."
            )
    points = normalised(np.array([[float(cell) for cell in row[:2]] for row in rows]).reshape(-1, 2))
    if len(rows[0]) == 2:
        return PointData(points)
    names, labels = np.unique([row[2].strip() for row in rows], return_inverse=True)
    return _named(path, points, labels.astype(np.int64), tuple(map(str, names)))


def _table(path: Path) -> tuple[list[list[str]], int]:
    """The rows of a table without its row of names, and the number of the first one, counted from 1."""
    try:
        text = path.read_text("utf-8-sig")
        tables = [_cells(text, separator) for separator in _SEPARATORS]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    rows = max(tables, key=lambda table: sum(_is_point(row) for row in table))  # of equals the first
    named = len(rows) > 1 and not _number(rows[0][0])
    return (rows[1:], 2) if named else (rows, 1)


def _cells(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [row for row in reader if any(cell.strip() for cell in row)]
    if separator == ",":
        return rows
    return [[cell.replace(",", ".") for cell in row[:2]] + row[2:] for row in rows]


def _is_point(row: list[str]) -> bool:
    return len(row) in (2, 3) and all(map(_number, row[:2]))


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _named(path: Path, points: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> PointData:
    count = int(labels.max()) + 1
    if count > 1000:
        raise DataError(f"The labels in {path.name} go up to {count - 1:,}; number them from 0 without gaps.")
    names = names or tuple(map(str, range(count)))
    if len(names) < count:
        raise DataError(
            f"The labels in {path.name} go up to {count - 1}, and there are only {len(names)} names for them."
        )
    return PointData(points, labels, names)
