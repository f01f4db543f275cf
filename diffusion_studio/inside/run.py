"""A run whose states can be looked into: a recipe on a model, its states from the cache or by replay.

The sampling loop knows nothing of this. A view asks the network once more about one state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..checkpoint.spec import POINTS
from ..diffusion.guidance.timing import Progress
from ..diffusion.levels import Levels
from ..diffusion.prediction import Prediction
from ..diffusion.sampling import offset_noise, sample
from ..diffusion.schedule import NoiseLevel
from ..diffusion.spacing import path
from ..errors import OptionError, no_such
from ..imaging.frame import Frame
from ..models.classifier import Classifier
from ..models.model import Model
from ..runs.edits import Invert, Morph, Travel
from ..runs.generate import GuidesOf, segments, with_states
from ..runs.guidance_builder import NO_GUIDES, Guides, guided
from ..runs.guidance_options import ByClassifier, CfgZero, Change, Interval, Projection, SelfGuidance
from ..runs.recipe import ANY, Recipe
from ..runs.segments import INTO_NOISE, Segment, last_levels
from ..runs.trajectory_cache import TrajectoryCache

CHURN_NOTE = (
    "With churn the sampler asks the network about a noisier copy of this state; this view asks about the "
    "state itself."
)
KEPT = 8  # predictions of a run that are remembered
Call = tuple[torch.Tensor, NoiseLevel, Prediction]
# Makes each look of several that it is given; it may wait first, or look in another thread.
Looking = Callable[[Callable[[], Any]], Any]


def at_once(look: Callable[[], Any]) -> Any:
    """Look now, in this thread."""
    return look()


class Watched(Model):
    """A model that shares everything with another and lists what its network is asked and answers.

    The list belongs to this object, so another thread's run on the same model is not seen here.
    """

    __slots__ = ("calls",)

    @classmethod
    def of(cls, model: Model) -> Watched:
        made = object.__new__(cls)
        made.__dict__ = model.__dict__
        made.calls = None
        return made

    def predict(self, x: torch.Tensor, level: NoiseLevel, *args: Any, **kwargs: Any) -> Prediction:
        p = super().predict(x, level, *args, **kwargs)
        if self.calls is not None:
            self.calls.append((x, level, p))
        return p


class Run:
    """A recipe on a model. `state(step)` is one of its `total` + 1 states.

    States come from `states`, or else from a replay of the run up to there, which is equal bit for bit.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        guides: GuidesOf | None = None,
        states: TrajectoryCache | None = None,
        judge: Callable[[], Classifier | None] = lambda: None,
    ) -> None:
        self.model, self.recipe = model, recipe
        self.judge = judge  # a noisy classifier of the model's pictures, where there is one
        self._guides = guides
        self._states = TrajectoryCache() if states is None else states
        self.watched = Watched.of(model)
        self.own_segments = self.segments(self.watched)
        self.total = sum(segment.steps for segment in self.own_segments)
        self._predictions: OrderedDict[int, Prediction] = OrderedDict()
        self._last_states: dict[int, torch.Tensor] = {}
        self._denoisers: dict[Recipe, Any] = {}
        self.memo: dict[Any, Any] = {}  # results of views for the whole run

    @classmethod
    def of(cls, source: Any, recipe: Recipe | None = None) -> Run:
        """From a Studio or a Model and a recipe; a Run is itself."""
        if isinstance(source, Run):
            return source
        if recipe is None:
            raise OptionError(
                "recipe", "Name the run to look into: give a recipe, or use Recipe.from_file(path)."
            )
        if isinstance(source, Model):
            return cls(source, recipe)

        def judge() -> Classifier | None:
            named = recipe.classifier.name if recipe.classifier.on else None
            named = _classifier_of_labels(source, recipe.model) if named is None else named
            return None if named is None else source.classifier(named)

        return cls(source.model(recipe.model), recipe, source.guides, source.states, judge)

    def helpers(self, recipe: Recipe) -> Guides:
        """The classifier and the weaker model that a recipe names."""
        return NO_GUIDES if self._guides is None else self._guides(recipe)

    def segments(self, model: Model, recipe: Recipe | None = None) -> tuple[Segment, ...]:
        """The segments of this run, or of another recipe, with denoisers of their own."""
        return segments(model, self.recipe if recipe is None else recipe, self.helpers)

    def place(self, index: int) -> tuple[Segment, int]:
        """The segment that shows state `index`, and the state's number within it."""
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= self.total:
            raise OptionError("step", f"The run has the states 0 to {self.total}, got {index!r}.")
        first = 0
        for segment in self.own_segments:
            if index < first + segment.steps or segment is self.own_segments[-1]:
                return segment, index - first
            first += segment.steps
        raise AssertionError("unreachable: the last segment holds the last state")

    def cached_state(self, index: int) -> torch.Tensor | None:
        """State `index` if it is kept, without a replay."""
        kept = self._states.before(self.recipe, self.model, index)
        return kept[index][1] if kept is not None else self._last_states.get(index)

    @property
    def all_cached(self) -> bool:
        """Whether all states are kept, so that no replay is needed."""
        return self._states.before(self.recipe, self.model, self.total) is not None

    def x(self, index: int) -> torch.Tensor:
        """State `index` as the sampler has it."""
        found = self.cached_state(index)
        if found is None:
            self._replay(index)
            found = self.cached_state(index)
        assert found is not None  # the replay went as far as `index`
        return found

    def states(self) -> Iterator[tuple[int, torch.Tensor]]:
        """All states in order, from the cache or by one replay."""
        if self.cached_state(self.total) is not None and self.cached_state(0) is not None:
            yield from ((k, self.x(k)) for k in range(self.total + 1))
            return
        for frame, x in self._run():
            yield frame.index, x

    def frames(self) -> Iterator[Frame]:
        """All Frames in order, from the cache or by one replay."""
        kept = self._states.before(self.recipe, self.model, self.total)
        pairs = self._run() if kept is None else kept
        return (frame for frame, _ in pairs)

    def _run(self) -> Generator[tuple[Frame, torch.Tensor], None, None]:
        return with_states(self.model, self.recipe, self.segments(self.model), self._states)

    def _replay(self, until: int) -> None:
        """Run again up to a state. The last few states are kept here where they are too large for the
        cache.
        """
        self._last_states = {}
        run = self._run()
        for frame, x in run:
            self._last_states[frame.index] = x
            self._last_states.pop(frame.index - KEPT, None)
            if frame.index == until:
                break
        run.close()
        if self._states.before(self.recipe, self.model, until) is not None:
            self._last_states = {}

    def state(self, index: int) -> State:
        """State `index`, counted from 0. -1 is the last one with a prediction."""
        index = self.total - 1 if index == -1 else index
        segment, local = self.place(index)
        return State(self, index, segment, local)

    def denoiser(self, recipe: Recipe, levels: Levels) -> Any:
        """The denoiser of a recipe's condition; the last few are kept, as a text takes time to encode."""
        if recipe not in self._denoisers:
            while len(self._denoisers) >= KEPT:
                self._denoisers.pop(next(iter(self._denoisers)))
            self._denoisers[recipe] = guided(
                self.watched, recipe, levels, Guides(None, self.helpers(recipe).weaker)
            )
        return self._denoisers[recipe]

    def prediction(self, index: int) -> Prediction:
        """The prediction that the sampler got at state `index`: one network call, cached."""
        if index not in self._predictions:
            self._predictions[index] = self.state(index).ask()
            while len(self._predictions) > KEPT:
                self._predictions.popitem(last=False)
        return self._predictions[index]


