"""Whole configurations of the origins, as people paste them: every name of each constructor, script or
configuration file.

The names were read in the programs: diffusers 0.42.1, guided-diffusion 22e0df8, NVlabs/edm 008a4e5,
denoising-diffusion-pytorch 2.3.1, ermongroup/ddim e8df66c, tqch/ddpm-torch, dome272/Diffusion-Models-pytorch,
TeaPearce/Conditional_Diffusion_MNIST.
"""

from __future__ import annotations

import json
import math
import shlex

import pytest

from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.facts import IDLE, flattened, parse_flags
from diffusion_studio.errors import CheckpointError, OptionError

DIFFUSERS = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.42.1",
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 4,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-05,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
# image_train.py and image_sample.py, all of their arguments
OPENAI_SCRIPT = {
    "image_size": 8,
    "num_channels": 32,
    "num_res_blocks": 1,
    "num_heads": 4,
    "num_heads_upsample": -1,
    "num_head_channels": 16,
    "attention_resolutions": "4",
    "channel_mult": "1,2",
    "dropout": 0.0,
    "class_cond": True,
    "use_checkpoint": False,
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "use_fp16": False,
    "use_new_attention_order": False,
    "learn_sigma": True,
    "diffusion_steps": 1000,
    "noise_schedule": "cosine",
    "timestep_respacing": "",
    "use_kl": False,
    "predict_xstart": False,
    "rescale_timesteps": False,
    "rescale_learned_sigmas": False,
    "clip_denoised": True,
    "num_samples": 10000,
    "batch_size": 16,
    "use_ddim": False,
    "model_path": "x.pt",
    "data_dir": "",
    "schedule_sampler": "uniform",
    "lr": 1e-4,
    "weight_decay": 0.0,
    "lr_anneal_steps": 0,
    "microbatch": -1,
    "ema_rate": "0.9999",
    "log_interval": 10,
    "save_interval": 10000,
    "resume_checkpoint": "",
    "fp16_scale_growth": 1e-3,
}
OPENAI_CLASS = {
    "image_size": 8,
    "in_channels": 3,
    "model_channels": 32,
    "out_channels": 6,
    "num_res_blocks": 1,
    "attention_resolutions": (2,),
    "dropout": 0,
    "channel_mult": (1, 2),
    "conv_resample": True,
    "dims": 2,
    "num_classes": 5,
    "use_checkpoint": False,
    "use_fp16": False,
    "num_heads": 1,
    "num_head_channels": 16,
    "num_heads_upsample": -1,
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "use_new_attention_order": False,
}
DDPM = {  # configs/cifar10.yml, its sections as they are
    "data": {
        "dataset": "CIFAR10",
        "image_size": 8,
        "channels": 3,
        "logit_transform": False,
        "uniform_dequantization": False,
        "gaussian_dequantization": False,
        "random_flip": True,
        "rescaled": True,
        "num_workers": 4,
    },
    "model": {
        "type": "simple",
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 2, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [4],
        "dropout": 0.1,
        "var_type": "fixedlarge",
        "ema_rate": 0.9999,
        "ema": True,
        "resamp_with_conv": True,
    },
    "diffusion": {
        "beta_schedule": "linear",
        "beta_start": 0.0001,
        "beta_end": 0.02,
        "num_diffusion_timesteps": 1000,
    },
    "training": {
        "batch_size": 128,
        "n_epochs": 10000,
        "n_iters": 5000000,
        "snapshot_freq": 5000,
        "validation_freq": 2000,
    },
    "sampling": {"batch_size": 64, "last_only": True},
    "optim": {
        "weight_decay": 0.0,
        "optimizer": "Adam",
        "lr": 0.0002,
        "beta1": 0.9,
        "amsgrad": False,
        "eps": 1e-8,
        "grad_clip": 1.0,
    },
}
TQCH = {  # configs/cifar10.json, and what train.py adds to it
    "dataset": "cifar10",
    "diffusion": {
        "timesteps": 1000,
        "beta_start": 0.0001,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "model_mean_type": "eps",
        "model_var_type": "fixed-large",
        "loss_type": "mse",
    },
    "model": {
        "in_channels": 3,
        "hid_channels": 32,
        "out_channels": 3,
        "ch_multipliers": [1, 2, 2],
        "num_res_blocks": 2,
        "apply_attn": [False, True, False],
        "time_embedding_dim": None,
        "drop_rate": 0.1,
        "resample_with_conv": True,
    },
    "train": {
        "lr": 2e-4,
        "batch_size": 128,
        "grad_norm": 1.0,
        "epochs": 2040,
        "warmup": 5000,
        "use_ema": True,
        "ema_decay": 0.9999,
    },
}
LUCIDRAINS = {  # Unet, GaussianDiffusion and Trainer
    "dim": 16,
    "init_dim": 8,
    "out_dim": None,
    "dim_mults": (1, 2),
    "channels": 3,
    "self_condition": True,
    "learned_variance": False,
    "learned_sinusoidal_cond": False,
    "random_fourier_features": False,
    "learned_sinusoidal_dim": 16,
    "dropout": 0.0,
    "sinusoidal_pos_emb_theta": 10000,
    "attn_dim_head": 32,
    "attn_heads": 4,
    "full_attn": None,
    "flash_attn": False,
    "image_size": 8,
    "timesteps": 10,
    "sampling_timesteps": None,
    "objective": "pred_v",
    "beta_schedule": "sigmoid",
    "schedule_fn_kwargs": {},
    "ddim_sampling_eta": 0.0,
    "auto_normalize": True,
    "offset_noise_strength": 0.0,
    "min_snr_loss_weight": False,
    "min_snr_gamma": 5,
    "immiscible": False,
    "train_batch_size": 16,
    "gradient_accumulate_every": 1,
    "augment_horizontal_flip": True,
    "train_lr": 1e-4,
    "train_num_steps": 100000,
    "ema_update_every": 10,
    "ema_decay": 0.995,
    "adam_betas": (0.9, 0.99),
    "save_and_sample_every": 1000,
    "num_samples": 25,
    "results_folder": "./results",
    "amp": False,
    "mixed_precision_type": "fp16",
    "split_batches": True,
    "convert_image_to": None,
    "calculate_fid": True,
    "inception_block_idx": 2048,
    "max_grad_norm": 1.0,
    "num_fid_samples": 50000,
    "save_best_and_latest_only": False,
}
ELUCIDATED = {
    "image_size": 8,
    "channels": 3,
    "num_sample_steps": 32,
    "sigma_min": 0.002,
    "sigma_max": 80,
    "sigma_data": 0.5,
    "rho": 7,
    "P_mean": -1.2,
    "P_std": 1.2,
    "S_churn": 80,
    "S_tmin": 0.05,
    "S_tmax": 50,
    "S_noise": 1.003,
}
DOME272 = {
    "c_in": 3,
    "c_out": 3,
    "time_dim": 256,
    "num_classes": 5,
    "device": "cuda",
    "noise_steps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "img_size": 16,
    "run_name": "DDPM_conditional",
    "epochs": 300,
    "batch_size": 14,
    "image_size": 16,
    "dataset_path": "data",
    "lr": 3e-4,
}
TEAPEARCE = {
    "in_channels": 1,
    "n_feat": 16,
    "n_classes": 10,
    "betas": (1e-4, 0.02),
    "n_T": 400,
    "device": "cuda:0",
    "drop_prob": 0.1,
    "n_epoch": 20,
    "batch_size": 256,
    "lrate": 1e-4,
    "save_model": False,
    "save_dir": "./data",
    "ws_test": [0.0, 0.5, 2.0],
}
BRIANPULFER = {
    "n_steps": 10,
    "time_emb_dim": 100,
    "min_beta": 1e-4,
    "max_beta": 0.02,
    "device": None,
    "image_chw": (1, 28, 28),
}
# layout, case, what was pasted, and what of it plays no part
CASES = [
    ("diffusers", "default", DIFFUSERS, {"dropout"}),
    ("openai", "adm", OPENAI_SCRIPT, {"dropout", "use_checkpoint", "lr", "ema_rate", "use_kl"}),
    ("openai", "adm", OPENAI_CLASS, {"dropout", "use_checkpoint", "dims"}),
    ("ddpm", "cifar-like", DDPM, {"dropout", "ema", "num_workers", "grad_clip"}),
    ("tqch", "cifar-like", TQCH, {"drop_rate", "lr", "dataset", "loss_type"}),
    ("lucidrains", "rms", LUCIDRAINS, {"dropout", "flash_attn", "train_lr", "results_folder"}),
    ("lucidrains", "elucidated", ELUCIDATED, {"P_mean", "P_std"}),
    ("dome272", "classes", DOME272, {"device", "lr", "epochs"}),
    ("teapearce", "mnist", TEAPEARCE, {"drop_prob", "lrate", "ws_test"}),
    ("brianpulfer", "mnist", BRIANPULFER, {"device"}),
]


