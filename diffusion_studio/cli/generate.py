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
from ..export import FORMATS, ExportOptions, check, check_size, named
from ..files import streamed
from ..files.signals import finishing
from ..imaging.picture import Picture
from ..options import fields_of
from ..runs import each_picture
from ..runs.applicability import check_usable, unusable
from ..runs.recipe import ANY, MAX_PICTURES, REGISTRIES, Recipe, file_name
from .checkpoints import add_flags, check_draws, open_helpers, opened, say_remarks
from .editing import add_editing, continued, edit_said
from .flags import add_choice, add_groups, add_machine, add_options, chosen, given, grouped, own, studio_of
from .progress import progress

if TYPE_CHECKING:
    from ..imaging.frame import Frame

_SUFFIX = next(iter(FORMATS.values())).suffix
MAX_BYTES = 384 << 20  # of the states of a run that are kept for its file
# --picture is the one to edit
_EXPORT = [replace(one, name="only") if one.name == "picture" else one for one in fields_of(ExportOptions)]


def add(verbs: Any) -> None:
    """The verb `generate`."""
    verb = verbs.add_parser(
        "generate",
        help=f"run the reverse process and write a {named([one.label for one in FORMATS.values()])}",
    )
    verb.add_argument("model", nargs="?", help="a model's name, see 'models'; left out with --recipe")
    add_recipe(verb)
    verb.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="a time budget in place of --sampler and --steps: the best that so many seconds of computing "
        "make here, by measured tables; says what was chosen",
    )
    export = verb.add_argument_group("the file")
    export.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to write: {named(dict.fromkeys(one.suffix for one in FORMATS.values()))} "
        f"(default MODEL-LABEL-SEED{_SUFFIX}, counting up where it is taken); - is standard output, with "
        "--format",
    )
    export.add_argument("--format", help=f"the format, where the suffix does not tell it: {named(FORMATS)}")
    export.add_argument(
        "--beside",
        metavar="FILE",
        help="an exported file whose run is made again and stands below this one, "
        "state beside state by noise level",
    )
    add_options(export, _EXPORT)
    add_machine(verb)
    verb.set_defaults(run=_generate)


def add_recipe(verb: Any) -> None:
    """The flags that say a recipe, all but the model's name; `recipe_of` reads them."""
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
        "--seed", type=int, help="seed of the first picture; the next ones count up (default 0)"
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
        "as many pictures. One with a comma stands in quotes",
    )
    verb.add_argument(
        "--prompt",
        action="append",
        metavar="TEXT",
        help=f"{prompt.help} Given several times, one for each picture {own()}",
    )
    add_options(verb, fields_of(Recipe), skip=("model", "prompt"), brought=DEFAULT_NAMES)
    verb.add_argument(
        "--one-hand",
        action="store_true",
        help="with --spell, one seed for all letters, so that they are alike",
    )
    for kind, registry in REGISTRIES.items():
        add_choice(verb, kind, registry)
    add_groups(verb)
    add_editing(verb)
    verb.add_argument(
        "--low-res", metavar="FILE", help="the picture to enlarge, for a model that does; brought to its size"
    )


def _generate(args: argparse.Namespace) -> None:
    from ..runs.trajectory import Trajectory

    studio = studio_of(args)
    opened(studio, args)
    open_helpers(studio, args)
    recipe = _within(args, studio, recipe_of(args, studio))
    options = ExportOptions(
        **{"picture" if name == "only" else name: value for name, value in given(args, _EXPORT).items()}
    )
    name = file_name(recipe, FORMATS[args.format].suffix if args.format in FORMATS else _SUFFIX)
    wanted = place_of(name if args.out is None else args.out)
    beside = Recipe.from_file(args.beside) if args.beside else None
    runs = [recipe] if beside is None else [recipe, beside]
    check(
        wanted,
        options,
        args.format,  # what is wrong is said before the run, not after it
        [(one.pictures, studio.card(one.model).spec.makes) for one in runs],
    )
    frames = studio.stream(recipe)
    for run in runs:
        say_remarks(studio, run)
    below = None
    if beside is not None:
        other = Kept()
        for frame in shown(studio.stream(beside), "the run below"):
            other.add(frame)
        below = Trajectory(beside, other.frames)
    kept = Kept()
    try:
        for frame in shown(frames, "denoising"):
            if kept.last is None:
                check_size(frame, wanted, options, args.format, () if below is None else below.frames)
            kept.add(frame)
    finally:  # a run that is interrupted or fails leaves what there is of it
        if kept.last is not None:
            run = Trajectory(recipe, kept.frames)
            with finishing(), claimed(args.out, name) as out:
                said = sys.stderr if streamed(out) else sys.stdout  # the file may be what stdout takes
                print(run.save(out, args.format, below, **vars(options)), file=said)


