"""The Train tab's settings, without a browser: what a person chooses is the configuration, and what
strangers may choose.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

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
from diffusion_studio.training.status import Status
from diffusion_studio.ui import data_view, train_tab, training_view
from diffusion_studio.ui.hosting import Hosting
from diffusion_studio.ui.run_state import read_state
from diffusion_studio.ui.sheets.sheets import places
from diffusion_studio.ui.train_tab import _OFF, TrainTab
from diffusion_studio.ui.training_options import GROUPS, LABELS
from diffusion_studio.ui.training_view import log_ticks, ticks


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
    chosen = (tab.data, tab.size, tab.preset, tab.name, tab.sent, *tab.options.controls.values())
    found = {one: one.value for one in chosen}
    return {**found, **{getattr(tab, name): value for name, value in changes.items()}}


@pytest.fixture
def pictures(tab, tmp_path):
    """A tab with a dropped archive, and the archive's name."""

    def make(made):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "x.png")
        with zipfile.ZipFile(tmp_path / "my zip.zip", "w") as out:
            out.write(tmp_path / "x.png", "a/x.png")
            out.write(tmp_path / "x.png", "b/y.png")
        return made._take([str(tmp_path / "my zip.zip")], {})

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
    for press, more in ((made._stop, [[]]), (made._resume, [[]]), (made._use, [])):
        with pytest.raises(gr.Error, match="Choose a training first"):
            press(None, *more)
        with pytest.raises(gr.Error, match="no longer there"):
            press("../x", *more)


def test_where_training_is_off_the_tab_says_how_to_turn_it_on(tab):
    made = tab(hosted=True, training=False)
    assert not hasattr(made, "go") and "--allow-training" in _OFF


def looked(tab, **changes):
    """What stands under the pictures' menu, where these options are changed."""
    found = {one: one.value for one in tab._data_controls}
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
    _, _, left = made._take([str(tmp_path / "set.zip")], {})
    assert left == {"set": "Left out of what you dropped: 1 .heic file (phone.heic)."}


