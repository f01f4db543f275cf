"""Surprise: how many bits a model needs for each pixel of one picture, as a map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import Noise, gaussian
from ..diffusion.prediction import Prediction
from ..diffusion.schedule import NoiseLevel
from ..diffusion.spacing import path
from ..errors import OptionError
from ..imaging.arrays import from_uint8, to_uint8
from ..imaging.picture import Picture
from ..metrics.bound import STEP, bound_maps
from ..metrics.flow import dequantised, log_likelihood_map
from ..models.model import Model
from . import drawing
from .run import State, check_pictures
from .seen import Seen, Tile
from .settings import Settings

_UNIFORM, _SIGNS = 2**40, 2**41  # indices of noise that no run reaches
BYTE = 8.0  # bits of a value before anything is known of it


def look(state: State, settings: Settings, given: Picture | None = None) -> Seen:
    """The surprise of a run's finished picture, or of the one that is `given`, under the run's label and
    prompt. `terms` network calls, or four for each step of the flow.

    arrays: `picture` (C, H, W); `bits` (H, W), the bits of each pixel over all its channels; `terms` and `t`
    (T + 1,) of the bound, in bits per pixel: the prior first, then noisiest to cleanest.
    numbers: `bits_per_pixel`, `bits_per_dimension`.
    """
    check_pictures(state.run, "surprise")
    run = state.run
    if not 0 <= settings.picture < run.recipe.pictures:
        raise OptionError(
            "picture", f"The run has the pictures 0 to {run.recipe.pictures - 1}, got {settings.picture}."
        )
    pixels, said = (
        _fitted(run.model, given) if given is not None else (_finished(state, settings.picture), ())
    )
    if state.remembers:
        raise OptionError(
            "view",
            "This network is given its last x0, so one call at a level of its own has no meaning for "
            "it. "
            "Choose another view.",
        )
    last = state if not state.finished else run.state(run.total - 1)
    bare = last.guided(1.0, settings.picture)
    return measured(run.model, bare, pixels, settings, state.index, (*said, *state.notes))


def _finished(state: State, number: int) -> np.ndarray:
    """One finished picture of the run, (1, H, W, C) uint8."""
    return to_uint8(state.run.x(state.run.total)[number][None])


def _fitted(model: Model, picture: Picture) -> tuple[np.ndarray, tuple[str, ...]]:
    """A picture as the model has pictures, (1, H, W, C) uint8, and what was done to it."""
    fitted = picture.fitted(model.spec.image_size, model.spec.channels)
    said = () if fitted.size == picture.size else (f"The picture was brought to {fitted}.",)
    return fitted.pixels[None].copy(), said


def of_picture(
    model: Model,
    picture: Picture,
    label: str | None = None,
    prompt: str | None = None,
    low_res: torch.Tensor | None = None,
    **settings: Any,
) -> Seen:
    """The surprise of any picture under a model's condition; it is brought to the model's size."""
    if model.spec.image_size is None:
        raise OptionError(
            "picture", f"{model.spec.name} makes points in the plane, and a picture has no place there."
        )
    pixels, said = _fitted(model, picture)
    return measured(model, _bare(model, label, prompt, low_res), pixels, Settings(**settings), 0, said)


def _bare(model: Model, label: str | None, prompt: str | None, low_res: torch.Tensor | None) -> Denoiser:
    """The network bound to a condition. The only place here that builds one from its parts."""
    return model.denoiser(label, prompt, low_res)


def measured(
    model: Model, bare: Denoiser, pixels: np.ndarray, settings: Settings, step: int, notes: Any = ()
) -> Seen:
    """The surprise of uint8 pixels (1, H, W, C), in float64 around the network."""
    x0 = from_uint8(pixels, model.spec.black_margin).double()
    measure: Callable = {"bound": _by_bound, "flow": _by_flow}[settings.by]
    found = measure(model, _in_double(model, bare), x0, settings)
    bits = found["map"][0].sum(0).numpy()
    arrays = {"picture": x0[0].float().numpy(), "bits": bits}
    arrays |= {name: found[name] for name in ("terms", "t") if name in found}
    channels = x0.shape[1]
    numbers = {
        "bits_per_pixel": float(bits.mean()),
        "bits_per_dimension": float(bits.mean()) / channels,
        "by": settings.by,
    }
    return Seen("surprise", step, arrays, numbers, _lines(settings, numbers, channels), _tiles(arrays), notes)


def _in_double(model: Model, bare: Denoiser) -> Denoiser:
    inner = torch.float64 if model.dtype == torch.float64 else torch.float32

    def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = bare(x.to(model.device, inner), level)
        variance = None if p.variance is None else p.variance.cpu().double()
        return Prediction(p.x0.cpu().double(), p.eps.cpu().double(), variance)

    return denoise


def _by_bound(model: Model, denoise: Denoiser, x0: torch.Tensor, settings: Settings) -> dict[str, Any]:
    schedule = model.schedule
    count = min(settings.terms, schedule.timesteps) if schedule.discrete else settings.terms
    levels = path(schedule, count, "trailing")
    noise = Noise((settings.seed,), tuple(x0.shape[1:]), dtype=torch.float64)
    variance = "learned" if model.spec.learned_variance else "small"
    whole, terms, times = torch.zeros_like(x0), [], []
    for t, term in bound_maps(denoise, x0, levels, noise, variance, clip=True):
        whole += term
        terms.append(float(term.sum(1).mean()))
        times.append(t)
    return {"map": whole, "terms": np.array(terms), "t": np.array(times)}


def _by_flow(model: Model, denoise: Denoiser, x0: torch.Tensor, settings: Settings) -> dict[str, Any]:
    shape = tuple(x0.shape)
    uniform = torch.special.ndtr(torch.from_numpy(gaussian(settings.seed, _UNIFORM, shape)))
    signs = torch.from_numpy(np.sign(gaussian(settings.seed, _SIGNS, shape)))
    x = dequantised(x0, uniform)
    shares = log_likelihood_map(denoise, x, model.schedule, settings.terms, [signs])
    return {"map": -(shares + np.log(STEP)) / np.log(2)}


def _lines(settings: Settings, numbers: dict[str, Any], channels: int) -> list[str]:
    per = numbers["bits_per_pixel"]
    raw = BYTE * channels
    how = (
        f"the variational bound in {settings.terms} steps"
        if settings.by == "bound"
        else f"the probability flow in {settings.terms} steps, with one random probe"
    )
    verdict = (
        "less than its raw bytes" if per < raw else "more than its raw bytes: it is strange to the model"
    )
    return [
        f"{per:.2f} bits per pixel ({numbers['bits_per_dimension']:.2f} per value) by {how}; raw bytes "
        f"are {raw:g}, so the model needs {verdict}.",
        "Bright pixels are those that the model expected least. Fewer steps make the bound looser.",
    ]


def _tiles(arrays: dict[str, np.ndarray]) -> list[Tile]:
    most = float(np.quantile(arrays["bits"], 0.99))
    tiles = [
        Tile("picture", drawing.picture(arrays["picture"])),
        Tile(
            f"bits per pixel, 0 to {most:.3g}",
            drawing.heat(np.clip(arrays["bits"], 0, None), max(most, 1e-9)),
        ),
    ]
    if "terms" in arrays:
        line = [("", arrays["t"], np.log10(np.maximum(arrays["terms"], 1e-12)))]
        tiles.append(
            Tile("", drawing.curves(line, "log10 bits per pixel of each term, over t", zero=False), True)
        )
    return tiles
