"""The terms of a step add up to the sampler's own next state, for every sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.samplers import SAMPLERS
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.sum_view import look
from diffusion_studio.inside.terms import step_terms
from diffusion_studio.runs.edits import FromPicture, Inpaint, Invert
from diffusion_studio.runs.generate import stream
from diffusion_studio.runs.recipe import Recipe

OTHERS = {
    "unipc of order 3": s.UniPC(order=3),
    "unipc bh1": s.UniPC(solver="bh1", lower_order_final="always"),
    "singlestep of order 3": s.DPMPPSinglestep(order=3),
    "ddim eta 1": s.DDIM(eta=1.0),
    "ddim fixed stride": s.DDIM(fixed_stride=True),
    "euler churn": s.Euler(churn=10.0),
    "heun churn": s.Heun(churn=10.0),
    "ddpm learned": s.DDPM(variance="learned"),
    "deis of order 4": s.DEIS(order=4),
    "2m sde heun": s.DPMPP2MSDE(correction="heun"),
    "two corrections": s.PredictorCorrector(correct_steps=2, correct_first=True),
    "dpm2 ancestral": s.DPM2(eta=1.0),
    "exact adaptive": s.Adaptive(tolerance=1e-3),
}
CASES = {**{name: cls() for name, cls in SAMPLERS.items()}, **OTHERS}


def run_of(model, sampler, **more) -> tuple[Run, list[torch.Tensor]]:
    recipe = Recipe("tiny", "Dog", (3, 4), **{"steps": 7, "sampler": sampler, "guidance": 2.0, **more})
    run = Run(model, recipe)
    return run, [x for _, x in run.states()]


def total(run: Run, index: int) -> torch.Tensor:
    return sum(term.product for term in step_terms(run.state(index)))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in OTHERS else name for name in CASES]
)
def test_the_terms_add_up_to_the_next_state(tiny_model, name):
    learned = {"network": {"out_channels": 2}, "learned_variance": True}
    run, states = run_of(tiny_model(**(learned if name == "ddpm learned" else {})), CASES[name])
    for k in range(run.total):
        torch.testing.assert_close(total(run, k), states[k + 1], rtol=0, atol=4e-14)


def test_predictions_of_a_noisier_copy_are_named_so(tiny_model):
    """With churn they and those of the state itself had one name."""
    for sampler, copies in ((s.Euler(churn=10.0), True), (s.Euler(), False)):
        run, _ = run_of(tiny_model(), sampler)
        seen = look(run.state(2), Settings())
        names = [name for name, _ in seen.numbers["terms"]]
        assert ("x0(2, noisier)" in names) == copies == ("x0(2)" not in names), names
        assert ("first added noise" in " ".join(seen.lines)) == copies
        assert not any("this view asks about the state itself" in note for note in seen.notes)


def test_the_learned_variance_is_said_between_its_bounds(tiny_model):
    learned = {"network": {"out_channels": 2}, "learned_variance": True}
    run, _ = run_of(tiny_model(**learned), s.DDPM())
    seen = look(run.state(2), Settings())
    low, mean, high, share = seen.numbers["variance"]
    assert low < mean < high and mean == pytest.approx(seen["variance"].mean())
    rescaled = np.log(seen["variance"] / low) / np.log(high / low)  # Nichol & Dhariwal 2021, eq. 15
    assert share == pytest.approx(rescaled.mean())
    assert f"{share:.0%} of the way" in " ".join(seen.lines)


def test_the_last_step_has_no_learned_variance_and_says_so(tiny_model):
    """Its least variance is 0, whose logarithm the share between the bounds would take."""
    learned = {"network": {"out_channels": 2}, "learned_variance": True}
    run, states = run_of(tiny_model(**learned), s.DDPM(variance="learned"))
    seen = look(run.state(run.total - 1), Settings())
    assert run.prediction(run.total - 1).variance is not None and "variance" not in seen.arrays
    np.testing.assert_allclose(seen["term_products"].sum(0), states[-1][:1], rtol=0, atol=4e-14)
    assert all(np.isfinite(one).all() for one in seen.arrays.values())
    assert [kind for kind, _ in seen.numbers["terms"] if kind.startswith("noise")] == []
    assert "the least variance is 0 and none of it is drawn" in " ".join(seen.lines)
    plain, _ = run_of(tiny_model(), s.DDPM())
    assert "learned a variance" not in " ".join(look(plain.state(plain.total - 1), Settings()).lines)


@pytest.mark.parametrize("sampler", [s.DPMPP3M(), s.UniPC(order=3), s.LMS(), s.PNDM()])
def test_a_step_s_terms_do_not_reach_back_to_the_start(tiny_model, sampler):
    run, _ = run_of(tiny_model(), sampler, steps=12)
    terms = step_terms(run.state(10))
    assert len(terms) <= 5 and min(term.step for term in terms) >= 7


def test_ddim_has_the_coefficients_of_its_paper(tiny_model):
    """Song et al. 2020, eq. 12."""
    run, _ = run_of(tiny_model(), s.DDIM(eta=0.5))
    now, to = run.own_segments[0].levels[3:5]
    kept = now.alpha / to.alpha * to.sigma
    fresh = 0.5 * to.sigma / now.sigma * np.sqrt(now.sigma**2 - kept**2)
    expected = {"x0": to.alpha, "eps": np.sqrt(to.sigma**2 - fresh**2), "noise": fresh}
    assert {term.kind: term.coefficient for term in step_terms(run.state(3))} == pytest.approx(expected)


def test_one_step_and_a_first_step_of_alpha_zero(tiny_model):
    run, states = run_of(tiny_model(), s.DDIM(), steps=1)
    torch.testing.assert_close(total(run, 0), states[1], rtol=0, atol=4e-14)


def test_edits_jumps_inversion_and_branches_add_up_too(tiny_model):
    grey = Picture(np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 3)
    half = Picture(np.repeat(np.arange(8) > 3, 8).reshape(8, 8, 1).astype(np.uint8) * 255)
    model = tiny_model()
    one = {"seeds": (3,)}
    recipes = [
        Recipe(
            "tiny", "Dog", steps=6, sampler=s.LMS(), edit=Inpaint(grey, half, jumps=2, jump_length=2), **one
        ),
        Recipe("tiny", "Dog", steps=8, edit=FromPicture(grey, strength=0.5), **one),
        Recipe("tiny", "Dog", steps=5, edit=Invert(grey, source_label="Cat"), **one),
        Recipe("tiny", "Dog", (3,), 6, s.UniPC()).continued(3, label="Cat", sampler=s.DPMPP2M()),
    ]
    for recipe in recipes:
        run = Run(model, recipe)
        states = [x for _, x in run.states()]
        for k in range(run.total):
            torch.testing.assert_close(total(run, k), states[k + 1], rtol=0, atol=4e-14)


def test_the_four_readings_and_the_decomposition(tiny_model):
    run, _ = run_of(tiny_model(), s.DDIM())
    seen = look(run.state(2), Settings(picture=1, place="3,4"))
    alpha, sigma = seen.numbers["alpha"], seen.numbers["sigma"]
    np.testing.assert_allclose(alpha * seen["x0"] + sigma * seen["eps"], seen["x"], atol=1e-12)
    np.testing.assert_allclose(seen["target_v"], alpha * seen["eps"] - sigma * seen["x0"], atol=1e-12)
    level = run.state(2).level
    below = run.model.schedule.level(level.t - 1)
    beta = level.sigma**2 - (level.alpha / below.alpha * below.sigma) ** 2
    mean = (  # Ho et al. 2020, eq. 7
        below.alpha * beta * seen["x0"] + level.alpha / below.alpha * below.sigma**2 * seen["x"]
    ) / level.sigma**2
    np.testing.assert_allclose(seen["target_mean"], mean, atol=1e-10)
    assert sum(one[0] for one in seen.numbers["place_products"]) == pytest.approx(seen["next"][0, 0, 3, 4])
    assert seen.numbers["rounding"] < 1e-13
    assert seen.image().shape[-1] == 3


def test_the_learned_variance_lies_between_its_bounds(tiny_model):
    model = tiny_model(network={"out_channels": 2}, learned_variance=True)
    run, _ = run_of(model, s.DDPM(variance="learned"))
    seen = look(run.state(3), Settings())
    p = run.prediction(3)
    share = np.log(seen["variance"] / seen["variance_small"]) / np.log(
        seen["variance_large"] / seen["variance_small"]
    )
    np.testing.assert_allclose(share[0], p.variance[0].numpy(), atol=1e-10)


def test_looking_changes_no_run_and_a_replay_is_the_run(tiny_model):
    model = tiny_model(dtype=torch.float32)
    recipe = Recipe("tiny", "Dog", (3,), 6, s.DPMPP2M())
    before = [frame.x for frame in stream(model, recipe)]
    run = Run(model, recipe)
    assert look(run.state(4), Settings()).numbers["rounding"] == 0  # the state after it is not known yet
    for _ in run.states():
        pass
    assert 0 < look(run.state(4), Settings()).numbers["rounding"] < 1e-5  # float32
    after = [frame.x for frame in stream(model, recipe)]
    assert all((a == b).all() for a, b in zip(before, after))


def test_states_that_are_not_there(tiny_model):
    run, _ = run_of(tiny_model(), s.DDIM())
    with pytest.raises(OptionError, match="states 0 to 7, got 8"):
        run.state(8)
    with pytest.raises(OptionError, match="Choose a state from 0 to 6"):
        look(run.state(7), Settings())
    with pytest.raises(OptionError, match="pictures 0 to 1, got picture 2"):
        look(run.state(3), Settings(picture=2))
    with pytest.raises(OptionError, match="rows 0 to 7"):
        look(run.state(3), Settings(place="8,0"))
