"""Does a model of role-playing sprites compose what it never saw together, on clean black, in clean colours?

    python tests/benchmarks/heroes_quality.py checkpoints/heroes
    python tests/benchmarks/heroes_quality.py real         # real sprites in the place of a model's: the most to expect

Right: a network trained here on real sprites names the part in every slot (body, armour, legs, ...). It looks
at pictures asked for with (body, armour) pairs that were held out of training, and at as many with pairs that
were not: the same bodies, armours and other parts, dealt out anew. Beside them, real sprites that it was not
trained on say how good it is itself. A slot that it reads on less than 90 % of those is shown in brackets and
not judged. Black: the share of pictures in which all places that no real sprite touches are exactly (0, 0,
0), and the share of pixels that are nearly black, but not black. Real sprites with their transparency known:
every transparent pixel is exactly black, and of all pixels 0.05 % are nearly black (brightest channel 1 to
15). Palette: how far the colours are from the nearest one of a real sprite, how many a sprite has, how often
neighbours agree.

Targets: held-out pairs at least 85 % right in each judged slot, and at most 5 points below seen pairs;
backgrounds black in every picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from _pixel_judge import GRAIN, Judge, kept, named
from _prompts import add_settings, drawn, recipe_for
from _sprites import (
    SLOTS,
    Attributes,
    always_black,
    asked_pairs,
    attributes,
    black_backgrounds,
    near_black,
    pairs,
    palette,
    palette_figures,
    parts,
)
from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.errors import DataError, StudioError
from diffusion_studio.imaging import arrays
from diffusion_studio.training.captions import read_hold_out

REAL = "real"
LEAST_RIGHT, MOST_BELOW, LEAST_JUDGE = 0.85, 0.05, 0.90
KEPT_OUT = 0.15  # of the real sprites, from the judge's training
EPOCHS = 11  # of the judge's training


def main() -> None:
    asked = arguments()
    real = data.load(asked.data)
    if real.captions is None or real.images.shape[-1] != 3:
        raise DataError(f"{asked.data} is not made of coloured sprites with captions.")
    captions = [texts[0] for texts in real.captions]
    known = attributes(captions)
    held = held_pairs(asked.hold_out)
    order = np.random.default_rng(asked.judge_seed).permutation(len(captions))
    kept_out, rest = np.split(order, [round(len(order) * KEPT_OUT)])
    judge = kept_judge(asked, real.images[rest], known, known.seen[rest])
    right = named(judge, real.images[kept_out]) == known.seen[kept_out]

    groups = real_groups(known, kept_out, held) if asked.model == REAL else None
    if groups is not None:
        made = {name: (real.images[at], [captions[k] for k in at]) for name, at in groups.items()}
        settings = {"model": "real sprites"}
    else:
        model = ds.load(asked.model, asked.device)
        held_out, seen = asked_pairs(captions, known, held, asked.pictures, asked.choice_seed)
        recipe = recipe_for(model, asked)
        made = {
            name: (drawn(model, texts, recipe, first), texts)
            for name, texts, first in (
                ("held out", held_out, asked.seed),
                ("seen", seen, asked.seed + asked.pictures),
            )
        }
        settings = {
            "model": model.spec.name,
            "images_seen": model.spec.provenance.get("images_seen"),
            **json.loads(recipe.to_json()),
        }
    result = {
        **settings,
        "pictures": {name: len(texts) for name, (_, texts) in made.items()},
        "right": {"judge, on real sprites": by_slot(right)},
        "background": {},
        "palette": {},
    }
    for name, (pictures, texts) in made.items():
        result["right"][name] = by_slot(named(judge, pictures) == known.of(texts))
    empty, shades = always_black(real.images), palette(real.images)
    for name, pictures in {
        **{name: pictures for name, (pictures, _) in made.items()},
        "real": real.images[kept_out],
    }.items():
        result["background"][name] = {
            "black": black_backgrounds(pictures, empty),
            "near_black": near_black(pictures),
        }
        result["palette"][name] = palette_figures(pictures, shades)
    report(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if asked.sheet:
        tiles = np.concatenate([made[name][0][:48] for name in ("held out", "seen")])
        arrays.to_pil(arrays.enlarge(arrays.grid(tiles, gap=2, columns=16), 2)).save(asked.sheet)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", help="a checkpoint file, or its folder; 'real' for real sprites in its place"
    )
    parser.add_argument("--data", default="heroes", help="known name or path of the sprites with captions")
    parser.add_argument(
        "--hold-out",
        type=Path,
        default=ROOT / "checkpoints" / "heroes" / "held_out.txt",
        help="the pairs that were left out of the model's training, 'body, armour' in each line",
    )
    parser.add_argument(
        "--pictures", type=int, default=365, help="how many with held-out pairs, and with seen ones"
    )
    add_settings(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first picture; the next ones count up from it"
    )
    parser.add_argument("--choice-seed", type=int, default=0, help="of the choice of captions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache", help="where the judge is kept")
    parser.add_argument(
        "--judge-seed", type=int, default=0, help="of the judge's training and the sprites kept out of it"
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument(
        "--sheet", type=Path, help="write a PNG: up to 48 with held-out pairs, then as many with seen ones"
    )
    return parser.parse_args()


def held_pairs(path: Path) -> set[tuple[str, str]]:
    """The pairs in a list of what was held out of training."""
    found = [tuple(parts(line)) for line in read_hold_out(path)]
    if wrong := [one for one in found if len(one) != 2]:
        raise DataError(
            f"A line of {path.name} is a body and an armour, such as 'orc, half plate'; got "
            f"{', '.join(wrong[0])!r}."
        )
    return set(found)


def kept_judge(asked: argparse.Namespace, pictures: np.ndarray, known: Attributes, seen: np.ndarray) -> Judge:
    """The judge of these sprites, from the cache where it lies there."""
    key = zlib.crc32(
        repr((known.names, EPOCHS, GRAIN)).encode(),
        zlib.crc32(seen.tobytes(), zlib.crc32(pictures.tobytes())),
    )
    path = asked.cache / f"sprite-judge-{key:08x}-{asked.judge_seed}.safetensors"
    return kept(path, pictures, [len(names) for names in known.names], seen, asked.judge_seed, EPOCHS)


def real_groups(known: Attributes, kept_out: np.ndarray, held: set[tuple[str, str]]) -> dict[str, list[int]]:
    """The judge's kept-out sprites by whether their pair is held out."""
    own = pairs(known)
    return {
        name: [int(k) for k in kept_out if (own[k] in held) == wanted]
        for name, wanted in (("held out", True), ("seen", False))
    }


