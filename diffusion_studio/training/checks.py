"""Checks that settings of a training run can be combined. No torch."""

from __future__ import annotations

from typing import Any

from ..errors import OptionError, Setting


def check_averages(config: Any) -> None:
    """Raise `OptionError` if the model file is to hold an average that the run does not keep, or a decay
    is invalid.
    """
    decays, powers = config.decays, config.powers  # these check ema_also and ema_power
    if config.ema_length and not powers:
        raise OptionError(
            "ema_length",
            Setting("ema_length"),
            " needs snapshots of averages to be made from, and this run keeps none. Train with ",
            Setting("ema_power"),
            ", such as 0.05,0.1.",
        )
    if config.ema_export and config.ema_export not in decays:
        raise OptionError(
            "ema_export",
            Setting("ema_export"),
            f" {config.ema_export:g} is not among the averages that are kept "
            f"({', '.join(f'{d:g}' for d in decays)}). Name it in ",
            Setting("ema"),
            " or ",
            Setting("ema_also"),
            ".",
        )


def check_low_res(config: Any) -> None:
    """Raise `OptionError` if `low_res` does not suit the config, or its settings are given without it."""
    if config.low_res and (config.low_res >= config.size or config.kind != "denoiser"):
        raise OptionError(
            "low_res",
            Setting("low_res"),
            f" {config.low_res} must be below the size of the pictures, {config.size}, and is for "
            f"denoisers; the kind is {config.kind}.",
        )
    if not config.low_res and (config.low_res_noise or config.low_res_blur):
        raise OptionError(
            "low_res",
            Setting("low_res_noise"),
            " and ",
            Setting("low_res_blur"),
            " are of the picture to enlarge, and there is none. Give ",
            Setting("low_res"),
            ", the size of that picture.",
        )


def check_tune(config: Any) -> None:
    """Raise `OptionError` if only some parts are to be trained in a network that starts from random
    weights.
    """
    if config.tune and not config.start_from:
        raise OptionError(
            "tune",
            Setting("tune"),
            " trains some parts of a trained network, and this run starts from random weights. Name the "
            "trained network's file in ",
            Setting("start_from"),
            ", or leave ",
            Setting("tune"),
            " out.",
        )
