"""As make_golden.py, for networks that enlarge or classify, and for those of score-based models.

    PYTHONPATH=.../guided-diffusion python tests/checkpoint/make_golden_scores.py openai_enlarging openai_classifier
"""

from __future__ import annotations

import importlib.util
import json
import sys
import zlib
from pathlib import Path

import numpy as np

_FOUND = importlib.util.spec_from_file_location("make_reader_golden", Path(__file__).with_name("make_golden.py"))
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)

HERE, SIZE, BATCH, STEPS, TIMES, LABELS = golden.HERE, golden.SIZE, golden.BATCH, golden.STEPS, golden.TIMES, golden.LABELS
normal = golden.normal
SMALL = 3                       # the picture to enlarge: to 8, so not by a whole number

_ENLARGING = {"image_size": SIZE, "in_channels": 3, "model_channels": 32, "out_channels": 6, "num_res_blocks": 1,
              "attention_resolutions": (2,), "channel_mult": (1, 2)}
_SIZES = {"large_size": SIZE, "small_size": SMALL}
# name: (the network's options, flags in the scripts' names)
ENLARGING = {
    "adm": ({"resblock_updown": True, "use_scale_shift_norm": True, "num_heads": 4, "num_classes": 5}, {**_SIZES, "num_heads": 4}),
    "improved": ({"num_heads": 2, "use_scale_shift_norm": True}, {**_SIZES, "num_heads": 2, "diffusion_steps": 4000,
                                                                  "rescale_timesteps": False}),
    "grey": ({"num_heads": 1, "in_channels": 1, "out_channels": 1}, {**_SIZES, "num_heads": 1}),
}
_CLASSIFIER = {"image_size": SIZE, "in_channels": 3, "model_channels": 32, "out_channels": 5, "num_res_blocks": 2,
               "attention_resolutions": (1, 2), "channel_mult": (1, 2), "num_head_channels": 16, "pool": "attention"}
CLASSIFIERS = {
    "adm": ({"use_scale_shift_norm": True, "resblock_updown": True}, {"num_head_channels": 16}),
    "deep": ({"use_scale_shift_norm": True, "resblock_updown": True, "num_res_blocks": 4, "attention_resolutions": (2, 4),
              "channel_mult": (1, 1, 2)}, {"num_head_channels": 16, "noise_schedule": "cosine"}),
    "half": ({"use_scale_shift_norm": True, "resblock_updown": True, "channel_mult": (0.5, 1), "model_channels": 64,
              "attention_resolutions": (1,), "num_res_blocks": 1}, {"num_head_channels": 16}),
    "strided": ({"in_channels": 1, "attention_resolutions": (2,), "num_res_blocks": 1}, {"num_head_channels": 16}),
    "new-order": ({"use_new_attention_order": True, "num_head_channels": 32, "attention_resolutions": (2,)},
                  {"num_head_channels": 32, "use_new_attention_order": True}),
}


def weights_of(network) -> dict[str, list[int]]:
    """Fill the network with weights by formula; returns the names and shapes of its state dict."""
    import torch

    state = network.state_dict()
    shapes = {key: list(value.shape) for key, value in state.items()}
    filled = {key: torch.from_numpy(value) for key, value in formula_weights(shapes).items()}
    network.load_state_dict({key: filled.get(key, value) for key, value in state.items()})
    network.eval().requires_grad_(False)
    return shapes


def formula_weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    return golden.formula_weights(shapes)


def keep(kept: dict, name: str, shapes: dict, arrays: dict[str, np.ndarray], about: dict) -> None:
    for key, value in arrays.items():
        kept[f"{name}.{key}"] = np.asarray(value)
    kept[f"{name}.about"] = np.frombuffer(zlib.compress(json.dumps({"shapes": shapes, **about}).encode()), np.uint8)
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
        process = create_gaussian_diffusion(steps=flags.get("diffusion_steps", 1000), timestep_respacing=str(STEPS),
                                            learn_sigma=network.out_channels == 2 * channels, noise_schedule="linear")
        arrays = {f"t{t:g}": network(x, torch.full((BATCH,), t), **given).numpy() for t in TIMES}
        draws = iter([torch.from_numpy(normal(f"noise {k}", BATCH, channels, SIZE, SIZE)) for k in range(1, STEPS + 1)])
        plain, torch.randn_like = torch.randn_like, lambda *a, **k: next(draws)
        try:
            arrays["sampled"] = process.p_sample_loop(network, x.shape, noise=x, clip_denoised=True, device="cpu",
                                                      model_kwargs=given).numpy()
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
        keep(kept, name, shapes, {f"t{t:g}": network(x, torch.full((BATCH,), t)).numpy() for t in TIMES}, {"flags": flags})


LAYOUTS = {"openai_enlarging": make_openai_enlarging, "openai_classifier": make_openai_classifier}


def main() -> None:
    for layout in sys.argv[1:] or LAYOUTS:
        kept: dict[str, np.ndarray] = {}
        LAYOUTS[layout](kept)
        file = HERE / f"golden_{layout}.npz"
        np.savez_compressed(file, **kept)
        print(f"wrote {file.name} ({file.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
