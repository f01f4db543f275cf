"""Edits: options of a recipe that start a run from given pictures or move between seeds, pictures or prompts.

`EDITS` is the registry. A class in it gives the command line's flags, the app's controls and the JSON. What
an edit does to a run is in `segments`. To add one, write the class, name it in `EDITS`, and build its
segments there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import options
from ..errors import OptionError
from ..imaging.picture import MAX_SIDE, Picture
from ..options import DependsOn, option

MAX_FILM = 64  # the largest number of pictures in a run
MAX_STOPS = 16
_STRENGTH = (
    "The share of the run's steps that are made: 1 starts from pure noise, less keeps more of the picture."
)
_SOURCE = "What the given picture shows, used on its way into noise. Left out: any."
_FILM = "Number of pictures in the film, the ends included."
_LOOP = "The film returns to where it begins."


def picture_option(help: str) -> Any:
    """A dataclass field that holds a `Picture`, with its help text."""
    return dataclasses.field(default=None, metadata={"picture": help})


def pictures_of(cls: type) -> dict[str, str]:
    """Name and help text of each field made by `picture_option`."""
    return {
        field.name: field.metadata["picture"]
        for field in dataclasses.fields(cls)
        if "picture" in field.metadata
    }


@dataclass(frozen=True)
class Edit:
    """Base of all edits: checks the options, and accepts pictures as `Picture` or as the text in JSON.

    Raises `OptionError` for a missing, wrong or too large picture and for options out of range.
    """

    title: ClassVar[str]
    short: ClassVar[str]  # the title within a line: edit SHORT

    def __post_init__(self) -> None:
        options.check(self, "edit", unicode=True)
        for name in pictures_of(type(self)):
            given = getattr(self, name)
            if isinstance(given, str):
                given = Picture.from_text(given)
                object.__setattr__(self, name, given)
            if not isinstance(given, Picture):
                raise OptionError(
                    f"edit.{name}",
                    f"{self.title}: the {name} is missing. Give one."
                    if given is None
                    else f"The {name} must be a Picture, got {given!r:.80}.",
                )
            if max(given.size) > MAX_SIDE:
                raise OptionError(
                    f"edit.{name}",
                    f"The {name} is {given}; a recipe carries up to {MAX_SIDE} pixels a side. Bring it to "
                    "the model's size first (Picture.fitted).",
                )
        for name in ("source_label", "source_prompt"):
            if hasattr(self, name):
                object.__setattr__(self, name, getattr(self, name) or None)
                if len(getattr(self, name) or "") > 2000:
                    raise OptionError(f"edit.{name}", f"{name} has more than 2,000 letters. Make it shorter.")

    @property
    def pictures(self) -> dict[str, Picture]:
        """The pictures of the edit by name."""
        return {name: getattr(self, name) for name in pictures_of(type(self))}


@dataclass(frozen=True)
class FromPicture(Edit):
    """Start from a picture with noise added (SDEdit; Meng et al. 2021)."""

    title: ClassVar[str] = "Start from a picture"
    short: ClassVar[str] = "from a picture"
    picture: Picture = picture_option("The picture to edit.")
    strength: float = option(0.6, _STRENGTH, low=0.01, high=1)


@dataclass(frozen=True)
class Inpaint(Edit):
    """Redraw a part of a picture and keep the rest, pixel for pixel (with RePaint's jumps; Lugmayr et al.
    2022).

    The mask is a grey picture of the same size: white is redrawn, black is kept, grey mixes.
    """

    title: ClassVar[str] = "Draw a part anew (in-painting)"
    short: ClassVar[str] = "in-painting"
    picture: Picture = picture_option("The picture to edit.")
    mask: Picture = picture_option("White is drawn anew, black is kept, grey mixes.")
    strength: float = option(1.0, _STRENGTH, low=0.01, high=1)
    jump_length: int = option(
        10, "Steps that RePaint's jumps go back.", low=1, high=1000, depends=(DependsOn("jumps", off=(1,)),)
    )
    jumps: int = option(
        1,
        "How often each stretch of that length is repeated (RePaint): more joins old and new better and "
        "takes that many times as long. 1 is off.",
        low=1,
        high=20,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask.channels != 1:
            raise OptionError(
                "edit.mask", f"A mask is grey, got {self.mask}. White is drawn anew, black is kept."
            )
        if self.mask.size != self.picture.size:
            raise OptionError(
                "edit.mask",
                f"The mask is {self.mask} and the picture {self.picture}. Give a mask of the picture's size.",
            )
        if not self.mask.pixels.any():
            raise OptionError(
                "edit.mask",
                "The mask is all black, so nothing would be drawn anew. Paint white where it should be.",
            )


@dataclass(frozen=True)
class Invert(Edit):
    """Take a picture into noise and back with the recipe's sampler (DDIM inversion; Song et al. 2020, section
    4.3).

    The way into noise uses the source's label or prompt and no guidance, the way back those of the recipe.
    That changes what the picture shows and keeps its layout. The sampler must be deterministic, and there is
    one picture.
    """

    title: ClassVar[str] = "Into noise and back (inversion)"
    short: ClassVar[str] = "inversion"
    picture: Picture = picture_option("The picture to edit.")
    strength: float = option(1.0, _STRENGTH, low=0.01, high=1)
    source_label: str | None = option(None, _SOURCE)
    source_prompt: str | None = option(None, _SOURCE)


@dataclass(frozen=True)
class Interpolate(Edit):
    """A film between the recipe's seeds, in their order: each picture starts from an interpolation of two
    seeds' noise.
    """

    title: ClassVar[str] = "A film from seed to seed"
    short: ClassVar[str] = "film from seed to seed"
    film: int = option(16, _FILM, low=2, high=MAX_FILM)
    loop: bool = option(False, _LOOP)


@dataclass(frozen=True)
class Morph(Edit):
    """A film between two given pictures: both are inverted into noise (see `Invert`), and interpolations come
    back.
    """

    title: ClassVar[str] = "A film from picture to picture"
    short: ClassVar[str] = "film from picture to picture"
    picture: Picture = picture_option("The picture that a film begins with.")
    other: Picture = picture_option("The picture that a film ends with.")
    film: int = option(16, _FILM, low=2, high=MAX_FILM)
    loop: bool = option(False, _LOOP)
    strength: float = option(1.0, _STRENGTH, low=0.01, high=1)
    source_label: str | None = option(None, _SOURCE)
    source_prompt: str | None = option(None, _SOURCE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.picture.size, self.picture.channels) != (self.other.size, self.other.channels):
            raise OptionError(
                "edit.other",
                f"The film begins with a picture of {self.picture} and ends with one of {self.other}. Give "
                "two of one size.",
            )


@dataclass(frozen=True)
class Travel(Edit):
    """A film through prompts (or labels, for a model without text) from the noise of one seed.

    Between two stops the predictions for both are mixed, with weights that go from one to the other (Liu et
    al. 2022, on composing diffusion models by their scores).
    """

    title: ClassVar[str] = "A film from prompt to prompt"
    short: ClassVar[str] = "film from prompt to prompt"
    stops: str = option(
        "", "Two or more prompts with | between them; or labels, for a model that reads no text."
    )
    film: int = option(16, _FILM, low=2, high=MAX_FILM)
    loop: bool = option(False, _LOOP)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= len(self.names) <= MAX_STOPS or not all(self.names):
            raise OptionError(
                "edit.stops",
                f"{self.title}: it takes 2 to {MAX_STOPS} stops with | between them, such as 'cat face | "
                f"owl', got {self.stops!r:.80}.",
            )
        if len(self.stops) > 2000:
            raise OptionError("edit.stops", "The stops have more than 2,000 letters. Make them shorter.")

    @property
    def names(self) -> tuple[str, ...]:
        """The stops as separate texts."""
        return tuple(part.strip() for part in self.stops.split("|"))


EDITS: dict[str, type[Edit]] = {
    "picture": FromPicture,
    "inpaint": Inpaint,
    "invert": Invert,
    "interpolate": Interpolate,
    "morph": Morph,
    "travel": Travel,
}
# Edits that take one seed: the first two start from pictures, the last from the same noise everywhere.
ONE_SEED = (Invert, Morph, Travel)
FILMS = (Interpolate, Morph, Travel)


def edit_of(given: Any) -> Edit | None:
    """An edit from any form that a recipe accepts: None, an `Edit`, its name, or its JSON object."""
    return None if given is None else options.instance(EDITS, "edit", given)


def edit_json(edit: Edit) -> dict[str, Any]:
    """The JSON object of an edit; `edit_of` restores an equal edit from it."""
    given = {field.name: getattr(edit, field.name) for field in dataclasses.fields(edit)}
    return {
        "name": options.name_of(EDITS, edit),
        **{name: value.to_text() if isinstance(value, Picture) else value for name, value in given.items()},
    }


def edit_words(edit: Edit) -> list[Any]:
    """Command line arguments for an edit. Pictures are named as in `edit_files`."""
    words: list[Any] = ["--edit", options.name_of(EDITS, edit)]
    for one in options.fields_of(type(edit)):
        if (value := getattr(edit, one.name)) is not None:
            words += options.words(one.name, value)
    for name, picture in edit.pictures.items():
        words += [f"--{name}", _file_name(name, picture)]
    return words


def edit_files(edit: Edit) -> dict[str, bytes]:
    """The files with the pictures that `edit_words` names: name and content (PNG)."""
    return {_file_name(name, picture): picture.png() for name, picture in edit.pictures.items()}


def _file_name(name: str, picture: Picture) -> str:
    return f"{name}-{picture.name}.png"
