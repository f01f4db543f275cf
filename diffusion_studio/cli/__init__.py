"""The command line, thin. Heavy imports happen inside the verbs, so that --help answers at once."""

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
    """Run one command and return the exit code. Every entry point of the program calls it.

    0 is success, 2 an error that is explained on stderr, 130 an interruption, 143 SIGTERM.
    """
    secure_streams()
    with raised():
        try:
            return _run_reporting_errors(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt as error:
            print("\ndiffusion-studio: interrupted", file=sys.stderr)
            return exit_code(error)


def _run_reporting_errors(given: Sequence[str]) -> int:
    """Run the command; print errors that the user can do something about as a sentence."""
    try:
        try:
            _run(given)
        finally:
            print(end="", flush=True)  # raises here if the output cannot be written, not at Python's exit
        return OK
    except StudioError as error:
        print(f"diffusion-studio: {error}", file=sys.stderr)
    except BrokenPipeError:  # `diffusion-studio models | head`
        _discard_output()
        return OK
    except (MemoryError, RuntimeError) as error:
        of_torch = "allocate memory" in str(error) or "out of memory" in str(error)
        if not (isinstance(error, MemoryError) or of_torch):
            raise
        print(
            "diffusion-studio: There is not enough memory for this. Ask for fewer or smaller pictures, or "
            "close other programs.",
            file=sys.stderr,
        )
    except OSError as error:
        if _output_is_broken():
            _discard_output()
            print(
                f"diffusion-studio: The output cannot be written to where it is sent ({files.why(error)}). "
                "Free space there, or send it elsewhere.",
                file=sys.stderr,
            )
        else:
            print(f"diffusion-studio: {_describe(error)}", file=sys.stderr)
    return FAILED


def _run(given: Sequence[str]) -> None:
    from .parser import build_parser, flags_of_verb  # slow imports, during which Ctrl-C may come

    parser = build_parser(given[0] if given else None)
    args = parser.parse_args(given)
    try:
        args.run(args)
    except OptionError as error:
        from .flags import worded

        raise StudioError(worded(error, vars(args), flags_of_verb(parser, given[0]))) from error


def _describe(error: OSError) -> str:
    """A sentence about an OSError that no other code has explained."""
    what = "A file or connection" if error.filename is None else repr(os.fsdecode(error.filename))
    return f"{what} cannot be used ({files.why(error)}). {files.advice(error)}"


def _output_is_broken() -> bool:
    """Whether standard output can no longer be written."""
    try:
        print(end="", flush=True)
    except OSError:
        return True
    return False


def _discard_output() -> None:
    """Redirect standard output to nowhere: Python would flush it again at exit, and complain."""
    with suppress(OSError):  # a replaced stdout has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
