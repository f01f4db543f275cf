"""Pictures as values: compared, kept in recipes as lossless PNG, opened from strangers' files with care.
No PIL until used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, OptionError, unknown
from .arrays import Colour, colour
from .fitting import FITS, Pixels, Wide, bits_of, fitted, pixels

MAX_SIDE = 1024  # of a picture inside a recipe
MAX_TEXT = 6 << 20  # of its PNG as text: noise of 1024 x 1024 in RGB has 4.2 million letters
MAX_FILE = 64 << 20  # bytes of a file to open
MAX_PIXELS = 50_000_000  # of a picture to open, before it is brought to a model's size
_COLOURS = {1: "grey", 3: "RGB"}


class Picture:
    """(H, W, C) uint8 pixels, C = 1 or 3, that never change: hashable, equal where every pixel is.

    `Picture.open(path).fitted(32, 1)` is a file's picture as a model of 32x32 grey pictures takes it.
    """

    __slots__ = ("pixels",)
    pixels: np.ndarray

    def __init__(self, pixels: np.ndarray) -> None:
        given = np.asarray(pixels)
        given = given[..., None] if given.ndim == 2 else given
        if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] not in _COLOURS or 0 in given.shape:
            raise OptionError(
                "picture",
                "A picture is an array of uint8 with the shape (height, width), (height, width, 1) or "
                f"(height, width, 3); got {given.dtype} {given.shape}.",
            )
        kept = np.ascontiguousarray(given).copy()
        kept.flags.writeable = False
        object.__setattr__(self, "pixels", kept)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A Picture does not change. Make another one.")

    def __reduce__(self) -> Any:
        return Picture, (np.array(self.pixels),)

    @property
    def channels(self) -> int:
        return self.pixels.shape[2]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and np.array_equal(self.pixels, other.pixels)

    def __hash__(self) -> int:
        return hash((self.pixels.shape, self.pixels.tobytes()))

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]} {_COLOURS[self.channels]}"

    def __repr__(self) -> str:
        return f"<Picture {self} {self.name}>"

    @property
    def name(self) -> str:
        """Eight letters that tell pictures apart, for the names of files."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()[:8]

    def png(self) -> bytes:
        """The picture as a PNG file."""
        from PIL import Image

        packed = io.BytesIO()
        Image.fromarray(self.pixels[..., 0] if self.channels == 1 else self.pixels).save(
            packed, "PNG", optimize=True
        )
        return packed.getvalue()

    def to_text(self) -> str:
        """The PNG in base64, as recipes carry it."""
        return base64.b64encode(self.png()).decode()

    @classmethod
    def from_text(cls, text: str) -> Picture:
        """The inverse of `to_text`. An `OptionError` for anything but a grey or RGB PNG of up to
        `MAX_SIDE` pixels a side; its size is read before its pixels are.
        """
        if len(text) > MAX_TEXT:
            raise OptionError(
                "picture",
                f"A picture in a recipe has at most {MAX_TEXT >> 20} million letters, got {len(text):,}.",
            )
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise OptionError(
                "picture", f"A picture in a recipe is a PNG file in base64, got {text[:40]!r}."
            ) from None
        if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 29:
            raise OptionError("picture", "A picture in a recipe is a PNG file in base64; this one is no PNG.")
        width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or depth != 8 or kind not in (0, 2):
            raise OptionError(
                "picture",
                f"A picture in a recipe has up to {MAX_SIDE} x {MAX_SIDE} pixels, grey or RGB with 8 bits; "
                f"this one has {width} x {height}, {depth} bits and PNG's colour type {kind}.",
            )
        try:
            return cls(_decoded(data, "The picture in the recipe").array)
        except DataError as error:
            raise OptionError("picture", str(error)) from error

    @classmethod
    def open(cls, path: str | Path, background: str = "black") -> Picture:
        """A file's picture at its own size, turned as its EXIF says, alpha laid on the background (a model's
        `spec.background`); any kind that Pillow reads.

        Raises a `DataError` where it is missing, no picture, cut off, or larger than `MAX_PIXELS`, before
        memory is taken.
        """
        return cls.opened(path, background)[0]

    @classmethod
    def opened(cls, path: str | Path, background: str = "black") -> tuple[Picture, str]:
        """The same, and what is to be said of it: "its transparent parts are laid on white", or ""."""
        path = Path(path)
        try:
            if (size := path.stat().st_size) > MAX_FILE:
                raise DataError(
                    f"{path.name} has {size >> 20} MB; a picture's file has at most {MAX_FILE >> 20}. Make "
                    "it smaller."
                )
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"There is no file {str(path)!r}. Check the name and the folder.") from error
        except OSError as error:
            raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
        made = _decoded(data, path.name, colour(background))
        return cls(made.array), f"its transparent parts are laid on {background}" if made.transparent else ""

    def fitted(self, size: int, channels: int, fit: str = "crop", background: str = "black") -> Picture:
        """The picture at size x size with that many channels, by one of `data.pictures.FITS`, which fills
        what is left with the background; itself where it is so already."""
        if fit not in FITS:
            raise unknown("fit", fit, FITS)
        try:
            made = fitted(_coloured(self.pixels, channels), size, fit, colour(background))
        except DataError as error:
            raise DataError(f"The picture cannot be padded: {error}.") from error
        return Picture(made)


def _coloured(given: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) with that many channels; grey is Rec. 601's luma, as Pillow and television have it."""
    from PIL import Image

    if given.shape[2] == channels:
        return given
    if channels == 3:
        return given.repeat(3, axis=2)
    return np.asarray(Image.fromarray(given).convert("L"))[..., None]


def _scaled(picture: Any, background: Colour) -> Pixels:
    """The pixels; one of 16 or 32 bits whose values all fit into 8 is read as 8 bits, where it would be
    black."""
    try:
        made = pixels(picture, background)
    except Wide as wide:
        return pixels(picture, background, bits_of(wide.most, (8, 16)))
    if made.bits == 16 and not made.array.any():
        raise DataError(
            "it has 16 bits a channel and is black all over, as 8-bit values in 16 bits are; "
            "save it with 8 bits"
        )
    return made


def _decoded(data: bytes, what: str, background: Colour = (0, 0, 0)) -> Pixels:
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            # of damaged notes beside the pixels
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DataError(
                        f"{what} has {picture.width} x {picture.height} pixels; the most is "
                        f"{MAX_PIXELS // 1_000_000} million. Make it smaller."
                    )
                return _scaled(picture, background)
    except UnidentifiedImageError as error:
        raise DataError(f"{what} is no picture that can be read. Choose a PNG, JPEG, WebP or GIF.") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{what} has too many pixels; the most is {MAX_PIXELS // 1_000_000} million."
        ) from error
    except DataError as error:
        raise (
            error if str(error).startswith(what) else DataError(f"{what} cannot be used: {error}.")
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # Pillow's, of broken files
        raise DataError(f"{what} is damaged or cut off ({error}). Copy or download it again.") from error
