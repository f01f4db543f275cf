"""One place says which settings a model, a sampler and an edit can use."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.prediction import Prediction
from diffusion_studio.diffusion.samplers import (
    DDIM,
    DDPM,
    SAMPLERS,
    Euler,
    EulerAncestral,
    Heun,
    PredictorCorrector,
)
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Linear, NoiseLevel
from diffusion_studio.diffusion.spacing import SPACINGS, path
from diffusion_studio.diffusion.spacing.diffusers import Diffusers
from diffusion_studio.errors import OptionError
from diffusion_studio.export import ExportOptions
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.options import fields_of
from diffusion_studio.runs.applicability import (
    check_usable,
    idle_options,
    idle_settings,
    is_guided,
    unusable,
)
from diffusion_studio.runs.edits import EDITS
from diffusion_studio.runs.guidance_builder import limited
from diffusion_studio.runs.guidance_options import GROUPS, depends_of, flags_of
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


@pytest.mark.parametrize(
    "cls",
    [Recipe, ExportOptions, *SAMPLERS.values(), *SPACINGS.values(), *EDITS.values(), *GROUPS.values()],
)
def test_options_depend_on_options_that_their_class_has(cls):
    fields = {one.name: one for one in fields_of(cls)}
    grouped = {f"{group}.{one.name}": one for group in GROUPS for one in fields_of(GROUPS[group])}
    for one in fields.values():
        for condition in single_conditions(one.depends):
            parent = (fields | (grouped if cls is Recipe else {}))[condition.name]
            assert not parent.choices or {*condition.values, *condition.off} <= {*parent.choices}


def test_groups_depend_on_settings_of_a_recipe():
    known = {one.name for one in fields_of(Recipe)}
    known |= {f"{group}.{one.name}" for group in GROUPS for one in fields_of(GROUPS[group])}
    conditions = [one for group in GROUPS.values() for one in single_conditions(depends_of(group))]
    assert conditions and {one.name for one in conditions} <= known


def single_conditions(depends):
    return [one for condition in depends for one in getattr(condition, "conditions", (condition,))]


def test_the_limits_on_x0_switch_each_other_off():
    assert idle_options(Recipe(guidance=2)) == {"threshold_most"}
    assert idle_options(Recipe(guidance=2, clip=False)) == {"threshold_most", "clip_range"}
    assert idle_options(Recipe(guidance=2, threshold=0.9)) == {"clip", "clip_range"}
    assert idle_options(Recipe(guidance_scales="1,6")) == {"threshold_most", "guidance", "guidance_shape"}


NEED_GUIDANCE = {"negative", "negative_label", "weaker", "guidance_rescale", "guidance_shape"}
NEED_GUIDANCE |= {f"projection.{name}" for name in ("parallel", "radius")} | {"cfg_zero.star"}
INTERVAL = {"interval.low", "interval.high"}


@pytest.mark.parametrize(
    "given, needing",
    [
        ({}, NEED_GUIDANCE | INTERVAL),
        ({"self_guidance": "perturbed_attention"}, NEED_GUIDANCE),
        ({"change": {"step": 2, "label": "any"}}, NEED_GUIDANCE | INTERVAL),
        ({"change": {"step": 2, "guidance": 1.0}}, NEED_GUIDANCE | INTERVAL),
        ({"change": {"step": 2, "guidance": 0.0}}, set()),
        ({"guidance": 0.0}, set()),
        ({"guidance": 3.0}, set()),
        ({"guidance_scales": "1,2"}, {"guidance_shape"}),
    ],
    ids=lambda one: str(one) if isinstance(one, dict) else "needing",
)
def test_settings_of_guidance_have_no_effect_without_it(given, needing):
    idle = idle_settings(Recipe(**given)).keys()
    assert idle & (NEED_GUIDANCE | INTERVAL) == needing
    assert is_guided(Recipe(**given)) == (not needing >= NEED_GUIDANCE)


def test_a_setting_is_idle_if_it_has_no_effect_on_any_run():
    off, on, other = Recipe(sampler="euler"), Recipe(sampler={"name": "euler", "churn": 3}), Recipe()
    assert "sampler.s_noise" in idle_settings(off) and "sampler.s_noise" in idle_settings(off, other)
    assert "sampler.s_noise" not in idle_settings(off, on)
    assert "negative" not in idle_settings(off, Recipe(guidance=2))
    assert "export.every" in idle_settings(off, export=ExportOptions())
    assert "export.every" not in idle_settings(off, export=ExportOptions(frames="every"))


OTHER = {  # another value of an option that can be switched off
    "clip_range": 0.05,
    "threshold_most": 1.01,
    "correct_first": True,
    "s_tmax": 1e-6,
    "s_tmin": 1e6,
    "timestep_spacing": "linspace",
    "spread": "unrounded",
    "label_rounding": "below",
    "lambda_min": -1.0,
}
LIMITS = [{"threshold": 0.9}, {"threshold": 1.0}, {"threshold": 1.0, "clip": False}]
SPACED = [{"sigmas": name} for name in ("timesteps", "karras", "exponential", "consistency")]
SPACED += [{"spread": "one more", "timestep_spacing": name} for name in ("leading", "linspace")]


@pytest.mark.parametrize("given", LIMITS, ids=str)
def test_a_limit_on_x0_has_an_effect_unless_it_is_idle(tiny_spec, given):
    base, x = Recipe("tiny", **given), torch.linspace(-3, 3, 64).reshape(1, 1, 8, 8)
    idle, level = idle_options(base), NoiseLevel(9, 0.6, 0.8)

    def x0(recipe):
        return limited(lambda x, level: Prediction(x, x), recipe, tiny_spec())(x, level).x0

    for name in ("clip", "clip_range", "threshold_most"):
        same = torch.equal(
            x0(base), x0(replace(base, **{name: not base.clip if name == "clip" else OTHER[name]}))
        )
        assert same == (name in idle), name


@pytest.mark.parametrize(
    "sampler",
    [
        DDPM(),
        DDPM(variance="interpolated"),
        Euler(),
        Euler(churn=5.0),
        Heun(),
        Heun(churn=5.0),
        PredictorCorrector(),
        PredictorCorrector(correct_steps=0),
        *(
            SAMPLERS[name](eta=eta)
            for name in ("euler_ancestral", "dpmpp_2s", "dpmpp_sde", "dpmpp_2m_sde", "dpm_2")
            for eta in (0.0, 0.5)
        ),
    ],
    ids=str,
)
def test_an_option_of_a_sampler_has_an_effect_unless_it_is_idle(sampler):
    levels = path(Linear(timesteps=100), 4, "trailing")
    noise, idle = Noise((0,), (1, 2, 2)), idle_options(sampler)

    def predict(x, level):
        return Prediction(0.3 * x, (x - level.alpha * 0.3 * x) / level.sigma)

    def end(one):
        return [step.x.clone() for step in sample(one, predict, noise(0), levels, noise)][-1]

    for one in fields_of(type(sampler)):
        if one.depends and one.name != "learned_above":  # which needs a network with a variance
            same = torch.equal(end(sampler), end(replace(sampler, **{one.name: OTHER.get(one.name, 0.7)})))
            assert same == (one.name in idle), one.name


@pytest.mark.parametrize("given", SPACED, ids=str)
def test_an_option_of_the_spacing_has_no_effect_if_it_is_idle(given):
    spacing, schedule = Diffusers(**given), Linear(timesteps=100)
    for name in idle_options(spacing):
        other = replace(spacing, **{name: OTHER.get(name, 3)})
        assert other.levels(schedule, 5) == spacing.levels(schedule, 5), name


def test_the_message_names_the_setting_that_switches_another_off():
    found = idle_settings(Recipe(threshold=0.9))
    assert str(found["clip_range"]) == "clip_range has no effect while threshold is 0.9."
    assert (
        str(found["classifier.scale"]) == "classifier.scale has no effect while classifier.name is left out."
    )
    found = idle_settings(Recipe(clip=False, sampler="euler"))
    assert str(found["clip_range"]) == "clip_range has no effect while clip is false."
    assert str(found["sampler.s_noise"]) == "sampler.s_noise has no effect while sampler.churn is 0."
    assert "threshold" not in found
    assert str(found["negative"]) == "negative has no effect while guidance is 1."
    found = idle_settings(Recipe(change={"step": 2, "guidance": 1.0}))
    assert str(found["interval.high"]) == (
        "interval.high has no effect while guidance is 1 and change.guidance is 1."
    )


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
