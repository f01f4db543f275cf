"""Many visitors at once: when each sees its first state, what fails, and what the server's memory does.

    python tests/benchmarks/visitors.py [--visitors 30] [--runs 1] [--steps 25] [--count 16]

Starts `python app.py --hosted` (or takes the app at an address) and lets so many scripted pages press
Generate in the same moment, each pulling every frame as a page does. With
`--runs` they press again when they are done. Prints median and last first state, median and last end,
each error with its number, how far the runs' first frames come apart in time, and memory and threads of the
server before, at most and after.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from _page import Page
from _timing import ROOT


@contextmanager
def app(root: Path) -> Iterator[tuple[str, int]]:
    """Address and process number of a running app of this checkout."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "app.py", "--hosted"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not (found := re.search(r"http://\S+:\d+", Path(log.name).read_text())):
                if process.poll() is not None:
                    raise SystemExit(Path(log.name).read_text())
                time.sleep(0.2)
            yield found.group(), process.pid
        finally:
            process.terminate()
            process.wait(60)
            said = Path(log.name).read_text()
            print(f"tracebacks in the server's log: {said.count('Traceback')}")


Seen = tuple[float, float, str, int]  # first state and end in seconds, error, frames


def measured(pid: int) -> tuple[int, int, int]:
    """MB of memory, threads and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))
    return memory // 1024, threads, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def visit(page: Page, start: threading.Barrier, args: argparse.Namespace, seen: list[Seen]) -> None:
    start.wait()
    for _ in range(args.runs):
        began = time.perf_counter()
        try:
            frames = page.run(steps=args.steps, count=args.count)
        except Exception as error:  # a broken connection counts
            frames, page.error = 0, repr(error)
        ended = time.perf_counter()
        seen.append(((page.first or ended) - began, ended - began, page.error, frames))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--address", help="of a running app, with --pid")
    parser.add_argument("--pid", type=int, help="its process")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout, to compare")
    args = parser.parse_args()
    if args.address:
        load(args, args.address, args.pid)
    else:
        with app(args.root) as (address, pid):
            time.sleep(5)  # its first model is loaded once the page is up
            load(args, address, pid)


def load(args: argparse.Namespace, address: str, pid: int) -> None:
    pages = [Page(address) for _ in range(args.visitors)]
    start, seen = threading.Barrier(args.visitors + 1), []
    threads = [threading.Thread(target=visit, args=(page, start, args, seen)) for page in pages]
    for one in threads:
        one.start()
    before, most = measured(pid), 0
    start.wait()
    while any(one.is_alive() for one in threads):
        most = max(most, measured(pid)[0])
        time.sleep(0.5)
    for page in pages:
        page.http.close()
    time.sleep(3)
    after = measured(pid)
    good = [one for one in seen if not one[2]]
    print(f"{args.visitors} visitors, {args.runs} runs each: {len(good)} finished of {len(seen)}")
    if good:
        first, end = ([one[k] for one in good] for k in (0, 1))
        print(f"first state: median {median(first):.1f} s, last {max(first):.1f} s")
        print(
            f"finished: median {median(end):.1f} s, last {max(end):.1f} s; frames {min(g[3] for g in good)} up"
        )
    for said, count in Counter(one[2] for one in seen if one[2]).most_common():
        print(f"{count} x {said}")
    print(f"memory before {before[0]} MB, at most {most} MB, after {after[0]} MB")
    print(f"threads {before[1]} -> {after[1]}, open files {before[2]} -> {after[2]}")


if __name__ == "__main__":
    main()
