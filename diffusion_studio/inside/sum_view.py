"""The step's sum: x = alpha x0 + sigma eps, and the sampler's way to the next state, term by term."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..diffusion.guidance.classifier import step_variances
from ..diffusion.prediction import PARAMETRIZATIONS, Prediction, reading
from ..errors import OptionError
from ..runs.guidance_builder import clipped_to
from . import drawing
from .run import CHURN_NOTE, State, picture_slice
from .seen import Tile, ViewResult
from .settings import Settings
from .terms import Term, step_terms

TARGETS = ("mean", "x0", "eps", "v")
_TARGET_TITLES = {
    "mean": "mean of x at t - 1",
    "x0": "x0, the picture",
    "eps": "eps, the noise",
    "v": "v, eps towards -x0",
}


def look(state: State, settings: Settings) -> ViewResult:
    """The sum of one state of one picture (N = 1; points have the shape (1, P, 2) in place of (1, C, H, W)).

    arrays: `x`, `x0`, `eps`, `next` (1, C, H, W); `term_arrays` and `term_products` (T, 1, C, H, W) and
    `term_coefficients`, which broadcasts with them; `rounding` (1, C, H, W), what is left between the sum of
    the products and the run's own next state; `target_mean`, `target_x0`, `target_eps`, `target_v`; and for
    a learned variance `variance`, `variance_small`, `variance_large`.
    """
    terms = step_terms(state)
    p = state.run.prediction(state.index)
    one = picture_slice(state.x, settings.picture)
    found = {name: _array(part[one]) for name, part in (("x", state.x), ("x0", p.x0), ("eps", p.eps))}
    found |= _terms(terms, one, state)
    found |= {f"target_{name}": _array(made[one]) for name, made in targets(state, p).items()}
    found |= {name: _array(made[one]) for name, made in variances(state, p).items()}
    numbers = _numbers(state, terms, found)
    if "variance" in found:
        numbers["variance"] = _variance_numbers(found)
    if found["x"].ndim == 4:
        row, column = settings.at(*found["x"].shape[-2:])
        numbers["place"] = (row, column)
        products = found["term_products"][:, 0, :, row, column]
        numbers["place_products"] = products.tolist()
        numbers["place_next"] = found["next"][0, :, row, column].tolist()
    return ViewResult(
        "sum",
        state.index,
        found,
        numbers,
        _lines(state, terms, numbers),
        _tiles(state, terms, found),
        _notes(state, terms),
    )


def _notes(state: State, terms: list[Term]) -> tuple[str, ...]:
    """The state's notes; of a noisier copy the sum's own lines tell."""
    copies = any(_of_noisier_copy(term, state) for term in terms)
    return tuple(note for note in state.notes if not (copies and note is CHURN_NOTE))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _terms(terms: list[Term], one: slice, state: State) -> dict[str, np.ndarray]:
    products = np.stack([_array(term.product[one]) for term in terms])
    arrays = np.stack([_array(term.array.expand_as(state.x)[one]) for term in terms])
    numbers = [term.coefficient for term in terms]
    if any(isinstance(one, torch.Tensor) for one in numbers):
        full = [torch.as_tensor(c).cpu().double().expand_as(state.x)[one] for c in numbers]
        coefficients = np.stack([_array(c) for c in full])
    else:
        coefficients = np.array(numbers).reshape(-1, *[1] * state.x.ndim)
    total = products.sum(0)
    actual = state.run.cached_state(state.index + 1)
    if actual is not None and (
        state.local + 1 > state.segment.steps or actual.shape != state.x.shape or _joins(state)
    ):
        actual = None
    next_x = total if actual is None else _array(actual[one])
    return {
        "term_arrays": arrays,
        "term_products": products,
        "term_coefficients": coefficients,
        "next": next_x,
        "rounding": next_x - total,
    }


def _joins(state: State) -> bool:
    """Whether the next state is the first one of another segment, which may have been mixed anew."""
    return state.local + 1 == state.segment.steps and state.segment is not state.run.own_segments[-1]


def targets(state: State, p: Prediction) -> dict[str, torch.Tensor]:
    """The call's answer as each of the papers' targets: the mean of x_{t-1} (Ho et al. 2020, eq. 7), x0,
    eps, and v (Salimans & Ho 2022). In continuous time the mean is that of the run's next level.
    """
    schedule, level = state.run.model.schedule, state.level
    made = {}
    for name in TARGETS:
        try:
            target = reading(name, level, schedule)
        except OptionError:  # no timestep below: continuous time
            target = PARAMETRIZATIONS[name](level, state.segment.levels[state.local + 1], 1.0)
        made[name] = target.target(p.x0, p.eps)
    return made


def variances(state: State, p: Prediction) -> dict[str, torch.Tensor]:
    """The learned variance of an ancestral step to the run's next level (Nichol & Dhariwal 2021, eq. 15),
    and its two bounds; nothing where the network learned none.
    """
    to = state.segment.levels[state.local + 1]
    if p.variance is None or to.log_snr <= state.level.log_snr:
        return {}
    small, large = step_variances(state.level, to)
    if small == 0:  # the last step draws no noise
        return {}
    learned = torch.exp(p.variance.cpu().double() * math.log(large / small) + math.log(small))
    return {
        "variance": learned,
        "variance_small": torch.full_like(learned, small),
        "variance_large": torch.full_like(learned, large),
    }


def _variance_share(found: dict[str, np.ndarray]) -> np.ndarray:
    """(C, H, W): where the learned variance lies between its bounds, 0 to 1 in logarithm."""
    low, high = (float(found[f"variance_{end}"].flat[0]) for end in ("small", "large"))
    return (np.log(found["variance"][0]) - math.log(low)) / math.log(high / low)


def _variance_numbers(found: dict[str, np.ndarray]) -> tuple[float, float, float, float]:
    """The least variance, the mean of the learned one, the most, and the mean share of the way between."""
    low, high = (float(found[f"variance_{end}"].flat[0]) for end in ("small", "large"))
    return low, float(found["variance"].mean()), high, float(_variance_share(found).mean())


def name_of(term: Term, state: State) -> str:
    """A term's name for people: x0(12) is what was predicted at state 12."""
    if term.kind == "known":
        return "known pixels"
    again = f", call {term.again + 1}" if term.again and term.kind in ("x0", "eps") else ""
    again = again or (", noisier" if _of_noisier_copy(term, state) else "")
    more = f", no. {term.again + 1}" if term.again and term.kind == "noise" else ""
    return f"{term.kind}({term.step}{again}{more})"


