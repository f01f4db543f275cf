"""What determines a race and a grid, as JSON both ways: every exported file carries it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..runs.recipe import VERSION, Recipe
from ..runs.setting_labels import setting_label, value_text
from . import settings
from .clocks import check_clock

FEWEST_LANES, MOST_LANES = 2, 6
MOST_CELLS = 64
REFERENCE_STEPS, MOST_REFERENCE_STEPS = 1000, 10_000
_RACE, _GRID = "race", "grid"


@dataclass(frozen=True)
class RaceRecipe:
    """A race: the recipes of its lanes, the clock that they are shown on, and the steps of the reference run,
    0 for none (True stands for 1,000). All lanes have the same seeds, so that they start from the same noise.

    `distances` are those of the lanes to the reference run, once they are measured, else empty, and
    `fingerprints` say of which settings and finished pictures. Distances of other settings are dropped, also
    those that `dataclasses.replace` hands on. A race that is run again needs no reference run if it ends in
    the same pictures.
    """

    lanes: tuple[Recipe, ...]
    clock: str = "log-snr"
    reference: int = 0
    distances: tuple[float, ...] = field(default=(), compare=False)
    fingerprints: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        check_clock(self.clock)
        object.__setattr__(self, "reference", reference_steps(self.reference))
        object.__setattr__(self, "distances", self._checked_distances())
        object.__setattr__(self, "fingerprints", self._checked_fingerprints())
        if not FEWEST_LANES <= len(self.lanes) <= MOST_LANES:
            raise OptionError(
                "lanes",
                f"A race has {FEWEST_LANES} to {MOST_LANES} lanes, got {len(self.lanes)}. "
                + ("Leave some out." if len(self.lanes) > MOST_LANES else "Add a line for each lane."),
            )
        first = self.lanes[0]
        for number, lane in enumerate(self.lanes[1:], 2):
            for name in ("seeds", "pictures", "points"):
                mine, theirs = getattr(first, name), getattr(lane, name)
                if mine != theirs:
                    raise OptionError(
                        "seeds" if name == "pictures" else name,
                        f"The lanes of a race start from the same noise, so their {name} agree; lane 1 has "
                        f"{_short(mine)} and lane {number} {_short(theirs)}. Make them equal, or compare in "
                        "a grid, whose cells may differ in them.",
                    )
        if not self._has_own_distances():
            object.__setattr__(self, "distances", ())
            object.__setattr__(self, "fingerprints", ())

    def _has_own_distances(self) -> bool:
        """Whether the distances were measured with the settings of these lanes and of this reference run."""
        measured = [one.partition("-")[0] for one in self.fingerprints]
        return bool(self.distances) and measured == [
            settings_digest(lane, self.reference) for lane in self.lanes
        ]

    def _checked_distances(self) -> tuple[float, ...]:
        given = self.distances
        if not isinstance(given, (list, tuple)) or len(given) not in (0, len(self.lanes)):
            raise OptionError("reference", f"The distances are one number for each lane, got {given!r:.80}.")
        if not all(type(one) in (int, float) and math.isfinite(one) and one >= 0 for one in given):
            raise OptionError("reference", f"Distances are numbers from 0 up, got {given!r:.80}.")
        return tuple(float(one) for one in given) if self.reference else ()

    def _checked_fingerprints(self) -> tuple[str, ...]:
        given = self.fingerprints
        if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
            raise OptionError("reference", f"Fingerprints are a list of texts, got {given!r:.80}.")
        return tuple(given) if self.distances else ()

    @property
    def reference_to_run(self) -> int:
        """Steps of the reference run that is still to be made, 0 for none, as far as can be told before."""
        return 0 if self.distances else self.reference

    def with_reference(self, steps: int) -> RaceRecipe:
        """The race with a reference run of this number of steps. Distances to another reference run are
        dropped.
        """
        steps = reference_steps(steps)
        return (
            self if steps == self.reference else replace(self, reference=steps, distances=(), fingerprints=())
        )

    @classmethod
    def of(
        cls,
        recipes: Sequence[Recipe | Mapping[str, Any]],
        clock: str = "log-snr",
        reference: int = 0,
    ) -> RaceRecipe:
        """A race of recipes; one after the first may be given by the settings in which it differs from the
        first, such as {"sampler": "dpmpp_2m", "steps": 20}.
        """
        given = list(recipes)
        if not given or not isinstance(given[0], Recipe):
            raise OptionError(
                "lanes", "The first lane of a race is a whole recipe. Make one with studio.recipe."
            )
        lanes = (one if isinstance(one, Recipe) else settings.changed(given[0], one) for one in given)
        return cls(tuple(lanes), clock, reference)

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives an equal race back."""
        return _packed(
            _RACE,
            {
                "clock": self.clock,
                **({"reference": self.reference} if self.reference else {}),
                **(
                    {"distances": self.distances, "fingerprints": self.fingerprints} if self.distances else {}
                ),
                "lanes": [json.loads(lane.to_json()) for lane in self.lanes],
            },
        )

    @classmethod
    def from_json(cls, text: str) -> RaceRecipe:
        """Strict: anything that is not a race is an `OptionError`."""
        given = _unpacked(text, _RACE, ("clock", "reference", "distances", "fingerprints", "lanes"))
        lanes = given.get("lanes")
        if not isinstance(lanes, list):
            raise OptionError("lanes", f"A race has a list of lanes, got {lanes!r:.80}.")
        recipes = tuple(Recipe.from_json(json.dumps(one)) for one in lanes)
        return cls(
            recipes,
            given.get("clock", "log-snr"),
            given.get("reference", 0),
            given.get("distances", ()),
            given.get("fingerprints", ()),
        )


