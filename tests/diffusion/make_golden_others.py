"""What k-diffusion, EDM and guided-diffusion make of small problems: writes golden_others.json. Not part of
the test suite.

    python tests/diffusion/make_golden_others.py K_DIFFUSION EDM GUIDED_DIFFUSION

The arguments are folders: k-diffusion's package of version 0.1.1.post1 (unpacked; what it imports besides
torch and scipy is not needed), the repositories of EDM (commit 008a4e5) and of guided-diffusion (commit
22e0df8). Nothing of them is kept but the states that their own code computes. Networks and noise are those of
others_problem.py, which the test shares.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from others_problem import STEPS, clean, eps_of, noise, slope

START = 80.0
KEPT: list[torch.Tensor] = []


class Noise:
    """Stands in for torch.randn_like: the k-th call is the noise of arrival k, and what it is asked for is
    the state.
    """

    def __init__(self) -> None:
        self.calls = 0
        KEPT.clear()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        KEPT.append(x.clone())
        self.calls += 1
        return noise(self.calls)


def model(x: torch.Tensor, sigma: torch.Tensor, *_, **__) -> torch.Tensor:
    return clean(x, float(sigma.flatten()[0]))


def k_diffusion(folder: Path) -> tuple[dict, dict]:
    def stub(name: str, **functions) -> None:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(functions)

    stub("torchdiffeq", odeint=None)
    stub("torchsde")
    stub("k_diffusion")
    stub("k_diffusion.utils", append_dims=lambda x, n: x[(...,) + (None,) * (n - x.ndim)])
    sys.modules["k_diffusion"].utils = sys.modules["k_diffusion.utils"]
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", folder / "sampling.py")
    k = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(k)
    sigmas = k.get_sigmas_karras(STEPS, 0.002, START).double()

    def run(function, asked: bool = False, **options) -> list[torch.Tensor]:
        """`asked`: the states are those that noise was drawn beside, as churn changes what the callback
        shows.
        """
        drawn, seen = Noise(), []
        torch.randn_like, before = drawn, torch.randn_like
        try:
            last = function(
                model,
                START * noise(0),
                sigmas,
                disable=True,
                callback=lambda said: seen.append(said["x"].clone()),
                **options,
            )
        finally:
            torch.randn_like = before
        return [*(KEPT if asked else seen), last]

    given = {"noise_sampler": lambda sigma, to: noise(1 + int((sigmas == sigma).nonzero()[0, 0]))}
    runs = {
        "euler": run(k.sample_euler),
        "heun": run(k.sample_heun),
        "lms": run(k.sample_lms),
        "euler churn": run(k.sample_euler, True, s_churn=4.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003),
        "heun churn": run(k.sample_heun, True, s_churn=4.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003),
        "euler_ancestral": run(k.sample_euler_ancestral, eta=0.7, s_noise=1.01, **given),
        "dpmpp_2s": run(k.sample_dpmpp_2s_ancestral, eta=0.0, **given),
        "dpmpp_2s eta": run(k.sample_dpmpp_2s_ancestral, eta=0.7, s_noise=1.01, **given),
        "dpmpp_2m": run(k.sample_dpmpp_2m),
        "dpmpp_2m_sde midpoint": run(k.sample_dpmpp_2m_sde, eta=0.7, s_noise=1.01, **given),
        "dpmpp_2m_sde heun": run(k.sample_dpmpp_2m_sde, eta=1.0, solver_type="heun", **given),
    }
    paths = {
        "karras": k.get_sigmas_karras(7, 0.1, 9.0, rho=5.0),
        "exponential": k.get_sigmas_exponential(7, 0.1, 9.0),
        "polyexponential": k.get_sigmas_polyexponential(7, 0.1, 9.0, rho=2.0),
        "vp": k.get_sigmas_vp(7),
    }
    return {"sigmas": sigmas.tolist(), "runs": runs}, paths


def edm(folder: Path) -> dict:
    tree = ast.parse((folder / "generate.py").read_text("utf-8"))
    tree.body = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "edm_sampler"
    ]
    scope = {"np": np, "torch": torch}
    exec(compile(tree, "generate.py", "exec"), scope)
    net = types.SimpleNamespace(sigma_min=0.0, sigma_max=float("inf"), round_sigma=torch.as_tensor)

    class Net:
        def __getattr__(self, name):
            return getattr(net, name)

        def __call__(self, x, sigma, labels):
            return model(x, sigma)

    def run(**options) -> list[torch.Tensor]:
        drawn = Noise()
        last = scope["edm_sampler"](Net(), noise(0), randn_like=drawn, num_steps=STEPS, **options)
        return [*KEPT, last]

    return {"edm heun": run(), "edm churn": run(S_churn=4.0, S_min=0.05, S_max=50.0, S_noise=1.003)}


def guided_diffusion(folder: Path) -> dict:
    sys.path.insert(0, str(folder))
    from guided_diffusion import gaussian_diffusion as gd
    from guided_diffusion.respace import SpacedDiffusion, space_timesteps

    def run(
        respacing: str,
        ddim: bool = False,
        variance: str = "FIXED_SMALL",
        clip: bool = False,
        guide: bool = False,
        reverse: bool = False,
        **options,
    ) -> dict:
        process = SpacedDiffusion(
            use_timesteps=space_timesteps(1000, respacing),
            betas=gd.get_named_beta_schedule("linear", 1000),
            model_mean_type=gd.ModelMeanType.EPSILON,
            model_var_type=gd.ModelVarType[variance],
            loss_type=gd.LossType.MSE,
        )

        def net(x, t):
            out = eps_of(x, float(t[0]))
            return torch.cat([out, torch.full_like(out, -0.4)], 1) if variance == "LEARNED_RANGE" else out

        step = process.ddim_reverse_sample if reverse else process.ddim_sample if ddim else process.p_sample
        if guide:
            options |= {"cond_fn": lambda x, t: slope(x, float(t[0])), "model_kwargs": {}}
        torch.randn_like, before = Noise(), torch.randn_like
        times, x = (
            sorted(space_timesteps(1000, respacing), reverse=True),
            0.3 * noise(0) if reverse else noise(0),
        )
        states = [x]
        try:
            order = range(len(times) - 1) if reverse else range(len(times) - 1, -1, -1)
            for k in order:
                x = step(net, x, torch.tensor([k]), clip_denoised=clip, **options)["sample"].double()
                states.append(x)
        finally:
            torch.randn_like = before
        return {"times": times[::-1] if reverse else times, "states": states}

    return {
        "ddpm small": run("10"),
        "ddpm large": run("3,4,3", variance="FIXED_LARGE"),
        "ddpm learned": run("10", variance="LEARNED_RANGE"),
        "ddpm clipped": run("2,3,5", clip=True),
        "ddim": run("ddim10", True),
        "ddim eta": run("ddim10", True, eta=0.6),
        "ddim clipped": run("10", True, clip=True),
        "classifier mean": run("10", guide=True),
        "classifier score": run("ddim10", True, guide=True),
        "ddim inversion": run("10", True, reverse=True),
    }


def numbers(states: list[torch.Tensor]) -> list[list[float]]:
    assert all(state.shape == (1, 1, 1, 2) for state in states)
    return [[float(f"{value:.9g}") for value in state.flatten().tolist()] for state in states]


def main() -> None:
    torch.set_default_dtype(torch.float64)
    folders = [Path(given) for given in sys.argv[1:4]]
    ours, paths = k_diffusion(folders[0])
    runs = {name: numbers(states) for name, states in (ours["runs"] | edm(folders[1])).items()}
    assert all(len(states) == STEPS + 1 for states in runs.values()), {
        name: len(states) for name, states in runs.items()
    }
    torch.set_default_dtype(torch.float32)
    spaced = {
        name: {"times": run["times"], "states": numbers(run["states"])}
        for name, run in guided_diffusion(folders[2]).items()
    }
    made = {
        "k-diffusion": "0.1.1.post1",
        "edm": "008a4e5",
        "guided-diffusion": "22e0df8",
        "torch": torch.__version__,
    }
    text = json.dumps(
        {
            "made with": made,
            "sigmas": ours["sigmas"],
            "runs": runs,
            "spaced": spaced,
            "paths": {name: path.tolist() for name, path in paths.items()},
        },
        separators=(",", ":"),
    )
    Path(__file__).with_name("golden_others.json").write_text(text.replace("]]", "]]\n") + "\n", "utf-8")


if __name__ == "__main__":
    main()