def _of_noisier_copy(term: Term, state: State) -> bool:
    """Whether the first call of a step was about a noisier copy of its state, as with churn."""
    local = term.step - state.index + state.local
    if term.kind not in ("x0", "eps") or term.again or term.level is None:
        return False
    return 0 <= local < len(state.segment.levels) and term.level.log_snr < state.segment.levels[local].log_snr


def _mean(coefficient: Any) -> float:
    return float(coefficient.mean()) if isinstance(coefficient, torch.Tensor) else float(coefficient)


def _numbers(state: State, terms: list[Term], found: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "alpha": state.level.alpha,
        "sigma": state.level.sigma,
        "t": state.level.t,
        "terms": [(name_of(term, state), _mean(term.coefficient)) for term in terms],
        "varies": [isinstance(term.coefficient, torch.Tensor) for term in terms],
        "rounding": float(np.abs(found["rounding"]).max()),
    }


def _lines(state: State, terms: list[Term], numbers: dict[str, Any]) -> list[str]:
    here = state.index
    parts = []
    for k, (name, coefficient) in enumerate(numbers["terms"]):
        sign = ("-" if coefficient < 0 else "") if k == 0 else ("- " if coefficient < 0 else "+ ")
        varies = " (mean over pixels)" if numbers["varies"][k] else ""
        parts.append(f"{sign}{abs(coefficient):.4g}{varies} {name}")
    lines = [
        f"x({here}) = {state.level.alpha:.4g} x0({here}) + {state.level.sigma:.4g} eps({here})    t = "
        f"{state.level.t:.4g}",
        f"{type(state.segment.sampler).__name__}: x({here + 1}) = " + " ".join(parts),
    ]
    if "place" in numbers:
        channels = len(numbers["place_next"])
        of_all = f" (mean of its {channels} channels)" if channels > 1 else ""
        sums = [sum(one) / len(one) for one in numbers["place_products"]]
        whole = sum(numbers["place_next"]) / len(numbers["place_next"])
        told = " ".join(f"{one:+.3f}" for one in sums)
        lines.append(
            f"Pixel at row {numbers['place'][0]}, column {numbers['place'][1]}{of_all}: {told} = {whole:+.3f}"
        )
    bound = clipped_to(state.effective[0], state.run.model.spec)
    if bound is not None:
        kept = state.segment.sampler.keep_eps
        eps = (
            "eps is the network's own, so the two miss x where x0 was clipped."
            if kept
            else "eps is computed from it, so that the sum holds."
        )
        lines.append(f"x0 is the prediction after clipping to {-bound:g} to {bound:g}; {eps}")
    if any(term.kind == "noise" for term in terms):
        lines.append("noise(k) is fresh random noise that the sampler adds on its way to step k.")
    if any(_of_noisier_copy(term, state) for term in terms):
        lines.append(
            '"noisier" are predictions about a copy of the state to which the sampler first added noise.'
        )
    if "variance" not in numbers and state.run.prediction(state.index).variance is not None:
        lines.append(_no_variance(state))
    if "variance" in numbers:
        least, learned, most, share = numbers["variance"]
        lines.append(
            f"The variance that the network learned for the step is {learned:.4g} on average, {share:.0%} of "
            f"the way (in logarithm) from the least, {least:.4g}, to the most, {most:.4g}."
        )
    return lines


