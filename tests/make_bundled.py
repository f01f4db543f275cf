"""What each bundled model makes in four steps: writes the small files in golden_bundled/ beside this one. No
test itself.

    python tests/make_bundled.py                # those that are missing
    python tests/make_bundled.py heroes emoji   # these anew, after their weights were replaced

Of pictures a PNG, of points and of a noisy classifier's log-probabilities an npz. test_bundled.py compares
with them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # as a script it measures this checkout and no other
    sys.path.insert(0, str(ROOT))

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import POINTS
from diffusion_studio.studio import CLASSIFIER_FILE, FILE_NAME

FOLDER = Path(__file__).with_name("golden_bundled")
SEEDS, STEPS, POINTS_OF_A_CLOUD = (0, 1), 4, 200
LOG_SNRS = (-3.0, 0.0, 3.0)


def bundled(folder: Path = ROOT / "checkpoints") -> tuple[list[str], list[str]]:
    """The names of the models that draw, and of the classifiers."""

    def holding(name: str) -> list[str]:
        return sorted(path.parent.name for path in folder.glob(f"*/{name}"))

    return holding(FILE_NAME), holding(CLASSIFIER_FILE)


def recipe_of(studio: ds.Studio, name: str, **changes: object) -> ds.Recipe:
    """The model's own settings in four steps; of a model of prompts that has no default one, its first
    example.
    """
    spec = studio.card(name).spec
    if spec.takes_text and spec.prompts and "prompt" not in spec.defaults:
        changes = {"prompt": spec.prompts[0], **changes}
    if spec.makes == POINTS:
        changes = {"points": POINTS_OF_A_CLOUD, **changes}
    else:  # rounding may choose another colour of it
        changes = {"palette": None, **changes}
    return studio.recipe(name, **{"seeds": SEEDS, "steps": STEPS, **changes})


def made_by(studio: ds.Studio, name: str, **changes: object) -> np.ndarray:
    """(H, W * 2, C) uint8, two pictures side by side; or (2, points, 2) float32."""
    found = studio.run(recipe_of(studio, name, **changes)).images
    return (
        found.astype(np.float32) if studio.card(name).spec.makes == POINTS else np.concatenate(found, axis=1)
    )


@torch.no_grad()
def said_by(studio: ds.Studio, name: str) -> np.ndarray:
    """(3, 2, classes) float32: a classifier's log-probabilities of two fixed noises at three levels."""
    judge = studio.classifier(name)
    config = judge.spec.network
    x = ds.Noise(SEEDS, (config.in_channels, config.size, config.size))(0)
    schedule = judge.spec.schedule
    levels = [schedule.level(schedule.timestep(log_snr)) for log_snr in LOG_SNRS]
    return np.stack([judge.logits(x, level).log_softmax(1).numpy() for level in levels])


def file_of(name: str, folder: Path = FOLDER) -> Path | None:
    """Where a model's file is, or None."""
    return next((path for path in (folder / f"{name}.png", folder / f"{name}.npz") if path.is_file()), None)


def write(name: str, found: np.ndarray, folder: Path = FOLDER) -> Path:
    """Keep what a model made, in place of what is kept."""
    if (old := file_of(name, folder)) is not None:
        old.unlink()
    if found.dtype == np.uint8:
        path = folder / f"{name}.png"
        Image.fromarray(found[..., 0] if found.shape[2] == 1 else found).save(path, optimize=True)
    else:
        path = folder / f"{name}.npz"
        np.savez_compressed(path, found=found)
    return path


def stored(path: Path) -> np.ndarray:
    """What `write` kept."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return archive["found"]
    found = np.asarray(Image.open(path))
    return found[..., None] if found.ndim == 2 else found


def main(asked: list[str]) -> None:
    models, classifiers = bundled()
    if strangers := set(asked) - {*models, *classifiers}:
        sys.exit(
            f"error: checkpoints/ holds no {', '.join(sorted(strangers))}; it holds "
            f"{', '.join(models + classifiers)}."
        )
    torch.set_num_threads(1)
    studio = ds.Studio(ROOT / "checkpoints", "cpu", "fp32")
    FOLDER.mkdir(exist_ok=True)
    for name in asked or [one for one in models + classifiers if file_of(one) is None]:
        path = write(name, made_by(studio, name) if name in models else said_by(studio, name))
        print(f"wrote {path.relative_to(ROOT)} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main(sys.argv[1:])
