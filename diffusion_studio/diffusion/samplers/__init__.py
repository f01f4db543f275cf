"""Samplers, one file per family. A new sampler is a class, and an entry in `SAMPLERS`."""

from .adams import DEIS, LMS
from .adaptive import Adaptive
from .base import NoiseFunction, Sampler, Step
from .consistency import Consistency
from .ddim import DDIM
from .ddpm import DDPM
from .dpm2 import DPM2
from .dpm_solver import DPMPP2M, DPMPP2MSDE, DPMPP2S, DPMPP3M, DPMPPSDE, DPMPPSinglestep
from .euler import Euler, EulerAncestral
from .heun import Heun
from .pndm import PLMS, PNDM
from .predictor_corrector import PredictorCorrector
from .unipc import UniPC

SAMPLERS: dict[str, type[Sampler]] = {
    "ddim": DDIM,
    "ddpm": DDPM,
    "euler": Euler,
    "euler_ancestral": EulerAncestral,
    "heun": Heun,
    "dpmpp_2m": DPMPP2M,
    "dpmpp_3m": DPMPP3M,
    "dpmpp_2s": DPMPP2S,
    "dpmpp_2m_sde": DPMPP2MSDE,
    "dpmpp_sde": DPMPPSDE,
    "dpmpp_singlestep": DPMPPSinglestep,
    "dpm_2": DPM2,
    "unipc": UniPC,
    "plms": PLMS,
    "pndm": PNDM,
    "lms": LMS,
    "deis": DEIS,
    "adaptive": Adaptive,
    "predictor_corrector": PredictorCorrector,
    "consistency": Consistency,
}


def sampler_label(name: str) -> str:
    """The name for people of a sampler in `SAMPLERS`; of one that has none, or is not there, `name`."""
    return SAMPLERS[name].label or name if name in SAMPLERS else name


__all__ = [
    "DDIM",
    "DDPM",
    "DEIS",
    "DPM2",
    "DPMPP2M",
    "DPMPP2MSDE",
    "DPMPP2S",
    "DPMPP3M",
    "DPMPPSDE",
    "DPMPPSinglestep",
    "LMS",
    "PLMS",
    "PNDM",
    "SAMPLERS",
    "Adaptive",
    "Consistency",
    "Euler",
    "EulerAncestral",
    "Heun",
    "NoiseFunction",
    "PredictorCorrector",
    "Sampler",
    "Step",
    "UniPC",
    "sampler_label",
]
