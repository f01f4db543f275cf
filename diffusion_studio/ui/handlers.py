"""Event handlers whose errors reach the visitor as sentences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from ..errors import OptionError, StudioError

# The labels of settings on the page, by their names in an `OptionError`, where they are not the name itself.
# Filled by the files that show them.
LABELLED: dict[str, str] = {}


def label_of(field: str) -> str:
    """What a setting is called on the page."""
    group, _, name = field.rpartition(".")
    own = group if name == "name" else name
    return LABELLED.get(field) or LABELLED.get(own) or own.replace("_", " ").capitalize()


def in_words(error: StudioError) -> str:
    """The error's sentence, with the page's labels for the settings in it."""
    return error.worded(label_of) if isinstance(error, OptionError) else str(error)


def show_errors(fn: Callable[..., Any], words: Callable[[StudioError], str] = in_words) -> Callable[..., Any]:
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


def sentence(error: StudioError, words: Callable[[StudioError], str] = in_words) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(words(error), duration=12, print_exception=False)
