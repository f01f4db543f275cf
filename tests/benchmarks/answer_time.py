"""How soon are a page's requests answered while the network computes 64 pictures?

    python tests/benchmarks/answer_time.py [--rounds 3] [--steps 15]

Starts two hosted apps of this checkout: as it is, and with `ui.compute.NICER = 0`, where the computing thread
has the same priority as the threads that answer. They take turns: a page makes a run, and meanwhile a program asks for
the page, its configuration and frames of a run that is not there. Prints the median and the slowest tenth of the
answers, their ratio, and the seconds for each state of the run.

Other programs on the machine go before the computing thread too: measure where there are none.

Target: with the lower priority the median answer takes less time, and the run no more than a tenth longer.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from _page import Page
from _timing import ROOT, against

PROGRAM = """import sys
from diffusion_studio.ui import compute
compute.NICER = int(sys.argv[1])
from diffusion_studio.cli import main
sys.exit(main(["serve", "--hosted"]))"""
KINDS = ("page", "configuration", "frames")
PAUSE = 0.15  # seconds between two requests


@contextmanager
def app(nicer: int) -> Iterator[str]:
    """The address of an app whose computing thread has a priority lower by this."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM, str(nicer)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while not (found := re.search(r"http://\S+:\d+", Path(log.name).read_text())):
                if process.poll() is not None:
                    raise SystemExit(Path(log.name).read_text())
                time.sleep(0.2)
            yield found.group()
        finally:
            process.terminate()
            process.wait(60)


def beside_a_run(address: str, page: Page, steps: int, answers: dict[str, list[float]]) -> float:
    """Make a run, add the seconds of the answers meanwhile, and return its own for each state."""
    frames: list[int] = []
    run = threading.Thread(target=lambda: frames.append(page.run(steps=steps, count=64)))
    about = {"fn_name": "frames", "component_id": page.player, "session_hash": "nobody"}
    began = time.perf_counter()
    run.start()
    with httpx.Client(base_url=address, timeout=120) as http:
        asked: dict[str, Callable[[], Any]] = {
            "page": lambda: http.get("/"),
            "configuration": lambda: http.get("/config"),
            "frames": lambda: http.post(
                "/gradio_api/component_server", json={"data": ["none", [0]], **about}
            ),
        }
        while run.is_alive():
            for kind in KINDS:
                start = time.perf_counter()
                asked[kind]()
                answers[kind].append(time.perf_counter() - start)
                time.sleep(PAUSE)
    return (time.perf_counter() - began) / frames[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--nicer", type=int, default=5)
    args = parser.parse_args()
    taken = {0: {kind: [] for kind in KINDS}, args.nicer: {kind: [] for kind in KINDS}}
    states: dict[int, list[float]] = {0: [], args.nicer: []}
    with ExitStack() as stack:
        addresses = {nicer: stack.enter_context(app(nicer)) for nicer in taken}
        time.sleep(5)  # the first model is loaded once the page is up
        pages = {nicer: Page(address) for nicer, address in addresses.items()}
        for k in range(args.rounds):
            for nicer in [*addresses][:: 1 if k % 2 == 0 else -1]:
                found = beside_a_run(addresses[nicer], pages[nicer], args.steps, taken[nicer])
                states[nicer].append(found)
        for page in pages.values():
            page.close()
    for kind in KINDS:
        same, lower = (taken[nicer][kind] for nicer in taken)
        for name, one in (("same priority", same), ("lower priority", lower)):
            slow = quantiles(one, n=10)[-1]
            print(
                f"{kind}, {name}: median {1e3 * median(one):.0f} ms, nine of ten within {1e3 * slow:.0f} ms"
            )
        print(f"{kind}: ratio {median(lower) / median(same):.2f}, {against(median(lower) / median(same), 1)}")
    each = {nicer: median(found) for nicer, found in states.items()}
    ratio = each[args.nicer] / each[0]
    print(f"a state of the run: {each[0]:.2f} and {each[args.nicer]:.2f} s, {against(ratio, 1.1)}")


if __name__ == "__main__":
    main()
