"""Does a model of letters draw the character, the colour and the look that it was asked for?

    python tests/benchmarks/letters_quality.py checkpoints/letters --data runs/letters.npz --sheet sheet.png
    python tests/benchmarks/letters_quality.py real --data runs/letters.npz     # held-out glyphs in its place

The data is what scripts/letters_data.py wrote. Glyphs of its test split, whose typefaces training did not
have, say what is asked for: the same characters and looks, each in a colour that training had with the look.
Beside the pictures stand these real glyphs in the same colours, so that like is compared with like.

Character: a small network, trained on the training glyphs in all colours, names one of 62. Confusable ones (O
0, l I, c C) it mistakes in real glyphs too.
Colour: the nearest of the twelve to the ink's. New pairs: a colour that was held out for the look, beside the
same characters, looks and seeds in a colour that was not.
Ink: the mean of the same seeds for each weight and character, sans, in colours that training had.
Looks: a linear judge of the network's features, as many training glyphs of each look, names one of six. It is
asked about as many pictures of each look; a look with few held-out glyphs is asked for several times.
Typefaces of one family are looks of their own, so a held-out typeface can have a near relation in training.
Copies: the distance of the ink to that of the nearest training glyph of the same character, in the median and
in the 5 % nearest.

Targets: character at most 2 points below real glyphs; colour 99 %; ink grows strictly at all characters; each
of six looks at most 5 points below real glyphs; new pairs at most 2 points below others in character and
colour; copies no nearer than real glyphs; at most 25 network calls. How long it takes: model_speed.py
--precision fp32 letters.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _letters
import numpy as np
from _letters import COLOUR_NAMES, LOOKS, WEIGHTS, Recoloured, coloured, coverage, ink_colours, look_of
from _pixel_judge import GRAIN, Judge, features, kept, named
from _prompts import add_settings, drawn, recipe_for
from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path
from PIL import Image, ImageDraw

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.data import ImageData
from diffusion_studio.device import PRECISIONS
from diffusion_studio.errors import DataError, StudioError
from diffusion_studio.imaging import arrays
from diffusion_studio.metrics import linear

REAL = "real"
BELOW_REAL, COLOUR_RIGHT, LOOK_BELOW, NEW_BELOW, MOST_CALLS = 0.02, 0.99, 0.05, 0.02, 25
JUDGED_LOOKS = ("serif", "sans", "mono", "script", "blackletter", "pixel")
INK_LOOK = "sans"
EPOCHS, SHIFT = 2, 1  # of the judge's training; a training glyph is there in several colours
LINEAR_GLYPHS = 1500  # of each look that the linear judge learns from, at most
NEAREST_SHARE = 0.05
SHEET_TEXT, SHEET_WEIGHTS = "AaBbGgQqRrSs0238", "HamburgefonsRQ59"


@dataclass(frozen=True)
class Glyphs:
    """Coverage (N, H, W) uint8, characters (N,) and looks, such as "bold sans", of real glyphs."""

    ink: np.ndarray
    labels: np.ndarray
    looks: np.ndarray

    def at(self, chosen: np.ndarray) -> Glyphs:
        return Glyphs(self.ink[chosen], self.labels[chosen], self.looks[chosen])


class Maker:
    """Pictures of characters, looks and colours: a model's, or with none the real glyphs in these colours."""

    def __init__(self, model: ds.Model | None, recipe: ds.Recipe | None, names: Sequence[str]) -> None:
        self.model, self.recipe, self.names = model, recipe, names
        self.pictures = self.looked = 0
        if model is not None:
            model.network.register_forward_pre_hook(self._count)

    def _count(self, network: Any, given: tuple[Any, ...]) -> None:
        self.looked += len(given[0])

    @property
    def calls(self) -> float | None:
        """Network calls for a picture; a guided step of the sampler has two."""
        return self.looked / self.pictures if self.pictures else None

    def __call__(self, asked: Glyphs, colours: np.ndarray, seed: int) -> np.ndarray:
        if self.model is None:
            return coloured(asked.ink, colours)
        self.pictures += len(colours)
        return self.of(asked.labels, asked.looks, colours, seed)

    def of(self, labels: np.ndarray, looks: Sequence[str], colours: np.ndarray, seed: int) -> np.ndarray:
        prompts = [f"{COLOUR_NAMES[colour]} {look}" for colour, look in zip(colours, looks)]
        return drawn(self.model, prompts, self.recipe, seed, [self.names[k] for k in labels])


