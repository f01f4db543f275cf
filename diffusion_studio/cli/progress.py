"""Progress on stderr: a live bar in a terminal, and in a log a line every `EVERY` seconds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY = 30.0  # seconds between lines in a log; what ends sooner prints none


def progress(**settings: Any) -> tqdm:
    """A tqdm bar with these settings, adapted to stderr."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        settings |= {"delay": EVERY, "mininterval": EVERY, "ncols": 80}
    return tqdm(**settings)
