"""status.json: written whole, read strictly, and true of a run at each of its ends."""

from __future__ import annotations

import json

import pytest

from diffusion_studio.errors import DataError
from diffusion_studio.training import live
from diffusion_studio.training.config_file import train_config
from diffusion_studio.training.loop import train
from diffusion_studio.training.status import MOST_LOSSES, Reporter, Status


def points(**changes):
    return train_config(kind="points", data="swiss-roll", images=512, batch=64, **changes)


def test_it_is_read_as_it_was_written(tmp_path):
    status = Status("training", 10, 100, 0.5, 20.0, 4.5, time=1.0, losses=((5, 0.6), (10, 0.5)))
    status.write(tmp_path)
    assert Status.read(tmp_path) == status
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"state": "lost"}',
        '{"images": 3}',
        '{"state": "training", "images": "3"}',
        '{"state": "training", "loss": NaN}',
        '{"state": "training", "losses": [1]}',
        '{"state": "failed", "error": 3}',
    ],
)
def test_a_file_that_is_none_is_nothing(tmp_path, text):
    (tmp_path / "status.json").write_text(text, "utf-8")
    assert Status.read(tmp_path) is None


def test_a_finished_run(tmp_path):
    for step in train(points(), tmp_path / "run", device="cpu"):
        total = step.total
    found = Status.read(tmp_path / "run")
    assert (found.state, found.images, found.target, found.error) == ("finished", 512, total, None)


def test_a_stopped_and_a_resumed_run(tmp_path):
    steps = train(points(), tmp_path / "run", device="cpu")
    next(steps)
    found = Status.read(tmp_path / "run")
    assert (found.state, found.images) == ("training", 64) and found.rate > 0
    assert found.eta_s == pytest.approx((found.target - 64) / found.rate, abs=0.06)  # it is told in tenths
    steps.close()
    assert Status.read(tmp_path / "run").state == "stopped"
    for _ in train(points(), tmp_path / "run", device="cpu", resume=True):
        pass
    assert Status.read(tmp_path / "run").state == "finished"


def test_what_is_wrong_with_the_data_is_said_where_there_is_a_folder(tmp_path):
    config = train_config(data=str(tmp_path / "nothing"), images=64)
    with pytest.raises(DataError):
        train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError) as error:
        train(config, tmp_path / "run", device="cpu")
    found = Status.read(tmp_path / "run")
    assert (found.state, found.error) == ("failed", str(error.value))


def test_a_watched_run_of_points_tells_it_too(tmp_path):
    for _ in live.watched("swiss-roll", tmp_path / "run", 4, "roll"):
        pass
    found = json.loads((tmp_path / "run" / "status.json").read_text("utf-8"))
    assert found["state"] == "finished" and found["target"] == 4 * live.BATCH


def test_losses_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("diffusion_studio.training.status.EVERY", 0.0)
    report = Reporter(tmp_path, 10**6)
    for k in range(MOST_LOSSES + 10):
        report.training(k, 1.0, 1.0, 1.0)
    losses = Status.read(tmp_path).losses
    assert len(losses) == MOST_LOSSES and losses[-1][0] == MOST_LOSSES + 9
