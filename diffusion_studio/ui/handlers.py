"""Event handlers whose errors reach the visitor as sentences, and the notices that a page shows.

Gradio shows notices as HTML, and their words may come from a stranger's link or file: all are escaped here.
No other file of the app makes one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from ..errors import OptionError, StudioError
from ..runs.setting_labels import LABELS

# The labels of settings on the page, by their names in an `OptionError`, where they are not those of `LABELS`
# or the name itself. Filled by the files that show them.
LABELLED: dict[str, str] = {}
_FIELD = re.compile(r"[\w.-]+")
NOTHING_TYPED = "; nothing was typed."  # ends the error of an empty field


def label_of(field: str) -> str:
    """The label of a setting on the page."""
    group, _, name = field.rpartition(".")
    own = group if name == "name" else name
    of_run = LABELS.get(own) if group in ("", "sampler", "spacing", "edit") else None
    return LABELLED.get(field) or LABELLED.get(own) or of_run or own.replace("_", " ").capitalize()


def in_words(error: StudioError) -> str:
    """The error's sentence, with the page's labels for the settings in it."""
    return error.worded(label_of, NOTHING_TYPED) if isinstance(error, OptionError) else str(error)


def as_html(given: StudioError | str) -> str:
    """An error in the page's words, or a sentence, as a notice takes it."""
    return escape(in_words(given) if isinstance(given, StudioError) else given, quote=False)


def as_notice(error: StudioError) -> str:
    """The error as a notice takes it, marked with the name of its setting: the page shows the sentence at
    that setting (see `placesOf` in page.mjs). Gradio's notices keep classes and drop data attributes.
    """
    field = getattr(error, "field", "")
    if not _FIELD.fullmatch(field):
        return as_html(error)
    return f'<span class="of-field {field}">{as_html(error)}</span>'


def warn(text: str) -> None:
    """Show the visitor a warning."""
    gr.Warning(as_html(text))


def inform(text: str) -> None:
    """Show the visitor a notice."""
    gr.Info(as_html(text))


def show_errors(
    fn: Callable[..., Any], words: Callable[[StudioError], str] = as_notice
) -> Callable[..., Any]:
    """A handler whose `StudioError`s are shown to the visitor as sentences; `words` makes them of the error.
    Any other error is a defect: the visitor is told so, and the log has it. Gradio would show nothing.
    A generator stays one.
    """
    if inspect.isgeneratorfunction(fn):

        @wraps(fn)
        def steps(*args: Any, **kwargs: Any) -> Any:
            try:
                yield from fn(*args, **kwargs)
            except StudioError as error:
                raise sentence(error, words) from error
            except gr.Error:
                raise
            except Exception as error:
                raise _defect(error) from error

        return steps

    @wraps(fn)
    def handler(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except StudioError as error:
            raise sentence(error, words) from error
        except gr.Error:
            raise
        except Exception as error:
            raise _defect(error) from error

    return handler


def _defect(error: Exception) -> gr.Error:
    """An error that nobody expected, as the visitor sees it; Gradio prints it with its traceback. Only a full
    disk and the like says more than its kind: other words may hold paths of the server.
    """
    why = isinstance(error, OSError) and error.strerror or type(error).__name__
    said = f"A defect of the program or its machine ended this: {why}. What you set is kept."
    return gr.Error(as_html(f"{said} The program's log has the details."), duration=12)


def always_answers(outputs: int) -> Callable[[Callable[..., Iterator[Any]]], Callable[..., Iterator[Any]]]:
    """For a generator of updates of `outputs` components: where it yields nothing, all stay as they are.

    Gradio would send None to each of them.
    """

    def decorate(fn: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @wraps(fn)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            answered, items = False, fn(*args, **kwargs)
            try:
                for item in items:
                    answered = True
                    yield item
            finally:
                if isinstance(items, Generator):
                    items.close()
            if not answered:
                yield gr.skip() if outputs == 1 else tuple(gr.skip() for _ in range(outputs))

        return steps

    return decorate


def sentence(error: StudioError, words: Callable[[StudioError], str] = as_notice) -> gr.Error:
    """The error as the visitor sees it."""
    return gr.Error(words(error), duration=12, print_exception=False)


def sentences(errors: Sequence[StudioError]) -> gr.Error:
    """Several errors as one notice."""
    return gr.Error("<br>".join(map(as_notice, errors)), duration=12, print_exception=False)
