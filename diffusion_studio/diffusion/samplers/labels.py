"""The names of samplers for people, as papers and other programs write them."""

from __future__ import annotations

LABELS = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "euler": "Euler",
    "euler_ancestral": "Euler ancestral",
    "heun": "Heun",
    "dpmpp_2m": "DPM-Solver++ (2M)",
    "dpmpp_3m": "DPM-Solver++ (3M)",
    "dpmpp_2s": "DPM-Solver++ (2S)",
    "dpmpp_2m_sde": "SDE-DPM-Solver++ (2M)",
    "dpmpp_sde": "SDE-DPM-Solver++",
    "dpmpp_singlestep": "DPM-Solver++ (singlestep)",
    "dpm_2": "DPM-Solver-2",
    "unipc": "UniPC",
    "plms": "PLMS",
    "pndm": "PNDM",
    "lms": "LMS",
    "deis": "DEIS",
    "adaptive": "adaptive DPM-Solver++",
    "predictor_corrector": "predictor-corrector",
    "consistency": "consistency",
}


def sampler_label(name: str) -> str:
    """The name of a sampler for people; of one that has none here, its own."""
    return LABELS.get(name, name)