def main() -> None:
    asked = arguments()
    names, train, test = letters(asked.data)
    judge = kept_judge(asked, train, len(names))
    model = recipe = None
    settings: dict[str, Any] = {"model": "held-out glyphs"}
    if asked.model != REAL:
        model = ds.load(asked.model, asked.device, asked.precision)
        if model.spec.labels != names:
            raise DataError(
                f"{asked.data} has the characters {''.join(names)}; {model.spec.name} draws "
                f"{', '.join(model.spec.labels) or 'without labels'}."
            )
        recipe = recipe_for(model, asked)
        settings = {
            "model": model.spec.name,
            "images_seen": model.spec.provenance.get("images_seen"),
            **json.loads(recipe.to_json()),
        }
    make, random = Maker(model, recipe, names), np.random.default_rng(asked.choice_seed)
    wanted = test.at(random.permutation(len(test.labels))[: asked.pictures])
    colours = _letters.dealt_colours(wanted.looks, False, random)
    made = make(wanted, colours, asked.seed)
    result = {
        **settings,
        "pictures": len(made),
        "right": {
            "made": rights(judge, made, wanted, colours),
            "real": rights(judge, coloured(wanted.ink, colours), wanted, colours),
        },
        "copies": copies(made, wanted, colours, train),
        "new pairs": new_pairs(make, judge, wanted, colours, made, asked, random),
        "looks": looks_told(make, judge, train, test, asked, random),
        "ink": ink_grown(make, train, test, names, asked),
    }
    result["calls"] = make.calls
    result["verdicts"] = verdicts(result)
    report(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if asked.sheet and model is not None:
        sheet(make, asked.seed).save(asked.sheet)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", help="a checkpoint file, or its folder; 'real' for held-out glyphs in its place"
    )
    parser.add_argument(
        "--data", default=str(ROOT / "runs" / "letters.npz"), help="what scripts/letters_data.py wrote"
    )
    parser.add_argument(
        "--pictures", type=int, default=2000, help="of characters and looks as in the test split"
    )
    parser.add_argument(
        "--new-pairs",
        type=int,
        default=1000,
        help="how many of these again, in a colour held out for the look",
    )
    parser.add_argument("--each-look", type=int, default=150, help="pictures of each of the six looks")
    parser.add_argument("--ink-seeds", type=int, default=8, help="pictures of each character and weight")
    add_settings(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first picture; the next ones count up from it"
    )
    parser.add_argument("--choice-seed", type=int, default=0, help="of the choice of glyphs and colours")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache", help="where the judge is kept")
    parser.add_argument("--judge-seed", type=int, default=0, help="of the judge's training")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument(
        "--sheet", type=Path, help="write a PNG: all looks in seen and in new colours, then all weights"
    )
    asked = parser.parse_args()
    for name in ("pictures", "new_pairs", "each_look", "ink_seeds"):
        if getattr(asked, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(asked, name)}.")
    if asked.new_pairs > asked.pictures:
        parser.error(f"--new-pairs are some of --pictures: at most {asked.pictures}, got {asked.new_pairs}.")
    return asked


def letters(path: str) -> tuple[tuple[str, ...], Glyphs, Glyphs]:
    """The names of the characters, and the glyphs of the training and the test split.

    Each glyph is several times in the training split, in several colours.
    """
    found = {}
    for split in ("train", "test"):
        given = data.load(path, split)
        if given.captions is None or given.labels is None or given.images.shape[-1] != 3:
            raise DataError(
                f"{path} is not made of coloured letters with labels and captions. Give the file that "
                "scripts/letters_data.py wrote."
            )
        found[split] = _glyphs(given)
    return given.names, found["train"], found["test"]


