"""The builder's Python half: its `gr.HTML`, whose value is the prompt that was put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..page_script import page_script


def builder(parts: Mapping[str, Sequence[str]], **kwargs: Any) -> gr.HTML:
    """The component: a menu for each kind of part, in the order in which a prompt names them. Without parts
    it shows nothing; `gr.update(parts=...)` gives it others.
    """
    here = Path(__file__).parent
    return gr.HTML(
        None,
        html_template='<details class="builder" hidden><summary>Put it together</summary>'
        '<div class="menus"></div></details>',
        css_template=(here / "builder.css").read_text("utf-8"),
        js_on_load=page_script(here, ("builder.js",)),
        apply_default_css=False,
        parts={kind: list(names) for kind, names in parts.items()},
        **kwargs,
    )
