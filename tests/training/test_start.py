"""How a run starts: pictures held out, captions in parts, weights of another run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.checkpoint.classifier import read_classifier
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.networks.tokens import SPECIAL
from diffusion_studio.training.captions import Captions, read_hold_out
from diffusion_studio.training.config import TrainConfig
from diffusion_studio.training.loop import train
from diffusion_studio.training.run import RunFolder
from diffusion_studio.training.trainer import Trainer

from .conftest import SMALL

PARTS = [("orc, half plate, green boots, long sword",), ("elf, robe",), ("dwarf",)]


def read_back(captions: Captions, tokens: torch.Tensor) -> list[str]:
    return [" ".join(captions.words[int(n) - SPECIAL] for n in row[1:, 0] if n) for row in tokens]


def test_short_prompts_are_made_of_a_captions_parts_in_their_order():
    captions = Captions(TrainConfig(part_dropout=0.5, text_dropout=0.0), PARTS)
    tokens, _ = captions(np.zeros(4000, np.int64), 0)
    whole = [part.strip() for part in PARTS[0][0].split(",")]
    seen = read_back(captions, tokens)
    kept = [[part.strip() for part in text.split(" , ")] for text in seen]
    assert all(parts == [part for part in whole if part in parts] for parts in kept)
    # half are whole, and of the other half a quarter each has 1, 2, 3 and all 4 parts
    shares = np.bincount([len(parts) for parts in kept], minlength=5)[1:] / 4000
    assert shares == pytest.approx([1 / 8, 1 / 8, 1 / 8, 5 / 8], abs=0.025)  # 3 standard deviations
    ones = [parts[0] for parts in kept if len(parts) == 1]
    assert min(ones.count(part) for part in whole) > 0.15 * len(ones)


def test_which_parts_are_read_depends_on_the_place_in_the_run_alone():
    captions = Captions(TrainConfig(part_dropout=0.7), PARTS)
    chosen = np.arange(60) % 3
    whole = read_back(captions, captions(chosen, 100)[0])
    halves = read_back(captions, captions(chosen[:24], 100)[0]) + read_back(
        captions, captions(chosen[24:], 124)[0]
    )
    assert whole == halves
    assert whole != read_back(captions, captions(chosen, 160)[0])


def test_a_list_of_captions_to_hold_out_must_hold_some(tmp_path):
    (tmp_path / "none.txt").write_text("\n\n")
    with pytest.raises(
        DataError, match="none.txt is empty. Write one or more parts of a caption in each line"
    ):
        read_hold_out(tmp_path / "none.txt")
    with pytest.raises(DataError, match="missing.txt cannot be read as a list of captions"):
        read_hold_out(tmp_path / "missing.txt")


def test_pictures_that_are_held_out_are_not_trained_on(tmp_path):
    captions = [
        "red square",
        "red square, large",
        "large, red square",
        "a red square",
        "blue, red",
        "red, blue",
    ]
    np.savez(tmp_path / "shapes.npz", images=np.zeros((6, 8, 8, 3), np.uint8), captions=np.array(captions))
    (tmp_path / "held.txt").write_text("Red  Square\nred, blue\n")
    config = TrainConfig(**SMALL, data=str(tmp_path / "shapes.npz"), hold_out=str(tmp_path / "held.txt"))
    trainer = Trainer(config, RunFolder(tmp_path / "run"), torch.device("cpu"))
    assert [texts[0] for texts in trainer.data.captions] == [
        "a red square",
        "blue, red",
    ]  # whole parts, in a row
    assert len(trainer.images) == 2


def test_holding_everything_out_or_from_pictures_without_captions_is_an_error(config, tmp_path):
    (tmp_path / "held.txt").write_text("red\n")
    with pytest.raises(OptionError, match="have no captions, so none can be held out"):
        Trainer(config(hold_out=str(tmp_path / "held.txt")), RunFolder(tmp_path / "run"), torch.device("cpu"))
    np.savez(
        tmp_path / "shapes.npz",
        images=np.zeros((2, 8, 8, 3), np.uint8),
        captions=np.array(["red", "red, big"]),
    )
    with pytest.raises(DataError, match="Hold fewer out"):
        Trainer(
            config(data=str(tmp_path / "shapes.npz"), hold_out=str(tmp_path / "held.txt")),
            RunFolder(tmp_path / "run"),
            torch.device("cpu"),
        )


# --- weights to start from


def test_a_run_starts_from_the_weights_of_a_model(config, finish, tmp_path):
    finish(config(), tmp_path / "first")
    kept = ds.load(tmp_path / "first/model.safetensors", device="cpu", precision="fp32")
    begun = Trainer(
        config(start_from=str(tmp_path / "first/model.safetensors"), seed=5),
        RunFolder(tmp_path / "second"),
        torch.device("cpu"),
    )
    mine = begun.network.state_dict()
    assert all(torch.equal(mine[name], value) for name, value in kept.network.state_dict().items())
    assert all(
        torch.equal(begun.emas[0].state[name], value) for name, value in kept.network.state_dict().items()
    )


def test_resuming_does_not_start_again_from_those_weights(config, finish, tmp_path):
    finish(config(), tmp_path / "first")
    asked = config(start_from=str(tmp_path / "first/model.safetensors"), images=16)
    finish(asked, tmp_path / "second")
    (tmp_path / "first/model.safetensors").unlink()
    *_, last = finish(replace(asked, images=32), tmp_path / "second", resume=True)
    assert last.seen == 32


def test_weights_of_another_network_are_refused_with_the_difference(config, finish, tmp_path):
    finish(config(), tmp_path / "first")
    with pytest.raises(
        OptionError, match="another network than this run: .*channels 8 there, 16 here.* leave start_from out"
    ):
        Trainer(
            config(start_from=str(tmp_path / "first/model.safetensors"), channels=16),
            RunFolder(tmp_path / "second"),
            torch.device("cpu"),
        )


def test_a_classifier_starts_from_a_classifier(config, finish, tmp_path):
    finish(config(kind="classifier"), tmp_path / "first")
    path = str(tmp_path / "first/classifier.safetensors")
    begun = Trainer(
        config(kind="classifier", start_from=path), RunFolder(tmp_path / "second"), torch.device("cpu")
    )
    kept = read_classifier(path)[1].state_dict()  # in the file's fp16
    assert all(torch.equal(begun.network.state_dict()[name], value.float()) for name, value in kept.items())
    with pytest.raises(OptionError, match="another network than this run"):
        Trainer(
            config(kind="classifier", start_from=path, channels=16),
            RunFolder(tmp_path / "third"),
            torch.device("cpu"),
        )


def test_a_held_out_list_that_moved_is_asked_for_when_a_run_resumes(tmp_path, monkeypatch):
    """A resumed run reads the list again; a relative path belongs to the folder in which the run was started."""
    np.savez(
        tmp_path / "shapes.npz", images=np.zeros((3, 8, 8, 3), np.uint8), captions=np.array(["a", "b", "c"])
    )
    (tmp_path / "held.txt").write_text("b\n")
    config = TrainConfig(**SMALL | {"images": 2}, data=str(tmp_path / "shapes.npz"), hold_out="held.txt")
    monkeypatch.chdir(tmp_path)
    list(train(config, "run", device="cpu", sample_every=0))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    more = replace(config, images=4)
    with pytest.raises(
        OptionError, match="there is no such file in .*name the file's new place with hold_out"
    ):
        train(more, "../run", device="cpu", resume=True)
    (tmp_path / "other" / "held.txt").write_text("c\n")  # another list of the same name
    with pytest.raises(DataError, match="The data differs from that of the run in"):
        train(more, "../run", device="cpu", resume=True)
    list(train(replace(more, hold_out="../held.txt"), "../run", device="cpu", resume=True, sample_every=0))
    assert RunFolder("../run").config().hold_out == "../held.txt"
