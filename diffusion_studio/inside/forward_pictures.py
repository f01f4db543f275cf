"""The forward process of a picture, under up to three noise schedules: in closed form, step by step, and what
happens without the factor that keeps its variance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import options
from ..diffusion.editing import noised, renoise
from ..diffusion.noise import Noise
from ..diffusion.schedule import SCHEDULES, NoiseLevel, NoiseSchedule
from ..diffusion.spacing import path
from ..errors import OptionError
from ..export import ExportOptions, check, save
from ..imaging.arrays import from_uint8, to_uint8
from ..imaging.frame import Frame
from ..imaging.picture import Picture
from ..runs.recipe import VERSION
from . import drawing
from .figure import Curves
from .seen import Tile, ViewResult

MOST_SCHEDULES = 3
MOST_BYTES = 1 << 29  # of all states of one process
BINS = 61  # of the histogram, from -EDGE to EDGE
EDGE = 4.0
WAYS = ("closed", "iterated", "unscaled")  # into noise
ABOUT = (
    "The forward process mixes a picture with more and more noise: x_t = sqrt(alpha_bar) x0 + sqrt(1 - "
    "alpha_bar) eps, at once or in steps x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) eps.",
    "Both have the same distribution at every t; without the factor sqrt(1 - beta) the variance "
    "grows without end.",
)
PAPER = "Ho et al. 2020, eq. 2 and 4; Nichol & Dhariwal 2021, section 3.2; Sohl-Dickstein et al. 2015"


@dataclass(frozen=True)
class Process:
    """One picture's way into noise under one schedule, at `steps` + 1 `levels` from the picture itself.

    arrays, float64 (steps + 1, C, H, W): `closed`, alpha x0 + sigma eps with one eps for all levels;
    `iterated`, each drawn from the one before by q(x_t | x_s), with fresh noise; `unscaled`, the same noise
    added without the factor.
    """

    name: str
    schedule: NoiseSchedule
    levels: Sequence[NoiseLevel]
    closed: np.ndarray
    iterated: np.ndarray
    unscaled: np.ndarray
    seed: int = 0

    @property
    def steps(self) -> int:
        return len(self.levels) - 1

    @property
    def picture(self) -> Picture:
        """The picture itself, with 8 bits for each value."""
        return Picture(to_uint8(torch.from_numpy(self.closed[0])[None])[0])

    def variances(self) -> dict[str, np.ndarray]:
        """(steps + 1,) variance over all pixels and channels of each way, and `expected`: alpha^2 Var(x0) +
        sigma^2.
        """
        ways = {"closed": self.closed, "iterated": self.iterated, "unscaled": self.unscaled}
        found = {name: way.reshape(len(way), -1).var(1) for name, way in ways.items()}
        squares = np.array([(level.alpha**2, level.sigma**2) for level in self.levels])
        return {**found, "expected": squares[:, 0] * found["closed"][0] + squares[:, 1]}

    @cached_property
    def kept_variances(self) -> dict[str, np.ndarray]:
        """`variances()`, computed once: an animation reads them at every state."""
        return self.variances()


def process(
    picture: Picture | np.ndarray, schedule: NoiseSchedule, steps: int = 50, seed: int = 0, name: str = ""
) -> Process:
    """A picture (or float values (C, H, W) in [-1, 1]) under a schedule. Memory is checked before."""
    x0 = _values(picture)
    if x0.numel() * 8 * 3 * (steps + 1) > MOST_BYTES:
        raise OptionError(
            "steps",
            f"{steps} steps of a picture of {x0.shape[-1]} by {x0.shape[-2]} take more memory than "
            "is taken for them. Choose fewer steps or a smaller picture.",
        )
    levels = path(schedule, steps)[::-1]
    noise = Noise((seed,), tuple(x0.shape), dtype=torch.float64)
    eps = noise(0)[0]
    closed, iterated, unscaled = [x0], [x0], [x0]
    for k, (now, to) in enumerate(zip(levels, levels[1:]), 1):
        fresh = noise(k)[0]
        closed.append(noised(x0, to, eps))
        iterated.append(renoise(iterated[-1], now, to, fresh))
        unscaled.append(unscaled[-1] + math.sqrt(beta_of(now, to)) * fresh)
    ways = (torch.stack(one).numpy() for one in (closed, iterated, unscaled))
    return Process(name or type(schedule).__name__, schedule, levels, *ways, seed=seed)


def beta_of(now: NoiseLevel, to: NoiseLevel) -> float:
    """The variance of q(x_to | x_now), a step towards noise."""
    return max(to.sigma**2 - (to.alpha / now.alpha * now.sigma) ** 2, 0.0)


def _values(picture: Picture | np.ndarray) -> torch.Tensor:
    if isinstance(picture, Picture):
        return from_uint8(picture.pixels[None].copy())[0].double()
    return torch.from_numpy(np.asarray(picture, np.float64))


def schedule_curves(schedule: NoiseSchedule, points: int = 200) -> dict[str, np.ndarray]:
    """`t`, and there `alpha_bar`, `log_snr` and `beta` (of one timestep), all (points,) or fewer; beta of the
    first is that from the picture itself.
    """
    if schedule.discrete:
        count = min(points, schedule.timesteps)
        times = np.unique(np.linspace(0, schedule.timesteps - 1, count).round())
    else:
        times = np.linspace(schedule.t_min, schedule.t_max, points)
    unit = 1.0 if schedule.discrete else (schedule.t_max - schedule.t_min) / schedule.timesteps
    levels = [schedule.level(float(t)) for t in times]
    before = [schedule.level(float(t - unit)) if t - unit >= schedule.t_min else None for t in times]
    return {
        "t": times,
        "alpha_bar": np.array([level.alpha**2 for level in levels]),
        "log_snr": np.array([level.log_snr for level in levels]),
        "beta": np.array(
            [level.sigma**2 if last is None else beta_of(last, level) for last, level in zip(before, levels)]
        ),
    }


_kept_curves = lru_cache(8)(schedule_curves)  # an animation draws them at every state


def histogram(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (BINS,), the density of the values of x there, and the density of the standard normal curve.
    Values beyond +-4 count to the outermost bins.
    """
    edges = np.linspace(-EDGE, EDGE, BINS + 1)
    counts, _ = np.histogram(np.clip(x, -EDGE, EDGE), edges)
    centres = (edges[1:] + edges[:-1]) / 2
    width = edges[1] - edges[0]
    return centres, counts / x.size / width, np.exp(-(centres**2) / 2) / math.sqrt(2 * math.pi)


