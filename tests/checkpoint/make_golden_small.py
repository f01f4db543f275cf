"""What five more programs compute with random weights in their own layouts: the oracle of the readers' tests.

    PYTHONPATH=.../denoising-diffusion-pytorch python tests/checkpoint/make_golden_small.py lucidrains VERSION     # each version in turn
    PYTHONPATH=.../denoising-diffusion-pytorch python tests/checkpoint/make_golden_small.py elucidated             # version 2.3.1
    PYTHONPATH=.../ddpm-torch python tests/checkpoint/make_golden_small.py tqch
    PYTHONPATH=.../Diffusion-Models-pytorch python tests/checkpoint/make_golden_small.py dome272
    PYTHONPATH=.../Conditional_Diffusion_MNIST python tests/checkpoint/make_golden_small.py teapearce
    PYTHONPATH=.../mnist_ddpm python tests/checkpoint/make_golden_small.py brianpulfer

As with make_golden.py, weights are a formula of each tensor's name and shape, and a file holds names, shapes,
what the origin would say in flags, the buffers of its process, outputs at several timesteps, and the picture
after the origin's own ten steps.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEPS = 10
LAYOUTS = ("lucidrains", "tqch", "dome272", "teapearce", "brianpulfer")

_COSINE = {"timesteps": STEPS, "beta_schedule": "cosine"}
# version: name: (the network's options, the process's)
LUCIDRAINS = {
    "0.25.3": {"bias": ({"dim_mults": (1, 2)}, {"timesteps": STEPS, "objective": "pred_x0"})},
    "0.27.12": {"cosine": ({"self_condition": True}, _COSINE)},
    "1.0.0": {"standardized": ({"channels": 1}, _COSINE)},
    "1.4.0": {"learned-waves": ({"learned_sinusoidal_cond": True, "channels": 1}, None)},
    "1.8.0": {"full": ({"full_attn": (True, False)}, {**_COSINE, "objective": "pred_noise"})},
    "1.11.0": {
        "memory": (
            {"attn_heads": 2, "attn_dim_head": 8, "dim_mults": (1, 1, 2)},
            {"timesteps": STEPS, "objective": "pred_v"},
        ),
        "classes": ({"num_classes": 5}, {"timesteps": STEPS, "objective": "pred_noise"}),
    },
    "2.3.1": {
        "rms": ({"init_dim": 8, "self_condition": True}, {"timesteps": STEPS}),
        "ddim": (
            {"channels": 1, "attn_dim_head": (8, 4)},
            {"timesteps": 1000, "sampling_timesteps": STEPS, "min_snr_loss_weight": True},
        ),
        "learned": ({"learned_variance": True}, {**_COSINE, "objective": "pred_noise"}),
        # its default objective, which such a process does not look at
        "learned-v": ({"learned_variance": True}, {"timesteps": STEPS, "objective": "pred_v"}),
    },
}
TQCH = {
    "cifar-like": (
        {
            "in_channels": 3,
            "ch_multipliers": (1, 2, 2),
            "num_res_blocks": 2,
            "apply_attn": (False, True, False),
        },
        {},
    ),
    "plain": (
        {
            "in_channels": 1,
            "ch_multipliers": (1, 1),
            "num_res_blocks": 1,
            "apply_attn": (True, False),
            "resample_with_conv": False,
            "time_embedding_dim": 40,
        },
        {"model_mean_type": "x_0", "model_var_type": "fixed-small", "beta_schedule": "quad"},
    ),
}
BETAS = {"beta_start": 0.01, "beta_end": 0.5}


def formula_weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Float32 weights by name and shape: normal, with the spread that layers start with; norms' gains and
    variances around 1.
    """
    found = {}
    for name, shape in shapes.items():
        gain = name.endswith((".g", ".ln.weight", "running_var")) or (
            len(shape) == 1 and name.endswith("weight")
        )
        plain = gain or name.endswith((".b", ".ln.bias", "running_mean")) or len(shape) < 2
        scale = 0.2 if plain else 1.2 / math.sqrt(3 * math.prod(shape[1:]))
        noise = scale * normal(name, *shape)
        found[name] = (gain + (np.clip(noise, -0.6, None) if gain else noise)).astype(np.float32)
    return found