class Kept:
    """The states of a run that its file is made of: all, or every k-th and the last where all would take
    more than `MAX_BYTES`. Which is said.
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
        """Those that are kept by now, the latest among them."""
        if self.last is None or self.last is self._before[-1]:
            return self._before
        return [*self._before, self.last]


def _within(args: argparse.Namespace, studio: Any, recipe: Recipe) -> Recipe:
    """The recipe with the sampler and steps for the time budget, if there is one; what was chosen is said."""
    if args.seconds is None:
        return recipe
    for name in ("sampler", "steps"):
        if getattr(args, name) is not None:
            raise OptionError("seconds", f"--seconds chooses --{name}. Leave one of the two out.")
    found, said = studio.within(recipe, args.seconds)
    print(f"diffusion-studio: {said}", file=sys.stderr)
    return found


def place_of(asked: str) -> Path:
    """The path that a name stands for: - is standard output."""
    if not asked:
        raise OptionError("out", "--out is empty. Name a file, - for standard output, or leave it out.")
    return Path("/dev/stdout" if asked == "-" else asked)


@contextmanager
def claimed(asked: str | None, name: str) -> Iterator[Path]:
    """Where to write: as asked for, else by the name, with a number behind it where an earlier result has it.

    The file is made at once, so that another run that ends in this moment takes the next number.
    """
    if asked is not None:
        yield place_of(asked)
        return
    wanted = Path(name)
    counted = (wanted.with_name(f"{wanted.stem}-{k}{wanted.suffix}") for k in itertools.count(2))
    for place in itertools.chain([wanted], counted):
        with suppress(FileExistsError):
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            break
    try:
        yield place
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def shown(frames: Iterable[Frame], what: str) -> Iterator[Frame]:
    """The frames, with a progress bar."""
    with progress(desc=what, unit="state") as bar:
        for frame in frames:
            bar.total = frame.total + 1
            bar.update()
            yield frame


def recipe_of(args: argparse.Namespace, studio: Any) -> Recipe:
    """The recipe file's settings, or else the model's defaults, with what the flags change."""
    changes = given(args, [field for field in fields_of(Recipe) if field.name not in ("model", "prompt")])
    changes |= _asked(args, changes)
    if (branch := continued(args)) is not None:
        before = branch
    elif args.recipe:
        before = Recipe.from_file(args.recipe)
    elif args.model:
        check_draws(studio, args.model)
        if changes.keys() & {"label", "labels", "spell", "prompt", "prompts", "negative"}:
            # what is asked for replaces all that is by default
            changes = {"prompt": None, "negative": None, **changes}
        before = studio.recipe(args.model)
    else:
        raise OptionError("model", "Name a model (see 'diffusion-studio models'), or give --recipe FILE.")
    if args.model:
        changes["model"] = args.model
    if args.one_hand:
        changes["seeds"] = _one_hand(args, before)
    elif (seeds := _seeds(args, before, changes)) is not None:
        changes["seeds"] = seeds
    for kind, registry in REGISTRIES.items():
        changes[kind] = chosen(args, kind, registry, getattr(before, kind))
    changes |= grouped(args, before)
    if (
        asked := edit_said(args, before.edit, lambda: studio.card(args.model or before.model))
    ) != before.edit:
        changes["edit"] = asked
    if args.low_res is not None:
        changes["low_res"] = _small(args.low_res, studio.card(args.model or before.model))
    return Recipe.from_settings(
        changes, {name: getattr(before, name) for name in Recipe.__dataclass_fields__}
    )


def _asked(args: argparse.Namespace, changes: dict[str, Any]) -> dict[str, Any]:
    """What is asked for: a label or labels, a prompt or prompts."""
    found: dict[str, Any] = {}
    if changes.get("label") == ANY:
        found["label"] = None
    if args.labels is not None:
        if args.label is not None:
            raise OptionError(
                "labels", "--label is one for all pictures, --labels has one for each. Leave one of them out."
            )
        found["labels"] = each_picture.split(args.labels)
        if not found["labels"]:
            raise OptionError(
                "labels", "--labels needs one label for each picture, such as D,I,F,F; got nothing."
            )
    if args.prompt is not None:
        one = len(args.prompt) == 1
        found |= {"prompt": args.prompt[0]} if one else {"prompts": tuple(args.prompt)}
    return found


def _small(path: str, card: Any) -> Picture:
    """The picture to enlarge, at the size that the model takes; what is done to it is said."""
    check_usable(unusable(card.spec), "low_res", "Leave out --low-res, or name a model that does.")
    picture, said = Picture.opened(path, card.spec.background)
    fitted = picture.fitted(card.spec.low_res, card.spec.channels)
    if said:
        print(f"diffusion-studio: {Path(path).name}: {said}, the background of {card.name}.", file=sys.stderr)
    if fitted.size != picture.size:
        print(
            f"diffusion-studio: {Path(path).name} is {picture}, scaled and cropped to {fitted}.",
            file=sys.stderr,
        )
    return fitted


def _one_hand(args: argparse.Namespace, before: Recipe) -> tuple[int, ...]:
    """One seed for each letter of the text, all equal."""
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
    asked = each_picture.count_of(changes)
    count = args.count if args.count is not None else asked or len(before.seeds)
    if not 1 <= count <= MAX_PICTURES:
        raise OptionError(
            "count", f"--count must be from 1 to {MAX_PICTURES}, got {count}. Make more in several runs."
        )
    return tuple(range(first, first + count))
