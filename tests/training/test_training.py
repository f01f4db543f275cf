"""The loop, and that a resumed run is the run that was never stopped."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.errors import CheckpointError, OptionError, StudioError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.ema import EMA
from diffusion_studio.training.run import Progress, RunFolder
from diffusion_studio.training.trainer import Trainer

CPU = torch.device("cpu")


def finish(config, out, **options) -> list[ds.TrainStep]:
    return list(ds.train(config, out, device="cpu", **options))


# --- the loop


@pytest.mark.slow
def test_it_overfits_one_batch(config, pictures):
    np.savez(pictures, images=np.random.default_rng(1).integers(0, 256, (2, 8, 8), np.uint8))
    steps = finish(
        config(images=320, batch=8, lr=1e-2, dropout=0.0, warmup=5, parametrization="x0"),
        pictures.parent / "run",
        sample_every=0,
    )
    losses = [step.loss for step in steps]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:3]), losses


def test_steps_files_and_the_model_that_comes_out(config, tmp_path):
    given, out = config(images=400, batch=4, timesteps=5), tmp_path / "my run"
    steps = finish(given, out, sample_every=300, save_every=150)
    assert [step.step for step in steps] == list(range(1, 101))
    assert [step.seen for step in steps] == list(range(4, 401, 4)) and {step.total for step in steps} == {400}
    assert [step.lr for step in steps] == [given.learning_rate(4 * k) for k in range(100)]
    assert all(math.isfinite(step.loss) and step.rate > 0 for step in steps) and steps[-1].left == 0
    assert TrainConfig.from_json((out / "config.json").read_text()) == given
    assert sorted(path.name for path in out.iterdir()) == [
        "card.md",
        "config.json",
        "data.json",
        "log.csv",
        "loss.png",
        "model.safetensors",
        "samples",
        "state.safetensors",
        "status.json",
    ]
    assert sorted(path.name for path in (out / "samples").iterdir()) == ["000000300.png", "final.png"]
    with Image.open(out / "samples" / "final.png") as sheet:
        assert sheet.size == (3 * 8, 4 * 8) and sheet.mode == "L"

    with (out / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["step"]), int(row["seen"])) for row in rows] == [(k, 4 * k) for k in range(2, 101, 2)]
    assert float(rows[24]["loss"]) == pytest.approx(np.mean([step.loss for step in steps[:50]]), abs=1e-5)

    model = ds.load(out, "cpu", "fp32")
    assert model.spec.name == "my run" and model.spec.labels == ("0", "1", "2") and model.spec.image_size == 8
    assert model.spec.provenance["images_seen"] == 400
    ema = load_file(out / "state.safetensors")
    for name, tensor in model.network.state_dict().items():
        # fp16 in the file
        assert (tensor - ema[f"ema.{name}"]).abs().max() < 1e-3 * max(1, ema[f"ema.{name}"].abs().max())
    p = model.denoiser("1")(torch.randn(2, 1, 8, 8), model.schedule.level(4))
    assert p.x0.isfinite().all() and p.x0.shape == (2, 1, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("most, steps, every", [(50, 8, 1), (50, 262, 5), (3, 262, 3)])
def test_a_run_logs_every_fiftieth_of_it_and_its_last_step(config, tmp_path, monkeypatch, most, steps, every):
    monkeypatch.setattr("diffusion_studio.training.loop.LOG_EVERY", most)
    told = finish(config(images=4 * steps), tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == sorted({*range(every, steps, every), steps})
    assert int(rows[-1]["seen"]) == told[-1].seen == 4 * steps
    assert float(rows[-1]["loss"]) == pytest.approx(np.mean([step.loss for step in told[-200:]]), abs=1e-5)


@pytest.mark.parametrize("stop_at", [[3], [1, 2, 7]], ids=str)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param(
            {"resample": "residual", "conditioning": "add", "label_dropout": 0.0}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(config, tmp_path, stop_at, changes):
    """Weights, averages, moments and losses; through epochs' ends, dropout and label dropout."""
    given = config(**changes)
    whole = finish(given, tmp_path / "whole", sample_every=0)
    losses = []
    for k, stop in enumerate([*stop_at, None]):
        run = ds.train(given, tmp_path / "parts", device="cpu", resume=k > 0, sample_every=0)
        for step in run:
            losses.append(step.loss)
            if step.step == stop:
                run.close()
    assert losses == [step.loss for step in whole]
    a, b = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    assert (
        a.keys() == b.keys()
        and any(name.startswith("exp_avg_sq.") for name in a)
        and any(name.startswith("ema.") for name in a)
    )
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_the_seed_decides_and_the_callers_random_state_does_not(config, tmp_path):
    torch.manual_seed(1)
    first = finish(config(images=12), tmp_path / "a", sample_every=0)
    torch.manual_seed(2)
    assert [s.loss for s in finish(config(images=12), tmp_path / "b", sample_every=0)] == [
        s.loss for s in first
    ]
    assert [s.loss for s in finish(config(images=12, seed=1), tmp_path / "c", sample_every=0)] != [
        s.loss for s in first
    ]


