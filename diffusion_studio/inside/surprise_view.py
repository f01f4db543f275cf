"""Surprise: how many bits a model needs for each pixel of one picture, as a map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Denoiser
from ..diffusion.noise import Noise, gaussian
from ..diffusion.prediction import Prediction
from ..diffusion.schedule import NoiseLevel
from ..diffusion.spacing import path
from ..errors import OptionError, no_such
from ..imaging.arrays import from_uint8, to_uint8
from ..imaging.picture import Picture
from ..metrics.bound import STEP, bound_maps
from ..metrics.flow import dequantize, log_likelihood_map
from ..models.model import Model
from . import drawing
from .figure import Curves, Film
from .run import Run, State, check_pictures
from .seen import OVER_RUN, Tile, ViewResult, chart
from .settings import Settings

_UNIFORM, _SIGNS = 2**40, 2**41  # indices of noise that no run reaches
BYTE = 8.0  # bits of a value without a model
MOST_VALUES = 1 << 22  # of the maps of all states together


def look(state: State, settings: Settings, given: Picture | None = None) -> ViewResult:
    """The surprise of a run's finished picture, or of the one that is `given`, under the run's label and
    prompt. `terms` network calls, or four for each step of the flow; the run remembers the last measurement.

    arrays: `picture` (C, H, W); `bits` (H, W), the bits of each pixel over all its channels; `terms` and `t`
    (T + 1,) of the bound, in bits per pixel: the prior first, then noisiest to cleanest; `so_far` (n + 1, H,
    W), for each state of the run the bits of the terms at noisier levels.
    numbers: `bits_per_pixel`, `bits_per_dimension`, `steps` (at most the schedule's timesteps); with `so_far`
    its mean at this state, `bits_so_far`.
    """
    check_pictures(state.run, "surprise")
    run = state.run
    if not 0 <= settings.picture < run.recipe.pictures:
        raise no_such("picture", "picture", "The run has", settings.picture, run.recipe.pictures)
    pixels, said = (
        _fit_picture(run.model, given)
        if given is not None
        else (_finished_picture(state, settings.picture), ())
    )
    if state.remembers:
        raise OptionError(
            "view",
            "This network is given its last x0, so one call at a level of its own has no meaning for "
            "it. Choose another view.",
        )
    last = state if not state.finished else run.state(run.total - 1)
    times, notes = _times(run), [*said, *state.notes]
    if settings.by == "bound" and len(times) * pixels.shape[1] * pixels.shape[2] > MOST_VALUES:
        notes.append("The run has too many states, or too large ones, for a map of the bits at each of them.")
        times = []
    key = (settings, sha256(pixels.tobytes()).digest())
    if run.memo.get("surprise", (None, None))[0] != key:
        bare = last.guided(1.0, settings.picture)
        run.memo["surprise"] = key, _measure(run.model, bare, pixels, settings, times)
    found = run.memo["surprise"][1]
    return _view_of(found, settings, state.index, notes, times)


def at_state(result: ViewResult, step: int) -> ViewResult:
    """The result, with the pictures over the run at another state; nothing is measured again."""
    if "so_far" not in result.numbers:
        return replace(result, step=step)
    bits = result.numbers["so_far"][step]
    tiles = []
    for tile in result.tiles:
        if isinstance(tile.plays, Film):
            title = _so_far_title(step, tile.plays.captions[step])
            tile = replace(tile, title=title, pixels=tile.plays.pictures[step])
        elif isinstance(tile.plays, Curves) and len(tile.plays.at):
            tile = chart(tile.plays, float(tile.plays.at[step]))
        tiles.append(tile)
    return replace(result, step=step, numbers={**result.numbers, "bits_so_far": bits}, tiles=tiles)


def _brightest(bits: np.ndarray) -> float:
    """The bits per pixel that are drawn brightest; darkest is 0."""
    return max(float(np.quantile(bits, 0.99)), 1e-9)


def _heat(bits: np.ndarray) -> np.ndarray:
    return drawing.heat(np.clip(bits, 0, None), _brightest(bits))


def _scaled(bits: np.ndarray) -> str:
    """The mean of a map of bits, and its scale. Each state's map has its own: the first ones have a
    thousandth of the last one's bits, and would be black on its scale.
    """
    scale = f" (colours 0 to {_brightest(bits):.3g})" if bits.any() else ""
    return f"{bits.mean():.3g} bits per pixel{scale}"


def _so_far_title(step: int, scaled: str) -> str:
    return f"step {step}: {scaled}"


def check_over_run(settings: Settings) -> None:
    """Raise `OptionError` for a measure that has no map for each state."""
    if settings.by != "bound":
        raise OptionError(
            "by",
            "The flow gives one map for the finished picture, which does not change over the run. Choose the "
            "bound, or save one picture.",
        )


def _times(run: Run) -> list[float]:
    """t of each state. The finished picture has -inf."""
    places = (run.place(k) for k in range(run.total))
    return [*(segment.levels[local].t for segment, local in places), -math.inf]


def _finished_picture(state: State, number: int) -> np.ndarray:
    """One finished picture of the run, (1, H, W, C) uint8."""
    return to_uint8(state.run.x(state.run.total)[number][None])


def _fit_picture(model: Model, picture: Picture) -> tuple[np.ndarray, tuple[str, ...]]:
    """A picture at the model's size and channels, (1, H, W, C) uint8, and notes on how it was changed."""
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
) -> ViewResult:
    """The surprise of any picture under a model's condition; it is brought to the model's size."""
    if model.spec.image_size is None:
        raise OptionError(
            "picture", f"{model.spec.name} makes points in the plane, and a picture has no place there."
        )
    pixels, said = _fit_picture(model, picture)
    chosen = Settings(**settings)
    found = _measure(model, _bare(model, label, prompt, low_res), pixels, chosen, [])
    return _view_of(found, chosen, 0, said, [])


