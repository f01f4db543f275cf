"""How much faster an evaluation draws its pictures in two processes of torchrun than in one.

    python tests/benchmarks/two_processes.py [--model fashion-mnist] [--pictures 512] [--rounds 3]

Both have one thread for each process and talk by gloo. Each is run with few pictures and with many, and the
rate is of the difference, without the time to start. The turns are interleaved; the medians' ratio is printed.
The pictures of both must be the same, bit for bit. Other work on the machine makes the figure meaningless.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from _timing import ROOT

FEW = 32


def seconds(processes: int, pictures: int, args: argparse.Namespace, folder: Path) -> float:
    """Time of one evaluation; its pictures lie below `folder`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", "diffusion_studio", "evaluate", args.model]
    command += ["--data", args.data, "--metrics", "neighbours", "--pictures", str(pictures)]
    command += ["--steps", str(args.steps), "--precision", "fp32", "--work", str(folder)]
    began = time.perf_counter()
    subprocess.run(
        command, cwd=ROOT, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True
    )
    return time.perf_counter() - began


def drawn(folder: Path) -> np.ndarray:
    """All pictures below a folder, in the order of their files."""
    files = sorted(folder.rglob("pictures/*.npz"), key=lambda path: path.relative_to(folder))
    parts = []
    for path in files:
        with np.load(path) as part:
            parts.append(part["images"])
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="fashion-mnist")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as temp:
            for processes, found in rates.items():
                few = seconds(processes, FEW, args, Path(temp) / f"few-{processes}")
                many = seconds(processes, FEW + args.pictures, args, Path(temp) / f"many-{processes}")
                found.append(args.pictures / (many - few))
            one, two = (drawn(Path(temp) / f"many-{processes}") for processes in rates)
            assert len(one) == FEW + args.pictures and np.array_equal(one, two), "the pictures differ"
    for processes, found in rates.items():
        print(f"{processes} process(es): {median(found):.1f} pictures a second")
    print(f"two processes are {median(rates[2]) / median(rates[1]):.2f} times as fast, the pictures equal")


if __name__ == "__main__":
    main()
