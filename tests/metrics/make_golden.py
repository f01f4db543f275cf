"""Write golden_features.npz: what two published programs make of random weights and pictures, to compare
with.

    pip install --no-deps torch-fidelity efficientnet-lite-pytorch        # 0.4.0 and 0.1.0 at the time of writing
    python tests/metrics/make_golden.py

torch-fidelity's feature extractor is the Inception of FID with TensorFlow 1's resizing;
efficientnet-lite-pytorch is the network that the published EfficientNet-Lite0 weights belong to. No trained
weights are needed: `random_weights` gives every layer a say, and the tests draw the same ones.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
import zlib
from pathlib import Path

import numpy as np
import torch

OUT = Path(__file__).with_name("golden_features.npz")


def random_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """One tensor for each name, drawn from the name: of a size that keeps activations near one through the
    layers.
    """
    found = {}
    for name, shape in shapes.items():
        random = np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(0)
        elif name.endswith("running_var"):
            found[name] = torch.from_numpy(random.uniform(0.5, 1.5, shape).astype(np.float32))
        elif len(shape) == 1:
            start = 1.0 if name.endswith("weight") else 0.0
            found[name] = torch.from_numpy((start + 0.1 * random.standard_normal(shape)).astype(np.float32))
        else:
            fan_in = int(np.prod(shape[1:]))
            found[name] = torch.from_numpy(
                random.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
            )
    return found


def pictures() -> np.ndarray:
    """(2, 23, 32, 3) uint8: smooth waves and noise, not square, so that rows and columns cannot be
    confused.
    """
    y, x, c = np.ogrid[:23, :32, :3]
    waves = 127.5 + 120 * np.sin(0.5 * x + 0.3 * y * (c + 1) + c)
    noise = np.random.Generator(np.random.Philox(5)).integers(0, 256, (23, 32, 3))
    return np.stack([waves.astype(np.uint8), noise.astype(np.uint8)])


def main() -> None:
    from efficientnet_lite_pytorch import EfficientNet
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from diffusion_studio.metrics.inception import FIDInception

    made = torch.from_numpy(pictures()).permute(0, 3, 1, 2).contiguous()
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pth"
        # the oracle loads strictly, so that our names and shapes are compared with its own here
        torch.save(
            random_weights({name: tuple(t.shape) for name, t in FIDInception().state_dict().items()}), file
        )
        oracle = FeatureExtractorInceptionV3(
            "golden", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(file)
        )
        features, logits = oracle(made)
    golden["inception"], golden["inception_logits"] = features.numpy(), logits.numpy()

    oracle = EfficientNet.from_name("efficientnet-lite0").eval()
    oracle.load_state_dict(random_weights({name: tuple(t.shape) for name, t in oracle.state_dict().items()}))
    ready = torch.from_numpy(
        np.random.Generator(np.random.Philox(6)).standard_normal((2, 3, 224, 224), np.float32)
    )
    with torch.no_grad():
        golden["efficientnet"] = oracle.extract_features(ready).mean((2, 3)).numpy()
        golden["efficientnet_logits"] = oracle(ready).numpy()
    np.savez_compressed(OUT, **golden)
    print(OUT, {name: (value.shape, float(abs(value).mean())) for name, value in golden.items()})


if __name__ == "__main__":
    # without running torch-fidelity's __init__, which imports torchvision and much else that is not needed
    # here
    bare = types.ModuleType("torch_fidelity")
    bare.__path__ = importlib.util.find_spec("torch_fidelity").submodule_search_locations
    sys.modules["torch_fidelity"] = bare
    main()
