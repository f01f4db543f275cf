"""Guidance from inside the network, against networks built without what is disturbed, and against numbers of
diffusers 0.42.1.

The numbers are those of its guiders and of its blur for q = sin(0 .. 127) as (1, 64, 2), c = sin(0 .. 7) and
u = cos(0 .. 7) as (2, 1, 2, 2). Of its blur the branch of an infinite one, which holds the Gaussian: the two
branches are interchanged there.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import diffusion_studio as ds
from diffusion_studio.diffusion.guidance.perturbed import blurred, self_attentions
from diffusion_studio.diffusion.prediction import Prediction
from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.errors import OptionError
from diffusion_studio.models.model import Model
from diffusion_studio.networks.blocks import Attention

FLOW = NoiseLevel(500.0, 0.5, 0.5)
C, U = (torch.arange(8.0).reshape(2, 1, 2, 2).sin(), torch.arange(8.0).reshape(2, 1, 2, 2).cos())


def flow(velocity):
    """A denoiser whose velocity eps - x0 is given, at a flow's level."""

    def denoise(x, level):
        x0 = x - level.sigma * velocity
        return Prediction(x0, x0 + velocity)

    return denoise


def test_cfg_zero_star_is_that_of_diffusers():
    x = torch.zeros(2, 1, 2, 2)
    p = ds.cfg_zero_star(flow(C), flow(U), 3.0)(x, FLOW)
    expected = [0.05190620571374893, 2.552457809448242, 2.706291675567627, 0.37197327613830566]
    expected += [-1.9761805534362793, -3.0044589042663574, -1.2704514265060425, 1.6316030025482178]
    torch.testing.assert_close((p.eps - p.x0).flatten(), torch.tensor(expected))
    torch.testing.assert_close(FLOW.alpha * p.x0 + FLOW.sigma * p.eps, x)
    still = ds.cfg_zero_star(flow(C), flow(U), 3.0, silent_above=0.9)(x + 1, FLOW)
    torch.testing.assert_close(still.eps, still.x0)


def test_away_from_the_disturbed_is_the_sum_of_diffusers():
    """Its guider with guidance 3, perturbed guidance 2 and a disturbed prediction of c / 2."""
    calls = iter([C, 0.5 * C])
    guided = ds.classifier_free(flow(C), flow(U), 3.0)

    def conditional(x, level):
        return flow(next(calls))(x, level)

    network = nn.Module()
    network.middle = Attention(8, ds.UNetConfig(channels=8, norm_groups=4))
    p = ds.perturbed_attention(guided, conditional, network, 2.0)(torch.zeros(2, 1, 2, 2), FLOW)
    expected = [-2.0, 2.2852792739868164, 4.469483375549316, 2.544464588165283]
    expected += [-1.7199227809906006, -4.403021335601807, -3.0380024909973145, 1.120141863822937]
    torch.testing.assert_close((p.eps - p.x0).flatten(), torch.tensor(expected))


def test_the_blur_is_that_of_diffusers_and_an_infinite_one_is_the_mean():
    q = torch.arange(128.0).reshape(1, 64, 2).sin()[:, None]
    golden = {
        0.7: [0.02751401625573635, -0.05819262936711311, -0.041562341153621674, 0.01132833119481802],
        2.0: [0.0001802433398552239, -8.502606942784041e-05, -0.0002722582721617073, 0.0007863002247177064],
    }
    for deviation, expected in golden.items():
        found = blurred(q, (8, 8), deviation)[0, 0, [0, 9, 27, 63], 0]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=2e-7)
    torch.testing.assert_close(blurred(q, (8, 8), math.inf), q.mean(2, keepdim=True).expand_as(q))
    assert blurred(q, (4, 16), 3.0).shape == q.shape
    torch.testing.assert_close(blurred(q, (64, 1), 1e-3), q, atol=1e-6, rtol=0)


class Same(Attention):
    """An attention whose weights are the identity: every place keeps its own value."""

    def forward(self, x):
        n, c, h, w = x.shape
        v = self.qkv(self.norm(x).flatten(2).transpose(1, 2))[..., 2 * c :]
        return x + self.out(v).transpose(1, 2).reshape(n, c, h, w)


