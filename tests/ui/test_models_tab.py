"""Checkpoints that visitors drop in, without a browser: whose they are, what is said of them, and when
they go.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from safetensors.torch import save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.models.calibrate import Trial
from diffusion_studio.ui import report
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.dropped import Chosen, UploadedCheckpoints, safe_name, weight_files
from diffusion_studio.ui.hosting import LARGEST, LARGEST_HOSTED, LIMIT_HOSTED, Hosting, hosting
from diffusion_studio.ui.models_tab import ModelsTab


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("here")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


@pytest.fixture
def dropped(studio):
    made = UploadedCheckpoints(studio, 10**6)
    yield made
    made.close()


@pytest.fixture
def upload(tmp_path, tiny_spec, random_unet):
    """Factory: a file as Gradio leaves it after an upload."""

    def make(name: str = "mine.safetensors", content: bytes | None = None) -> str:
        path = tmp_path / "uploads" / str(len(list(tmp_path.glob("uploads/*")))) / name
        path.parent.mkdir(parents=True)
        if content is None:
            spec = tiny_spec()
            checkpoint.write(path, spec, random_unet(spec.network).state_dict(), torch.float32)
        else:
            path.write_bytes(content)
        return str(path)

    return make


def test_a_dropped_model_runs_and_goes_with_its_visitor(dropped, studio, upload):
    given = upload()
    chosen = dropped.take("ann", [given])
    assert not Path(given).exists() and chosen.path.is_file()
    name = dropped.open("ann", chosen, secret=False)
    assert name == "mine" and [card.name for card in studio.models()] == ["here"]  # hers alone
    assert studio.run(studio.recipe(name, steps=2)).images.shape == (1, 8, 8, 1)
    with pytest.raises(OptionError, match=r"Choose one of: here\. Did"):
        studio.card("other")
    dropped.forget("ann")
    assert not chosen.path.parent.exists()
    with pytest.raises(OptionError, match="no model"):
        studio.card(name)
    with pytest.raises(CheckpointError, match="There is no weight file"):
        dropped.open("ann", chosen, secret=False)


def test_a_visitor_has_one_file_at_a_time_and_no_other_visitors(dropped, studio, upload):
    first, other = dropped.take("ann", [upload()]), dropped.take("bob", [upload()])
    name = dropped.open("ann", first, secret=True)
    assert name.startswith("mine-") and len(name) > 15 and dropped.open("bob", other, secret=True) != name
    second = dropped.take("ann", [upload("next.safetensors")])
    assert not first.path.exists() and second.path.exists() and other.path.exists()
    with pytest.raises(OptionError, match="no model"):
        studio.card(name)


def test_what_is_dropped_is_bounded(dropped, upload):
    with pytest.raises(CheckpointError, match="has 2 MB, and at most 1 MB may be dropped"):
        dropped.take("ann", [upload("big.safetensors", bytes(2 * 10**6))])
    with pytest.raises(CheckpointError, match="one weight file at a time.*a.safetensors, b.safetensors"):
        dropped.take("ann", [upload("a.safetensors", b""), upload("b.safetensors", b"")])
    with pytest.raises(CheckpointError, match="files that came are: none"):
        dropped.take("ann", [upload("config.json", b"{}")])


def test_a_dropped_name_takes_nobodys_place(dropped, studio, upload):
    chosen = dropped.take("ann", [upload("here.safetensors")])
    assert dropped.open("ann", chosen, secret=False) == "here-dropped"
    assert studio.card("here").path.parent.name == "here"


@pytest.mark.parametrize(
    "name, safe",
    [
        ("../../x.safetensors", "x.safetensors"),
        ("a\\b.safetensors", "b.safetensors"),
        (".hidden", "hidden"),
        ("ä<b>.pt", "__b_.pt"),
        ("", "model.safetensors"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_only_allowed_folders_are_offered(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside.safetensors"
    deep = inside / "a" / "b" / "c" / "d" / "e"
    deep.mkdir(parents=True)
    for path in (
        outside,
        inside / "x.safetensors",
        inside / "a" / "b" / "y.safetensors",
        deep / "z.safetensors",
    ):
        save_file({"w": torch.zeros(1)}, path)
    (inside / "link.safetensors").symlink_to(outside)
    assert sorted(weight_files([inside])) == ["inside/a/b/y.safetensors", "inside/x.safetensors"]


def test_hosting_follows_the_place(tmp_path):
    assert hosting(environment={}) == Hosting(False, (), LARGEST, True, Path("runs"))
    assert hosting(environment={"SPACE_ID": "me/studio"}) == Hosting(
        True, (), LARGEST_HOSTED, False, Path("runs"), LIMIT_HOSTED
    )
    assert hosting(True, [str(tmp_path)], 50, True, environment={}) == Hosting(
        True, (tmp_path,), 50, True, Path("runs"), LIMIT_HOSTED
    )
    with pytest.raises(OptionError, match="There is no folder"):
        hosting(models=[str(tmp_path / "none")])
    with pytest.raises(OptionError, match="max_upload must be a number of MB"):
        hosting(max_upload=0)


# ---- the tab
# -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tab(studio, tmp_path):
    with gr.Blocks():
        made = ModelsTab(
            studio, Compute(), Hosting(models=(tmp_path / "offered",)), lambda name: {"used": name}, []
        )
    yield made
    made.dropped.close()


def test_a_pickle_is_answered_with_the_way_to_convert_it(tab, upload):
    chosen, said, button, *_ = tab._look(Chosen(Path(upload("net.pt", b"PK\x03\x04")), own=True), "")
    assert "diffusion-studio convert net.pt net.safetensors" in said and button.interactive is False


def test_readers_sentences_and_wrong_flags_are_shown(tab, upload):
    page = Chosen(Path(upload("x.safetensors", b"<!DOCTYPE html><html>")), own=True)
    assert "HTML page, so its download went wrong" in tab._look(page, "")[1]
    native = Chosen(Path(upload()), own=True)
    assert "Leave the flags out" in tab._look(native, "--num_heads 4")[1]
    assert "Flags are given as --name value" in tab._look(native, "num_heads 4")[1]
    assert "It can be run" in tab._look(native, "")[1]


def test_the_files_that_are_open_are_named(tab, upload):
    visitor = SimpleNamespace(session_hash="ann")
    _, emptied, *_, opened = tab._take_files(
        [upload("config.json", b"{}"), upload("<mine>.safetensors")], "", visitor
    )
    assert emptied is None  # the drop zone takes the next file
    assert "Open: <b>&lt;mine&gt;.safetensors</b>, <b>config.json</b>" in opened
    assert tab._take_files([upload("a.safetensors"), upload("b.safetensors")], "", visitor)[-1] == ""


def test_a_file_that_was_refused_is_not_called_open(tab, upload):
    visitor = SimpleNamespace(session_hash="ann")
    *_, line = tab._take_files([upload("broken.safetensors", b"0" * 100)], "", visitor)
    assert "Not opened: <b>broken.safetensors</b>" in line and "Open:" not in line
    _, _, chosen, *_, line = tab._take_files([upload()], "num_heads 4", visitor)
    assert "Not read: <b>mine.safetensors</b>" in line and "flags are wrong" in line
    assert "Open: <b>mine.safetensors</b>" in tab._look(chosen, "")[-1]  # read again without them
    assert tab._look_again(chosen, "")[-1] == tab._look(chosen, "")[-1]


def test_a_path_from_the_page_is_not_opened(tab, upload):
    assert "no longer there" in tab._choose(upload(), "")[1]
    assert "no longer there" in tab._choose("/etc/passwd", "")[1]


def test_hostile_names_are_shown_as_text(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"<script>alert(1)</script>.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(CheckpointError) as error:
        checkpoint.inspect(path)
    shown = report.refusal(str(error.value))
    assert "&lt;script&gt;" in shown and "<script>" not in shown


def test_the_ranking_lists_settings_as_they_are_typed():
    shown = report.ranking(
        [Trial({"num_heads": 4, "label": ""}, 0.25), Trial({"num_heads": 1, "label": "<b>"}, 0.5)]
    )
    assert "0.25000" in shown and "--num_heads 4 --label &quot;&quot;" in shown and "<b>" not in shown


def test_flags_text_is_read_back():
    from diffusion_studio.checkpoint.facts import parse_flags

    given = {"num_heads": 4, "channel_mult": (1, 2), "name": "", "use_scale_shift_norm": True}
    assert parse_flags(report.flags_text(given)) == {
        "num_heads": "4",
        "channel_mult": "1,2",
        "name": "",
        "use_scale_shift_norm": "True",
    }
