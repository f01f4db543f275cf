"""The order of convergence of every deterministic solver, on problems with exact answers (closed_forms.py).

Where the order holds: on paths even in log-SNR that start deep in noise (lambda = -6) and end above sigma =
0. Multistep solvers start with lower orders, which a start in deep noise hides, as x0 is all but constant
there; and the step to the clean picture is of first order in all of them, with an error in proportion to the
last sigma squared.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_forms import Mixture, column, even, last_of

from diffusion_studio.diffusion import samplers as s
from diffusion_studio.diffusion.samplers import SAMPLERS
from diffusion_studio.diffusion.sampling import sample
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.errors import OptionError

ORDERS = {
    "ddim": (s.DDIM(), 1),
    "euler": (s.Euler(), 1),
    "euler_ancestral eta=0": (s.EulerAncestral(eta=0), 1),
    "heun": (s.Heun(), 2),
    "dpmpp_2m": (s.DPMPP2M(), 2),
    "dpmpp_2m heun": (s.DPMPP2M("heun"), 2),
    "dpmpp_2m_sde eta=0": (s.DPMPP2MSDE(eta=0), 2),
    "dpmpp_3m": (s.DPMPP3M(), 3),
    "dpmpp_3m released": (s.DPMPP3M(difference="half"), 2),
    "dpmpp_2s": (s.DPMPP2S(), 2),
    "dpm_2": (s.DPM2(), 2),
    **{f"dpmpp_singlestep {order}": (s.DPMPPSinglestep(order), order) for order in (1, 2)},
    "dpmpp_singlestep 3": (s.DPMPPSinglestep(3, "heun"), 3),
    "dpmpp_sde eta=0": (s.DPMPPSDE(eta=0), 2),
    # UniPC-p with its corrector is of order p + 1 (theorem 3.1 and corollary of the paper)
    **{
        f"unipc {order} {solver}": (s.UniPC(order, solver), order + 1)
        for order in (1, 2, 3)
        for solver in ("bh1", "bh2")
    },
    # a fixed combination for even steps leaves an error of second order where the steps in sigma / alpha are
    # uneven
    "plms 1": (s.PLMS(1), 1),
    "plms 2": (s.PLMS(2), 2),
    "plms 4": (s.PLMS(4), 2),
    "pndm": (s.PNDM(), 2),
    **{f"lms {order}": (s.LMS(order), order) for order in (1, 2, 3, 4)},
    **{f"deis {order}": (s.DEIS(order), order) for order in (1, 2, 3, 4)},
    "adaptive, never halving": (s.Adaptive(tolerance=1.0), 2),
}
PROBLEMS = {"mixture": Mixture(), "gaussian": Mixture((1.0,), (0.3,), (1.0,))}


def no_noise(index: int) -> torch.Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def error(sampler, problem, levels) -> float:
    """The largest at eighths of the way, relative to the spread of x there: at a single level errors may
    cancel.
    """
    x = column(-1.6, -0.6, 0.3, 1.5) * levels[0].sigma
    worst, every = 0.0, max(1, (len(levels) - 1) // 8)
    for step in sample(sampler, problem, x, levels, no_noise):
        if step.index % every == 0:
            off = step.x - problem.flow(x, levels[0], step.level)
            worst = max(worst, off.abs().max().item() / math.hypot(step.level.alpha, step.level.sigma))
    return worst


@pytest.mark.parametrize("problem", ["mixture", pytest.param("gaussian", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name, problem):
    sampler, order = ORDERS[name]
    counts = [128, 256, 512] if order > 2 or "released" in name else [32, 64, 128]
    if "singlestep 3" in name:  # only the states at the ends of its groups of three are of third order
        counts = [120, 240, 480]
    errors = [error(sampler, PROBLEMS[problem], even("vp", n, -6, 2)) for n in counts]
    slope = -np.polyfit(np.log2(counts), np.log2(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.15), errors


def test_the_mixtures_flow_is_the_odes():
    """The exact solution against a fine fourth-order one, so that a wrong quantile map would show."""
    assert error(s.UniPC(3), Mixture(), even("vp", 1000, -6, 2)) < 1e-9


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize("name", ORDERS)
def test_all_processes_are_one(name, kind):
    """In x / alpha over sigma / alpha, variance preserving, exploding and flow runs are the same run."""
    sampler, n = ORDERS[name][0], 9
    ours, others = even("vp", n), even(kind, n)
    x = column(-1.6, 0.3, 1.5) * ours[0].sigma
    a = sample(sampler, Mixture(), x, ours, no_noise)
    b = sample(sampler, Mixture(), x / ours[0].alpha * others[0].alpha, others, no_noise)
    for left, right, here, there in zip(a, b, ours, others, strict=True):
        assert (left.x / here.alpha - right.x / there.alpha).abs().max() < 1e-9 * max(
            1, left.x.abs().max() / here.alpha
        )


CALLS = {
    "ddim": 6,
    "ddpm": 6,
    "euler": 6,
    "euler_ancestral": 6,
    "heun": 11,
    "dpmpp_2m": 6,
    "dpmpp_3m": 6,
    "dpmpp_2s": 11,
    "dpmpp_2m_sde": 6,
    "dpmpp_sde": 11,
    "dpmpp_singlestep": 6,
    "dpm_2": 11,
    "predictor_corrector": 11,
    "unipc": 6,
    "plms": 7,
    "pndm": 15,
    "lms": 6,
    "deis": 6,
    "consistency": 6,
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_calls_are_counted(name):
    asked: list[float] = []

    def counting(x, level):
        asked.append(level.t)
        return Mixture()(x, level)

    said = []
    for step in sample(SAMPLERS[name](), counting, column(0.4), path(Linear(), 6), lambda index: column(0.1)):
        assert step.calls == len(asked)
        said.append(step.calls)
    assert said[0] == 1 and said == sorted(said) and said[-1] == said[-2]
    assert said[-1] == CALLS.get(name, said[-1])


# --- the adaptive solver


def adaptive(tolerance: float, levels) -> tuple[float, int]:
    x = column(-1.6, -0.6, 0.3, 1.5) * levels[0].sigma
    *_, last = sample(s.Adaptive(tolerance), Mixture(), x, levels, no_noise)
    return (last.x - Mixture().flow(x, levels[0], levels[-1])).abs().max().item(), last.calls


def test_the_error_follows_the_tolerance():
    """Local errors of second order are held, and the second-order result is kept: error ~ tolerance, calls
    ~ its root.
    """
    tolerances = np.array([1e-2, 1e-3, 1e-4, 1e-5])
    found = np.array([adaptive(float(tolerance), even("vp", 4, -6, 2)) for tolerance in tolerances])
    errors, calls = np.log10(found.T)
    assert np.polyfit(np.log10(tolerances), errors, 1)[0] == pytest.approx(1, abs=0.15)
    assert np.polyfit(np.log10(tolerances), calls, 1)[0] == pytest.approx(-0.5, abs=0.1)
    assert (found[:, 0] < 10 * tolerances).all()


def test_it_spends_calls_where_they_are_needed():
    levels = even("vp", 4, -6, 2)
    said = [step.calls for step in sample(s.Adaptive(1e-3), Mixture(), column(0.5), levels, no_noise)]
    spent = np.diff(said)
    assert spent[0] < spent[2]  # nothing happens in deep noise


def test_a_tolerance_out_of_reach_is_said():
    def rough(x, level):
        p = Mixture()(x, level)
        return type(p)(p.x0 + math.sin(1e9 * level.sigma), p.eps)

    with pytest.raises(
        OptionError, match="tolerance 1e-05 was not met between log-SNR -12.00 and 4.00 with 1024 pieces"
    ):
        last_of(s.Adaptive(1e-5), rough, column(0.5), even("vp", 1, -6, 2), no_noise)
