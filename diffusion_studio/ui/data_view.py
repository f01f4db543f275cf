"""The data of a training as HTML: what was read, in one line, and a few pictures with labels and captions."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np

from ..data import DataSummary, ImageData
from ..imaging.arrays import to_pil

SHOWN = 8
NOTHING = (
    '<p class="hint">Choose pictures or drop a .zip: what was read is shown here. Sub-folders become labels; '
    "a .txt file beside a picture is its caption.</p>"
)
FEW = 500  # below so many pictures a network learns them by heart
_CAPTION = 200  # letters of a caption that are sent to the page


def view(read: DataSummary, data: ImageData, archive: str = "") -> str:
    """The line and the thumbnails; `archive` says what was left out of a dropped zip."""
    figures = "".join(_figure(data, int(k)) for k in chosen(data))
    line = escape(read.line("Colours set to grey"))
    few = (
        f"<p>{read.pictures:,} pictures are few: the network will learn them by heart. A thousand and more, "
        "of one kind, make one that invents.</p>"
        if read.pictures < FEW
        else ""
    )
    return (
        f'<div class="data-view"><p>{line}</p>{f"<p>{escape(archive)}</p>" if archive else ""}{few}'
        f'<div class="thumbnails">{figures}</div></div>'
    )


def refused(text: str) -> str:
    """The error that says why the data cannot be read."""
    return f'<div class="data-view"><p class="bad">{escape(text)}</p></div>'


def chosen(data: ImageData, most: int = SHOWN) -> np.ndarray:
    """The numbers of at most `most` pictures: of each label in turn, or evenly spaced without labels."""
    count = len(data.images)
    if data.labels is None:
        return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
    turn = np.zeros(count, int)  # the rank of each picture among those of its label
    for label in np.unique(data.labels):
        mine = np.flatnonzero(data.labels == label)
        turn[mine] = np.arange(len(mine))
    picked = np.lexsort((data.labels, turn))[:most]
    return picked[np.argsort(data.labels[picked], kind="stable")]


def _figure(data: ImageData, k: int) -> str:
    packed = io.BytesIO()
    to_pil(data.images[k]).save(packed, "png")
    label = "" if data.labels is None else data.names[data.labels[k]]
    caption = data.captions[k][0][:_CAPTION] if data.captions else ""
    title = escape(": ".join(one for one in (label, caption) if one), quote=True)
    words = (f"<b>{escape(label)}</b>" if label else "") + (
        f"<span>{escape(caption)}</span>" if caption else ""
    )
    image = base64.b64encode(packed.getvalue()).decode()
    return (
        f'<figure title="{title}"><img src="data:image/png;base64,{image}" '
        f'alt="{title or "a picture of the data"}">'
        + (f"<figcaption>{words}</figcaption>" if words else "")
        + "</figure>"
    )
