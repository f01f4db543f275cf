"""The Python half of the samples' timeline: its `gr.HTML`, and the value that it shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..component import own_component

MOST = 12  # sheets that are sent: the first, the newest, and others evenly between them
MAX_SHEET = 4 << 20  # bytes of a sheet that is sent


def sheets(value: dict[str, Any] | None = None, **kwargs: Any) -> gr.HTML:
    """The component. Its value is what `shown_value` gives."""
    return own_component(
        "sheets",
        value,
        **kwargs,
    )


def shown_value(run: str, samples: Sequence[Path]) -> dict[str, Any]:
    """The run's name, and its sheets as {when, short, picture}, the newest last.

    `samples` are the PNG files in the order of the training, named by the number of images seen.
    """
    known = [path for path in samples if path.stat().st_size <= MAX_SHEET]
    chosen = [known[place] for place in places(len(known))]
    return {"run": run, "sheets": [_sheet(path) for path in chosen]}


def places(count: int, most: int = MOST) -> list[int]:
    """Which of `count` sheets are sent: at most `most`, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]


def _sheet(path: Path) -> dict[str, str]:
    number = path.stem.isdecimal()
    return {
        "when": f"after {int(path.stem):,} images" if number else "at the end",
        "short": f"{int(path.stem):,}" if number else "end",
        "picture": f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
    }
