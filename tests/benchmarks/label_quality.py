"""Does a model draw what it is asked for, is it new, and is it varied? Measured against real pictures in the
same run.

    python tests/benchmarks/label_quality.py checkpoints/fashion-mnist --data fashion-mnist

Recognised: the share of generated pictures in which a classifier, trained here on the real training pictures,
sees the label that was asked for. Beside it, the share of real test pictures whose label it sees: the most to
expect of a perfect model without guidance. A classifier worse than 91 % on them does not judge (Fashion-MNIST
has about 92 %). New: the distance to the nearest training picture. A model that copies would lie far below
real test pictures. Varied: the mean distance between pictures of one label. Guidance above 1 lowers it.
Distances are Euclidean over all pixels, which lie in [0, 1].

Target for the bundled Fashion-MNIST model (guidance 2, DDIM, 50 steps): recognised at least as often as real
pictures, nearest neighbours no closer than 0.8 of what real test pictures have.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _timing import ROOT  # first, as it puts this checkout on the path
from tqdm import tqdm

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.data import ImageData
from diffusion_studio.errors import DataError, OptionError, StudioError
from diffusion_studio.imaging import arrays
from diffusion_studio.metrics.classifier import load_or_train, predict_classes
from diffusion_studio.metrics.neighbours import nearest, pairwise
from diffusion_studio.runs.generate import stream

LEAST_ACCURACY = 0.91
BATCH = 64
SHEET_COLUMNS = 10


def main() -> None:
    asked = arguments()
    model = ds.load(asked.model, asked.device)
    train, test = real_pictures(asked.data, model.spec)
    with tqdm(desc="training the classifier") as progress:
        judge = load_or_train(train, asked.judge_seed, asked.cache, lambda done, total: progress.update())
    seen_in_test = predict_classes(judge, test.images)
    accuracy = share(seen_in_test, test.labels)
    print(f"the classifier sees the label of {accuracy:.2%} of {len(test.images)} real test pictures")
    if accuracy < LEAST_ACCURACY:
        raise StudioError(
            f"A classifier that is right on {accuracy:.2%} of real test pictures cannot judge generated "
            f"ones; it takes {LEAST_ACCURACY:.0%}. Is {asked.data!r} the right data?"
        )

    made = generated(model, asked)
    real = first_of_each(test, asked.pictures // len(test.names))
    seen = predict_classes(judge, made.images)
    distance, neighbour = nearest(made.images, train.images)
    real_distance, _ = nearest(real.images, train.images)
    result = {
        "model": model.spec.name,
        "images_seen": model.spec.provenance.get("images_seen"),
        "pictures": len(made.images),
        "guidance": asked.guidance,
        "steps": asked.steps,
        "sampler": asked.sampler,
        "classifier_accuracy": accuracy,
        "recognised": {"generated": share(seen, made.labels), "real": accuracy},
        "nearest": {"generated": summary(distance), "real": summary(real_distance)},
        "labels": {
            name: {
                "recognised": {
                    "generated": share(seen, made.labels, k),
                    "real": share(seen_in_test, test.labels, k),
                },
                "mistaken_for": mistaken(seen, made, k),
                "pairwise": {"generated": pairwise(of_label(made, k)), "real": pairwise(of_label(real, k))},
            }
            for k, name in enumerate(made.names)
        },
    }
    report(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if asked.sheet:
        sheet(made, train.images[neighbour]).save(asked.sheet)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a checkpoint file, or its folder")
    parser.add_argument(
        "--data", default="fashion-mnist", help="known name or path, with a train and a test split"
    )
    parser.add_argument(
        "--pictures", type=int, default=1000, help="how many in all, the same share for each label"
    )
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument(
        "--sampler", default="ddim", help='name, or JSON with options: {"name": "ddim", "eta": 1}'
    )
    parser.add_argument("--spacing", default="trailing")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first picture; the next ones count up from it"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / "runs" / "cache", help="where the classifier is kept"
    )
    parser.add_argument("--judge-seed", type=int, default=0, help="of the classifier's training")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument(
        "--sheet", type=Path, help="write a PNG: ten of each label, each left of its nearest neighbour"
    )
    return parser.parse_args()


def real_pictures(source: str, spec: ds.ModelSpec) -> tuple[ImageData, ImageData]:
    """The training and the test pictures, in the model's size; an error where they are not what it was
    trained on.
    """
    train, test = (data.load(source, split).padded(spec.image_size) for split in ("train", "test"))
    if train.labels is None or test.labels is None or train.names != spec.labels:
        raise DataError(
            f"{source} has the labels {', '.join(train.names) or 'none'}; {spec.name} draws "
            f"{', '.join(spec.labels) or 'without labels'}. Give the data that it was trained on."
        )
    if train.images.shape[-1] != spec.channels:
        raise DataError(f"{source} has {train.images.shape[-1]} channels, {spec.name} draws {spec.channels}.")
    if np.array_equal(train.images, test.images):
        raise DataError(f"{source} has no test split of its own, so nothing can be measured against it.")
    return train, test


def generated(model: ds.Model, asked: argparse.Namespace) -> ImageData:
    """The same number of pictures of each label, no seed twice."""
    names = model.spec.labels
    each = asked.pictures // len(names)
    if each < 2:
        raise OptionError(
            "pictures",
            f"--pictures must be at least {2 * len(names)}, two of each label; got {asked.pictures}.",
        )
    sampler = json.loads(asked.sampler) if asked.sampler.startswith("{") else asked.sampler
    progress = tqdm(total=each * len(names) * asked.steps, desc="generating", unit="step")
    made, seed = [], asked.seed
    for name in names:
        for count in (min(BATCH, each - k) for k in range(0, each, BATCH)):
            recipe = ds.Recipe.from_settings(
                {
                    "label": name,
                    "seeds": tuple(range(seed, seed + count)),
                    "steps": asked.steps,
                    "sampler": sampler,
                    "spacing": asked.spacing,
                    "guidance": asked.guidance,
                }
            )
            seed += count
            for frame in stream(model, recipe):
                if frame.index:
                    progress.update(count)
            made.append(frame.x)
    progress.close()
    return ImageData(np.concatenate(made), np.arange(len(names)).repeat(each), names)


def first_of_each(real: ImageData, count: int) -> ImageData:
    """The first `count` pictures of each label."""
    chosen = np.concatenate([np.flatnonzero(real.labels == k)[:count] for k in range(len(real.names))])
    return ImageData(real.images[chosen], real.labels[chosen], real.names)


def share(seen: np.ndarray, labels: np.ndarray, only: int | None = None) -> float:
    """How many pictures (of one label) were seen as what they are."""
    right = seen == labels
    return float(right[labels == only].mean() if only is not None else right.mean())


def mistaken(seen: np.ndarray, made: ImageData, label: int) -> dict[str, int]:
    """What the pictures of a label that were not recognised were taken for, most frequent first."""
    counts = np.bincount(seen[made.labels == label], minlength=len(made.names))
    return {
        made.names[k]: int(counts[k]) for k in np.argsort(-counts, kind="stable") if counts[k] and k != label
    }


def of_label(pictures: ImageData, label: int) -> np.ndarray:
    """The pictures of one label."""
    return pictures.images[pictures.labels == label]


def summary(distance: torch.Tensor) -> dict[str, float]:
    return {"median": float(distance.median()), "least": float(distance.min())}


def report(result: dict[str, Any]) -> None:
    labels = result["labels"]
    print(
        f"\n{result['model']} after {result['images_seen']} training images: {result['pictures']} pictures, "
        f"{result['sampler']}, {result['steps']} steps, guidance {result['guidance']:g}\n"
    )
    print(f"{'':14} {'predicted_classes':>19} {'within-label distance':>24}")
    print(
        f"{'':14} {'generated':>11} {'real':>7} {'generated':>12} {'real':>6} {'ratio':>6}  mostly mistaken "
        "for"
    )
    for name, row in labels.items():
        is_seen, apart = row["recognised"], row["pairwise"]
        wrong = ", ".join(f"{other} {count}" for other, count in list(row["mistaken_for"].items())[:2])
        print(
            f"{name:14} {is_seen['generated']:11.1%} {is_seen['real']:7.1%} {apart['generated']:12.2f} "
            f"{apart['real']:6.2f} {apart['generated'] / apart['real']:6.2f}  {wrong}"
        )
    made, real = (
        statistics.mean(row["pairwise"][kind] for row in labels.values()) for kind in ("generated", "real")
    )
    total = result["recognised"]
    print(
        f"{'all':14} {total['generated']:11.1%} {total['real']:7.1%} {made:12.2f} {real:6.2f} "
        f"{made / real:6.2f}\n"
    )
    near, real_near = result["nearest"]["generated"], result["nearest"]["real"]
    print(
        f"nearest training picture, median distance: generated {near['median']:.2f}, real "
        f"{real_near['median']:.2f}, ratio {near['median'] / real_near['median']:.2f}"
    )
    print(f"closest pair of all: generated {near['least']:.2f}, real {real_near['least']:.2f}")


def sheet(made: ImageData, neighbours: np.ndarray) -> Any:
    """A row for each label: pictures, each with its nearest training picture to its right, and a gap."""
    pairs = np.concatenate([made.images, neighbours], axis=2)
    shown = [np.flatnonzero(made.labels == k)[:SHEET_COLUMNS] for k in range(len(made.names))]
    tiles = pairs[np.concatenate(shown)]
    return arrays.to_pil(arrays.enlarge(arrays.grid(tiles, gap=4, columns=len(shown[0])), 2))


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
