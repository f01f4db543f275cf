"""The README's figure: error against network calls, for every deterministic solver.

    python tests/benchmarks/solver_figure.py            # measures (some minutes) and draws
    python tests/benchmarks/solver_figure.py --draw     # draws assets/solvers.csv again

Left the mixture of solver_order.py, in float64, against its exact solution. Right the bundled Fashion-MNIST
model, eight pictures with one label each, no guidance, nothing clipped: root mean square distance, over
pixels in [-1, 1], to Heun's result in 1,000 steps; at the most steps that 5, 10, 20 and 50 network calls
allow, evenly in log-SNR (the adaptive solver at four tolerances). Writes assets/solvers.csv, and
assets/solvers.png and assets/solvers-dark.png for light and dark pages.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator

import torch
from _figure import Curve, Panel, draw
from _timing import ROOT
from solver_order import SOLVERS, measured

import diffusion_studio as ds
from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.prediction import Prediction
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.spacing import path

CSV = ROOT / "assets" / "solvers.csv"
MIXTURE, PICTURES = "mixture", "fashion-mnist"
BUDGETS = (5, 10, 20, 50)
STEPS = (3, 5, 8, 12, 20, 32, 50, 80, 128, 200)
REFERENCE = 1000
TITLES = {
    "ddim": "DDIM, Euler",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_3m": "DPM++ 3M",
    "dpmpp_2s": "DPM++ 2S",
    "unipc 1": "UniPC 1",
    "unipc 2": "UniPC 2",
    "unipc 3": "UniPC 3",
    "plms": "PLMS",
    "pndm": "PNDM",
    "lms": "LMS",
    "deis": "DEIS",
    "adaptive": "adaptive",
}
Row = tuple[str, str, int, float]  # problem, solver, network calls, error


def on_mixture() -> Iterator[Row]:
    for name in TITLES:
        if name == "adaptive":
            found = [measured(s.Adaptive(10.0**-k), 3) for k in range(1, 5)]
        else:
            found = [measured(SOLVERS[name], steps) for steps in STEPS]
        yield from ((MIXTURE, name, calls, error) for calls, error in found if calls <= 220)


def on_pictures() -> Iterator[Row]:
    model = ds.load(ROOT / "checkpoints" / "fashion-mnist", "cpu", "fp32")
    denoise = model.denoiser(model.spec.labels[:8])
    noise = ds.Noise(tuple(range(8)), model.shape)

    def run(sampler: s.Sampler, steps: int) -> tuple[int, torch.Tensor]:
        levels = Levels(path(model.schedule, steps, "log-snr"), model.schedule)
        *_, last = sample(sampler, denoise, noise(0), levels, noise)
        return last.calls, last.x

    _, wanted = run(s.Heun(), REFERENCE)
    for name in TITLES:
        runs = (
            [(s.Adaptive(tolerance), 3) for tolerance in (0.5, 0.1, 0.02, 0.005)]
            if name == "adaptive"
            else [(SOLVERS[name], most_steps(SOLVERS[name], budget)) for budget in BUDGETS]
        )
        for sampler, steps in runs:
            calls, found = run(sampler, steps)
            yield PICTURES, name, calls, (found - wanted).square().mean().sqrt().item()


def most_steps(sampler: s.Sampler, budget: int) -> int:
    """The most steps that take no more network calls."""

    def calls(steps: int) -> int:
        x = torch.zeros(1, 1, 1, 1)
        *_, last = sample(
            sampler,
            lambda x, level: Prediction(x, x),
            x,
            path(ds.SCHEDULES["linear"](), steps, "log-snr"),
            None,
        )
        return last.calls

    return max(steps for steps in range(1, budget + 1) if calls(steps) <= budget)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    asked = parser.parse_args()
    if not asked.draw:
        with CSV.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["problem", "solver", "calls", "error"])
            for problem, name, calls, error in (*on_mixture(), *on_pictures()):
                print(f"{problem:14s} {name:10s} {calls:4d} calls   error {error:.2e}", flush=True)
                writer.writerow([problem, name, calls, f"{error:.4g}"])
    with CSV.open(encoding="utf-8") as file:
        rows = [
            (row["problem"], row["solver"], int(row["calls"]), float(row["error"]))
            for row in csv.DictReader(file)
        ]
    panels = [
        Panel("Mixture of Gaussians, exact network", "distance to the exact solution", curves(rows, MIXTURE)),
        Panel("Fashion-MNIST model", "distance to 1,000 steps of Heun", curves(rows, PICTURES), most=1.0),
    ]
    for name, dark in (("solvers.png", False), ("solvers-dark.png", True)):
        draw(ROOT / "assets" / name, panels, "network calls", dark)


def curves(rows: list[Row], problem: str) -> list[Curve]:
    found = []
    for name, title in TITLES.items():
        points = sorted(
            {calls: error for kind, solver, calls, error in rows if (kind, solver) == (problem, name)}.items()
        )
        found.append(
            Curve(
                title,
                [(float(calls), error) for calls, error in points if math.isfinite(error) and error > 0],
            )
        )
    return found


if __name__ == "__main__":
    main()
