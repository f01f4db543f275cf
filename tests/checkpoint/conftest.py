"""Other programs' checkpoints with weights by formula, as those programs save them."""

from __future__ import annotations

import importlib.util
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))  # in importlib mode pytest does not

import score_cases

_FOUND = importlib.util.spec_from_file_location(
    "make_reader_golden", Path(__file__).with_name("make_golden.py")
)
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)
STORED = {layout: np.load(golden.HERE / f"golden_{layout}.npz") for layout in golden.LAYOUTS}


def outputs(model, name: str, stored) -> float:
    """The largest |difference| from the original's outputs at any of the timesteps."""
    x = torch.from_numpy(golden.normal("x", golden.BATCH, model.spec.channels, golden.SIZE, golden.SIZE))
    label = torch.tensor(golden.LABELS) if model.spec.labels else None
    worst = 0.0
    for t in golden.TIMES:
        with torch.no_grad():
            # OpenAI's network is called with what its process feeds it; ours does that itself
            found = model.network(x, torch.full((golden.BATCH,), t / model.spec.network.time_scale), label)
        worst = max(worst, float(np.abs(found.numpy() - stored[f"{name}.t{t:g}"]).max()))
    return worst


def _written(
    folder: Path, kept: dict, weights_of, layout: str, name: str, configured: bool, rename=lambda key: key
) -> Path:
    """A network's weights, and beside them what its original program leaves there."""
    given = json.loads(zlib.decompress(kept[layout][f"{name}.about"].tobytes()))
    folder.mkdir(exist_ok=True)
    state = {rename(key): torch.from_numpy(value) for key, value in weights_of(given["shapes"]).items()}
    save_file(state, folder / "diffusion_pytorch_model.safetensors")
    if configured:
        for key, file in (
            ("config", "config.json"),
            ("scheduler", "scheduler_config.json"),
            ("flags", "args.json"),
        ):
            if key in given:
                (folder / file).write_text(json.dumps(given[key]), "utf-8")
    return folder


@pytest.fixture
def saved(tmp_path):
    """Factory: a folder as the original program leaves it; `configured=False` gives the weights alone."""

    def make(layout: str, name: str, configured: bool = True, rename=lambda key: key) -> Path:
        return _written(tmp_path / name, STORED, golden.formula_weights, layout, name, configured, rename)

    return make


@pytest.fixture
def stored(tmp_path):
    """Factory: the same for the networks of make_golden_scores.py."""

    def make(layout: str, name: str, configured: bool = True) -> Path:
        return _written(
            tmp_path / (name if configured else f"bare-{name}"),
            score_cases.STORED,
            score_cases.golden.formula_weights,
            layout,
            name,
            configured,
        )

    return make


_MORE = importlib.util.spec_from_file_location(
    "make_small_golden", Path(__file__).with_name("make_golden_small.py")
)
small = importlib.util.module_from_spec(_MORE)
_MORE.loader.exec_module(small)
SMALL = {layout: np.load(small.HERE / f"golden_{layout}.npz") for layout in small.LAYOUTS}


class Kept:
    """One case of make_golden_small.py: what the origin said and computed."""

    def __init__(self, layout: str, name: str) -> None:
        stored = SMALL[layout]
        self.layout, self.name = layout, name
        self.about = json.loads(zlib.decompress(stored[f"{name}.about"].tobytes()))
        self.arrays = {
            key.removeprefix(f"{name}."): stored[key]
            for key in stored
            if key.startswith(f"{name}.") and ".about" not in key
        }

    def state(self, wrapper: str = "") -> dict[str, torch.Tensor]:
        """The whole process's state dict: the network's weights under their prefix, and the buffers around
        them.
        """
        found = {
            wrapper + self.about["prefix"] + key: torch.from_numpy(value)
            for key, value in small.formula_weights(self.about["shapes"]).items()
        }
        return found | {
            f"{wrapper}{key.removeprefix('buffer.')}": torch.from_numpy(value.copy())
            for key, value in self.arrays.items()
            if key.startswith("buffer.")
        }

    def folder(self, at: Path, configured: bool = True) -> Path:
        """A folder with the weights, and args.json where something has to be said."""
        at = at / f"{self.layout}-{self.name}{'' if configured else '-bare'}"
        at.mkdir(exist_ok=True)
        save_file(self.state(), at / "model.safetensors")
        if configured and self.about["flags"]:
            (at / "args.json").write_text(json.dumps(self.about["flags"]), "utf-8")
        return at


@pytest.fixture
def kept():
    """`kept(layout, name)`: one case of the five layouts of make_golden_small.py."""
    return Kept
