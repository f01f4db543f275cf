"""A part of the page that is fetched when it is first seen, so that it costs the first load nothing.

The page's configuration holds one element; lazy.js asks for the rest: markup, styles and scripts come by a
server function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import StudioError
from .component import own_component
from .handlers import in_words
from .page_script import page_script

HERE = Path(__file__).parent


def lazy(
    html: str,
    css: Sequence[str],
    js: Sequence[str],
    functions: Sequence[Callable[[dict], Any]],
    **kwargs: Any,
) -> gr.HTML:
    """The component. `html` is its markup, `css` and `js` are files below `ui/`, which share one scope in
    which `host` is the element, `server` has the `functions`, and `send(value)` makes the component's `input`
    event with that value.

    Each function takes an object and returns one. A `StudioError` of it is `{"error": sentence}`.
    """

    def parts(args: object = None) -> dict[str, Any]:
        """What the page shows, once it is seen; the styles by file, as parts share some."""
        styles = {name: (HERE / name).read_text("utf-8") for name in css}
        return {"html": html, "css": styles, "js": page_script(HERE, tuple(js))}

    return own_component("lazy", server_functions=[parts, *map(answering, functions)], **kwargs)


def answering(fn: Callable[[dict], Any]) -> Callable[[object], Any]:
    """The function with its errors as answers; what is no object is an empty one. For server functions."""

    @wraps(fn)
    def answer(args: object) -> Any:
        given = args[0] if isinstance(args, list) and args else args
        try:
            return fn(given if isinstance(given, dict) else {})
        except StudioError as error:
            return {"error": in_words(error)}

    # Gradio reads the annotations of what it calls, and `wraps` would show it the other function's
    answer.__annotations__ = {}
    del answer.__wrapped__
    return answer
