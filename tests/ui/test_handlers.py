"""Sentences as visitors see them: settings by the labels that they have on the page."""

import html
import re
from functools import partial
from pathlib import Path

import pytest

from diffusion_studio.errors import Given, OptionError, StudioError
from diffusion_studio.export import ExportOptions
from diffusion_studio.runs.guidance_options import Change, scales
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.ui import (  # noqa: F401  they say what settings are called
    controls,
    export_panel,
    guidance,
    handlers,
)
from diffusion_studio.ui.handlers import in_words


@pytest.mark.parametrize(
    "make, field, begins",
    [
        (lambda: Change(step="x"), "change.step", "Change at step must be a whole number"),
        (lambda: scales("a,b"), "guidance_scales", "Guidance as a list must be numbers"),
        (lambda: ExportOptions(fps=0), "export.fps", "Speed must be a finite number"),
        (lambda: ExportOptions(scale=99), "export.scale", "Scale must be a whole number"),
        (lambda: Recipe(clip="x"), "clip", "Clip the predicted x0 must be true or false"),
        (lambda: Recipe(sampler={"name": "ddim", "eta": 2}), "sampler.eta", "Fresh noise (eta) must be a finite number"),
        (lambda: Recipe(sampler={"name": "ddpm", "variance": "x"}), "sampler.variance", "There is no Variance 'x'"),
        (lambda: Change(label="a"), "change.step", "The label changes at a step, and none is given. Say at which with Change at step."),
    ],
)  # fmt: skip
def test_a_setting_is_called_by_its_label(make, field, begins):
    with pytest.raises(OptionError) as error:
        make()
    assert error.value.field == field
    assert in_words(error.value).startswith(begins)


MARKUP = '<img src=x onerror="hit()"><b>bold</b> & <a href="https://example.com">Log in again</a>'


@pytest.mark.parametrize("notice", ["error", "warning", "info"])
def test_a_notice_is_text(notice, monkeypatch):
    """Gradio shows notices as HTML; their words come from links and files of strangers."""
    told = []
    monkeypatch.setattr(handlers.gr, "Warning", told.append)
    monkeypatch.setattr(handlers.gr, "Info", told.append)
    if notice == "error":
        told.append(handlers.sentence(OptionError("label", MARKUP)).message)
    else:
        {"warning": handlers.warn, "info": handlers.inform}[notice](MARKUP)
    (text,) = told
    text = text.removeprefix('<span class="of-field label">').removesuffix("</span>")  # which is ours
    assert "<" not in text and html.unescape(text) == MARKUP


def test_programs_get_the_words_as_they_are():
    @handlers.show_errors
    def page():
        raise OptionError("label", MARKUP)

    @partial(handlers.show_errors, words=str)
    def program():
        raise OptionError("label", MARKUP)

    shown = f'<span class="of-field label">{html.escape(MARKUP, quote=False)}</span>'
    for fn, said in ((page, shown), (program, MARKUP)):
        with pytest.raises(handlers.gr.Error) as error:
            fn()
        assert error.value.message == said


@pytest.mark.parametrize(
    "error, said",
    [
        (KeyError("/server/path"), "KeyError"),
        (OSError(28, "No space left on device", "/server/path"), "No space"),
    ],
)
def test_a_defect_is_told_without_the_paths_of_the_server(error, said):
    """Gradio shows nothing of an error that is not its own: Save did nothing, in silence."""

    @handlers.show_errors
    def button():
        raise error

    @handlers.show_errors
    def stream():
        yield 1
        raise error

    for press in (button, lambda: list(stream())):
        with pytest.raises(handlers.gr.Error) as shown:
            press()
        assert said in shown.value.message and "path" not in shown.value.message
        assert shown.value.print_exception and shown.value.__cause__ is error


def test_a_notice_names_the_field_of_an_error_and_nothing_else():
    """The page shows the sentence at that field; a name that could be markup names none."""
    errors = [OptionError("steps", "must be more."), OptionError('x" onload="y', "No."), StudioError("Bad.")]
    said = handlers.sentences(errors).message
    assert said == '<span class="of-field steps">Steps must be more.</span><br>No.<br>Bad.'


def test_only_handlers_make_notices():
    """Whatever is shown as a notice goes through the functions that escape it."""
    folder = Path(handlers.__file__).parent
    makers = [
        path.name
        for path in folder.rglob("*.py")
        if re.search(r"gr\.(Warning|Info|Error|Success)\(", path.read_text("utf-8"))
    ]
    assert makers == ["handlers.py"]


def test_an_empty_field_is_said_to_be_one():
    """What a program calls None or '' is an empty field to who looks at the page."""
    error = OptionError("count", "must be a whole number from 1 to 64", Given(None))
    assert in_words(error) == "Pictures must be a whole number from 1 to 64; nothing was typed."
    error = OptionError("seed", "must be a whole number", Given("", "; "))
    assert in_words(error) == "Seed must be a whole number; nothing was typed."
    assert in_words(OptionError("seed", "must be a whole number", Given("x"))).endswith(", got 'x'.")
    assert str(error) == "seed must be a whole number; got ''."
