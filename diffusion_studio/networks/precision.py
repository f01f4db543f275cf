"""The precision and memory layout of a network's weights."""

from __future__ import annotations

import torch
from torch import nn

from .conv import Conv2d

# Weights that are frequencies stay in float32: rounding them changes large angles by up to a radian.
WAVES = ("frequencies", "waves")


def dtype_of(name: str, dtype: torch.dtype | None) -> torch.dtype | None:
    """The dtype of the weight `name` in a network of `dtype`; None leaves it as it is."""
    rounded = dtype is not None and dtype.itemsize < torch.float32.itemsize
    return torch.float32 if rounded and name.rpartition(".")[2] in WAVES else dtype


def cast(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Move a network, in place, to a device and a dtype, except for its frequencies. Returns it."""
    kept = {
        name: weight.data for name, weight in network.named_parameters() if dtype_of(name, dtype) != dtype
    }
    network.to(device=device, dtype=dtype)
    for name, weight in network.named_parameters():
        if name in kept:
            weight.data = kept[name].to(device, dtype_of(name, dtype))
    return network


def channels_last(network: nn.Module) -> None:
    """Store the weights of convolutions in channels-last order, in place. Twice as fast on a CPU."""
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stub lacks it


def arrange(network: nn.Module) -> None:
    """Give the weights of a network the layout in which sampling is fastest, in place."""
    channels_last(network)
    for module in network.modules():
        if isinstance(module, Conv2d):
            module.pack()