def _glyphs(given: ImageData) -> Glyphs:
    told = {caption: _letters.split_caption(caption) for caption in {texts[0] for texts in given.captions}}
    colours = np.array([told[texts[0]][0] for texts in given.captions])
    return Glyphs(
        coverage(given.images, colours),
        given.labels,
        np.array([told[texts[0]][1] for texts in given.captions]),
    )


def kept_judge(asked: argparse.Namespace, train: Glyphs, characters: int) -> Judge:
    """The judge of characters and looks, from the cache where it lies there. It learns from all looks in all
    colours.
    """
    seen = np.stack([train.labels, [LOOKS.index(look_of(one)) for one in train.looks]], axis=1)
    key = zlib.crc32(
        repr((EPOCHS, SHIFT, GRAIN)).encode(), zlib.crc32(seen.tobytes(), zlib.crc32(train.ink.tobytes()))
    )
    path = asked.cache / f"letter-judge-{key:08x}-{asked.judge_seed}.safetensors"
    pictures = Recoloured(
        train.ink, np.random.default_rng(asked.judge_seed).integers(len(COLOUR_NAMES), size=len(seen))
    )
    return kept(path, pictures, [characters, len(LOOKS)], seen, asked.judge_seed, EPOCHS, SHIFT)


def rights(judge: Judge, pictures: np.ndarray, wanted: Glyphs, colours: np.ndarray) -> dict[str, Any]:
    """The shares of characters and of colours that are the ones wanted, and the characters by look."""
    right = named(judge, pictures)[:, 0] == wanted.labels
    classes = np.array([look_of(one) for one in wanted.looks])
    return {
        "character": float(right.mean()),
        "colour": float((ink_colours(pictures) == colours).mean()),
        "by_look": {look: float(right[classes == look].mean()) for look in LOOKS if (classes == look).any()},
    }


def copies(
    made: np.ndarray, wanted: Glyphs, colours: np.ndarray, train: Glyphs
) -> dict[str, dict[str, float]]:
    """How near the nearest training glyph is to pictures and to real glyphs, all read from colours alike."""
    found = {}
    for name, pictures in (("made", made), ("real", coloured(wanted.ink, colours))):
        far = _letters.nearest(coverage(pictures, colours), wanted.labels, train.ink, train.labels)
        found[name] = {"median": float(np.median(far)), "nearest": float(np.quantile(far, NEAREST_SHARE))}
    return found


def new_pairs(
    make: Maker,
    judge: Judge,
    wanted: Glyphs,
    colours: np.ndarray,
    made: np.ndarray,
    asked: argparse.Namespace,
    random: np.random.Generator,
) -> dict[str, Any]:
    """`rights` of the first pictures as they are, and of the same ones in a colour that was held out for the
    look.
    """
    some = wanted.at(np.arange(min(asked.new_pairs, len(made))))
    held_out = _letters.dealt_colours(some.looks, True, random)
    return {
        "pictures": len(held_out),
        "seen": rights(judge, made[: len(held_out)], some, colours[: len(held_out)]),
        "held out": rights(judge, make(some, held_out, asked.seed), some, held_out),
    }


