"""Averages whose length is chosen after training, against sums written out and averages tracked from the
first step.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import integrate
from torch import nn

import diffusion_studio as ds
from diffusion_studio.errors import CheckpointError, OptionError
from diffusion_studio.training.power_ema import (
    WIDEST,
    PowerEMA,
    combine_snapshots,
    fit,
    gamma_of,
    products,
    sigma_rel_of,
)


def profile(steps: int, gamma: float) -> np.ndarray:
    """The weight of each step in the average after `steps`: the integral of (gamma + 1) tau^gamma /
    t^(gamma + 1) over it.
    """
    ends = np.arange(steps + 1) / steps
    return np.diff(ends ** (gamma + 1))


@pytest.mark.parametrize("sigma_rel", [0.01, 0.05, 0.1, 0.25, WIDEST])
def test_the_exponent_has_the_width_that_it_is_named_after(sigma_rel):
    """The mean square distance of the density from its mean, by numerical integration."""
    gamma = gamma_of(sigma_rel)
    moment = [integrate.quad(lambda t: (gamma + 1) * t ** (gamma + k), 0, 1)[0] for k in (0, 1, 2)]
    assert moment[0] == pytest.approx(1, rel=1e-9)
    assert math.sqrt(moment[2] - moment[1] ** 2) == pytest.approx(sigma_rel, rel=1e-6)
    assert sigma_rel_of(gamma) == pytest.approx(sigma_rel, rel=1e-9)


def test_the_papers_own_exponents():
    """Karras et al. 2024, section 3.1: gamma = 6.94 has a width of 10 % of the training, 16.97 of 5 %."""
    assert gamma_of(0.10) == pytest.approx(6.94, abs=0.005) and gamma_of(0.05) == pytest.approx(
        16.97, abs=0.005
    )


@pytest.mark.parametrize("wrong", [0.0, -0.1, 0.3, math.nan])
def test_widths_that_no_exponent_has(wrong):
    with pytest.raises(OptionError, match="relative length of an average lies above 0 and up to 0.2887"):
        gamma_of(wrong)


def random_walk(steps: int) -> np.ndarray:
    """(steps, 5) weights like those of a training: a walk towards a place."""
    noise = np.random.default_rng(0).standard_normal((steps, 5))
    weights, at = [], np.zeros(5)
    for k in range(steps):
        at = at + 0.02 * (np.arange(5.0) - at) + 0.1 * noise[k]
        weights.append(at)
    return np.array(weights)


def tracked(weights: np.ndarray, sigma_rel: float, at: set[int]) -> dict[int, torch.Tensor]:
    """The average after each of the steps `at`, by PowerEMA in float64."""
    layer = nn.Linear(5, 1, bias=False).double()
    ema, found = PowerEMA(layer, sigma_rel), {}
    for k, row in enumerate(weights):
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(row)[None])
        ema.update(layer, k)
        if k + 1 in at:
            found[k + 1] = ema.state["weight"][0].clone()
    return found


@pytest.mark.parametrize("sigma_rel", [0.03, 0.1, 0.28])
def test_an_average_is_the_sum_over_all_steps_by_the_profile(sigma_rel):
    weights = random_walk(300)
    for steps, found in tracked(weights, sigma_rel, {1, 2, 17, 300}).items():
        wanted = profile(steps, gamma_of(sigma_rel)) @ weights[:steps]
        assert np.abs(found.numpy() - wanted).max() < 1e-12, steps


def test_products_of_profiles_are_their_integrals():
    times, gammas = np.array([3.0, 7.0, 7.0]), np.array([6.94, 0.5, 16.97])
    found = products(times, gammas, times, gammas)
    for i in range(3):
        for j in range(3):
            both = lambda t: math.prod(
                (gammas[k] + 1) * t ** gammas[k] / times[k] ** (gammas[k] + 1) for k in (i, j)
            )
            assert found[i, j] == pytest.approx(integrate.quad(both, 0, min(times[i], times[j]))[0], rel=1e-9)
    assert (found == found.T).all()


@pytest.mark.parametrize("wanted", [0.03, 0.07, 0.10, 0.15, 0.2])
def test_any_length_is_made_from_snapshots_of_two(wanted):
    """Against the average tracked directly, in float64: within what the profiles' distance allows (Cauchy
    and Schwarz), and that distance is small, as in the paper's appendix C.
    """
    steps, every = 2000, 100
    weights = random_walk(steps)
    at = set(range(every, steps + 1, every))
    kept = [(t, s, state) for s in (0.05, 0.10) for t, state in tracked(weights, s, at).items()]
    factors = fit([t for t, _, _ in kept], [gamma_of(s) for _, s, _ in kept], steps, gamma_of(wanted))
    assert factors.sum() == pytest.approx(1, abs=1e-6)
    found = combine_snapshots(factors, ({"w": state} for _, _, state in kept))["w"].numpy()
    direct = tracked(weights, wanted, {steps})[steps].numpy()
    target = profile(steps, gamma_of(wanted))
    made = sum(f * np.pad(profile(t, gamma_of(s)), (0, steps - t)) for f, (t, s, _) in zip(factors, kept))
    short_of = np.linalg.norm(made - target)
    assert short_of < 0.03 * np.linalg.norm(target), short_of / np.linalg.norm(target)
    worst = short_of * np.linalg.norm(weights, axis=0)
    assert (np.abs(found - direct) <= worst + 1e-6).all()
    assert np.abs(found - direct).max() < 0.02 * weights.std()


def test_the_length_of_a_snapshot_is_that_snapshot():
    factors = fit([50, 100, 50, 100], [5.0, 5.0, 9.0, 9.0], 100, 9.0)
    np.testing.assert_allclose(factors, [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(fit([40], [5.0], 100, 9.0), [1])  # from one alone, itself


# --- runs


RUN = {"ema_power": "0.05,0.1", "images": 160, "snapshot_every": 16, "dropout": 0.0}


@pytest.mark.slow
def test_a_run_keeps_snapshots_and_another_length_is_written_after_training(config, finish, tmp_path):
    out, every = tmp_path / "run", []
    run = ds.train(config(**RUN), out, device="cpu", sample_every=0, save_every=4)
    for step in run:  # the network's weights after every step
        if step.step > 1:
            every.append(
                {
                    name.removeprefix("network."): t.double()
                    for name, t in load_file(out / "state.safetensors").items()
                    if name.startswith("network.")
                }
            )
    every.append(
        {
            name.removeprefix("network."): t.double()
            for name, t in load_file(out / "state.safetensors").items()
            if name.startswith("network.")
        }
    )
    assert len(every) == 40
    assert [path.name for path in sorted((out / "snapshots").iterdir())] == [
        f"{k:09d}.safetensors" for k in range(4, 40, 4)
    ]
    state = load_file(out / "state.safetensors")

    def differs(found, length) -> float:
        weights = profile(40, gamma_of(length))
        return max(
            (found[name].double() - sum(w * one[name] for w, one in zip(weights, every))).abs().max().item()
            for name in every[0]
        )

    for k, length in enumerate((0.05, 0.1)):
        assert differs({name: state[f"power{k}.{name}"] for name in every[0]}, length) < 1e-5
    for length in (0.1, 0.07, 0.14):
        assert finish(config(**RUN, ema_length=length), out, resume=True) == []
        model = load_file(out / "model.safetensors")
        moved = max((every[-1][name] - every[0][name]).abs().max().item() for name in every[0])
        assert differs(model, length) < max(0.01 * moved, 1e-3), (
            length
        )  # half precision in the file, and the fit
        assert f"power function, relative length {length:g}" in (out / "card.md").read_text()
    assert differs(model, 0.05) > 2 * differs(model, 0.14)
    finish(config(**RUN), out, resume=True)  # and back to the average by decay
    model = load_file(out / "model.safetensors")
    assert all(torch.equal(model[name], state[f"ema.{name}"].half()) for name in model)


@pytest.mark.slow
def test_a_resumed_run_has_the_same_snapshots_bit_for_bit(config, finish, tmp_path):
    given = config(**RUN, ema_length=0.07)
    finish(given, tmp_path / "whole")
    for k, stop in enumerate([4, 5, 13, None]):  # 4: where a snapshot is due with the next step
        run = ds.train(given, tmp_path / "parts", device="cpu", resume=k > 0, sample_every=0)
        for step in run:
            if step.step == stop:
                run.close()
    names = [
        path.relative_to(tmp_path / "whole") for path in sorted((tmp_path / "whole").rglob("*.safetensors"))
    ]
    assert len(names) == 2 + 9
    for name in names:
        a, b = (load_file(tmp_path / run / name) for run in ("whole", "parts"))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), name


def test_snapshots_of_a_future_that_was_killed_are_not_used(config, finish, tmp_path):
    out = tmp_path / "run"
    finish(config(**{**RUN, "images": 64}), out)
    (out / "snapshots" / "000000999.safetensors").write_bytes(b"of steps that were lost")
    (out / "snapshots" / "note.safetensors").write_bytes(b"somebody else's")
    assert finish(config(**{**RUN, "images": 64}, ema_length=0.07), out, resume=True) == []
    (out / "snapshots" / "000000008.safetensors").write_bytes(b"broken")
    with pytest.raises(
        CheckpointError, match="000000008.safetensors is damaged .*; delete it to make averages without it"
    ):
        finish(config(**{**RUN, "images": 64}, ema_length=0.08), out, resume=True)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"ema_length": 0.1},
            "ema_length needs snapshots of averages to be made from, and this run keeps none. Train with "
            "ema_power",
        ),
        ({"ema_power": "0.05,0.4"}, "ema_power must be lengths from 0.005 to 0.28, got '0.05,0.4'"),
        ({"ema_power": "wide"}, "ema_power must be numbers with commas between them"),
        (
            {"ema_power": "0.1", "ema_length": 0.5},
            "ema_length must be a finite number from 0 to 0.28",
        ),
    ],
)
def test_lengths_that_cannot_be(config, changes, message):
    with pytest.raises(OptionError, match=message):
        config(**changes)