class Nothing(Attention):
    """An attention that is left out."""

    def forward(self, x):
        return x


@pytest.fixture
def model(tiny_model):
    return tiny_model(network={"attention_levels": (1,)})


def test_perturbed_attention_leads_away_from_the_identity(model):
    x, level = torch.randn(2, 1, 8, 8, dtype=torch.float64), model.schedule.level(60.0)
    other = Model(model.spec, copy.deepcopy(model.network), torch.device("cpu"), torch.float64)
    other.network.middle[1].__class__ = Same
    with torch.no_grad():
        plain, worse = (one.denoiser("Dog")(x, level) for one in (model, other))
        guided = ds.perturbed_attention(model.denoiser("Dog"), model.denoiser("Dog"), model.network, 2.5)(
            x, level
        )
        again = model.denoiser("Dog")(x, level)
    torch.testing.assert_close(guided.x0, plain.x0 + 2.5 * (plain.x0 - worse.x0))
    torch.testing.assert_close(level.alpha * guided.x0 + level.sigma * guided.eps, x)
    assert torch.equal(again.x0, plain.x0)  # nothing of it is left in the network
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.network.modules())


def test_a_tiny_blur_changes_nothing_and_a_large_one_does(model):
    x, level, bare = (
        torch.randn(2, 1, 8, 8, dtype=torch.float64),
        model.schedule.level(60.0),
        model.denoiser("Dog"),
    )
    with torch.no_grad():
        plain = bare(x, level).x0
        layers = list(self_attentions(model.network))
        little = ds.smoothed_energy(bare, bare, model.network, 3.0, 1e-3, layers)(x, level).x0
        much = ds.smoothed_energy(bare, bare, model.network, 3.0, layers=layers)(x, level).x0
    torch.testing.assert_close(little, plain)
    assert (much - plain).abs().max() > 1e-6


def test_a_skipped_layer_is_left_out(model):
    x, level, bare = (
        torch.randn(1, 1, 8, 8, dtype=torch.float64),
        model.schedule.level(60.0),
        model.denoiser("Dog"),
    )
    with torch.no_grad():
        plain = bare(x, level).x0
        guided = ds.skipped_layers(bare, bare, model.network, ["middle.1"], 2.0)(x, level).x0
        model.network.middle[1].__class__ = Nothing
        worse = bare(x, level).x0
    torch.testing.assert_close(guided, 3 * plain - 2 * worse)


def test_a_guided_run_needs_no_label_and_differs(tiny_model):
    model = tiny_model(network={"classes": None, "null_class": False}, labels=())
    bare, levels = model.denoiser(), ds.path(model.schedule, 5)
    noise = ds.Noise((1,), model.shape, dtype=torch.float64)
    ends = []
    for denoise in (bare, ds.perturbed_attention(bare, bare, model.network, 3.0)):
        *_, last = ds.sample(ds.DDIM(), denoise, noise(0), levels, noise)
        ends.append(last.x)
    assert (ends[0] - ends[1]).abs().max() > 1e-6 and ends[1].isfinite().all()


@pytest.mark.parametrize(
    "make, said",
    [
        (
            lambda m, d: ds.perturbed_attention(d, d, m, layers=["nowhere"]),
            "self-attention of the network 'nowhere'",
        ),
        (lambda m, d: ds.smoothed_energy(d, d, m, blur=0.0), "must be above 0"),
        (lambda m, d: ds.skipped_layers(d, d, m, ["up.9"]), "block of the network 'up.9'"),
        (lambda m, d: ds.skipped_layers(d, d, m, []), "at least one block"),
        (lambda m, d: ds.perturbed_attention(d, d, nn.Conv2d(1, 1, 1)), "no self-attention to disturb"),
    ],
)
def test_what_is_not_there_is_an_error(model, make, said):
    with pytest.raises(OptionError, match=said):
        make(model.network, model.denoiser("Dog"))


def test_a_block_that_changes_the_shape_cannot_be_skipped(model):
    bare = model.denoiser("Dog")
    with pytest.raises(OptionError, match="cannot be skipped"), torch.no_grad():
        ds.skipped_layers(bare, bare, model.network, ["down.0.resample"])(
            torch.randn(1, 1, 8, 8, dtype=torch.float64), model.schedule.level(60.0)
        )
