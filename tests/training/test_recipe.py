"""Training configurations as files, and which settings they may have."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.training import config_file as recipe
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.config_file import from_toml, read_config

TEXT = """
# A recipe
data = "pictures.npz"
size = 16
multipliers = [1, 2, 1.5]
attention = [8, 4]
objective = "hybrid"
lr = 2e-4
flips = true
ema_also = [0.99, 0.9]
warmup = 10
prompts = ["a cat, red", "owl"]
"""
SAME = TrainConfig(
    data="pictures.npz",
    size=16,
    multipliers="1,2,1.5",
    attention="8,4",
    objective="hybrid",
    lr=2e-4,
    flips=True,
    ema_also="0.99,0.9",
    warmup=10,
    prompts="a cat, red|owl",
)


@pytest.mark.parametrize("text", [TEXT, "[train]" + TEXT], ids=["at the top", "in a table"])
def test_a_toml_recipe(tmp_path, text):
    (tmp_path / "mine.toml").write_text(text)
    assert read_config(tmp_path / "mine.toml") == SAME


def test_the_other_reader_of_toml_reads_the_same(monkeypatch):
    """Python 3.10 has no tomllib; tomlkit comes with gradio."""
    monkeypatch.setattr(recipe.sys, "version_info", (3, 10))
    assert from_toml(TEXT) == SAME
    with pytest.raises(OptionError, match="This is not TOML"):
        from_toml("a = = 3")
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(
        OptionError, match="needs Python 3.11 or the package tomlkit. Install it, or write the"
    ):
        from_toml(TEXT)


def test_a_runs_own_configuration_is_a_recipe(tmp_path):
    (tmp_path / "config.json").write_text(SAME.to_json())
    assert read_config(tmp_path / "config.json") == SAME


@pytest.mark.parametrize(
    "text, message",
    [
        ("lerning_rate = 1", r"There is no field of the training configuration 'lerning_rate'"),
        ("batch = 'many'", "batch must be a whole number"),
        ("batch = [1, 2]", "batch must be"),
        ("flips = 1", "flips must be true or false"),
        ("lr = nan", "lr must be a finite number"),
        ("data = 3", "data must be a text"),
        ("lr = ", "This is not TOML"),
        ("batch = 3\n[train]\nlr = 0.1", r"a table \[train\] and other names beside it"),
        ("train = 3", "must be a table"),
        ("[train]\n[train.more]\nx = 1", "There is no field of the training configuration 'more'"),
    ],
)
def test_recipes_that_are_wrong(tmp_path, text, message):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_config(tmp_path / "a.toml")
    assert "a.toml" in str(caught.value)


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(
        OptionError,
        match="A training configuration is a .toml file, or the config.json of a run; got .*mine.yaml",
    ):
        read_config(tmp_path / "mine.yaml")
    with pytest.raises(OptionError, match="cannot be read .No such file"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="b.toml cannot be read"):
        read_config(tmp_path / "b.toml")


@pytest.mark.slow
def test_the_command_line_takes_a_recipe_and_flags_change_it(config, tmp_path):
    """In one process each: train, then refuse to resume it by the recipe with another setting."""
    given = config(images=8)
    lines = [
        f"{name} = {value!r}".replace("True", "true")
        for name, value in vars(given).items()
        if isinstance(value, (str, float, int)) and not isinstance(value, bool)
    ]
    (tmp_path / "r.toml").write_text("\n".join(lines).replace("lr = 0.001", "lr = 0.25"))
    code = (
        "import sys; from diffusion_studio.cli import main; given = sys.argv[1:]\n"
        "sys.exit(main(given) or main([*given[:2], '--resume', given[5]]))"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            "train",
            str(tmp_path / "r.toml"),
            "--lr",
            "0.001",
            "--out",
            str(tmp_path / "run"),
            "--device",
            "cpu",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 2, done.stderr  # of the second
    assert TrainConfig.from_json((tmp_path / "run" / "config.json").read_text()) == given
    assert done.stdout.strip() == str(tmp_path / "run" / "model.safetensors")
    assert "Different (kept -> asked for): lr: 0.001 -> 0.25" in done.stderr


# --- the configuration


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"ema_export": 0.5},
            r"ema_export 0.5 is not among the averages that are kept \(0.999, 0.99\). Name it in",
        ),
        ({"ema_also": "0.9,1.0"}, "ema_also must be decays from 0 to below 1"),
        ({"ema_also": "x"}, "ema_also must be numbers"),
        ({"accumulate": 33}, "A batch of 32 cannot be computed in 33 parts. Make accumulate at most 32"),
        (
            {"objective": "vlb", "min_snr": 5.0},
            "min_snr and weighting weigh the squared error, and the objective vlb has none",
        ),
        (
            {"objective": "elbo"},
            "There is no objective 'elbo'. Choose one of: simple, hybrid, vlb",
        ),
        ({"kind": "gan"}, "There is no kind"),
        ({"lr_shape": "steps"}, "There is no lr_shape"),
        ({"precision": "fp16"}, "There is no precision 'fp16'. Choose one of: auto, fp32, bf16"),
    ],
)
def test_configurations_that_cannot_be(changes, message):
    with pytest.raises(OptionError, match=message):
        TrainConfig(**{"ema_also": "0.99", **changes})


def test_averages_are_named_once():
    config = TrainConfig(ema=0.9, ema_also="0.99,0.9,0.5", ema_export=0.5)
    assert config.decays == (0.9, 0.99, 0.5) and config.export_index == 2
    assert TrainConfig().decays == (0.999,) and TrainConfig().export_index == 0


def test_shapes_of_the_learning_rate():
    """Closed forms at every step; the cooldown multiplies."""
    steps = np.arange(100)
    given = {"images": 1000, "batch": 10, "lr": 0.5, "warmup": 20}
    rates = {
        shape: np.array(
            [TrainConfig(**given, lr_shape=shape, cooldown=0.0).learning_rate(10 * s) for s in steps]
        )
        for shape in ("constant", "cosine", "inverse-sqrt")
    }
    rise = np.minimum(1, (steps + 1) / 20)
    np.testing.assert_allclose(rates["constant"], 0.5 * rise)
    np.testing.assert_allclose(
        rates["cosine"], 0.25 * rise * (1 + np.cos(math.pi * np.maximum(steps - 20, 0) / 80))
    )
    np.testing.assert_allclose(
        rates["inverse-sqrt"], np.where(steps < 20, 0.5 * rise, 0.5 * np.sqrt(20 / (steps + 1)))
    )
    for shape, bare in rates.items():
        cooled = [TrainConfig(**given, lr_shape=shape, cooldown=0.25).learning_rate(10 * s) for s in steps]
        np.testing.assert_allclose(cooled, bare * np.minimum(1, (100 - steps) / 25))
        assert TrainConfig(**given, lr_shape=shape, cooldown=0.25).learning_rate(1000) == 0
    assert (
        TrainConfig(
            images=10, batch=10, warmup=0, lr_shape="inverse-sqrt", cooldown=0.0, lr=0.5
        ).learning_rate(0)
        == 0.5
    )
