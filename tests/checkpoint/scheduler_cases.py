"""The schedulers of diffusers that are compared: class and configuration. Shared by the test and by
make_golden_schedulers.py.

The network, its start and its noise are formulas, so that both programs compute with the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import torch

SHAPE = (2, 1, 2, 2)
# Two steps of these divide by a sigma of 0.03 what a sigma of 25 left: the origin's own single precision
# shows above 1e-4.
ILL_CONDITIONED = (
    "KDPM2AncestralDiscrete",
    "KDPM2AncestralDiscrete use_karras_sigmas=True",
    "HeunDiscrete prediction_type=sample",
)
STEPS = (1, 2, 10, 17)  # one, two, some, and a number that does not divide 1000 and is not short


def network(x: torch.Tensor, t: float) -> torch.Tensor:
    """An output of order one that changes with x and t, about right for data of unit variance."""
    angle = min(max(t, 0.0), 999.0) / 999 * math.pi / 2
    return math.sin(angle) * x + 0.5 * math.cos(angle) * (torch.tanh(1.3 * x.flip(-1)) + 0.3 * torch.cos(x))


def noise(index: int) -> torch.Tensor:
    places = torch.arange(math.prod(SHAPE), dtype=torch.float64).view(SHAPE)
    return 1.2 * torch.sin(places * 2.3 + 1.7 * index + 0.4)


def _all() -> dict[str, tuple[str, dict[str, Any]]]:
    cases: dict[str, tuple[str, dict[str, Any]]] = {}

    def add(kind: str, *settings: dict[str, Any]) -> None:
        for one in settings:
            name = " ".join([kind, *(f"{key}={value}" for key, value in one.items())])
            cases[name] = (kind, one)

    spacings = [{"timestep_spacing": name} for name in ("leading", "trailing", "linspace")]
    means = [{"prediction_type": name} for name in ("sample", "v_prediction")]
    formulas = [{f"use_{name}_sigmas": True} for name in ("karras", "exponential", "beta")]
    add(
        "DDPM",
        {},
        *spacings[1:],
        *means,
        {"variance_type": "fixed_large"},
        {"variance_type": "fixed_large", "timestep_spacing": "trailing"},
        {"variance_type": "fixed_small_log"},
        {"steps_offset": 1, "variance_type": "fixed_large"},
        {"clip_sample": False},
        {"clip_sample_range": 0.6},
        {"thresholding": True, "sample_max_value": 1.4},
        {"thresholding": True},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "sigmoid"},
        {"beta_start": 0.001, "beta_end": 0.03},
        {"variance_type": "learned_range"},
        {"variance_type": "learned_range", "timestep_spacing": "trailing"},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    )
    add(
        "DDIM",
        {},
        {
            "thresholding": True,
            "clip_sample": False,
            "sample_max_value": 2.0,
            "dynamic_thresholding_ratio": 0.9,
        },
        {"thresholding": True, "clip_sample": False},
        *spacings[1:],
        *means,
        {"set_alpha_to_one": False},
        {"steps_offset": 1},
        {"clip_sample": False},
        {"set_alpha_to_one": False, "steps_offset": 1, "clip_sample": False},
        {"clip_sample_range": 0.6},
        {"thresholding": True, "sample_max_value": 1.4, "dynamic_thresholding_ratio": 0.9},
        {"beta_schedule": "scaled_linear"},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    )
    add(
        "PNDM",
        {},
        *spacings[1:],
        {"set_alpha_to_one": True},
        {"skip_prk_steps": True},
        {"steps_offset": 1},
        *({"skip_prk_steps": True, **one} for one in spacings[1:]),
        {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": True},
    )
    add("LMSDiscrete", {}, *spacings[:2], *means, *formulas)
    add(
        "EulerDiscrete",
        {},
        *spacings[:2],
        *means,
        *formulas,
        {"final_sigmas_type": "sigma_min"},
        {"steps_offset": 1, **spacings[0]},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    )
    add("EulerAncestralDiscrete", {}, *spacings[:2], means[1])
    add("HeunDiscrete", {}, *spacings[:2], *means, *formulas, {"clip_sample": True}, {"beta_schedule": "exp"})
    add("KDPM2Discrete", {}, *spacings[:2], means[1], *formulas)
    add("KDPM2AncestralDiscrete", {}, spacings[0], formulas[0])
    add("DPMSolverSDE", {}, *spacings[:2], means[1], *formulas)
    add(
        "DPMSolverMultistep",
        {},
        *spacings[:2],
        *means,
        *formulas,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "lower_order_final": False},
        {"solver_type": "heun"},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "solver_order": 3},
        {"final_sigmas_type": "sigma_min", "lower_order_final": False},
        {"final_sigmas_type": "sigma_min", "lower_order_final": False, "euler_at_final": True},
        {"lambda_min_clipped": -5.1},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"steps_offset": 1, **spacings[0]},
        {"thresholding": True, "sample_max_value": 1.4},
        {"algorithm_type": "sde-dpmsolver++"},
        {"algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "sigma_min"},
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 1},
    )
    add(
        "DPMSolverSinglestep",
        {},
        *means,
        *formulas,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "solver_type": "heun"},
        {"solver_type": "heun"},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "lower_order_final": True},
        {"final_sigmas_type": "sigma_min", "solver_order": 3, "lower_order_final": True},
    )
    add(
        "UniPCMultistep",
        {},
        *spacings[:2],
        *means,
        *formulas,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "bh1", "final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "lower_order_final": False},
        {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True},
        {"solver_order": 3, "lower_order_final": False, "final_sigmas_type": "sigma_min"},
    )
    add(
        "DEISMultistep",
        {},
        *spacings[:2],
        *means,
        *formulas,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_order": 3, "lower_order_final": False},
    )
    add(
        "CMStochasticIterative",
        {},
        {"clip_denoised": False},
        {"sigma_max": 40.0, "sigma_min": 0.01, "sigma_data": 0.7},
    )
    return cases


CASES = _all()


def learned(settings: dict[str, Any]) -> bool:
    return settings.get("variance_type") == "learned_range"
