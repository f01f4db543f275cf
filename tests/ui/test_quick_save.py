"""One press saves: within the size that its use allows, in the view that the player shows."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.ui.export_panel import ExportPanel
from diffusion_studio.ui.player import player
from diffusion_studio.ui.quick_save import PRESETS, Preset, QuickSave, save_for
from diffusion_studio.ui.store import RunStore


@pytest.fixture
def made(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32").run(
        ds.Recipe(model="tiny", steps=30, seeds=(0, 1, 2, 3))
    )


def test_each_use_has_its_file_and_it_carries_the_recipe(made):
    for name, preset in PRESETS.items():
        path = Path(save_for(preset, made, {"view": "both"})[0])
        assert path.suffix == (".png" if name == "paper" else ".gif")
        assert not preset.most or path.stat().st_size <= preset.most
        assert ds.Recipe.from_file(path) == made.recipe
        with Image.open(path) as saved:
            assert max(saved.size) <= preset.side


def test_a_file_that_is_too_large_is_made_with_smaller_pictures_and_then_fewer_states(made):
    def saved(most):
        path = Path(save_for(Preset("gif", "", 512, most), made, {"view": "x"})[0])
        with Image.open(path) as film:
            return path.stat().st_size, film.size[0], film.n_frames

    whole, wide, states = saved(None)
    assert wide == 512 and states == 31
    size, narrower, same = saved(whole // 3)
    assert size <= whole // 3 and narrower < wide and same == 31
    smallest = saved(1)  # which nothing can be: the smallest that there is
    assert smallest[1] == 16 and smallest[2] <= 11


def test_what_the_player_shows_is_what_is_saved(made):
    store = RunStore()
    with gr.Blocks():
        saving = QuickSave(store, player(lambda key: None))
    run = store.open("visitor", made.recipe)
    for frame in made.frames:
        store.append(run, frame)
    look = {"view": "x0", "zoom": 2, "fps": 10, "film": False}
    found = saving._save("chat", {"run": run, "look": look})
    assert found["preset"] == "chat" and float(found["size"].split()[-1]) > 0
    with Image.open(found["path"]) as film:
        assert film.size[0] == film.size[1] == 64 * 8 and film.info["duration"] == 100


@pytest.mark.parametrize("preset", PRESETS)
def test_more_begins_with_what_was_saved(made, preset):
    """The panel's file, made at once, is the saved one."""
    store = RunStore()
    with gr.Blocks():
        shown = player(lambda key: None)
        saving, panel = QuickSave(store, shown), ExportPanel(store, shown)
    run = store.open("visitor", made.recipe)
    for frame in made.frames:
        store.append(run, frame)
    value = {"run": run, "look": {"view": "x0", "zoom": 2, "fps": 10, "film": False}}
    found = saving._save(preset, value)
    format, *rest = panel._updates_of_player("mp4", "all", {**value, "used": found["used"]})
    updates = dict(zip(panel.options.controls, rest))
    assert updates["picture"]["value"] == "3" and updates["view"]["value"] == "x0"  # as the page counts
    values = {panel.player: value, panel.format: format["value"]}
    values |= {control: updates[name]["value"] for name, control in panel.options.controls.items()}
    assert Path(panel._export(values)["path"]).read_bytes() == Path(found["path"]).read_bytes()


@pytest.mark.parametrize("preset, value", [("chat", None), ("chat", {"run": "gone"}), ("wall", {"run": "x"})])
def test_what_cannot_be_saved_is_explained(preset, value):
    store = RunStore()
    with gr.Blocks():
        saving = QuickSave(store, player(lambda key: None))
    with pytest.raises(gr.Error):
        saving._save(preset, value)
