"""The recipe inside an exported file. Reads containers only, never pixels: files come from strangers.

GIF: a comment. PNG and APNG: a text chunk. HTML: a script element of JSON in its head. WebP: a chunk of our
own at the end. MP4: the comment in moov/udta/meta/ilst, or a box of our own at the end. Or the bare JSON. A
file that was cut off after its recipe still gives it; writers put it in front of the pictures where they can.
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
_MAX_HEAD = 1 << 16  # bytes of a page in which that element begins
WEBP_KEY = b"DStR"  # a chunk that no other program knows: readers skip it
MAX_TEXT = 24 << 20  # a recipe has a few thousand characters; the pictures in it up to millions
_MAX_PARTS = 1_000_000  # blocks, chunks or boxes looked at before giving up
MP4_ID = b"DiffusionStudio1"  # of the box at an MP4's end that takes a recipe with pictures
_MP4_PATH = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")


class _CutOff(Exception):
    """The file ends inside one of its parts."""


class _Malformed(Exception):
    """The file breaks the rules of its own format."""


def read_recipe(path: str | Path) -> str:
    """The recipe's JSON in an exported GIF, MP4, WebP, PNG or HTML file, or in a JSON file, told by content.

    Raises `ExportError` where the file is missing, of another kind, cut off or without a recipe.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            texts = list(_texts(file, size, path))
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


def _texts(file: BinaryIO, size: int, path: Path) -> Iterator[str]:
    """The recipe, if there is one."""
    magic = file.read(16)
    file.seek(0)
    if magic[:6] in (b"GIF87a", b"GIF89a"):
        found = _gif(file)
    elif magic[:8] == PNG_MAGIC:
        found = _png(file, size)
    elif magic[:4] == b"RIFF" and magic[8:12] == b"WEBP":
        found = _webp(file, size)
    elif magic[4:8] == b"ftyp":
        found = _mp4_texts(file, size)
    elif magic[:15].lower() == HTML_MAGIC:
        found = _html(file, size)
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
    for data in found:
        if (text := _recipe(data)) is not None:
            yield text
            return


def _html(file: BinaryIO, size: int) -> Iterator[bytes]:
    """What lies in the script element of our name, which stands before the pictures."""
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
    """JSON as it may stand in a script element of a page: nothing in it ends the element."""
    return text.replace("<", "\\u003c")


def unembedded(text: str) -> str:
    """The inverse of `embedded`."""
    return re.sub(r"\\(u003c|.)", lambda found: "<" if found[1] == "u003c" else found[0], text, flags=re.S)


def _recipe(data: bytes) -> str | None:
    """The text, if it is JSON that says it is a recipe. Comments may hold anything."""
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
    """Every comment of a GIF."""
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
    """The joined sub-blocks; of longer ones than any recipe only the beginning."""
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
    """Our text chunks of a PNG: tEXt, zTXt or iTXt, as programs that save it again may change one into
    another.
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
        return _inflated(rest[1:]).decode("latin-1").encode()
    packed, (_, _, text) = rest[:1] == b"\1", (rest[2:].split(b"\0", 2) + [b"", b""])[:3]
    return _inflated(text) if packed else text


def _inflated(data: bytes) -> bytes:
    """At most `MAX_TEXT` bytes, however far a stranger's data would swell."""
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
    """The comment, and what lies in a box of our own."""
    yield from _mp4(file, 0, size, _MP4_PATH)
    for name, at, stop in _boxes(file, 0, size):
        if name == b"uuid" and len(MP4_ID) <= stop - at <= MAX_TEXT:
            file.seek(at)
            if _exactly(file, len(MP4_ID)) == MP4_ID:
                yield _exactly(file, stop - at - len(MP4_ID))


def _mp4(file: BinaryIO, start: int, end: int, names: tuple[bytes, ...]) -> Iterator[bytes]:
    """What lies in the boxes along the path of names."""
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
    """(name, start and end of the content) of each box of an MP4 between two places of the file."""
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
    """Whether every box of the file is there to its end, and an index of the frames among them."""
    with open(path, "rb") as file:
        try:
            names = [name for name, _, _ in _boxes(file, 0, file.seek(0, 2))]
        except (_CutOff, _Malformed):
            return False
    return b"moov" in names and b"mdat" in names
