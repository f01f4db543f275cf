"""The facade of the package: finds checkpoints in a folder, loads models and keeps them, runs recipes."""

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
    from .runs.budget import Plan
    from .runs.guidance_builder import Guides

FILE_NAME = "model.safetensors"
CLASSIFIER_FILE = "classifier.safetensors"
FIRST = "heroes"  # listed first where it exists: the app selects it, and its opening recording shows it
KEPT_MODELS = 3


@dataclass(frozen=True)
class ModelCard:
    """What is known about a model without loading its weights.

    `name` is the name of the model's folder; recipes refer to the model by it. `remarks` are sentences about
    settings that had to be assumed for the file, and about settings of the file that are not followed.
    """

    name: str
    path: Path
    spec: ModelSpec
    remarks: tuple[str, ...] = ()

    @property
    def resolution(self) -> int | None:
        """Height and width of the model's pictures, in pixels. None for a model of points."""
        return self.spec.image_size if self.spec.makes == PICTURES else None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the model's classes; empty for a model without labels."""
        return self.spec.labels

    @property
    def text(self) -> str:
        """The text of the model's card.md, or an empty text where there is none."""
        card = self.path.with_name("card.md")
        return card.read_text("utf-8") if card.is_file() else ""


def default_folder() -> Path:
    """The folder `checkpoints` in the working folder if it exists, else the one next to this package."""
    here = Path("checkpoints")
    return here if here.is_dir() else Path(__file__).resolve().parents[1] / "checkpoints"


