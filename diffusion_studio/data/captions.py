"""Captions of a folder's pictures: text files of the same names, or one table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError

TABLES = ("captions.csv", "metadata.csv", "captions.jsonl", "metadata.jsonl")
_FILES = ("file_name", "filename", "file", "image", "path")
_TEXTS = ("caption", "text", "prompt", "description")           # and any column that begins with one of these
_NAMED = 3
_MAX_FIELD = 1 << 20


def read(folder: Path, files: Sequence[Path]) -> tuple[tuple[str, ...], ...] | None:
    """The captions of each picture file, in order, or None where the folder has none at all.

    From NAME.txt beside NAME.png, a caption a line; or from one of TABLES in the folder, with a column of file names
    (relative to the folder) and one or more of texts. A `DataError` names pictures without a caption.
    """
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    texts = {path: path.with_suffix(".txt") for path in files if path.with_suffix(".txt").is_file()}
    sources = [*(table.name for table in tables), *(["text files beside the pictures"] if texts else [])]
    if not sources:
        return None
    if len(sources) > 1:
        raise DataError(f"{folder} holds captions in several forms: {', '.join(sources)}. Keep one of them.")
    found = {path: _lines(at) for path, at in texts.items()} if texts else _table(tables[0], folder, files)
    if missing := [path.relative_to(folder).as_posix() for path in files if not found.get(path)]:
        raise DataError(f"{len(missing):,} of {len(files):,} images have no caption in {sources[0]}: {_some(missing)}. "
                        "Write theirs, or move these pictures away.")
    return tuple(found[path] for path in files)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error}). Save it as UTF-8.") from error


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in _text(path).splitlines() if line.strip())


def _table(table: Path, folder: Path, files: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
    rows = _json_rows(table) if table.suffix == ".jsonl" else _csv_rows(table)
    known = {path.relative_to(folder).as_posix(): path for path in files}
    found: dict[Path, tuple[str, ...]] = {}
    strangers = []
    for number, row in rows:
        name = next((row[key] for key in _FILES if isinstance(row.get(key), str)), None)
        if name is None:
            raise DataError(f"{table}, line {number}, names no file; the column may be called {', '.join(_FILES)}.")
        path = known.get(name.replace("\\", "/").removeprefix("./"))
        if path is None:
            strangers.append(name)
            continue
        found[path] = found.get(path, ()) + _texts(row)         # several rows of one picture are several captions
    if strangers:
        raise DataError(f"{table} names {len(strangers):,} pictures that {folder} does not hold: {_some(strangers)}. "
                        "Put them there, or take out their lines.")
    return found


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key, value in row.items():
        if str(key).casefold().startswith(_TEXTS):
            found += [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)] \
                if isinstance(value, list) else []
    return tuple(text.strip() for text in found if text.strip())


def _csv_rows(table: Path) -> list[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(_text(table).splitlines(keepends=True))
    csv.field_size_limit(_MAX_FIELD)
    try:
        return [(reader.line_num, {key.strip(): value for key, value in row.items() if key}) for row in reader]
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}, is no csv: {error}.") from error


def _json_rows(table: Path) -> list[tuple[int, Mapping[str, Any]]]:
    rows = []
    for number, line in enumerate(_text(table).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{table}, line {number}, is no JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{table}, line {number}, is JSON but no object with a file name and a text.")
        rows.append((number, row))
    return rows
