"""Many visitors at once: when each sees its first state, what fails, and what the server's memory does.

    python tests/benchmarks/visitors.py [--visitors 30] [--runs 1] [--steps 25] [--count 16]

Starts `python app.py --hosted` (or takes the app at an address) and lets so many scripted pages press
Generate in the same moment, each pulling every frame as a page does. With
`--runs` they press again when they are done, with `--minutes` for so long. Prints median and last first
state, median and last end, each error with its number, and memory, threads, open files and temporary files of
the server before, at most and after. Seconds of the server's processor time are told too: unlike the clock's
they are the same where other programs share the machine.

Ten minutes of 50 visitors: python tests/benchmarks/visitors.py --visitors 50 --minutes 10 --steps 12 --count 4
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


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Seen = tuple[
    float, float, str, int, int
]  # first state and end in seconds, error, frames, other frames than alone


def measured(pid: int) -> tuple[int, int, int]:
    """MB of memory, threads and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))
    return memory // 1024, threads, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def app_files(pid: int) -> Iterator[Path]:
    """Files in the temporary folder that the process holds open."""
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            folder = one.resolve(strict=True)
        except OSError:
            continue
        if folder.is_dir() and "diffusion-studio-app-" in folder.name:
            yield from (path for path in folder.rglob("*") if path.is_file())


def visit(
    page: Page, start: threading.Barrier, args: argparse.Namespace, seen: list[Seen], alone: dict[int, str]
) -> None:
    start.wait()
    until = time.perf_counter() + 60 * args.minutes
    runs = 0
    while runs < args.runs or time.perf_counter() < until:
        runs += 1
        began = time.perf_counter()
        try:
            frames = page.run(steps=args.steps, count=args.count)
        except Exception as error:  # a broken connection counts
            frames, page.error = 0, repr(error)
        if page.error:  # as a person does who reads the sentence
            time.sleep(2)
        ended = time.perf_counter()
        others = sum(alone[place] != digest for place, digest in page.digests.items())
        seen.append(((page.first or ended) - began, ended - began, page.error, frames, others))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.0, help="press again for so long")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--rest", type=float, default=75.0, help="seconds to wait when all pages are closed")
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
    first = Page(address)
    first.run(steps=args.steps, count=args.count)
    alone = first.digests
    first.close()
    pages = [Page(address) for _ in range(args.visitors)]
    start, seen = threading.Barrier(args.visitors + 1), []
    threads = [threading.Thread(target=visit, args=(page, start, args, seen, alone)) for page in pages]
    for one in threads:
        one.start()
    before, memory, used, moved = measured(pid), [0], processor_seconds(pid), 0.0
    start.wait()
    began = time.perf_counter()
    while any(one.is_alive() for one in threads):
        memory.append(measured(pid)[0])
        if not moved and all(page.first is not None for page in pages):
            moved = processor_seconds(pid) - used
        time.sleep(0.2)
    lasted, used = time.perf_counter() - began, processor_seconds(pid) - used
    most = max(memory)
    opened = measured(pid)
    for page in pages:
        page.close()
    time.sleep(args.rest)
    after = measured(pid)
    good = [one for one in seen if not one[2]]
    print(f"{args.visitors} visitors, {args.runs} runs each: {len(good)} finished of {len(seen)}")
    if good:
        first, end = ([one[k] for one in good] for k in (0, 1))
        print(f"first state: median {median(first):.1f} s, last {max(first):.1f} s")
        print(
            f"finished: median {median(end):.1f} s, last {max(end):.1f} s; frames {min(g[3] for g in good)} up"
        )
        print(
            f"frames with other bytes than of a run alone: {sum(g[4] for g in good)} of {sum(g[3] for g in good)}"
        )
    for said, count in Counter(one[2] for one in seen if one[2]).most_common():
        print(f"{count} x {said}")
    print(f"processor time until all had a first state {moved:.1f} s, in all {used:.1f} s of {lasted:.1f} s")
    thirds = [max(memory[k * len(memory) // 3 :][: len(memory) // 3 + 1]) for k in range(3)]
    print(
        f"memory before {before[0]} MB, at most {most} MB, when all pages were closed {after[0]} MB; in thirds of the time {thirds}"
    )
    print(
        f"threads {before[1]} -> {opened[1]} -> {after[1]}, open files {before[2]} -> {opened[2]} -> {after[2]}"
    )
    print(f"temporary files of the app: {len([*app_files(pid)])}")


if __name__ == "__main__":
    main()
