"""The picker's Python half: its `gr.HTML`, whose value is the `value` of the item that was chosen last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ..component import own_component

Item = dict[str, Any]


def picker(items: Sequence[Item], value: Any = None, *, label: str, look: str, **kwargs: Any) -> gr.HTML:
    """The component. An item has a `value`, a `title`, and as it likes a `line`, a `tag` and the address of
    a `picture`; `look` is "cards" or "labels", where the chosen one stays lit, or "chips", which are pressed.
    `other_items` gives it others.
    """
    return own_component("picker", value, look=look, group=label, items=list(items), **kwargs)


def other_items(items: Sequence[Item], *, label: str, look: str) -> dict[str, Any]:
    """An update with other items. It has all properties, because a picker that the page has not drawn yet
    keeps only those of the update.
    """
    return gr.update(items=list(items), look=look, group=label)