@dataclass(frozen=True, eq=False)
class State:
    """State number `index` of a run: number `local` of its segment."""

    run: Run
    index: int
    segment: Segment
    local: int

    @property
    def level(self) -> NoiseLevel:
        return self.segment.levels[self.local]

    @cached_property
    def x(self) -> torch.Tensor:
        """(N, C, H, W), or (N, P, 2) clouds of points."""
        return self.run.x(self.index)

    @property
    def finished(self) -> bool:
        """Whether this is the finished picture, about which no network is asked."""
        return self.index == self.run.total

    def check_has_prediction(self) -> None:
        """Raise `OptionError` for the finished picture, which has no prediction."""
        if self.finished:
            raise OptionError(
                "step",
                f"State {self.index} is the finished picture, and no network is asked about it. "
                f"Choose a state from 0 to {self.run.total - 1}.",
            )

    @property
    def remembers(self) -> bool:
        """Whether the network is given its last x0, so that the run has to be replayed up to here."""
        return self.run.model.spec.network.self_condition

    @property
    def reuses(self) -> bool:
        """Whether the network may have reused features of an earlier state."""
        return self.effective[0].reuse > 1

    @torch.no_grad()
    def ask(self, hooks: Callable[[], AbstractContextManager] = nullcontext) -> Prediction:
        """The prediction of the run's denoiser at this state, guided and limited as the sampler gets it.

        `hooks()` is entered around the call. One call of the denoiser, for most networks.
        """
        self.check_has_prediction()
        if self.remembers or self.reuses:
            return self._predict_by_replay(hooks)
        x = self.x
        with hooks():
            return self.segment.denoise(x, self.level)

    def _predict_by_replay(self, hooks: Callable[[], AbstractContextManager]) -> Prediction:
        """The prediction by a replay of the segment: a network that is given its last x0, or reuses features,
        depends on the calls before.
        """
        return _replay_prediction(self, fresh_segment(self), hooks)

    @torch.no_grad()
    def ask_network(
        self,
        hooks: Callable[[], AbstractContextManager] = nullcontext,
        rows: slice = slice(None),
        copies: int = 1,
    ) -> Prediction:
        """The prediction of the bare network under the recipe's condition for the pictures `rows`, in one
        call; with `copies` for several copies of the batch.

        A network that remembers its last x0 is asked by a replay, about all pictures once.
        """
        self.check_has_prediction()
        if self.remembers:
            return self._predict_by_replay(hooks)
        x = self.x[rows]
        first, *more = range(len(self.x))[rows]
        denoise = self.bare if more else self.guided(1.0, first)
        x = torch.cat([x] * copies) if copies > 1 else x
        with hooks():
            return denoise(x, self.level)

    @property
    def bare(self) -> Any:
        """The network bound to the condition that counts here, without guidance."""
        return self.guided(1.0)

    def guided(self, scale: float, picture: int | None = None, **changes: Any) -> Any:
        """The denoiser at guidance `scale` (1 the condition alone, 0 what guidance leads away from), with
        no other guidance and no limits, for all pictures or for one. `changes` are those of the recipe, such
        as another prompt.
        """
        recipe, levels = self.effective
        recipe = recipe if picture is None else cut_to(recipe, picture)
        plain = replace(
            recipe,
            guidance=scale,
            guidance_scales=None,
            guidance_shape="constant",
            interval=Interval(),
            projection=Projection(),
            cfg_zero=CfgZero(),
            self_guidance=SelfGuidance(),
            guidance_rescale=0.0,
            classifier=ByClassifier(),
            reuse=1,
            edit=None,
            branch=None,
            change=Change(),
            **changes,
        )
        return self.run.denoiser(plain, levels)

    @cached_property
    def effective(self) -> tuple[Recipe, Levels]:
        """The recipe whose condition counts at this state, and the levels of its run."""
        recipe = self.run.recipe
        while recipe.branch is not None and self.index < recipe.branch.at:
            recipe = recipe.branch.recipe
        root = recipe
        while root.branch is not None:
            root = root.branch.recipe
        schedule = self.run.model.schedule
        whole = Levels(path(schedule, recipe.steps, recipe.spacing), schedule)
        levels = last_levels(whole, getattr(root.edit, "strength", 1.0))
        edit = recipe.edit
        if self.segment.part == INTO_NOISE and isinstance(edit, (Invert, Morph)):
            one = {"labels": (), "prompts": (), "spell": None, "guidance": 1.0}
            recipe = replace(recipe, label=edit.source_label, prompt=edit.source_prompt, **one)
        elif isinstance(edit, Travel):
            name = edit.names[0]
            takes = self.run.model.spec.takes_text
            asked = {"prompt": name} if takes else {"label": None if name == ANY else name}
            recipe = replace(recipe, edit=None, **asked)
        elif recipe.change.step is not None and Progress(levels).step(self.level) >= recipe.change.step:
            recipe = recipe.changed()
        return recipe, levels

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about this state for the reader of a view."""
        said = []
        if self.reuses:
            said.append("The run reuses deep features; views of the network compute all of it anew.")
        if isinstance(self.run.recipe.edit, Travel):
            said.append("The pictures travel between conditions; this view asks with the first of them.")
        if getattr(self.segment.sampler, "churn", 0):
            said.append(CHURN_NOTE)
        if self.remembers and self.effective[0].self_guidance.on:
            said.append(
                "This network is given its last x0, so the step was replayed with its guidance; activations "
                "are those of its last call, not of the one under the condition."
            )
        return (*said, *(one.removeprefix("note: ") for one in self.run.model.remarks))


def without_tokens(bare: Any, places: Sequence[int]) -> Any:
    """The bare denoiser of one text whose cross-attention does not see the tokens at these places. The only
    place here that knows how a denoiser carries its text.
    """
    text = bare.given.text
    mask = text.mask.clone()
    mask[:, list(places)] = False
    return replace(bare, given=replace(bare.given, text=text._replace(mask=mask)))


def _classifier_of_labels(studio: Any, name: str) -> str | None:
    """The first noisy classifier of a model's pictures whose labels are the model's own."""
    card, known = studio.card(name), studio.classifiers()
    same = (one for one in studio.helpers(card)[0] if set(known[one].labels) == set(card.spec.labels))
    return next(same, None)


def cut_to(recipe: Recipe, picture: int) -> Recipe:
    """The recipe of one picture alone where each picture has its own label or prompt; else the same one."""
    branch = recipe.branch
    if branch is not None:
        branch = replace(branch, recipe=cut_to(branch.recipe, picture))
    if not (recipe.labels or recipe.prompts):
        return recipe if branch == recipe.branch else replace(recipe, branch=branch)
    return replace(
        recipe,
        seeds=recipe.seeds[min(picture, len(recipe.seeds) - 1) :][:1],
        label=label_of(recipe, picture),
        prompt=prompt_of(recipe, picture),
        labels=(),
        prompts=(),
        spell=None,
        branch=branch,
    )


def label_of(recipe: Recipe, picture: int) -> str | None:
    """The label of one picture; None is any."""
    return recipe.labels[picture] if recipe.labels else recipe.label


def prompt_of(recipe: Recipe, picture: int) -> str | None:
    """The prompt of one picture; None is any."""
    return recipe.prompts[picture] if recipe.prompts else recipe.prompt


def fresh_segment(state: State, picture: int | None = None) -> Segment:
    """The state's segment with a denoiser that has no memory yet, for all pictures or for one."""
    recipe = state.run.recipe if picture is None else cut_to(state.run.recipe, picture)
    fresh_segments = state.run.segments(state.run.watched, recipe)
    return next(
        fresh for fresh, segment in zip(fresh_segments, state.run.own_segments) if segment is state.segment
    )


