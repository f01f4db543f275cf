"""A run shown in a notebook, by IPython itself."""

from __future__ import annotations

import pytest

import diffusion_studio as ds


def test_outside_of_a_notebook_it_says_what_to_do(write_checkpoint):
    folder = write_checkpoint("small").parent
    with pytest.raises(ds.StudioError, match="in a notebook, and this is no notebook"):
        ds.Studio(folder.parent).play(ds.Recipe(model="small", steps=2, seeds=(0,)))


@pytest.mark.parametrize("view", ["x", "both"])
def test_states_and_then_the_player_are_shown(write_checkpoint, view):
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    studio = ds.Studio(write_checkpoint("small").parent.parent)
    shell = InteractiveShell.instance()
    try:
        with capture_output() as seen:
            made = studio.play(ds.Recipe(model="small", steps=3, seeds=(0, 1)), view)
    finally:
        shell.clear_instance()
    assert len(made.frames) == 4
    first, last = seen.outputs[0], seen.outputs[-1]
    assert first.data["image/png"].startswith("iVBOR") or first.data["image/png"][:4] == b"\x89PNG"
    assert "<iframe" in last.data["text/html"]
