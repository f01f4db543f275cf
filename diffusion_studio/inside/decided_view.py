"""When was it decided? From the run itself, and from new runs that start at one of its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..diffusion.editing import noised
from ..diffusion.levels import Levels
from ..diffusion.noise import Noise
from ..diffusion.sampling import offset_noise, sample
from ..diffusion.schedule import NoiseLevel
from ..errors import OptionError
from . import drawing
from .figure import Curves
from .run import Run, State, fresh_segment, of_points, picture_slice
from .seen import Tile, ViewResult, chart
from .settings import Settings

MOST_BYTES = 1 << 28
MOST_REMEMBERED = 1 << 24  # bytes of the last new runs


def history(run: Run, picture: int) -> np.ndarray:
    """x0 of one picture at every state, (n + 1, C, H, W) float32 (points (n + 1, P, 2)): what was predicted,
    and last the finished picture.

    The frames of the run hold it as bytes, so a distance below 1/127 is not told apart; points as float16.
    """
    kept: np.ndarray | None = None
    for k, frame in enumerate(run.frames()):
        one = frame.x0[picture]
        shown = one.astype(np.float32) if frame.of_points else one.transpose(2, 0, 1) / np.float32(127.5) - 1
        if kept is None:
            size = (run.total + 1) * shown.nbytes
            if size > MOST_BYTES:
                raise OptionError(
                    "recipe",
                    f"The x0 of all {run.total + 1} states takes {size >> 20} MB. Look into a run "
                    "of fewer steps.",
                )
            kept = np.empty((run.total + 1, *shown.shape), np.float32)
        kept[k] = shown
    assert kept is not None  # a run has at least two states
    return kept


def decided_at(x0: np.ndarray, tolerance: float) -> np.ndarray:
    """For each pixel (H, W), or point (P,), the state from which x0 (n + 1, ...) stays within the tolerance
    of the last, in every channel.
    """
    apart = np.abs(x0 - x0[-1])
    far = apart.max(1 if x0.ndim == 4 else -1) > tolerance  # (n + 1, H, W)
    last_far = np.where(far.any(0), len(far) - 1 - far[::-1].argmax(0), -1)
    return last_far + 1


def new_runs(state: State, settings: Settings) -> torch.Tensor:
    """(K, C, H, W): the finished picture noised K times to this state's level and denoised from there with
    the run's own sampler, in one batch. Its noise is that of the seeds `seed`, `seed` + 1, ...

    Li & Chen 2024, Critical windows; Sclocchi et al. 2024: what all of them share was decided before.
    """
    run = state.run
    if state.segment is not run.own_segments[-1]:
        raise OptionError(
            "step",
            f"State {state.index} lies before the run's own path ({state.segment.part}), so no new run "
            f"starts from it. Choose a state from {run.total - run.own_segments[-1].steps} on.",
        )
    if getattr(run.recipe.edit, "film", None) is not None:
        raise OptionError(
            "edit",
            "The pictures of a film have conditions between two others, which a new run of one "
            "picture does not have. Look into a run without the film.",
        )
    finished = run.x(run.total)[picture_slice(state.x, settings.picture)]
    count = settings.again
    if finished.nbytes * count > MOST_BYTES:
        raise OptionError("count", f"{count} pictures of this size take too much memory. Ask for fewer.")
    segment = fresh_segment(state, settings.picture)
    shape = tuple(finished.shape[1:])
    seeds = tuple((settings.seed + k) % 2**63 for k in range(count))
    noise = Noise(seeds, shape, finished.device, finished.dtype)
    levels = _descending_levels(segment.levels, state.local)
    x = noised(finished, levels[0], noise(state.index))
    for step in sample(segment.sampler, segment.denoise, x, levels, offset_noise(noise, state.index)):
        x = step.x
    return x


def _descending_levels(levels: Sequence[NoiseLevel], first: int) -> Levels:
    """The levels from `first` on without those where the run goes back up."""
    path = [levels[first]]
    for level in levels[first + 1 :]:
        if level.log_snr > path[-1].log_snr:
            path.append(level)
    known = Levels.of(levels)
    return Levels(path, known.schedule, known.steps)


def look(state: State, settings: Settings) -> ViewResult:
    """When one picture was decided.

    arrays: `decided` (H, W), for each pixel the state from which x0 stays within the tolerance of the end;
    `x0` (C, H, W) at this state; curves over the states: `moved` (n,), the root mean square by which x0
    changes to the next state, `apart` (n + 1,), that of x0 from the end, `share` (n + 1,), the share of
    pixels that are decided; `probability` (n + 1, classes) with a noisy classifier. With `again` above 0 new
    runs: `pictures` (K, C, H, W), `mean` (C, H, W), `spread` (H, W), their standard deviation, averaged over
    channels. Points have (P, 2) in place of (C, H, W).
    """
    run = state.run
    picture_slice(state.x, settings.picture)
    x0 = history(run, settings.picture)
    decided = decided_at(x0, settings.tolerance)
    arrays: dict[str, np.ndarray] = {
        "decided": decided,
        "x0": x0[state.index],
        "moved": _root_mean_square(np.diff(x0, axis=0)),
        "apart": _root_mean_square(x0 - x0[-1]),
        "share": np.array([(decided <= k).mean() for k in range(len(x0))]),
    }
    numbers: dict[str, Any] = {
        "half_decided": int(np.argmax(arrays["share"] >= 0.5)),
        "share": float(arrays["share"][state.index]),
    }
    judge, notes = run.judge(), list(state.notes)
    if judge is not None:
        arrays["probability"] = _probabilities(run, judge, settings.picture)
        numbers["labels"] = list(judge.spec.labels)
    elif run.model.spec.labels:
        notes.append(
            f"There is no curve of the label's probability: no noisy classifier with the labels "
            f"of {run.model.spec.name} is at hand."
        )
    if settings.again and not state.finished:
        made = _remembered_runs(state, settings)
        arrays |= {
            "pictures": made,
            "mean": made.mean(0),
            "spread": made.std(0).mean(0 if made.ndim == 4 else -1),
        }
        numbers["spread"] = float(arrays["spread"].mean())
        numbers["open"] = float((arrays["spread"] > settings.tolerance).mean())
    if run.recipe.stretch:
        notes.append("This run shows each picture stretched to its own range, and x0 is compared as shown.")
    return ViewResult(
        "decided",
        state.index,
        arrays,
        numbers,
        _lines(state, settings, numbers),
        _tiles(state, arrays, numbers),
        notes,
    )


def _remembered_runs(state: State, settings: Settings) -> np.ndarray:
    """`new_runs`, which another tolerance does not change. The last ones are remembered if they are small."""
    key = (state.index, settings.picture, settings.again, settings.seed)
    memo = state.run.memo
    if memo.get("new_runs", (None, None))[0] != key:
        memo.pop("new_runs", None)
        pictures = new_runs(state, settings).float().cpu().numpy()
        if pictures.nbytes > MOST_REMEMBERED:
            return pictures
        memo["new_runs"] = key, pictures
    return memo["new_runs"][1]


def _root_mean_square(difference: np.ndarray) -> np.ndarray:
    return np.sqrt((difference.reshape(len(difference), -1).astype(float) ** 2).mean(1))


@torch.no_grad()
def _probabilities(run: Run, judge: Any, picture: int) -> np.ndarray:
    if ("probability", picture) in run.memo:
        return run.memo["probability", picture]
    found = []
    for k, x in run.states():
        segment, local = run.place(k)
        level = segment.levels[local]
        at = x[min(picture, len(x) - 1)][None]
        if not level.sigma:  # the classifier's least noise stands for the clean end
            level = judge.spec.schedule.level(judge.spec.schedule.t_min)
        found.append(judge.log_probabilities(at.float(), level)[0].exp().cpu().numpy())
    run.memo["probability", picture] = np.stack(found)
    return run.memo["probability", picture]


def _lines(state: State, settings: Settings, numbers: dict[str, Any]) -> list[str]:
    what = "points" if of_points(state.run) else "pixels"
    said = [
        f"From step {state.index} of {state.run.total} on, {numbers['share']:.0%} of the {what} stay within "
        f"{settings.tolerance:g} of their final value; half of them do from step "
        f"{numbers['half_decided']} on."
    ]
    if what == "pixels":
        said[0] += " Dark pixels of the map were decided early, bright ones late."
    if "spread" in numbers:
        said.append(
            f"{settings.again} new runs from the finished picture with this step's noise: their {what} "
            f"differ by {numbers['spread']:.3g} on average (standard deviation), {numbers['open']:.0%} "
            f"of them by more than {settings.tolerance:g}."
        )
    return said


def _tiles(state: State, arrays: dict[str, np.ndarray], numbers: dict[str, Any]) -> list[Tile]:
    total = state.run.total
    tiles = [Tile(f"x0 at step {state.index}", drawing.shown(arrays["x0"]))]
    if arrays["decided"].ndim == 2:
        tiles.append(
            Tile(
                f"decided at step 0 to {total}",
                drawing.heat(arrays["decided"].astype(float), total),
            )
        )
        so_far = drawing.picture(arrays["x0"])
        so_far[arrays["decided"] > state.index] = (150, 153, 158)
        tiles.append(Tile("decided so far", so_far))
    if "mean" in arrays:
        group = f"{len(arrays['pictures'])} new runs from step {state.index}"
        tiles.append(Tile("their mean", drawing.shown(arrays["mean"]), group=group))
        if arrays["spread"].ndim == 2:
            most = float(arrays["spread"].max())
            spread = drawing.heat(arrays["spread"], most or 1.0)
            tiles.append(Tile(f"spread, 0 to {most:.2g}", spread, group=group))
        tiles += [
            Tile(f"run {k + 1}", drawing.shown(one), group=group) for k, one in enumerate(arrays["pictures"])
        ]
    return [*tiles, *(chart(one, state.index) for one in _curves(arrays, numbers, total))]


def _curves(arrays: dict[str, np.ndarray], numbers: dict[str, Any], total: int) -> list[Curves]:
    steps = list(range(total + 1))
    moves = [("to the end", steps, arrays["apart"]), ("to the next step", steps[:-1], arrays["moved"])]
    what = "pixels" if arrays["decided"].ndim == 2 else "points"
    found = [
        Curves("how much x0 still changes (root mean square)", moves, "step", steps, zero=True),
        Curves(f"share of decided {what}", [("", steps, arrays["share"])], "step", steps, zero=True),
    ]
    if "probability" in arrays:
        best = np.argsort(-arrays["probability"].max(0))[:4]
        named = [(numbers["labels"][k], steps, arrays["probability"][:, k]) for k in best]
        found.append(Curves("probability of each label, by the classifier", named, "step", steps, zero=True))
    return found
