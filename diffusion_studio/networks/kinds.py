"""The kinds of networks that a checkpoint's header can describe, by name. It does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from ..options import name_of
from .base import NetworkConfig
from .config import UNetConfig
from .mlp_config import MLPConfig
from .post_norm_config import PostNormConfig
from .small_config import LayerNormConfig, MaxPoolConfig, VectorConfig

CONFIGS: dict[str, type[NetworkConfig]] = {
    "unet": UNetConfig,
    "post-norm": PostNormConfig,
    "max-pool": MaxPoolConfig,
    "vector": VectorConfig,
    "layer-norm": LayerNormConfig,
    "mlp": MLPConfig,
}


def to_json(config: NetworkConfig) -> dict[str, Any]:
    """The configuration as JSON with the name of its kind, for a checkpoint's header."""
    return {"name": name_of(CONFIGS, config), **config.to_json()}


def from_json(given: Mapping[str, Any]) -> NetworkConfig:
    """The inverse of `to_json`. Any fault is an `OptionError`."""
    fields = dict(given)
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in CONFIGS:
        raise OptionError(
            "network",
            f"There is no kind of network {name!r:.80}; this version knows {', '.join(map(repr, CONFIGS))}.",
        )
    return CONFIGS[name].from_json(fields)
