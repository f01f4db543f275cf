"""Our U-Net against the outputs of diffusers' UNet2DModel with the same weights. See make_golden.py for
their origin.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet

_FOUND = importlib.util.spec_from_file_location("make_golden", Path(__file__).with_name("make_golden.py"))
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)


@pytest.mark.parametrize("dtype, most", [(torch.float64, 1e-12), (torch.float32, 3e-5)], ids=["fp64", "fp32"])
@pytest.mark.parametrize("name", golden.CASES)
def test_output_is_that_of_diffusers(name, dtype, most):
    """Measured when made: at most 8e-15 in float64 and 7e-6 in float32, of outputs up to 1.7."""
    stored = np.load(golden.FILE)
    network = UNet(UNetConfig(**golden.CASES[name])).eval().to(torch.float64)
    weights = golden.formula_weights({key: tuple(value.shape) for key, value in network.state_dict().items()})
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    label = torch.from_numpy(stored[f"{name}.label"]) if f"{name}.label" in stored else None
    with torch.no_grad():
        x = torch.from_numpy(stored[f"{name}.x"])
        found = network.to(dtype)(x.to(dtype), torch.from_numpy(stored[f"{name}.t"]), label).double().numpy()
    wanted = stored[f"{name}.output"]
    assert found.shape == wanted.shape and np.abs(wanted).max() > 1
    assert np.abs(found - wanted).max() < most


def test_the_golden_file_is_small():
    assert golden.FILE.stat().st_size < 100_000
