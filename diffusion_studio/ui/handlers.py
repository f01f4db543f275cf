"""Event handlers whose errors reach the visitor as sentences, and the notices that a page shows.

Gradio shows notices as HTML, and their words may come from a stranger's link or file: all are escaped here.
No other file of the app makes one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from ..errors import StudioError

LABELLED: dict[
    str, str
] = {}  # what settings are called on the page where it is not their name; filled by who shows them


def in_words(text: str) -> str:
    """With the label that a setting has on the page, where the sentence begins with its name in the
    program.
    """
    found = re.match(r"(?:(\w+)\.)?(\w+)(?= must )", text)
    if not found or not (found[1] or found[0] in LABELLED):
        return text
    return LABELLED.get(found[0], found[2].replace("_", " ").capitalize()) + text[found.end() :]


def as_html(text: str) -> str:
    """A sentence in the page's words, as a notice takes it."""
    return escape(in_words(text), quote=False)


def warn(text: str) -> None:
    """Show the visitor a sentence about what did not go as asked."""
    gr.Warning(as_html(text))


def inform(text: str) -> None:
    """Show the visitor a sentence."""
    gr.Info(as_html(text))


def show_errors(fn: Callable[..., Any], words: Callable[[str], str] = as_html) -> Callable[..., Any]:
    """A handler whose `StudioError`s are shown to the visitor as sentences; `words` makes them of the error's
    text. A generator stays one."""
    if inspect.isgeneratorfunction(fn):

        @wraps(fn)
        def steps(*args: Any, **kwargs: Any) -> Any:
            try:
                yield from fn(*args, **kwargs)
            except StudioError as error:
                raise sentence(error, words) from error

        return steps

    @wraps(fn)
    def handler(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except StudioError as error:
            raise sentence(error, words) from error

    return handler


def sentence(error: StudioError, words: Callable[[str], str] = as_html) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(words(str(error)), duration=12, print_exception=False)
