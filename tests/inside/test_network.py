"""The network's blocks and skips, and what x0 owes to them."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.inside.network_view import KINDS, Block, describe, drawn, look, middle_of, svg
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.networks.post_norm_config import PostNormConfig
from diffusion_studio.runs.recipe import Recipe


@pytest.fixture
def run(tiny_model):
    return Run(tiny_model(network={"attention_levels": (1,)}), Recipe("tiny", "Dog", (1, 2), 4))


def test_every_skip_is_found_with_its_channels(run):
    """The way up takes the features of the way down in the opposite order."""
    blocks = {one.name: one for one in describe(run.state(1))}
    skips = {name: one.skip for name, one in blocks.items() if one.skip is not None}
    assert skips == {
        "up.0.stages.0.block": "down.1.stages.0.attention",
        "up.0.stages.1.block": "down.0.resample",
        "up.1.stages.0.block": "down.0.stages.0.block",
        "up.1.stages.1.block": "conv_in",
    }
    up = blocks["up.1.stages.0.block"]
    assert (up.channels_in, up.skip_start, up.skip_stop) == (24, 16, 24) and up.size == (8, 8)
    assert blocks["down.1.stages.0.attention"].heads == 2


@pytest.mark.parametrize(
    "part, block",
    [("block", "middle.0"), ("branch", "middle.1"), ("skip", "up.1.stages.0.block")],
)
def test_an_ablation_of_nothing_changes_nothing_and_one_of_all_does(run, part, block):
    same = look(run.state(1), Settings(block=block, part=part, factor=1, picture=1))
    assert (same["change"] == 0).all()
    changed = look(run.state(1), Settings(block=block, part=part, factor=0, picture=1))
    assert np.abs(changed["change"]).max() > 1e-6
    np.testing.assert_array_equal(same["x0"], changed["x0"])
    assert same["channels"].shape[0] <= 16 and same.image().ndim == 3


def test_leaving_out_a_branch_is_leaving_out_the_attention(run):
    """What an attention adds to its input is its output layer: with that at zero x0 is the ablated one."""
    model, state = run.model, run.state(1)
    seen = look(state, Settings(block="middle.1", part="branch"))
    out = model.network.middle[1].out
    kept = [parameter.clone() for parameter in out.parameters()]
    for parameter in out.parameters():
        parameter.zero_()
    expected = state.bare(state.x[:1], state.level).x0[0]
    for parameter, value in zip(out.parameters(), kept):
        parameter.copy_(value)
    np.testing.assert_allclose(seen["x0_scaled"], expected.numpy(), atol=1e-6)


def test_the_channels_shown_are_those_that_vary_most(run):
    found, state = [], run.state(1)
    assert state.x is not None  # replayed before the hook is there
    hook = run.model.network.middle[0].register_forward_hook(
        lambda module, args, output: found.append(output)
    )
    state.ask_network()
    hook.remove()
    variances = found[0][0].flatten(1).var(1, correction=0)
    seen = look(state, Settings(block="middle.0"))
    assert seen["channel_numbers"][0] == variances.argmax()
    assert seen.numbers["mean"] == pytest.approx(float(found[0][0].mean()))
    assert not any(module._forward_hooks for module in run.model.network.modules())


def test_the_drawing_names_every_block(run):
    blocks = describe(run.state(0))
    text = svg(blocks, run.model)
    assert text.count("<rect") == len(blocks) and 'data-block="middle.1"' in text and "the label" in text


def test_the_drawing_tells_colours_skips_and_the_chosen_block(run):
    """Each colour in it is in its legend, once for each kind that the network has."""
    blocks = describe(run.state(0))
    text = svg(blocks, run.model, marked="middle.1")
    kinds = ("block", "attention", "resample", "other")
    for kind in kinds:
        colour, said = KINDS[kind]
        assert f">{said}</text>" in text and f'fill="#{bytes(colour).hex()}"/><text' in text
    assert text.count('class="chosen"') == 1 and 'data-skip="up.0.stages.1.block"' in text
    assert text.count("data-skip") == sum(one.skip is not None for one in blocks)
    picture = drawn(blocks, "middle.1")
    legend = picture[240:].reshape(-1, 3).tolist()
    assert all(list(KINDS[kind][0]) in legend for kind in kinds)


def test_the_middle_is_the_networks_own(run):
    assert look(run.state(1), Settings()).numbers["block"] == "middle.0"

    def block(name, kind, side):
        return Block(name, kind, 8, 8, (side, side), 1)

    down = [block("down.0", "Conv2d", 8), block("down.1", "Downsample", 4), block("low.0", "ResBlock", 4)]
    assert middle_of([*down, block("low.1", "ResBlock", 4), block("up.0", "Upsample", 8)]).name == "low.0"
    assert middle_of(down[:2]).name == "down.1"


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"block": "nowhere"}, "no block 'nowhere'"),
        ({"block": "middle.0", "part": "skip"}, "No skip enters middle.0"),
        ({"block": "up.0.stages.0.block", "part": "branch"}, "from 32 to 16 channels"),
    ],
)
def test_parts_that_are_not_there(run, settings, said):
    with pytest.raises(OptionError, match=said):
        look(run.state(1), Settings(**settings))


def test_networks_that_remember_their_last_x0_are_described_too(foreign_model):
    model = foreign_model(PostNormConfig, self_condition=True)
    run = Run(model, Recipe("foreign", seeds=(1,), steps=3))
    seen = look(run.state(2), Settings(factor=1))
    assert (seen["change"] == 0).all() and any(one.skip for one in seen.numbers["blocks"])
    # the replay's own prediction: what the run showed at that state
    shown = [frame.x0 for frame in run.frames()][2][0, ..., 0]
    np.testing.assert_allclose(seen["x0"][0].clip(-1, 1), shown / 127.5 - 1, atol=0.5 / 127.5 + 1e-6)
