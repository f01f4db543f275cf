"""A tiny data set, runs of a few steps on it, and tables of word vectors."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.training.config import TrainConfig

SMALL = {
    "size": 8,
    "channels": 8,
    "multipliers": "1,2",
    "attention": "4",
    "heads": 2,
    "norm_groups": 4,
    "images": 32,
    "batch": 4,
    "warmup": 3,
    "timesteps": 20,
    "precision": "fp32",
    "dropout": 0.1,
    "ema": 0.9,
}


@pytest.fixture
def pictures(tmp_path):
    """Eleven grey 8x8 pictures of three classes in an npz: eleven, so that epochs do not end with a batch."""
    path = tmp_path / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (11, 8, 8), np.uint8)
    np.savez(path, images=images, labels=np.arange(11) % 3)
    return path


@pytest.fixture
def table():
    """`table(path, words, vectors)` -> that path, where there is now such a table of word vectors, for
    `text_vectors`.
    """

    def make(path, words, vectors) -> str:
        np.savez(path, words=np.array(words), vectors=vectors)
        return str(path)

    return make


@pytest.fixture
def config(pictures):
    """Factory: a run of a few steps on those pictures."""

    def make(**changes) -> TrainConfig:
        return TrainConfig(**{"data": str(pictures), **SMALL, **changes})

    return make


@pytest.fixture
def finish():
    """`finish(config, out, **options)` -> all TrainSteps of a run on the CPU, without sample sheets on the
    way.
    """

    def run(config, out, **options) -> list[ds.TrainStep]:
        return list(ds.train(config, out, device="cpu", **{"sample_every": 0, **options}))

    return run


def _process(rank: int, size: int, port: int, settings: dict, out: str, report: str, options: dict) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    stop_at = options.pop("stop_at", None)
    now = [0]
    steps = []
    # asked by the last process alone, as a signal that reaches one of them first would
    run = ds.train(
        TrainConfig(**settings),
        out,
        device="cpu",
        sample_every=0,
        save_every=8,
        asked=lambda: rank == size - 1 and now[0] == stop_at,
        **options,
    )
    for step in run:
        now[0] = step.step
        steps.append([step.loss, step.stop])
        if step.stop:
            run.close()
    with open(f"{report}-{rank}.json", "w") as file:
        json.dump(steps, file)


@pytest.fixture
def together(tmp_path):
    """`together(size, config, out, **options)` -> every process's list of [loss, stop]."""

    def run(size, config, out, **options) -> list[list]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        context = multiprocessing.get_context("fork")
        report = str(tmp_path / "report")
        children = [
            context.Process(
                target=_process, args=(rank, size, port, vars(config), str(out), report, dict(options))
            )
            for rank in range(size)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
        assert [child.exitcode for child in children] == [0] * size
        return [json.load(open(f"{report}-{rank}.json")) for rank in range(size)]

    return run
