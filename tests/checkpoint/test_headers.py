"""Inspections are kept, and made again where something changed."""

from __future__ import annotations

import json
from dataclasses import replace

from safetensors.torch import load_file, save_file

from diffusion_studio.checkpoint import Headers


def test_the_same_inspection_is_given_again(tiny_checkpoint):
    headers = Headers()
    assert headers.inspect(tiny_checkpoint) is headers.inspect(str(tiny_checkpoint))


def test_a_changed_configuration_beside_a_foreign_file_is_read_again(saved):
    folder, headers = saved("diffusers", "default"), Headers()
    assert headers.inspect(folder).spec.schedule.timesteps == 1000
    scheduler = json.loads((folder / "scheduler_config.json").read_text("utf-8"))
    (folder / "scheduler_config.json").write_text(
        json.dumps({**scheduler, "num_train_timesteps": 400}), "utf-8"
    )
    assert headers.inspect(folder).spec.schedule.timesteps == 400
    assert headers.inspect(folder, {"num_train_timesteps": 300}).spec.schedule.timesteps == 300


def test_an_inspection_says_whether_the_file_can_run(saved, tiny_checkpoint):
    assert Headers().inspect(tiny_checkpoint).problem == ""
    folder = saved("diffusers", "default")
    assert Headers().inspect(folder).problem == ""
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    del state["conv_out.bias"]
    save_file({**state, "more": state["conv_in.bias"].clone()}, path)
    seen = Headers().inspect(folder)
    assert seen.problem == "It cannot be loaded: the file lacks conv_out.bias."
    assert replace(seen, missing=()).problem.endswith("holds, besides the network, more.")


def test_they_are_bounded(write_checkpoint):
    headers = Headers(most=2)
    paths = [write_checkpoint(name) for name in ("a", "b", "c")]
    first = headers.inspect(paths[0])
    assert headers.inspect(paths[1]) and headers.inspect(paths[2])
    again = headers.inspect(paths[0])
    assert again is not first and again.spec == first.spec
