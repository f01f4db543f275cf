"""From a configuration to its network. To add a kind of network, name it here and in `spec.NETWORKS`."""

from __future__ import annotations

from torch import nn

from .config import UNetConfig
from .mlp import MLP
from .mlp_config import MLPConfig
from .unet import UNet

BUILDERS: dict[type, type[nn.Module]] = {UNetConfig: UNet, MLPConfig: MLP}


def network_of(config: UNetConfig | MLPConfig) -> nn.Module:
    """A new network, its weights drawn from torch's generator."""
    return BUILDERS[type(config)](config)
