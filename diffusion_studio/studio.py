"""The facade: finds checkpoints, keeps loaded models, runs recipes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import checkpoint
from .errors import CheckpointError, OptionError, unknown
from .frame import Frame
from .recipe import MAX_PICTURES, Recipe
from .spec import ModelSpec
from .trajectory import Trajectory

if TYPE_CHECKING:
    from .model import Model

FILE_NAME = "model.safetensors"
KEPT_MODELS = 3


@dataclass(frozen=True)
class ModelCard:
    """What can be said of a model without loading it. `name` is its folder's name, by which recipes call it."""

    name: str
    path: Path
    spec: ModelSpec

    @property
    def resolution(self) -> int:
        return self.spec.image_size

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
    """Models in a folder (one sub-folder each, with `model.safetensors`) and the runs of recipes on them.

    Safe to use from several threads. Networks compute on `device` in `precision`; see `device.py` for "auto".
    """

    def __init__(self, folder: str | Path | None = None, device: str = "auto", precision: str = "auto") -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.device = device
        self.precision = precision
        self._loaded: OrderedDict[str, tuple[int, Model]] = OrderedDict()     # with the file's time of change
        self._lock = threading.Lock()

    def models(self) -> list[ModelCard]:
        """The models that can be used, by name."""
        return [found for found in self._scan().values() if isinstance(found, ModelCard)]

    def problems(self) -> dict[str, str]:
        """Model folders that cannot be used, and why."""
        return {name: str(found) for name, found in self._scan().items() if isinstance(found, CheckpointError)}

    def card(self, name: str) -> ModelCard:
        """The named model's card; an `OptionError` lists what there is, a `CheckpointError` says what is broken."""
        found = self._scan()
        if name not in found:
            raise unknown(f"model in {self.folder}", name, found)
        if isinstance(found[name], CheckpointError):
            raise found[name]
        return found[name]

    def recipe(self, model: str, **changes: Any) -> Recipe:
        """The model's default recipe, with changes."""
        defaults = dict(self.card(model).spec.defaults)
        count = defaults.pop("count", 1)
        if type(count) is not int or not 1 <= count <= MAX_PICTURES:        # a header can say anything
            raise OptionError(f"{model} asks for {count!r} pictures by default; a run makes 1 to {MAX_PICTURES}.")
        return Recipe.from_settings(changes, {"model": model, "seeds": tuple(range(count)), **defaults})

    def model(self, name: str) -> Model:
        """The named model, loaded; the last few stay in memory."""
        from .model import load

        path = self.card(name).path
        changed = path.stat().st_mtime_ns
        with self._lock:
            if self._loaded.get(name, (None,))[0] != changed:
                self._loaded[name] = changed, load(path, self.device, self.precision)
                while len(self._loaded) > KEPT_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name][1]

    def stream(self, recipe: Recipe) -> Iterator[Frame]:
        """The recipe's Frames as they come. A recipe that does not fit fails here, before the first one."""
        from .generate import stream

        return stream(self.model(recipe.model), recipe)

    def run(self, recipe: Recipe) -> Trajectory:
        """All frames of a recipe."""
        return Trajectory(recipe, list(self.stream(recipe)))

    def _scan(self) -> dict[str, ModelCard | CheckpointError]:
        found: dict[str, ModelCard | CheckpointError] = {}
        for path in sorted(self.folder.glob(f"*/{FILE_NAME}")):
            try:
                found[path.parent.name] = ModelCard(path.parent.name, path, checkpoint.read_spec(path))
            except CheckpointError as error:
                found[path.parent.name] = error
        return found
