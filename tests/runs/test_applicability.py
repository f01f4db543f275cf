"""One place says which settings a model, a sampler and an edit can use."""

from __future__ import annotations

import pytest

from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.samplers import DDIM, DDPM, SAMPLERS, Euler, EulerAncestral, Heun
from diffusion_studio.errors import OptionError
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.options import fields_of
from diffusion_studio.runs.applicability import check_usable, idle_options, unusable
from diffusion_studio.runs.edits import EDITS
from diffusion_studio.runs.guidance_options import GROUPS, flags_of
from diffusion_studio.runs.recipe import Recipe

BARE = {"classes": None, "null_class": False}


def test_a_model_without_labels_has_nothing_to_guide(tiny_spec):
    spec = tiny_spec(network=BARE)
    reasons = unusable(spec)
    assert {"guidance", "guidance_shape", "cfg_zero", "projection", "change"} <= reasons.keys()
    assert "interval" not in reasons  # it holds for guidance away from the network itself, too
    assert "interval" in unusable(tiny_spec(network={**BARE, "middle": "none"}))
    assert {"label", "negative_label", "change.label", "edit.source_label", "edit=travel"} <= reasons.keys()
    assert reasons["guidance"].endswith(
        "takes neither label nor prompt, so guidance has nothing to strengthen."
    )
    helped = unusable(spec, weaker=["other"], classifiers=["judge"])
    assert not {"guidance", "interval", "weaker", "classifier"} & helped.keys()
    assert "label" in helped


def test_a_model_with_labels_is_guided_but_reads_no_prompt(tiny_spec):
    reasons = unusable(tiny_spec())
    assert not {"guidance", "label", "change", "palette", "clip", "edit=travel"} & reasons.keys()
    assert {
        "prompt",
        "negative",
        "change.prompt",
        "points",
        "low_res",
        "weaker",
        "classifier",
    } <= reasons.keys()


def test_points_have_no_colours_and_no_pictures():
    reasons = unusable(ModelSpec("p", MLPConfig(width=8, layers=1)))
    assert {"palette", "clip", "threshold", "edit=picture", "edit=inpaint", "edit=morph"} <= reasons.keys()
    assert not {"points", "edit=interpolate"} & reasons.keys()


def test_the_learned_variance_is_for_models_that_have_it(tiny_spec):
    assert "sampler.variance=learned" in unusable(tiny_spec())
    assert "sampler.variance=learned" not in unusable(
        tiny_spec(network={"out_channels": 2}, learned_variance=True)
    )


def test_consistency_is_for_consistency_models_and_for_those_that_ask_for_it(tiny_spec):
    assert "sampler=consistency" in unusable(tiny_spec())
    assert "sampler=consistency" not in unusable(tiny_spec(parametrization="consistency"))
    assert "sampler=consistency" not in unusable(tiny_spec(defaults={"sampler": "consistency"}))
    assert "sampler=consistency" not in unusable(tiny_spec(defaults={"sampler": {"name": "consistency"}}))


@pytest.mark.parametrize(
    "sampler, ancestral, deterministic",
    [
        (DDPM(), True, False),
        (DDIM(eta=1.0), True, False),
        (DDIM(eta=0.5), False, False),
        (DDIM(), False, True),
        (EulerAncestral(), True, False),
        (Heun(churn=3.0), False, False),
    ],
)
def test_what_a_sampler_is_decides(tiny_spec, sampler, ancestral, deterministic):
    reasons = unusable(tiny_spec(), sampler)
    assert ("classifier.form=mean" not in reasons) == ancestral
    assert ("edit=invert" not in reasons) == ("edit=morph" not in reasons) == deterministic


def test_options_that_another_switches_off():
    assert idle_options(DDPM()) == {"interpolation", "learned_above"}
    assert idle_options(DDPM(variance="interpolated")) == {"learned_above"}
    assert idle_options(DDPM(variance="learned")) == {"interpolation"}
    assert idle_options(Euler()) == {"s_tmin", "s_tmax", "s_noise"}
    assert idle_options(Euler(churn=1.0)) == set()
    assert idle_options(DDIM()) == set()


def test_samplers_depend_on_options_that_they_have():
    for cls in SAMPLERS.values():
        names = {one.name for one in fields_of(cls)}
        assert names >= {*cls.depends, *(parent for parent, _ in cls.depends.values())}


def test_every_name_is_a_setting(tiny_spec):
    known = {one.name for one in fields_of(Recipe)} | {*GROUPS, "low_res"}
    known |= {f"{group}.{name}" for group in GROUPS for name in flags_of(group)}
    known |= {f"edit.{one.name}" for cls in EDITS.values() for one in fields_of(cls)}
    known |= {f"edit={name}" for name in EDITS} | {f"sampler={name}" for name in SAMPLERS}
    known |= {"sampler.variance=learned", "classifier.form=mean"}
    for spec in (tiny_spec(network=BARE), ModelSpec("p", MLPConfig(width=8, layers=1))):
        assert unusable(spec, DDPM()).keys() | unusable(spec, DDIM()).keys() <= known


def test_the_error_has_the_field_and_the_reason(tiny_spec):
    reasons = unusable(tiny_spec(), DDPM())
    with pytest.raises(OptionError, match="The learned variance needs a model .* Choose another.") as error:
        check_usable(reasons, "sampler.variance=learned", "Choose another.")
    assert error.value.field == "sampler.variance"
    check_usable(reasons, "sampler.variance=small", "")
