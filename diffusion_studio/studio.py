"""The facade: finds checkpoints, keeps loaded models, runs recipes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import checkpoint
from .checkpoint.classifier_spec import ClassifierSpec
from .checkpoint.spec import PICTURES, ModelSpec
from .errors import CheckpointError, OptionError, unknown
from .imaging.frame import Frame
from .runs.applicability import unusable
from .runs.guidance_options import incompatibility
from .runs.recipe import MAX_PICTURES, REGISTRIES, Recipe
from .runs.trajectory import Trajectory
from .runs.trajectory_cache import TrajectoryCache

if TYPE_CHECKING:
    from .diffusion.denoiser import Ask
    from .models.classifier import Classifier
    from .models.model import Model
    from .runs.guidance_builder import Guides

FILE_NAME = "model.safetensors"
CLASSIFIER_FILE = "classifier.safetensors"
FIRST = "heroes"  # where it is there: what the app begins with, and what its opening recording shows
KEPT_MODELS = 3


@dataclass(frozen=True)
class ModelCard:
    """What can be said of a model without loading it. `name` is its folder's name, by which recipes call
    it.
    """

    name: str
    path: Path
    spec: ModelSpec
    remarks: tuple[str, ...] = ()  # what was assumed of its file, and what of it is not followed

    @property
    def resolution(self) -> int | None:
        """Height and width of pictures; None of points."""
        return self.spec.image_size if self.spec.makes == PICTURES else None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The labels that can be asked for."""
        return self.spec.labels

    @property
    def text(self) -> str:
        """The model's card.md, or nothing."""
        card = self.path.with_name("card.md")
        return card.read_text("utf-8") if card.is_file() else ""


def default_folder() -> Path:
    """`checkpoints` in the working folder, else the one beside this package."""
    here = Path("checkpoints")
    return here if here.is_dir() else Path(__file__).resolve().parents[1] / "checkpoints"


