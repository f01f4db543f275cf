"""The data of a training as HTML: what was read, in one line, and a few pictures with labels and captions."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np

from ..data import DataSummary, ImageData
from ..imaging.arrays import to_pil

SHOWN = 10
NOTHING = (
    '<p class="hint">Choose pictures, or drop your own: what was read is shown here. In a .zip each folder '
    "is a label; a .txt file with the name of a picture is its caption.</p>"
)
FEW = 500  # below so many pictures a network learns them by heart
_NAMED = 12  # most labels in a sentence
_FITTED = {
    "pad": "put in the middle of {}",
    "crop": "cut to {}",
    "resize": "scaled into {}, with bars beside them",
}
_CAPTION = 200  # letters of a caption that are sent to the page


def view(read: DataSummary, data: ImageData, dropped: str = "") -> str:
    """What was read in plain sentences, the thumbnails, and the line that the command line prints. `dropped`
    says what was left out of what was dropped.
    """
    figures = "".join(_figure(data, int(k)) for k in chosen(data))
    said = "".join(f"<p>{escape(one)}</p>" for one in (_labels(read), *_remarks(read), dropped) if one)
    return (
        f'<div class="data-view"><p class="have">{escape(_form(read))}</p>{said}'
        f'<div class="thumbnails">{figures}</div>'
        f"<details><summary>All that was read</summary><p>{escape(read.line('Colours set to grey'))}</p>"
        "</details></div>"
    )


def _form(read: DataSummary) -> str:
    """How many pictures there are, of which sizes, and what becomes of them."""
    now = read.size or (0, 0)
    sizes = sorted(read.sizes or {now: read.pictures}, key=lambda one: (one[0] * one[1], one))
    of = " to ".join(dict.fromkeys(f"{w}x{h}" for w, h in (sizes[0], sizes[-1])))
    grey = "grey " if read.channels == 1 else ""
    how = (
        "scaled to {}" if all(w == h for w, h in sizes) and read.fit != "pad" else _FITTED.get(read.fit, "{}")
    )
    becomes = "" if sizes == [now] else f", will be {how.format(f'{now[0]}x{now[1]}')}"
    return f"{read.pictures:,} {grey}picture{'s' * (read.pictures != 1)}, {of}{becomes}."


def _remarks(read: DataSummary) -> list[str]:
    """What a person should know before the training."""
    said = [f"{note[:1].upper()}{note[1:]}." for note in read.notes]
    if read.grey_as_rgb:
        said.append("All are grey but saved as colour pictures, so the model makes colour pictures, too.")
    if read.looked is not None:
        said.append(f"Sizes and colours are those of {read.looked:,} of them, chosen evenly.")
    if read.other_splits:
        others = ", ".join(f"{name} ({count:,})" for name, count in read.other_splits.items())
        said.append(f"Not trained on: {others}.")
    if read.left_out:
        said.append(f"Left out: {read.left_out}.")
    if read.pictures < FEW:
        few = (
            f"{read.pictures:,} pictures are few: the network will learn them"
            if read.pictures > 1
            else "One picture is little: the network will learn it"
        )
        said.append(f"{few} by heart. A thousand and more, of one kind, make one that invents.")
    return said


def _labels(read: DataSummary) -> str:
    """The labels and captions, as far as there are any."""
    labels = [*read.labels]
    more = ", ..." if len(labels) > _NAMED else ""
    each = {*read.labels.values()}
    said = []
    if labels:
        counts = (
            ""
            if len(each) > 1
            else f", {each.pop():,} picture{'s' * (max(read.labels.values()) != 1)} of each"
        )
        named = (
            ", ".join(labels[:_NAMED])
            if counts
            else ", ".join(f"{one} {read.labels[one]:,}" for one in labels[:_NAMED])
        )
        said.append(f"{len(labels):,} label{'s' * (len(labels) != 1)}: {named}{more}{counts}.")
    if read.captions:
        said.append(f"{read.captions:,} caption{'s' * (read.captions != 1)}.")
    return " ".join(said)


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
