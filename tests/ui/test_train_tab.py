"""The Train tab's settings, without a browser: what a person chooses is the configuration, and what strangers may choose."""

from __future__ import annotations

import zipfile

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio import options
from diffusion_studio.errors import DataError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.presets import configured
from diffusion_studio.ui.hosting import Hosting
from diffusion_studio.ui.train_tab import _OFF, TrainTab


@pytest.fixture
def tab(tmp_path, tiny_checkpoint):
    def make(**changes):
        with gr.Blocks():
            return TrainTab(ds.Studio(tmp_path / "checkpoints"), Hosting(runs=tmp_path / "runs", **changes), lambda name: {},
                            [])
    return make


def values(tab, **changes):
    found = {one: one.value for one in (tab.data, tab.size, tab.preset, tab.name, *tab.options.controls.values())}
    return {**found, **{getattr(tab, name): value for name, value in changes.items()}}


@pytest.fixture
def pictures(tab, tmp_path):
    """A tab with a dropped archive, and the archive's name."""
    def make(made):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "x.png")
        with zipfile.ZipFile(tmp_path / "my zip.zip", "w") as out:
            out.write(tmp_path / "x.png", "a/x.png")
            out.write(tmp_path / "x.png", "b/y.png")
        return made._unpack(str(tmp_path / "my zip.zip"))
    return make


def test_the_controls_hold_the_presets_configuration(tab, pictures, tmp_path):
    made = tab()
    menu, said, _ = pictures(made)
    assert menu.value == "my-zip" and "**2 pictures**; labels: a, b" in said and not (tmp_path / "my zip.zip").exists()
    folder = str((tmp_path / "runs" / "data" / "my-zip").resolve())
    assert made._config(values(made, data="my-zip")) == configured("quick", 32, folder, fit="crop")
    shown = made._preset("overnight", 64)
    sent = values(made, data="my-zip", size=64) | {one: value for one, value in shown.items() if one is not made.preset}
    assert made._config(sent) == configured("overnight", 64, folder, fit="crop")
    assert {one.name for one in options.fields_of(TrainConfig)} - set(made.options.controls) == {"data", "name", "size", "kind"}


def test_strangers_choose_from_menus_only(tab, pictures, tmp_path):
    made = tab(hosted=True, training=True)
    pictures(made)
    assert not made.options.controls and [value for _, value in made.preset.choices] == ["quick", "hour"]
    assert max(value for _, value in made.size.choices) == 64
    assert made._config(values(made, data="my-zip")).channels == 32
    for path in ("/etc", "../runs", str(tmp_path)):
        with pytest.raises(DataError, match="one of the data sets that are here"):
            made._config(values(made, data=path))


def test_without_pictures_or_a_run_a_sentence_says_so(tab):
    made = tab()
    with pytest.raises(DataError, match="Choose pictures"):
        made._config(values(made, data=None))
    for press in (made._stop, made._resume, made._use):
        with pytest.raises(gr.Error, match="Choose a run first"):
            press(None)
        with pytest.raises(gr.Error, match="no longer there"):
            press("../x")


def test_where_training_is_off_the_tab_says_how_to_turn_it_on(tab):
    made = tab(hosted=True, training=False)
    assert not hasattr(made, "go") and "--allow-training" in _OFF