def schedules_named(
    names: Sequence[str | Mapping | NoiseSchedule], of_model: Any = None
) -> dict[str, NoiseSchedule]:
    """Up to three schedules: names of `SCHEDULES`, their JSON, schedules themselves, or a model's name, of
    which `of_model(name)` gives the network's own.
    """
    if not 1 <= len(names) <= MOST_SCHEDULES:
        raise OptionError(
            "schedules",
            f"The forward process is shown under 1 to {MOST_SCHEDULES} schedules, got {len(names)}.",
        )
    found: dict[str, NoiseSchedule] = {}
    for one in names:
        if isinstance(one, NoiseSchedule):
            found[_free(options.name_of(SCHEDULES, one), found)] = one
        elif isinstance(one, str) and one not in SCHEDULES and of_model is not None:
            found[one] = of_model(one)
        else:
            made = options.from_json(SCHEDULES, "schedule", one)
            found[_free(options.name_of(SCHEDULES, made), found)] = made
    return found


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, counted where another schedule has it."""
    return name if name not in taken else f"{name} {len(taken) + 1}"


def look(processes: Sequence[Process], step: int, ways: Sequence[str] = WAYS) -> ViewResult:
    """State number `step` of each process: its `ways`, the histogram of the iterated one (without it that of
    the closed form) against the normal curve, the variances, and the schedules' curves with a marker.

    arrays for each process NAME: `closed NAME`, `iterated NAME`, `unscaled NAME` (C, H, W), as far as they
    are in `ways`, and `histogram NAME` (2, bins), the density and the normal curve.
    """
    counted = "iterated" if "iterated" in ways else "closed"
    arrays: dict[str, np.ndarray] = {}
    tiles, lines, numbers = [], [], {}
    for one in processes:
        k = min(step, one.steps)
        variances, level = one.kept_variances, one.levels[k]
        for way in ways:
            arrays[f"{way} {one.name}"] = getattr(one, way)[k]
            spread = max(math.hypot(level.alpha, level.sigma), 1.0) if way != "unscaled" else 1.0
            tiles.append(
                Tile(
                    f"{way}, var {variances[way][k]:.2f}",
                    drawing.picture(getattr(one, way)[k] / spread),
                    group=one.name,
                )
            )
        centres, density, normal = histogram(getattr(one, counted)[k])
        arrays[f"histogram {one.name}"] = np.stack([density, normal])
        tiles.append(
            Tile(
                "",
                drawing.curves(
                    [(counted, centres, density), ("normal", centres, normal)], "pixels", size=(260, 178)
                ),
                True,
                one.name,
            )
        )
        numbers[one.name] = {"t": level.t, "alpha_bar": level.alpha**2, "log_snr": level.log_snr}
        lines.append(
            f"{one.name}: t = {level.t:.4g}, alpha_bar = {level.alpha**2:.4g}, log-SNR = {level.log_snr:.3g}"
            f"; the variance should be {variances['expected'][k]:.3f}."
        )
    tiles += _curves(processes, step)
    return ViewResult("forward", step, arrays, numbers, lines, tiles, columns=len(ways) + 1)


def _curves(processes: Sequence[Process], step: int) -> list[Tile]:
    tiles = []
    for name in ("beta", "alpha_bar", "log_snr"):
        series = []
        for one in processes:
            found = _kept_curves(one.schedule)
            share = (found["t"] - found["t"].min()) / max(float(np.ptp(found["t"])), 1e-12)
            heights = Curves(name, (), log=name == "beta").heights(found[name])
            series.append((one.name, share, heights))
        level, schedule = processes[0].levels[min(step, processes[0].steps)], processes[0].schedule
        marker = (max(level.t, schedule.t_min) - schedule.t_min) / max(schedule.t_max - schedule.t_min, 1e-12)
        title = f"{'log10 ' * (name == 'beta')}{name}, over t / T"
        drawn = drawing.curves(series, title, marker, (330, 190), zero=name == "alpha_bar")
        tiles.append(Tile("", drawn, whole=True, group="The schedules"))
    return tiles


def image(seen: ViewResult, side: int = 160, explain: bool = True) -> np.ndarray:
    """The forward view as one RGB picture (H, W, 3) uint8."""
    said = [*seen.lines, *([" ".join(ABOUT), PAPER] if explain else [])]
    return seen.sheet(said, side)


def save_forward(
    processes: Sequence[Process],
    path: str | Path,
    every: int = 1,
    side: int = 160,
    fps: float = 10.0,
    explain: bool = True,
    strip: int = 8,
    ways: Sequence[str] = WAYS,
    progress: Callable[[int, int], object] = lambda done, of: None,
) -> Path:
    """Write the way into noise as an animation (GIF, MP4, WebP, APNG), or as a PNG strip of `strip` states,
    a row for each schedule. An animation shows these of the three `ways`, a strip the closed form.
    `progress` is called before and after each picture is drawn, with the number of those that are; what it
    raises ends the writing.
    """
    check(path, ExportOptions(), None, [(1, "pictures")])
    total = max(one.steps for one in processes)
    about = to_json(processes)
    is_strip = Path(path).suffix.lower() == ".png"
    steps = [total] if is_strip else sorted({*range(0, total + 1, max(every, 1)), total})
    pictures = []
    progress(0, len(steps))
    for k in steps:
        drawn = (
            strip_of(processes, strip, side) if is_strip else image(look(processes, k, ways), side, explain)
        )
        pictures.append(drawn)
        progress(len(pictures), len(steps))
    height, width = (max(one.shape[axis] for one in pictures) for axis in (0, 1))
    frames = []
    for k, pixels in zip(steps, pictures):
        whole = np.full((1, height, width, 3), 255, np.uint8)
        whole[0, : pixels.shape[0], : pixels.shape[1]] = pixels
        frames.append(Frame(k, total, processes[0].levels[min(k, processes[0].steps)], whole, whole))
    return save(frames, path, about, ExportOptions(scale=1, fps=fps))


def to_json(processes: Sequence[Process]) -> str:
    """What determines the processes of one picture, as JSON; every file of `save_forward` carries it. The
    picture is stored with 8 bits for each value.
    """
    first = processes[0]
    return json.dumps(
        {
            "diffusion-studio": VERSION,
            "forward": [options.to_json(SCHEDULES, one.schedule) for one in processes],
            "names": [one.name for one in processes],
            "steps": first.steps,
            "seed": first.seed,
            "picture": first.picture.to_text(),
        }
    )


def is_forward(text: str) -> bool:
    """Whether the JSON of an exported file is that of a forward process."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, Mapping) and "forward" in given


