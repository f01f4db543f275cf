"""The segments of a run, each one call of `sample`.

A run from noise has one segment. An inverted picture has two (into noise, and back), and so has a branch
(the parent run up to the branch, and its continuation). A recipe's edit says where its run starts, which
levels it visits and what it keeps; this file turns that into the arguments of `sample`. The last state of a
segment is the first state of the next, and is shown once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..diffusion import editing
from ..diffusion.denoiser import Denoiser
from ..diffusion.interpolation import (
    InterpolatedNoise,
    interpolate,
    interpolated_denoiser,
    interpolation_weights,
)
from ..diffusion.levels import Levels
from ..diffusion.noise import Noise
from ..diffusion.samplers import NoiseFunction, Sampler, Step
from ..diffusion.sampling import has_restarted, indexed_noise, offset_noise, sample
from ..diffusion.schedule import NoiseLevel
from ..diffusion.spacing import Spacing, Trailing
from ..errors import OptionError, SamplingError
from ..imaging.arrays import from_uint8, to_uint8
from ..imaging.frame import Frame
from ..imaging.picture import Picture
from .branch import Branch
from .edits import FromPicture, Inpaint, Interpolate, Invert, Morph, Travel
from .recipe import ANY, Recipe

INTO_NOISE, BEFORE = "into noise", "before the branch"
MAX_STATES = 10_000  # of a run with RePaint's jumps


@dataclass(frozen=True)
class Plan:
    """A recipe made concrete for a model: what a sampler is called with."""

    denoise: Denoiser
    levels: Levels
    noise: Noise
    spacing: Spacing = Trailing()
    black_margin: float = 0.0  # of the model's pictures
    takes_text: bool = False

    def start(self) -> torch.Tensor:
        """x at the first level: noise with the spread that the spacing says."""
        return begun(self.noise, self.levels[0], self.spacing)


# (recipe, the share of its steps that are made) -> its Plan, edit and branch left aside
Planner = Callable[[Recipe, float], Plan]


@dataclass(frozen=True)
class Segment:
    """One call of `sample`. `begin` makes its first state of the one that the segment before ended with.

    It is left at state number `until`, or else runs to its end. `tiles` says which of its pictures is shown
    in each place of the run's grid, where it has another number of them. `known` is the picture and where it
    stays exactly.
    """

    sampler: Sampler
    denoise: Denoiser
    levels: Levels
    noise: NoiseFunction
    begin: Callable[[torch.Tensor | None], torch.Tensor]
    part: str = ""
    until: int | None = None
    tiles: tuple[int, ...] | None = None
    known: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def steps(self) -> int:
        return len(self.levels) - 1 if self.until is None else self.until


def begun(noise: NoiseFunction, level: NoiseLevel, spacing: Spacing) -> torch.Tensor:
    """The first state of a run from noise, with the spread that the spacing says."""
    return spacing.start_spread(level) * noise(0)


def segments_of(recipe: Recipe, planned: Planner) -> tuple[Segment, ...]:
    """The segments of a recipe's run. Raises `OptionError` for what the model, or the run to continue, does
    not allow.
    """
    if recipe.branch is not None:
        return _continued(recipe, recipe.branch, planned)
    edit = recipe.edit
    made = planned(recipe, getattr(edit, "strength", 1.0))
    if edit is None or isinstance(edit, Interpolate):
        noise = (
            made.noise
            if edit is None
            else InterpolatedNoise(made.noise, interpolation_weights(len(recipe.seeds), edit.film, edit.loop))
        )
        return (
            Segment(
                recipe.sampler,
                made.denoise,
                made.levels,
                noise,
                lambda _: begun(noise, made.levels[0], recipe.spacing),
            ),
        )
    if isinstance(edit, Travel):
        return (_travelled(recipe, edit, made, planned),)
    if isinstance(edit, Inpaint):
        return (_inpainted(recipe, edit, made),)
    at = {name: _as_x(picture, name, made) for name, picture in edit.pictures.items()}
    if isinstance(edit, FromPicture):
        return (
            Segment(
                recipe.sampler,
                made.denoise,
                made.levels,
                made.noise,
                lambda _: editing.noised(at["picture"], made.levels[0], made.noise(0)),
            ),
        )
    if isinstance(edit, (Invert, Morph)):
        return _inverted(recipe, edit, made, torch.stack(list(at.values())), planned)
    raise TypeError(f"segments_of does not know the edit {type(edit).__name__}.")


def _travelled(recipe: Recipe, edit: Travel, made: Plan, planned: Planner) -> Segment:
    """A plan for each stop, all from the noise of the one seed."""
    asked = [
        {"prompt": name} if made.takes_text else {"label": None if name == ANY else name}
        for name in edit.names
    ]
    stops = [planned(replace(recipe, edit=None, **one), 1.0).denoise for one in asked]
    noise = InterpolatedNoise(made.noise, [(0, 0, 0.0)] * edit.film)
    return Segment(
        recipe.sampler,
        interpolated_denoiser(stops, interpolation_weights(len(stops), edit.film, edit.loop)),
        made.levels,
        noise,
        lambda _: begun(noise, made.levels[0], recipe.spacing),
    )


def reached(path: Levels, strength: float) -> Levels:
    """The last part of a path: the share `strength` of its steps, at least one."""
    steps = len(path) - 1
    return path[steps - max(1, round(steps * strength)) :]


def _as_x(picture: Picture, what: str, made: Plan) -> torch.Tensor:
    """(C, H, W) as the model has pictures, of the run's kind of number and on its device."""
    channels, height, width = made.noise.shape
    if (picture.channels, *picture.size) != (channels, width, height):
        wanted = f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
        raise OptionError(
            f"edit.{what}",
            f"The {what} is {picture}, and the model draws {wanted}. Bring it to that: with --fit on the "
            f"command line, or picture.fitted({width}, {channels}).",
        )
    return from_uint8(picture.pixels[None].copy(), made.black_margin)[0].to(
        made.noise.device, made.noise.dtype
    )


