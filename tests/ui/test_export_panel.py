"""The export panel without a browser: what it begins with, and what its files are called."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.export import FORMATS, ExportOptions
from diffusion_studio.ui.export_panel import ExportPanel, export_file
from diffusion_studio.ui.player import player
from diffusion_studio.ui.store import RunStore


@pytest.fixture
def run(tiny_model, tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    return lambda **changes: ds.Studio(tmp_path / "checkpoints", "cpu", "fp32").run(
        ds.Recipe(model="tiny", steps=2, seeds=(0, 1), **changes)
    )


@pytest.mark.parametrize("film, plays", [(False, False), (True, False), (False, True), (True, True)])
def test_a_film_is_exported_as_one(film, plays):
    store = RunStore()
    with gr.Blocks():
        panel = ExportPanel(store, player(lambda key: None))
    look = {"view": "both", "zoom": 1, "fps": 10, "film": plays}
    _, *updates = panel._updates_of_player("gif", "all", {"run": "any", "film": film, "look": look})
    found = {name: update.get("value") for name, update in zip(panel.options.controls, updates)}
    assert found["frames"] == ("pictures" if film or plays else "all") and found["view"] == "both"
    assert found["picture"] == ("" if plays else "2")  # what plays shows all, one after another
    assert found["fps"] == (None if film and not plays else 10)


def test_formats_of_one_suffix_go_by_names_of_their_own(run):
    made = run()
    names = [Path(export_file(made, name, ExportOptions())).name for name in FORMATS]
    assert len(set(names)) == len(FORMATS) and "tiny-0-strip.png" in names and "tiny-0.gif" in names
    with Image.open(export_file(made, "strip", ExportOptions(states=2))) as strip:
        assert strip.format == "PNG"


def test_a_strip_of_all_states_says_which_it_holds():
    """Above "Number of states 8" stood "all"."""
    with gr.Blocks():
        panel = ExportPanel(RunStore(), player(lambda key: None))
    for format, said in (("strip", "some, where something happens"), ("gif", "all")):
        _, *updates = panel._show(format, "all", None)
        found = dict(zip(panel.options.controls, updates))
        assert dict((value, text) for text, value in found["frames"]["choices"])["all"] == said
        assert found["states"]["visible"] is (format == "strip")