def _bare(model: Model, label: str | None, prompt: str | None, low_res: torch.Tensor | None) -> Denoiser:
    """The network bound to a condition. The only place here that builds one from its parts."""
    return model.denoiser(label, prompt, low_res)


def _measure(
    model: Model, bare: Denoiser, pixels: np.ndarray, settings: Settings, times: Sequence[float]
) -> dict[str, np.ndarray]:
    """The surprise of uint8 pixels (1, H, W, C), in float64 around the network. `times` are t of the states
    that have a map of their own.
    """
    x0 = from_uint8(pixels, model.spec.black_margin).double()
    measure: Callable = {"bound": _by_bound, "flow": _by_flow}[settings.by]
    return {
        "picture": x0[0].float().numpy(),
        **measure(model, _double_denoiser(model, bare), x0, settings, times),
    }


def _view_of(
    arrays: dict[str, np.ndarray],
    settings: Settings,
    step: int,
    notes: Sequence[str],
    times: Sequence[float],
) -> ViewResult:
    channels, per_pixel = len(arrays["picture"]), float(arrays["bits"].mean())
    numbers: dict[str, Any] = {
        "bits_per_pixel": per_pixel,
        "bits_per_dimension": per_pixel / channels,
        "by": settings.by,
    }
    if "so_far" in arrays:
        numbers["so_far"] = [float(one.mean()) for one in arrays["so_far"]]
        numbers["bits_so_far"] = numbers["so_far"][step]
    if "terms" in arrays:
        numbers["prior"] = float(arrays["terms"][0])
    numbers["steps"] = len(arrays["terms"]) - 1 if "terms" in arrays else settings.terms
    lines = _lines(numbers, channels)
    return ViewResult("surprise", step, arrays, numbers, lines, _tiles(arrays, step, times), notes)


def _double_denoiser(model: Model, bare: Denoiser) -> Denoiser:
    inner = torch.float64 if model.dtype == torch.float64 else torch.float32

    def denoise(x: torch.Tensor, level: NoiseLevel) -> Prediction:
        p = bare(x.to(model.device, inner), level)
        variance = None if p.variance is None else p.variance.cpu().double()
        return Prediction(p.x0.cpu().double(), p.eps.cpu().double(), variance)

    return denoise


