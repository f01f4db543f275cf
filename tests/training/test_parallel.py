"""Several processes at one run: the same global batch, the same losses, one writer."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.training import parallel
from diffusion_studio.training.parallel import World

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks")


VARIANTS = {
    "simple, odd batch": {"batch": 5, "images": 40},
    "by loss, in parts": {
        "objective": "hybrid",
        "draw_t": "loss",
        "timesteps": 2,
        "accumulate": 2,
        "flips": True,
        "images": 48,
    },
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_two_processes_give_the_losses_of_one(config, finish, together, tmp_path, changes):
    given = config(dropout=0.0, **changes)  # a process draws dropout's masks of its own
    alone = [step.loss for step in finish(given, tmp_path / "one")]
    two = together(2, given, tmp_path / "two")
    assert two[0] == two[1] and len(two[0]) == len(alone)
    np.testing.assert_allclose([loss for loss, _ in two[0]], alone, rtol=2e-5)
    a, b = (load_file(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys()
    assert all((a[name] - b[name]).abs().max() < 2e-4 for name in a if name.startswith(("network.", "ema.")))
    # once, not once for each process; the card says how many there were
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(
        p.name for p in (tmp_path / "two").iterdir()
    )
    assert ds.load(tmp_path / "two", "cpu").spec.provenance["hardware"].endswith(", 2 processes")


@pytest.mark.slow
@linux
def test_asked_to_stop_by_one_process_all_stop_at_the_same_step_and_resume(
    config, finish, together, tmp_path
):
    given, out = config(dropout=0.0), tmp_path / "two"
    first = together(2, given, out, stop_at=2)
    assert [len(steps) for steps in first] == [3, 3] and first[0][-1][1] is True
    rest = together(2, given, out, resume=True)
    alone = [step.loss for step in finish(given, tmp_path / "one")]
    np.testing.assert_allclose([loss for loss, _ in first[0] + rest[0]], alone, rtol=2e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_shares_are_the_whole_in_order_and_even(size, count):
    shares = [World(rank, size).share(count) for rank in range(size)]
    assert [k for share in shares for k in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_there_is_nothing_to_join(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    world = parallel.join(torch.device("cpu"))
    assert world == World() and world.first
    tensor = torch.ones(3)
    assert world.add(tensor) is tensor and world.gather(tensor, 3) is tensor
    world.wait(), world.leave()


def test_devices_of_processes(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert parallel.local_device("cpu") == "cpu" and parallel.local_device("cuda:0") == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert parallel.local_device("auto") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        OptionError, match="Process 1 of this machine has no CUDA device of its own; there are 1"
    ):
        parallel.local_device("auto")
    monkeypatch.setenv("RANK", "0"), monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        OptionError, match="Several processes compute on cpu or cuda, not on mps. Set device to cpu"
    ):
        parallel.join(torch.device("mps"))


@pytest.mark.slow
def test_the_command_line_under_torchrun(config, finish, tmp_path):
    given = config(dropout=0.0)
    finish(given, tmp_path / "one")
    words = given.command(tmp_path / "two").split()[1:]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "-m",
            "diffusion_studio",
            *words,
            "--device",
            "cpu",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "two" / "model.safetensors")
    a, b = (load_file(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    assert all((a[name] - b[name]).abs().max() < 2e-4 for name in a if name.startswith(("network.", "ema.")))