def _no_variance(state: State) -> str:
    """Why the variance that the network predicted is no map at this step."""
    last = state.segment.levels[state.local + 1].sigma == 0
    why = (
        "this step ends without noise, so the least variance is 0 and none of it is drawn"
        if last
        else "this step goes towards more noise, where no variance is drawn"
    )
    return f"The network learned a variance, but {why}."


def _tiles(state: State, terms: list[Term], found: dict[str, np.ndarray]) -> list[Tile]:
    here = state.index
    group, alpha, sigma = "The state is a sum of picture and noise", state.level.alpha, state.level.sigma
    x0, eps = found["x0"][0] * alpha, found["eps"][0] * sigma
    shown = [
        Tile(f"x({here}) =", drawing.shown(found["x"][0], alpha == 1), group=group),
        Tile(f"{alpha:.3g} x0({here})", drawing.shown(x0), group=group),
        Tile(f"+{sigma:.3g} eps({here})", drawing.shown(eps, True), group=group),
    ]
    group = f"{type(state.segment.sampler).__name__}: the next state is this sum"
    for term, product in zip(terms, found["term_products"]):
        title = f"{_mean(term.coefficient):+.3g} {name_of(term, state)}"
        shown.append(Tile(title, drawing.shown(product[0], term.kind not in ("x0", "known")), group=group))
    next_x = drawing.shown(found["next"][0], state.level.alpha == 1)
    shown.append(Tile(f"= x({here + 1})", next_x, group=group))
    group = "The same prediction in the four forms that networks are trained to give"
    for name in TARGETS:
        stretch = name in ("eps", "v")
        target = drawing.shown(found[f"target_{name}"][0], stretch)
        shown.append(Tile(_TARGET_TITLES[name], target, group=group))
    if "variance" in found:
        share = _variance_share(found).mean(0)
        low, learned, high, _ = _variance_numbers(found)
        group = "The variance that the network learned for the next step, between its two bounds"
        for title, one in (
            (f"least: {low:.3g}", np.zeros_like(share)),
            (f"learned: mean {learned:.3g}", share),
            (f"most: {high:.3g}", np.ones_like(share)),
        ):
            shown.append(Tile(title, drawing.heat(one, 1.0), group=group))
    return shown
