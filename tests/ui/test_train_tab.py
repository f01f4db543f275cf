"""The Train tab's settings, without a browser: what a person chooses is the configuration, and what
strangers may choose.
"""

from __future__ import annotations

import zipfile

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio import options
from diffusion_studio.data import ImageData, summary
from diffusion_studio.errors import DataError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.presets import configured
from diffusion_studio.ui import data_view
from diffusion_studio.ui.hosting import Hosting
from diffusion_studio.ui.train_tab import _OFF, TrainTab


@pytest.fixture
def tab(tmp_path, tiny_checkpoint):
    def make(**changes):
        with gr.Blocks():
            return TrainTab(
                ds.Studio(tmp_path / "checkpoints"),
                Hosting(runs=tmp_path / "runs", **changes),
                lambda name: {},
                [],
            )

    return make


def values(tab, **changes):
    found = {
        one: one.value for one in (tab.data, tab.size, tab.preset, tab.name, *tab.options.controls.values())
    }
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
    menu, _, left = pictures(made)
    assert menu.value == "my-zip" and left == {"my-zip": ""} and not (tmp_path / "my zip.zip").exists()
    folder = str((tmp_path / "runs" / "data" / "my-zip").resolve())
    assert made._config(values(made, data="my-zip")) == configured("quick", 32, folder, fit="crop")
    shown = made._preset("overnight", 64)
    sent = values(made, data="my-zip", size=64) | {
        one: value for one, value in shown.items() if one is not made.preset
    }
    assert made._config(sent) == configured("overnight", 64, folder, fit="crop")
    assert {one.name for one in options.fields_of(TrainConfig)} - set(made.options.controls) == {
        "data",
        "name",
        "size",
        "kind",
    }


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


def looked(tab, **changes):
    """What stands under the pictures' menu, where these options are changed."""
    found = {one: one.value for one in tab._looked_at}
    return tab._look_into(
        found | {getattr(tab, name, None) or tab.options.controls[name]: v for name, v in changes.items()}
    )


def test_before_training_the_tab_says_what_was_read_and_shows_some(tab, pictures):
    made = tab()
    pictures(made)
    shown = looked(made, data="my-zip")
    assert "Read my-zip: 2 pictures of 8x8, brought to 32x32 (crop), grey saved as RGB, 1 shade" in shown
    assert "with Colours set to grey a grey one" in shown and "--colours" not in shown
    assert shown.count("<img") == 2 and "<b>a</b>" in shown and "<b>b</b>" in shown
    assert "brought to 16x16 (resize), grey, 1 shade" in looked(
        made, data="my-zip", colours="grey", size=16, fit="resize"
    )
    assert looked(made, data="my-zip", archive={"my-zip": "Left <out>"}).count("<p>Left &lt;out&gt;</p>") == 1
    assert "There is no data set &#x27;nowhere&#x27;" in looked(made, data="nowhere")
    assert (
        "larger than 4x4" in looked(made, data="my-zip", size=4, fit="pad")
        and looked(made, data=None) == data_view.NOTHING
    )


def test_what_an_archive_has_besides_pictures_is_told(tab, tmp_path):
    made = tab()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as out:
        out.write(tmp_path / "x.png", "x.png")
        out.writestr("phone.heic", b"x")
    _, _, left = made._unpack(str(tmp_path / "set.zip"))
    assert left == {"set": "Left out of the archive: 1 .heic file (phone.heic)."}


def test_strangers_look_into_what_is_offered_alone(tab, pictures, tmp_path):
    made = tab(hosted=True, training=True)
    pictures(made)
    assert "Read my-zip" in looked(made, data="my-zip")
    assert "one of the data sets that are here" in looked(made, data=str(tmp_path))


def test_the_pictures_shown_are_of_every_label_in_turn():
    labels = np.array([0] * 50 + [1] * 2 + [2])
    found = data_view.chosen(ImageData(np.zeros((53, 1, 1, 1), np.uint8), labels, ("a", "b", "c")), 6)
    assert labels[found].tolist() == [0, 0, 0, 1, 1, 2] and len(set(found.tolist())) == 6
    many = ImageData(np.zeros((20, 1, 1, 1), np.uint8), np.arange(20), tuple(map(str, range(20))))
    assert data_view.chosen(many, 5).tolist() == [0, 1, 2, 3, 4]
    plain = ImageData(np.zeros((3, 1, 1, 1), np.uint8), None, ())
    assert data_view.chosen(plain, 8).tolist() == [0, 1, 2]


def test_texts_of_strangers_are_shown_as_texts():
    data = ImageData(np.zeros((1, 2, 2, 3), np.uint8), np.array([0]), ("<b>x",), (('"><script>',),))
    shown = data_view.view(summary(data, "<i>"), data)
    assert (
        "<script" not in shown
        and "<b>x" not in shown
        and "<i>" not in shown
        and "&quot;&gt;&lt;script&gt;" in shown
    )


def test_a_slow_look_does_not_go_over_a_later_one(tab, pictures, monkeypatch):
    made = tab()
    pictures(made)
    visitor = type("Request", (), {"session_hash": "one"})()
    values = {one: one.value for one in made._looked_at} | {made.data: "my-zip"}
    slow = made._look_into

    def overtaken(given):
        monkeypatch.setattr(made, "_look_into", slow)
        # another choice, while this look goes on
        assert "Read my-zip" in made._newest_look(values, visitor)
        return slow(given)

    monkeypatch.setattr(made, "_look_into", overtaken)
    assert made._newest_look(values, visitor) == gr.skip()
    made.forget("one")
    assert not made.looks
