"""The segments of a run, each one call of `sample`.

A run from noise has one segment. An inversion has two (into noise, and back), and so has a branch (the parent
run up to the branch, and its continuation). A recipe's edit decides where the run starts, which levels it
visits and what it keeps; this module turns that into arguments of `sample`. The last state of a segment is
the first state of the next, and is shown once.
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
    """A recipe prepared for a model: the arguments of a sampler."""

    denoise: Denoiser
    levels: Levels
    noise: Noise
    spacing: Spacing = Trailing()
    black_margin: float = 0.0  # how far below -1 exact black is in the model's pictures
    takes_text: bool = False

    def start(self) -> torch.Tensor:
        """x at the first level: noise with the standard deviation that the spacing sets."""
        return start_noise(self.noise, self.levels[0], self.spacing)


# (recipe, share of its steps that are made) -> its Plan, without edit and branch
Planner = Callable[[Recipe, float], Plan]


@dataclass(frozen=True)
class Segment:
    """One call of `sample`.

    `begin` maps the last state of the previous segment (None for the first one) to the first state of this
    one. `until` is the number of the state at which the segment is left; None runs it to its end. `tiles`
    lists which of the segment's pictures is shown at each place of the run's grid, if their numbers differ.
    `known` is a picture and a mask that is 1 where it is kept exactly. `part` is the segment's name.
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
        """The number of steps that the segment makes."""
        return len(self.levels) - 1 if self.until is None else self.until


def start_noise(noise: NoiseFunction, level: NoiseLevel, spacing: Spacing) -> torch.Tensor:
    """The first state of a run from noise, with the standard deviation that the spacing sets."""
    return spacing.start_spread(level) * noise(0)


def segments_of(recipe: Recipe, make_plan: Planner) -> tuple[Segment, ...]:
    """The segments of a recipe's run.

    `make_plan` plans a recipe for the model. Raises `OptionError` for what the model, or the run to continue,
    does not allow.
    """
    if recipe.branch is not None:
        return _branch_segments(recipe, recipe.branch, make_plan)
    edit = recipe.edit
    plan = make_plan(recipe, getattr(edit, "strength", 1.0))
    if edit is None or isinstance(edit, Interpolate):
        noise = (
            plan.noise
            if edit is None
            else InterpolatedNoise(plan.noise, interpolation_weights(len(recipe.seeds), edit.film, edit.loop))
        )
        return (
            Segment(
                recipe.sampler,
                plan.denoise,
                plan.levels,
                noise,
                lambda _: start_noise(noise, plan.levels[0], recipe.spacing),
            ),
        )
    if isinstance(edit, Travel):
        return (_travel_segment(recipe, edit, plan, make_plan),)
    if isinstance(edit, Inpaint):
        return (_inpaint_segment(recipe, edit, plan),)
    at = {name: _to_model_tensor(picture, name, plan) for name, picture in edit.pictures.items()}
    if isinstance(edit, FromPicture):
        return (
            Segment(
                recipe.sampler,
                plan.denoise,
                plan.levels,
                plan.noise,
                lambda _: editing.noised(at["picture"], plan.levels[0], plan.noise(0)),
            ),
        )
    if isinstance(edit, (Invert, Morph)):
        return _inversion_segments(recipe, edit, plan, torch.stack(list(at.values())), make_plan)
    raise TypeError(f"segments_of does not know the edit {type(edit).__name__}.")


def _travel_segment(recipe: Recipe, edit: Travel, plan: Plan, make_plan: Planner) -> Segment:
    """The segment of `Travel`: the stops' denoisers mixed over the film, all pictures from one seed's
    noise.
    """
    conditions = [
        {"prompt": name} if plan.takes_text else {"label": None if name == ANY else name}
        for name in edit.names
    ]
    stops = [make_plan(replace(recipe, edit=None, **one), 1.0).denoise for one in conditions]
    noise = InterpolatedNoise(plan.noise, [(0, 0, 0.0)] * edit.film)
    return Segment(
        recipe.sampler,
        interpolated_denoiser(stops, interpolation_weights(len(stops), edit.film, edit.loop)),
        plan.levels,
        noise,
        lambda _: start_noise(noise, plan.levels[0], recipe.spacing),
    )