class Studio:
    """Models in a folder (one sub-folder each, in any layout that is known) and the runs of recipes on them.

    Safe to use from several threads. Networks compute on `device` in `precision`; see `device.py` for "auto".
    """

    def __init__(
        self, folder: str | Path | None = None, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.device = device
        self.precision = precision
        self._loaded: OrderedDict[str, tuple[int, Model]] = OrderedDict()  # with the file's time of change
        self._opened: dict[str, tuple[Path, dict[str, Any]]] = {}  # from elsewhere, with their flags
        self._unlisted: set[str] = set()  # of these, one visitor's own
        self._opened_classifiers: dict[str, Path] = {}
        self._classifier: tuple[tuple[Path, int], Classifier] | None = None
        self._states = TrajectoryCache()
        self._headers = checkpoint.Headers()
        self._lock = threading.Lock()

    @property
    def states(self) -> TrajectoryCache:
        """The states of the last runs, which `inside` looks at."""
        return self._states

    def on(self, device: str) -> Studio:
        """A Studio with the same models on another device. It loads them anew."""
        other = Studio(self.folder, device, self.precision)
        other._opened, other._unlisted = self._opened, self._unlisted
        other._opened_classifiers = self._opened_classifiers
        return other

    def models(self) -> list[ModelCard]:
        """The models that can be used, by name, but `FIRST` first; not those that were opened unlisted."""
        found = [
            one
            for name, one in self._scan().items()
            if isinstance(one, ModelCard) and name not in self._unlisted
        ]
        return sorted(found, key=lambda card: card.name != FIRST)

    def problems(self) -> dict[str, str]:
        """Model folders that cannot be used, and why."""
        return {
            name: str(found)
            for name, found in self._scan().items()
            if isinstance(found, CheckpointError) and name not in self._unlisted
        }

    def card(self, name: str) -> ModelCard:
        """The named model's card; an `OptionError` lists what there is, a `CheckpointError` says what is
        broken.
        """
        cards = self._scan()
        if not isinstance(name, str) or name not in cards:
            raise unknown(
                f"model in {self.folder}",
                name,
                [one for one in cards if one not in self._unlisted],
                field="model",
            )
        found = cards[name]
        if isinstance(found, CheckpointError):
            raise found
        return found

    def recipe(self, model: str, **changes: Any) -> Recipe:
        """The model's default recipe, with changes."""
        defaults = dict(self.card(model).spec.defaults)
        count = defaults.pop("count", 1)
        if type(count) is not int or not 1 <= count <= MAX_PICTURES:  # a header can say anything
            raise OptionError(
                "model", f"{model} asks for {count!r} pictures by default; a run makes 1 to {MAX_PICTURES}."
            )
        return Recipe.from_settings(changes, {"model": model, "seeds": tuple(range(count)), **defaults})

    def model(self, name: str) -> Model:
        """The named model, loaded; the last few stay in memory."""
        from .models.model import opened

        path = self.card(name).path
        flags = self._opened.get(name, (path, {}))[1]
        changed = checkpoint.changed(path)
        with self._lock:
            if self._loaded.get(name, (None,))[0] != changed:
                self._loaded[name] = changed, opened(path, self.device, self.precision, flags)
                while len(self._loaded) > KEPT_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name][1]

    def loaded(self, name: str) -> bool:
        """Whether the named model is in memory, so that its first step does not wait for the disk."""
        return name in self._loaded

    def open(
        self,
        path: str | Path,
        flags: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        listed: bool = True,
    ) -> str:
        """Add a checkpoint from anywhere, in any known layout; returns the name by which recipes call it.

        `flags` as in `load`. Without a `name` it is called as its file or folder. One that is not `listed`
        can be used by who knows its name. Raises `CheckpointError` or `OptionError` where it cannot be used.
        """
        path = checkpoint.weight_file(path)
        checkpoint.drawing(path, self._headers.inspect(path, flags).spec)
        name = checkpoint.name_of(path) if name is None else name
        self.forget(name)
        if not listed:
            self._unlisted.add(name)
        self._opened[name] = path, dict(flags or {})
        return name

    def forget(self, name: str) -> None:
        """Take away what `open` added under this name, if anything."""
        self._opened.pop(name, None)
        self._unlisted.discard(name)
        with self._lock:
            self._loaded.pop(name, None)

    def classifiers(self) -> dict[str, ClassifierSpec]:
        """The noisy classifiers that can guide, by the name of their folder."""
        found = {}
        for name, path in self._classifier_files().items():
            try:
                found[name] = self._classifier_spec(path)
            except CheckpointError:
                continue  # `classifier` says why, to who asks for it
        return found

    def classifier(self, name: str) -> Classifier:
        """The named classifier, loaded; the last one stays in memory."""
        from .models.classifier import load_classifier

        files = self._classifier_files()
        if name not in files:
            raise unknown(f"classifier in {self.folder}", name, files, field="classifier")
        key = files[name], files[name].stat().st_mtime_ns
        with self._lock:
            if self._classifier is None or self._classifier[0] != key:
                self._classifier = key, load_classifier(files[name], self.device)
            return self._classifier[1]

    def open_classifier(self, path: str | Path) -> str:
        """Add a noisy classifier's file or folder from anywhere, ours or OpenAI's; returns the name by
        which recipes call it.
        """
        path = Path(path)
        path = path / CLASSIFIER_FILE if (path / CLASSIFIER_FILE).is_file() else checkpoint.weight_file(path)
        self._classifier_spec(path)
        name = path.parent.name if path.name == CLASSIFIER_FILE else path.stem
        self._opened_classifiers[name] = path
        return name

    def remarks(self, recipe: Recipe) -> dict[str, tuple[str, ...]]:
        """What was assumed, and what is not followed, of the models that a recipe runs, by their names."""
        runs = [recipe]
        while runs[-1].branch is not None:
            runs.append(runs[-1].branch.recipe)
        names = dict.fromkeys(name for one in runs for name in (one.model, one.weaker) if name is not None)
        return {name: said for name in names if (said := self.card(name).remarks)}

    def helpers(self, card: ModelCard) -> tuple[list[str], list[str]]:
        """Names of the classifiers and of the other models that can guide a model: same pictures, same
        noise, its labels.
        """

        def knows(spec: ModelSpec) -> bool:
            return not spec.labels or spec.labels == card.spec.labels

        return (
            [name for name, spec in self.classifiers().items() if incompatibility(spec, card.spec) is None],
            [
                one.name
                for one in self.models()
                if one.name != card.name and incompatibility(one.spec, card.spec) is None and knows(one.spec)
            ],
        )

    def unusable(self, card: ModelCard) -> dict[str, str]:
        """The settings that a model cannot use, with the reasons, see `runs.applicability`."""
        return unusable(card.spec, None, *self.helpers(card))

    def _classifier_files(self) -> dict[str, Path]:
        folders = sorted(one for one in self.folder.iterdir() if one.is_dir()) if self.folder.is_dir() else []
        found = {folder.name: folder / CLASSIFIER_FILE for folder in folders}
        return {name: path for name, path in found.items() if path.is_file()} | self._opened_classifiers

    def stream(self, recipe: Recipe, ask: Ask | None = None) -> Iterator[Frame]:
        """The recipe's Frames as they come. A recipe that does not fit fails here, before the first one.

        Every network call goes through `ask`, which can end the run: see `diffusion.denoiser.Watched`.
        """
        from .runs.generate import frames, segments, watched

        model = self.model(recipe.model)
        legs = segments(model, recipe, self.guides)
        return frames(model, recipe, legs if ask is None else watched(legs, ask), self._states)

    def network_calls(self, recipe: Recipe) -> int:
        """About how many network calls a run of this recipe makes; see `runs.price.network_calls`."""
        from .runs.generate import segments
        from .runs.price import network_calls

        return network_calls(segments(self.model(recipe.model), recipe, self.guides))

    def within(self, recipe: Recipe, seconds: float) -> tuple[Recipe, str]:
        """The recipe with the sampler and steps that make the best pictures in so many seconds of computing
        here, and what was chosen and why, in sentences. A few steps are run to time one.

        Raises `OptionError` for an edited run or a branch, whose time is not that of its steps.
        """
        from .runs import budget

        seconds = budget.check_seconds(seconds)
        budget.check_recipe(recipe)
        card = self.card(recipe.model)
        reasons = self.unusable(card)
        own = {card.name: budget.table_of(card.path)}
        others = {path.name: budget.table_of(path / FILE_NAME) for path in self._bundled_folders()}
        table, source = budget.table_for(recipe, own, others, reasons)
        short = replace(recipe, sampler=REGISTRIES["sampler"]["ddim"](), steps=budget.MEASURED + 2)
        frames = self.stream(short)
        each = budget.step_seconds(frames, seconds)
        del frames  # ends the run
        most = recipe.spacing.most(card.spec.schedule)
        chosen = budget.plan(table, seconds, each, most, source)
        return replace(
            recipe, sampler=REGISTRIES["sampler"][chosen.sampler](), steps=chosen.steps
        ), chosen.said

    def _bundled_folders(self) -> list[Path]:
        """The folders of all models, those that come with the program among them."""
        bundled = Path(__file__).resolve().parents[1] / "checkpoints"
        folders = [one for one in dict.fromkeys((self.folder, bundled)) if one.is_dir()]
        return [one for folder in folders for one in sorted(folder.iterdir()) if one.is_dir()]

    def free_states(self, recipe: Recipe) -> None:
        """Free the states that are kept of a recipe's run for branches."""
        self._states.forget(recipe)

    def guides(self, recipe: Recipe) -> Guides:
        """The classifier and the weaker model that a recipe names."""
        from .runs.guidance_builder import Guides

        by, weaker = recipe.classifier, recipe.weaker
        return Guides(
            self.classifier(by.name) if by.on and by.name is not None else None,
            self.model(weaker) if weaker is not None else None,
        )

    def run(self, recipe: Recipe) -> Trajectory:
        """All frames of a recipe."""
        return Trajectory(recipe, list(self.stream(recipe)))

    def play(self, recipe: Recipe, view: str = "both") -> Trajectory:
        """Run a recipe in a notebook and show each state as it is made; then a player of the whole run.

        `view` is x (the state), x0 (the predicted picture) or both. Raises `StudioError` where there is no
        notebook.
        """
        from .runs.notebook import play

        return play(self.stream(recipe), recipe, view)

    def _scan(self) -> dict[str, ModelCard | CheckpointError]:
        found: dict[str, ModelCard | CheckpointError] = {}
        folders = sorted(one for one in self.folder.iterdir() if one.is_dir()) if self.folder.is_dir() else []
        files: dict[str, tuple[Path | None, dict[str, Any]]] = {}
        for folder in folders:
            name = checkpoint.folder_name(folder)
            try:
                files[name] = checkpoint.listed_file(folder), {}
            except CheckpointError as error:
                found[name] = error
        for name, (path, flags) in {**files, **dict(self._opened)}.items():
            if path is None:
                continue
            try:
                seen = self._headers.inspect(path, flags)
                found[name] = ModelCard(name, path, checkpoint.drawing(path, seen.spec), seen.remarks)
            except CheckpointError as error:
                found[name] = error
        return found

    def _classifier_spec(self, path: Path) -> ClassifierSpec:
        """The spec of a noisy classifier's file in any layout, its weights unread; a `CheckpointError`
        where it is none.
        """
        spec = self._headers.inspect(path).spec
        if not isinstance(spec, ClassifierSpec):
            raise CheckpointError(
                f"{path.name} is a model that draws, not a noisy classifier, so its gradient cannot guide. "
                "Name it as the weaker model, or give a classifier."
            )
        return spec