def _folder(saved, kept, tmp_path, layout: str, name: str):
    return (
        saved(layout, name, configured=False)
        if layout in ("diffusers", "openai", "ddpm")
        else kept(layout, name).folder(tmp_path, configured=False)
    )


def _text(given: dict) -> str:
    """The names and values as they are written behind a command."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in flattened(given).items())


@pytest.mark.parametrize("way", ["objects", "json", "command line", "args.json"])
@pytest.mark.parametrize(
    "layout, name, given, idle", CASES, ids=[f"{one[0]}-{k}" for k, one in enumerate(CASES)]
)
def test_a_whole_configuration_is_read(saved, kept, tmp_path, layout, name, given, idle, way):
    folder = _folder(saved, kept, tmp_path, layout, name)
    if way == "args.json":
        if layout == "diffusers":
            pytest.skip("its configuration is config.json")
        (folder / "args.json").write_text(json.dumps(given))
        flags = None
    else:
        flags = {
            "objects": lambda: given,
            "json": lambda: parse_flags(json.dumps(given)),
            "command line": lambda: parse_flags(_text(given)),
        }[way]()
    seen = checkpoint.inspect(folder, flags)
    facts = {fact.name: fact for fact in seen.found.facts}
    assert idle <= {name for name, fact in facts.items() if fact.source == IDLE}
    assert not [name for name, fact in facts.items() if fact.source == "not known here"]
    assert not {
        "dim",
        "ch",
        "hid_channels",
        "num_channels",
        "c_in",
        "n_feat",
        "n_steps",
        "block_out_channels",
    } & {name for name, fact in facts.items() if fact.source == IDLE}


WRONG = [
    (
        "diffusers",
        "default",
        DIFFUSERS,
        {"time_embedding_dim": 64},
        "time_embedding_dim = 64, but the shapes .* say 32",
    ),
    (
        "diffusers",
        "default",
        DIFFUSERS,
        {"num_class_embeds": 5},
        "num_class_embeds = 5, but the shapes .* say None",
    ),
    (
        "diffusers",
        "default",
        DIFFUSERS,
        {"mid_block_type": None},
        "mid_block_type = None, but the shapes .* say 'UNetMidBlock2D'",
    ),
    ("openai", "adm", OPENAI_CLASS, {"num_classes": 1000}, "num_classes = 1000, but the shapes .* say 5"),
    ("openai", "adm", OPENAI_CLASS, {"num_classes": None}, "num_classes = None, but the shapes .* say 5"),
    ("openai", "adm", OPENAI_CLASS, {"out_channels": 3}, "out_channels = 3, but the shapes .* say 6"),
    (
        "openai",
        "adm",
        OPENAI_CLASS,
        {"attention_resolutions": (4, 8)},
        "attention_resolutions = .4, 8. was given",
    ),
    ("ddpm", "cifar-like", DDPM["model"], {"ch": 64}, "ch = 64, but the shapes .* say 32"),
    (
        "ddpm",
        "cifar-like",
        DDPM["model"],
        {"rescaled": False, "image_size": 8},
        "not scaled to .-1, 1. .rescaled False",
    ),
    ("tqch", "cifar-like", TQCH["model"], {"out_channels": 6}, "out_channels = 6, but the shapes .* say 3"),
    (
        "tqch",
        "cifar-like",
        TQCH["model"],
        {"model_var_type": "learned"},
        "model_var_type learned needs a network with 6",
    ),
    ("lucidrains", "rms", LUCIDRAINS, {"init_dim": 16}, "init_dim = 16, but the shapes .* say 8"),
    ("dome272", "classes", DOME272, {"image_size": 32}, "image_size = 32"),
    ("teapearce", "mnist", TEAPEARCE, {"betas": (0.1,)}, "betas must be the first and the last beta"),
]


@pytest.mark.parametrize(
    "layout, name, given, change, said", WRONG, ids=[f"{one[0]}-{k}" for k, one in enumerate(WRONG)]
)
def test_a_value_that_shapes_contradict_is_refused(saved, kept, tmp_path, layout, name, given, change, said):
    with pytest.raises((CheckpointError, OptionError), match=said):
        checkpoint.inspect(_folder(saved, kept, tmp_path, layout, name), {**given, **change})


# ---- EDM
# -----------------------------------------------------------------------------------------------------------


def edm() -> dict:
    """EDMPrecond's own arguments with its defaults, as a training's network_kwargs have them beside the
    network's.
    """
    return {
        "class_name": "training.networks.EDMPrecond",
        "img_channels": 3,
        "use_fp16": False,
        "sigma_min": 0,
        "sigma_max": math.inf,
        "sigma_data": 0.5,
        "dropout": 0.1,
        "label_dropout": 0,
    }


def test_the_constructor_of_edm(stored):
    folder = stored("edm", "ddpmpp-edm", configured=False)
    plain = checkpoint.inspect(folder)
    told = {fact.name: fact.value for fact in plain.found.facts if fact.source == "inferred from shapes"}
    given = {**told, **edm(), "img_channels": told["in_channels"]}
    seen = checkpoint.inspect(folder, given)
    facts = {fact.name: fact for fact in seen.found.facts}
    assert (
        facts["sigma_min"].value == 0.002 and facts["sigma_max"].value == 80.0
    )  # 0 and infinity set no bound
    assert seen.spec.parametrization == "edm" and facts["use_fp16"].source == IDLE
    assert seen.spec == plain.spec
    assert (
        checkpoint.inspect(
            folder,
            {"network_kwargs": given, "dataset_kwargs": {"resolution": seen.spec.image_size, "cache": True}},
        ).spec
        == plain.spec
    )
    assert (
        checkpoint.inspect(folder, {"class_name": "training.networks.VPPrecond"}).spec.parametrization
        == "eps"
    )
    with pytest.raises(CheckpointError, match="precond = 'edm', but"):
        checkpoint.inspect(folder, {"class_name": "training.networks.VPPrecond", "precond": "edm"})
    with pytest.raises(CheckpointError, match="img_channels = 1, but the shapes of the weights say"):
        checkpoint.inspect(folder, {"img_channels": 1})


def test_a_typing_mistake_is_still_one(saved):
    with pytest.raises(
        OptionError, match="There is no flag of the layout openai 'num_heds'.*Did you mean 'num_heads'"
    ):
        checkpoint.inspect(saved("openai", "adm", configured=False), {**OPENAI_SCRIPT, "num_heds": 4})
    with pytest.raises(OptionError, match="begin like JSON but are not valid JSON"):
        parse_flags('{"image_size": 64')


def test_what_a_configuration_has_and_nobody_knows_is_a_fact_of_its_own(saved):
    folder = saved("openai", "adm")
    given = json.loads((folder / "args.json").read_text())
    (folder / "args.json").write_text(json.dumps({**given, "use_rotary": True}))
    seen = checkpoint.inspect(folder)
    assert {fact.name: fact.source for fact in seen.found.facts}["use_rotary"] == "not known here"
    assert "not known here and not followed: use_rotary" in " ".join(seen.remarks)