def normal(key: str, *shape: int) -> np.ndarray:
    """Noise that anyone can draw again."""
    return (
        np.random.Generator(np.random.Philox(zlib.crc32(key.encode())))
        .standard_normal(shape)
        .astype(np.float32)
    )


class Oracle:
    """One original network with weights by formula; records what it computes."""

    def __init__(self, name: str, network, prefix: str, shape: tuple[int, ...], flags: dict, **about) -> None:
        import torch

        state = {key: value for key, value in network.state_dict().items() if value.dtype.is_floating_point}
        shapes = {key: list(value.shape) for key, value in state.items()}
        network.load_state_dict(
            {**network.state_dict(), **{k: torch.from_numpy(v) for k, v in formula_weights(shapes).items()}}
        )
        network.eval()
        self.name, self.shape, self.kept = name, shape, {}
        self.about = {
            "shapes": shapes,
            "prefix": prefix,
            "shape": shape,
            "flags": flags,
            "times": [],
            **about,
        }

    def outputs(self, call, times, part=slice(None)) -> None:
        """`call(x, t)` at each time; of large outputs a part is kept."""
        import torch

        x = torch.from_numpy(normal("x", *self.shape))
        for t in times:
            with torch.no_grad():
                self.kept[f"t{t:g}"] = call(x, torch.full((len(x),), t)).numpy()[..., part, part]
            self.about["times"].append(t)

    def sampled(self, run, part=slice(None)) -> None:
        """The origin's whole sampling, with our noise where it draws its own: `run()` gives the picture."""
        import torch

        draws = iter(
            [
                torch.from_numpy(normal(key, *self.shape))
                for key in ["x", *(f"noise {k}" for k in range(1, 2 * STEPS))]
            ]
        )
        draw = lambda *args, **kwargs: next(draws)
        saved = torch.randn, torch.randn_like, torch.Tensor.normal_
        torch.randn = torch.randn_like = draw
        torch.Tensor.normal_ = lambda self, **kwargs: self.copy_(next(draws))
        try:
            with torch.no_grad():
                self.kept["sampled"] = run().numpy()[..., part, part]
        finally:
            torch.randn, torch.randn_like, torch.Tensor.normal_ = saved

    def into(self, found: dict) -> None:
        found.update(
            {f"{self.name}.{key}": np.asarray(value, np.float32) for key, value in self.kept.items()}
        )
        found[f"{self.name}.about"] = np.frombuffer(zlib.compress(json.dumps(self.about).encode()), np.uint8)
        largest = {key: round(float(np.abs(value).max()), 2) for key, value in self.kept.items()}
        print(self.name, largest)


def make_lucidrains(found: dict, version: str) -> None:
    import torch
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet, learned_gaussian_diffusion

    for name, (options, process) in LUCIDRAINS[version].items():
        shape, flags = (3, options.get("channels", 3), 8, 8), {"version": version, "image_size": 8}
        guided = "num_classes" in options
        if guided:
            from denoising_diffusion_pytorch import classifier_free_guidance
        network = (classifier_free_guidance.Unet if guided else Unet)(
            **{"dim": 16, "dim_mults": (1, 2), **options}
        )
        oracle = Oracle(name, network, "model.", shape, flags, label=[0, 2, 4] if guided else None)
        before = torch.from_numpy(normal("before", *shape))
        more = (
            (torch.tensor([0, 2, 4]), 0.0) if guided else (before,) if options.get("self_condition") else ()
        )
        oracle.outputs(
            lambda x, t: network(x, t, *more),
            (-7.5, 0.25, 6.0) if process is None else (0.0, 17.0, 500.25, 999.0),
        )
        if process is not None:
            kind = (
                learned_gaussian_diffusion.LearnedGaussianDiffusion
                if options.get("learned_variance")
                else classifier_free_guidance.GaussianDiffusion
                if guided
                else GaussianDiffusion
            )
            diffusion = kind(network, image_size=8, **process)
            for key in ("betas", "loss_weight", "p2_loss_weight"):
                if (values := dict(diffusion.named_buffers()).get(key)) is not None:
                    oracle.kept[f"buffer.{key}"] = values.numpy()
            # older versions take the objective for granted in no buffer
            flags |= (
                {"objective": process["objective"]}
                if "objective" in process and "buffer.loss_weight" not in oracle.kept
                else {}
            )
            flags |= {key: process[key] for key in ("sampling_timesteps",) if key in process}
            asked = (
                {"classes": torch.tensor([0, 2, 4]), "cond_scale": 2.0, "rescaled_phi": 0.0}
                if guided
                else {"batch_size": 3}
            )
            oracle.about["guidance"] = 2.0 if guided else 1.0
            oracle.sampled(lambda: 2 * diffusion.sample(**asked) - 1)
        oracle.into(found)


