"""Make this folder small enough to copy to a machine with a GPU, and print what to run there.

    python scripts/train_on_gpu.py checkpoints/letters/recipe.toml --carry runs/letters32.npz \\
        --first "python scripts/letters_data.py runs/letters32.npz runs/letters.npz" --dry-run -- --batch 512

Copied are the files that git does not ignore, and those of --carry. Weights and pictures of other models are
not needed there: they are moved to a folder beside this one, but only if git has them unchanged. --restore
brings them back, also after a crash. With --dry-run nothing is moved. With --during COMMAND they are away
while your own command copies the folder, and come back after it; without it they stay away until --restore.
Arguments after -- are flags of 'diffusion-studio train'.
"""

from __future__ import annotations

import argparse
import filecmp
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from diffusion_studio.cli.parser import build_parser
from diffusion_studio.errors import StudioError
from diffusion_studio.training.config_file import read_config

ASIDE = ROOT.with_name(f"{ROOT.name}.set-aside")
NOT_NEEDED = {".safetensors", ".npz", ".png", ".gif", ".webp", ".jpg", ".mp4"}
MIB = 1 << 20


def main() -> None:
    asked = arguments()
    if asked.restore:
        restore()
        return
    needed = files_of(read_config(asked.recipe), asked)
    carried = [
        path for path in dict.fromkeys([*listed("--cached", "--others"), *needed]) if (ROOT / path).is_file()
    ]
    away = [
        path
        for path in listed("--cached")
        if path in carried and Path(path).suffix in NOT_NEEDED and path not in needed
    ]
    stay = sorted({*carried} - {*away})
    total = size(stay)
    report(stay, away, total)
    if changed := git("status", "--porcelain", "-z", "--", *away) if away else []:
        sys.exit(
            f"Not committed, so it will not be moved: {', '.join(one[3:] for one in changed)}. "
            "Commit it or undo the change."
        )
    if total > asked.limit * MIB:
        sys.exit(
            f"{total / MIB:.1f} MiB is over the limit of {asked.limit:g} MiB. Carry less, or raise --limit."
        )
    print("\nThere:\n  " + "\n  ".join(commands(asked)))
    print(
        f"\nBack: {asked.out}/model.safetensors with card.md, log.csv and samples; "
        "state.safetensors too, to resume"
    )
    if not asked.dry_run:
        set_aside(away)
        if asked.during is None:
            print(
                f"\nMoved to {ASIDE}. Copy this folder without what git ignores, then run "
                f"{Path(__file__).name} --restore."
            )
            return
        try:
            done = subprocess.run(asked.during, shell=True, cwd=ROOT)
        finally:
            restore()
        sys.exit(done.returncode)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", help="the training configuration, relative to this folder")
    parser.add_argument(
        "--carry",
        nargs="+",
        default=[],
        metavar="FILE",
        help="ignored files that are needed there, such as data",
    )
    parser.add_argument(
        "--first",
        metavar="COMMAND",
        help="command to run there before the training, such as to make the data",
    )
    parser.add_argument(
        "--out", help="the run's folder there (default runs/NAME, after the configuration's folder)"
    )
    parser.add_argument(
        "--limit", type=float, default=64, metavar="MIB", help="most that may be copied (default 64)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only print what would be done")
    what.add_argument("--during", metavar="COMMAND", help="move files away, run this, bring them back")
    what.add_argument("--restore", action="store_true", help="bring back what was moved away")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    asked = parser.parse_args(given[:end])
    asked.flags = given[end + 1 :]
    if not asked.restore:
        if asked.recipe is None:
            parser.error("give a training configuration, or --restore")
        asked.out = asked.out or f"runs/{Path(asked.recipe).resolve().parent.name}"
        build_parser("train").parse_args(train_command(asked)[1:])  # errors come here and not there
    return asked


def train_command(asked: argparse.Namespace) -> list[str]:
    """The training command as words. Given flags come last, so that they have priority."""
    return [
        "diffusion-studio",
        "train",
        inside(asked.recipe),
        "--device",
        "cuda",
        "--precision",
        "bf16",
        "--out",
        asked.out,
        *asked.flags,
    ]


def commands(asked: argparse.Namespace) -> list[str]:
    """The commands to run there, one a line."""
    return ["pip install -e .", *([asked.first] if asked.first else []), shlex.join(train_command(asked))]


def files_of(config: object, asked: argparse.Namespace) -> list[str]:
    """The files that the training reads, relative to this folder: the configuration, the files that it
    names, and those of --carry.
    """
    named = [
        value
        for name in ("start_from", "grow_from", "text_vectors", "hold_out", "data")
        if (value := getattr(config, name)) and (ROOT / value).is_file()
    ]
    flags = [one for one in asked.flags if (ROOT / one).is_file()]
    return [inside(one) for one in (asked.recipe, *named, *flags, *asked.carry)]


def inside(path: str) -> str:
    """A file's path relative to this folder. Exits if it is no file in this folder, because it would not
    be copied.
    """
    full = (ROOT / path).resolve()
    if not full.is_file() or not full.is_relative_to(ROOT):
        sys.exit(f"{path} is not a file in {ROOT}. Copy it there first.")
    return full.relative_to(ROOT).as_posix()


def git(*words: str) -> list[str]:
    try:
        found = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"git {words[0]} failed: {getattr(error, 'stderr', '') or error}. "
            "This script needs git and a checkout."
        )
    return [one for one in found.split("\0") if one]


def listed(*kinds: str) -> list[str]:
    return git("ls-files", "-z", "--exclude-standard", *kinds)


def size(paths: Sequence[str]) -> int:
    return sum((ROOT / path).stat().st_size for path in paths)


def report(stay: Sequence[str], away: Sequence[str], total: int) -> None:
    """Print the size by top folder, and what is not copied."""
    print(f"Copied: {len(stay)} files, {total / MIB:.1f} MiB")
    for top in sorted({path.partition("/")[0] for path in stay}):
        of_top = [path for path in stay if path.partition("/")[0] == top]
        print(f"  {top:24} {len(of_top):5} {size(of_top) / MIB:8.2f} MiB")
    print(f"Not copied: {len(away)} weights and pictures, {size(away) / MIB:.1f} MiB")


def set_aside(paths: Sequence[str]) -> None:
    """Move files to ASIDE, each under its own path. They can be restored at any point."""
    if ASIDE.exists():
        sys.exit(f"{ASIDE} is there already, from a call before. Run {Path(__file__).name} --restore first.")
    for path in paths:
        (ASIDE / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ROOT / path, ASIDE / path)


def restore() -> None:
    """Move everything in ASIDE back. A file that exists here with other contents is left in ASIDE, and
    listed.
    """
    differing = []
    for path in sorted(one for one in ASIDE.rglob("*") if one.is_file()):
        target = ROOT / path.relative_to(ASIDE)
        if target.exists() and not filecmp.cmp(path, target, shallow=False):
            differing.append(str(path.relative_to(ASIDE)))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    if differing:
        sys.exit(
            f"Here are other files of the same names, so these stay in {ASIDE}: {', '.join(differing)}. "
            "Move one of each."
        )
    shutil.rmtree(ASIDE, ignore_errors=True)
    print("Everything is in its place.")


if __name__ == "__main__":
    try:
        main()
    except StudioError as error:
        sys.exit(f"error: {error}")
