"""Pictures as immutable values: hashable, stored in recipes as PNG, and opened from untrusted files.

PIL is imported on first use.
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

from .. import files
from ..errors import DataError, OptionError, unknown
from .arrays import Colour, colour
from .fitting import FITS, Pixels, Wide, bits_of, fitted, pixels

MAX_SIDE = 1024  # pixels, of a picture in a recipe
MAX_TEXT = 6 << 20  # characters of its PNG in base64; 1024 x 1024 RGB noise takes 4.2 million
MAX_FILE = 64 << 20  # bytes, of a file to open
MAX_PIXELS = 50_000_000  # of a picture to open, before it is scaled
_COLOURS = {1: "grey", 3: "RGB"}


class Picture:
    """Immutable pixels (H, W, C), uint8 with C = 1 or 3. Pictures are equal if all pixels are equal.

    `Picture.open(path).fitted(32, 1)` is the picture of a file in the form of a model of 32x32 grey pictures.
    Raises `OptionError` for an array of another type or shape.
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
        raise AttributeError("A Picture is immutable. Make a new one.")

    def __reduce__(self) -> Any:
        return Picture, (np.array(self.pixels),)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
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
        """Eight hexadecimal digits of a hash of the pixels, for names of files."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()[:8]

    def png(self) -> bytes:
        """The content of a PNG file with this picture."""
        from PIL import Image

        packed = io.BytesIO()
        Image.fromarray(self.pixels[..., 0] if self.channels == 1 else self.pixels).save(
            packed, "PNG", optimize=True
        )
        return packed.getvalue()

    def to_text(self) -> str:
        """The PNG in base64, the form in which recipes store it."""
        return base64.b64encode(self.png()).decode()

    @classmethod
    def from_text(cls, text: str) -> Picture:
        """The inverse of `to_text`.

        Raises `OptionError` for anything but an 8-bit grey or RGB PNG of at most `MAX_SIDE` pixels per side.
        The size is checked before the pixels are decoded.
        """
        if len(text) > MAX_TEXT:
            raise OptionError(
                "picture",
                f"A picture in a recipe has at most {MAX_TEXT:,} characters in base64, got {len(text):,}. "
                "Make it smaller.",
            )
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise OptionError(
                "picture", f"A picture in a recipe is a PNG file in base64, got {text[:40]!r}."
            ) from None
        if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 29:
            raise OptionError(
                "picture", "A picture in a recipe is a PNG file in base64; this one is not a PNG file."
            )
        width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or depth != 8 or kind not in (0, 2):
            raise OptionError(
                "picture",
                f"A picture in a recipe has at most {MAX_SIDE} x {MAX_SIDE} pixels, grey or RGB with 8 bits; "
                f"this one has {width} x {height}, {depth} bits and PNG's colour type {kind}.",
            )
        try:
            return cls(_decode(data, "The picture in the recipe").array)
        except DataError as error:
            raise OptionError("picture", str(error)) from error

    @classmethod
    def open(cls, path: str | Path, background: str = "black") -> Picture:
        """The picture in a file of any format that Pillow reads, at its own size and turned as its EXIF says.

        Transparent parts are composited onto `background`, usually a model's `spec.background`. Raises
        `DataError` for a file that is missing, is not a picture, is damaged, or has more than `MAX_FILE`
        bytes or `MAX_PIXELS` pixels; these limits are checked before memory is allocated.
        """
        return cls.opened(path, background)[0]

    @classmethod
    def opened(cls, path: str | Path, background: str = "black") -> tuple[Picture, str]:
        """As `open`, with a remark for the user, such as "its transparent parts are laid on white", or ""."""
        path = Path(path)
        try:
            if (size := path.stat().st_size) > MAX_FILE:
                raise DataError(
                    f"{path.name} has {size >> 20} MB; a picture's file may have at most {MAX_FILE >> 20} "
                    "MB. Make it smaller."
                )
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"{files.missing(path)} Check the name and the folder.") from error
        except OSError as error:
            raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
        found = _decode(data, path.name, colour(background))
        remark = f"its transparent parts are laid on {background}" if found.transparent else ""
        return cls(found.array), remark

    def fitted(self, size: int, channels: int, fit: str = "crop", background: str = "black") -> Picture:
        """The picture at size x size with 1 or 3 channels. `fit` is one of `FITS`.

        Empty space is filled with the background. Raises `OptionError` for an unknown `fit`, and `DataError`
        if the picture is to be padded but is larger.
        """
        if fit not in FITS:
            raise unknown("fit", fit, FITS)
        try:
            array = fitted(_with_channels(self.pixels, channels), size, fit, colour(background))
        except DataError as error:
            raise DataError(f"The picture cannot be padded: {error}.") from error
        return Picture(array)


def _with_channels(given: np.ndarray, channels: int) -> np.ndarray:
    """Pixels (H, W, C) with the given number of channels. Grey is the luma of Rec. 601, as in Pillow."""
    from PIL import Image

    if given.shape[2] == channels:
        return given
    if channels == 3:
        return given.repeat(3, axis=2)
    return np.asarray(Image.fromarray(given).convert("L"))[..., None]


def _pixels_of_image(picture: Any, background: Colour) -> Pixels:
    """The pixels of a PIL image. Values of 16 or 32 bits that all fit into 8 bits are read as 8 bits.

    As 16-bit values such a picture would be black.
    """
    try:
        found = pixels(picture, background)
    except Wide as wide:
        return pixels(picture, background, bits_of(wide.most, (8, 16)))
    if found.bits == 16 and not found.array.any():
        raise DataError(
            "it has 16 bits a channel and is black all over, as 8-bit values in 16 bits are; "
            "save it with 8 bits"
        )
    return found


def _decode(data: bytes, what: str, background: Colour = (0, 0, 0)) -> Pixels:
    """The pixels of a picture file's content. `what` names the file in a `DataError`."""
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is lower
            warnings.simplefilter("ignore", UserWarning)  # about damaged metadata
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DataError(
                        f"{what} has {picture.width} x {picture.height} pixels; at most "
                        f"{MAX_PIXELS // 1_000_000} million are allowed. Make it smaller."
                    )
                return _pixels_of_image(picture, background)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{what} is not a picture in a known format. Choose a PNG, JPEG, WebP or GIF."
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{what} has too many pixels; at most {MAX_PIXELS // 1_000_000} million are allowed. Make it "
            "smaller."
        ) from error
    except DataError as error:
        raise (
            error if str(error).startswith(what) else DataError(f"{what} cannot be used: {error}.")
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # raised for damaged files
        raise DataError(f"{what} is damaged or cut off ({error}). Copy or download it again.") from error
