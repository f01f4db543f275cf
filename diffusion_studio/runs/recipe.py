"""The recipe: one frozen dataclass with everything that determines a run. It is compared, saved as JSON,
and written into every export.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .. import options
from ..diffusion.noise import MAX_SEED
from ..diffusion.samplers import DDIM, SAMPLERS, Sampler
from ..diffusion.spacing import SPACINGS, Spacing, Trailing
from ..errors import OptionError
from ..files import safe_name
from ..imaging.layout import Layout
from ..imaging.picture import MAX_SIDE, Picture
from ..options import DependsOn, Option, option
from . import each_picture, guidance_options
from .branch import Branch, branch_file, check_depth, check_edit
from .each_picture import ANY
from .edits import FILMS, ONE_SEED, Edit, Inpaint, Travel, edit_files, edit_json, edit_of, edit_words
from .guidance_options import (
    GROUPS,
    GUIDED,
    ByClassifier,
    CfgZero,
    Change,
    Interval,
    Palette,
    Projection,
    SelfGuidance,
)

MAX_PICTURES = 64
MAX_POINTS = 20_000  # of one cloud; all clouds of a run together have at most MAX_ALL_POINTS
MAX_ALL_POINTS = 100_000
_WORDS = 40  # letters of a prompt in a file's name
MAX_REUSE = 5
NO_EDIT = "none"  # value of --edit that removes the edit of a base recipe
VERSION = 1
ALWAYS_WRITTEN = ("model", "label", "steps", "guidance")  # in the command line even at their default

GUIDANCE_SHAPES = ("constant", "linear", "cosine", "rising")  # of diffusion.guidance, which loads torch

REGISTRIES: dict[str, Mapping[str, type]] = {"sampler": SAMPLERS, "spacing": SPACINGS}


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a run. The same recipe gives the same pictures on the same device and
    precision.

    A run makes one picture for each seed; with a model of points, one cloud of `points` points for each.
    `label` None means any label. Guidance scale 1 is off, 0 ignores label and prompt. `negative` replaces the
    null condition in guidance, so it has no effect if guidance is off. `sampler` and `spacing` may be given
    as an object, by name, or as their JSON object. `low_res` is the picture to enlarge, for a model that
    enlarges; it is resized to what the model takes.

    `spell` is a text written with one picture for each letter; the letters are the labels. Pictures with
    equal seeds are written in one hand. `labels` and `prompts` replace `label` and `prompt` if pictures
    differ: one entry for each picture, None (or the label "any") for any. All other settings are the same for
    all pictures.

    Raises `OptionError`, with the field's name, for a value out of range or settings that exclude each other.
    """

    model: str = option("", "Which model denoises.")
    label: str | None = option(None, "What to draw, or 'any'.")
    seeds: tuple[int, ...] = (0,)
    steps: int = option(50, "Sampling steps: more take longer and come closer to the model's best.", low=1)
    sampler: Sampler = DDIM()
    spacing: Spacing = Trailing()
    guidance: float = option(
        1.0,
        "Classifier-free guidance: 1 is off, more makes pictures more typical of the label and less varied.",
        low=guidance_options.LOWEST,
        high=guidance_options.HIGHEST,
        depends=(DependsOn("guidance_scales", (None, "")),),
    )
    clip: bool = option(
        True, "Keep every predicted x0 in the range of pictures.", depends=(DependsOn("threshold", (1.0,)),)
    )
    stretch: bool = option(
        False,
        "Stretch the contrast of each shown picture from its own darkest to its own brightest value; the "
        "run stays the same.",
    )
    prompt: str | None = option(None, "What to draw, in words, for models that read text.")
    negative: str | None = option(
        None,
        "Negative prompt, what to keep away from: guidance leads from it to the prompt.",
        depends=(GUIDED,),
    )
    negative_label: str | None = option(
        None,
        "Negative label, what to keep away from: guidance leads from it to the label.",
        depends=(GUIDED,),
    )
    guidance_shape: str = option(
        "constant",
        "How the guidance scale changes over the run, between its value and off.",
        choices=GUIDANCE_SHAPES,
        depends=(DependsOn("guidance_scales", (None, "")), GUIDED),
    )
    guidance_rescale: float = option(
        0.0,
        "How far guided pictures are rescaled to the contrast of unguided ones: reduces "
        "glare under strong guidance.",
        low=0,
        high=1,
        depends=(GUIDED,),
    )
    threshold: float = option(
        1.0,
        "Dynamic thresholding: the share of pixels that is kept within the range when a picture leaves "
        "it. 1 is off.",
        low=0.5,
        high=1,
    )
    threshold_most: float | None = option(
        None,
        "The largest value that dynamic thresholding scales back to the range; what lies beyond "
        "is clipped. Left out, there is no limit.",
        low=1.0,
        high=1e6,
        depends=(DependsOn("threshold", off=(1.0,)),),
    )
    clip_range: float = option(
        1.0,
        "Bound to which clipping limits every predicted x0, from minus to plus; pictures go from -1 to 1.",
        low=0.01,
        high=1e4,
        depends=(DependsOn("clip"), DependsOn("threshold", (1.0,))),
    )
    guidance_scales: str | None = option(
        None,
        "Guidance over time as a list, such as 1,6,3: spread evenly over the run, in place of one scale.",
    )
    weaker: str | None = option(
        None,
        "A weaker model of the same pictures (autoguidance): guidance leads away from what it "
        "sees, instead of from 'any'.",
        depends=(GUIDED,),
    )
    points: int = option(
        2000,
        "Points of each cloud, for models of points in the plane.",
        low=1,
        high=MAX_POINTS,
    )
    reuse: int = option(
        1,
        "With N the whole network is computed at every N-th call; the others compute its first and last "
        "layers and forecast the rest. 2 saves some 40 percent of the time and 3 half of it; details change "
        "a little. 1 is off.",
        low=1,
        high=MAX_REUSE,
    )
    interval: Interval = Interval()
    projection: Projection = Projection()
    classifier: ByClassifier = ByClassifier()
    change: Change = Change()
    palette: Palette = Palette()
    cfg_zero: CfgZero = CfgZero()
    self_guidance: SelfGuidance = SelfGuidance()
    low_res: Picture | None = None
    edit: Edit | None = None
    branch: Branch | None = None
    spell: str | None = option(
        None,
        "A text to write, for models whose labels are letters: one picture for each letter, laid out in "
        "lines. Lines end at a line break or \\n, and at a blank if a line is longer than 16.",
    )
    labels: tuple[str | None, ...] = ()
    prompts: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        each_picture.check_single(self)
        options.check(self, unicode=True)
        for name in ("prompt", "negative"):
            object.__setattr__(self, name, each_picture.prompt_of(getattr(self, name), name))
        self._check_seeds()
        for name, registry in REGISTRIES.items():
            object.__setattr__(self, name, options.instance(registry, name, getattr(self, name)))
        for name in GROUPS:
            object.__setattr__(self, name, guidance_options.coerce(name, getattr(self, name)))
        for name in ("guidance_scales", "weaker", "negative_label"):
            object.__setattr__(self, name, getattr(self, name) or None)
        object.__setattr__(self, "label", each_picture.label_of(self.label))
        guidance_options.scales(self.guidance_scales)
        object.__setattr__(self, "low_res", _picture_of(self.low_res))
        object.__setattr__(self, "edit", edit_of(self.edit))
        object.__setattr__(self, "branch", _branch_of(self.branch))
        check_edit(self)
        for name, value in each_picture.checked_lists(self).items():
            object.__setattr__(self, name, value)

    def _check_seeds(self) -> None:
        """Normalize `seeds` to a tuple of whole numbers, one for each picture."""
        if not isinstance(self.seeds, tuple):
            if not isinstance(self.seeds, Iterable) or isinstance(self.seeds, str):
                raise OptionError(
                    "seeds", f"must be a list of whole numbers, one for each picture, got {self.seeds!r}."
                )
            object.__setattr__(self, "seeds", tuple(self.seeds))
        if not 1 <= len(self.seeds) <= MAX_PICTURES:
            raise OptionError(
                "seeds",
                f"A run makes from 1 to {MAX_PICTURES} pictures, got {len(self.seeds)} seeds. "
                "Make more in several runs with other seeds.",
            )
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
                raise OptionError("seeds", f"A seed is a whole number from 0 to {MAX_SEED}, got {seed!r}.")

    def changed(self) -> Recipe:
        """The recipe that applies from the step of `change` on; the recipe itself if nothing changes."""
        to = self.change
        if not to.on:
            return self
        return replace(
            self,
            **({} if to.label is None else {"label": to.label, "labels": (), "spell": None}),
            **({} if to.prompt is None else {"prompt": to.prompt, "prompts": ()}),
            guidance=self.guidance if to.guidance is None else to.guidance,
            guidance_scales=self.guidance_scales if to.guidance is None else None,
            change=Change(),
        )

    @property
    def pictures(self) -> int:
        """The number of pictures that the run makes."""
        own = len(self.seeds) if self.edit is None else getattr(self.edit, "film", len(self.seeds))
        return own if self.branch is None else max(own, self.branch.recipe.pictures)

    @property
    def layout(self) -> Layout | None:
        """The positions of the pictures on their sheet; None for a square grid."""
        return each_picture.spell_layout(self.spell) if self.spell else None

    @property
    def each_label(self) -> tuple[str | None, ...]:
        """The label of each picture; None is any."""
        return self.labels or (self.label,) * self.pictures

    @property
    def each_prompt(self) -> tuple[str | None, ...]:
        """The prompt of each picture; None is any."""
        return self.prompts or (self.prompt,) * self.pictures

    @property
    def captions(self) -> tuple[str, ...]:
        """A caption for each picture: its label and prompt, empty for any. For a film from prompt to
        prompt, the stops.
        """
        if isinstance(self.edit, Travel):
            return (self.edit.stops,) * self.pictures
        return tuple(
            ", ".join(part for part in (label, prompt) if part)
            for label, prompt in zip(self.each_label, self.each_prompt)
        )

    def first_pictures(self, count: int) -> Recipe:
        """The recipe of the first `count` pictures alone, from noise: without edit, branch and layout."""
        return replace(
            self,
            seeds=self.seeds[:count],
            labels=self.labels[:count],
            prompts=self.prompts[:count],
            spell=None,
            edit=None,
            branch=None,
        )

    def continued(self, at: int, **changes: Any) -> Recipe:
        """A recipe that continues this one from state number `at`, with `changes` to its settings.

        An in-painting keeps its known pixels. Any other edit is dropped, because it only determines how the
        run began.
        """
        own = {name: getattr(self, name) for name in Recipe.__dataclass_fields__}
        own |= {
            "edit": replace(self.edit, strength=1.0) if isinstance(self.edit, Inpaint) else None,
            "branch": Branch(self, at),
        }
        return Recipe.from_settings(changes, own)

    def to_json(self) -> str:
        """The recipe as one line of JSON; `from_json` restores an equal recipe."""
        return json.dumps(
            {
                "diffusion-studio": VERSION,
                "model": self.model,
                "label": self.label,
                "seeds": self.seeds,
                "steps": self.steps,
                "sampler": options.to_json(SAMPLERS, self.sampler),
                "spacing": _short(options.to_json(SPACINGS, self.spacing)),
                "guidance": self.guidance,
                "clip": self.clip,
                **{
                    one.name: getattr(self, one.name)
                    for one in self._omittable_options()
                    if one.name != "clip" and getattr(self, one.name) != one.default
                },
                **({} if not self.labels or self.spell else {"labels": self.labels}),
                **({} if not self.prompts else {"prompts": self.prompts}),
                **{
                    name: asdict(getattr(self, name))
                    for name, cls in GROUPS.items()
                    if getattr(self, name) != cls()
                },
                **({} if self.low_res is None else {"low_res": self.low_res.to_text()}),
                **({} if self.edit is None else {"edit": edit_json(self.edit)}),
                **(
                    {}
                    if self.branch is None
                    else {
                        "branch": {"recipe": json.loads(self.branch.recipe.to_json()), "at": self.branch.at}
                    }
                ),
            }
        )

    def _option_values(self, base: Recipe) -> Iterator[tuple[Option, Any, Any]]:
        """Options beyond `ALWAYS_WRITTEN` and those of the groups, each with its value here and in `base`."""
        for one in self._omittable_options():
            yield one, getattr(self, one.name), getattr(base, one.name)
        for group in GROUPS:
            mine, theirs = getattr(self, group), getattr(base, group)
            for name, one in guidance_options.flags_of(group).items():
                yield one, getattr(mine, name), getattr(theirs, name)

    @staticmethod
    def _omittable_options() -> list[Option]:
        """The recipe's own options that are written only if they are not at their default."""
        return [one for one in options.fields_of(Recipe) if one.name not in ALWAYS_WRITTEN]

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Restore a recipe from the JSON of `to_json`. Raises `OptionError` for anything else."""
        try:
            given = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise OptionError(
                "recipe",
                f"Not a recipe: {str(text)[:60]!r} is not the JSON of a recipe, or is cut off. Copy the "
                "whole link or file again.",
            ) from error
        if not isinstance(given, Mapping) or "diffusion-studio" not in given:
            raise OptionError(
                "recipe", "Not a recipe: the text is JSON, but without the key 'diffusion-studio'."
            )
        given = dict(given)
        if (version := given.pop("diffusion-studio")) != VERSION:
            raise OptionError(
                "recipe", f"The recipe has version {version!r}; this program reads version {VERSION}."
            )
        for kind in ("race", "grid"):
            if kind in given:
                raise OptionError(
                    "recipe",
                    f"This is a {kind} of several runs, not the recipe of one. Open it with "
                    f"'diffusion-studio {kind} FILE', ds.read_{kind}(FILE) or the app's tab Compare.",
                )
        if "forward" in given:
            raise OptionError(
                "recipe",
                "This is the forward process of a picture, not the recipe of a run. Open it with "
                "'diffusion-studio forward FILE'.",
            )
        check_depth(given)
        return cls.from_settings(given)

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> Recipe:
        """A recipe from named settings, which replace those of `base`. Raises `OptionError` for an unknown
        name.

        Settings that follow from others are adapted unless `given` names them. A spacing with its own number
        of steps sets `steps`. An edit that takes one seed keeps the first one. A list of labels or prompts
        sets the number of seeds if the seeds of `base` count up by one, and replaces the single label or
        prompt of `base`.
        """
        settings = {**(base or {}), **given}
        each_picture.replace_other(settings, given)
        if isinstance(spacing := settings.get("spacing"), (str, Mapping)):
            spacing = settings["spacing"] = options.from_json(SPACINGS, "spacing", spacing)
        if "steps" not in given and isinstance(spacing, Spacing) and spacing.count is not None:
            settings["steps"] = spacing.count
        edit = settings["edit"] = edit_of(settings.get("edit"))
        if "seeds" not in given and isinstance(edit, ONE_SEED) and isinstance(settings.get("seeds"), tuple):
            settings["seeds"] = settings["seeds"][:1]
        elif "seeds" not in given and not isinstance(edit, FILMS):
            settings["seeds"] = each_picture.seeds_for(settings, given)
        return options.build(cls, settings, "field of a recipe")

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """The recipe in an exported file (GIF, MP4, WebP, PNG, HTML) or a .json file. Raises `ExportError`
        if there is none.
        """
        from ..export.metadata import read_recipe

        return cls.from_json(read_recipe(path))

    def to_command(self, base: Recipe | None = None) -> str:
        """The command line that makes this run. `files` gives the files that it names.

        `base` is the model's default recipe, if it is known: settings in which it differs from this recipe
        are written too.
        """
        base = base or Recipe()
        words: list[Any] = ["diffusion-studio", "generate", self.model, *each_picture.command_words(self)]
        for one, value, other in self._option_values(base):
            if one.name == "spell" or (one.name == "prompt" and self.prompts):
                continue
            if value != one.default or value != other:
                words += options.words(one.name, "" if value is None and one.kind is str else value)
        first, count = self.seeds[0], len(self.seeds)
        if self.seeds == tuple(range(first, first + count)):
            words += ["--seed", first, "--count", count]
        else:
            words += ["--seeds", ",".join(map(str, self.seeds))]
        words += ["--steps", self.steps]
        for name, registry in REGISTRIES.items():
            chosen = getattr(self, name)
            words += [
                f"--{name}",
                options.name_of(registry, chosen),
                *options.all_words(chosen, getattr(base, name)),
            ]
        if self.guidance_scales is None or self.guidance != base.guidance:  # else it would have no effect
            words += ["--guidance", self.guidance]
        if self.low_res is not None:
            words += ["--low-res", _low_res_name(self.low_res)]
        if self.edit is not None:
            words += edit_words(self.edit)
        if self.branch is not None:
            words += [] if self.edit is not None else ["--edit", NO_EDIT]
            words += ["--continue-from", branch_file(self.branch.recipe), "--at", self.branch.at]
        return shlex.join(str(word) for word in words)

    def files(self) -> dict[str, bytes]:
        """The files that `to_command` names, as name and content: pictures, and the recipe that this one
        continues.
        """
        contents = {} if self.edit is None else edit_files(self.edit)
        if self.low_res is not None:
            contents[_low_res_name(self.low_res)] = self.low_res.png()
        if self.branch is not None:
            contents[branch_file(self.branch.recipe)] = self.branch.recipe.to_json().encode()
        return contents


def file_name(recipe: Recipe, ending: str) -> str:
    """The default file name of a run: model, labels, beginning of the first prompt, first seed, and the
    suffix `ending`.
    """
    joined = "-".join(label or ANY for label in recipe.labels)
    labels = recipe.spell or joined or recipe.label
    prompt = next((one for one in recipe.each_prompt if one), "")
    return safe_name(
        recipe.model, labels and _shorten(labels), _shorten(prompt), str(recipe.seeds[0]), suffix=ending
    )


def _shorten(text: str) -> str:
    """The text cut to `_WORDS` letters, at a blank if there is one."""
    return text if len(text) <= _WORDS else text[: _WORDS + 1].rpartition(" ")[0] or text[:_WORDS]


def _picture_of(given: Any) -> Picture | None:
    """The picture to enlarge from any form that a recipe accepts: a Picture, its PNG as text, or None."""
    given = Picture.from_text(given) if isinstance(given, str) else given
    if given is not None and not isinstance(given, Picture):
        raise OptionError(
            "low_res", f"must be a Picture, got {given!r:.80}. Open one with Picture.open(path)."
        )
    if given is not None and max(given.size) > MAX_SIDE:
        raise OptionError(
            "low_res",
            f"The picture to enlarge is {given}; a recipe carries up to {MAX_SIDE} pixels a side. Make it "
            "smaller.",
        )
    return given


def _low_res_name(picture: Picture) -> str:
    return f"low-res-{picture.name}.png"


def _branch_of(given: Any) -> Branch | None:
    """The branch from any form that a recipe accepts: a Branch, its JSON object, or None."""
    if isinstance(given, Mapping):
        given = options.build(Branch, given, "field of a branch")
    if given is None:
        return None
    if not isinstance(given, Branch):
        raise OptionError(
            "branch", f"A branch is a recipe and the state from which to go on, got {given!r:.80}."
        )
    if isinstance(given.recipe, Mapping):
        check_depth(given.recipe)
        given = Branch(Recipe.from_json(json.dumps(given.recipe)), given.at)
    if not isinstance(given.recipe, Recipe):
        raise OptionError("branch", f"A branch continues a recipe, got {given.recipe!r:.80}.")
    return given


def _short(given: dict[str, Any]) -> Any:
    """The bare name if there are no options."""
    return given if len(given) > 1 else given["name"]