def make_elucidated(found: dict) -> None:
    """ElucidatedDiffusion of version 2.3.1: its preconditioned network, and its stochastic sampler."""
    import torch
    from denoising_diffusion_pytorch import ElucidatedDiffusion, Unet

    for name, options, process in (
        ("elucidated", {"learned_sinusoidal_cond": True}, {}),
        (
            "elucidated-random",
            {"random_fourier_features": True, "channels": 1},
            {"sigma_data": 0.7, "S_churn": 5.0, "sigma_max": 40.0, "rho": 5.0},
        ),
    ):
        network = Unet(dim=16, dim_mults=(1, 2), **options)
        diffusion = ElucidatedDiffusion(
            network, image_size=8, channels=options.get("channels", 3), num_sample_steps=STEPS, **process
        )
        oracle = Oracle(
            name,
            network,
            "net.",
            (3, options.get("channels", 3), 8, 8),
            {"version": "2.3.1", "image_size": 8, "num_sample_steps": STEPS, **process},
        )
        oracle.outputs(network, (-1.5, 0.25, 1.0))
        for sigma in (0.1, 1.0, 10.0):
            with torch.no_grad():
                x = torch.from_numpy(normal("x", *oracle.shape)) * (sigma**2 + 0.25) ** 0.5
                oracle.kept[f"x0.{sigma:g}"] = diffusion.preconditioned_network_forward(x, sigma).numpy()
        oracle.sampled(lambda: 2 * diffusion.sample(batch_size=3) - 1)
        oracle.into(found)


def make_tqch(found: dict) -> None:
    from ddpm_torch.diffusion import GaussianDiffusion, get_beta_schedule
    from ddpm_torch.models.unet import UNet

    for name, (options, process) in TQCH.items():
        flags = {"image_size": 8, "timesteps": STEPS, **BETAS, **process}
        network = UNet(hid_channels=32, out_channels=options["in_channels"], **options)
        oracle = Oracle(name, network, "", (3, options["in_channels"], 8, 8), flags)
        oracle.outputs(network, (0.0, 17.0, 500.25, 999.0))
        betas = get_beta_schedule(flags.get("beta_schedule", "linear"), *BETAS.values(), STEPS)
        diffusion = GaussianDiffusion(
            betas, flags.get("model_mean_type", "eps"), flags.get("model_var_type", "fixed-large"), "mse"
        )
        oracle.sampled(lambda: diffusion.p_sample(network, oracle.shape))
        oracle.into(found)


