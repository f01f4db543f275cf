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

from ..errors import OptionError, StudioError

# The labels of settings on the page, by their names in an `OptionError`, where they are not the name itself.
# Filled by the files that show them.
LABELLED: dict[str, str] = {}
_EMPTY = re.compile(r"[,;] got (None|''|\"\")\.")  # of an empty field


def label_of(field: str) -> str:
    """What a setting is called on the page."""
    group, _, name = field.rpartition(".")
    own = group if name == "name" else name
    return LABELLED.get(field) or LABELLED.get(own) or own.replace("_", " ").capitalize()


def in_words(error: StudioError) -> str:
    """The error's sentence, with the page's labels for the settings in it."""
    text = error.worded(label_of) if isinstance(error, OptionError) else str(error)
    return _EMPTY.sub("; nothing was typed.", text)


def as_html(given: StudioError | str) -> str:
    """An error in the page's words, or a sentence, as a notice takes it."""
    return escape(in_words(given) if isinstance(given, StudioError) else given, quote=False)


def warn(text: str) -> None:
    """Show the visitor a sentence about what did not go as asked."""
    gr.Warning(as_html(text))


def inform(text: str) -> None:
    """Show the visitor a sentence."""
    gr.Info(as_html(text))


def show_errors(fn: Callable[..., Any], words: Callable[[StudioError], str] = as_html) -> Callable[..., Any]:
    """A handler whose `StudioError`s are shown to the visitor as sentences; `words` makes them of the error.
    A generator stays one.
    """
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


def sentence(error: StudioError, words: Callable[[StudioError], str] = as_html) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(words(error), duration=12, print_exception=False)
