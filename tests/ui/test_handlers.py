"""Sentences as visitors see them: settings by the labels that they have on the page."""

import pytest

from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.export import ExportOptions
from diffusion_studio.runs.guidance_options import Change, scales
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.ui import controls, export_panel, guidance  # noqa: F401  they say what settings are called
from diffusion_studio.ui.handlers import in_words


@pytest.mark.parametrize(
    "make, field, begins",
    [
        (lambda: Change(step="x"), "change.step", "Change at step must be a whole number"),
        (lambda: scales("a,b"), "guidance_scales", "Guidance as a list must be numbers"),
        (lambda: ExportOptions(fps=0), "export.fps", "Speed must be a finite number"),
        (lambda: ExportOptions(scale=99), "export.scale", "Scale must be a whole number"),
        (lambda: Recipe(clip="x"), "clip", "Clip the predicted x0 must be true or false"),
        (lambda: Recipe(sampler={"name": "ddim", "eta": 2}), "sampler.eta", "Eta must be a finite number"),
        (lambda: Recipe(sampler={"name": "ddpm", "variance": "x"}), "sampler.variance", "There is no Variance 'x'"),
        (lambda: Change(label="a"), "change.step", "The label changes at a step, and none is given. Say at which with Change at step."),
    ],
)  # fmt: skip
def test_a_setting_is_called_by_its_label(make, field, begins):
    with pytest.raises(OptionError) as error:
        make()
    assert error.value.field == field
    assert in_words(error.value).startswith(begins)


def test_other_sentences_stay():
    assert in_words(OptionError("seeds", "A seed is a whole number.")) == "A seed is a whole number."
    assert in_words(DataError("steps must be here: x.y must be")) == "steps must be here: x.y must be"
