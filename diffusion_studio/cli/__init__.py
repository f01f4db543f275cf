"""The command line: thin. Heavy imports happen inside the verbs, so that --help answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from .. import files
from ..errors import OptionError, StudioError
from ..files.signals import exit_code, raised
from .streams import secure_streams

OK, FAILED = 0, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, as every way into the program does; returns the exit code.

    0 done; 2 a mistake that is explained on stderr; 130 interrupted, 143 after SIGTERM.
    """
    secure_streams()
    with raised():
        try:
            return _told(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt as error:
            print("\ndiffusion-studio: interrupted", file=sys.stderr)
            return exit_code(error)


def _told(given: Sequence[str]) -> int:
    """Run, and say in a sentence what the person can do about an error."""
    try:
        try:
            _run(given)
        finally:
            print(end="", flush=True)  # what cannot be written is told here, not at Python's end
        return OK
    except StudioError as error:
        print(f"diffusion-studio: {error}", file=sys.stderr)
    except BrokenPipeError:  # `diffusion-studio models | head`
        _let_go()
        return OK
    except (MemoryError, RuntimeError) as error:
        torchs = "allocate memory" in str(error) or "out of memory" in str(error)
        if not (isinstance(error, MemoryError) or torchs):
            raise
        print(
            "diffusion-studio: There is not enough memory for this. Ask for fewer or smaller pictures, or "
            "close other programs.",
            file=sys.stderr,
        )
    except OSError as error:
        if _stuck():
            _let_go()
            print(
                f"diffusion-studio: The output cannot be written to where it is sent ({files.why(error)}). "
                "Free space there, or send it elsewhere.",
                file=sys.stderr,
            )
        else:
            print(f"diffusion-studio: {_named(error)}", file=sys.stderr)
    return FAILED


def _run(given: Sequence[str]) -> None:
    from .parser import build_parser  # its imports take a while, in which Ctrl-C may come

    args = build_parser(given[0] if given else None).parse_args(given)
    try:
        args.run(args)
    except OptionError as error:
        from .flags import flag_of

        raise StudioError(error.worded(lambda field: flag_of(field, vars(args)))) from error


def _named(error: OSError) -> str:
    """A sentence about a file that nobody has explained better."""
    what = "A file or connection" if error.filename is None else repr(os.fsdecode(error.filename))
    return f"{what} cannot be used ({files.why(error)}). {files.advice(error)}"


def _stuck() -> bool:
    """Whether what was printed still cannot be written."""
    try:
        print(end="", flush=True)
    except OSError:
        return True
    return False


def _let_go() -> None:
    """Send what is left of the output nowhere: Python would try once more at its end, and complain."""
    with suppress(OSError):  # a stand-in for stdout has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