class Studio:
    """The models in a folder, and runs of recipes on them.

    Each sub-folder of `folder` holds one model, in any layout of `checkpoint.READERS`. Networks compute on
    `device` with `precision`; `device.pick_device` and `device.pick_dtype` say what "auto" chooses. Safe to
    use from several threads.
    """

    def __init__(
        self, folder: str | Path | None = None, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.device = device
        self.precision = precision
        self._loaded: OrderedDict[str, tuple[int, Model]] = OrderedDict()  # with the file's modification time
        self._opened: dict[str, tuple[Path, dict[str, Any]]] = {}  # from other places, with their flags
        self._unlisted: set[str] = set()  # names in `_opened` that belong to one visitor alone
        self._opened_classifiers: dict[str, Path] = {}
        self._classifier: tuple[tuple[Path, int], Classifier] | None = None
        self._states = TrajectoryCache()
        self._headers = checkpoint.Headers()
        self._lock = threading.Lock()

    @property
    def states(self) -> TrajectoryCache:
        """The cached states of the latest runs. The views of `inside` read them."""
        return self._states

    def on(self, device: str) -> Studio:
        """A Studio with the same folder and opened models on another device. It loads its own copies."""
        other = Studio(self.folder, device, self.precision)
        other._opened, other._unlisted = self._opened, self._unlisted
        other._opened_classifiers = self._opened_classifiers
        return other

    def models(self) -> list[ModelCard]:
        """The cards of all usable models: `FIRST` first, then by name. Unlisted models are left out."""
        found = [
            card
            for name, card in self._scan().items()
            if isinstance(card, ModelCard) and name not in self._unlisted
        ]
        return sorted(found, key=lambda card: card.name != FIRST)

    def problems(self) -> dict[str, str]:
        """The model folders that cannot be used, each with the reason."""
        return {
            name: str(found)
            for name, found in self._scan().items()
            if isinstance(found, CheckpointError) and name not in self._unlisted
        }

    def card(self, name: str) -> ModelCard:
        """The card of the model `name`.

        Raises `OptionError` for an unknown name, and `CheckpointError` if the model's file cannot be used.
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
        """The model's default recipe with the given settings changed.

        Raises `OptionError` for an unknown model, setting or value.
        """
        defaults = dict(self.card(model).spec.defaults)
        count = defaults.pop("count", 1)
        if type(count) is not int or not 1 <= count <= MAX_PICTURES:  # a header can say anything
            raise OptionError(
                "model",
                f"The file of {model} says that a run makes {count!r} pictures by default; a run makes 1 to "
                f"{MAX_PICTURES}. Correct `count` in the file's defaults.",
            )
        return Recipe.from_settings(changes, {"model": model, "seeds": tuple(range(count)), **defaults})

    def model(self, name: str) -> Model:
        """The model `name`, loaded. The last `KEPT_MODELS` models stay in memory."""
        from .models.model import load_without_warning

        path = self.card(name).path
        flags = self._opened.get(name, (path, {}))[1]
        changed = checkpoint.modified_ns(path)
        with self._lock:
            if self._loaded.get(name, (None,))[0] != changed:
                model = load_without_warning(path, self.device, self.precision, flags)
                if name in self._opened:  # a file may lie in a folder of any name
                    model.spec = replace(model.spec, name=name)
                self._loaded[name] = changed, model
                while len(self._loaded) > KEPT_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name][1]

    def loaded(self, name: str) -> bool:
        """Whether the model is in memory, so that the first step of a run does not wait for the disk."""
        return name in self._loaded

    def open(
        self,
        path: str | Path,
        flags: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        listed: bool = True,
    ) -> str:
        """Add a checkpoint file or folder from any place, in any known layout. Returns the model's name.

        `flags` are those of `load`. Without `name` the model is named after its file or folder. A model
        with `listed=False` does not appear in `models`, but recipes can name it. Raises `CheckpointError`
        or `OptionError` if the checkpoint cannot be used.
        """
        path = checkpoint.weight_file(path)
        checkpoint.model_spec(path, self._headers.inspect(path, flags).spec)
        name = checkpoint.name_of(path) if name is None else name
        self.forget(name)
        if not listed:
            self._unlisted.add(name)
        self._opened[name] = path, dict(flags or {})
        return name

    def forget(self, name: str) -> None:
        """Remove the model that `open` added under this name, if there is one."""
        self._opened.pop(name, None)
        self._unlisted.discard(name)
        with self._lock:
            self._loaded.pop(name, None)

    def classifiers(self) -> dict[str, ClassifierSpec]:
        """The specs of all noisy classifiers, by the names of their folders.

        Classifiers whose file cannot be read are left out; `classifier` says why.
        """
        found = {}
        for name, path in self._classifier_files().items():
            try:
                found[name] = self._classifier_spec(path)
            except CheckpointError:
                continue  # `classifier` reports the reason
        return found

    def classifier(self, name: str) -> Classifier:
        """The classifier `name`, loaded. The last one stays in memory.

        Raises `OptionError` for an unknown name, and `CheckpointError` if its file cannot be used.
        """
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
        """Add a classifier's file or folder from any place, native or OpenAI's. Returns its name for recipes.

        Raises `CheckpointError` if the file is not a noisy classifier.
        """
        path = Path(path)
        path = path / CLASSIFIER_FILE if (path / CLASSIFIER_FILE).is_file() else checkpoint.weight_file(path)
        self._classifier_spec(path)
        name = path.parent.name if path.name == CLASSIFIER_FILE else path.stem
        self._opened_classifiers[name] = path
        return name

    def remarks(self, recipe: Recipe) -> dict[str, tuple[str, ...]]:
        """The remarks (see `ModelCard`) of every model that a recipe runs, branches included, by name."""
        runs = [recipe]
        while runs[-1].branch is not None:
            runs.append(runs[-1].branch.recipe)
        names = dict.fromkeys(name for one in runs for name in (one.model, one.weaker) if name is not None)
        return {name: remarks for name in names if (remarks := self.card(name).remarks)}

    def helpers(self, card: ModelCard) -> tuple[list[str], list[str]]:
        """Names of the classifiers, and of the weaker models, that can guide a model.

        They need the same picture size and the same noise, and a weaker model the same labels or none.
        """

        def labels_fit(spec: ModelSpec) -> bool:
            return not spec.labels or spec.labels == card.spec.labels

        return (
            [name for name, spec in self.classifiers().items() if incompatibility(spec, card.spec) is None],
            [
                one.name
                for one in self.models()
                if one.name != card.name
                and incompatibility(one.spec, card.spec) is None
                and labels_fit(one.spec)
            ],
        )

    def unusable(self, card: ModelCard) -> dict[str, str]:
        """The settings that a model cannot use, each with the reason; see `runs.applicability`."""
        return unusable(card.spec, None, *self.helpers(card))

    def _classifier_files(self) -> dict[str, Path]:
        folders = sorted(one for one in self.folder.iterdir() if one.is_dir()) if self.folder.is_dir() else []
        found = {folder.name: folder / CLASSIFIER_FILE for folder in folders}
        return {name: path for name, path in found.items() if path.is_file()} | self._opened_classifiers

    def stream(self, recipe: Recipe, ask: Ask | None = None, resume: bool = False) -> Iterator[Frame]:
        """Run a recipe and yield its frames one by one.

        With `resume` a run of the same recipe that was broken off goes on from its last state, if that is
        still kept and the result is the same bit for bit (`runs.resume`); else the whole run is made.

        A recipe that does not fit its model raises `OptionError` in this call, before the first frame. If
        `ask` is given, every network call goes through it, and it can end the run; see
        `diffusion.denoiser.Watched`.
        """
        from .runs.generate import frames, segments, watched

        model = self.model(recipe.model)
        planned = segments(model, recipe, self.guides)
        return frames(model, recipe, planned if ask is None else watched(planned, ask), self._states, resume)

    def network_calls(self, recipe: Recipe) -> int:
        """An estimate of the network calls that a run of the recipe makes; see `runs.price`."""
        from .runs.generate import segments
        from .runs.price import network_calls

        return network_calls(segments(self.model(recipe.model), recipe, self.guides))

    def within(self, recipe: Recipe, seconds: float) -> tuple[Recipe, str]:
        """The recipe with the sampler and number of steps that give the best pictures within `seconds`.

        Also returns sentences that say what was chosen and why. A few steps are run to measure the time of
        one step on this machine. Raises `OptionError` for an edited run or a branch, because their time does
        not follow from their number of steps.
        """
        found, plan = self.planned(recipe, seconds)
        return found, f"{plan.reason} {plan.details}"

    def planned(self, recipe: Recipe, seconds: float) -> tuple[Recipe, Plan]:
        """As `within`, with the whole plan."""
        from .runs import budget

        seconds = budget.check_seconds(seconds)
        budget.check_recipe(recipe)
        card = self.card(recipe.model)
        if card.spec.makes == "points":
            raise OptionError(
                "seconds",
                f"A time budget goes by tables of Frechet distances of pictures, and {card.name} makes "
                "points. Give steps.",
            )
        reasons = self.unusable(card)
        own = {card.name: budget.table_of(card.path)}
        others = {path.name: budget.table_of(path / FILE_NAME) for path in self._bundled_folders()}
        table, source, assumed = budget.table_for(recipe, own, others, reasons)
        short = replace(recipe, sampler=REGISTRIES["sampler"]["ddim"](), steps=budget.MEASURED + 2)
        each = budget.step_seconds(self.stream(short), seconds)
        most = recipe.spacing.most(card.spec.schedule)
        chosen = budget.plan(table, seconds, each, most, source, assumed)
        found = replace(recipe, sampler=REGISTRIES["sampler"][chosen.sampler](), steps=chosen.steps)
        return found, chosen

    def _bundled_folders(self) -> list[Path]:
        """The sub-folders of this Studio's folder, and those of the models bundled with the program."""
        bundled = Path(__file__).resolve().parents[1] / "checkpoints"
        folders = [one for one in dict.fromkeys((self.folder, bundled)) if one.is_dir()]
        return [one for folder in folders for one in sorted(folder.iterdir()) if one.is_dir()]

    def free_states(self, recipe: Recipe) -> None:
        """Free the cached states of a recipe's run, from which branches start."""
        self._states.forget(recipe)

    def guides(self, recipe: Recipe) -> Guides:
        """The loaded classifier and weaker model that a recipe names, each None where it names none."""
        from .runs.guidance_builder import Guides

        by, weaker = recipe.classifier, recipe.weaker
        return Guides(
            self.classifier(by.name) if by.on and by.name is not None else None,
            self.model(weaker) if weaker is not None else None,
        )

    def run(self, recipe: Recipe) -> Trajectory:
        """Run a recipe to its end and return all frames."""
        return Trajectory(recipe, list(self.stream(recipe)))

    def play(self, recipe: Recipe, view: str = "both") -> Trajectory:
        """Run a recipe in a notebook. Shows each state as it is computed, then a player of the whole run.

        `view` is "x" (the state), "x0" (the predicted clean picture) or "both". Raises `StudioError` outside
        a notebook.
        """
        from .runs.notebook import play

        return play(self.stream(recipe), recipe, view)

    def _scan(self) -> dict[str, ModelCard | CheckpointError]:
        """The card of each model in the folder and of each opened one, or the error of its file."""
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
                spec = checkpoint.model_spec(path, seen.spec)
                spec = replace(spec, name=name) if name in self._opened else spec
                found[name] = ModelCard(name, path, spec, seen.remarks)
            except CheckpointError as error:
                found[name] = error
        return found

    def _classifier_spec(self, path: Path) -> ClassifierSpec:
        """The spec of a classifier's file in any layout, read without its weights.

        Raises `CheckpointError` if the file is not a noisy classifier.
        """
        spec = self._headers.inspect(path).spec
        if not isinstance(spec, ClassifierSpec):
            raise CheckpointError(
                f"{path.name} is a diffusion model, not a noisy classifier, so its gradient cannot "
                "guide. Name it as the weaker model, or give a classifier."
            )
        return spec
