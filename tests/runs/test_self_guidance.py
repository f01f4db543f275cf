"""Guidance from inside the network as recipes say it: the same numbers as by hand, one network call, and what
it goes together with. On small random networks in float64, and on the bundled weights.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from guided_cases import recipe

import diffusion_studio as ds
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.compare.settings import changed, parsed
from diffusion_studio.diffusion import guidance as g
from diffusion_studio.diffusion.levels import Levels
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.terms import step_terms
from diffusion_studio.models.model import Model
from diffusion_studio.networks.mlp_config import MLPConfig
from diffusion_studio.runs.applicability import self_guidance_kinds, unusable
from diffusion_studio.runs.generate import plan, segments, stream
from diffusion_studio.runs.guidance_builder import Guides
from diffusion_studio.runs.guidance_options import SELF_KINDS, CfgZero, Interval, SelfGuidance
from diffusion_studio.runs.price import network_calls
from diffusion_studio.ui.price import kind_of

BARE = {"classes": None, "null_class": False}
CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture
def model(tiny_model):
    return tiny_model(network={"attention_levels": (1,)})


def without_middle(model: Model) -> Model:
    """The model with `middle.1`, its attention, left out of the network."""
    network = copy.deepcopy(model.network)
    network.middle[1].forward = lambda x: x
    return Model(model.spec, network, torch.device("cpu"), torch.float64)


def asked(model: Model, given: ds.Recipe, step: int) -> tuple[torch.Tensor, torch.Tensor, ds.NoiseLevel]:
    """The plan's x0 at a step's level, for noise, and what it was asked."""
    made = plan(model, given)
    with torch.no_grad():
        x, level = made.noise(step), made.levels[step]
        return made.denoise(x, level).x0, x, level


SKIP = SelfGuidance("skipped_layers", 2.0, "middle.1")


def test_it_leads_away_from_the_network_without_the_block(model):
    found, x, level = asked(model, recipe(self_guidance=SKIP), 3)
    other = without_middle(model)
    with torch.no_grad():
        c, u = model.denoiser("Cat")(x, level).x0, model.denoiser()(x, level).x0
        worse = other.denoiser("Cat")(x, level).x0
    torch.testing.assert_close(found, u + 3 * (c - u) + 2 * (c - worse))


def test_without_label_and_prompt_it_is_the_only_guidance(tiny_model):
    model = tiny_model(network=BARE)
    given = recipe(label=None, guidance=1.0, self_guidance=SKIP)
    found, x, level = asked(model, given, 3)
    with torch.no_grad():
        plain, worse = (one.denoiser()(x, level).x0 for one in (model, without_middle(model)))
    torch.testing.assert_close(found, 3 * plain - 2 * worse)


def test_each_kind_is_its_function(model):
    bare = model.denoiser("Cat")
    by_hand = {
        "perturbed_attention": g.perturbed_attention(
            bare, bare, model.network, 4.0, ["down.1.stages.0.attention"]
        ),
        "smoothed_energy": g.smoothed_energy(
            bare, bare, model.network, 4.0, 0.7, ["down.1.stages.0.attention"]
        ),
        "skipped_layers": g.skipped_layers(bare, bare, model.network, ["down.1.stages.0.attention"], 4.0),
    }
    found = []
    for name, guided in by_hand.items():
        blur = 0.7 if name == "smoothed_energy" else None
        given = SelfGuidance(name, 4.0, "down.1.stages.0.attention", blur)
        x0, x, level = asked(model, recipe(guidance=1.0, self_guidance=given), 3)
        with torch.no_grad():
            torch.testing.assert_close(x0, guided(x, level).x0)
        found.append(x0)
    assert all((one - other).abs().max() > 1e-4 for one, other in zip(found, found[1:]))


def test_cfg_zero_star_is_its_function(model):
    given = recipe(cfg_zero=CfgZero(True, silent=1.0))
    for step in (0, 4):
        x0, x, level = asked(model, given, step)
        with torch.no_grad():
            by_hand = g.cfg_zero_star(model.denoiser("Cat"), model.denoiser(), 3.0, 1.0)(x, level)
        torch.testing.assert_close(x0, by_hand.x0)
        silent = level.sigma > level.alpha
        assert silent == (step == 0) and torch.allclose(by_hand.x0, by_hand.eps) == silent


@pytest.mark.parametrize(
    "changes, same_as",
    [
        ({"self_guidance": SelfGuidance("perturbed_attention", 0.0)}, {}),
        ({"self_guidance": SelfGuidance(None, 5.0, "middle.1", 2.0)}, {}),
        ({"cfg_zero": CfgZero(False, 2.0)}, {}),
        ({"cfg_zero": CfgZero(True), "guidance": 1.0}, {"guidance": 1.0}),
        ({"self_guidance": SKIP, "interval": Interval(high=1e-6)}, {"interval": Interval(high=1e-6)}),
    ],
    ids=str,
)
def test_off_is_off_bit_for_bit(model, changes, same_as):
    for step in (0, 3):
        assert torch.equal(asked(model, recipe(**changes), step)[0], asked(model, recipe(**same_as), step)[0])


def test_the_interval_holds_for_it(model):
    whole, within = recipe(self_guidance=SKIP), recipe(self_guidance=SKIP, interval=Interval(high=1.0))
    levels = Levels(path(model.schedule, whole.steps, whole.spacing), model.schedule)
    for step in (0, 5):
        inside = levels[step].sigma <= levels[step].alpha
        assert inside == (step == 5)
        like = whole if inside else recipe(guidance=1.0)
        torch.testing.assert_close(asked(model, within, step)[0], asked(model, like, step)[0])


@pytest.mark.parametrize(
    "changes, rows",
    [
        ({}, 6),  # two pictures with the label, without the block, and without the label
        ({"guidance": 1.0}, 4),
        ({"guidance_rescale": 0.5}, 6),
        ({"projection": {"parallel": 0.0}}, 6),
        ({"cfg_zero": {"star": True}}, 6),
        ({"labels": ("Cat", "Dog"), "label": None}, 6),
    ],
    ids=str,
)
def test_a_step_is_one_network_call(model, monkeypatch, changes, rows):
    sizes, forward = [], model.network.forward

    def counting(x, *rest):
        sizes.append(len(x))
        return forward(x, *rest)

    monkeypatch.setattr(model.network, "forward", counting)
    given = recipe(**{"self_guidance": "perturbed_attention", **changes})
    *_, last = stream(model, given)
    assert sizes == [rows] * 6 and last.calls == 6


def test_each_picture_has_its_own_label_in_it(model):
    """A batch is the pictures of single runs."""
    given = recipe(self_guidance=SKIP, label=None, labels=("Cat", "Dog"))
    whole, x, level = asked(model, given, 3)
    for k, label in enumerate(("Cat", "Dog")):
        alone = recipe(self_guidance=SKIP, label=label, seeds=given.seeds[k : k + 1])
        torch.testing.assert_close(whole[k : k + 1], asked(model, alone, 3)[0])


def test_nothing_of_it_is_left_in_the_network(model):
    before = asked(model, recipe(), 3)[0]
    for name in SELF_KINDS:
        list(stream(model, recipe(self_guidance=name)))
    assert torch.equal(asked(model, recipe(), 3)[0], before)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.network.modules())


def test_runs_that_are_mixed_do_not_disturb_each_other(model):
    """Two runs on one network, a step each in turn, as on a server."""
    plain, guided = recipe(), recipe(self_guidance=SKIP)
    alone = [[frame.x for frame in stream(model, one)] for one in (plain, guided)]
    for a, b, x, y in zip(stream(model, plain), stream(model, guided), *alone):
        np.testing.assert_array_equal(a.x, x)
        np.testing.assert_array_equal(b.x, y)


GREY = Picture(np.full((8, 8, 1), 90, np.uint8))
HALF = Picture(np.repeat(np.array([[0], [255]], np.uint8), (4, 4), 0).repeat(8, 1)[..., None])
EDITS = {
    "from a picture": {"edit": {"name": "picture", "picture": GREY, "strength": 0.7}},
    "inpaint": {"edit": {"name": "inpaint", "picture": GREY, "mask": HALF}},
    "invert": {"edit": {"name": "invert", "picture": GREY, "source_label": "Cat"}, "seeds": (1,)},
    "travel": {"edit": {"name": "travel", "stops": "Cat | Dog", "film": 3}, "label": None, "seeds": (1,)},
    "change": {"change": {"step": 3, "label": "Dog"}},
    "weaker": {"weaker": "w"},
    "heun": {"sampler": "heun"},
    "noisy": {"sampler": "dpmpp_2m_sde"},
}


@pytest.mark.parametrize("name", EDITS)
def test_it_counts_in_edits_and_beside_other_settings(model, tiny_model, name):
    plain = recipe(**EDITS[name])
    guides = Guides(weaker=tiny_model(network={"channels": 16})) if plain.weaker else Guides()
    *_, without = stream(model, plain, guides)
    *_, with_it = stream(model, replace(plain, self_guidance=SKIP), guides)
    assert (with_it.x != without.x).any() and with_it.calls == without.calls


def test_a_branch_goes_on_with_it_and_without(model):
    """The state at the branch is the parent's, whatever guides from there on."""
    parent = recipe(self_guidance=SKIP)
    before = [frame.x for frame in stream(model, parent)]
    same = [frame.x for frame in stream(model, parent.continued(3))]
    np.testing.assert_array_equal(before, same)
    other = [frame.x for frame in stream(model, parent.continued(3, self_guidance=None))]
    np.testing.assert_array_equal(other[:4], before[:4])
    assert (other[-1] != before[-1]).any()


