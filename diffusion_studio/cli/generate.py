"""`diffusion-studio generate`."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoint.spec import DEFAULT_NAMES
from ..errors import OptionError
from ..export import FORMATS, ExportOptions, check, check_size, join_or
from ..files import streamed
from ..files.signals import finishing
from ..imaging.picture import Picture
from ..options import fields_of
from ..runs import each_picture
from ..runs.applicability import check_usable, unusable
from ..runs.recipe import ANY, MAX_PICTURES, REGISTRIES, Recipe, file_name
from .checkpoints import (
    add_flags,
    check_is_model,
    open_helpers,
    open_model_path,
    say_idle_flags,
    say_remarks,
)
from .editing import add_editing, branch_from_flags, edit_from_flags
from .flags import (
    add_choice,
    add_groups,
    add_machine,
    add_options,
    choice_from_flags,
    default_note,
    given,
    groups_from_flags,
    studio_of,
)
from .progress import progress

if TYPE_CHECKING:
    from ..imaging.frame import Frame

_SUFFIX = next(iter(FORMATS.values())).suffix
MAX_BYTES = 384 << 20  # for the states of a run that are kept in memory for its file
# the export's picture is --only, because --picture is the picture to edit
_EXPORT = [replace(one, name="only") if one.name == "picture" else one for one in fields_of(ExportOptions)]


def add(verbs: Any) -> None:
    """Add the verb `generate`."""
    verb = verbs.add_parser(
        "generate",
        help=f"run the reverse process and write a {join_or([one.label for one in FORMATS.values()])}",
    )
    verb.add_argument("model", nargs="?", help="a model's name, see 'models'; left out with --recipe")
    add_recipe(verb)
    verb.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="a time budget in place of --sampler and --steps: chooses the best that can be computed here in "
        "this time, by measured tables, and prints the choice",
    )
    export = verb.add_argument_group("the file")
    export.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to write: {join_or(dict.fromkeys(one.suffix for one in FORMATS.values()))} "
        f"(default MODEL-LABEL-SEED{_SUFFIX}, with a number if it exists); - is standard output, with "
        "--format",
    )
    export.add_argument("--format", help=f"the format, if the suffix does not tell it: {join_or(FORMATS)}")
    export.add_argument(
        "--beside",
        metavar="FILE",
        help="an exported file whose run is made again and shown below this one, with states matched by "
        "noise level",
    )
    add_options(export, _EXPORT)
    add_machine(verb)
    verb.set_defaults(run=_generate)


def add_recipe(verb: Any) -> None:
    """Add the flags that describe a recipe, all but the model's name. `recipe_from_flags` reads them."""
    verb.add_argument(
        "--model",
        dest="model_path",
        metavar="PATH",
        help="a weight file or folder anywhere, in any known layout",
    )
    add_flags(verb)
    verb.add_argument(
        "--recipe", metavar="FILE", help="take all settings from an exported file or a recipe's JSON"
    )
    verb.add_argument(
        "--seed", type=int, help="seed of the first picture; the others count up from it (default 0)"
    )
    verb.add_argument(
        "--count", type=int, help=f"number of pictures, 1 to {MAX_PICTURES} (default the model's own, else 1)"
    )
    verb.add_argument(
        "--seeds", metavar="A,B,...", help="one seed for each picture, instead of --seed and --count"
    )
    (prompt,) = (one for one in fields_of(Recipe) if one.name == "prompt")
    verb.add_argument(
        "--labels",
        metavar="A,B,...",
        help="one label for each picture, or any, instead of --label; without --seed and --count there are "
        "as many pictures. Put a label with a comma into quotes",
    )
    verb.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help=f"{prompt.help} Given several times, one for each picture {default_note()}",
    )
    add_options(verb, fields_of(Recipe), skip=("model", "prompt"), model_set=DEFAULT_NAMES)
    verb.add_argument(
        "--one-hand",
        action="store_true",
        help="with --spell: one seed for all letters, so that they look alike",
    )
    for kind, registry in REGISTRIES.items():
        add_choice(verb, kind, registry)
    add_groups(verb)
    add_editing(verb)
    verb.add_argument(
        "--low-res", metavar="FILE", help="the picture to enlarge, for a model that enlarges; scaled to fit"
    )


