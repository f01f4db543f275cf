"""Progress on stderr: a live bar in a terminal; in a log a line now and then, and none of what is done
soon.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY = 30.0  # seconds between the lines of a log, and before the first


def progress(**settings: Any) -> tqdm:
    """tqdm with these settings, for whatever stderr is."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        settings |= {"delay": EVERY, "mininterval": EVERY, "ncols": 80}
    return tqdm(**settings)