def by_slot(right: np.ndarray) -> dict[str, float]:
    """(N, slots) right or not -> the share of each slot."""
    return {slot: float(share) for slot, share in zip(SLOTS, right.mean(axis=0))}


def report(result: dict[str, Any]) -> None:
    counts, right = result["pictures"], result["right"]
    title = result["model"]
    if "steps" in result:
        title += f", {result['sampler']['name']}, {result['steps']} steps, guidance {result['guidance']:g}"
    print(f"\n{title}: {counts['held out']} pictures with held-out pairs, {counts['seen']} with seen pairs\n")
    print(f"{'':10} {'held out':>9} {'seen':>7} {'below':>6}  judge on real sprites")
    for slot, share, failed in verdicts(right):
        mark = "" if failed is None else "MISSED: " + failed if failed else "met"
        judge, seen = (right[name][slot] for name in ("judge, on real sprites", "seen"))
        shown = f"{slot:10}" if failed is not None else f"({slot})".ljust(10)
        print(f"{shown} {share:9.1%} {seen:7.1%} {100 * (seen - share):6.1f}  {judge:7.1%}   {mark}")
    print(
        f"\n{'':10} {'black behind':>12} {'near black':>11} {'off palette':>12} {'distance':>9} "
        f"{'colours':>8} {'even':>7}"
    )
    for name, behind in result["background"].items():
        of = result["palette"][name]
        print(
            f"{name:10} {behind['black']:12.1%} {behind['near_black']:11.3%} {of['off']:12.2%} "
            f"{of['distance']:9.2f} {of['distinct']:8.0f} {of['even']:7.1%}"
        )
    least = min(behind["black"] for behind in result["background"].values())
    print(f"\nbackgrounds exactly black: {'met' if least == 1 else 'MISSED'}")


def verdicts(right: dict[str, dict[str, float]]) -> list[tuple[str, float, str | None]]:
    """(slot, share right with held-out pairs, what fails of the targets) of each; None where the judge
    cannot tell.
    """
    found = []
    for slot, share in right["held out"].items():
        failed = [f"under {LEAST_RIGHT:.0%}"] if share < LEAST_RIGHT else []
        if right["seen"][slot] - share > MOST_BELOW:
            failed.append(f"more than {100 * MOST_BELOW:.0f} points below seen pairs")
        judged = right["judge, on real sprites"][slot] >= LEAST_JUDGE
        found.append((slot, share, ", ".join(failed) if judged else None))
    return found


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
