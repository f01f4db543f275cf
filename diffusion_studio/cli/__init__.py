"""The command line: thin. Heavy imports happen inside the verbs, so that --help answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import StudioError
from .parser import build_parser

OK, FAILED, INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 a mistake that is explained on stderr, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    args = build_parser(given[0] if given else None).parse_args(given)
    try:
        args.run(args)
        return OK
    except StudioError as error:
        print(f"diffusion-studio: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\ndiffusion-studio: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:                         # `diffusion-studio models | head`
        sys.stderr.close()
        return OK