def from_json(text: str) -> list[Process]:
    """Compute the processes of `to_json` again. Raises `OptionError` for anything else."""
    if not is_forward(text):
        raise OptionError("forward", "Not a forward process: this is no JSON with the key 'forward'.")
    given = json.loads(text)
    if given.get("diffusion-studio") != VERSION:
        raise OptionError(
            "forward",
            "This file names only the schedules of its forward process, not the picture, as files of older "
            "versions of this program do. Make it again from the picture.",
        )
    schedules, names, steps, seed = (given.get(key) for key in ("forward", "names", "steps", "seed"))
    if not isinstance(schedules, list) or not isinstance(names, list) or len(names) != len(schedules):
        raise OptionError("forward", "A forward process has a list of schedules, and a name for each.")
    if not (type(steps) is int and 1 <= steps <= 10_000 and type(seed) is int and 0 <= seed < 2**63):
        raise OptionError(
            "forward", f"A forward process has 1 to 10,000 steps and a seed, got {steps!r:.20}, {seed!r:.40}."
        )
    picture = Picture.from_text(str(given.get("picture")))
    found = schedules_named(schedules).values()
    return [process(picture, one, steps, seed, str(name)[:80]) for name, one in zip(names, found)]


def strip_of(processes: Sequence[Process], count: int = 8, side: int = 160) -> np.ndarray:
    """A row of `count` states for each schedule, in closed form, from the picture to noise."""
    if count < 2:
        raise OptionError("states", f"A strip has at least two states, got {count}.")
    tiles = []
    for one in processes:
        for k in np.linspace(0, one.steps, count).round().astype(int):
            level = one.levels[k]
            spread = max(math.hypot(level.alpha, level.sigma), 1.0)
            title = f"{one.name}, t = {level.t:.3g}" if level.sigma else one.name
            tiles.append((title, drawing.picture(one.closed[k] / spread), False))
    return drawing.sheet(tiles, (), side, count)
