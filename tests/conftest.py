"""Fixtures that several rooms share: tiny random models, as specs, in memory and on disk; the scripts that
measure.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.models.model import Model
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet

sys.path.insert(0, str(Path(__file__).parent))  # in importlib mode pytest does not
torch.set_num_threads(1)  # networks this small only wait for each other's threads, the more so under load

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"


def _network(**changes) -> UNetConfig:
    return UNetConfig(
        **{
            "in_channels": 1,
            "out_channels": 1,
            "channels": 8,
            "multipliers": (1, 2),
            "blocks": 1,
            "heads": 2,
            "norm_groups": 4,
            "classes": 3,
            "null_class": True,
            **changes,
        }
    )


def _spec(network: dict | None = None, **changes) -> ModelSpec:
    config = _network(**(network or {}))
    labels = ("Cat", "Dog", "Ankle boot", *(f"class {k}" for k in range(3, config.classes or 0)))[
        : config.classes or 0
    ]
    return ModelSpec(
        **{
            "name": "tiny",
            "network": config,
            "schedule": Linear(timesteps=100),
            "image_size": 8,
            "channels": config.in_channels,
            "labels": labels,
            **changes,
        }
    )


def _random_unet(config: UNetConfig, seed: int = 0) -> UNet:
    """A network with every weight random: the layers that start at zero would hide the others."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet(config).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return network


@pytest.fixture(scope="session")
def tiny_spec():
    """Factory: `tiny_spec(network={...}, **fields)` -> a ModelSpec for grey 8x8 pictures of 3 classes and
    any.
    """
    return _spec


@pytest.fixture(scope="session")
def random_unet():
    """Factory: `random_unet(config, seed=0)` -> a UNet in evaluation mode, no weight of it zero."""
    return _random_unet


@pytest.fixture(scope="session")
def tiny_model():
    """Factory: `tiny_model(dtype=torch.float64, **as tiny_spec)` -> a Model on the CPU."""

    def make(dtype: torch.dtype = torch.float64, **changes) -> Model:
        spec = _spec(**changes)
        return Model(spec, _random_unet(spec.network), torch.device("cpu"), dtype)

    return make


@pytest.fixture(scope="session")
def checkpoint_writer():
    """Factory: `checkpoint_writer(folder)` -> a function `write(name="tiny", dtype=torch.float32, **as
    tiny_spec)` that writes FOLDER/NAME/model.safetensors.
    """

    def writer(folder: Path):
        def write(name: str = "tiny", dtype: torch.dtype = torch.float32, **changes) -> Path:
            spec = _spec(**{"name": name, **changes})
            path = folder / name / "model.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write(path, spec, _random_unet(spec.network).state_dict(), dtype)
            return path

        return write

    return writer


@pytest.fixture
def write_checkpoint(tmp_path, checkpoint_writer):
    """The function of `checkpoint_writer` for tmp_path/checkpoints."""
    return checkpoint_writer(tmp_path / "checkpoints")


@pytest.fixture
def overflowing(write_checkpoint):
    """Factory: `overflowing(name, **as write_checkpoint)` -> the file of a model whose answer is no number
    where t < 64.

    What the embedding of t holds there, 2e38 cos(t / 100) + 1.8e38 cos(t / 1000), is more than float32 can.
    """

    def make(name: str, **changes) -> Path:
        path = write_checkpoint(name, **changes)
        kept = checkpoint.read(path)
        state = kept.network.state_dict()
        state["time.0.weight"].zero_()
        state["time.0.weight"][0, 2:4] = torch.tensor([2e38, 1.8e38])
        state["time.2.weight"][:, 0] = 1e-38
        checkpoint.write(path, kept.spec, state, torch.float32)
        return path

    return make


@pytest.fixture
def tiny_checkpoint(write_checkpoint) -> Path:
    """A class-conditional 8x8 model with random weights at tmp_path/checkpoints/tiny/model.safetensors."""
    return write_checkpoint()


@pytest.fixture(scope="module")
def script():
    """Factory: the module of a script's name. The scripts import each other by bare names, from their own
    folder.
    """
    sys.path.insert(0, str(BENCHMARKS))
    before = set(sys.modules)

    def make(name: str):
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    yield make
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture(scope="session")
def run_async():
    """Runs a coroutine to its end, in a thread of its own: a browser of another test holds a loop in this one."""

    def run(coroutine):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, coroutine).result()

    return run
