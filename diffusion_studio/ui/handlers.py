"""Event handlers whose errors reach the visitor as sentences."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from ..errors import StudioError


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
    return gr.Error(str(error), duration=12, print_exception=False)
