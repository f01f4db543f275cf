"""Fine-tuning: some parts of a network are trained, the others stay as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from diffusion_studio.errors import OptionError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.run import RunFolder
from diffusion_studio.training.trainer import Trainer

PARTS = "up.0.stages,conv_out,time.0.bias"


def tuned(name: str) -> bool:
    return name.startswith(("up.0.stages.", "conv_out.")) or name == "time.0.bias"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_only_the_named_parts_move_and_the_file_holds_the_others_bit_for_bit(
    config, finish, tmp_path, optimizer
):
    finish(config(), tmp_path / "first")
    asked = config(
        start_from=str(tmp_path / "first/model.safetensors"),
        tune=PARTS,
        seed=5,
        optimizer=optimizer,
        weight_decay=0.1,
    )
    finish(asked, tmp_path / "second")
    before, after = (load_file(tmp_path / run / "model.safetensors") for run in ("first", "second"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if tuned(name)}


def test_a_tuned_run_that_is_resumed_is_the_one_that_never_stopped(config, finish, tmp_path):
    finish(config(), tmp_path / "first")
    asked = config(start_from=str(tmp_path / "first/model.safetensors"), tune=PARTS, cooldown=0.0)
    finish(replace(asked, images=16), tmp_path / "halves")
    finish(replace(asked, images=32), tmp_path / "halves", resume=True)
    finish(replace(asked, images=32), tmp_path / "whole")
    halves, whole = (load_file(tmp_path / run / "model.safetensors") for run in ("halves", "whole"))
    assert all(torch.equal(halves[name], value) for name, value in whole.items())


def test_a_part_that_the_network_has_not_is_refused_with_those_it_has(config, finish, tmp_path):
    finish(config(), tmp_path / "first")
    asked = config(
        start_from=str(tmp_path / "first/model.safetensors"), tune="up.0,conv"
    )  # not the beginning of conv_in
    with pytest.raises(OptionError, match="tune names 'conv', .*conv_in.weight, conv_out.bias"):
        Trainer(asked, RunFolder(tmp_path / "second"), torch.device("cpu"))


def test_tuning_needs_a_network_that_has_learnt():
    with pytest.raises(OptionError, match="Name the trained network's file in start_from"):
        TrainConfig(tune="up.0")
