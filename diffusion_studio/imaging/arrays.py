"""Between network values in [-1, 1] and pictures in 0..255 (the only place with 127.5), and points as they
are kept.
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
    """black, grey, white or #rrggbb as three bytes."""
    if text in _COLOURS:
        return _COLOURS[text]
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise OptionError(
            "background", f"A background is {', '.join(_COLOURS)} or #rrggbb, got {text!r:.80}."
        )
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def colour_name(given: Colour) -> str:
    """The inverse of `colour`."""
    return next((name for name, one in _COLOURS.items() if one == tuple(given)), "#" + bytes(given).hex())


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """(N, C, H, W) values, nominally in [-1, 1] and clipped to it -> (N, H, W, C) uint8."""
    import torch

    scaled = x.detach().float().mul(127.5).add_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def stretched(x: torch.Tensor) -> np.ndarray:
    """(N, C, H, W) values of any range -> (N, H, W, C) uint8, each picture from its own darkest to its own
    brightest value.
    """
    low, high = x.detach().float().flatten(1).aminmax(dim=1)
    shape = (-1, *[1] * (x.ndim - 1))
    middle, half = ((low + high) / 2).view(shape), ((high - low) / 2).clamp_min(1e-12).view(shape)
    return to_uint8((x - middle) / half)


def from_uint8(images: np.ndarray, black_margin: float = 0.0) -> torch.Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 in [-1, 1]; what is exactly black lies `black_margin`
    below that.
    """
    import torch

    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return x - black_margin * torch.from_numpy(~images.any(-1))[:, None] if black_margin else x


def values(colours: Sequence[tuple[int, int, int]], channels: int) -> torch.Tensor:
    """(P, channels) float32 in [-1, 1] of P colours 0..255; for one channel their brightness, as Pillow
    has it.
    """
    from PIL import Image

    table = Image.fromarray(np.array(colours, np.uint8)[None], "RGB").convert("L" if channels == 1 else "RGB")
    return from_uint8(np.array(table).reshape(1, 1, len(colours), channels))[0, :, 0].T.contiguous()


def to_float16(points: torch.Tensor) -> np.ndarray:
    """Points as frames keep them: within 1/1000 of where they are out to 4, which holds unit variance;
    half a pixel of 4096.
    """
    return points.detach().cpu().numpy().clip(-6e4, 6e4).astype(np.float16)


def grid(images: np.ndarray, gap: int = 0, background: int = 255, columns: int | None = None) -> np.ndarray:
    """(N, H, W, C) uint8 -> one (rows*H, columns*W, C) picture, `gap` pixels between the tiles."""
    count = len(images)
    layout = Layout.square(count) if columns is None else Layout.in_columns(count, columns)
    return layout.sheet(images, background, gap)


def enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel of a (H, W, ...) picture as a crisp block of scale x scale pixels."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def to_pil(image: np.ndarray) -> Image.Image:
    """(H, W, C) uint8 with 1 or 3 channels -> a PIL picture of mode L or RGB."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