def test_every_epoch_sees_each_picture_once(config, tmp_path):
    """Eleven pictures, batches of four: 44 images are four epochs."""

    folder = RunFolder(tmp_path / "run")
    folder.create(config())
    trainer = Trainer(config(), folder, CPU, compile=False)
    seen = torch.cat([trainer._batch(4 * k)[0] for k in range(11)])
    everything = from_uint8(trainer.images)
    index = [int((everything == picture).flatten(1).all(1).nonzero()) for picture in seen]
    epochs = [index[11 * k : 11 * (k + 1)] for k in range(4)]
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    x0, label = trainer._batch(20)  # a batch is the function of what was seen before
    assert torch.equal(x0, seen[20:24]) and label.tolist() == [i % 3 for i in index[20:24]]


def test_a_resumed_run_keeps_its_configuration_but_may_grow(config, tmp_path):
    finish(config(), tmp_path / "run", sample_every=0)
    with pytest.raises(
        OptionError,
        match=r"only data, images, .* and ema_length may change. Different .*: lr: 0.001 -> 0.5. Start",
    ):
        finish(config(lr=0.5), tmp_path / "run", resume=True)
    assert RunFolder(tmp_path / "run").config() == config()
    more = finish(config(images=40), tmp_path / "run", resume=True, sample_every=0)
    assert [step.step for step in more] == [9, 10]
    assert RunFolder(tmp_path / "run").config() == config(images=40)


def test_resuming_a_finished_run_changes_nothing(config, tmp_path):
    finish(config(), tmp_path / "run", sample_every=0)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert finish(config(), tmp_path / "run", resume=True) == []
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_new_run_never_writes_over_another(config, tmp_path):
    finish(config(images=4), tmp_path / "run", sample_every=0)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    with pytest.raises(
        OptionError,
        match="already holds a training run. Continue it with --resume .*run, or give another folder",
    ):
        finish(config(), tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_nothing_to_resume(config, tmp_path):
    with pytest.raises(OptionError, match=r"holds no training run \(no config.json\). Start one with --out"):
        finish(config(), tmp_path / "run", resume=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"lerning": 1}'])
def test_a_damaged_configuration(config, tmp_path, text):
    finish(config(images=4), tmp_path / "run", sample_every=0)
    (tmp_path / "run" / "config.json").write_text(text)
    with pytest.raises(OptionError):
        finish(config(images=4), tmp_path / "run", resume=True)


@pytest.mark.parametrize("spoil", [lambda whole: whole[:100], lambda whole: b"", lambda whole: whole[:-5]])
def test_a_damaged_state(config, tmp_path, spoil):
    finish(config(images=4), tmp_path / "run", sample_every=0)
    path = tmp_path / "run" / "state.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(
        CheckpointError, match="state.safetensors is damaged .*; the run cannot be resumed from it"
    ):
        finish(config(), tmp_path / "run", resume=True)


def test_a_state_of_another_network(config, tmp_path):
    finish(config(images=4), tmp_path / "run", sample_every=0)
    state = load_file(tmp_path / "run" / "state.safetensors")
    state.pop("network.conv_in.weight")
    RunFolder(tmp_path / "run").save_state(state, Progress(1, 4, 1.0))
    with pytest.raises(CheckpointError, match="state.safetensors"):
        finish(config(images=4 * 4), tmp_path / "run", resume=True)


