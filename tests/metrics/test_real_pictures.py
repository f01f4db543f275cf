"""Which of the real pictures an evaluation compares with."""

from __future__ import annotations

import json

import numpy as np

import diffusion_studio as ds
from diffusion_studio.data import ImageData
from diffusion_studio.metrics.config import EvalConfig
from diffusion_studio.metrics.picture_evaluation import random_subset
from diffusion_studio.metrics.pictures import default_recipe


def test_some_of_the_pictures_keep_what_belongs_to_them():
    numbers = np.arange(20, dtype=np.uint8)
    images = np.broadcast_to(numbers[:, None, None, None], (20, 8, 8, 1))
    names = tuple(f"picture {k}" for k in numbers)
    whole = ImageData(images, numbers % 2, ("even", "odd"), names, marks=names)
    some = random_subset(whole, 7)
    kept = some.images[:, 0, 0, 0]
    assert len(kept) == 7 and sorted(set(kept)) == list(kept)
    assert some.labels.tolist() == [k % 2 for k in kept]
    assert some.captions == tuple((f"picture {k}",) for k in kept)
    assert some.marks == tuple(f"picture {k}" for k in kept)
    assert random_subset(whole, None) is whole


def test_data_with_captions_is_evaluated_in_part(tiny_model, small_features, tmp_path):
    """It failed with "There are 24 captions for 12 images"; the bound takes a part of that part."""
    random = np.random.default_rng(0)
    made = {
        "images": random.integers(0, 255, (24, 8, 8, 1), dtype=np.uint8),
        "captions": np.array([f"picture {k}" for k in range(24)]),
        "test_images": random.integers(0, 255, (24, 8, 8, 1), dtype=np.uint8),
        "test_captions": np.array([f"test {k}" for k in range(24)]),
    }
    path = tmp_path / "texts.npz"
    np.savez(path, **made)
    model = tiny_model()
    asked = {"pictures": 4, "real": 12, "bits_pictures": 3, "bound_steps": 2, "metrics": "frechet,bound"}
    recipe = default_recipe(model.spec, steps=2)
    report = ds.evaluate(model, EvalConfig(data=str(path), **asked), recipe, tmp_path / "work")
    figures = json.loads(json.dumps(report))["figures"]
    assert figures["frechet"]["value"] > 0 and figures["bound"]["value"] > 0
