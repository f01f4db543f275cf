"""Sentences as visitors see them: settings by the labels that they have on the page."""

import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions
from diffusion_studio.runs.guidance_options import Change, scales
from diffusion_studio.ui import export_panel, guidance  # noqa: F401  they say what their settings are called
from diffusion_studio.ui.handlers import in_words


@pytest.mark.parametrize(
    "make, begins",
    [
        (lambda: Change(step="x"), "Change at step must be a whole number"),
        (lambda: scales("a,b"), "Guidance as a list must be numbers"),
        (lambda: ExportOptions(fps=0), "Speed must be a finite number"),
        (lambda: ExportOptions(scale=99), "Scale must be a whole number"),
    ],
)
def test_a_setting_is_called_by_its_label(make, begins):
    with pytest.raises(OptionError) as error:
        make()
    assert in_words(str(error.value)).startswith(begins)


@pytest.mark.parametrize(
    "text", ["seed must be a whole number", "A seed is a whole number", "This run has no x.y in it"]
)
def test_other_sentences_stay(text):
    assert in_words(text) == text
