"""As make_golden.py, for networks that enlarge or classify, and for those of score-based models.

PYTHONPATH=.../guided-diffusion python tests/checkpoint/make_golden_scores.py openai_enlarging
openai_classifier PYTHONPATH=.../edm python tests/checkpoint/make_golden_scores.py edm python
tests/checkpoint/make_golden_scores.py diffusers_skip        # in an environment with diffusers (made with
0.42.1)
"""

from __future__ import annotations

import importlib.util
import json
import sys
import zlib
from pathlib import Path

import numpy as np

_FOUND = importlib.util.spec_from_file_location(
    "make_reader_golden", Path(__file__).with_name("make_golden.py")
)
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)

HERE, SIZE, BATCH, STEPS, TIMES, LABELS = (
    golden.HERE,
    golden.SIZE,
    golden.BATCH,
    golden.STEPS,
    golden.TIMES,
    golden.LABELS,
)
normal = golden.normal
SMALL = 3  # the picture to enlarge: to 8, so not by a whole number

_ENLARGING = {
    "image_size": SIZE,
    "in_channels": 3,
    "model_channels": 32,
    "out_channels": 6,
    "num_res_blocks": 1,
    "attention_resolutions": (2,),
    "channel_mult": (1, 2),
}
_SIZES = {"large_size": SIZE, "small_size": SMALL}
# name: (the network's options, flags in the scripts' names)
ENLARGING = {
    "adm": (
        {"resblock_updown": True, "use_scale_shift_norm": True, "num_heads": 4, "num_classes": 5},
        {**_SIZES, "num_heads": 4},
    ),
    "improved": (
        {"num_heads": 2, "use_scale_shift_norm": True},
        {**_SIZES, "num_heads": 2, "diffusion_steps": 4000, "rescale_timesteps": False},
    ),
    "grey": ({"num_heads": 1, "in_channels": 1, "out_channels": 1}, {**_SIZES, "num_heads": 1}),
}
_CLASSIFIER = {
    "image_size": SIZE,
    "in_channels": 3,
    "model_channels": 32,
    "out_channels": 5,
    "num_res_blocks": 2,
    "attention_resolutions": (1, 2),
    "channel_mult": (1, 2),
    "num_head_channels": 16,
    "pool": "attention",
}
CLASSIFIERS = {
    "adm": ({"use_scale_shift_norm": True, "resblock_updown": True}, {"num_head_channels": 16}),
    "deep": (
        {
            "use_scale_shift_norm": True,
            "resblock_updown": True,
            "num_res_blocks": 4,
            "attention_resolutions": (2, 4),
            "channel_mult": (1, 1, 2),
        },
        {"num_head_channels": 16, "noise_schedule": "cosine"},
    ),
    "half": (
        {
            "use_scale_shift_norm": True,
            "resblock_updown": True,
            "channel_mult": (0.5, 1),
            "model_channels": 64,
            "attention_resolutions": (1,),
            "num_res_blocks": 1,
        },
        {"num_head_channels": 16},
    ),
    "strided": (
        {"in_channels": 1, "attention_resolutions": (2,), "num_res_blocks": 1},
        {"num_head_channels": 16},
    ),
    "new-order": (
        {"use_new_attention_order": True, "num_head_channels": 32, "attention_resolutions": (2,)},
        {"num_head_channels": 32, "use_new_attention_order": True},
    ),
}

