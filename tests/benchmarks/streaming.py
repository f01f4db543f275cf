"""What watching costs: a run through the app against the same sampler loop alone, and the wait for the first
state.

    python tests/benchmarks/streaming.py [--count 16] [--steps 50] [--repeats 3]

Starts `python app.py` and takes turns with the engine in this process, so that both see the same machine.
Targets: a run through the app's endpoint, until all n + 1 frames are pulled, at most 1.15 times the engine's
loop; in a browser the first state on screen within 0.3 s plus one network call after the click. The run in
the browser is reported too: Chromium then paints on the same cores, which a visitor's own machine does
elsewhere.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from _page import Page
from _timing import ROOT, against, seconds  # first, as it puts this checkout on the path

import diffusion_studio as ds

WATCH = """() => {
  const root = document.querySelector('.player'), began = performance.now(), old = root.dataset.run || '';
  document.querySelector('#generate').click();
  return new Promise((done) => {
    let first = null;
    const look = () => {
      const d = root.dataset, now = performance.now() - began;
      if (d.run && d.run !== old) {
        if (first === null && Number(d.shown) >= 0) first = now;
        if (d.ended === 'true' && d.loaded === 'TOTAL') return done([first / 1000, now / 1000]);
      }
      setTimeout(look, 4);
    };
    look();
  });
}"""


@contextmanager
def app() -> Iterator[str]:
    """The address of a running `python app.py`."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "app.py"], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while not (found := re.search(r"http://\S+:\d+", Path(log.name).read_text())):
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text())
                time.sleep(0.2)
            time.sleep(8)  # its warm-up
            yield found.group()
        finally:
            process.terminate()
            process.wait(20)


def engine(studio: ds.Studio, recipe: ds.Recipe) -> tuple[float, float]:
    """Seconds of the sampler loop alone, without recording, and of one of its network calls."""
    from diffusion_studio.runs.generate import plan

    made = plan(studio.model(recipe.model), recipe)
    began = time.perf_counter()
    for _ in ds.sample(recipe.sampler, made.denoise, made.start(), made.levels, made.noise):
        pass
    whole = time.perf_counter() - began
    return whole, whole / recipe.steps


def everything(page: Page, recipe: ds.Recipe) -> None:
    """A run with all its frames pulled."""
    count = page.run(steps=recipe.steps, count=len(recipe.seeds))
    if count != recipe.steps + 1:
        sys.exit(f"{count} frames came instead of {recipe.steps + 1}")


def open_page(chromium: Any, address: str, recipe: ds.Recipe) -> Any:
    """The app's page with the recipe's settings in place."""
    from urllib.parse import quote

    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/?recipe={quote(recipe.to_json())}")
    page.wait_for_selector(".player")
    page.wait_for_function(f"document.querySelector('#steps input[type=number]')?.value === '{recipe.steps}'")
    page.wait_for_timeout(2000)
    return page


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    studio = ds.Studio(ROOT / "checkpoints")
    recipe = studio.recipe(args.model, steps=args.steps, seeds=tuple(range(args.count)))
    engine(studio, studio.recipe(args.model, steps=2, seeds=recipe.seeds))  # warm
    alone, calls, pulled, watched, firsts = [], [], [], [], []
    with app() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = open_page(chromium, address, recipe)
        for _ in range(args.repeats):
            whole, call = engine(studio, recipe)
            pulled.append(seconds(lambda: everything(Page(address), recipe)))
            first, finished = page.evaluate(WATCH.replace("TOTAL", str(args.steps + 1)))
            alone.append(whole), calls.append(call), watched.append(finished), firsts.append(first)
        chromium.close()
    ratio, wait = median(pulled) / median(alone), median(firsts) - median(calls)
    print(f"{args.count} pictures, {args.steps} steps, medians of {args.repeats}")
    print(f"engine's loop alone    {median(alone):.2f} s")
    print(f"through the endpoint   {median(pulled):.2f} s, ratio {ratio:.3f}, {against(ratio, 1.15)}")
    print(f"in a browser here      {median(watched):.2f} s, ratio {median(watched) / median(alone):.3f}")
    print(
        f"click to first state   {median(firsts):.3f} s, of which one network call {median(calls):.3f} s; "
        f"the rest {wait:.3f} s, {against(wait, 0.3)}"
    )


if __name__ == "__main__":
    main()
