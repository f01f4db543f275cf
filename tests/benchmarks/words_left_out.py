"""Does a word's map say where the word counts? Leave it out and see.

    python tests/benchmarks/words_left_out.py checkpoints/heroes

For each word of some prompts, at a few states of a run: x0 less that of the network whose cross-attention
cannot see the word (the leave-out map), beside x0 less that of the prompt without the word. Told are, over the
values that really leaving it out changes by more than 0.05: the share of the leave-out map with the same sign,
and the correlation of the two over all values. And how well the word's attention map finds the pixels that
change: the probability that a pixel that changes has more attention than one that does not (0.5 is chance).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from _timing import ROOT  # noqa: F401

import diffusion_studio as ds
from diffusion_studio.errors import StudioError
from diffusion_studio.inside import attention_view as view
from diffusion_studio.inside.settings import Settings

CHANGED = 0.05
PROMPTS = (
    "deep elf, robe white, black hood, staff ruby, shield gold",
    "orc, half plate, green boots, wizard white",
    "dwarf, coat red, garter, white cloak, hood gray, staff ruby",
)


def main() -> None:
    asked = arguments()
    folder = Path(asked.model)
    studio = ds.Studio(folder.parent, precision="fp32")
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for prompt in asked.prompt or PROMPTS:
        for seed in range(asked.seeds):
            recipe = studio.recipe(folder.name, prompt=prompt, seeds=(seed,), steps=asked.steps)
            studio.run(recipe)
            run = ds.inside.Run.of(studio, recipe)
            for step in asked.at:
                compared(run.state(step), rows)
    print(
        "| word | same sign | correlation | map finds the change | values that change |\n|---|---|---|---|---|"
    )
    for word, found in sorted(rows.items(), key=lambda one: -np.mean([row[3] for row in one[1]])):
        sign, correlation, finds, changed = np.nanmean(np.array(found), axis=0)
        print(f"| {word} | {sign:.0%} | {correlation:.2f} | {finds:.2f} | {changed:.1%} |")
    whole = np.array([row for found in rows.values() for row in found])
    weights = np.nan_to_num(whole[:, 3])
    sign, correlation, finds = (
        np.average(whole[~np.isnan(whole[:, k]), k], weights=weights[~np.isnan(whole[:, k])])
        for k in range(3)
    )
    print(f"| all, by how much they change | {sign:.0%} | {correlation:.2f} | {finds:.2f} | |")


def compared(state: object, rows: dict[str, list[tuple[float, float, float, float]]]) -> None:
    seen = view.look(state, Settings())
    tokens = seen.numbers["tokens"]
    for k in view.places_of(tokens, None):
        found = view.leave_out(state, tokens[k])
        masked, removed = found["masked"].ravel(), found["removed"].ravel()
        changed = np.abs(removed) > CHANGED
        sign = (np.sign(masked) == np.sign(removed))[changed].mean() if changed.any() else np.nan
        correlation = np.corrcoef(masked, removed)[0, 1] if removed.std() and masked.std() else np.nan
        pixels = np.abs(found["removed"]).max(0) > CHANGED
        finds = ranked(seen["words"][k], pixels)
        rows.setdefault(tokens[k], []).append((sign, correlation, finds, changed.mean()))


def ranked(attention: np.ndarray, pixels: np.ndarray) -> float:
    """The area under the ROC curve of the attention for the pixels."""
    if pixels.all() or not pixels.any():
        return np.nan
    order = attention.ravel().argsort().argsort() + 1.0
    count = pixels.sum()
    return float((order[pixels.ravel()].sum() - count * (count + 1) / 2) / count / (pixels.size - count))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="folder of a model that reads text")
    parser.add_argument("--prompt", action="append", help="instead of the three by default; may be repeated")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--at", type=int, nargs="+", default=[6, 10, 14])
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(str(error))
