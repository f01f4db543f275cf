"""Does a model of emoji draw what words describe, in the style that was asked for?

    python tests/benchmarks/emoji_quality.py checkpoints/emoji --sheet sheet.png
    python tests/benchmarks/emoji_quality.py checkpoints/emoji --by-name    # what training had: is it learnt at all?
    python tests/benchmarks/emoji_quality.py real     # real emoji in the place of a model's: what to expect of a good one

Right: for each of the 200 descriptions in emoji_descriptions.csv, none of them a caption of the data, and for
each style in turn, how many names have no picture as near, in the features of EfficientNet-Lite0, as the
nearest with the right name. Of a real emoji only pictures of the other styles count, as it is its own
nearest. Style: a judge of colours and edges (_styles.py), which learnt from four of five real emoji, names
the style. Beside it, how often it is right about the fifth. Of real emoji those that it was trained on are
among the pictures. Sheet: a row for each of two kinds of prompts, to be looked at: words that the captions
hardly have, or not, and two things that no emoji has together. A column for each style.

Targets: for 95 % of the descriptions the right name is nearer than 95 % of the others; style right in 95 %.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import _styles
import numpy as np
from _prompts import add_settings, drawn, recipe_for
from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path
from PIL import Image, ImageDraw

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.data import ImageData
from diffusion_studio.errors import DataError, StudioError
from diffusion_studio.imaging import arrays
from diffusion_studio.metrics.features import Features
from diffusion_studio.metrics.picture_evaluation import CachedFeatures

REAL = "real"
DESCRIPTIONS = Path(__file__).with_name("emoji_descriptions.csv")
FARTHER, STYLE = 0.95, 0.95  # of the other names; of the pictures
BEYOND = (
    "puppy",
    "kitten",
    "automobile",
    "physician",
    "hamburger with cheese",
    "crimson rose",
    "warship",
    "wizard",
)
TWO = (
    "blue pizza",
    "cat astronaut",
    "green heart",
    "pizza with a face",
    "robot dragon",
    "dog police officer",
    "ice cream volcano",
    "purple frog",
)


def main() -> None:
    asked = arguments()
    real = data.load(asked.data)
    names = first_captions(real)
    wanted = descriptions(DESCRIPTIONS, real)
    if asked.by_name:
        wanted = [(name, name) for name, _ in wanted]
    styles = [real.names[k % len(real.names)] for k in range(len(wanted))]
    look = Features("efficientnet-lite0", asked.feature_weights, "cpu")
    seen = CachedFeatures(real.images, look, asked.cache).features
    if asked.model == REAL:
        at = [
            int(np.flatnonzero((names == name) & (real.labels == real.names.index(style)))[0])
            for (name, _), style in zip(wanted, styles)
        ]
        pictures, made, settings = real.images[at], seen[at], {"model": "real emoji"}
        others = real.labels[None] != real.labels[at][:, None]
    else:
        model = ds.load(asked.model, asked.device)
        if model.spec.labels != real.names:
            raise DataError(
                f"{asked.data} has the styles {', '.join(real.names)}; {model.spec.name} draws "
                f"{', '.join(model.spec.labels) or 'without labels'}."
            )
        recipe = recipe_for(model, asked)
        pictures = drawn(model, [text for _, text in wanted], recipe, asked.seed, styles)
        made = look(pictures)
        others = np.ones((len(made), len(seen)), bool)
        settings = {
            "model": model.spec.name,
            "images_seen": model.spec.provenance.get("images_seen"),
            **json.loads(recipe.to_json()),
        }
    farther = farther_names(made, seen, names, [name for name, _ in wanted], others)
    style, style_of_real = styles_right(pictures, [real.names.index(one) for one in styles], real, names)
    result = {
        **settings,
        "descriptions": len(wanted),
        "right": float((farther >= FARTHER).mean()),
        "farther": {"median": float(np.median(farther)), "mean": float(farther.mean())},
        "style": style,
        "style_of_real": style_of_real,
        "least": [
            {"name": wanted[k][0], "description": wanted[k][1], "farther": float(farther[k])}
            for k in np.argsort(farther, kind="stable")[:20]
        ],
    }
    report(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if asked.sheet and asked.model != REAL:
        sheet(model, recipe, asked.seed).save(asked.sheet)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a checkpoint file, or its folder; 'real' for real emoji in its place")
    parser.add_argument(
        "--data", default="emoji", help="known name or path of the emoji with names and styles"
    )
    add_settings(parser)
    parser.add_argument(
        "--by-name", action="store_true", help="ask by the names themselves, which training had"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first picture; the next ones count up from it"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--feature-weights", help="of EfficientNet-Lite0; by default from their usual place")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache", help="where features are kept")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--sheet", type=Path, help="write a PNG of the prompts to look at")
    return parser.parse_args()


def first_captions(real: ImageData) -> np.ndarray:
    """(N,) the name of each picture."""
    if real.captions is None or real.labels is None:
        raise DataError(
            "Emoji are pictures with captions, the first of which is their name, and with styles as labels."
        )
    return np.array([texts[0] for texts in real.captions])


def descriptions(path: Path, real: ImageData) -> list[tuple[str, str]]:
    """(name, description) of each line. A `DataError` where a name is unknown, or a description a caption."""
    with path.open(encoding="utf-8", newline="") as file:
        found = [(row["name"], row["description"]) for row in csv.DictReader(file)]
    names = {texts[0] for texts in real.captions}
    captions = {text.casefold() for texts in real.captions for text in texts}
    for name, text in found:
        if name not in names:
            raise DataError(f"{path.name} describes {name!r}, which is no name of the data.")
        if text.casefold() in captions:
            raise DataError(f"{path.name} describes {name!r} as {text!r}, which is a caption of the data.")
    return found


def farther_names(
    made: np.ndarray, seen: np.ndarray, names: np.ndarray, wanted: list[str], others: np.ndarray
) -> np.ndarray:
    """(M,) the share of other names that are farther from each of the features `made` (M, D) than the name
    wanted.

    A name is as far as its nearest picture; `seen` (N, D) are all pictures, of `names` (N,), and `others` (M,
    N) those that count.
    """
    known, place = np.unique(names, return_inverse=True)
    found = np.empty(len(made))
    for k, (one, name) in enumerate(zip(made, wanted)):
        far = np.where(others[k], np.square(seen - one).sum(1), np.inf)
        nearest = np.full(len(known), np.inf)
        np.minimum.at(nearest, place, far)
        own = nearest[np.searchsorted(known, name)]
        rest = np.isfinite(nearest) & (known != name)
        found[k] = (nearest[rest] > own).mean()
    return found


def styles_right(
    made: np.ndarray, wanted: list[int], real: ImageData, names: np.ndarray
) -> tuple[float, float]:
    """How often the style is the wanted one, and how often the judge is right about names that it was not
    trained on.
    """
    _, place = np.unique(names, return_inverse=True)
    out = place % 5 == 0
    judge = _styles.fitted(real.images[~out], real.labels[~out], len(real.names))
    return (
        float((judge(_styles.traits(made)) == wanted).mean()),
        float((judge(_styles.traits(real.images[out])) == real.labels[out]).mean()),
    )


def report(result: dict[str, Any]) -> None:
    print(
        f"{result['model']}"
        + (f" after {result['images_seen']} training images" if "images_seen" in result else "")
    )
    print(
        f"right name nearer than {FARTHER:.0%} of the others: {result['right']:.1%} of "
        f"{result['descriptions']} "
        f"descriptions (target 95 %); nearer than {result['farther']['median']:.1%} in the median"
    )
    print(
        f"style right: {result['style']:.1%} (target {STYLE:.0%}; the judge about real emoji "
        f"{result['style_of_real']:.1%})"
    )
    print("farthest off:")
    for one in result["least"]:
        print(f"  {one['farther']:6.1%}  {one['name']}: {one['description']}")


def sheet(model: ds.Model, recipe: ds.Recipe, seed: int) -> Image.Image:
    """A row for each prompt, its words at the left, a column for each style."""
    prompts, styles = (*BEYOND, *TWO), model.spec.labels
    made = drawn(model, [text for text in prompts for _ in styles], recipe, seed, [*styles] * len(prompts))
    tiles, margin = arrays.to_pil(arrays.grid(made, gap=4, columns=len(styles))), 150
    whole = Image.new("RGB", (tiles.width + margin, tiles.height), "white")
    whole.paste(tiles, (margin, 0))
    step = tiles.height / len(prompts)
    for k, text in enumerate(prompts):
        ImageDraw.Draw(whole).text((6, (k + 0.4) * step), text, fill="black")
    return whole


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
