"""Classifier guidance on a network that is told no label: does the asked label come, and what does it cost in
variety?

    python tests/benchmarks/classifier_guidance.py checkpoints/fashion-mnist checkpoints/fashion-mnist-classifier \\
        --data fashion-mnist --table guidance.csv
    python tests/benchmarks/classifier_guidance.py --draw guidance.csv

For each scale the same few seeds, unconditionally (the label "any"), led by the noisy classifier's gradient
towards every label (Dhariwal & Nichol 2021, section 4 and figure 4). Recognised: the share of pictures in
which another classifier, trained here on the real pictures without noise, sees the label that was asked for;
that of photographs reads features (--judge features). At scale 0 nothing leads: exactly one in as many as
there are labels. Varied: the mean distance between two pictures of one label, Euclidean over all pixels in
[0, 1]. Beside both, what real test pictures have, and what the network draws when it is told the label
itself.

Target: from scale 0 up, recognised rises and varied falls. Writes a csv, and beside it a .png and a -dark.png
for light and dark pages. Some minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _figure import Curve, Panel, draw
from _judge import add_judge, judge_of
from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path
from label_quality import first_of_each, of_label, real_pictures, share
from tqdm import tqdm

import diffusion_studio as ds
from diffusion_studio.data import ImageData
from diffusion_studio.errors import OptionError, StudioError
from diffusion_studio.imaging import arrays
from diffusion_studio.metrics.neighbours import pairwise
from diffusion_studio.runs.generate import stream
from diffusion_studio.runs.guidance_builder import Guides

REAL, TOLD = "real pictures", "told the label"
COLUMNS = ("scale", "recognised", "varied", "pictures")
BATCH = 64
Row = dict[str, float | str]


def main() -> None:
    asked = arguments()
    if asked.draw:
        with asked.draw.open(encoding="utf-8", newline="") as file:
            figure(
                asked.draw,
                [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)],
            )
        return
    model, guide = ds.load(asked.model, asked.device), ds.load_classifier(asked.classifier, asked.device)
    train, test = real_pictures(asked.data, model.spec)
    each = asked.pictures // len(train.names)
    if each < 2:
        raise OptionError(
            "pictures",
            f"--pictures must be at least {2 * len(train.names)}, two of each label; got {asked.pictures}.",
        )
    if guide.spec.labels != train.names:
        raise OptionError(
            "classifier",
            f"The classifier knows {', '.join(guide.spec.labels)}; the pictures are "
            f"{', '.join(train.names)}. Give a classifier of the same labels.",
        )
    scales = sorted(set(asked.scales))
    recipe = ds.Recipe.from_settings(
        {
            "steps": asked.steps,
            "sampler": json.loads(asked.sampler) if asked.sampler.startswith("{") else asked.sampler,
            "spacing": asked.spacing,
            "classifier": {"name": "judge", "form": asked.form},
        }
    )
    judge = judge_of(train, asked)
    accuracy = share(judge(test.images), test.labels)
    print(
        "the classifier is right about real pictures: "
        + ", ".join(f"{right_at(guide, test, t):.1%} at t = {t}" for t in noisy_at(guide))
    )
    real = first_of_each(test, each)
    rows: list[Row] = [
        {"scale": REAL, "recognised": accuracy, "varied": varied(real), "pictures": len(real.images)}
    ]
    print(
        f"{model.spec.name} led by {guide.spec.name}, {asked.sampler}, {asked.steps} steps, {each} pictures "
        "of each of "
        f"{len(train.names)} labels\n\n{'scale':>14} {'recognised':>11} {'varied':>8} {'of real':>8}"
    )
    for scale in (None, *scales):
        made = drawn(model, guide, recipe, scale, each, asked.seed)
        seen = judge(made.images)
        rows.append(
            {
                "scale": TOLD if scale is None else scale,
                "recognised": share(seen, made.labels),
                "varied": varied(made),
                "pictures": len(made.images),
            }
        )
        for row in rows[-2:] if scale is None else rows[-1:]:
            print(
                f"{row['scale']:>14} {row['recognised']:11.1%} {row['varied']:8.2f} "
                f"{row['varied'] / rows[0]['varied']:8.2f}",
                flush=True,
            )
    print("\n" + verdict([row for row in rows if isinstance(row["scale"], float)]))
    if asked.table:
        with asked.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(
                {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
                for row in rows
            )
        figure(asked.table, rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", nargs="?", help="a class-conditional checkpoint that also knows 'any', or its folder"
    )
    parser.add_argument("classifier", nargs="?", help="a noisy classifier's file or folder")
    parser.add_argument(
        "--data", default="fashion-mnist", help="what both were trained on, with a train and a test split"
    )
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
    parser.add_argument(
        "--pictures", type=int, default=100, help="how many for each scale, the same share for each label"
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--sampler", default="ddim", help='name, or JSON with options: {"name": "ddim", "eta": 1}'
    )
    parser.add_argument("--spacing", default="trailing")
    parser.add_argument("--form", default="score", help="score, or mean with an ancestral sampler")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first picture; the next ones count up from it"
    )
    parser.add_argument("--device", default="auto")
    add_judge(parser)
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "runs" / "cache",
        help="where the judge, or what it reads, is kept",
    )
    parser.add_argument("--judge-seed", type=int, default=0, help="of the judge's training")
    parser.add_argument(
        "--table", type=Path, metavar="FILE.csv", help="write the figures here, and draw them beside it"
    )
    parser.add_argument("--draw", type=Path, metavar="FILE.csv", help="draw what was measured before")
    asked = parser.parse_args()
    if not asked.draw and not (asked.model and asked.classifier):
        parser.error("give a model and a classifier, or --draw FILE.csv")
    return asked


def drawn(
    model: ds.Model, guide: ds.Classifier, recipe: ds.Recipe, scale: float | None, each: int, seed: int
) -> ImageData:
    """`each` pictures of every label: led there at a scale, or where it is None, told the label and not led.

    The seeds are the same for each label, so that at scale 0 the pictures are too, and are drawn once.
    """
    names, made = guide.spec.labels, []
    asked = names[:1] if scale == 0 else names
    with tqdm(
        total=each * len(asked) * recipe.steps,
        desc=TOLD if scale is None else f"scale {scale:g}",
        unit="step",
        leave=False,
    ) as bar:
        for name in asked:
            one = (
                replace(recipe, label=name, classifier=ds.ByClassifier())
                if scale is None
                else replace(recipe, classifier=replace(recipe.classifier, scale=scale, label=name))
            )
            for first in range(seed, seed + each, BATCH):
                seeds = tuple(range(first, min(first + BATCH, seed + each)))
                for frame in stream(model, replace(one, seeds=seeds), Guides(guide)):
                    bar.update(len(seeds) if frame.index else 0)
                made.append(frame.x)
    pictures = np.concatenate(made)
    if len(asked) < len(names):
        pictures = np.concatenate([pictures] * len(names))
    return ImageData(pictures, np.arange(len(names)).repeat(each), names)


def noisy_at(guide: ds.Classifier) -> list[int]:
    """Timesteps from hardly any noise to half of all."""
    return [round(share * (guide.spec.schedule.timesteps - 1)) for share in (0, 0.1, 0.2, 0.3, 0.4, 0.5)]


def right_at(guide: ds.Classifier, test: ImageData, t: int) -> float:
    """The share of pictures whose label the classifier sees at a timestep, each with noise of its own."""
    level, random = guide.spec.schedule.level(t), torch.Generator().manual_seed(t)
    seen = []
    with torch.no_grad():
        for part in np.array_split(test.images, max(1, len(test.images) // BATCH)):
            x0 = arrays.from_uint8(part)
            x = level.alpha * x0 + level.sigma * torch.randn(x0.shape, generator=random)
            seen.append(guide.logits(x.to(guide.device), level).argmax(1).cpu())
    return share(torch.cat(seen).numpy(), test.labels)


def varied(pictures: ImageData) -> float:
    """The mean distance between two pictures of one label, over labels."""
    return statistics.mean(pairwise(of_label(pictures, k)) for k in range(len(pictures.names)))


def verdict(rows: Sequence[Row]) -> str:
    """Whether the asked label comes more surely and variety falls, up to the scale at which it comes most
    surely.

    A share of n pictures may fall by two standard errors, and variety rise by 1 %, which is no more than
    chance.
    """
    best = max(range(len(rows)), key=lambda k: rows[k]["recognised"])
    told = [
        f"{name} from {first:.3g} at scale {rows[0]['scale']:g} to {last:.3g} at {rows[best]['scale']:g}"
        for name in ("recognised", "varied")
        for first, last in [(rows[0][name], rows[best][name])]
    ]
    pairs = list(zip(rows, rows[1 : best + 1]))
    rises = best > 0 and all(
        b["recognised"] >= a["recognised"] - 2 * (0.25 / b["pictures"]) ** 0.5 for a, b in pairs
    )
    falls = rows[best]["varied"] < rows[0]["varied"] and all(
        b["varied"] <= 1.01 * a["varied"] for a, b in pairs
    )
    return (
        f"{told[0]} (rises: {'met' if rises else 'MISSED'}), {told[1]} (falls: "
        f"{'met' if falls else 'MISSED'})"
    )


def figure(table: Path, rows: Sequence[Row]) -> None:
    """Two panels over the scale, beside the table."""
    led = [row for row in rows if isinstance(row["scale"], float)]
    ends = led[0]["scale"], led[-1]["scale"]
    known = {row["scale"]: row for row in rows}
    panels = []
    for name, title in (("recognised", "Asked label recognised"), ("varied", "Distance within a label")):
        curves = [Curve("by the classifier", [(row["scale"], row[name]) for row in led])]
        curves += [
            Curve(other, [(x, known[other][name]) for x in ends]) for other in (REAL, TOLD) if other in known
        ]
        most = 1.0 if name == "recognised" else 1.1 * max(row[name] for row in rows)
        unit = "share of pictures" if name == "recognised" else "mean distance"
        panels.append(Panel(title, unit, curves, most, from_zero=True))
    for suffix, dark in ((".png", False), ("-dark.png", True)):
        draw(table.with_name(table.stem + suffix), panels, "scale of classifier guidance", dark)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
