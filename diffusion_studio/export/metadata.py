"""Read the recipe from an exported file. Only containers are parsed, never pixels, because files come from
strangers.

The recipe is in a comment (GIF), a text chunk (PNG, APNG), a script element of JSON in the head (HTML), a
chunk of our own at the end (WebP), or the comment in moov/udta/meta/ilst or a box of our own at the end
(MP4). A bare JSON file is accepted too. Writers put it before the pictures where they can, so that a file cut
off later still gives it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import ExportError

PNG_KEY = "diffusion-studio"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
HTML_MAGIC = b"<!doctype html>"
HTML_BEGIN = re.compile(rb'<script[^>]{0,99}id="diffusion-studio"[^>]{0,99}>')
_MAX_HEAD = 1 << 16  # bytes of a page in which that element must begin
WEBP_KEY = b"DStR"  # a private chunk, which other readers skip
MAX_TEXT = 24 << 20  # a recipe has a few thousand characters; with pictures in it, up to millions
_MAX_PARTS = 1_000_000  # blocks, chunks or boxes that are read before giving up
MP4_ID = b"DiffusionStudio1"  # of the box at an MP4's end that holds a recipe with pictures
_MP4_PATH = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")


class _CutOff(Exception):
    """The file ends within one of its parts."""


class _Malformed(Exception):
    """The file violates its own format."""


def read_recipe(path: str | Path) -> str:
    """The recipe's JSON in an exported GIF, MP4, WebP, PNG or HTML file, or in a JSON file. The content
    decides the format.

    Raises `ExportError` if the file is missing, of another format, cut off, or has no recipe.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            texts = list(_recipes_in(file, size, path))
    except FileNotFoundError as error:
        raise ExportError(f"There is no file {str(path)!r}. Check the name and the folder.") from error
    except OSError as error:
        raise ExportError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except _CutOff as error:
        raise ExportError(f"{path.name} is cut off before its recipe. Copy or download it again.") from error
    except _Malformed as error:
        raise ExportError(f"{path.name} is damaged: {error}. Copy or download it again.") from error
    for text in texts:
        return text
    raise ExportError(
        f"{path.name} carries no recipe. Either it was not made by Diffusion Studio, or another program "
        "has saved it since and dropped the recipe; take the original file."
    )


def _recipes_in(file: BinaryIO, size: int, path: Path) -> Iterator[str]:
    """The recipe of a file, if there is one."""
    magic = file.read(16)
    file.seek(0)
    if magic[:6] in (b"GIF87a", b"GIF89a"):
        texts = _gif(file)
    elif magic[:8] == PNG_MAGIC:
        texts = _png(file, size)
    elif magic[:4] == b"RIFF" and magic[8:12] == b"WEBP":
        texts = _webp(file, size)
    elif magic[4:8] == b"ftyp":
        texts = _mp4_texts(file, size)
    elif magic[:15].lower() == HTML_MAGIC:
        texts = _html(file, size)
    elif magic.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        yield _json(file, size, path)
        return
    elif not magic:
        raise ExportError(f"{path.name} is empty. Copy or download it again.")
    else:
        raise ExportError(
            f"{path.name} is no GIF, MP4, WebP, PNG, HTML or JSON file. Choose one that Diffusion Studio "
            "exported."
        )
    for data in texts:
        if (text := _recipe(data)) is not None:
            yield text
            return


