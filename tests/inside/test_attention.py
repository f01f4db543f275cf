"""Attention maps: rows sum to one and give the network's own output, in every layout that attends."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from diffusion_studio.errors import OptionError
from diffusion_studio.inside.attention_view import Recorder, layers, leave_out, look, over_run
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.views import over_run as whole_run
from diffusion_studio.networks.post_norm_config import PostNormConfig
from diffusion_studio.networks.small_config import MaxPoolConfig
from diffusion_studio.runs.branch import Branch
from diffusion_studio.runs.recipe import Recipe

PROMPT = "elf, red hat, shield"


@pytest.mark.parametrize(
    "config, changes",
    [
        (PostNormConfig, {}),
        (PostNormConfig, {"memory": 2, "divided": True, "cosine_scale": 4.0}),
        (PostNormConfig, {"self_condition": True}),
        (MaxPoolConfig, {}),
    ],
    ids=["post-norm", "with memory", "self-conditioned", "max-pool"],
)
def test_foreign_layouts_give_rows_of_one_and_their_own_output(foreign_model, config, changes):
    model = foreign_model(config, **changes)
    labels = {"label": model.spec.labels[0]} if model.spec.labels else {}
    run = Run(model, Recipe("foreign", seeds=(1,), steps=3, **labels))
    found, _ = layers(run.state(1))
    assert len(found) > 1
    for one in found:
        weights = one.weights(0)
        assert (weights.sum(-1) - 1).abs().max() < 1e-5 and weights.min() >= 0
        assert one.error(0) < 1e-5


def test_words_have_maps_and_the_text_s_shares_sum_to_one(reading_model):
    run = Run(reading_model, Recipe("tiny", prompt=PROMPT, seeds=(1, 2), steps=4, guidance=3.0))
    seen = look(run.state(2), Settings(picture=1, place="1,6"))
    assert seen.numbers["tokens"] == ["<start>", "elf", ",", "red", "hat", ",", "shield"]
    assert seen["words"].shape == (7, 8, 8)
    np.testing.assert_allclose(seen["words"].sum(0), 1, atol=1e-5)
    assert seen.numbers["row_error"] < 1e-5 and seen.numbers["fused_error"] < 1e-5
    assert seen["place_8x8"].sum() == pytest.approx(1, abs=1e-5)
    assert seen.image().ndim == 3
    mean, _, each = over_run(run, Settings())
    np.testing.assert_allclose(mean, np.mean([one["words"] for one in each], axis=0))
    assert len(each) == run.total


def test_of_a_branch_the_words_are_those_of_its_end(reading_model):
    """Words of the run before stood over the picture of the branch."""
    first = Recipe("tiny", prompt=PROMPT, seeds=(1,), steps=6)
    branch = Recipe("tiny", prompt="orc, coat", seeds=(1,), steps=6, branch=Branch(first, 3))
    run = Run(reading_model, branch)
    _, tokens, each = over_run(run, Settings(word="coat"))
    assert tokens == ["<start>", "orc", ",", "coat"] and [one.step for one in each] == list(
        range(3, run.total)
    )
    seen = whole_run(run, name="attention")
    assert f"from state {each[0].step} on" in " ".join(seen.lines)


def test_a_layer_and_a_head_can_be_chosen(reading_model):
    run = Run(reading_model, Recipe("tiny", prompt=PROMPT, seeds=(1,), steps=4))
    seen = look(run.state(1), Settings())
    name = next(one for one in seen.numbers["layers"] if one.endswith("stages.0.cross") and "down.0" in one)
    alone = look(run.state(1), Settings(layer=name, head=1))
    np.testing.assert_allclose(alone["words"], seen[f"cross {name}"][1], atol=1e-6)
    with pytest.raises(OptionError, match="no attention layer 'nowhere'"):
        look(run.state(1), Settings(layer="nowhere"))
    with pytest.raises(OptionError, match="heads 0 to 1, got head 5"):
        look(run.state(1), Settings(head=5))
    with pytest.raises(OptionError, match="word in this prompt 'sword'"):
        look(run.state(1), Settings(word="sword"))


def test_recording_changes_nothing_and_sees_only_its_own_thread(reading_model):
    run = Run(reading_model, Recipe("tiny", prompt=PROMPT, seeds=(1,), steps=4))
    state = run.state(1)
    plain = state.ask_network().x0
    recorder = Recorder(reading_model.network)
    with recorder:
        other = threading.Thread(target=state.ask_network)
        other.start()
        other.join()
        assert recorder.calls == []
        assert torch.equal(state.ask_network().x0, plain)
    assert len(recorder.calls) == 1
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in reading_model.network.modules()
    )


def test_leaving_a_word_out_is_the_prompt_without_it(reading_model):
    run = Run(reading_model, Recipe("tiny", prompt=PROMPT, seeds=(1, 2), steps=4, guidance=3.0))
    state = run.state(2)
    found = leave_out(state, "hat", picture=1)
    with torch.no_grad():
        whole = reading_model.denoiser(prompt=PROMPT)(state.x[1:], state.level).x0[0]
        less = reading_model.denoiser(prompt="elf, red, shield")(state.x[1:], state.level).x0[0]
    np.testing.assert_allclose(found["removed"], (whole - less).numpy(), atol=1e-7)
    assert np.abs(found["masked"]).max() > 0
    with pytest.raises(OptionError, match="word in this prompt 'sword'"):
        leave_out(state, "sword")


def test_a_network_without_attention_says_so(tiny_model):
    run = Run(tiny_model(network={"middle": "none"}), Recipe("tiny", "Dog", steps=2))
    with pytest.raises(OptionError, match="has no attention"):
        look(run.state(0), Settings())


@pytest.mark.parametrize("kind", [None, "perturbed_attention", "skipped_layers"])
def test_a_replayed_step_shows_the_undisturbed_attention(foreign_model, kind):
    """At the first state, where nothing is remembered yet, self-guidance changes none of it."""
    model = foreign_model(PostNormConfig, self_condition=True)
    plain, guided = (
        look(Run(model, Recipe("foreign", seeds=(1,), steps=3, **more)).state(0), Settings())
        for more in ({}, {"self_guidance": kind})
    )
    assert plain.numbers["layers"] == guided.numbers["layers"]
    for name, one in plain.arrays.items():
        if name.startswith("self "):
            np.testing.assert_allclose(guided[name], one, atol=1e-6)
    assert any("replayed with its guidance" in note for note in guided.notes) == (kind is not None)
