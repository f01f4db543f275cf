"""The command line: thin. Heavy imports happen inside the verbs, so that --help answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..errors import StudioError

OK, FAILED, INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake that is explained on stderr, 130 interrupted."""
    try:
        try:
            _run(sys.argv[1:] if argv is None else argv)
        finally:
            print(end="", flush=True)                   # what cannot be written is told here, not at Python's end
        return OK
    except StudioError as error:
        print(f"diffusion-studio: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\ndiffusion-studio: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:                             # `diffusion-studio models | head`
        _let_go()
        return OK
    except OSError as error:
        if not _stuck():                                # of another file
            raise
        _let_go()
        print(f"diffusion-studio: The output cannot be written to where it is sent ({error.strerror or error}). Free space "
              "there, or send it elsewhere.", file=sys.stderr)
        return FAILED


def _run(given: Sequence[str]) -> None:
    from .parser import build_parser                    # its imports take a while, in which Ctrl-C may come

    args = build_parser(given[0] if given else None).parse_args(given)
    args.run(args)


def _stuck() -> bool:
    """Whether what was printed still cannot be written."""
    try:
        print(end="", flush=True)
    except OSError:
        return True
    return False


def _let_go() -> None:
    """Send what is left of the output nowhere: Python would try once more at its end, and complain."""
    with suppress(OSError):                             # a stand-in for stdout has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
