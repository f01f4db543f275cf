"""The network class of each configuration."""

from __future__ import annotations

from torch import nn

from .base import NetworkConfig
from .config import UNetConfig
from .mlp import MLP
from .mlp_config import MLPConfig
from .post_norm import PostNormUNet
from .post_norm_config import PostNormConfig
from .small import LayerNormUNet, MaxPoolUNet, VectorUNet
from .small_config import LayerNormConfig, MaxPoolConfig, VectorConfig
from .unet import UNet

NETWORKS: dict[type[NetworkConfig], type[nn.Module]] = {
    UNetConfig: UNet,
    PostNormConfig: PostNormUNet,
    MaxPoolConfig: MaxPoolUNet,
    VectorConfig: VectorUNet,
    LayerNormConfig: LayerNormUNet,
    MLPConfig: MLP,
}


def build(config: NetworkConfig) -> nn.Module:
    """A network with random weights, to be called as `network(x, t, label, text)`.

    A network with `self_condition` takes its last x0 as a fifth argument.
    """
    return NETWORKS[type(config)](config)