_SONG = {
    "model_type": "SongUNet",
    "model_channels": 16,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [4],
}
_NCSNPP = {
    **_SONG,
    "embedding_type": "fourier",
    "encoder_type": "residual",
    "channel_mult_noise": 2,
    "resample_filter": [1, 3, 3, 1],
}
_ADM = {
    "model_type": "DhariwalUNet",
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [4],
}
# name: (the preconditioning, the options of its class and its network's)
EDM = {
    "ddpmpp-edm": (
        "edm",
        {**_SONG, "channel_mult": [2, 2], "num_blocks": 2, "label_dim": 5, "augment_dim": 9},
    ),
    "ddpmpp-vp": ("vp", {**_SONG, "attn_resolutions": [8, 4]}),
    "ncsnpp-ve": ("ve", {**_NCSNPP, "channel_mult": [2, 1, 2], "attn_resolutions": [2]}),
    "ncsnpp-skips-edm": (
        "edm",
        {
            **_NCSNPP,
            "encoder_type": "skip",
            "decoder_type": "skip",
            "channel_mult": [1, 2, 2],
            "img_channels": 1,
            "sigma_data": 0.7,
        },
    ),
    "adm-edm": ("edm", {**_ADM, "label_dim": 5, "augment_dim": 9, "channel_mult": [2, 4]}),
    "adm-vp": ("vp", {**_ADM, "beta_d": 15.0, "beta_min": 0.2, "M": 500, "attn_resolutions": []}),
    "adm-iddpm": ("iddpm", _ADM),
}
EDM_FLAGS = (
    "label_dim",
    "sigma_data",
    "beta_d",
    "beta_min",
    "M",
    "channel_mult",
    "num_blocks",
    "model_channels",
    "augment_dim",
    "attn_resolutions",
    "embedding_type",
    "encoder_type",
    "decoder_type",
    "resample_filter",
    "channel_mult_noise",
)
LABELS_OF = {
    "edm": (-1.5, 0.1, 1.0),
    "vp": (0.5, 17.25, 400.0),
    "ve": (0.02, 0.9, 95.0),
    "iddpm": (0.0, 17.0, 999.0),
}
CHURN = {"S_churn": 20.0, "S_min": 0.05, "S_max": 40.0, "S_noise": 1.003}

_SKIPS = {
    "sample_size": SIZE,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": None,
    "norm_eps": 1e-6,
    "mid_block_scale_factor": 2**0.5,
    "attention_head_dim": None,
    "time_embedding_type": "fourier",
    "down_block_types": ("SkipDownBlock2D",) * 2,
    "up_block_types": ("SkipUpBlock2D",) * 2,
}
_ATTENDED = {
    "block_out_channels": (32, 128, 128),
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipDownBlock2D"),
    "up_block_types": ("SkipUpBlock2D", "AttnSkipUpBlock2D", "SkipUpBlock2D"),
}
# name: (the network's options, the scheduler's options; a score-based process where there is Fourier
# embedding)
SKIPS = {
    "google": (
        {
            **_ATTENDED,
            "down_block_types": ("SkipDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D"),
            "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D", "SkipUpBlock2D"),
        },
        {},
    ),
    "centred": ({"center_input_sample": True, "layers_per_block": 2}, {"sigma_min": 0.02, "sigma_max": 50.0}),
    "classes": (
        {"num_class_embeds": 5, "resnet_time_scale_shift": "scale_shift", "mid_block_scale_factor": 1},
        {},
    ),
    "without-attention": (
        {
            "add_attention": False,
            "block_out_channels": (8, 12, 20),
            "time_embedding_dim": 24,
            "down_block_types": ("SkipDownBlock2D",) * 3,
            "up_block_types": ("SkipUpBlock2D",) * 3,
        },
        {},
    ),
    "betas": (
        {
            **_ATTENDED,
            "time_embedding_type": "positional",
            "attention_head_dim": 8,
            "center_input_sample": True,
        },
        {},
    ),
}
SIGMAS = (0.02, 0.7, 30.0, 900.0)


def weights_of(network) -> dict[str, list[int]]:
    """Fill the network with weights by formula; returns the names and shapes of its state dict."""
    import torch

    state = network.state_dict()
    shapes = {key: list(value.shape) for key, value in state.items()}
    filled = {key: torch.from_numpy(value) for key, value in formula_weights(shapes).items()}
    # tables and filters that the program computes stay as they are
    network.load_state_dict(
        {
            key: value if key.endswith(("resample_filter", "u")) else filled[key]
            for key, value in state.items()
        }
    )
    network.eval().requires_grad_(False)
    return shapes


def formula_weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """As golden's; Fourier features have frequencies as wide as those that are drawn for training."""
    found = golden.formula_weights(shapes)
    random = {
        key: 16 * normal(key, *shape)
        for key, shape in shapes.items()
        if key.endswith(("map_noise.freqs", "time_proj.weight"))
    }
    return {**found, **random}


def keep(kept: dict, name: str, shapes: dict, arrays: dict[str, np.ndarray], about: dict) -> None:
    for key, value in arrays.items():
        kept[f"{name}.{key}"] = np.asarray(value)
    kept[f"{name}.about"] = np.frombuffer(
        zlib.compress(json.dumps({"shapes": shapes, **about}).encode()), np.uint8
    )
    print(name, {key: f"{np.abs(value).max():.2f}" for key, value in arrays.items()})


