"""Event handlers whose errors reach the visitor as sentences."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
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


def show_errors(fn: Callable[..., Any], words: Callable[[str], str] = in_words) -> Callable[..., Any]:
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


def sentence(error: StudioError, words: Callable[[str], str] = in_words) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(words(str(error)), duration=12, print_exception=False)
