"""Event handlers whose errors reach the visitor as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from ..errors import StudioError


LABELLED: dict[str, str] = {}           # what settings are called on the page where it is not their name; filled by who shows them


def said(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose `StudioError`s are shown to the visitor as sentences."""
    @wraps(fn)
    def handler(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except StudioError as error:
            raise sentence(error) from error
    return handler


def sentence(error: StudioError) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(in_words(str(error)), duration=12, print_exception=False)


def in_words(text: str) -> str:
    """With the label that a setting has on the page, where the sentence begins with its name in the program."""
    found = re.match(r"(?:(\w+)\.)?(\w+)(?= must )", text)
    if not found or not (found[1] or found[0] in LABELLED):
        return text
    return LABELLED.get(found[0], found[2].replace("_", " ").capitalize()) + text[found.end():]