def files(tmp_path, *names, side=8):
    """Pictures as Gradio leaves uploads."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for k, name in enumerate(names):
        size = (side * (k + 1), side)
        Image.fromarray(np.full((size[1], size[0], 3), (k, 200, 9), np.uint8)).save(folder / name)
    return [str(folder / name) for name in names]


def test_pictures_that_are_dropped_are_a_data_set_and_replace_those_before(tab, tmp_path):
    made = tab()
    menu, field, left = made._take(files(tmp_path, "a.png", "b.jpg", "c.webp"), {})
    assert menu.value == "my-pictures" and field is None and left == {"my-pictures": ""}
    shown = looked(made, data="my-pictures")
    assert "3 pictures, 8x8 to 24x8, will be cut to 32x32." in shown and shown.count("<img") == 3
    menu, _, left = made._take(files(tmp_path, "d.png"), left)
    assert menu.value == "my-pictures" and menu.choices.count(("my-pictures", "my-pictures")) == 1
    assert "1 picture, 8x8, will be scaled to 32x32." in looked(made, data="my-pictures")
    # another visitor's drop, and one after a training of these, leave them
    other, *_ = made._take(files(tmp_path, "e.png"), {})
    assert other.value == "my-pictures-2"
    run = tmp_path / "runs" / "mine"
    run.mkdir()
    source = str((tmp_path / "runs" / "data" / "my-pictures").resolve())
    (run / "config.json").write_text(TrainConfig(data=source).to_json())
    menu, _, left = made._take(files(tmp_path, "f.png"), left)
    assert menu.value == "my-pictures-3" and left == {"my-pictures-3": ""}
    assert [one.name for one in (tmp_path / "runs" / "data" / "my-pictures").iterdir()] == ["d.png"]


def test_pictures_that_cannot_be_used_are_named_and_leave_those_before(tab, tmp_path, monkeypatch):
    made, told = tab(), []
    monkeypatch.setattr(train_tab, "warn", told.append)
    *_, left = made._take(files(tmp_path, "a.png"), {})
    text = tmp_path / "words.txt"
    text.write_text("x")
    zipped = tmp_path / "more.zip"
    zipped.write_bytes(b"x")
    assert made._take([str(text)], left) == [gr.skip(), None, gr.skip()] and "words.txt" in told[0]
    made._take([str(zipped), *files(tmp_path, "b.png")], left)
    assert "Drop the zip alone: more.zip came with 1 other file." in told[1]
    assert "1 picture" in looked(made, data="my-pictures") and not text.exists()
    broken = files(tmp_path, "fine.png", "bad.png")
    Path(broken[1]).write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    made._take(broken, left)
    said = looked(made, data="my-pictures")
    assert "1 of 2 images cannot be used: bad.png: " in said and str(tmp_path) not in said
    assert "What you drop next replaces these." in said


def test_a_zip_that_cannot_be_used_keeps_the_fields(tab, tmp_path, monkeypatch):
    """An error would stand in the place of the field that it is about, and of the drop zone."""
    told = []
    monkeypatch.setattr(train_tab, "warn", told.append)
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    kept, dropped, archive = tab()._take([str(tmp_path / "bad.zip")], {})
    assert dropped is None and kept == archive == gr.skip()
    assert len(told) == 1 and "bad.zip" in told[0]
    assert not (tmp_path / "bad.zip").exists()


def test_few_pictures_are_said_to_be_few(tab, pictures):
    made = tab()
    pictures(made)
    assert "2 pictures are few" in looked(made, data="my-zip")
    assert "are few" not in looked(made, data="fashion-mnist")


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
    values = {one: one.value for one in made._data_controls} | {made.data: "my-zip"}
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


def test_every_option_is_in_one_of_six_groups_with_a_label_of_its_own(tab):
    grouped = [name for group in GROUPS.values() for name in group]
    above = {"data", "name", "size", "kind"}  # chosen above the groups, or not at all
    assert len(GROUPS) == 6 and len(set(LABELS.values())) == len(grouped) == len(set(grouped))
    assert {*grouped} == {one.name for one in options.fields_of(TrainConfig)} - above
    made = tab()
    assert all(made.options.controls[name].label == label for name, label in LABELS.items())
    with pytest.raises(gr.Error, match="Learning rate must be a finite number from 1e-08 to 1, got 5"):
        made._train(values(made, data="fashion-mnist", sent=[]) | {made.options.controls["lr"]: 5.0})


def test_sheets_travel_once(tab, tmp_path):
    made, folder = tab(), tmp_path / "runs" / "mine" / "samples"
    folder.mkdir(parents=True)
    (folder.parent / "console.txt").write_text("")
    names = ["000000200.png", "000000400.png", "final.png"]
    for k, name in enumerate(names):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / name)
        os.utime(folder / name, (k, k))
    *_, shown, sent = made._look("mine", [])
    assert sent == ["mine", *names] and shown["run"] == "mine"
    assert [one["when"] for one in shown["sheets"]] == ["after 200 images", "after 400 images", "at the end"]
    assert made._look("mine", sent)[-2:] == [gr.skip(), gr.skip()]
    assert places(5) == [0, 1, 2, 3, 4] and places(100, 4) == [0, 33, 66, 99]


def test_a_curve_has_round_numbers_at_its_axes(tmp_path):
    assert log_ticks(0.09, 1.1) == [0.1, 0.2, 0.5, 1] and log_ticks(1e-4, 1e3)[0] == 1e-4
    assert 3 <= len(log_ticks(0.41, 0.63)) <= 6
    assert (
        ticks(12_000) == [0, 2500, 5000, 7500, 10_000]
        and ticks(4) == [0, 1, 2, 3, 4]
        and ticks(10) == [0, 5, 10]
    )
    assert all(2 <= len(ticks(last)) <= 5 for last in (1, 7, 9, 99, 130_000, 999_999))
    (tmp_path / "config.json").write_text(TrainConfig(images=1000).to_json())
    Status("training", 400, 1000, 0.1, losses=((100, 0.9), (400, 0.1))).write(tmp_path)
    shown = training_view.view(read_state(tmp_path, running=True))
    assert "Loss: mean squared error of the predicted eps, on a logarithmic scale" in shown
    assert ">images seen</text>" in shown and "<title>100 images: loss 0.9</title>" in shown
    assert 'class="now"' in shown and ">0.1</text>" in shown and ">1,000</text>" in shown