def _html(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The content of our script element, which comes before the pictures."""
    head = file.read(_MAX_HEAD + MAX_TEXT)
    begin = HTML_BEGIN.search(head, 0, _MAX_HEAD)
    if begin is None:
        if size <= len(head) and not head.rstrip().lower().endswith(b"</html>"):
            raise _CutOff
        return
    end = head.find(b"</script>", begin.end())
    if end < 0:
        raise _CutOff
    text = head[begin.end() : end].decode("utf-8", "replace")
    yield unembedded(text).encode()


def embedded(text: str) -> str:
    """JSON escaped for a script element: nothing in it can end the element."""
    return text.replace("<", "\\u003c")


def unembedded(text: str) -> str:
    """The inverse of `embedded`."""
    return re.sub(r"\\(u003c|.)", lambda found: "<" if found[1] == "u003c" else found[0], text, flags=re.S)


def _recipe(data: bytes) -> str | None:
    """The text, if it is the JSON of a recipe. Comments may hold anything."""
    try:
        text = data.decode()
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(given, dict) and "diffusion-studio" in given else None


def _json(file: BinaryIO, size: int, path: Path) -> str:
    if size > MAX_TEXT:
        raise ExportError(
            f"{path.name} has {size} bytes; a recipe has at most {MAX_TEXT}. Choose another file."
        )
    try:
        text = file.read().decode("utf-8-sig")
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path.name} is not whole JSON, it may be cut off: {error}") from error
    if not isinstance(given, dict) or "diffusion-studio" not in given:
        raise ExportError(f"{path.name} is JSON, but carries no recipe: it lacks the key 'diffusion-studio'.")
    return text


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise _CutOff
    return data


def _gif(file: BinaryIO) -> Iterator[bytes]:
    """The comments of a GIF."""
    _skip_colours(file, _exactly(file, 13)[10])
    for _ in range(_MAX_PARTS):
        kind = _exactly(file, 1)
        if kind == b";":
            return
        if kind == b"!":
            label = _exactly(file, 1)
            data = _sub_blocks(file)
            if label == b"\xfe":
                yield data
        elif kind == b",":
            _skip_colours(file, _exactly(file, 9)[8])
            _exactly(file, 1)
            _sub_blocks(file)
        else:
            raise _Malformed(f"a GIF has no block of kind {kind[0]:#04x}")


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _exactly(file, 3 << (flags & 7) + 1)


def _sub_blocks(file: BinaryIO) -> bytes:
    """The joined data of sub-blocks, cut after `MAX_TEXT` bytes."""
    data = bytearray()
    for _ in range(_MAX_PARTS):
        length = _exactly(file, 1)[0]
        if not length:
            break
        part = _exactly(file, length)
        if len(data) <= MAX_TEXT:
            data += part
    return bytes(data)


def _png(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Our text chunks of a PNG: tEXt, zTXt or iTXt, because programs may convert them when they save the
    file again.
    """
    at = 8
    for _ in range(_MAX_PARTS):
        file.seek(at)
        length, kind = struct.unpack(">I4s", _exactly(file, 8))
        at += length + 12
        if kind == b"IEND":
            return
        if at > size:
            raise _CutOff
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length <= MAX_TEXT:
            key, _, rest = _exactly(file, length).partition(b"\0")
            if key == PNG_KEY.encode():
                yield _png_text(kind, rest)


def _png_text(kind: bytes, rest: bytes) -> bytes:
    if kind == b"tEXt":
        return rest.decode("latin-1").encode()
    if kind == b"zTXt":
        return _inflate(rest[1:]).decode("latin-1").encode()
    packed, (_, _, text) = rest[:1] == b"\1", (rest[2:].split(b"\0", 2) + [b"", b""])[:3]
    return _inflate(text) if packed else text


def _inflate(data: bytes) -> bytes:
    """Decompress at most `MAX_TEXT` bytes, so that hostile data cannot fill the memory."""
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT)
    except zlib.error as error:
        raise _Malformed(f"its compressed text cannot be read ({error})") from error


def _webp(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Our chunks of a WebP."""
    at = 12
    for _ in range(_MAX_PARTS):
        if at >= size:
            return
        file.seek(at)
        kind, length = struct.unpack("<4sI", _exactly(file, 8))
        if at + 8 + length > size:
            raise _CutOff
        if kind == WEBP_KEY and length <= MAX_TEXT:
            yield _exactly(file, length)
        at += 8 + length + length % 2


def _mp4_texts(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The comment of an MP4, and the content of our own box."""
    yield from _mp4(file, 0, size, _MP4_PATH)
    for name, at, stop in _boxes(file, 0, size):
        if name == b"uuid" and len(MP4_ID) <= stop - at <= MAX_TEXT:
            file.seek(at)
            if _exactly(file, len(MP4_ID)) == MP4_ID:
                yield _exactly(file, stop - at - len(MP4_ID))


def _mp4(file: BinaryIO, start: int, end: int, names: tuple[bytes, ...]) -> Iterator[bytes]:
    """The content of the boxes along a path of names."""
    for name, at, stop in _boxes(file, start, end):
        if name != names[0]:
            continue
        if name == b"meta":
            at += 4  # version and flags
        if names[1:]:
            yield from _mp4(file, at, stop, names[1:])
        elif stop - at <= MAX_TEXT + 8:
            file.seek(at + 8)  # kind of data and language
            yield _exactly(file, max(0, stop - at - 8))


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start and end of the content) of each box of an MP4 between two offsets."""
    for _ in range(_MAX_PARTS):
        if end - start < 8:
            return
        file.seek(start)
        length, name = struct.unpack(">I4s", _exactly(file, 8))
        head = 8
        if length == 1:  # more than 4 GB
            length, head = struct.unpack(">Q", _exactly(file, 8))[0], 16
        elif length == 0:  # up to the end
            length = end - start
        if length < head:
            raise _Malformed("a box of the MP4 is shorter than its own head")
        if start + length > end:
            raise _CutOff
        yield name, start + head, start + length
        start += length


def mp4_is_whole(path: Path) -> bool:
    """Whether every box of the file is complete, and both index (moov) and data (mdat) are there."""
    with open(path, "rb") as file:
        try:
            names = [name for name, _, _ in _boxes(file, 0, file.seek(0, 2))]
        except (_CutOff, _Malformed):
            return False
    return b"moov" in names and b"mdat" in names
