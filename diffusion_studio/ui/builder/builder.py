"""The builder's Python half: its `gr.HTML`, whose value is the prompt that was put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from ..component import own_component


def builder(parts: Mapping[str, Sequence[str]], **kwargs: Any) -> gr.HTML:
    """The component: a menu for each kind of part, in the order in which a prompt names them. Without parts
    it shows nothing; `gr.update(parts=...)` gives it others.
    """
    return own_component("builder", parts={kind: list(names) for kind, names in parts.items()}, **kwargs)