def _generate(args: argparse.Namespace) -> None:
    from ..runs.trajectory import Trajectory

    studio = studio_of(args)
    open_model_path(studio, args)
    open_helpers(studio, args)
    recipe = _apply_budget(args, studio, recipe_from_flags(args, studio))
    options = ExportOptions(
        **{"picture" if name == "only" else name: value for name, value in given(args, _EXPORT).items()}
    )
    name = file_name(recipe, FORMATS[args.format].suffix if args.format in FORMATS else _SUFFIX)
    path = path_of(name if args.out is None else args.out)
    beside = Recipe.from_file(args.beside) if args.beside else None
    runs = [recipe] if beside is None else [recipe, beside]
    check(
        path,
        options,
        args.format,  # errors come before the run
        [(one.pictures, studio.card(one.model).spec.makes) for one in runs],
    )
    frames = studio.stream(recipe)
    say_idle_flags(args, recipe, export=options)
    for run in runs:
        say_remarks(studio, run)
    below = None
    if beside is not None:
        other = KeptFrames()
        for frame in with_progress(studio.stream(beside), "the run below"):
            other.add(frame)
        below = Trajectory(beside, other.frames)
    states = KeptFrames()
    try:
        for frame in with_progress(frames, "denoising"):
            if states.last is None:
                check_size(frame, path, options, args.format, () if below is None else below.frames)
            states.add(frame)
    finally:  # an interrupted or failed run is saved as far as it got
        if states.last is not None:
            run = Trajectory(recipe, states.frames)
            with finishing(), output_path(args.out, name) as out:
                messages = sys.stderr if streamed(out) else sys.stdout  # stdout may carry the file itself
                print(run.save(out, args.format, below, **vars(options)), file=messages)


class KeptFrames:
    """The states of a run that are kept for its file: all, or every k-th and the last.

    They are thinned, with a message, if all would take more than `MAX_BYTES`.
    """

    def __init__(self) -> None:
        self.last: Frame | None = None
        self._before: list[Frame] = []

    def add(self, frame: Frame) -> None:
        from ..runs.trajectory import stride

        every = stride(frame, MAX_BYTES)
        if every > 1 and self.last is None:
            print(
                f"diffusion-studio: the {frame.total + 1:,} states would take "
                f"{frame.nbytes * (frame.total + 1) >> 20:,} MB of memory. One in {every} is kept, and the "
                "last. Ask for fewer pictures or steps to keep all.",
                file=sys.stderr,
            )
        self.last = frame
        if frame.index % every == 0:
            self._before.append(frame)

    @property
    def frames(self) -> list[Frame]:
        """The states kept so far, always with the latest."""
        if self.last is None or self.last is self._before[-1]:
            return self._before
        return [*self._before, self.last]


def _apply_budget(args: argparse.Namespace, studio: Any, recipe: Recipe) -> Recipe:
    """The recipe with the sampler and steps for --seconds, if given. Prints the choice."""
    if args.seconds is None:
        return recipe
    for name in ("sampler", "steps"):
        if getattr(args, name) is not None:
            raise OptionError("seconds", f"--seconds chooses --{name}. Leave one of the two out.")
    affordable, reason = studio.within(recipe, args.seconds)
    print(f"diffusion-studio: {reason}", file=sys.stderr)
    return affordable


def path_of(out: str) -> Path:
    """The path for the value of --out: "-" is standard output. Raises `OptionError` if it is empty."""
    if not out:
        raise OptionError("out", "--out is empty. Name a file, - for standard output, or leave it out.")
    return Path("/dev/stdout" if out == "-" else out)


@contextmanager
def output_path(out: str | None, name: str) -> Iterator[Path]:
    """The path to write: that of --out, or `name` with a number appended if it exists.

    The file is created at once, so that another run which ends at the same time takes the next number.
    """
    if out is not None:
        yield path_of(out)
        return
    path = Path(name)
    counted = (path.with_name(f"{path.stem}-{k}{path.suffix}") for k in itertools.count(2))
    for place in itertools.chain([path], counted):
        with suppress(FileExistsError):
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            break
    try:
        yield place
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def with_progress(frames: Iterable[Frame], what: str) -> Iterator[Frame]:
    """The frames, with a progress bar."""
    with progress(desc=what, unit="state") as bar:
        for frame in frames:
            bar.total = frame.total + 1
            bar.update()
            yield frame


