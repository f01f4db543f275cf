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

sys.path.insert(0, str(Path(__file__).parent))              # in importlib mode pytest does not
_FOUND = importlib.util.spec_from_file_location("make_reader_golden", Path(__file__).with_name("make_golden.py"))
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)
STORED = {layout: np.load(golden.HERE / f"golden_{layout}.npz") for layout in golden.LAYOUTS}


@pytest.fixture
def saved(tmp_path):
    """Factory: a folder as the original program leaves it; `configured=False` gives the weights alone."""
    def make(layout: str, name: str, configured: bool = True, rename=lambda key: key) -> Path:
        given = json.loads(zlib.decompress(STORED[layout][f"{name}.about"].tobytes()))
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        state = {rename(key): torch.from_numpy(value) for key, value in golden.formula_weights(given["shapes"]).items()}
        save_file(state, folder / "diffusion_pytorch_model.safetensors")
        if configured:
            for key, file in (("config", "config.json"), ("scheduler", "scheduler_config.json"), ("flags", "args.json")):
                if key in given:
                    (folder / file).write_text(json.dumps(given[key]), "utf-8")
        return folder
    return make