def _inpainted(
    recipe: Recipe,
    edit: Inpaint,
    made: Plan,
    path: Levels | None = None,
    begin: Callable[[torch.Tensor | None], torch.Tensor] | None = None,
) -> Segment:
    """Over the levels of `path`, or the plan's, with jumps. `begin` is given where it goes on from another
    state.
    """
    path = made.levels if path is None else path
    picture = _as_x(edit.picture, "picture", made)
    stretches = max(len(path) - 2, 0) // edit.jump_length
    if (states := len(path) + (edit.jump_length + 1) * stretches * (edit.jumps - 1)) > MAX_STATES:
        raise OptionError(
            "edit.jumps",
            f"With these jumps the run would have about {states:,} states; the most is {MAX_STATES:,}. "
            "Choose fewer jumps or steps.",
        )
    levels = editing.resampled(path, edit.jump_length, edit.jumps)
    stays = torch.from_numpy(1 - edit.mask.pixels[..., 0] / 255.0)[None].to(picture)
    known = picture, stays

    def start(_: torch.Tensor | None) -> torch.Tensor:
        noise = made.noise(0)
        return (
            begun(made.noise, levels[0], recipe.spacing)
            if edit.strength == 1
            else editing.noised(picture, levels[0], noise)
        )

    return Segment(
        recipe.sampler,
        editing.inpainted(made.denoise, *known),
        levels,
        made.noise,
        begin or start,
        known=known,
    )


def _inverted(
    recipe: Recipe, edit: Invert | Morph, made: Plan, pictures: torch.Tensor, planned: Planner
) -> tuple[Segment, ...]:
    """Up with the source's condition alone, and down with the recipe's; not into noise that holds nothing
    of the picture.
    """
    levels = made.levels[1:] if made.levels[0].alpha == 0 and len(made.levels) > 2 else made.levels
    up = Levels(editing.rising(levels), levels.schedule)
    source = planned(
        Recipe(
            recipe.model,
            edit.source_label,
            recipe.seeds,
            recipe.steps,
            recipe.sampler,
            recipe.spacing,
            clip=recipe.clip,
            clip_range=recipe.clip_range,
            threshold=recipe.threshold,
            threshold_most=recipe.threshold_most,
            prompt=edit.source_prompt,
            low_res=recipe.low_res,
        ),
        edit.strength,
    )
    tiles, join = None, _given
    if isinstance(edit, Morph):
        pairs = interpolation_weights(2, edit.film, edit.loop)
        tiles = tuple(a if share < 0.5 else b for a, b, share in pairs)

        def join(x: torch.Tensor | None) -> torch.Tensor:
            return interpolate(_given(x), pairs)

    return (
        Segment(recipe.sampler, source.denoise, up, made.noise, lambda _: pictures, INTO_NOISE, tiles=tiles),
        Segment(recipe.sampler, made.denoise, levels, made.noise, join),
    )


def _given(x: torch.Tensor | None) -> torch.Tensor:
    """The state that the segment before ended with."""
    if x is None:
        raise TypeError("A segment that goes on from another one needs that one's last state.")
    return x