def make_dome272(found: dict) -> None:
    """The original's blocks and its forward, narrower and for pictures of 16."""
    import torch
    from ddpm import Diffusion
    from ddpm_conditional import Diffusion as Conditional
    from modules import DoubleConv, Down, SelfAttention, UNet, UNet_conditional, Up

    for name, classes in (("plain", None), ("classes", 5)):
        network = (
            UNet(device="cpu") if classes is None else UNet_conditional(num_classes=classes, device="cpu")
        )
        network.inc, network.outc = DoubleConv(3, 8), torch.nn.Conv2d(8, 3, 1)
        network.down1, network.down2, network.down3 = Down(8, 12), Down(12, 16), Down(16, 16)
        network.bot1, network.bot2, network.bot3 = DoubleConv(16, 24), DoubleConv(24, 24), DoubleConv(24, 16)
        network.up1, network.up2, network.up3 = Up(32, 12), Up(24, 8), Up(16, 8)
        for k, (width, side) in enumerate(((12, 8), (16, 4), (16, 2), (12, 4), (8, 8), (8, 16)), 1):
            setattr(network, f"sa{k}", SelfAttention(width, side))
        label = (torch.tensor([0, 2, 4]),) if classes else ()
        oracle = Oracle(
            name,
            network,
            "",
            (3, 3, 16, 16),
            {"image_size": 16, "noise_steps": STEPS + 1, **BETAS},
            label=[0, 2, 4] if classes else None,
            guidance=3.0 if classes else 1.0,
        )
        oracle.outputs(lambda x, t: network(x, t, *label), (1.0, 17.0, 500.0, 999.0), slice(None, None, 2))
        diffusion = (Conditional if classes else Diffusion)(
            noise_steps=STEPS + 1, img_size=16, device="cpu", **BETAS
        )
        kept, clamp = torch.Tensor.type, torch.Tensor.clamp
        torch.Tensor.type = lambda self, kind=None: self if kind is torch.uint8 else kept(self, kind)
        torch.Tensor.clamp = lambda self, *limits: self
        try:  # the bytes that it returns, before they are clamped and rounded
            oracle.sampled(lambda: diffusion.sample(network, 3, *label) / 127.5 - 1)
        finally:
            torch.Tensor.type, torch.Tensor.clamp = kept, clamp
        oracle.into(found)


def make_teapearce(found: dict) -> None:
    import torch
    from script import DDPM, ContextUnet

    network = ContextUnet(1, 16, 10)
    label = torch.arange(10)
    diffusion = DDPM(network, tuple(BETAS.values()), STEPS, "cpu")
    oracle = Oracle("mnist", network, "nn_model.", (10, 1, 28, 28), {}, label=label.tolist(), guidance=1.5)
    oracle.kept["buffer.alpha_t"] = diffusion.alpha_t.numpy()
    oracle.outputs(
        lambda x, t: network(x, label, t / STEPS, torch.zeros(10)),
        (1.0, 4.0, 7.5, 10.0),
        slice(None, None, 4),
    )
    oracle.outputs(lambda x, t: network(x, label, t / STEPS, torch.ones(10)), (2.0,), slice(None, None, 4))
    oracle.sampled(lambda: diffusion.sample(10, (1, 28, 28), "cpu", guide_w=0.5)[0], slice(None, None, 2))
    oracle.into(found)


def make_brianpulfer(found: dict) -> None:
    from ddpm import generate_new_images
    from models import MyDDPM, MyUNet

    network = MyUNet(STEPS)
    oracle = Oracle("mnist", network, "network.", (4, 1, 28, 28), {"min_beta": 0.01, "max_beta": 0.5})
    oracle.outputs(lambda x, t: network(x, t.long()[:, None]), (0.0, 3.0, 9.0), slice(None, None, 2))
    diffusion = MyDDPM(network, STEPS, 0.01, 0.5, "cpu")
    oracle.sampled(
        lambda: generate_new_images(diffusion, 4, "cpu", gif_name="unused.gif"), slice(None, None, 2)
    )
    oracle.into(found)


def main() -> None:
    layout, *more = sys.argv[1:]
    file = HERE / f"golden_{'lucidrains' if layout == 'elucidated' else layout}.npz"
    found: dict[str, np.ndarray] = (
        dict(np.load(file)) if (more or layout == "elucidated") and file.exists() else {}
    )
    {
        "lucidrains": make_lucidrains,
        "elucidated": make_elucidated,
        "tqch": make_tqch,
        "dome272": make_dome272,
        "teapearce": make_teapearce,
        "brianpulfer": make_brianpulfer,
    }[layout](found, *more)
    np.savez_compressed(file, **found)
    print(f"wrote {file.name} ({file.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
