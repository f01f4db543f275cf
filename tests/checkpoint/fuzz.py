"""Throw damaged and hostile checkpoints at the readers for some minutes, and report whatever is not a
sentence of ours.

    python tests/checkpoint/fuzz.py --minutes 10 --seed 0

A file of every layout (and a native one) has its header's bytes or values changed, its tensors' places
overlapped, its container cut or replaced, and the configurations beside it filled with strange values. A
finding is an exception that is no `StudioError`, a read that computes for more than 5 s or does not end,
memory beyond 512 MB over the start's, or the end of the process; its folder is kept under --keep. Exits with
1 where there was one. OMP_NUM_THREADS=1 and `nice` leave the machine to others.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NAME = "diffusion_pytorch_model.safetensors"
INDEX = "sharded.safetensors.index.json"
MOST_CPU, PATIENCE = 5.0, 60.0  # seconds
SPARE = 512 << 20
STRANGE = [
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    2**63,
    10**30,
    1e-300,
    1e300,
    float("nan"),
    "",
    "x",
    "9" * 5000,
    "../../x",
    [],
    [1],
    ["x"],
    [[1]] * 3,
    {},
    {"a": 1},
]
STARTS = [
    b"",
    b"{",
    b"PK\x03\x04",
    b"\x80\x02}",
    b"<!DOCTYPE html><html>",
    b"version https://git-lfs.github.com/spec/v1\n",
    b"\xff" * 8,
    b"\x89HDF\r\n",
    b"GGUF",
    (2**31).to_bytes(8, "little") + b"{",
]


def mutated(raw: bytes, draw: np.random.Generator) -> bytes:
    """The file cut, with bytes flipped in its header, or with a part of the header replaced."""
    kind = draw.integers(5)
    length = 8 + int.from_bytes(raw[:8], "little")
    if kind == 0:
        return raw[: draw.integers(len(raw))]
    changed = bytearray(raw)
    if kind == 1:
        for at in draw.integers(0, length, draw.integers(1, 9)):
            changed[at] = draw.integers(256)
    elif kind == 2:
        at = draw.integers(8, length)
        changed[at:at] = draw.choice([b"[", b"{", b'"', b"9" * 30, b"-", b"null", b"1e999", b"\xff"])
    elif kind == 3:
        at = raw.index(b".weight", draw.integers(8, length // 2)) + 3  # another name, as long
        changed[at] = ord("x")
    else:
        digits = [k for k in range(8, length) if chr(raw[k]).isdigit()]
        for at in draw.choice(digits, 3):
            changed[at] = ord(str(draw.integers(10)))
    return bytes(changed)


def rewritten(raw: bytes, draw: np.random.Generator) -> bytes:
    """The file with a header that is JSON of the right length, but says something else."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    for _ in range(draw.integers(1, 4)):
        name = names[draw.integers(len(names))]
        one, kind = header.get(name), draw.integers(8)
        if not isinstance(one, dict):  # taken away before, or strange by now
            continue
        if kind == 0 and isinstance(one.get("shape"), list):
            one["shape"] = [s * 2 if k == 0 else s for k, s in enumerate(one["shape"])]
        elif kind == 1:
            one["shape"] = STRANGE[draw.integers(len(STRANGE))]
        elif kind == 2:
            one["dtype"] = ["F64", "I8", "F8_E4M3", "BOOL", "BF16", "x", None][draw.integers(7)]
        elif kind == 3:
            one["data_offsets"] = dict(header.get(names[draw.integers(len(names))], {})).get("data_offsets")
        elif kind == 4:
            header.pop(name)
        elif kind == 5:
            header[["../" + name, name + "." * 50, "", "model." + name, name.upper()][draw.integers(5)]] = (
                header.pop(name)
            )
        elif kind == 6:
            header["__metadata__"] = STRANGE[draw.integers(len(STRANGE))]
        else:
            header[f"{name}.{draw.integers(100)}"] = dict(one)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def strange(given: dict[str, Any], draw: np.random.Generator) -> dict[str, Any]:
    """A configuration with some of its values replaced."""
    names = sorted(given)
    picked = draw.choice(names, min(len(names), int(draw.integers(1, 3))), replace=False)
    made = {**given, **{str(name): STRANGE[draw.integers(len(STRANGE))] for name in picked}}
    if isinstance(places := made.get("weight_map"), dict) and places:
        made["weight_map"] = {
            **places,
            str(draw.choice(sorted(places))): STRANGE[draw.integers(len(STRANGE))],
        }
    return made


