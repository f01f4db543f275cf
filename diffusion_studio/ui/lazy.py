"""A part of the page that is fetched when it is first seen, so that it costs the first load nothing.

The page's configuration holds one element and a few lines of script; markup, styles and scripts come by a
server function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import StudioError
from .handlers import in_words
from .page_script import page_script

HERE = Path(__file__).parent
_BEGIN = """const host = element.querySelector('.lazy');
const begin = async () => {
  host.setAttribute('aria-busy', 'true');
  const parts = await server.parts({});
  const style = document.createElement('style');
  style.textContent = parts.css;
  document.head.append(style);
  host.innerHTML = parts.html;
  new Function('host', 'server', parts.js)(host, server);
  host.setAttribute('aria-busy', 'false');
};
new IntersectionObserver((seen, watcher) => {
  if (seen.some((one) => one.isIntersecting)) { watcher.disconnect(); begin(); }
}).observe(host);"""


def lazy(
    html: str,
    css: Sequence[str],
    js: Sequence[str],
    functions: Sequence[Callable[[dict], Any]],
    **kwargs: Any,
) -> gr.HTML:
    """The component. `html` is its markup, `css` and `js` are files below `ui/`, which share one scope in
    which `host` is the element and `server` has the `functions`.

    Each function takes an object and returns one. A `StudioError` of it is `{"error": sentence}`.
    """

    def parts(args: object = None) -> dict[str, str]:
        """What the page shows, once it is seen."""
        styles = "\n".join((HERE / name).read_text("utf-8") for name in css)
        return {"html": html, "css": styles, "js": page_script(HERE, tuple(js))}

    return gr.HTML(
        None,
        html_template='<div class="lazy" style="min-height: 40px"></div>',
        css_template="",
        js_on_load=_BEGIN,
        server_functions=[parts, *map(answering, functions)],
        apply_default_css=False,
        **kwargs,
    )


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
