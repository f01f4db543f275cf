"""Captions and labels of a folder's pictures, from text files of the same names or from tables."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from .files import Listing

EDM = "dataset.json"  # written by the dataset_tool.py of StyleGAN and EDM (Karras et al. 2022)
_FILES = ("file_name", "filename", "file", "image", "path")
_TEXTS = ("caption", "text", "prompt", "description")  # a column of texts begins with one of these
_LABELS = ("label", "class", "category", "class_name", "label_name")
_DELIMITERS = ",;\t|"
_NAMED = 3
_MAX_FIELD = 1 << 20


@dataclass(frozen=True)
class Texts:
    """The captions and the label of each picture, in order. Either is None if the folder has none at all."""

    captions: tuple[tuple[str, ...], ...] | None = None
    labels: tuple[str, ...] | None = None
    labels_from: str = ""  # the table that has the labels
    notes: tuple[str, ...] = ()
    unlabelled: bool = False  # whether a dataset.json states that there are no labels


@dataclass
class _Found:
    """What the tables hold, by picture."""

    captions: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[Path, str] = field(default_factory=dict)
    captioned: list[str] = field(default_factory=list)  # names of tables with captions
    labelled: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)  # of tables with neither captions nor labels
    notes: list[str] = field(default_factory=list)


def read(listing: Listing, files: Sequence[Path]) -> Texts:
    """The captions and labels of these picture files.

    Captions come from NAME.txt beside NAME.png, one caption a line; or from a table (`files.TABLES`) in any
    folder, with a column of file names (relative to the table's folder) and one or more columns of texts. A
    column `label` has labels. Raises `DataError` for pictures without a caption if others have one, for
    captions that are not text, and for lines that cannot be read.
    """
    texts = {path: listing.texts[path] for path in files if path in listing.texts}
    around = {folder for path in files for folder in path.parents}
    tables = [table for table in listing.tables if table.parent in around]
    found = _Found()
    of_edm = {table: _edm_labels(table) for table in tables if table.name == EDM}
    tables = [table for table in tables if of_edm.get(table, True)]
    if None in of_edm.values():
        found.notes.append(f"{EDM} is not of EDM's form, so it is not read")
    _check_one_form(listing.root, tables)
    for table in tables:
        _read_table(table, listing, found, set(files))
    sources = [*found.captioned, *(["text files beside the pictures"] if texts else [])]
    if texts and found.captioned:
        raise DataError(
            f"{listing.root} holds captions in several forms: {', '.join(sources)}. Keep one of them."
        )
    if texts:
        found.captions = {path: _lines(at) for path, at in texts.items()}
    captions = (
        _for_each(listing.root, files, found.captions, "caption", sources, found.columns) if sources else None
    )
    labels = (
        _for_each(listing.root, files, found.labels, "label", found.labelled, []) if found.labelled else None
    )
    shared = [count for count in Counter(texts.values()).values() if count > 1]
    if shared:
        found.notes.append(f"{sum(shared):,} pictures share {len(shared):,} of the texts")
    return Texts(captions, labels, ", ".join(found.labelled), tuple(found.notes), [] in of_edm.values())


def _check_one_form(root: Path, tables: Sequence[Path]) -> None:
    for folder in {table.parent for table in tables}:
        if len(names := [table.name for table in tables if table.parent == folder]) > 1:
            raise DataError(
                f"{folder if folder != root else root} holds captions in several forms: {', '.join(names)}. "
                "Keep one of them."
            )


def _for_each(
    root: Path,
    files: Sequence[Path],
    found: Mapping[Path, Any],
    what: str,
    sources: Sequence[str],
    columns: Sequence[str],
) -> tuple[Any, ...]:
    """The entry found for each picture. Raises `DataError` that names the pictures without one."""
    if missing := [path.relative_to(root).as_posix() for path in files if not found.get(path)]:
        hint = (
            f" Its columns are {', '.join(columns)}; one of captions is called {', '.join(_TEXTS)}, one of "
            f"labels {_LABELS[0]}."
            if columns
            else ""
        )
        raise DataError(
            f"{len(missing):,} of {len(files):,} images have no {what} in {', '.join(sources)}: "
            f"{_first_names(missing)}.{hint} Write theirs, or move these pictures away."
        )
    return tuple(found[path] for path in files)


def _first_names(items: Sequence[str]) -> str:
    more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more


def _text(path: Path) -> str:
    try:
        # not read_text, which would change line ends
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}). Save it as UTF-8.") from error


def _lines(path: Path) -> tuple[str, ...]:
    """The non-empty lines of a text file. Only line feed and carriage return end a line; str.splitlines
    has more.
    """
    return tuple(line.strip() for line in io.StringIO(_text(path), newline=None) if line.strip())


def _read_table(table: Path, listing: Listing, found: _Found, files: set[Path]) -> None:
    """Add the rows of a table for these files to `found`.

    Rows of pictures of another split, or of a format that is not read, are skipped. Rows of files outside the
    folder are counted in a note. Raises `DataError` for a row whose file is missing.
    """
    head, rows = _ROWS[table.suffix](table)
    by_folded_name = _by_folded_name(files)
    missing, outside = [], []
    for number, row in rows:
        name = next((row[key] for key in _FILES if isinstance(row.get(key), str)), None)
        if name is None:
            raise DataError(
                f"{table}, line {number}, names no file; the column may be called {', '.join(_FILES)}, and "
                f"the columns here are {', '.join(head)[:200]}."
            )
        path, inside = _resolve(name.replace("\\", "/"), table.parent, listing.root)
        path = path if path in files else by_folded_name.get(_folded(path), path)
        if path not in files:
            if not path.is_file():
                missing.append(name)
            elif not inside:
                outside.append(name)
            continue
        # several rows for a picture are several captions
        found.captions[path] = found.captions.get(path, ()) + _texts(table, number, row)
        if label := _label(table, number, row):
            if found.labels.setdefault(path, label) != label:
                raise DataError(
                    f"{table}, line {number}, gives {name} the label {label!r}, and another line "
                    f"{found.labels[path]!r}. Keep one."
                )
    if missing:
        some = f"{len(missing):,} picture{'s' * (len(missing) != 1)}"
        raise DataError(
            f"{table} names {some} that {table.parent} does not hold: {_first_names(missing)}. Put them "
            "there, or take out their lines."
        )
    name = table.relative_to(listing.root).as_posix()
    if outside:
        found.notes.append(_outside_note(name, outside))
    _note_columns(name, head, found)


def _outside_note(table: str, names: Sequence[str]) -> str:
    what = (
        f"1 row of {table} names a file" if len(names) == 1 else f"{len(names):,} rows of {table} name files"
    )
    return f"{what} outside the folder, not read: {_first_names(names)}"


def _note_columns(table: str, head: Sequence[str], found: _Found) -> None:
    labelled, captioned = (
        any(key.startswith(_TEXTS) if kind is _TEXTS else key in kind for key in head)
        for kind in (_LABELS, _TEXTS)
    )
    if labelled:
        found.labelled.append(table)
    if captioned or not labelled:
        found.captioned.append(table)
    if not captioned and not labelled:
        found.columns += head


def _resolve(name: str, beside: Path, root: Path) -> tuple[Path, bool]:
    """The path of a file that a table in the folder `beside` names, and whether it is below the root."""
    path = Path(os.path.normpath(beside.relative_to(root) / name))
    if path.is_absolute():
        inside = path.is_relative_to(whole := root.absolute())
        return (root / path.relative_to(whole) if inside else path), inside
    return root / path, ".." not in path.parts


def _folded(path: Path) -> str:
    """The path normalized for file systems that ignore letter case and Unicode normal forms."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _by_folded_name(files: Iterable[Path]) -> dict[str, Path]:
    """The files by `_folded`, without those whose normalized paths are equal."""
    found: dict[str, Path | None] = {}
    for path in files:
        name = _folded(path)
        found[name] = None if name in found else path
    return {name: path for name, path in found.items() if path is not None}


def _texts(table: Path, number: int, row: Mapping[str, Any]) -> tuple[str, ...]:
    """The captions of a row. Raises `DataError` if none of its values is a text and one is something else."""
    found: list[str] = []
    wrong: Any = None
    for key, value in row.items():
        if key.startswith(_TEXTS):
            values = value if isinstance(value, list) else [value]
            found += [one for one in values if isinstance(one, str)]
            wrong = next((one for one in values if one is not None and not isinstance(one, str)), wrong)
    if not found and wrong is not None:
        raise DataError(
            f"{table}, line {number}, has the caption {wrong!r:.80}, which is no text. A caption is a text, "
            "or a list of texts. Put it into quotes."
        )
    return tuple(text.strip() for text in found if text.strip())


def _label(table: Path, number: int, row: Mapping[str, Any]) -> str:
    """The label of a row as text; empty for none. Raises `DataError` unless it is a text or a whole
    number.
    """
    value = next((row[key] for key in _LABELS if row.get(key) is not None), "")
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(
            f"{table}, line {number}, has the label {value!r:.80}. A label is one name or one whole number."
        )
    return str(value).strip()


def _csv_rows(table: Path) -> tuple[list[str], list[tuple[int, Mapping[str, Any]]]]:
    """The column names, and each row with the number of its first line. The delimiter is that of the first
    line.
    """
    text = _text(table)
    delimiter = _delimiter(text)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    csv.field_size_limit(_MAX_FIELD)
    head: list[str] = []
    rows: list[tuple[int, Mapping[str, Any]]] = []
    first = 1
    try:
        for fields in reader:
            if any(one.strip() for one in fields):
                if not head:
                    head = [one.strip().casefold() for one in fields]
                elif len(fields) > len(head):
                    raise DataError(
                        f"{table}, line {first}, has {len(fields)} fields, and its first line names "
                        f"{len(head)}: {delimiter.join(fields)[:100]!r}. Put a text that holds {delimiter!r} "
                        "into double quotes."
                    )
                else:
                    rows.append((first, dict(zip(head, fields))))
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{table}, line {first}, is no csv: {error}. A quote inside a quoted text is written twice."
        ) from error
    return head, rows


