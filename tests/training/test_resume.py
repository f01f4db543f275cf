"""A run that was stopped, killed or starved of disk, and went on, is the run that was not."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.errors import CheckpointError, DataError, OptionError
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.run import RunFolder

KILLS = int(
    os.environ.get("DIFFUSION_STUDIO_KILLS", 3)
)  # the twenty: DIFFUSION_STUDIO_KILLS=20 pytest ...
STEPS = 6 * KILLS  # a kill comes at most 3 steps, and what 60 ms bring, after a start

VARIANTS = {
    "eps": {},
    "x0": {"parametrization": "x0"},
    "v, min-snr": {"parametrization": "v", "min_snr": 5.0},
    "mean": {"parametrization": "mean"},
    "hybrid": {"objective": "hybrid"},
    "vlb by loss": {"objective": "vlb", "draw_t": "loss", "timesteps": 3, "images": 64},
    "parts, flips, averages": {"accumulate": 3, "flips": True, "ema_also": "0.5,0.99", "ema_export": 0.99},
    "shape, bf16": {"lr_shape": "cosine", "precision": "bf16", "channels_last": False},
    "classifier": {"kind": "classifier"},
    "muon": {"optimizer": "muon"},
    "muon, classifier": {"optimizer": "muon", "kind": "classifier", "channels_last": False},
    "edm": {"schedule": "edm"},
    "flow": {"schedule": "flow"},
    "vp, edm's weights": {"schedule": "vp", "weighting": "edm"},
}


def same(one, other) -> None:
    a, b = (load_file(path / "state.safetensors") for path in (one, other))
    assert a.keys() == b.keys() and any(name.startswith("exp_avg_sq.") for name in a)
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    name = next(path.name for path in one.glob("*.safetensors") if path.name != "state.safetensors")
    a, b = (load_file(path / name) for path in (one, other))
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_kind_of_run_resumes_bit_for_bit(config, finish, tmp_path, changes):
    given = config(**changes)
    whole = finish(given, tmp_path / "whole")
    losses = []
    for k, stop in enumerate([2, 5, None]):
        run = ds.train(given, tmp_path / "parts", device="cpu", resume=k > 0, sample_every=0)
        for step in run:
            losses.append(step.loss)
            if step.step == stop:
                run.close()
    assert losses == [step.loss for step in whole]
    same(tmp_path / "whole", tmp_path / "parts")


def test_the_loss_history_is_in_the_state_and_does_something(config, finish, tmp_path):
    given = config(objective="vlb", draw_t="loss", timesteps=3, images=160)
    steps = finish(given, tmp_path / "loss")
    state = load_file(tmp_path / "loss" / "state.safetensors")
    assert state["timesteps.counts"].sum() == 160 and (state["timesteps.counts"] >= 10).all()
    assert (state["timesteps.losses"] > 0).all()
    even = finish(config(objective="vlb", timesteps=3, images=160), tmp_path / "uniform")
    assert steps[0].loss != even[0].loss and steps[-1].loss != even[-1].loss


# --- another recipe


def test_a_resume_with_another_recipe_names_every_difference(config, finish, tmp_path):
    finish(config(images=4), tmp_path / "run")
    with pytest.raises(
        OptionError,
        match=r"only data, images, .* and ema_length may change\. Different \(kept -> asked for\): "
        r"objective: 'simple' -> 'hybrid'; lr: 0\.001 -> 0\.5\. Start a new run for these",
    ):
        finish(config(images=8, lr=0.5, objective="hybrid"), tmp_path / "run", resume=True)
    assert RunFolder(tmp_path / "run").config() == config(images=4)


def test_a_finished_run_can_come_with_other_settings(config, finish, tmp_path):
    given = config(label_dropout=0.1)
    finish(given, tmp_path / "run")
    before = ds.load(tmp_path / "run", "cpu")
    finish(replace(given, sample_steps=7, sample_guidance=3.0), tmp_path / "run", resume=True)
    after = ds.load(tmp_path / "run", "cpu")
    assert after.spec.defaults == {**before.spec.defaults, "steps": 7, "guidance": 3.0}
    kept, now = before.network.state_dict(), after.network.state_dict()
    assert all(torch.equal(kept[name], now[name]) for name in kept)


def test_another_average_can_be_exported_from_a_finished_run(config, finish, tmp_path):
    given = config(ema_also="0.2,0.99")
    finish(given, tmp_path / "run")
    state = load_file(tmp_path / "run" / "state.safetensors")
    for decay, key in ((0.0, "ema"), (0.2, "ema2"), (0.99, "ema3"), (0.9, "ema")):
        assert finish(config(ema_also="0.2,0.99", ema_export=decay), tmp_path / "run", resume=True) == []
        model = load_file(tmp_path / "run" / "model.safetensors")
        assert all(torch.equal(model[name], state[f"{key}.{name}"].half()) for name in model)
    assert not torch.equal(state["ema.conv_in.weight"], state["ema2.conv_in.weight"])
    assert "decay 0.9 per step" in (tmp_path / "run" / "card.md").read_text()


# --- a disk that is full


def test_a_state_that_does_not_fit_on_the_disk(config, tmp_path, monkeypatch):
    out = tmp_path / "run"
    run = ds.train(config(), out, device="cpu", sample_every=0, save_every=4)
    next(run), next(run)
    kept = (out / "state.safetensors").read_bytes()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(
        CheckpointError,
        match=r"run has 1\.0 MB free, and a checkpoint of this run takes .* MB\. The "
        r"checkpoint before it is whole; free space and go on with --resume .*run",
    ):
        next(run)
    assert (out / "state.safetensors").read_bytes() == kept
    monkeypatch.undo()
    list(ds.train(config(), out, device="cpu", resume=True, sample_every=0))
    list(ds.train(config(), tmp_path / "whole", device="cpu", sample_every=0))
    same(out, tmp_path / "whole")


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs /dev/full, where every write says that the disk is full"
)
def test_a_log_on_a_full_disk(config, finish, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(config())
    folder.log_path.symlink_to("/dev/full")
    with pytest.raises(
        DataError, match="log.csv cannot be written .No space left on device.. The last checkpoint is in"
    ):
        folder.log(step=1, seen=1, loss=1.0, lr=1.0, rate=1.0)


@pytest.fixture
def small_disk(tmp_path):
    """Factory: `small_disk("3m")` -> a folder that is a file system of its own and of this size."""
    mounted = []

    def make(size: str):
        place = tmp_path / "disk"
        place.mkdir()
        done = (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
            )
            if shutil.which("mount")
            else None
        )
        if done is None or done.returncode:
            pytest.skip("needs to be allowed to mount a tmpfs")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_with_one_megabyte_left_is_told_before_any_work(config, small_disk, capsys):
    disk, given = small_disk("1m"), config()
    code = main(["train", *shlex.split(given.command(disk / "run"))[2:], "--device", "cpu"])
    said = capsys.readouterr().err
    assert code == 2 and "has 1.0 MB free, and a checkpoint of this run takes 1." in said
    assert "Nothing was saved yet; free space and start again, or give another folder." in said
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_run_goes_on(
    config, finish, small_disk, tmp_path
):
    given, out = config(), small_disk("4m") / "run"
    run = ds.train(given, out, device="cpu", sample_every=0, save_every=4)
    next(run), next(run)  # one checkpoint is there
    before = {path.name: path.read_bytes() for path in out.glob("*.safetensors")}
    (out.parent / "filler").write_bytes(bytes(shutil.disk_usage(out).free - 10**6))
    with pytest.raises(
        CheckpointError,
        match="has 1.0 MB free, .* The checkpoint before it is whole; free space and go on with",
    ):
        next(run)
    assert {path.name: path.read_bytes() for path in out.glob("*.safetensors")} == before
    assert not list(out.rglob("*.partial")) and ds.load(out, "cpu").spec.provenance["images_seen"] == 4
    with pytest.raises(CheckpointError, match="has 1.0 MB free"):
        ds.train(given, out, device="cpu", resume=True)
    (out.parent / "filler").unlink()
    finish(given, out, resume=True)
    finish(given, tmp_path / "whole")
    same(out, tmp_path / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_write_that_breaks_off_keeps_the_last_checkpoint(config, finish, tmp_path):
    """No file may grow beyond 100 kB any more: the system ends the write in the middle, as it does on a
    full disk.
    """
    import resource

    given, out = config(), tmp_path / "run"
    run = ds.train(given, out, device="cpu", sample_every=0, save_every=4)
    next(run), next(run)
    before = {path.name: path.read_bytes() for path in out.glob("*.safetensors")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (100_000, hard)
        )  # Python ignores the signal; writing is an error
        with pytest.raises(
            CheckpointError,
            match="state.safetensors cannot be written .*. Free space there, or choose another",
        ):
            next(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in out.glob("*.safetensors")} == before
    assert not list(out.rglob("*.partial"))
    finish(given, out, resume=True)
    finish(given, tmp_path / "whole")
    same(out, tmp_path / "whole")


@pytest.mark.parametrize(
    "left, wanted",
    [
        ("", ""),
        ("step,se", ""),
        ("step,loss\n", "step,loss\n"),
        ("step,loss\n1,2.0\n2,3.0\n3,4.", "step,loss\n1,2.0\n2,3.0\n"),
        ("step,loss\n1,2.0\n3,3.0\n", "step,loss\n1,2.0\n"),
    ],
    ids=repr,
)
def test_a_log_that_broke_off_anywhere_is_mended(tmp_path, left, wanted):
    folder = RunFolder(tmp_path)
    folder.log_path.write_text(left)
    folder.trim_log(2)
    assert folder.log_path.read_text() == wanted
    folder.log(step=3, loss=5.0)
    assert folder.log_path.read_text() == (wanted or "step,loss\n") + "3,5.0\n"


# --- kill -9


def _logged_steps(out) -> int:
    """How far the run's log is, which may be a line further than its state."""
    path = out / "log.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def _child(settings: dict, out: str, resume: bool) -> None:
    """In another process: train, save after every step."""
    torch.set_num_threads(1)
    for _ in ds.train(
        TrainConfig(**settings), out, device="cpu", resume=resume, sample_every=0, save_every=1
    ):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks and kills")