def make_openai_enlarging(kept: dict) -> None:
    import torch
    from guided_diffusion.script_util import create_gaussian_diffusion
    from guided_diffusion.unet import SuperResModel

    for name, (options, flags) in ENLARGING.items():
        network = SuperResModel(**{**_ENLARGING, **options})
        shapes, channels = weights_of(network), options.get("in_channels", 3)
        x = torch.from_numpy(normal("x", BATCH, channels, SIZE, SIZE))
        given = {"low_res": torch.from_numpy(normal("low_res", BATCH, channels, SMALL, SMALL))}
        if network.num_classes:
            given["y"] = torch.tensor(LABELS)
        process = create_gaussian_diffusion(
            steps=flags.get("diffusion_steps", 1000),
            timestep_respacing=str(STEPS),
            learn_sigma=network.out_channels == 2 * channels,
            noise_schedule="linear",
        )
        arrays = {f"t{t:g}": network(x, torch.full((BATCH,), t), **given).numpy() for t in TIMES}
        draws = iter(
            [torch.from_numpy(normal(f"noise {k}", BATCH, channels, SIZE, SIZE)) for k in range(1, STEPS + 1)]
        )
        plain, torch.randn_like = torch.randn_like, lambda *a, **k: next(draws)
        try:
            arrays["sampled"] = process.p_sample_loop(
                network, x.shape, noise=x, clip_denoised=True, device="cpu", model_kwargs=given
            ).numpy()
        finally:
            torch.randn_like = plain
        keep(kept, name, shapes, arrays, {"flags": flags})


def make_openai_classifier(kept: dict) -> None:
    import torch
    from guided_diffusion.unet import EncoderUNetModel

    for name, (options, flags) in CLASSIFIERS.items():
        network = EncoderUNetModel(**{**_CLASSIFIER, **options})
        shapes, channels = weights_of(network), options.get("in_channels", 3)
        x = torch.from_numpy(normal("x", BATCH, channels, SIZE, SIZE))
        keep(
            kept,
            name,
            shapes,
            {f"t{t:g}": network(x, torch.full((BATCH,), t)).numpy() for t in TIMES},
            {"flags": flags},
        )


def make_edm(kept: dict) -> None:
    import torch
    from generate import edm_sampler
    from training import networks

    for name, (kind, options) in EDM.items():
        made = getattr(networks, f"{ {'edm': 'EDM', 'vp': 'VP', 've': 'VE', 'iddpm': 'iDDPM'}[kind] }Precond")
        network = made(**{"img_resolution": SIZE, "img_channels": 3, **options})
        shapes, channels = weights_of(network), options.get("img_channels", 3)
        x = torch.from_numpy(normal("x", BATCH, channels, SIZE, SIZE))
        label = torch.eye(5)[LABELS] if network.label_dim else None
        arrays = {}
        if kind == "vp":  # which the program computes in float32: 6 % off at the lower end
            network.sigma_min, network.sigma_max = (
                float(network.sigma(torch.tensor(t).double())) for t in (network.epsilon_t, 1.0)
            )
        # as far as the network goes, or as the sampler does
        least, most = {"edm": (0.002, 80.0), "iddpm": (network.sigma_min, 80.0)}.get(
            kind, (network.sigma_min, network.sigma_max)
        )
        for t in LABELS_OF[kind]:
            given = torch.full((BATCH,), t)
            arrays[f"t{t:g}"] = network.model(
                x, (0.5 * given).log() if kind == "ve" else given, label
            ).numpy()
        for what, churn in (("sampled", {}), ("churned", CHURN)):

            def draw(x, count=iter(range(1, STEPS + 1))):
                return torch.from_numpy(normal(f"noise {next(count)}", BATCH, channels, SIZE, SIZE)).double()

            if kind != "iddpm" or not churn:
                arrays[what] = (
                    edm_sampler(network, x, label, draw, STEPS, least, most, **churn).float().numpy()
                )
        about = {
            "flags": {"precond": kind, **{key: value for key, value in options.items() if key in EDM_FLAGS}}
        }
        if kind == "iddpm":  # which of its levels the sampler rounds to
            steps = (
                most ** (1 / 7)
                + torch.arange(STEPS).double() / (STEPS - 1) * (least ** (1 / 7) - most ** (1 / 7))
            ) ** 7
            about["visited"] = [999 - int(one) for one in network.round_sigma(steps, return_index=True)]
        keep(kept, name, shapes, arrays, about)


