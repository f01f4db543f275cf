"""A static gallery: an index page, without scripts, that links one HTML player for each run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .. import files

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 1200px; padding: 16px; font: 16px/1.5 system-ui, sans-serif; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); }
a { color: inherit; display: block; text-decoration: none; border: 1px solid #94a3b8; border-radius: 8px;
  padding: 8px; overflow-wrap: anywhere; }
a:hover, a:focus-visible { border-color: #6366f1; outline: 2px solid #6366f1; }
img { width: 100%; image-rendering: pixelated; display: block; margin-bottom: 8px; }
"""


@dataclass(frozen=True)
class Entry:
    """A run in the gallery: file names of its page and preview (relative to the index), title, and
    description.
    """

    page: str
    preview: str
    title: str
    about: str


def write_index(folder: Path, entries: Sequence[Entry], title: str) -> Path:
    """Write index.html, with a link and a preview for each run; returns its path."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    shown = "\n".join(
        f'<li><a href="{escape(one.page)}"><img src="{escape(one.preview)}" alt="" loading="lazy">'
        f"<b>{escape(one.title)}</b><br>{escape(one.about)}</a></li>"
        for one in entries
    )
    path = folder / "index.html"
    files.write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<ul>\n{shown}\n</ul>\n</html>\n",
    )
    return path
