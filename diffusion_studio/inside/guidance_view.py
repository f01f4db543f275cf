"""Guidance at one state: with the condition, without it, the difference, and what the sampler gets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ..diffusion.denoiser import Altered, ask_all
from ..diffusion.prediction import Prediction
from ..errors import OptionError
from ..runs.guidance_builder import altering, clipped_to
from . import drawing
from .figure import Curves
from .run import Looking, Run, State, at_once, check_pictures, label_of, picture_slice, steps_of
from .seen import Tile, ViewResult, chart
from .settings import Settings

MOST_BARS = 6  # labels whose probability is drawn
# The curves over the run, by the names of their arrays.
_CURVES = {
    "difference_size": "with - without, root mean square",
    "scale": "guidance scale, fitted over all pixels",
    "gradient_size": "classifier's gradient, root mean square",
}


def look(state: State, settings: Settings) -> ViewResult:
    """Guidance of one picture at one state.

    arrays: `with`, `without` (C, H, W), the x0 predicted with the condition and without (or with what
    guidance leads away from: a negative, a weaker model); `difference` = with - without; `result`, the x0
    that the sampler gets, guided and limited; where the run clips x0, `before`, the same before it was
    clipped. With a classifier `gradient` (C, H, W) of log p(label | x) in x, and `probabilities` (classes,).
    numbers: `scale`, by which the difference counts, measured from the result, of a clipped one where it is
    inside the bounds; `difference_size`, its root mean square; with `before`, `bound`, to which x0 is
    clipped, and `clipped`, the share of the values that it changes; `exact`, whether the result is
    without + scale (with - without) in all values. With self-guidance `disturbed`, what the
    network says with its attention disturbed or without some blocks, and `inside`, the answer undisturbed
    less that.
    """
    check_pictures(state.run, "guidance")
    state.check_has_prediction()
    recipe, _ = state.effective
    one = picture_slice(state.x, settings.picture)
    found: dict[str, Any] = {}
    p, pair = _guided_pair(state)
    if pair is not None:
        c, u = (part.x0[one][0] for part in pair)
        found |= {"with": c, "without": u, "difference": c - u}
    found["result"] = p.x0[one][0]
    numbers: dict[str, Any] = {"guidance": recipe.guidance}
    inside = recipe.self_guidance.on and not state.remembers
    if inside:
        given = recipe.self_guidance
        numbers |= {"self_guidance": given.name, "self_scale": given.scale}
        found |= _self_guidance_terms(state, recipe, one)
    if pair is not None:
        numbers["difference_size"] = float((found["difference"] ** 2).mean().sqrt())
    classifier = state.run.helpers(recipe)[0]
    if classifier is not None:
        found |= _classifier_terms(state, classifier, recipe, one)
        numbers["labels"] = list(classifier.spec.labels)
        numbers["label"] = recipe.classifier.label or label_of(recipe, settings.picture)
    if pair is None and classifier is None and not inside:
        raise OptionError("view", _nothing_to_see(state))
    arrays = {name: part.detach().float().cpu().numpy() for name, part in found.items()}
    if pair is not None:
        numbers["scale"] = _scale(arrays)
        bound = clipped_to(recipe, state.run.model.spec)
        if bound is not None and (before := _before_clipping(arrays, bound)) is not None:
            numbers["scale"], arrays["before"] = before
            numbers |= {"bound": bound, "clipped": float((np.abs(arrays["before"]) > bound).mean())}
        added = arrays["without"] + np.float32(numbers["scale"]) * arrays["difference"]
        numbers["exact"] = np.allclose(added, arrays["result"], atol=1e-3)
    lines, tiles = _lines(state, numbers, arrays), _tiles(arrays, numbers)
    return ViewResult("guidance", state.index, arrays, numbers, lines, tiles, state.notes)


def _nothing_to_see(state: State) -> str:
    """Why a run has no guidance, and what would give it one."""
    spec = state.run.model.spec
    if state.remembers:
        return (
            f"{spec.name} is given its last x0 in each call, and this view cannot ask it with and without "
            "guidance apart. Choose another view."
        )
    if spec.labels or spec.takes_text:
        asked = "prompt" if spec.takes_text else "label"
        why = f"{spec.name} was always trained with a {asked}, so it has no prediction without one"
    else:
        why = f"{spec.name} takes neither label nor prompt"
    return (
        f"{why}, and the recipe names no weaker model, no classifier and no self-guidance, so there is no "
        "guidance to see. Choose another view, or make a run with one of them."
    )


def _guided_pair(state: State) -> tuple[Prediction, tuple[Prediction, Prediction] | None]:
    """The guided prediction, and the conditional and unconditional predictions behind it. They are read from
    the same network call if it computes both.
    """
    watched, count = state.run.watched, len(state.x)
    watched.calls = []
    try:
        p = state.ask()
        calls = watched.calls[-1:]  # of a replay the last one is about this state
    finally:
        watched.calls = None
    if not _has_alternative(state):
        return p, None
    recipe, _ = state.effective
    plain = recipe.weaker is None and not recipe.self_guidance.on  # then two rows for each picture are these
    if plain and len(calls) == 1 and len(calls[0][2].x0) == 2 * count:
        both = calls[0][2]
        first, second = (Prediction(*halves) for halves in zip(both.x0.chunk(2), both.eps.chunk(2)))
        return p, (first, second)
    if state.remembers:  # the two differ in what they remember, too: only the replay's own calls are right
        return p, None
    with torch.no_grad():
        c, u = ask_all((state.guided(1.0), state.guided(0.0)), state.x, state.level)
    return p, (c, u)


def _self_guidance_terms(state: State, recipe: Any, one: slice) -> dict[str, torch.Tensor]:
    """The disturbed network's x0, from which self-guidance leads away, and the difference of the undisturbed
    x0 from it.
    """
    worse = Altered(state.guided(1.0), altering(state.run.model, recipe.self_guidance))
    with torch.no_grad():
        plain, other = (part.x0[one][0] for part in ask_all((state.guided(1.0), worse), state.x, state.level))
    return {"disturbed": other, "inside": plain - other}


def _has_alternative(state: State) -> bool:
    """Whether there is another prediction that guidance can lead away from."""
    network, (recipe, _) = state.run.model.spec.network, state.effective
    if recipe.weaker is not None or recipe.negative is not None or recipe.negative_label is not None:
        return True
    return bool(network.null_class or (network.text is not None and network.text.null))


def _scale(arrays: dict[str, np.ndarray]) -> float:
    """The least-squares s of result = without + s (with - without)."""
    difference = arrays["difference"].astype(float)
    size = float((difference**2).sum())
    return float(((arrays["result"] - arrays["without"]) * difference).sum() / size) if size else 0.0


def _before_clipping(arrays: dict[str, np.ndarray], bound: float) -> tuple[float, np.ndarray] | None:
    """The scale s of without + s (with - without), measured where the result is inside the bounds, and that
    sum before it was clipped. None where the sum, clipped, is not the result: another rule is in force, too.
    """
    inside = np.abs(arrays["result"]) < bound * (1 - 1e-6)
    if not inside.any():
        return None
    scale = _scale({name: arrays[name][inside] for name in ("result", "without", "difference")})
    before = arrays["without"] + np.float32(scale) * arrays["difference"]
    exact = np.allclose(before.clip(-bound, bound), arrays["result"], atol=1e-3)
    return (scale, before) if exact else None


def _classifier_terms(state: State, classifier: Any, recipe: Any, one: slice) -> dict[str, torch.Tensor]:
    label = recipe.classifier.label or label_of(recipe, one.start)
    index = classifier.spec.label_index(label)
    with torch.enable_grad():
        at = state.x[one].detach().float().requires_grad_(True)
        logs = classifier.log_probabilities(at, state.level)
        (gradient,) = torch.autograd.grad(logs[:, index].sum(), at)
    return {"gradient": gradient[0], "probabilities": logs.detach()[0].exp()}


def over_run(
    run: Run, settings: Settings, steps: Sequence[int] | None = None, ask: Looking = at_once
) -> dict[str, np.ndarray]:
    """Curves over the states `step`: `difference_size`, the root mean square of with - without; `scale`; and
    with a classifier `probabilities` (states, classes) and `gradient_size`.
    """
    seen: list[ViewResult] = [ask(partial(look, run.state(k), settings)) for k in steps_of(run, steps)]
    found: dict[str, np.ndarray] = {"step": np.array([one.step for one in seen])}
    for name in ("difference_size", "scale"):
        if name in seen[0].numbers:
            found[name] = np.array([one.numbers[name] for one in seen])
    if "probabilities" in seen[0].arrays:
        found["probabilities"] = np.stack([one["probabilities"] for one in seen])
        found["gradient_size"] = np.array([float(np.sqrt((one["gradient"] ** 2).mean())) for one in seen])
    return found


def summary(
    run: Run, settings: Settings, steps: Sequence[int] | None = None, ask: Looking = at_once
) -> ViewResult:
    """The run's curves as one picture."""
    found = over_run(run, settings, steps, ask)
    at = list(range(run.total + 1))
    curves = [
        Curves(title, [("", found["step"], found[name])], "step", at, zero=True)
        for name, title in _CURVES.items()
        if name in found
    ]
    classifier = run.helpers(run.state(0).effective[0]).classifier
    if "probabilities" in found and classifier is not None:
        labels = classifier.spec.labels
        best = np.argsort(-found["probabilities"].max(0))[:4]
        lines = [(labels[k], found["step"], found["probabilities"][:, k]) for k in best]
        curves.append(Curves("probability of each label, by the classifier", lines, "step", at, zero=True))
    tiles = [chart(one) for one in curves]
    return ViewResult("guidance", run.total, found, {}, (), tiles, run.state(0).notes, columns=2)


