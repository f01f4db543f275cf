"""Compare our U-Net with diffusers' UNet2DModel, and store what diffusers gives: an oracle that is not us.

    python tests/networks/make_golden.py            # needs diffusers (made with 0.42.1, torch 2.13.0+cpu); not run in CI

Each case is a network of ours with weights from a formula. The script gives the same weights to diffusers
under its names, prints the largest differences, and writes golden_diffusers.npz: per case x, t, label and
diffusers' float64 output. `test_unet_golden.py` reads CASES and `formula_weights` from here; it needs no
diffusers.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("golden_diffusers.npz")
SIZE = 8

# Fields of UNetConfig. multipliers start with 1, as diffusers takes the time embedding's width from the first
# level.
_BASE = {
    "in_channels": 3,
    "out_channels": 3,
    "channels": 8,
    "multipliers": (1, 2),
    "blocks": 1,
    "norm_groups": 4,
}
CASES = {
    "ddpm": {
        **_BASE,
        "conditioning": "add",
        "attention_levels": (1,),
        "downsample_padding": "end",
        "norm_eps": 1e-6,
        "time_shift": 1,
        "time_order": "sin_cos",
        "blocks": 2,
    },
    "adm": {
        **_BASE,
        "conditioning": "scale_shift",
        "resample": "residual",
        "attention_levels": (0, 1),
        "head_channels": 8,
        "classes": 3,
    },
    "mixed": {
        **_BASE,
        "in_channels": 1,
        "out_channels": 2,
        "conditioning": "scale_shift",
        "downsample_padding": "both",
        "multipliers": (1, 2, 3),
        "attention_levels": (2,),
        "head_channels": 4,
        "time_shift": 1,
    },
}


def formula_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Float64 weights that anyone can make again: sin(k * golden ratio + crc32 of the name), scaled by the
    fan-in.
    """
    found = {}
    for name, shape in shapes.items():
        count, fan_in = math.prod(shape), math.prod(shape[1:])
        waves = np.sin(np.arange(count) * 1.618033988749895 + zlib.crc32(name.encode()) % 1000)
        scale = math.sqrt(2 / fan_in) if len(shape) > 1 else 0.3
        norm = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        found[name] = (norm + scale * waves).reshape(shape)
    return found


def inputs(case: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x (3, C, 8, 8), t and label of a case, by formula."""
    x = np.sin(np.arange(3 * case["in_channels"] * SIZE * SIZE) * 0.7).reshape(
        3, case["in_channels"], SIZE, SIZE
    )
    return x, np.array([0, 17, 999]), np.array([0, 2, 1]) if case.get("classes") else None


def diffusers_name(name: str) -> list[str]:
    """Diffusers' name or names (q, k, v are apart there) for one of ours."""
    block = {"emb": "time_emb_proj", "skip": "conv_shortcut"}
    parts = name.split(".")
    head, tail = parts[0], parts[-1]
    if head == "time":
        return [f"time_embedding.linear_{ {'0': 1, '2': 2}[parts[1]] }.{tail}"]
    if head == "label":
        return ["class_embedding.weight"]
    if head in ("conv_in", "conv_out", "norm_out"):
        return [f"{ {'norm_out': 'conv_norm_out'}.get(head, head) }.{tail}"]

    def attention(at: str, what: str) -> list[str]:
        return [
            f"{at}.{one}.{tail}"
            for one in {"norm": ["group_norm"], "qkv": ["to_q", "to_k", "to_v"], "out": ["to_out.0"]}[what]
        ]

    if head == "middle":
        if parts[1] == "1":
            return attention("mid_block.attentions.0", parts[2])
        return [f"mid_block.resnets.{int(parts[1]) // 2}.{block.get(parts[2], parts[2])}.{tail}"]
    at = f"{head}_blocks.{parts[1]}"
    if parts[2] == "resample":
        part = "conv" if parts[3] == "conv" else block.get(parts[3], parts[3])
        return [f"{at}.{head}samplers.0.{part}.{tail}"]
    if parts[4] == "attention":
        return attention(f"{at}.attentions.{parts[3]}", parts[5])
    return [f"{at}.resnets.{parts[3]}.{block.get(parts[5], parts[5])}.{tail}"]


def main() -> None:
    import torch
    from diffusers import UNet2DModel

    from diffusion_studio.networks.blocks import sinusoidal
    from diffusion_studio.networks.config import UNetConfig
    from diffusion_studio.networks.unet import UNet

    kept = {}
    for name, case in CASES.items():
        config = UNetConfig(**case)
        residual = config.resample == "residual"
        attended = [level in config.attention_levels for level in range(len(config.widths))]
        theirs = UNet2DModel(
            sample_size=SIZE,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            block_out_channels=config.widths,
            layers_per_block=config.blocks,
            norm_num_groups=config.norm_groups,
            norm_eps=config.norm_eps,
            flip_sin_to_cos=config.time_order == "cos_sin",
            freq_shift=config.time_shift,
            down_block_types=tuple(
                "AttnDownBlock2D" if a else "ResnetDownsampleBlock2D" if residual else "DownBlock2D"
                for a in attended
            ),
            up_block_types=tuple(
                "AttnUpBlock2D" if a else "ResnetUpsampleBlock2D" if residual else "UpBlock2D"
                for a in reversed(attended)
            ),
            downsample_padding={"both": 1, "end": 0}[config.downsample_padding],
            downsample_type="resnet" if residual else "conv",
            upsample_type="resnet" if residual else "conv",
            resnet_time_scale_shift="scale_shift" if config.conditioning == "scale_shift" else "default",
            attn_norm_num_groups=config.norm_groups,
            attention_head_dim=config.head_channels or config.widths[-1],
            num_class_embeds=config.classes,
        ).eval()
        ours = UNet(config).eval()
        weights = formula_weights({key: tuple(value.shape) for key, value in ours.state_dict().items()})
        mapped = {}
        for key, value in weights.items():
            names = diffusers_name(key)
            for their_name, part in zip(names, np.split(value, len(names)), strict=True):
                mapped[their_name] = torch.from_numpy(part)
        ours.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        theirs.load_state_dict(mapped)  # strict: every name is met
        x, t, label = inputs(case)
        x, t, label = (
            torch.from_numpy(x),
            torch.from_numpy(t),
            None if label is None else torch.from_numpy(label),
        )
        print(f"{name}: {sum(v.size for v in weights.values()):,} weights")
        waves = sinusoidal(t, config.channels, config.time_order, config.time_shift)
        print(f"  time embedding: max |difference| {(waves - theirs.time_proj(t)).abs().max():.1e}")
        with torch.no_grad():
            for dtype in (torch.float32, torch.float64):
                ours, theirs = ours.to(dtype), theirs.to(dtype)
                if dtype == torch.float64:
                    ours.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
                    theirs.load_state_dict(mapped)
                mine, wanted = ours(x.to(dtype), t, label), theirs(x.to(dtype), t, label).sample
                print(
                    f"  {dtype}: max |difference| {(mine - wanted).abs().max():.1e} of max |output| "
                    f"{wanted.abs().max():.2f}"
                )
        kept |= {f"{name}.x": x.numpy(), f"{name}.t": t.numpy(), f"{name}.output": wanted.numpy()}
        if label is not None:
            kept[f"{name}.label"] = label.numpy()
    np.savez_compressed(FILE, **kept)
    print(f"wrote {FILE} ({FILE.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