def _replay_prediction(
    state: State, segment: Segment, hooks: Callable[[], AbstractContextManager]
) -> Prediction:
    first = state.index - state.local
    run = sample(
        segment.sampler,
        segment.denoise,
        state.run.x(first),
        segment.levels,
        offset_noise(segment.noise, first),
    )
    for _ in range(state.local):
        next(run)
    with hooks():
        step = next(run)
    run.close()
    return step.prediction


def picture_slice(x: torch.Tensor, picture: int | None) -> slice:
    """The pictures of a batch that a view is about: one, or all."""
    if picture is None:
        return slice(None)
    if not 0 <= picture < len(x):
        raise no_such("picture", "picture", "The run has", picture, len(x))
    return slice(picture, picture + 1)


def of_points(run: Run) -> bool:
    return run.model.spec.makes == POINTS


def check_pictures(run: Run, view: str) -> None:
    """Raise `OptionError` if a view needs pictures and the model makes points."""
    if of_points(run):
        raise OptionError(
            "view",
            f"The view {view!r} is about pictures, and {run.model.spec.name} makes points in the "
            "plane. Choose the view 'sum' or 'decided'.",
        )


def steps_of(run: Run, over: Sequence[int] | None) -> list[int]:
    """The states of a view over the run: all that have a prediction, or those given."""
    return list(range(run.total)) if over is None else [run.state(k).index for k in over]