def last_levels(path: Levels, strength: float) -> Levels:
    """The last part of a path: the share `strength` of its steps, at least one."""
    steps = len(path) - 1
    return path[steps - max(1, round(steps * strength)) :]


def _to_model_tensor(picture: Picture, what: str, plan: Plan) -> torch.Tensor:
    """A picture as a tensor (C, H, W) with the model's value range, dtype and device. `what` names it in
    an `OptionError`.
    """
    channels, height, width = plan.noise.shape
    if (picture.channels, *picture.size) != (channels, width, height):
        needed = f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
        raise OptionError(
            f"edit.{what}",
            f"The {what} is {picture}, and the model draws {needed}. Bring it to that: with --fit on the "
            f"command line, or picture.fitted({width}, {channels}).",
        )
    return from_uint8(picture.pixels[None].copy(), plan.black_margin)[0].to(
        plan.noise.device, plan.noise.dtype
    )


def _inpaint_segment(
    recipe: Recipe,
    edit: Inpaint,
    plan: Plan,
    path: Levels | None = None,
    begin: Callable[[torch.Tensor | None], torch.Tensor] | None = None,
) -> Segment:
    """The segment of `Inpaint`, with jumps, over the levels of `path` (by default the plan's).

    `begin` is given if the segment continues another one.
    """
    path = plan.levels if path is None else path
    picture = _to_model_tensor(edit.picture, "picture", plan)
    stretches = max(len(path) - 2, 0) // edit.jump_length
    if (states := len(path) + (edit.jump_length + 1) * stretches * (edit.jumps - 1)) > MAX_STATES:
        raise OptionError(
            "edit.jumps",
            f"With these jumps the run would have about {states:,} states; the most is {MAX_STATES:,}. "
            "Choose fewer jumps or steps.",
        )
    levels = editing.resampled(path, edit.jump_length, edit.jumps)
    keep_mask = torch.from_numpy(1 - edit.mask.pixels[..., 0] / 255.0)[None].to(picture)
    known = picture, keep_mask

    def start(_: torch.Tensor | None) -> torch.Tensor:
        noise = plan.noise(0)
        return (
            start_noise(plan.noise, levels[0], recipe.spacing)
            if edit.strength == 1
            else editing.noised(picture, levels[0], noise)
        )

    return Segment(
        recipe.sampler,
        editing.inpainted(plan.denoise, *known),
        levels,
        plan.noise,
        begin or start,
        known=known,
    )


