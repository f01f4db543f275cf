"""Training configurations as files: TOML, or the config.json of a run. No torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import options
from ..data.points import is_points
from ..errors import OptionError
from .config import TrainConfig

# Defaults of a kind that differ from those of `TrainConfig`. A training on points takes under a minute on one
# core.
KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "points": {
        "kind": "points",
        "data": "swiss-roll",
        "channels": 96,
        "blocks": 5,
        "images": 1_000_000,
        "batch": 256,
        "schedule": "cosine",
        "parametrization": "v",
        "lr": 2e-3,
        "warmup": 100,
        "lr_shape": "cosine",
        "cooldown": 0.0,
        "ema": 0.998,
        "sigma_data": 1.0,
        "precision": "fp32",
    },
}


def train_config(**settings: Any) -> TrainConfig:
    """A `TrainConfig` with the defaults for its kind. Data that is points implies the kind "points"."""
    if "kind" not in settings and isinstance(data := settings.get("data"), str) and is_points(data):
        settings = {**settings, "kind": "points"}
    return options.build(
        TrainConfig,
        {**KIND_DEFAULTS.get(str(settings.get("kind")), {}), **settings},
        "field of the training configuration",
    )


def command(config: TrainConfig, out: str | Path) -> str:
    """The command line that starts a run. Settings at the defaults of its data and kind are left out."""
    given = (
        {"data": config.data}
        if is_points(config.data) == (config.kind == "points")
        else {"data": config.data, "kind": config.kind}
    )
    return config.command(out, train_config(**given))


def read_config(path: str | Path) -> TrainConfig:
    """The configuration in a .toml or .json file. Raises `OptionError` for an unknown name or a wrong value.

    Names are those of `TrainConfig`, at the top level or in a table [train]. A list of numbers may replace
    the text with commas, `multipliers = [1, 2, 2]`, and a list of texts the one with |, `prompts = ["a cat,
    red", "owl"]`. What is left out has its default.
    """
    path = Path(path)
    if path.suffix.lower() not in (".toml", ".json"):
        raise OptionError(
            "recipe", f"A training configuration is a .toml file, or the config.json of a run; got {path}."
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            "recipe",
            f"The configuration {path} cannot be read ({getattr(error, 'strerror', None) or error}).",
        ) from error
    try:
        if path.suffix.lower() == ".json":
            return TrainConfig.from_json(text)
        return from_toml(text)
    except OptionError as error:
        raise OptionError(error.field, f"{path}: {error}") from error


def from_toml(text: str) -> TrainConfig:
    """The configuration in a TOML text, see `read_config`."""
    given = _parsed(text)
    if "train" in given:
        if len(given) > 1:
            raise OptionError(
                "train",
                "The configuration has a table [train] and other names beside it. Put all names into the "
                "table, or none.",
            )
        given = given["train"]
    if not isinstance(given, Mapping):
        raise OptionError("train", "'train' must be a table of settings, [train].")
    kinds = {field.name: field.kind for field in options.fields_of(TrainConfig)}
    settings = {
        name: _as_text(name, value) if kinds.get(name) is str else value for name, value in given.items()
    }
    return options.build(
        TrainConfig,
        {
            **vars(train_config(**{name: settings[name] for name in ("data", "kind") if name in settings})),
            **settings,
        },
        "field of the training configuration",
    )


def _as_text(name: str, value: Any) -> Any:
    return ("|" if name == "prompts" else ",").join(map(str, value)) if isinstance(value, list) else value


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        if sys.version_info >= (3, 11):
            import tomllib

            return tomllib.loads(text)
        import tomlkit  # comes with gradio

        return tomlkit.parse(text).unwrap()
    except ImportError as error:
        raise OptionError(
            "recipe",
            "Reading TOML needs Python 3.11 or the package tomlkit. Install it, or write the configuration "
            "as .json, like the config.json of a run.",
        ) from error
    except ValueError as error:  # base of both packages' errors
        raise OptionError("recipe", f"This is not TOML: {error}") from error