def recipe_from_flags(args: argparse.Namespace, studio: Any) -> Recipe:
    """The recipe of --recipe, --continue-from or the model's defaults, changed by the flags. Raises
    `OptionError`.
    """
    changes = given(args, [field for field in fields_of(Recipe) if field.name not in ("model", "prompt")])
    changes |= _labels_and_prompts(args, changes)
    if (branch := branch_from_flags(args)) is not None:
        before = branch
    elif args.recipe:
        before = Recipe.from_file(args.recipe)
    elif args.model:
        check_is_model(studio, args.model)
        if changes.keys() & {"label", "labels", "spell", "prompt", "prompts", "negative"}:
            # a given label or prompt replaces the default ones of both kinds
            changes = {"prompt": None, "negative": None, **changes}
        before = studio.recipe(args.model)
    else:
        raise OptionError("model", "Name a model (see 'diffusion-studio models'), or give --recipe FILE.")
    if args.model:
        changes["model"] = args.model
    if args.one_hand:
        changes["seeds"] = _equal_seeds(args, before)
    elif (seeds := _seeds(args, before, changes)) is not None:
        changes["seeds"] = seeds
    for kind, registry in REGISTRIES.items():
        changes[kind] = choice_from_flags(args, kind, registry, getattr(before, kind))
    changes |= groups_from_flags(args, before)
    if (
        edit := edit_from_flags(args, before.edit, lambda: studio.card(args.model or before.model))
    ) != before.edit:
        changes["edit"] = edit
    if args.low_res is not None:
        changes["low_res"] = _open_low_res(args.low_res, studio.card(args.model or before.model))
    return Recipe.from_settings(
        changes, {name: getattr(before, name) for name in Recipe.__dataclass_fields__}
    )


def _labels_and_prompts(args: argparse.Namespace, changes: dict[str, Any]) -> dict[str, Any]:
    """The labels and prompts that the flags give, as settings of a recipe."""
    settings: dict[str, Any] = {}
    if changes.get("label") == ANY:
        settings["label"] = None
    if args.labels is not None:
        if args.label is not None:
            raise OptionError(
                "labels", "--label is one for all pictures, --labels has one for each. Leave one of them out."
            )
        settings["labels"] = each_picture.split_labels(args.labels)
        if not settings["labels"]:
            raise OptionError(
                "labels", "--labels needs one label for each picture, such as D,I,F,F; got nothing."
            )
    if args.prompt is not None:
        one = len(args.prompt) == 1
        settings |= {"prompt": args.prompt[0]} if one else {"prompts": tuple(args.prompt)}
    return settings


def _open_low_res(path: str, card: Any) -> Picture:
    """The picture to enlarge at the size that the model takes. Prints what was changed."""
    check_usable(unusable(card.spec), "low_res", "Leave out --low-res, or name a model that does.")
    picture, remark = Picture.opened(path, card.spec.background)
    fitted = picture.fitted(card.spec.low_res, card.spec.channels)
    if remark:
        print(
            f"diffusion-studio: {Path(path).name}: {remark}, the background of {card.name}.", file=sys.stderr
        )
    if fitted.size != picture.size:
        print(
            f"diffusion-studio: {Path(path).name} is {picture}, scaled and cropped to {fitted}.",
            file=sys.stderr,
        )
    return fitted


def _equal_seeds(args: argparse.Namespace, before: Recipe) -> tuple[int, ...]:
    """Equal seeds for all letters of the text."""
    letters = each_picture.spelled(args.spell or before.spell)[1]
    if not letters or args.seeds is not None or args.count is not None:
        raise OptionError(
            "seeds",
            "--one-hand takes a text, --spell TEXT, and one --seed for all letters; leave --seeds and "
            "--count out.",
        )
    return (before.seeds[0] if args.seed is None else args.seed,) * min(len(letters), MAX_PICTURES + 1)


def _seeds(args: argparse.Namespace, before: Recipe, changes: Mapping[str, Any]) -> tuple[int, ...] | None:
    if args.seeds is not None:
        if args.seed is not None or args.count is not None:
            raise OptionError("seeds", "--seeds names every picture's seed; leave out --seed and --count.")
        try:
            return tuple(int(part) for part in args.seeds.split(","))
        except ValueError:
            raise OptionError(
                "seeds", f"--seeds takes whole numbers with commas between them, got {args.seeds!r}."
            ) from None
    if args.seed is None and args.count is None:
        return None
    first = before.seeds[0] if args.seed is None else args.seed
    listed = each_picture.count_of(changes)
    count = args.count if args.count is not None else listed or len(before.seeds)
    if not 1 <= count <= MAX_PICTURES:
        raise OptionError(
            "count", f"--count must be from 1 to {MAX_PICTURES}, got {count}. Make more in several runs."
        )
    return tuple(range(first, first + count))