def test_weights_that_are_no_numbers_are_never_saved(config, tmp_path):
    """An update that overflows leaves a finite loss behind it; what is on disk stays the last good state."""
    given, out = config(images=16), tmp_path / "run"
    run = ds.train(given, out, device="cpu", sample_every=0, save_every=4)
    next(run), next(run)
    before = {name: (out / name).read_bytes() for name in ("state.safetensors", "model.safetensors")}
    trainer = run.gi_frame.f_locals["trainer"]
    with torch.no_grad():
        trainer.network.conv_out.bias.fill_(math.inf)
    with pytest.raises(
        StudioError,
        match="A weight is no finite number after 2 steps, although the loss was finite. What was",
    ):
        run.send(None)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert [step.step for step in ds.train(given, out, device="cpu", resume=True, sample_every=0)] == [
        2,
        3,
        4,
    ]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(config, tmp_path):
    """A weight made NaN between two sessions: nothing on disk is replaced."""
    given, out = config(images=16), tmp_path / "run"
    run = ds.train(given, out, device="cpu", sample_every=0)
    next(run), next(run)
    run.close()
    state = load_file(out / "state.safetensors")
    state["network.conv_out.bias"] = state["network.conv_out.bias"] * math.nan
    save_file(
        state,
        out / "state.safetensors",
        metadata={"progress": json.dumps({"step": 2, "seen": 8, "seconds": 1.0})},
    )
    before = {name: (out / name).read_bytes() for name in ("state.safetensors", "model.safetensors")}
    with pytest.raises(
        StudioError,
        match=r"The loss became nan at step 2. What was saved before it is in .*lower learning rate than "
        r"0.001",
    ):
        finish(given, out, resume=True)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert (
        ds.load(out, "cpu", "fp32")
        .denoiser()(torch.zeros(1, 1, 8, 8), Linear(timesteps=20).level(3))
        .x0.isfinite()
        .all()
    )


def test_a_run_that_is_closed_or_fails_is_saved(config, tmp_path):
    run = ds.train(config(), tmp_path / "closed", device="cpu", sample_every=0)
    next(run)
    run.close()
    assert RunFolder(tmp_path / "closed").load_state()[1].step == 1
    run = ds.train(config(), tmp_path / "thrown", device="cpu", sample_every=0)
    next(run), next(run)
    with pytest.raises(KeyboardInterrupt):
        run.throw(KeyboardInterrupt)
    assert RunFolder(tmp_path / "thrown").load_state()[1].step == 2
    assert ds.load(tmp_path / "thrown").spec.name == "thrown"


@pytest.mark.parametrize("where", ["optimizer.step", "ema.update"])
def test_an_interrupt_inside_an_update_saves_no_torn_state(config, tmp_path, monkeypatch, where):
    out = tmp_path / "run"
    owner = torch.optim.AdamW if where == "optimizer.step" else EMA
    run = ds.train(config(), out, device="cpu", sample_every=0, save_every=4)
    next(run), next(run), next(run)
    kept = RunFolder(out).load_state()[1].step

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, where.partition(".")[2], interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    monkeypatch.undo()
    assert RunFolder(out).load_state()[1].step in (kept, 3) and kept >= 2
    finish(config(), out, resume=True)
    finish(config(), tmp_path / "whole")
    one, other = (load_file(tmp_path / name / "state.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_run_logs_no_step_twice(config, tmp_path):
    out = tmp_path / "run"
    run = ds.train(config(), out, device="cpu", sample_every=0, save_every=8)
    for _ in range(5):
        next(run)
    state = (out / "state.safetensors").read_bytes()  # as saved after step 4
    run.close()
    (out / "state.safetensors").write_bytes(state)
    with (out / "log.csv").open("a") as log:
        log.write("99")  # a row that the kill cut short
    finish(config(), out, resume=True)
    steps = [int(row["step"]) for row in csv.DictReader((out / "log.csv").open())]
    assert steps == list(range(1, 9)) and b"\r" not in (out / "log.csv").read_bytes()
