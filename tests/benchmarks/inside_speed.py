"""What does a look into one state cost?

    python tests/benchmarks/inside_speed.py checkpoints/fashion-mnist checkpoints/heroes

For each view of one state of one picture: its time beside that of the network call that the run makes there
(guidance included), in turns. Then 'decided' with 16 new runs from a state beside a plain run of 16 pictures
over the same steps. Then a run before and after every view was looked at, which must be equal bit for bit, and
its time with the network that was looked into beside one that never was.

Targets: a view takes at most 1.5 network calls plus 50 ms, 16 new runs at most 1.15 times as long as a run
of 16 pictures, and a run after all views at most 1.03 times as long as one before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _timing import against, interleaved, spread

import diffusion_studio as ds
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.errors import StudioError
from diffusion_studio.inside import decided_view
from diffusion_studio.inside.settings import Settings
from diffusion_studio.networks.tokens import split

MOST_CALLS, MOST_MORE = 1.5, 0.050
MOST_AGAIN = 1.15
MOST_AFTER = 1.03
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
VIEWS = ("sum", "guidance", "attention", "network")


def main() -> None:
    asked = arguments()
    for folder in asked.models:
        measured(Path(folder), asked)


def measured(folder: Path, asked: argparse.Namespace) -> None:
    studio = ds.Studio(folder.parent, asked.device)
    card = studio.card(folder.name)
    text = getattr(card.spec.network, "text", None)
    prompt = " ".join(split(asked.prompt)[: text.tokens]) if text else None  # as much as it reads
    wanted = {"prompt": prompt} if card.spec.takes_text else {"label": (card.conditions or (None,))[0]}
    recipe = studio.recipe(folder.name, steps=asked.steps, seeds=(3,), **wanted)
    before = studio.run(recipe).frames
    step = asked.steps // 3

    def look(name: str) -> Callable[[], object]:
        def fresh() -> object:
            run._predictions.clear()  # each view pays for its own call
            try:
                return ds.inside.view(run, None, name, step)
            except StudioError as error:
                return skipped.setdefault(name, str(error))

        return fresh

    run, skipped = ds.inside.Run.of(studio, recipe), {}
    state = run.state(step)
    runs = {name: look(name) for name in VIEWS}
    runs["call"] = state.ask
    interleaved(runs, 1)  # warm up
    taken = interleaved(runs, asked.repeats, CLOCKS[asked.clock])
    call = min(taken["call"])
    print(
        f"{folder.name}: {asked.steps} steps of {type(recipe.sampler).__name__}; one call {spread(taken['call'])}"
    )
    for name in VIEWS:
        if name in skipped:
            print(f"  {name}: not for this model ({skipped[name][:60]}...)")
            continue
        seconds = min(taken[name])
        limit = MOST_CALLS * call + MOST_MORE
        print(f"  {name}: {seconds * 1e3:.0f} ms = {seconds / call:.2f} calls; {against(seconds, limit)}")
    new_runs(run, step, asked)
    after = studio.run(recipe).frames
    same = all((a.x == b.x).all() and (a.x0 == b.x0).all() for a, b in zip(before, after))
    print(f"  the run after the views: {'equal bit for bit' if same else 'DIFFERENT'}")
    never = ds.Studio(folder.parent, asked.device)
    both = {"looked": lambda: studio.run(recipe), "never": lambda: never.run(recipe)}
    interleaved(both, 1)
    taken = interleaved(both, asked.repeats, CLOCKS[asked.clock])
    ratio = min(taken["looked"]) / min(taken["never"])
    print(
        f"  its time beside a network that was never looked into: {ratio:.3f}; {against(ratio, MOST_AFTER)}"
    )


def new_runs(run: ds.inside.Run, step: int, asked: argparse.Namespace) -> None:
    """16 new runs beside a plain run of 16 pictures over the same levels."""
    state = run.state(step)
    segment = state.segment
    x = torch.randn(16, *state.x.shape[1:], dtype=state.x.dtype, device=state.x.device)

    def plain() -> None:
        for _ in sample(
            segment.sampler, segment.denoise, x, segment.levels[step:], lambda k: torch.randn_like(x)
        ):
            pass

    runs = {"new": lambda: decided_view.new_runs(state, Settings(again=16)), "plain": plain}
    interleaved(runs, 1)
    taken = interleaved(runs, max(asked.repeats // 2, 2), CLOCKS[asked.clock])
    ratio = min(taken["new"]) / min(taken["plain"])
    print(
        f"  decided, 16 new runs: {spread(taken['new'])}, {ratio:.2f} of a run; {against(ratio, MOST_AGAIN)}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", help="folders of models")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--prompt", default="deep elf, robe white, black hood, staff ruby, shield gold")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: on a machine that has other work"
    )
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(str(error))