def originals(folder: Path) -> list[tuple[bytes, dict[str, dict]]]:
    """A file and its configurations of every case of every layout, and the native files made of them."""
    import torch
    from safetensors.torch import save_file

    from diffusion_studio import checkpoint

    found = importlib.util.spec_from_file_location("make_reader_golden", HERE / "make_golden.py")
    golden = importlib.util.module_from_spec(found)
    found.loader.exec_module(golden)
    made = []
    for layout in golden.LAYOUTS:
        stored = np.load(golden.HERE / f"golden_{layout}.npz")
        for key in sorted(one for one in stored if one.endswith(".about")):
            given = json.loads(zlib.decompress(stored[key].tobytes()))
            save_file(
                {
                    name: torch.from_numpy(value)
                    for name, value in golden.formula_weights(given["shapes"]).items()
                },
                folder / NAME,
            )
            beside = {
                file: given[name]
                for name, file in (
                    ("config", "config.json"),
                    ("scheduler", "scheduler_config.json"),
                    ("flags", "args.json"),
                )
                if name in given
            }
            made.append(((folder / NAME).read_bytes(), beside))
            places = dict.fromkeys(given["shapes"], NAME)  # the same file as the one part of a sharded model
            made.append((made[-1][0], {**beside, INDEX: {"metadata": {}, "weight_map": places}}))
        seen = checkpoint.inspect(folder / NAME)
        weights = checkpoint.read_any(folder / NAME)
        checkpoint.write(folder / "n.safetensors", seen.spec, weights.network.state_dict(), torch.float32)
        made.append(((folder / "n.safetensors").read_bytes(), {}))
    return made


def damaged(files: list[tuple[bytes, dict]], draw: np.random.Generator) -> tuple[bytes, dict]:
    """One of the files, made worse."""
    raw, beside = files[draw.integers(len(files))]
    kind = draw.integers(12)
    if kind == 0:
        return STARTS[draw.integers(len(STARTS))] + draw.bytes(int(draw.integers(2000))), beside
    if kind <= 4:
        return raw, {name: strange(one, draw) if one else one for name, one in beside.items()}
    worse = rewritten(raw, draw) if kind <= 8 else mutated(raw, draw)
    return worse, beside if draw.integers(2) else {}


def put(folder: Path, raw: bytes, beside: dict[str, dict]) -> None:
    for old in folder.iterdir():
        old.unlink()
    (folder / NAME).write_bytes(raw)
    for name, given in beside.items():
        (folder / name).write_text(json.dumps(given), "utf-8")


def work(folder: Path, keep: Path, seed: int, seconds: float) -> None:
    """Read one damaged folder after another; prints findings and a summary."""
    sys.path.insert(0, str(HERE.parents[1]))
    from diffusion_studio import checkpoint
    from diffusion_studio.errors import StudioError

    draw = np.random.default_rng(seed)
    files = originals(folder)
    checkpoint.read_any(folder / "n.safetensors")  # whatever is allocated once
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)
    counts = {"loaded": 0, "refused": 0, "findings": 0}
    slowest, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        put(folder, *damaged(files, draw))
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        began = time.process_time()
        try:
            checkpoint.read_any(folder / INDEX if (folder / INDEX).exists() else folder)
            counts["loaded"] += 1
        except StudioError as error:
            assert 20 < len(str(error)) < 10_000, str(error)[:200]
            counts["refused"] += 1
        except BaseException:
            counts["findings"] += 1
            traceback.print_exc()
            shutil.copytree(folder, keep / f"{seed}-{counts['findings']}", dirs_exist_ok=True)
        faulthandler.cancel_dump_traceback_later()
        spent = time.process_time() - began
        slowest = max(slowest, spent)
        if spent > MOST_CPU:
            counts["findings"] += 1
            print(f"took {spent:.1f} s of the CPU's time")
            shutil.copytree(folder, keep / f"{seed}-{counts['findings']}", dirs_exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"seed {seed}: {counts}, slowest {slowest:.2f} s of CPU, peak {peak:.0f} MB")
    sys.exit(counts["findings"] > 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default="fuzz-findings", help="folder for what was found")
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # of the process that reads
    asked = parser.parse_args()
    if asked.folder:
        return work(Path(asked.folder), Path(asked.keep), asked.seed, asked.minutes * 60)
    keep = Path(asked.keep).resolve()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                __file__,
                "--minutes",
                str(asked.minutes),
                "--seed",
                str(asked.seed),
                "--keep",
                str(keep),
                "--folder",
                folder,
            ]
        )
        if done.returncode not in (0, 1) or (
            done.returncode == 1 and not keep.exists()
        ):  # killed, hung, or out of memory
            shutil.copytree(folder, keep / f"{asked.seed}-last", dirs_exist_ok=True)
            print(f"the reading process ended with {done.returncode}")
    sys.exit(done.returncode != 0)


if __name__ == "__main__":
    main()