def test_killed_at_random_moments_and_resumed_it_is_the_uninterrupted_run(
    config, finish, tmp_path, monkeypatch
):
    """As often as KILLS says. The moment falls into a step, a write of the state or of the model, or the
    start.
    """
    monkeypatch.setattr("diffusion_studio.training.loop.LOG_EVERY", 1)
    given = config(
        images=4 * STEPS,
        objective="hybrid",
        draw_t="loss",
        timesteps=5,
        accumulate=2,
        flips=True,
        ema_also="0.5",
    )
    finish(given, tmp_path / "whole")
    context = multiprocessing.get_context("fork")  # torch is loaded, and no thread of it runs
    out, chance, killed = tmp_path / "parts", random.Random(), 0
    while True:
        child = context.Process(target=_child, args=(vars(given), str(out), (out / "config.json").exists()))
        aim = _logged_steps(out) + chance.randint(0, 3)
        child.start()
        while killed < KILLS and child.is_alive() and _logged_steps(out) < aim:
            time.sleep(0.005)
        if killed < KILLS:
            child.join(chance.uniform(0, 0.06))
            os.kill(child.pid, signal.SIGKILL)
            killed += 1
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
    assert killed == KILLS
    same(tmp_path / "whole", out)
    rows = [
        [(row["step"], row["loss"], row["lr"]) for row in csv.DictReader((path / "log.csv").open())]
        for path in (tmp_path / "whole", out)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == STEPS


def test_accumulation_changes_nothing_but_rounding(config, finish, tmp_path):
    one, parts = (finish(config(dropout=0.0, accumulate=k), tmp_path / str(k)) for k in (1, 3))
    np.testing.assert_allclose([s.loss for s in one], [s.loss for s in parts], rtol=1e-5)
    a, b = (load_file(tmp_path / k / "state.safetensors") for k in "13")
    assert all((a[name] - b[name]).abs().max() < 1e-4 for name in a if name.startswith("network."))