def make_diffusers_skip(kept: dict) -> None:
    import torch
    from diffusers import DDPMScheduler, ScoreSdeVeScheduler, UNet2DModel
    from diffusers.schedulers import scheduling_ddpm, scheduling_sde_ve

    for name, (options, process) in SKIPS.items():
        network = UNet2DModel(**{**_SKIPS, **options})
        shapes, random = weights_of(network), network.config.time_embedding_type == "fourier"
        x = torch.from_numpy(normal("x", BATCH, 3, SIZE, SIZE))
        label = (torch.tensor(LABELS),) if network.config.num_class_embeds else ()
        arrays = {
            f"t{t:g}": network(x, torch.full((BATCH,), t), *label).sample.numpy()
            for t in (SIGMAS if random else TIMES)
        }

        def draw(*args, count=iter(range(1, STEPS + 1)), **kwargs):
            return torch.from_numpy(normal(f"noise {next(count)}", BATCH, 3, SIZE, SIZE))

        if random:  # its ancestral steps alone, and the pipeline with its corrections
            arrays["corrected"] = np.concatenate(
                [
                    corrected(network, process, x[k : k + 1], k, [one[k : k + 1] for one in label])
                    for k in range(BATCH)
                ]
            )
            scheduling_sde_ve.randn_tensor = draw
            scheduler = ScoreSdeVeScheduler(**process)
            scheduler.set_timesteps(STEPS, sampling_eps=0.0)
            scheduler.set_sigmas(STEPS, sampling_eps=1.0)
            x = scheduler.init_noise_sigma * x
            for t, sigma in zip(scheduler.timesteps, scheduler.sigmas):
                score = network(x, sigma * torch.ones(BATCH), *label).sample
                x, mean = scheduler.step_pred(score, t, x, return_dict=False)
            arrays["sampled"] = mean.numpy()
        else:
            scheduling_ddpm.randn_tensor = draw
            scheduler = DDPMScheduler(**process)
            scheduler.set_timesteps(STEPS)
            for t in scheduler.timesteps:
                x = scheduler.step(network(x, t.expand(BATCH), *label).sample, t, x).prev_sample
            arrays["sampled"] = x.numpy()
        given = {key: value for key, value in network.config.items() if not key.startswith("_")}
        keep(
            kept,
            name,
            shapes,
            arrays,
            {"config": given, "scheduler": {"_class_name": type(scheduler).__name__, **process}},
        )


def corrected(network, process: dict, x, picture: int, label: list) -> np.ndarray:
    """ScoreSdeVePipeline's run of one picture, as its Langevin steps depend on the others of a batch."""
    import torch
    from diffusers import ScoreSdeVeScheduler
    from diffusers.schedulers import scheduling_sde_ve

    def fresh(what: str):
        return torch.from_numpy(normal(what, BATCH, 3, SIZE, SIZE))[picture : picture + 1]

    scheduler = ScoreSdeVeScheduler(**process)
    scheduler.set_timesteps(STEPS, sampling_eps=0.0)
    scheduler.set_sigmas(STEPS, sampling_eps=1.0)
    x = scheduler.init_noise_sigma * x
    for k, (t, sigma) in enumerate(zip(scheduler.timesteps, scheduler.sigmas)):
        asked = sigma * torch.ones(1)
        for number in range(scheduler.config.correct_steps):
            scheduling_sde_ve.randn_tensor = lambda *args, **kwargs: fresh(f"further {k} {number}")
            x = scheduler.step_correct(network(x, asked, *label).sample, x, return_dict=False)[0]
        scheduling_sde_ve.randn_tensor = lambda *args, **kwargs: fresh(f"noise {k + 1}")
        x, mean = scheduler.step_pred(network(x, asked, *label).sample, t, x, return_dict=False)
    return mean.numpy()


LAYOUTS = {
    "openai_enlarging": make_openai_enlarging,
    "openai_classifier": make_openai_classifier,
    "edm": make_edm,
    "diffusers_skip": make_diffusers_skip,
}


def main() -> None:
    for layout in sys.argv[1:] or LAYOUTS:
        kept: dict[str, np.ndarray] = {}
        LAYOUTS[layout](kept)
        file = HERE / f"golden_{layout}.npz"
        np.savez_compressed(file, **kept)
        print(f"wrote {file.name} ({file.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
