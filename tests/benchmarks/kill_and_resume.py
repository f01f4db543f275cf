"""Is a run that is killed again and again, and resumed, the run that never was? Bit for bit, on one CPU.

    python tests/benchmarks/kill_and_resume.py [--kills 20] [--seed N] [-- FLAGS OF THE VERB train]

Trains a small network by the command line, once without interruption and once with `kill -9` at random
moments: while Python starts, within a step, while the state, a snapshot, the model or the log is written.
Then compares weights, averages, moments, random state, snapshots, the model file and the log. Exits with 1
where anything differs.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
SETTINGS = {
    "size": 8,
    "channels": 8,
    "multipliers": "1,2",
    "attention": "4",
    "norm-groups": 4,
    "batch": BATCH,
    "warmup": 3,
    "timesteps": 5,
    "dropout": 0.1,
    "ema": 0.9,
    "ema-also": 0.5,
    "ema-power": "0.05,0.1",
    "snapshot-every": 12,
    "objective": "hybrid",
    "draw-t": "loss",
    "accumulate": 2,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, help="of the moments; by default another one each time")
    parser.add_argument("flags", nargs="*", help="further settings of the training, after --")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.savez(
            place / "pictures.npz",
            images=np.random.default_rng(0).integers(0, 256, (11, 8, 8), np.uint8),
            labels=np.arange(11) % 3,
        )
        flags = [f"--{name}={value}" for name, value in SETTINGS.items()] + ["--flips", *asked.flags]
        start = [f"--data={place / 'pictures.npz'}", f"--images={BATCH * 4 * asked.kills}", *flags]
        began = time.monotonic()
        train([*start, f"--out={place / 'whole'}"], subprocess.DEVNULL).wait()
        print(f"{rows(place / 'whole')} steps without interruption, {time.monotonic() - began:.0f} s")
        moments = killed(start, place / "parts", asked.kills, chance)
        print(f"{asked.kills} kills: {', '.join(moments)}")
        wrong = differences(place / "whole", place / "parts")
    print("equal bit for bit" if not wrong else "\n".join(wrong))
    return bool(wrong)


def train(words: list[str], said: Any) -> subprocess.Popen:
    """The verb train, which saves after every step; its log has a row for each. What it says goes to the
    file `said`.
    """
    code = (
        "import sys, diffusion_studio.training.loop as loop; loop.LOG_EVERY = 1\n"
        "from diffusion_studio.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "train",
            *words,
            "--device=cpu",
            "--sample-every=0",
            f"--save-every={BATCH}",
        ],
        cwd=ROOT,
        stdout=said,
        stderr=said,
    )


def killed(start: list[str], out: Path, kills: int, chance: random.Random) -> list[str]:
    """Train into `out` with so many kills, then to the end; the steps at which they fell."""
    moments = []
    while True:
        resumed = (out / "config.json").exists()
        done = rows(out)
        with (out.parent / "said.txt").open("wb") as said:
            process = train([f"--resume={out}"] if resumed else [*start, f"--out={out}"], said)
        if len(moments) == kills:
            if process.wait():
                raise SystemExit(f"The last session failed with {process.returncode}.")
            return moments
        early = chance.random() < 0.1  # while Python starts
        aim = done + chance.randint(0, 3)
        while not early and process.poll() is None and rows(out) <= aim:
            time.sleep(0.002)
        try:
            process.wait(chance.uniform(0, 1.5 if early else 0.15))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            said = (out.parent / "said.txt").read_text("utf-8", "replace")[-2000:]
            raise SystemExit(
                f"A session ended by itself with {process.returncode} before it could be killed:\n{said}"
            )
        moments.append("starting" if early else f"step {rows(out)}")


def rows(out: Path) -> int:
    """How far the log is."""
    path = out / "log.csv"
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0


def differences(one: Path, other: Path) -> list[str]:
    found = []
    files = [sorted(path.relative_to(run) for path in run.rglob("*.safetensors")) for run in (one, other)]
    if files[0] != files[1] or len(files[0]) < 4:
        return [f"other files: {files[0]} and {files[1]}"]
    for name in files[0]:
        a, b = (load_file(run / name) for run in (one, other))
        found += [f"{name}: other tensors"] if a.keys() != b.keys() else []
        found += [f"{name}: {key}" for key in a.keys() & b.keys() if a[key].tobytes() != b[key].tobytes()]
    logs = [
        [
            (row["step"], row["seen"], row["loss"], row["lr"])
            for row in csv.DictReader((run / "log.csv").open())
        ]
        for run in (one, other)
    ]
    return found + ["log.csv"] * (logs[0] != logs[1])


if __name__ == "__main__":
    sys.exit(main())
