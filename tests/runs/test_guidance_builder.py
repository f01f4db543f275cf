"""Guidance settings of recipes on models: each setting is its wrapper, and bad combinations raise errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from guided_cases import classifier_spec, network_of, recipe

import diffusion_studio as ds
from diffusion_studio.diffusion import guidance as g
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.schedule import Cosine, FlowMatching, Linear, VarianceExploding
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError
from diffusion_studio.models.classifier import Classifier
from diffusion_studio.runs.generate import plan, stream
from diffusion_studio.runs.guidance_builder import Guides
from diffusion_studio.runs.guidance_options import ByClassifier, Change, Interval, Projection, incompatibility


def judge(**changes) -> Classifier:
    spec = classifier_spec(**changes)
    return Classifier(spec, network_of(spec), torch.device("cpu"))


@pytest.fixture
def model(tiny_model):
    return tiny_model()


def asked(model, given: ds.Recipe, step: int, **helpers) -> torch.Tensor:
    """The plan's x0 at a step's level, for noise."""
    made = plan(model, given, Guides(**helpers))
    with torch.no_grad():
        return made.denoise(made.noise(step), made.levels[step]).x0


def wanted(model, make, step: int, given: ds.Recipe) -> torch.Tensor:
    levels = Levels(path(model.schedule, given.steps, given.spacing), model.schedule)
    made = plan(model, given)
    with torch.no_grad():
        return make(levels)(made.noise(step), levels[step]).x0


@pytest.mark.parametrize("step", [0, 2, 5])
@pytest.mark.parametrize(
    "changes, make",
    [
        (
            {"interval": Interval(0.5, 8.0)},
            lambda c, u: lambda ls: g.classifier_free(c, u, g.within_interval(3.0, 0.5, 8.0)),
        ),
        (
            {"interval": Interval(low=1.0), "guidance_shape": "linear"},
            lambda c, u: (
                lambda ls: g.classifier_free(c, u, g.within_interval(g.shaped(3.0, ls, "linear"), 1.0, 1e9))
            ),
        ),
        (
            {"projection": Projection(0.2)},
            lambda c, u: lambda ls: g.adaptive_projected(c, u, 3.0, parallel=0.2),
        ),
        (
            {"projection": Projection(radius=2)},
            lambda c, u: lambda ls: g.adaptive_projected(c, u, 3.0, parallel=1.0, radius=2.0),
        ),
        (
            {"guidance_scales": "1,5,2"},
            lambda c, u: lambda ls: g.classifier_free(c, u, g.shaped(0, ls, [1, 5, 2])),
        ),
        ({"guidance_scales": "4", "guidance": 1.0}, lambda c, u: lambda ls: g.classifier_free(c, u, 4.0)),
        (
            {"guidance_scales": "3,1", "guidance_rescale": 0.5},
            lambda c, u: lambda ls: g.rescaled(c, u, g.shaped(0, ls, [3, 1]), 0.5),
        ),
    ],
)
def test_a_setting_is_its_wrapper(model, changes, make, step):
    given = recipe(**changes)
    build = make(model.denoiser("Cat"), model.denoiser())
    assert torch.equal(asked(model, given, step), wanted(model, build, step, given))


@pytest.mark.parametrize(
    "off",
    [
        {"interval": Interval()},
        {"projection": Projection(1.0)},
        {"interval": Interval(0, 1e9)},
        {"classifier": ByClassifier("judge", 0.0)},
        {"change": Change(3, "Cat")},
        {"guidance_scales": "3"},
    ],
    ids=str,
)
def test_off_is_off_bit_for_bit(model, off):
    for step in (0, 3, 5):
        assert torch.equal(asked(model, recipe(**off), step), asked(model, recipe(), step))


@pytest.mark.parametrize(
    "changes, after",
    [
        (Change(3, label="Dog"), {"label": "Dog"}),
        (Change(3, label="any"), {"label": None}),
        (Change(3, guidance=7.0), {"guidance": 7.0}),
        (Change(1, "Dog", guidance=1.0), {"label": "Dog", "guidance": 1.0}),
    ],
    ids=str,
)
def test_a_change_counts_from_its_step_on(model, changes, after):
    changed = recipe(change=changes)
    for step in range(6):
        like = recipe(**after) if step >= changes.step else recipe()
        assert torch.equal(asked(model, changed, step), asked(model, like, step))


@pytest.mark.parametrize("form", ["score", "mean"])
@pytest.mark.parametrize("label", ["dog", None])
def test_classifier_guidance_is_its_wrapper(model, form, label):
    """On top of guidance without one; the label is the run's own where none is named."""
    by = judge()
    given = recipe(classifier=ByClassifier("judge", 2.0, form, label), sampler="ddpm")
    for step in (0, 3, 5):
        made = plan(model, recipe())
        x, level = made.noise(step), made.levels[step]
        with torch.no_grad():
            plain = made.denoise(x, level).x0
        with torch.enable_grad():
            y = x.float().requires_grad_(True)
            by.network(y, torch.full((2,), level.t)).log_softmax(1)[:, 1 if label else 0].sum().backward()
        at = level if form == "score" else made.levels[step + 1]
        expected = plain + 2.0 * at.sigma**2 / at.alpha * y.grad
        assert y.grad.abs().max() > 1e-3
        assert (asked(model, given, step, classifier=by) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_an_unconditional_model_is_guided_by_a_classifier(tiny_model):
    model = tiny_model(network={"classes": None, "null_class": False})
    given = recipe(label=None, guidance=1.0, classifier=ByClassifier("judge", 3.0, label="Elk"))
    frames = list(stream(model, given, Guides(judge())))
    plain = list(stream(model, recipe(label=None, guidance=1.0)))
    assert len(frames) == 7 and (frames[-1].x != plain[-1].x).any()
    with pytest.raises(
        OptionError, match="goes towards a label, and none is given. Choose one: Cat, Dog, Elk"
    ):
        plan(model, replace(given, classifier=ByClassifier("judge")), Guides(judge()))


@pytest.mark.parametrize(
    "schedule", [Linear(timesteps=100), Cosine(timesteps=300), VarianceExploding(), FlowMatching()], ids=str
)
def test_a_classifier_of_another_process_is_asked_at_the_same_noise(schedule):
    """x = alpha x0 + sigma eps of one process is, times a scale, that of the other at the same log-SNR."""
    by = judge()
    seeing = by.seeing("Dog")
    x0, eps = torch.randn(2, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for log_snr in (-0.4, 0.5, 4.0):
        own, level = (one.level(one.timestep(log_snr)) for one in (by.spec.schedule, schedule))
        theirs = seeing(own.alpha * x0 + own.sigma * eps, own)
        assert torch.allclose(seeing(level.alpha * x0 + level.sigma * eps, level), theirs, atol=1e-5)


# --- autoguidance


def test_autoguidance_leads_away_from_the_weaker_models_opinion(model, tiny_model):
    weaker = tiny_model(network={"channels": 16})
    given = recipe(weaker="small")
    for step in (0, 3, 5):
        made = plan(model, recipe(guidance=1.0))
        x, level = made.noise(step), made.levels[step]
        with torch.no_grad():
            strong, weak = model.denoiser("Cat")(x, level).x0, weaker.denoiser("Cat")(x, level).x0
        assert torch.allclose(
            asked(model, given, step, weaker=weaker), weak + 3 * (strong - weak), atol=1e-12
        )


@pytest.mark.parametrize("schedule", [Cosine(timesteps=50), VarianceExploding()], ids=str)
def test_a_weaker_model_of_another_process_sees_the_same_picture(model, tiny_model, schedule):
    weaker = tiny_model(schedule=schedule, parametrization="x0")
    level = model.schedule.level(40)
    own = schedule.level(schedule.timestep(level.log_snr))
    x0, eps = torch.randn(2, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = level.alpha * x0 + level.sigma * eps
    with torch.no_grad():
        p = g.at_schedule(weaker.denoiser("Dog"), schedule)(x, level)
        theirs = weaker.denoiser("Dog")(own.alpha * x0 + own.sigma * eps, own)
    assert torch.allclose(p.x0, theirs.x0, atol=1e-6)
    assert (level.alpha * p.x0 + level.sigma * p.eps - x).abs().max() < 1e-12


def test_a_model_without_conditions_is_guided_by_a_weaker_one(tiny_model):
    bare = {"network": {"classes": None, "null_class": False}}
    model, weaker = tiny_model(**bare), tiny_model(network={**bare["network"], "channels": 16})
    given = recipe(label=None, weaker="w")
    assert (
        list(stream(model, given, Guides(weaker=weaker)))[-1].x
        != list(stream(model, replace(given, guidance=1.0), Guides(weaker=weaker)))[-1].x
    ).any()


# --- what does not go together


BARE = {"network": {"classes": None, "null_class": False}}


@pytest.mark.parametrize(
    "of, changes, helpers, message",
    [
        (
            BARE,
            {"label": None},
            {},
            "tiny takes neither label nor prompt, so guidance has nothing to strengthen. Set guidance to 1, "
            "or",
        ),
        (
            BARE,
            {"label": None, "guidance": 1.0, "guidance_scales": "1,2"},
            {},
            "takes neither label nor prompt, so guidance",
        ),
        (
            BARE,
            {"label": None, "guidance": 1.0, "change": Change(2, guidance=4)},
            {},
            "takes neither label nor prompt, so guidance",
        ),
        (BARE, {"label": None, "guidance": 1.0, "negative_label": "Cat"}, {}, "tiny takes no label"),
        ({}, {"change": Change(6, "Dog")}, {}, "The run has 6 steps, so it can change at step 1 to 5, got 6"),
        ({}, {"steps": 1, "change": Change(1, "Dog")}, {}, "A run of 1 step cannot change"),
        ({}, {"change": Change(2, "Gnu")}, {}, "There is no label of tiny 'Gnu'"),
        ({}, {"change": Change(2, prompt="a cat")}, {}, "tiny takes no prompt"),
        (
            {},
            {"projection": Projection(0), "guidance_rescale": 0.5},
            {},
            "Projected and rescaled guidance both reduce .* Choose one",
        ),
        (
            {},
            {"weaker": "w", "negative_label": "Dog"},
            {},
            "leads away from one thing: leave out the weaker model, or the negative",
        ),
        (
            {},
            {"sampler": ds.DDPM("learned")},
            {},
            "The learned variance needs a model that predicts its variance, and tiny does not",
        ),
        ({}, {"classifier": "judge"}, {}, "guided by the classifier 'judge', which was not given"),
        ({}, {"weaker": "w"}, {}, "guided by the weaker model 'w', which was not given"),
        (
            {},
            {"classifier": {"name": "judge", "form": "mean"}},
            {"classifier": {}},
            "'mean' moves the mean of ancestral steps.*'score', or",
        ),
        (
            {},
            {"classifier": {"name": "judge", "label": "Gnu"}},
            {"classifier": {}},
            "There is no label of the classifier judge 'Gnu'",
        ),
        (
            {},
            {"classifier": "judge"},
            {"classifier": {"network": {"size": 16}}},
            "The classifier judge cannot guide tiny: it knows 16x16 pictures in grey, and tiny makes 8x8 "
            "pictures in grey. Choose another",
        ),
        (
            {},
            {"classifier": "judge"},
            {"classifier": {"network": {"in_channels": 3}}},
            "it knows 8x8 pictures in RGB, and tiny makes",
        ),
        (
            {},
            {"classifier": "judge"},
            {"classifier": {"schedule": Linear(beta_end=0.0002)}},
            r"trained on noise of log-SNR 1\.8 to 5\.0, and tiny works from -0\.6 to 5\.0",
        ),
        (
            {},
            {"weaker": "w"},
            {"weaker": {"image_size": 16}},
            "The weaker model w cannot guide tiny: it knows 16x16",
        ),
        (
            {},
            {"weaker": "w"},
            {"weaker": {"network": {"classes": 2}, "labels": ("Dog", "Elk")}},
            "There is no label of tiny 'Cat'",
        ),
        (
            {},
            {"weaker": "w"},
            {"weaker": {"low_res": 4, "network": {"in_channels": 2}, "channels": 1}},
            "it enlarges a given picture, and predicts nothing",
        ),
        (
            {"schedule": FlowMatching(), "parametrization": "flow"},
            {"weaker": "w"},
            {"weaker": {"schedule": Linear(timesteps=1000)}},
            "tiny predicts eps, which does not determine",
        ),
    ],
)
def test_what_does_not_go_together(tiny_model, of, changes, helpers, message):
    given = {"classifier": lambda given: judge(**given), "weaker": lambda given: tiny_model(**given)}
    made = {name: given[name](arguments) for name, arguments in helpers.items()}
    with pytest.raises(OptionError, match=message):
        plan(tiny_model(**of), recipe(**changes), Guides(**made))


def test_what_fits(tiny_spec):
    spec = tiny_spec()
    assert (
        incompatibility(classifier_spec(), spec) is None
        and incompatibility(classifier_spec(schedule=VarianceExploding()), spec) is None
    )
    assert incompatibility(classifier_spec(schedule=Cosine()), tiny_spec(schedule=Linear())) is None
    assert "log-SNR" in incompatibility(classifier_spec(), tiny_spec(schedule=Linear(timesteps=1000)))
    assert incompatibility(tiny_spec(), spec) is None and "8x8 pictures in RGB" in incompatibility(
        tiny_spec(network={"in_channels": 3, "out_channels": 3}), spec
    )
