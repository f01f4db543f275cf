"""What the original programs compute with random weights in their own layouts: the oracle of the readers'
tests.

    python tests/checkpoint/make_golden.py diffusers        # in an environment with diffusers (made with 0.42.1)
    PYTHONPATH=.../guided-diffusion python tests/checkpoint/make_golden.py openai
    PYTHONPATH=.../ddim python tests/checkpoint/make_golden.py ddpm

The original repositories are not needed to run the tests, nor kept here. Weights are a formula of each
tensor's name and shape, so a golden file holds only names, shapes, configurations, and for each case x, the
network's output at several timesteps, and the picture after ten steps of the original sampler from noise by
formula.
"""

from __future__ import annotations

import json
import math
import sys
import types
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZE, BATCH, STEPS = 8, 3, 10
TIMES = (0.0, 17.0, 500.25, 999.0)
LABELS = [0, 2, 4]

_DIFFUSERS = {
    "sample_size": SIZE,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
_RESNET = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "downsample_type": "resnet",
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "upsample_type": "resnet",
}
# name: (the network's options, the scheduler's options)
DIFFUSERS = {
    "default": ({}, {}),
    "google": (
        {
            "attention_head_dim": None,
            "downsample_padding": 0,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
            "norm_eps": 1e-6,
        },
        {"variance_type": "fixed_large"},
    ),
    "consistency-like": (
        {**_RESNET, "resnet_time_scale_shift": "scale_shift", "num_class_embeds": 5, "attention_head_dim": 4},
        {"beta_schedule": "squaredcos_cap_v2"},
    ),
    "everywhere": (
        {
            "down_block_types": ("AttnDownBlock2D",) * 2,
            "up_block_types": ("AttnUpBlock2D",) * 2,
            "attention_head_dim": 2,
        },
        {"timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    ),
    "nowhere": (
        {
            "down_block_types": ("DownBlock2D",) * 2,
            "up_block_types": ("UpBlock2D",) * 2,
            "add_attention": False,
            "layers_per_block": 2,
        },
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    ),
    "middle-groups": (
        {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2},
        {"prediction_type": "sample"},
    ),
    "middle-scale": (
        {"mid_block_scale_factor": 1.4142, "center_input_sample": True},
        {"beta_schedule": "sigmoid"},
    ),
    "course": (
        {"in_channels": 5, "out_channels": 1, "class_emb": (5, 4)},
        {"beta_schedule": "squaredcos_cap_v2"},
    ),
    "no-middle": (
        {"mid_block_type": None, "in_channels": 1, "out_channels": 1},
        {"timestep_spacing": "linspace"},
    ),
    "one-sided": (
        {"up_block_types": ("UpBlock2D", "AttnUpBlock2D")},
        {"clip_sample": False, "prediction_type": "v_prediction"},
    ),
    "learned": ({"in_channels": 1, "out_channels": 2}, {"variance_type": "learned_range"}),
    "class-as-time": (
        {"class_embed_type": "timestep"},
        {"trained_betas": [0.001 * k / 50 for k in range(1, 1001)]},
    ),
    "ddim": ({}, {"kind": "DDIMScheduler"}),
    "ddim-open": (
        {},
        {
            "kind": "DDIMScheduler",
            "clip_sample": False,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
        },
    ),
    "odd-widths": (
        {
            "time_embedding_dim": 20,
            "layers_per_block": 2,
            "block_out_channels": (12, 20, 28),
            "attention_head_dim": 2,
            "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
        },
        {},
    ),
}
# name: (the network's options, flags in the scripts' names)
_OPENAI = {
    "image_size": SIZE,
    "in_channels": 3,
    "model_channels": 32,
    "out_channels": 6,
    "num_res_blocks": 1,
    "attention_resolutions": (2,),
    "channel_mult": (1, 2),
}
_SIX = {"image_size": SIZE}
OPENAI = {
    "adm": (
        {"resblock_updown": True, "use_scale_shift_norm": True, "num_head_channels": 16, "num_classes": 5},
        {**_SIX, "num_head_channels": 16, "noise_schedule": "cosine"},
    ),
    "adm-new-order": (
        {
            "resblock_updown": True,
            "use_scale_shift_norm": True,
            "num_head_channels": 16,
            "num_classes": 5,
            "use_new_attention_order": True,
        },
        {**_SIX, "num_head_channels": 16, "use_new_attention_order": True, "rescale_timesteps": False},
    ),
    "improved": (
        {"num_heads": 4, "use_scale_shift_norm": True, "num_res_blocks": 2},
        {
            **_SIX,
            "num_heads": 4,
            "diffusion_steps": 4000,
            "noise_schedule": "cosine",
            "rescale_timesteps": True,
        },
    ),
    "lsun": (
        {"num_heads": 1, "out_channels": 3, "channel_mult": (1, 1, 2), "attention_resolutions": (4,)},
        {**_SIX, "num_heads": 1},
    ),
    "plain": (
        {
            "num_heads": 2,
            "conv_resample": False,
            "in_channels": 1,
            "out_channels": 1,
            "attention_resolutions": (1, 2),
        },
        {**_SIX, "num_heads": 2, "predict_xstart": True, "sigma_small": True},
    ),
    "half": (
        {
            "model_channels": 64,
            "channel_mult": (0.5, 1, 1),
            "resblock_updown": True,
            "use_scale_shift_norm": True,
            "attention_resolutions": (1, 4),
        },
        {**_SIX, "num_heads": 2, "diffusion_steps": 500},
    ),
}
OPENAI["half"][0]["num_heads"] = 2
DDPM = {
    "cifar-like": (
        {
            "ch": 32,
            "out_ch": 3,
            "ch_mult": [1, 2, 2],
            "num_res_blocks": 1,
            "attn_resolutions": [4],
            "in_channels": 3,
            "resamp_with_conv": True,
        },
        {**_SIX},
    ),
    "without-convolutions": (
        {
            "ch": 32,
            "out_ch": 1,
            "ch_mult": [1, 1, 2],
            "num_res_blocks": 2,
            "attn_resolutions": [4, 8],
            "in_channels": 1,
            "resamp_with_conv": False,
        },
        {**_SIX, "beta_schedule": "quad"},
    ),
    # conv_in narrower than the first level
    "wider-first": (
        {
            "ch": 32,
            "out_ch": 3,
            "ch_mult": [2, 3],
            "num_res_blocks": 1,
            "attn_resolutions": [4],
            "in_channels": 3,
            "resamp_with_conv": True,
        },
        {**_SIX},
    ),
}


def formula_weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Float32 weights by name and shape: normal, with the spread that layers start with; gains around 1."""
    found = {}
    for name, shape in shapes.items():
        wide = len(shape) > 1
        scale = 1.2 / math.sqrt(3 * math.prod(shape[1:])) if wide else 0.2
        gain = 1.0 if not wide and name.endswith("weight") else 0.0
        found[name] = (gain + scale * normal(name, *shape)).astype(np.float32)
    return found


def normal(key: str, *shape: int) -> np.ndarray:
    """Noise that anyone can draw again."""
    return (
        np.random.Generator(np.random.Philox(zlib.crc32(key.encode())))
        .standard_normal(shape)
        .astype(np.float32)
    )


def _record(kept: dict, name: str, network, channels: int, label, config: dict, sampled) -> None:
    import torch

    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(value) for key, value in formula_weights(shapes).items()})
    network.eval()
    x = torch.from_numpy(normal("x", BATCH, channels, SIZE, SIZE))
    with torch.no_grad():
        for t in TIMES:
            kept[f"{name}.t{t:g}"] = network(x, torch.full((BATCH,), t), *label).numpy()
        draws = iter(
            [torch.from_numpy(normal(f"noise {k}", BATCH, channels, SIZE, SIZE)) for k in range(1, STEPS + 1)]
        )
        kept[f"{name}.sampled"] = sampled(network, x, lambda *args, **kwargs: next(draws)).numpy()
    kept[f"{name}.about"] = np.frombuffer(
        zlib.compress(json.dumps({"shapes": shapes, **config}).encode()), np.uint8
    )
    print(
        f"{name}: max |output| {max(np.abs(kept[f'{name}.t{t:g}']).max() for t in TIMES):.2f}, "
        f"max |sampled| {np.abs(kept[f'{name}.sampled']).max():.2f}"
    )


def make_diffusers(kept: dict) -> None:
    import diffusers
    import torch
    from diffusers import UNet2DModel
    from diffusers.schedulers import scheduling_ddpm

    class Course(torch.nn.Module):
        """The network of Hugging Face's diffusion course, unit 2, notebook 2: its classes are channels of
        its input.
        """

        def __init__(self, network, classes, width):
            super().__init__()
            self.model, self.class_emb = network, torch.nn.Embedding(classes, width)

        def forward(self, x, t, label):
            planes = self.class_emb(label)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            return self.model(torch.cat([x, planes], 1), t).sample

    for name, (options, process) in DIFFUSERS.items():

        class Called(torch.nn.Module):
            def __init__(self, network):
                super().__init__()
                self.inner = network

            def state_dict(self):
                return self.inner.state_dict()

            def load_state_dict(self, state):
                return self.inner.load_state_dict(state)

            def forward(self, x, t, *label):
                return self.inner(x, t, *label).sample

        options, table = dict(options), options.get("class_emb")
        options.pop("class_emb", None)
        network = UNet2DModel(**{**_DIFFUSERS, **options})
        kind = process.get("kind", "DDPMScheduler")
        process = {name: value for name, value in process.items() if name != "kind"}
        scheduler = getattr(diffusers, kind)(**process)
        conditioned = network.config.num_class_embeds or network.config.class_embed_type or table
        label = (torch.tensor(LABELS),) if conditioned else ()

        def sampled(called, x, draw, scheduler=scheduler, label=label):
            scheduling_ddpm.randn_tensor = draw
            scheduler.set_timesteps(STEPS)
            for t in scheduler.timesteps:
                x = scheduler.step(called(x, t.expand(BATCH), *label), t, x).prev_sample
            return x

        given = {key: value for key, value in network.config.items() if not key.startswith("_")}
        called = Called(network) if table is None else Course(network, *table)
        _record(
            kept,
            name,
            called,
            network.config.in_channels - (table[1] if table else 0),
            label,
            {"config": given, "scheduler": {"_class_name": kind, **process}},
            sampled,
        )


def make_openai(kept: dict) -> None:
    import torch
    from guided_diffusion.script_util import create_gaussian_diffusion
    from guided_diffusion.unet import UNetModel

    for name, (options, flags) in OPENAI.items():
        network = UNetModel(**{**_OPENAI, **options})
        label = (torch.tensor(LABELS),) if network.num_classes else ()
        process = create_gaussian_diffusion(
            steps=flags.get("diffusion_steps", 1000),
            learn_sigma=network.out_channels == 2 * network.in_channels,
            sigma_small=flags.get("sigma_small", False),
            noise_schedule=flags.get("noise_schedule", "linear"),
            predict_xstart=flags.get("predict_xstart", False),
            timestep_respacing=str(STEPS),
            # improved-diffusion's default is True and guided-diffusion's False
            rescale_timesteps=flags.get(
                "rescale_timesteps", not network_updown(options) and "diffusion_steps" in flags
            ),
        )

        def sampled(network, x, draw, process=process, label=label):
            torch.randn_like, kept_function = draw, torch.randn_like
            try:
                return process.p_sample_loop(
                    network,
                    x.shape,
                    noise=x,
                    clip_denoised=True,
                    device="cpu",
                    model_kwargs={"y": label[0]} if label else {},
                )
            finally:
                torch.randn_like = kept_function

        _record(kept, name, network, network.in_channels, label, {"flags": flags}, sampled)


def network_updown(options: dict) -> bool:
    return options.get("resblock_updown", False)


def make_ddpm(kept: dict) -> None:
    import torch
    from functions.denoising import ddpm_steps
    from models.diffusion import Model

    torch.Tensor.to, plain = (
        (lambda self, *a, **k: self if a == ("cuda",) else plain(self, *a, **k)),
        torch.Tensor.to,
    )
    for name, (options, flags) in DDPM.items():
        space = types.SimpleNamespace
        network = Model(
            space(
                model=space(dropout=0.0, type="simple", **options),
                data=space(image_size=SIZE),
                diffusion=space(num_diffusion_timesteps=1000),
            )
        )
        betas = (
            np.linspace(1e-4**0.5, 0.02**0.5, 1000) ** 2
            if flags.get("beta_schedule") == "quad"
            else np.linspace(1e-4, 0.02, 1000)
        )

        def sampled(network, x, draw, betas=betas):
            torch.randn_like, kept_function = draw, torch.randn_like
            try:
                xs, _ = ddpm_steps(x, range(0, 1000, 1000 // STEPS), network, torch.from_numpy(betas).float())
                return xs[-1]
            finally:
                torch.randn_like = kept_function

        _record(kept, name, network, options["in_channels"], (), {"flags": flags}, sampled)


LAYOUTS = {"diffusers": make_diffusers, "openai": make_openai, "ddpm": make_ddpm}


def main() -> None:
    for layout in sys.argv[1:] or LAYOUTS:
        kept: dict[str, np.ndarray] = {}
        LAYOUTS[layout](kept)
        file = HERE / f"golden_{layout}.npz"
        np.savez_compressed(file, **kept)
        print(f"wrote {file.name} ({file.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