def _inversion_segments(
    recipe: Recipe, edit: Invert | Morph, plan: Plan, pictures: torch.Tensor, make_plan: Planner
) -> tuple[Segment, ...]:
    """The segments of `Invert` and `Morph`: into noise with the source's condition alone, and back with the
    recipe's.

    A first level with alpha 0 is left out: its state would hold nothing of the picture.
    """
    levels = plan.levels[1:] if plan.levels[0].alpha == 0 and len(plan.levels) > 2 else plan.levels
    up = Levels(editing.rising(levels), levels.schedule)
    source = make_plan(
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
    tiles, join = None, _last_state
    if isinstance(edit, Morph):
        pairs = interpolation_weights(2, edit.film, edit.loop)
        tiles = tuple(a if share < 0.5 else b for a, b, share in pairs)

        def join(x: torch.Tensor | None) -> torch.Tensor:
            return interpolate(_last_state(x), pairs)

    return (
        Segment(recipe.sampler, source.denoise, up, plan.noise, lambda _: pictures, INTO_NOISE, tiles=tiles),
        Segment(recipe.sampler, plan.denoise, levels, plan.noise, join),
    )


def _last_state(x: torch.Tensor | None) -> torch.Tensor:
    """The last state of the previous segment."""
    if x is None:
        raise TypeError("A segment that goes on from another one needs that one's last state.")
    return x


def _branch_segments(recipe: Recipe, branch: Branch, make_plan: Planner) -> tuple[Segment, ...]:
    """The segments of the run to continue, cut at the branch, and those levels of the recipe's own path
    that have less noise.
    """
    parent, at = branch.recipe, branch.at
    before, level = _cut_at(segments_of(parent, make_plan), at)
    plan = make_plan(recipe, _strength(parent))  # guidance over time follows the whole run's levels
    path = [one for one in make_plan(recipe, 1.0).levels if one.log_snr > level.log_snr]
    path = Levels([level, *path], plan.levels.schedule, plan.levels.steps)
    noise: NoiseFunction = plan.noise
    if recipe.seeds == parent.seeds:
        noise = before[-1].noise
        if has_restarted(before[-1].levels, before[-1].steps):
            noise = indexed_noise(noise)
    join = _last_state
    if recipe.pictures != parent.pictures:
        before = tuple(replace(segment, tiles=(0,) * recipe.pictures) for segment in before)

        def join(x: torch.Tensor | None) -> torch.Tensor:
            x = _last_state(x)
            return x.expand(recipe.pictures, *x.shape[1:])

    before = tuple(replace(segment, part=segment.part or BEFORE) for segment in before)
    if isinstance(recipe.edit, Inpaint):
        own = replace(_inpaint_segment(recipe, recipe.edit, plan, path, join), noise=noise)
    else:
        own = Segment(recipe.sampler, plan.denoise, path, noise, join)
    return *before, own


def _strength(recipe: Recipe) -> float:
    """The share of its steps that a run makes, or the run that it continues."""
    while recipe.branch is not None:
        recipe = recipe.branch.recipe
    return getattr(recipe.edit, "strength", 1.0)


def _cut_at(segments: Sequence[Segment], at: int) -> tuple[tuple[Segment, ...], NoiseLevel]:
    """The segments up to state number `at` of a run, and the level of that state. Raises `OptionError` at
    the run's end.
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
    """Where a run resumes: the number of a state, the network calls made until then, and the state itself."""

    index: int = 0
    calls: int = 0
    x: torch.Tensor | None = None


FROM_NOTHING = Start()


def run_segments(
    segments: Sequence[Segment],
    total: int,
    start: Start = FROM_NOTHING,
    to_array: Callable[[torch.Tensor], Any] = to_uint8,
) -> Iterator[tuple[Frame, torch.Tensor]]:
    """Run segments one after the other; yields their Frames, each with the sampler's state.

    `total` is the number of the run's last state. `to_array` turns states into what frames hold: arrays, or
    tensors if the caller converts them later.
    """
    first, calls, x = start.index, start.calls, start.x
    for segment in segments:
        last = segment is segments[-1]
        if segment.until == 0:
            x = segment.begin(x)
            continue
        calls_so_far = calls
        run = sample(
            segment.sampler,
            segment.denoise,
            segment.begin(x),
            segment.levels,
            offset_noise(segment.noise, first),
        )
        for step in run:
            x = step.x
            calls_so_far = calls + step.calls
            if step.index == segment.steps and not last:
                calls_so_far -= segment.until is not None  # the prediction at the branch is discarded
                break  # the next segment shows this state
            if segment.known is not None and step.index == segment.steps:
                # multistep solvers mix earlier predictions into the last step
                picture, keep_mask = segment.known
                x = torch.where(keep_mask == 1, picture, x)
                step = replace(step, x=x, prediction=replace(step.prediction, x0=x))
            _check_finite(step, first + step.index, total)
            # variance exploding states are scaled down, or noise would be shown as only black and white
            spread = math.hypot(step.level.alpha, step.level.sigma)
            shown = to_array(step.x if spread < 1.001 else step.x / spread)
            x0 = shown if step.prediction.x0 is step.x else to_array(step.prediction.x0)
            frame = Frame(first + step.index, total, step.level, shown, x0, calls_so_far, segment.part)
            yield tiled(frame, segment.tiles), x
        run.close()
        first, calls = first + segment.steps, calls_so_far


def _check_finite(step: Step, index: int, total: int) -> None:
    """Raise `SamplingError` if a state is not finite: it would be shown as a black picture."""
    if not (step.x.isfinite().all() and step.prediction.x0.isfinite().all()):
        raise SamplingError(
            f"From step {index} of {total} on (t = {step.level.t:g}) the states are no finite numbers. Try "
            "the precision fp32, less guidance, or another sampler; if none helps, the weights hold values "
            "that are not finite, or belong to another parametrization or schedule."
        )


def tiled(frame: Frame, tiles: tuple[int, ...] | None) -> Frame:
    """The frame with its pictures rearranged: place k shows picture `tiles[k]`. None leaves it as it is."""
    if tiles is None:
        return frame
    places = np.array(tiles)
    x = frame.x[places]
    return replace(frame, x=x, x0=x if frame.x0 is frame.x else frame.x0[places])