def _lines(state: State, numbers: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    said = []
    if "scale" in numbers:
        said += _sum_lines(state, numbers)
    elif "probabilities" not in arrays and "inside" not in arrays:
        said.append("This network was trained with its condition only: it has no prediction without.")
    if "inside" in arrays:
        size = float(np.sqrt((arrays["inside"] ** 2).mean()))
        said.append(
            f"Self-guidance by {numbers['self_guidance'].replace('_', ' ')} adds {numbers['self_scale']:g} "
            f"times the difference between the network's prediction and that of the same network with a "
            f"disturbance, which is {size:.3g} (root mean square)."
        )
    if "probabilities" in arrays:
        best = np.argsort(-arrays["probabilities"])[:3]
        told = ", ".join(f"{numbers['labels'][k]} {arrays['probabilities'][k]:.1%}" for k in best)
        said.append(
            f"The classifier guides towards {numbers['label']}, and sees in this noisy state: {told}. Its "
            f"gradient says which pixels to brighten (red) or darken (blue) for more of {numbers['label']}."
        )
    return said


def _sum_lines(state: State, numbers: dict[str, Any]) -> list[str]:
    """What guidance adds up to, before the run clips it where it does, and what clipping then changes."""
    added = f"without + {numbers['scale']:.3g} x (with - without)"
    size = (
        f"The run's guidance is {numbers['guidance']:g}; the difference is {numbers['difference_size']:.3g} "
        "(root mean square; pictures go from -1 to 1)."
    )
    if "bound" in numbers:
        changed = (
            f"changes {numbers['clipped']:.1%} of the values"
            if numbers["clipped"]
            else "changes nothing at this step"
        )
        return [
            f"At step {state.index}, before clipping: guided x0 = {added}.",
            f"Clipping to {-numbers['bound']:g} to {numbers['bound']:g} {changed}. The sampler gets the x0 "
            f"after clipping. {size}",
        ]
    limits = " and ".join(_limits(state))
    if numbers["exact"]:
        told = f"The run's limit, {limits}, changes nothing here." if limits else "This run does not clip x0."
        return [f"At step {state.index}: guided x0 = {added}. {told} {size}"]
    return [
        f"At step {state.index}, after {limits or 'other rules of the run'}: guided x0 is about {added}, "
        f"fitted over all values. {size}"
    ]


def _limits(state: State) -> list[str]:
    """What limits x0 in this run, in the order of its work."""
    recipe, _ = state.effective
    thresholded, clips = recipe.threshold < 1, clipped_to(recipe, state.run.model.spec) is not None
    named = ("dynamic thresholding", thresholded), ("clipping", clips), ("the palette", recipe.palette.on)
    return [name for name, on in named if on]


def _tiles(arrays: dict[str, np.ndarray], numbers: dict[str, Any]) -> list[Tile]:
    shown = []
    for name, title in (("with", "x0 with"), ("without", "x0 without"), ("disturbed", "x0 disturbed")):
        if name in arrays:
            shown.append(Tile(title, drawing.picture(arrays[name])))
    for name, title in (
        ("difference", "difference"),
        ("inside", "x0 less disturbed"),
        ("gradient", "classifier's gradient"),
    ):
        if name in arrays:
            most = float(np.abs(arrays[name]).max())
            shown.append(Tile(f"{title}, ±{most:.2g}", drawing.signed(arrays[name])))
    after = ", after clipping" if "bound" in numbers else ""
    shown.append(Tile(f"guided x0{after}", drawing.picture(arrays["result"])))
    if numbers.get("clipped"):
        cut = arrays["before"] - arrays["result"]
        title = f"cut off by clipping, ±{float(np.abs(cut).max()):.2g}"
        shown.append(Tile(title, drawing.signed(cut)))
    if "probabilities" in arrays:
        best = np.argsort(-arrays["probabilities"])[:MOST_BARS]
        bars = [(numbers["labels"][k], float(arrays["probabilities"][k])) for k in best]
        shown.append(Tile("what the classifier sees in x", drawing.bars(bars), whole=True))
    return shown
