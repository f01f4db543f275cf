"""inspect on the layouts of make_golden_small.py: the report, and files and flags made to do harm."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from diffusion_studio import checkpoint
from diffusion_studio.cli import main
from diffusion_studio.errors import CheckpointError, StudioError

from .conftest import small
from .test_doctor import STRANGE, mutated

ONE_EACH = [
    ("lucidrains", "memory"),
    ("lucidrains", "classes"),
    ("lucidrains", "bias"),
    ("tqch", "cifar-like"),
    ("dome272", "classes"),
    ("teapearce", "mnist"),
    ("brianpulfer", "mnist"),
]


@pytest.mark.parametrize("layout, name", ONE_EACH)
def test_the_report_says_every_setting_and_its_source(kept, tmp_path, capsys, layout, name):
    case = kept(layout, name)
    folder = case.folder(tmp_path, configured=False)
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert (
        f"(layout '{layout}')" in said
        and "complete: the file holds exactly" in said
        and "inferred from shapes" in said
    )
    assert ("buffers in the file" in said) == any(key.startswith("buffer.") for key in case.arrays)
    assert main(["inspect", str(folder), "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    seen = checkpoint.inspect(folder)
    assert given["layout"] == layout and {*given["settings"]} == {fact.name for fact in seen.found.facts}
    again = checkpoint.inspect(
        folder, {key: value for key, value in given["assumed"].items() if value is not None}
    )
    # what was assumed, given back as flags, is the same model
    assert again.spec == seen.spec
    line = next((line for line in said.splitlines() if line.startswith("  --flags ")), None)
    if line is not None:
        assert (
            main(["inspect", str(folder), "--json", "--flags", json.loads(line.removeprefix("  --flags "))])
            == 0
        )
        assert json.loads(capsys.readouterr().out)["spec"] == given["spec"]


@pytest.mark.slow
@pytest.mark.parametrize("layout, name", ONE_EACH)
def test_mutated_headers_are_errors_of_ours_or_load(kept, tmp_path, layout, name):
    """No hang, no crash, no other error, whatever the header says."""
    folder = kept(layout, name).folder(tmp_path)
    path = folder / "model.safetensors"
    raw, draw, outcomes = path.read_bytes(), np.random.default_rng(0), set()
    for _ in range(120):
        path.write_bytes(mutated(raw, draw))
        try:
            checkpoint.inspect(folder)
            outcomes.add("inspected")
        except StudioError as error:
            outcomes.add("refused")
            assert len(str(error)) < 8000
    assert outcomes == {"inspected", "refused"}


@pytest.mark.slow
@pytest.mark.parametrize("layout, name", ONE_EACH)
def test_tensors_of_other_shapes_are_errors_of_ours_or_load(kept, tmp_path, layout, name):
    """Each tensor in turn without sides, with one, with a side of 0, and left out."""
    case = kept(layout, name)
    folder = case.folder(tmp_path)
    path, state = folder / "model.safetensors", load_file(folder / "model.safetensors")
    draw = np.random.default_rng(1)
    for key in draw.permutation(sorted(state))[:25]:
        for changed in (state[key].flatten()[0], state[key].flatten(), state[key][:0], None):
            save_file(
                {
                    **{k: v for k, v in state.items() if k != key},
                    **({} if changed is None else {key: changed.clone()}),
                },
                path,
            )
            try:
                checkpoint.inspect(folder)
            except StudioError as error:
                assert len(str(error)) < 8000


@pytest.mark.slow
@pytest.mark.parametrize("layout, name", ONE_EACH)
def test_strange_settings_are_errors_of_ours_or_load(kept, tmp_path, layout, name):
    folder = kept(layout, name).folder(tmp_path)
    given = json.loads((folder / "args.json").read_text()) if (folder / "args.json").exists() else {}
    known = {fact.name for fact in checkpoint.inspect(folder).found.facts}
    for setting in sorted(known | given.keys()):
        for value in STRANGE:
            (folder / "args.json").write_text(json.dumps({**given, setting: value}))
            try:
                checkpoint.inspect(folder)
            except CheckpointError as error:
                assert len(str(error)) < 2000, setting


def test_buffers_that_are_none_are_left_alone(kept, tmp_path):
    """Betas that are no numbers, none at all, or of another kind: as if the file had none, and said to be
    assumed.
    """
    folder = kept("lucidrains", "rms").folder(tmp_path, configured=False)
    path, state = folder / "model.safetensors", load_file(folder / "model.safetensors")
    for betas in (
        state["betas"] * float("nan"),
        state["betas"][:0],
        state["betas"].half(),
        state["betas"][None],
    ):
        save_file({**state, "betas": betas}, path)
        sources = {fact.name: fact.source for fact in checkpoint.inspect(folder).found.facts}
        assert sources["timesteps"] == sources["beta_schedule"] == "assumed"
    assert small.STEPS == len(state["betas"])
