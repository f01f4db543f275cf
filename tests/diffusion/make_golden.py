"""What diffusers makes of a small problem: writes golden_diffusers.json beside this file. Not part of the
test suite.

    python tests/diffusion/make_golden.py        # in an environment with diffusers 0.42.1 and torch 2.x, not ours

For every scheduler the levels that it visited (t, alpha, sigma) and x at each, in the network's own scale
(alpha^2 + sigma^2 = 1; the k-diffusion family keeps x / alpha itself). The network and the noise are the
functions below, and test_against_diffusers.py has them too.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import diffusers
import torch

STEPS = 10
COMMON = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
OPEN = {"lower_order_final": False, "final_sigmas_type": "sigma_min", "timestep_spacing": "linspace"}


def network(x: torch.Tensor, t: float) -> torch.Tensor:
    angle = t / 999 * math.pi / 2  # about right for data of unit variance, and a nonlinear part
    return math.sin(angle) * x + 0.5 * math.cos(angle) * (torch.tanh(1.3 * x.flip(-1)) + 0.3 * torch.cos(x))


def noise(index: int) -> torch.Tensor:
    return 1.2 * torch.sin(torch.arange(2, dtype=torch.float64).view(1, 1, 1, 2) * 2.3 + 1.7 * index + 0.4)


def pair(sigma: float) -> tuple[float, float]:
    """(alpha, sigma) of a ratio sigma / alpha."""
    return 1 / math.hypot(1, sigma), sigma / math.hypot(1, sigma)


def from_ratios(scheduler, scaled: bool, calls: int = 1, variance_noise: bool = False, module=None) -> dict:
    """Schedulers with a list of ratios. `calls` network calls for each step but the last one."""
    scheduler.set_timesteps(STEPS)
    ratios, times = scheduler.sigmas.double().tolist(), scheduler.timesteps.double().tolist()
    if calls == 2:
        ratios, times = [ratios[0], *ratios[1::2]], [times[0], *times[1::2]]
    levels = [(t, *pair(s)) for t, s in zip([*times, 0.0], ratios)]
    x = noise(0)
    if scaled:
        x = x / levels[0][1]
    states, arrival = [noise(0)], 1
    if module is not None:
        module.randn_tensor = lambda *args, **kwargs: noise(arrival)
    for k, t in enumerate(scheduler.timesteps):
        asked = scheduler.scale_model_input(x, t) if scaled else x
        more = {"variance_noise": noise(arrival)} if variance_noise else {}
        x = scheduler.step(network(asked, float(t)), t, x, **more).prev_sample.double()
        if calls == 1 or scheduler.state_in_first_order or k == len(scheduler.timesteps) - 1:
            states.append(x * levels[arrival][1] if scaled else x)
            arrival += 1
    return pack(levels, states)


def from_bars(scheduler, step) -> dict:
    """Schedulers with a table of alpha_bar; `step(t, x, arrival)` -> x."""
    scheduler.set_timesteps(STEPS)
    times = [int(t) for t in scheduler.timesteps]
    bars = scheduler.alphas_cumprod.double()
    levels = [(t, math.sqrt(bars[t]), math.sqrt(1 - bars[t])) for t in times] + [(-1, 1.0, 0.0)]
    states = [noise(0)]
    for k, t in enumerate(times):
        states.append(step(t, states[-1], k + 1))
    return pack(levels, states)


def pseudo(skip: bool) -> dict:
    scheduler = diffusers.PNDMScheduler(**COMMON, skip_prk_steps=skip, set_alpha_to_one=True)
    scheduler.set_timesteps(STEPS)
    times = sorted({int(t) for t in scheduler._timesteps}, reverse=True)
    bars = scheduler.alphas_cumprod.double()
    levels = [(t, math.sqrt(bars[t]), math.sqrt(1 - bars[t])) for t in times] + [(-1, 1.0, 0.0)]
    x, states = noise(0), [noise(0)]
    for k, t in enumerate(scheduler.timesteps):
        x = scheduler.step(network(x, float(t)), t, x).prev_sample
        if (k >= 1) if skip else (k >= 12 or k % 4 == 3):
            states.append(x)
    return pack(levels, states)


def pack(levels: list, states: list) -> dict:
    assert len(levels) == len(states) == STEPS + 1, (len(levels), len(states))
    return {
        "levels": [[t, round(alpha, 10), round(sigma, 10)] for t, alpha, sigma in levels],
        "states": [[round(v, 7) for v in x.flatten().tolist()] for x in states],
    }


def ddpm(variance: str) -> dict:
    import diffusers.schedulers.scheduling_ddpm as module

    kind = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}[variance]
    scheduler = diffusers.DDPMScheduler(**COMMON, variance_type=kind, clip_sample=False)

    def step(t, x, arrival):
        module.randn_tensor = lambda *args, **kwargs: noise(arrival)
        output = network(x, float(t))
        if variance == "learned":  # -0.4 is 0.3 of the way from small to large
            output = torch.cat([output, torch.full_like(output, -0.4)], 1)
        return scheduler.step(output, t, x).prev_sample

    return from_bars(scheduler, step)


def main() -> None:
    import diffusers.schedulers.scheduling_euler_ancestral_discrete as ancestral
    import diffusers.schedulers.scheduling_euler_discrete as euler
    import diffusers.schedulers.scheduling_heun_discrete as heun

    ddim = diffusers.DDIMScheduler(**COMMON, clip_sample=False, set_alpha_to_one=True)
    found = {f"ddpm {variance}": ddpm(variance) for variance in ("small", "large", "learned")}
    for eta in (0.0, 0.7):
        found[f"ddim {eta}"] = from_bars(
            ddim,
            lambda t, x, k, eta=eta: (
                ddim.step(network(x, float(t)), t, x, eta=eta, variance_noise=noise(k)).prev_sample
            ),
        )
    found["euler"] = from_ratios(diffusers.EulerDiscreteScheduler(**COMMON), True, module=euler)
    found["heun"] = from_ratios(diffusers.HeunDiscreteScheduler(**COMMON), True, calls=2, module=heun)
    found["euler_ancestral"] = from_ratios(
        diffusers.EulerAncestralDiscreteScheduler(**COMMON), True, module=ancestral
    )
    found["lms"] = from_ratios(diffusers.LMSDiscreteScheduler(**COMMON), True)
    for order in (2, 3):
        found[f"dpmpp_{order}m"] = from_ratios(
            diffusers.DPMSolverMultistepScheduler(**COMMON, **OPEN, solver_order=order), False
        )
        found[f"deis {order}"] = from_ratios(
            diffusers.DEISMultistepScheduler(
                **COMMON, solver_order=order, lower_order_final=False, timestep_spacing="linspace"
            ),
            False,
        )
    found["dpmpp_2m heun"] = from_ratios(
        diffusers.DPMSolverMultistepScheduler(**COMMON, **OPEN, solver_order=2, solver_type="heun"), False
    )
    for solver in ("midpoint", "heun"):
        found[f"dpmpp_2m_sde {solver}"] = from_ratios(
            diffusers.DPMSolverMultistepScheduler(
                **COMMON, **OPEN, solver_order=2, solver_type=solver, algorithm_type="sde-dpmsolver++"
            ),
            False,
            variance_noise=True,
        )
    for order in (1, 2, 3):
        for solver in ("bh1", "bh2"):
            found[f"unipc {order} {solver}"] = from_ratios(
                diffusers.UniPCMultistepScheduler(**COMMON, **OPEN, solver_order=order, solver_type=solver),
                False,
            )
    found["plms"], found["pndm"] = pseudo(True), pseudo(False)
    paths: list = []  # each list of levels is written once
    for run in found.values():
        if run["levels"] not in paths:
            paths.append(run["levels"])
        run["levels"] = paths.index(run["levels"])
    made = {"diffusers": diffusers.__version__, "torch": torch.__version__}
    text = json.dumps({"made with": made, "levels": paths, "runs": found}, separators=(",", ":"))
    Path(__file__).with_name("golden_diffusers.json").write_text(text.replace("]]", "]]\n") + "\n", "utf-8")


if __name__ == "__main__":
    main()
