"""The picker's Python half: its `gr.HTML`, whose value is the `value` of the item that was chosen last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..page_script import page_script

Item = dict[str, Any]


def picker(items: Sequence[Item], value: Any = None, *, label: str, look: str, **kwargs: Any) -> gr.HTML:
    """The component. An item has a `value`, a `title`, and as it likes a `line`, a `tag` and the address of
    a `picture`; `look` is "cards" or "labels", where the chosen one stays lit, or "chips", which are pressed.
    `gr.update(items=...)` gives it others.
    """
    here = Path(__file__).parent
    return gr.HTML(
        value,
        html_template=(here / "picker.html").read_text("utf-8").replace("LOOK", look).replace("LABEL", label),
        css_template=(here / "picker.css").read_text("utf-8"),
        js_on_load=page_script(here, ("picker.js",)),
        apply_default_css=False,
        items=list(items),
        **kwargs,
    )
