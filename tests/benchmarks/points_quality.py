"""How good a bundled model of points is: energy distance and permutation test against true points, and its
likelihood.

    python tests/benchmarks/points_quality.py checkpoints/swiss-roll swiss-roll --steps 50 20 10
    python tests/benchmarks/points_quality.py checkpoints/shapes --guidance 1

Two true sets of the same size are the measure: a perfect model's distance is like theirs.
"""

from __future__ import annotations

import argparse
import time

import diffusion_studio as ds
from diffusion_studio.data.point_sets import POINT_SETS
from diffusion_studio.metrics.points import draw_points, log_density, two_samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("data", nargs="?", help="a named set; left out, each of the model's labels")
    parser.add_argument("--steps", type=int, nargs="+", default=[50])
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--guidance", type=float, default=1.0)
    args = parser.parse_args()
    model = ds.load(args.model, "cpu")
    print(
        "shape            steps  energy distance  p      of two true sets  seconds  nats a point (300 true "
        "points)"
    )
    for name in [args.data] if args.data else model.spec.labels:
        label = None if args.data else name
        true, other = (POINT_SETS[name](args.count, seed).astype(float) for seed in (101, 102))
        fair = two_samples(other, true, 100)
        nats = -log_density(model, true[:300], label, steps=40).mean()
        for steps in args.steps:
            began = time.perf_counter()
            made = draw_points(model, args.count, 7, label, steps=steps, guidance=args.guidance)
            spent = time.perf_counter() - began
            found = two_samples(made, true, 100)
            print(
                f"{name:16} {steps:5}  {found.distance:15.5f}  {found.p_value:.2f}  {fair.distance:16.5f}  "
                f"{spent:7.2f}  {nats:.3f}"
            )


if __name__ == "__main__":
    main()
