"""Conversions between network values in [-1, 1] and pixels in 0..255, and of points to their stored form.

No other module scales by 127.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OptionError
from .layout import Layout

if TYPE_CHECKING:
    import torch
    from PIL import Image

Colour = tuple[int, int, int]
_COLOURS: dict[str, Colour] = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)}


def colour(text: str) -> Colour:
    """(red, green, blue) 0..255 of "black", "grey", "white" or "#rrggbb". Raises `OptionError` otherwise."""
    if text in _COLOURS:
        return _COLOURS[text]
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise OptionError(
            "background", f"A background is {', '.join(_COLOURS)} or #rrggbb, got {text!r:.80}."
        )
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def colour_name(given: Colour) -> str:
    """The text that `colour` reads as this colour."""
    return next((name for name, one in _COLOURS.items() if one == tuple(given)), "#" + bytes(given).hex())


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """(N, C, H, W) values, clipped to [-1, 1], as (N, H, W, C) uint8 pixels."""
    import torch

    scaled = x.detach().float().mul(127.5).add_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def stretched(x: torch.Tensor) -> np.ndarray:
    """(N, C, H, W) values of any range as (N, H, W, C) uint8 pixels.

    Each picture's lowest value becomes 0 and its highest 255.
    """
    low, high = x.detach().float().flatten(1).aminmax(dim=1)
    shape = (-1, *[1] * (x.ndim - 1))
    middle, half = ((low + high) / 2).view(shape), ((high - low) / 2).clamp_min(1e-12).view(shape)
    return to_uint8((x - middle) / half)


def from_uint8(images: np.ndarray, black_margin: float = 0.0) -> torch.Tensor:
    """(N, H, W, C) uint8 pixels as (N, C, H, W) float32 in [-1, 1].

    Pixels that are black in all channels become -1 - `black_margin`.
    """
    import torch

    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return x - black_margin * torch.from_numpy(~images.any(-1))[:, None] if black_margin else x


def values(colours: Sequence[tuple[int, int, int]], channels: int) -> torch.Tensor:
    """P colours 0..255 as (P, channels) float32 in [-1, 1]. One channel is Pillow's luma (Rec. 601)."""
    from PIL import Image

    table = Image.fromarray(np.array(colours, np.uint8)[None], "RGB").convert("L" if channels == 1 else "RGB")
    return from_uint8(np.array(table).reshape(1, 1, len(colours), channels))[0, :, 0].T.contiguous()


def to_float16(points: torch.Tensor) -> np.ndarray:
    """Coordinates as frames store them, float16.

    Coordinates below 4, which data of unit variance seldom leave, are rounded by at most 1/1000.
    """
    return points.detach().cpu().numpy().clip(-6e4, 6e4).astype(np.float16)


def grid(images: np.ndarray, gap: int = 0, background: int = 255, columns: int | None = None) -> np.ndarray:
    """(N, H, W, C) uint8 pictures as one sheet of tiles with `gap` pixels between them, (height, width, C).

    Without `columns` the grid is as square as possible.
    """
    count = len(images)
    layout = Layout.square(count) if columns is None else Layout.in_columns(count, columns)
    return layout.sheet(images, background, gap)


def enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    """A (H, W, ...) picture with each pixel repeated as a block of scale x scale pixels."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def to_pil(image: np.ndarray) -> Image.Image:
    """(H, W, C) uint8 pixels with C = 1 or 3 as a PIL image of mode L or RGB."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
