"""Start a network for larger pictures from the weights of one for smaller pictures (progressive growing;
Karras et al. 2017).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from .. import checkpoint
from ..errors import OptionError
from ..networks.unet import UNet

OUTERMOST = ("conv_in.", "norm_out.", "conv_out.")


def grow(network: nn.Module, path: str, words: Sequence[str]) -> None:
    """Fill a new U-Net with the weights of a smaller one in a model file.

    Either the new one has more levels. They are matched from the innermost, so the smaller network's
    outermost level lies below the new ones. Or it has as many levels and larger patches. Then a position sees
    the same part of a picture, and weights that read or made one pixel are repeated for all pixels of its
    square. Weights of another shape keep their random values. Raises `OptionError` if neither is the case,
    the vocabulary differs, or nothing fits.
    """
    kept = checkpoint.read_any(path)
    spec = checkpoint.model_spec(path, kept.spec)
    old, new = kept.network, network
    if not isinstance(old, UNet) or not isinstance(new, UNet):
        raise OptionError(
            "grow_from", f"{path} is no U-Net that could grow, or this run has none. Leave grow_from out."
        )
    more, finer = len(new.config.widths) - len(old.config.widths), new.config.patch // old.config.patch
    if more < 0 or (more == 0 and finer < 2) or new.config.patch % old.config.patch:
        raise OptionError(
            "grow_from",
            f"{path} has {len(old.config.widths)} levels on patches of {old.config.patch} pixels, and this "
            f"run's network {len(new.config.widths)} on {new.config.patch}. Give it more levels, or as many "
            "and patches that are a multiple; or use start_from with the same.",
        )
    if tuple(spec.words) != tuple(words):
        raise OptionError(
            "grow_from",
            f"{path} has another table of words than this run. Train it with the same captions or "
            "text_vectors.",
        )
    given = dict(old.state_dict())
    if more == 0:
        # Without the random part the network could not tell the pixels of a square apart, and would never
        # learn to. Its mean over a square is taken off, so that flat squares give the old output.
        drawn = new.conv_in.weight.detach()
        own = _repeated(_means(drawn, new.config.patch, finer), 1, old.config.patch, finer)
        given["conv_in.weight"] = (
            _repeated(given["conv_in.weight"], 1, old.config.patch, finer) / finer**2 + drawn - own
        )
        for name in ("conv_out.weight", "conv_out.bias"):
            given[name] = _repeated(given[name], 0, old.config.patch, finer)
    state, filled = new.state_dict(), {}
    for name, weight in given.items():
        place = re.sub(r"^down\.(\d+)\.", lambda found: f"down.{int(found[1]) + more}.", name)
        if (
            not (more and place.startswith(OUTERMOST))
            and place in state
            and state[place].shape == weight.shape
        ):
            filled[place] = weight
    if not any(place.startswith(("down.", "middle.", "up.")) for place in filled):
        raise OptionError(
            "grow_from",
            f"{path} has no level of this run's widths. Give the inner levels the same channels, blocks and "
            "heads.",
        )
    network.load_state_dict({**state, **filled})


def _means(weight: torch.Tensor, patch: int, side: int) -> torch.Tensor:
    """The mean over each square of `side` pixels of a weight (out, channels * patch**2, h, w)."""
    squares = weight.unflatten(1, (-1, patch // side, side, patch // side, side))
    return squares.mean((3, 5)).flatten(1, 3)


def _repeated(weight: torch.Tensor, dim: int, patch: int, times: int) -> torch.Tensor:
    """Repeat each pixel of a dimension of channels * patch**2 (pixel-unshuffle order) as a square of
    `times` x `times`.
    """
    squares = weight.unflatten(dim, (-1, patch, patch))
    return squares.repeat_interleave(times, dim + 1).repeat_interleave(times, dim + 2).flatten(dim, dim + 2)