@dataclass(frozen=True)
class Axis:
    """A setting by its name on the command line, and the values that it takes along an axis of a grid."""

    setting: str
    values: Sequence[Any]  # kept as a tuple

    def __post_init__(self) -> None:
        object.__setattr__(self, "setting", settings.setting_name(self.setting))
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise OptionError("axis", f"The values of {self.setting} are a list, got {self.values!r:.80}.")
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise OptionError("axis", f"Give the axis {self.setting} at least one value.")
        if any(value in self.values[:k] for k, value in enumerate(self.values)):
            raise OptionError(
                "axis", f"The axis {self.setting} has a value twice: {_short(self.values)}. Leave one out."
            )

    @classmethod
    def of(cls, given: Axis | tuple[str, Sequence[Any]] | None) -> Axis | None:
        """Return an axis unchanged, or make one of a pair (setting, values)."""
        if given is None or isinstance(given, Axis):
            return given
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise OptionError(
                "axis", f'An axis is a pair such as ("guidance", [1, 2, 4]), got {given!r:.80}.'
            )
        return cls(str(given[0]), given[1])

    @property
    def name(self) -> str:
        """The setting for people."""
        return setting_label(self.setting)

    def words(self) -> list[str]:
        """Each value for people."""
        plain = (one.get("name", dict(one)) if isinstance(one, Mapping) else one for one in self.values)
        return [value_text(self.setting, one) for one in plain]