def _continued(recipe: Recipe, branch: Branch, planned: Planner) -> tuple[Segment, ...]:
    """The run to continue, left at the branch, and the levels of the recipe's own path that have less
    noise than that.
    """
    parent, at = branch.recipe, branch.at
    before, level = _cut(segments_of(parent, planned), at)
    made = planned(recipe, _strength(parent))  # guidance over time counts as where the run began
    path = [one for one in planned(recipe, 1.0).levels if one.log_snr > level.log_snr]
    path = Levels([level, *path], made.levels.schedule, made.levels.steps)
    noise: NoiseFunction = made.noise
    if recipe.seeds == parent.seeds:
        noise = before[-1].noise
        if has_restarted(before[-1].levels, before[-1].steps):
            noise = indexed_noise(noise)
    join = _given
    if recipe.pictures != parent.pictures:
        before = tuple(replace(segment, tiles=(0,) * recipe.pictures) for segment in before)

        def join(x: torch.Tensor | None) -> torch.Tensor:
            x = _given(x)
            return x.expand(recipe.pictures, *x.shape[1:])

    before = tuple(replace(segment, part=segment.part or BEFORE) for segment in before)
    if isinstance(recipe.edit, Inpaint):
        own = replace(_inpainted(recipe, recipe.edit, made, path, join), noise=noise)
    else:
        own = Segment(recipe.sampler, made.denoise, path, noise, join)
    return *before, own


def _strength(recipe: Recipe) -> float:
    """The share of its steps that a run makes, or the one that it continues."""
    while recipe.branch is not None:
        recipe = recipe.branch.recipe
    return getattr(recipe.edit, "strength", 1.0)


def _cut(segments: Sequence[Segment], at: int) -> tuple[tuple[Segment, ...], NoiseLevel]:
    """The segments up to state number `at` of a run, and that state's level. Nothing is left of a run at its
    end.
    """
    total = sum(segment.steps for segment in segments)
    if at >= total:
        raise OptionError(
            "branch.at",
            f"The run to continue has the states 0 to {total}, and the last of them is finished; got {at}. "
            f"Branch from a state between 0 and {total - 1}.",
        )
    first = 0
    for k, segment in enumerate(segments):
        if at < first + segment.steps:
            if segment.tiles is not None and len(set(segment.tiles)) > 1:
                raise OptionError(
                    "branch.at",
                    f"At state {at} the film's two pictures are on their way into noise. Branch from state "
                    f"{first + segment.steps} on.",
                )
            return (*segments[:k], replace(segment, until=at - first)), segment.levels[at - first]
        first += segment.steps
    raise AssertionError("unreachable: at < total")


@dataclass(frozen=True)
class Start:
    """Where other segments have led to: the number of the state, the calls until then, and the state."""

    index: int = 0
    calls: int = 0
    x: torch.Tensor | None = None


FROM_NOTHING = Start()


def run_segments(
    segments: Sequence[Segment],
    total: int,
    start: Start = FROM_NOTHING,
    kept: Callable[[torch.Tensor], Any] = to_uint8,
) -> Iterator[tuple[Frame, torch.Tensor]]:
    """The Frames of segments one after the other, each with its state as the sampler has it.

    `total` is the number of the run's last state; `kept` makes of states what frames hold: arrays, or
    tensors where the caller makes arrays of them itself.
    """
    first, calls, x = start.index, start.calls, start.x
    for segment in segments:
        last = segment is segments[-1]
        if segment.until == 0:
            x = segment.begin(x)
            continue
        asked = calls
        run = sample(
            segment.sampler,
            segment.denoise,
            segment.begin(x),
            segment.levels,
            offset_noise(segment.noise, first),
        )
        for step in run:
            x = step.x
            asked = calls + step.calls
            if step.index == segment.steps and not last:
                asked -= segment.until is not None  # the prediction at the branch, of which nothing is made
                break  # the state is the next segment's to show
            if segment.known is not None and step.index == segment.steps:
                picture, stays = segment.known  # some solvers carry earlier predictions into the last step
                x = torch.where(stays == 1, picture, x)
                step = replace(step, x=x, prediction=replace(step.prediction, x0=x))
            _check_finite(step, first + step.index, total)
            # where the process blows states up (variance exploding) noise would be all black and white
            spread = math.hypot(step.level.alpha, step.level.sigma)
            shown = kept(step.x if spread < 1.001 else step.x / spread)
            x0 = shown if step.prediction.x0 is step.x else kept(step.prediction.x0)
            frame = Frame(first + step.index, total, step.level, shown, x0, asked, segment.part)
            yield tiled(frame, segment.tiles), x
        run.close()
        first, calls = first + segment.steps, asked


def _check_finite(step: Step, index: int, total: int) -> None:
    """A picture of what is no number would be black, and hide that."""
    if not (step.x.isfinite().all() and step.prediction.x0.isfinite().all()):
        raise SamplingError(
            f"From step {index} of {total} on (t = {step.level.t:g}) the states are no finite numbers. Try "
            "the precision fp32, less guidance, or another sampler; if none helps, the weights hold values "
            "that are no numbers, or belong to another parametrization or schedule."
        )


def tiled(frame: Frame, tiles: tuple[int, ...] | None) -> Frame:
    """The frame with its pictures in the places that `tiles` says."""
    if tiles is None:
        return frame
    places = np.array(tiles)
    x = frame.x[places]
    return replace(frame, x=x, x0=x if frame.x0 is frame.x else frame.x0[places])