def _by_bound(
    model: Model, denoise: Denoiser, x0: torch.Tensor, settings: Settings, states: Sequence[float]
) -> dict[str, np.ndarray]:
    schedule = model.schedule
    count = min(settings.terms, schedule.timesteps) if schedule.discrete else settings.terms
    levels = path(schedule, count, "trailing")
    noise = Noise((settings.seed,), tuple(x0.shape[1:]), dtype=torch.float64)
    variance = "learned" if model.spec.learned_variance else "small"
    whole, terms, times = torch.zeros_like(x0[0, 0]), [], []
    so_far = np.zeros((len(states), *whole.shape), np.float32)
    for t, values in bound_maps(denoise, x0, levels, noise, variance, clip=True):
        term = values[0].sum(0)
        whole += term
        so_far[np.array(states) < t] += term.float().numpy()
        terms.append(float(term.mean()))
        times.append(t)
    found = {"bits": whole.numpy(), "terms": np.array(terms), "t": np.array(times)}
    return {**found, "so_far": so_far} if len(states) else found


def _by_flow(
    model: Model, denoise: Denoiser, x0: torch.Tensor, settings: Settings, states: Sequence[float]
) -> dict[str, np.ndarray]:
    shape = tuple(x0.shape)
    uniform = torch.special.ndtr(torch.from_numpy(gaussian(settings.seed, _UNIFORM, shape)))
    signs = torch.from_numpy(np.sign(gaussian(settings.seed, _SIGNS, shape)))
    x = dequantize(x0, uniform)
    shares = log_likelihood_map(denoise, x, model.schedule, settings.terms, [signs])
    return {"bits": (-(shares + np.log(STEP)) / np.log(2))[0].sum(0).numpy()}


def _lines(numbers: dict[str, Any], channels: int) -> list[str]:
    per = numbers["bits_per_pixel"]
    raw = BYTE * channels
    how = (
        f"the variational bound in {numbers['steps']} steps"
        if numbers["by"] == "bound"
        else f"the probability flow in {numbers['steps']} steps, with one random probe"
    )
    verdict = (
        "less than its raw bytes" if per < raw else "more than its raw bytes: it is strange to the model"
    )
    lines = [
        f"{per:.2f} bits per pixel ({numbers['bits_per_dimension']:.2f} per value) by {how}; raw bytes "
        f"are {raw:g}, so the model needs {verdict}.",
        "Bright pixels are those that the model expected least. Fewer steps make the bound looser.",
    ]
    if "prior" in numbers:
        lines.append(
            f"Full noise, the start of the bound (its prior), costs {numbers['prior']:.2g} bits per pixel."
        )
    return lines


def _tiles(arrays: dict[str, np.ndarray], step: int, times: Sequence[float]) -> list[Tile]:
    title = f"bits per pixel, 0 to {_brightest(arrays['bits']):.3g}"
    tiles = [Tile("picture", drawing.picture(arrays["picture"])), Tile(title, _heat(arrays["bits"]))]
    if "so_far" in arrays:
        so_far = arrays["so_far"]
        maps = np.stack([_heat(one) for one in so_far])
        captions = [_scaled(one) for one in so_far]
        film = Film("bits that steps noisier than this one cost", maps, captions)
        tiles.append(Tile(_so_far_title(step, captions[step]), maps[step], group=OVER_RUN, plays=film))
    if "terms" in arrays:  # without the prior, which is so small that it would flatten the rest
        t, terms = arrays["t"][:0:-1], arrays["terms"][:0:-1]
        at = np.clip(times, t[0], None) if len(times) else ()
        line = Curves("bits per pixel of each step of the bound", [("", t, terms)], "t", at, log=True)
        tiles.append(chart(line, float(at[step]) if len(times) else None))
    return tiles