@dataclass(frozen=True)
class GridRecipe:
    """A grid: a recipe, and one or two of its settings with the values that they take along its axes."""

    recipe: Recipe
    x: Axis
    y: Axis | None = None
    clock: str = "log-snr"

    def __post_init__(self) -> None:
        check_clock(self.clock)
        if self.clock == "seconds":
            raise OptionError(
                "clock",
                "The cells of a grid share network calls, so none of them has seconds of its own. Choose the "
                "clock log-snr, steps or calls, or make a race.",
            )
        if self.y is not None and self.y.setting == self.x.setting:
            raise OptionError("axis", f"Both axes are {self.x.setting}. Choose two settings, or one axis.")
        if (count := self.rows * self.columns) > MOST_CELLS:
            raise OptionError(
                "axis",
                f"A grid has at most {MOST_CELLS} cells; {self.columns} x {self.rows} are {count}. Give "
                "fewer values.",
            )
        _ = self.cells  # made now, so that what does not fit is said now

    @property
    def columns(self) -> int:
        return len(self.x.values)

    @property
    def rows(self) -> int:
        return 1 if self.y is None else len(self.y.values)

    @cached_property
    def cells(self) -> tuple[Recipe, ...]:
        """The recipe of each cell, row by row."""
        return tuple(self._made())

    def _made(self) -> Iterator[Recipe]:
        for y in (None,) if self.y is None else self.y.values:
            for x in self.x.values:
                both = {self.x.setting: x} | ({} if self.y is None else {self.y.setting: y})
                yield settings.changed(self.recipe, both)

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives an equal grid back."""
        axes = {"x": self.x} | ({} if self.y is None else {"y": self.y})
        return _packed(
            _GRID,
            {
                "clock": self.clock,
                "recipe": json.loads(self.recipe.to_json()),
                **{name: {"setting": one.setting, "values": one.values} for name, one in axes.items()},
            },
        )

    @classmethod
    def from_json(cls, text: str) -> GridRecipe:
        """Strict: anything that is not a grid is an `OptionError`."""
        given = _unpacked(text, _GRID, ("clock", "recipe", "x", "y"))
        axes: dict[str, Axis] = {}
        for name in ("x", "y"):
            one = given.get(name)
            if one is None and name == "y":
                continue
            if not isinstance(one, Mapping) or set(one) != {"setting", "values"}:
                raise OptionError("axis", f"The axis {name} has a setting and values, got {one!r:.80}.")
            axes[name] = Axis(str(one["setting"]), one["values"])
        return cls(
            Recipe.from_json(json.dumps(given.get("recipe"))),
            axes["x"],
            axes.get("y"),
            given.get("clock", "log-snr"),
        )


def settings_digest(lane: Recipe, reference: int) -> str:
    """16 hexadecimal digits that tell the settings of a lane and of the reference run from others."""
    return hashlib.sha256(f"{reference} {lane.to_json()}".encode()).hexdigest()[:16]


def fingerprint(lane: Recipe, reference: int, finished: bytes) -> str:
    """What a distance was measured of: digests of the settings and of the finished pictures."""
    return f"{settings_digest(lane, reference)}-{hashlib.sha256(finished).hexdigest()[:16]}"


def reference_steps(given: Any) -> int:
    """The steps of a reference run: a whole number, True for the usual 1,000, False for none."""
    if isinstance(given, bool):
        return REFERENCE_STEPS if given else 0
    if not isinstance(given, int) or not 0 <= given <= MOST_REFERENCE_STEPS:
        raise OptionError(
            "reference",
            f"must be a whole number of steps from 1 to {MOST_REFERENCE_STEPS:,}, or 0 for no reference run; "
            f"got {given!r:.80}.",
        )
    return given


def read(path: str | Path) -> RaceRecipe | GridRecipe | Recipe:
    """What an exported file, or a file of JSON, holds: a race, a grid, or the recipe of one run."""
    from ..export.metadata import read_recipe

    text = read_recipe(path)
    given = json.loads(text)
    for name, cls in ((_RACE, RaceRecipe), (_GRID, GridRecipe)):
        if name in given:
            return cls.from_json(text)
    return Recipe.from_json(text)


def read_race(path: str | Path) -> RaceRecipe:
    """The race in an exported file, or in a file of its JSON."""
    return _only(read(path), RaceRecipe, path)


def read_grid(path: str | Path) -> GridRecipe:
    """The grid in an exported file, or in a file of its JSON."""
    return _only(read(path), GridRecipe, path)


_KINDS = {RaceRecipe: "a race", GridRecipe: "a grid", Recipe: "one run"}


def _only(found: Any, wanted: type, path: str | Path) -> Any:
    if not isinstance(found, wanted):
        raise OptionError(
            "recipe",
            f"{Path(path).name} holds {_KINDS[type(found)]}, not {_KINDS[wanted]}. Open it as what it is, or "
            "choose another file.",
        )
    return found


def _packed(name: str, given: Mapping[str, Any]) -> str:
    return json.dumps({"diffusion-studio": VERSION, name: given})


def _unpacked(text: str, name: str, keys: Sequence[str]) -> Mapping[str, Any]:
    try:
        whole = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise OptionError("recipe", f"Not a {name}: {error}") from error
    inner = whole.get(name) if isinstance(whole, Mapping) else None
    if not isinstance(inner, Mapping):
        raise OptionError("recipe", f"Not a {name}: the text is JSON, but without the key {name!r}.")
    if (version := whole.get("diffusion-studio")) != VERSION:
        raise OptionError(
            "recipe", f"The {name} has version {version!r}; this program reads version {VERSION}."
        )
    for key in inner:
        if key not in keys:
            raise OptionError("recipe", f"A {name} has {', '.join(keys)}, got {str(key)[:80]!r}.")
    return inner


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:59] + "..."
