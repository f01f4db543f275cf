"""How do time and memory grow with pictures, size, parameters and steps?

    python tests/benchmarks/scale.py                    # measures (some minutes) and draws assets/scale.png
    python tests/benchmarks/scale.py --draw             # draws assets/scale.csv again

One of the four grows, the others stay: one picture of 32x32, a U-Net of 2.2 M parameters (32 channels, levels 1,
2, 2, 2, attention at 8), fp32. Of pictures, size and parameters a network call is measured, of steps a run
with every state recorded. Times are the least of several calls, of the processor with one thread, else by the
clock: what else the machine does only adds. Memory is the process's peak during the call over what it held
before; for parameters the weights and their copy in the layout of the convolutions count too, for steps the
recorded states. Only Linux tells the peak; elsewhere memory is left out.

Each exponent is the slope of a straight line through the logarithms, and that between the two largest cases,
where what a call costs at least counts little. Beside them stands theory: pictures 1; size 2, as positions are
size squared, and more where attention's weights, size to the fourth, count; parameters 1, as almost every weight
of a convolution is used once at each position. Steps take time to the power 1 and no memory but for the recorded
states, which are small beside one call.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _figure import Curve, Panel, draw
from _timing import ROOT  # first of what is the project's, as it puts this checkout on the path

import diffusion_studio as ds
from diffusion_studio.device import describe
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.networks import build
from diffusion_studio.runs.generate import stream

CHANNELS, PICTURES, SIZE = 32, 1, 32
CASES = {
    "pictures": (1, 4, 16, 64),
    "size": (32, 64, 128, 256),
    "channels": (32, 64, 128, 236),  # 2.2, 8.9, 35.7 and 121 M parameters
    "steps": (5, 20, 80),
}
THEORY = {"pictures": (1.0, 1.0), "size": (2.0, 2.0), "parameters": (1.0, 1.0), "steps": (1.0, 0.0)}
MB = 1 << 20


@dataclass(frozen=True)
class Row:
    what: str
    amount: float  # pictures, pixels a side, millions of parameters, steps
    seconds: float
    memory: float | None  # MB


def main() -> None:
    asked = arguments()
    table = asked.table
    if not asked.draw:
        torch.set_num_threads(asked.threads)
        rows = [row for what in CASES for row in measured(what, asked)]
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows((one.what, one.amount, one.seconds, one.memory) for one in rows)
        print(f"{describe(torch.device('cpu'))}, torch {torch.__version__}")
    else:
        with table.open(encoding="utf-8", newline="") as file:
            rows = [Row(a, float(b), float(c), float(d) if d else None) for a, b, c, d in csv.reader(file)]
    for what, theory in THEORY.items():
        mine = [row for row in rows if row.what == what]
        print(f"{what:11}" + "".join(f"{row.amount:>10.3g}" for row in mine))
        for name, pick, expected in zip(("seconds", "MB"), (seconds_of, memory_of), theory):
            points = [point for row in mine if (point := pick(row)) is not None]
            told = "".join(f"{y:>10.3g}" for _, y in points)
            print(
                f"   {name:8}{told}   exponent {slope(points):.2f}, of the "
                f"two largest {slope(points[-2:]):.2f}, in theory {expected:g}"
            )
    draw(table.with_suffix(".png"), panels(rows), "times the smallest case", dark=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draw", action="store_true", help="draw the table again, without measuring")
    parser.add_argument("--table", type=Path, default=ROOT / "assets" / "scale.csv")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def measured(what: str, asked: argparse.Namespace) -> list[Row]:
    rows = []
    for amount in CASES[what]:
        given = {"pictures": PICTURES, "size": SIZE, "channels": CHANNELS, "steps": 1, what: amount}
        before = held()
        model = model_of(given["channels"], given["size"])
        weights = (held() - before) / MB if what == "channels" and before else 0.0
        run = (lambda m=model, n=amount: recorded(m, n)) if what == "steps" else call_of(model, given)
        run()  # warms up
        taken, peak = cost(run, asked)
        shown = amount
        if what == "channels":
            shown = sum(p.numel() for p in model.network.parameters()) / 1e6
        row = Row(
            {"channels": "parameters"}.get(what, what), shown, taken, None if peak is None else peak + weights
        )
        rows.append(row)
        del model, run
    return rows


def model_of(channels: int, size: int) -> ds.Model:
    config = UNetConfig(
        channels=channels, multipliers=(1, 2, 2, 2), attention_levels=(2,), conditioning="add", norm_groups=4
    )
    spec = ds.ModelSpec(network=config, image_size=size)
    model = ds.Model(spec, build(config).eval(), torch.device("cpu"), torch.float32)
    model.denoiser()  # arranges the weights, as a run does
    return model


def call_of(model: ds.Model, given: dict[str, int]) -> Callable[[], Any]:
    side = given["size"]
    x = torch.randn(given["pictures"], 3, side, side).to(memory_format=torch.channels_last)
    t = torch.full((1,), 500.0).expand(len(x))

    def call() -> torch.Tensor:
        with torch.no_grad():
            return model.network(x, t)

    return call


def recorded(model: ds.Model, steps: int) -> list[Any]:
    recipe = ds.Recipe.from_settings({"seeds": tuple(range(PICTURES)), "steps": steps})
    return list(stream(model, recipe))


def cost(run: Callable[[], Any], asked: argparse.Namespace) -> tuple[float, float | None]:
    """The least seconds of several calls, and the most MB that one takes besides what was there."""
    clock = time.process_time if asked.threads == 1 else time.perf_counter
    taken, peaks = [], []
    for _ in range(asked.repeats):
        before = held(anew=True)
        start = clock()
        kept = run()
        taken.append(clock() - start)
        if before:
            peaks.append((peak() - before) / MB)
        del kept
    return min(taken), max(min(peaks), 1 / 64) if peaks else None


def held(anew: bool = False) -> int:
    """Bytes that the process holds after what is free was given back; 0 where Linux does not tell.

    `anew` begins a new peak.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        if anew:
            Path("/proc/self/clear_refs").write_text("5", "ascii")
    except (OSError, AttributeError):
        return 0
    return _status("VmRSS")


def peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def seconds_of(row: Row) -> tuple[float, float] | None:
    return row.amount, row.seconds


def memory_of(row: Row) -> tuple[float, float] | None:
    return None if row.memory is None else (row.amount, row.memory)


def slope(points: list[tuple[float, float]]) -> float:
    """Of the least-squares line through the logarithms."""
    if len(points) < 2:
        return math.nan
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys)) / sum((x - x0) ** 2 for x in xs)


def panels(rows: list[Row]) -> list[Panel]:
    made = []
    for title, unit, pick in (("Time", "seconds", seconds_of), ("Memory", "MB", memory_of)):
        curves = []
        for what in THEORY:
            points = [point for row in rows if row.what == what and (point := pick(row)) is not None]
            if points:
                first = points[0][0]
                curves.append(Curve(what, [(x / first, y) for x, y in points]))
        if curves:
            made.append(Panel(title, unit, curves, most=1e6))
    return made


if __name__ == "__main__":
    sys.exit(main())