def test_the_sum_of_a_step_is_still_the_samplers_own(model):
    run = Run(model, recipe(self_guidance=SKIP))
    states = [x for _, x in run.states()]
    total = sum(term.product for term in step_terms(run.state(2)))
    np.testing.assert_allclose(total, states[3].double(), atol=1e-12 * float(states[3].abs().max()))


def test_it_has_a_price_of_its_own(model):
    """A step stays one call, which takes longer: seconds are kept apart from those of runs without it."""
    plain, guided = recipe(), recipe(self_guidance=SKIP)
    assert network_calls(segments(model, guided)) == network_calls(segments(model, plain)) == 6
    assert kind_of(plain) != kind_of(guided)
    assert kind_of(guided) != kind_of(recipe(self_guidance=SKIP, guidance=1.0))


@pytest.mark.parametrize(
    "of, changes, field, message",
    [
        ({"network": {"middle": "none"}}, {"self_guidance": "perturbed_attention"}, "self_guidance",
         "The network of tiny has no self-attention. Choose another kind"),
        ({"network": {"middle": "none"}}, {"self_guidance": "skipped_layers"}, "self_guidance",
         "has no block in its middle that keeps its shape"),
        ({}, {"self_guidance": {"name": "perturbed_attention", "layers": "middle.9"}}, "self_guidance.layers",
         "There is no self-attention of the network 'middle.9'. Choose one of: middle.1"),
        ({}, {"self_guidance": {"name": "skipped_layers", "layers": "midle.0"}}, "self_guidance.layers",
         "There is no block of the network 'midle.0'.*Did you mean 'middle.0'"),
        ({}, {"self_guidance": {"name": "skipped_layers", "layers": " , "}}, "self_guidance.layers",
         "Name at least one block"),
        ({}, {"cfg_zero": {"star": True}, "guidance_rescale": 0.5}, "cfg_zero.star", "neither projected nor rescaled"),
        ({}, {"cfg_zero": {"star": True}, "projection": {"parallel": 0}}, "cfg_zero.star", "neither projected nor rescaled"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(tiny_model, of, changes, field, message):
    with pytest.raises(OptionError, match=message) as error:
        plan(tiny_model(**of), recipe(**changes))
    assert error.value.field == field


def test_a_block_of_another_shape_cannot_be_skipped(model):
    given = recipe(self_guidance={"name": "skipped_layers", "layers": "down.0.resample"})
    with pytest.raises(OptionError, match="cannot be skipped"):
        list(stream(model, given))


def test_one_place_says_what_a_network_can_use(tiny_spec):
    assert self_guidance_kinds(tiny_spec()) == SELF_KINDS
    assert self_guidance_kinds(tiny_spec(network={"middle": "residual"})) == ("skipped_layers",)
    assert (
        self_guidance_kinds(tiny_spec(network={"middle": "none", "attention_levels": (0,)})) == SELF_KINDS[:2]
    )
    assert self_guidance_kinds(ModelSpec("p", MLPConfig(width=8, layers=1))) == ()
    assert "self_guidance" in unusable(ModelSpec("p", MLPConfig(width=8, layers=1)))
    bare = unusable(tiny_spec(network=BARE))
    assert "cfg_zero" in bare and not {"interval", "self_guidance"} & bare.keys()


def test_kinds_are_told_apart_by_name():
    """As a race and a grid name their lanes."""
    given = changed(recipe(), {"self-guidance": "smoothed_energy", "self-guidance-blur": 2.0})
    assert given.self_guidance == SelfGuidance("smoothed_energy", blur=2.0)
    assert parsed("self_guidance", "none") is None and parsed("cfg_zero_star", "true") is True
    assert changed(given, {"self_guidance": None}).self_guidance.on is False


@pytest.fixture(scope="module")
def studio():
    return ds.Studio(CHECKPOINTS, "cpu", "fp32")


@pytest.mark.parametrize("name", ["heroes", "cifar10"])
def test_on_bundled_weights_every_kind_runs_is_saved_and_differs(studio, tmp_path, name):
    """One step says it: the kinds differ in what they make, and a file of one is that run again."""
    asks = {"prompt": "dwarf, coat red"} if name == "heroes" else {"label": "cat"}
    base = {"seeds": (3,), "steps": 2, "guidance": 3.0, "palette": None, **asks}
    made = [studio.run(studio.recipe(name, **base)).images]
    for kind in SELF_KINDS:
        run = studio.run(studio.recipe(name, **base, self_guidance=kind))
        assert all((run.images != one).any() for one in made), kind
        made.append(run.images)
    again = ds.Recipe.from_file(run.save(tmp_path / "run.gif"))
    assert again == run.recipe and again.self_guidance.name == kind
    np.testing.assert_array_equal(studio.run(again).images, run.images)


def test_the_command_line_takes_it_and_a_race_tells_it_apart(studio, tmp_path):
    from diffusion_studio.cli import main

    out = tmp_path / "a.gif"
    words = ["generate", "mnist", "--checkpoints", str(CHECKPOINTS), "--steps", "2", "--count", "1"]
    words += [
        "--self-guidance",
        "skipped_layers",
        "--self-guidance-layers",
        "middle.0,middle.2",
        "--cfg-zero-star",
    ]
    assert main([*words, "--out", str(out)]) == 0
    found = ds.Recipe.from_file(out)
    assert found.self_guidance == SelfGuidance("skipped_layers", layers="middle.0,middle.2")
    assert found.cfg_zero.star and "--self-guidance-layers middle.0,middle.2" in found.to_command()
    base = studio.recipe("mnist", steps=2, seeds=(1,))
    race = ds.race([base, *({"self_guidance": kind} for kind in SELF_KINDS)], studio=studio)
    kinds = (kind.replace("_", " ") for kind in SELF_KINDS)
    assert race.titles == (("self-guidance none",), *((f"self-guidance {kind}",) for kind in kinds))