def _delimiter(text: str) -> str:
    """The character that splits the first line into the most columns, one of them a known one; a comma if
    none does.
    """
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    best, most = ",", 1
    for one in _DELIMITERS:
        columns = [part.strip().strip('"').casefold() for part in first.split(one)]
        if len(columns) > most and set(columns) & set(_FILES):
            best, most = one, len(columns)
    return best


def _json_rows(table: Path) -> tuple[list[str], list[tuple[int, Mapping[str, Any]]]]:
    """All column names, and each row with its line number.

    Only a line feed ends a line: JSON strings may hold the other characters at which str.splitlines splits.
    """
    rows: list[tuple[int, Mapping[str, Any]]] = []
    head: dict[str, None] = {}
    for number, line in enumerate(_text(table).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{table}, line {number}, is no JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{table}, line {number}, is JSON but no object with a file name and a text.")
        row = {key.strip().casefold(): value for key, value in row.items()}
        head |= dict.fromkeys(row)
        rows.append((number, row))
    return [*head], rows


def _edm_labels(table: Path) -> list[Any] | None:
    """The (file name, label) pairs in the dataset.json of EDM and StyleGAN.

    Empty if it states that there are no labels, None if it was written by another program.
    """
    try:
        given = json.loads(_text(table))
    except (ValueError, RecursionError):  # a DataError is a ValueError
        return None
    if not isinstance(given, dict) or "labels" not in given:
        return None
    pairs = [] if given["labels"] is None else given["labels"]
    if not isinstance(pairs, list) or not all(isinstance(one, list) and len(one) == 2 for one in pairs):
        return None
    return pairs


def _edm_rows(table: Path) -> tuple[list[str], list[tuple[int, Mapping[str, Any]]]]:
    """As `_json_rows`, for a dataset.json; rows are numbered by their position."""
    rows = [{"file_name": name, "label": label} for name, label in _edm_labels(table) or ()]
    return ["file_name", "label"], [*enumerate(rows, 1)]


_ROWS = {".jsonl": _json_rows, ".csv": _csv_rows, ".json": _edm_rows}


def order_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct names of labels in order: by value if all are whole numbers (2 before 10), else as
    texts.
    """
    names = set(labels)
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if numbers else None))