def looks_told(
    make: Maker,
    judge: Judge,
    train: Glyphs,
    test: Glyphs,
    asked: argparse.Namespace,
    random: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """How often the linear judge is right about each look, in pictures and in the same real glyphs."""

    def of(glyphs: Glyphs) -> np.ndarray:
        return np.array([look_of(one) for one in glyphs.looks])

    learnt = [np.flatnonzero(of(train) == look) for look in JUDGED_LOOKS]
    learnt = np.concatenate([random.permutation(at)[:LINEAR_GLYPHS] for at in learnt])
    any_colours = random.integers(len(COLOUR_NAMES), size=len(learnt))
    numbers = {look: k for k, look in enumerate(JUDGED_LOOKS)}
    tells = linear.fit(
        features(judge, coloured(train.ink[learnt], any_colours)),
        np.array([numbers[one] for one in of(train)[learnt]]),
        len(JUDGED_LOOKS),
    )
    held = [random.permutation(np.flatnonzero(of(test) == look)) for look in JUDGED_LOOKS]
    if missing := [look for look, at in zip(JUDGED_LOOKS, held) if not len(at)]:
        raise DataError(f"The test split of {asked.data} has no {' or '.join(missing)}.")
    wanted = test.at(np.concatenate([np.resize(at, asked.each_look) for at in held]))
    colours, look = (
        _letters.dealt_colours(wanted.looks, False, random),
        np.repeat(np.arange(len(held)), asked.each_look),
    )
    found = {}
    for name, pictures in (
        ("made", make(wanted, colours, asked.seed + asked.pictures)),
        ("real", coloured(wanted.ink, colours)),
    ):
        right = tells(features(judge, pictures)) == look
        found[name] = {one: float(right[look == k].mean()) for k, one in enumerate(JUDGED_LOOKS)}
    return found


def ink_grown(
    make: Maker, train: Glyphs, test: Glyphs, names: Sequence[str], asked: argparse.Namespace
) -> dict[str, Any]:
    """How many characters have strictly more ink at each weight than at the one before, and the ink of all of
    them.
    """
    both = Glyphs(
        *(np.concatenate(pair) for pair in zip(*((one.ink, one.labels, one.looks) for one in (train, test))))
    )
    real = _letters.ink_of_glyphs(both.ink, both.labels, both.looks, INK_LOOK, len(names))
    made = real if make.model is None else _drawn_ink(make, len(names), asked)
    grows = _letters.growing(made)
    return {
        "grows": int(grows.sum()),
        "grows_in_real": int(_letters.growing(real).sum()),
        "characters": len(names),
        "not": {names[k]: made[k].tolist() for k in np.flatnonzero(~grows)},
        "mean": dict(zip(WEIGHTS, made.mean(0).tolist())),
        "mean_of_real": dict(zip(WEIGHTS, np.nanmean(real, 0).tolist())),
    }


def _drawn_ink(make: Maker, characters: int, asked: argparse.Namespace) -> np.ndarray:
    """(characters, weights) mean ink. Each weight has the same seeds, and a seed the same colour at each
    weight.
    """
    allowed = [k for k, name in enumerate(COLOUR_NAMES) if _letters.HELD_OUT_LOOK[name] != INK_LOOK]
    labels = np.tile(np.arange(characters), asked.ink_seeds)
    colours = np.repeat([allowed[k % len(allowed)] for k in range(asked.ink_seeds)], characters)
    found = []
    for weight in WEIGHTS:
        pictures = make.of(labels, [f"{weight} {INK_LOOK}".strip()] * len(labels), colours, asked.seed)
        make.pictures += len(labels)
        ink = coverage(pictures, colours).reshape(len(labels), -1).mean(1) / 255
        found.append(ink.reshape(asked.ink_seeds, characters).mean(0))
    return np.stack(found, axis=1)


def verdicts(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What is measured, what was reached, what was wanted, and whether that is met."""
    right, looks, new, copied, ink = (
        result[name] for name in ("right", "looks", "new pairs", "copies", "ink")
    )
    found = []

    def add(what: str, reached: str, wanted: str, met: bool) -> None:
        found.append({"what": what, "reached": reached, "wanted": wanted, "met": bool(met)})

    made, real = right["made"]["character"], right["real"]["character"]
    add(
        "character recognised",
        f"{made:.1%}",
        f">= {real - BELOW_REAL:.1%} (real {real:.1%})",
        made >= real - BELOW_REAL,
    )
    colour = right["made"]["colour"]
    add(
        "colour right",
        f"{colour:.1%}",
        f">= {COLOUR_RIGHT:.0%} (real {right['real']['colour']:.1%})",
        colour >= COLOUR_RIGHT,
    )
    add(
        "ink grows with weight",
        f"{ink['grows']} of {ink['characters']}",
        f"all (real {ink['grows_in_real']})",
        ink["grows"] == ink["characters"],
    )
    for look in JUDGED_LOOKS:
        made, real = looks["made"][look], looks["real"][look]
        add(
            f"look told: {look}",
            f"{made:.1%}",
            f">= {real - LOOK_BELOW:.1%} (real {real:.1%})",
            made >= real - LOOK_BELOW,
        )
    for what in ("character", "colour"):
        seen, held_out = new["seen"][what], new["held out"][what]
        add(
            f"{what} in new pairs",
            f"{held_out:.1%}",
            f">= {seen - NEW_BELOW:.1%} (seen {seen:.1%})",
            held_out >= seen - NEW_BELOW,
        )
    for what, told in (("median", "median"), ("nearest", f"nearest {NEAREST_SHARE:.0%}")):
        made, real = copied["made"][what], copied["real"][what]
        add(f"copies: {told}", f"{made:.3f}", f">= {real:.3f} (real)", made >= real)
    if result["calls"] is not None:
        add("network calls", f"{result['calls']:g}", f"<= {MOST_CALLS}", result["calls"] <= MOST_CALLS)
    return found


def report(result: dict[str, Any]) -> None:
    title = result["model"]
    if "steps" in result:
        title += (
            f" after {result['images_seen']} training images, {result['sampler']['name']}, {result['steps']} "
            f"steps, guidance {result['guidance']:g}"
        )
    print(f"\n{title}: {result['pictures']} pictures\n")
    for one in result["verdicts"]:
        print(f"{one['what']:24} {one['reached']:>9}  {one['wanted']:28} {'met' if one['met'] else 'MISSED'}")
    print(f"\n{'character by look':24} {'made':>9} {'real':>7}")
    for look, made in result["right"]["made"]["by_look"].items():
        print(f"  {look:22} {made:9.1%} {result['right']['real']['by_look'][look]:7.1%}")
    print(f"\n{'mean ink, ' + INK_LOOK:24} {'made':>9} {'real':>7}")
    for weight, made in result["ink"]["mean"].items():
        print(f"  {weight or 'regular':22} {made:9.1%} {result['ink']['mean_of_real'][weight]:7.1%}")
    if result["ink"]["not"]:
        print(f"ink does not grow at: {' '.join(result['ink']['not'])}")


def sheet(make: Maker, seed: int) -> Image.Image:
    """Rows of characters with one seed: all looks in a seen and, marked *, in a held-out colour; then all
    weights.
    """
    random, rows = np.random.default_rng(0), []
    for look in LOOKS:
        for held_out in (False, True):
            rows.append(
                (
                    look,
                    int(_letters.dealt_colours([look], held_out, random)[0]),
                    SHEET_TEXT,
                    "*" if held_out else "",
                )
            )
    rows += [(f"{weight} {INK_LOOK}".strip(), 0, SHEET_WEIGHTS, "") for weight in WEIGHTS]
    tiles = []
    for look, colour, text, _ in rows:
        labels = np.array([make.names.index(one) for one in text])
        tiles.append(make.of(labels, [look] * len(text), np.full(len(text), colour), seed))
    grid, margin = (
        arrays.to_pil(arrays.enlarge(arrays.grid(np.concatenate(tiles), gap=2, columns=len(SHEET_TEXT)), 2)),
        190,
    )
    whole = Image.new("RGB", (grid.width + margin, grid.height), "white")
    whole.paste(grid, (margin, 0))
    for k, (look, colour, _, mark) in enumerate(rows):
        ImageDraw.Draw(whole).text(
            (6, (k + 0.4) * grid.height / len(rows)), f"{COLOUR_NAMES[colour]} {look} {mark}", fill="black"
        )
    return whole


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
