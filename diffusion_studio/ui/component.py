"""A component of our own: a `gr.HTML` whose script, style and markup are in the page's static files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from .page_script import call_mount


def own_component(
    name: str, value: Any = None, *, elem_classes: Sequence[str] | str = (), **kwargs: Any
) -> gr.HTML:
    """The component that `COMPONENTS` of page_script.py describes as `name`. Its script finds the markup in
    `element`, and more keyword arguments in `props`.
    """
    classes = [elem_classes] if isinstance(elem_classes, str) else [*elem_classes]
    return gr.HTML(
        value,
        html_template="",
        css_template="",
        js_on_load=call_mount(name),
        apply_default_css=False,
        elem_classes=[f"ds-{name}", *classes],
        **kwargs,
    )
