"""Frames to a file: GIF, MP4, WebP, APNG, PNG, film strip and a page that plays.

Every file carries the recipe of its run.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files
from ..errors import ExportError, OptionError, unknown
from ..imaging.frame import Frame
from . import apng, clouds, gif, html, mp4, png, webp
from .beside import NONE, Titles, paired
from .film import film
from .options import ExportOptions
from .render import Scene, check_picture
from .stagger import Staggered

__all__ = [
    "ExportOptions",
    "FORMATS",
    "OF_POINTS",
    "Format",
    "as_shown",
    "check",
    "check_size",
    "named",
    "save",
]


@dataclass(frozen=True)
class Format:
    """A kind of file: `write(frames, path, recipe_json, options)` makes one, `takes` names the options that
    matter.

    `lay(frames, options)` raises what `write` would say of the size, and draws nothing.
    """

    label: str
    suffix: str
    help: str
    write: Callable[[Sequence[Any], Path, str, ExportOptions], None]
    takes: tuple[str, ...]
    lay: Callable[[Sequence[Any], ExportOptions], object] = Scene.of


_STATES = ("view", "picture", "frames", "every", "states")
OF_POINTS = ("theme", "trails", "arrows", "axes")  # every format takes them, where there are points to draw
_FIT = {"strip": 256}  # pixels for the clouds of a state; else 512
_FILM = (*_STATES, "delay", "bounce", "fps", "hold", "scale", "caption")
FORMATS: dict[str, Format] = {
    "gif": Format(
        "GIF",
        ".gif",
        "Plays everywhere and loops; grey is exact, colours are the best 256.",
        gif.write,
        _FILM,
    ),
    "mp4": Format(
        "MP4", ".mp4", "H.264 video: small, all colours, for slides and the web.", mp4.write, _FILM
    ),
    "webp": Format(
        "WebP", ".webp", "Lossless in all colours; plays in browsers and loops.", webp.write, _FILM
    ),
    "apng": Format(
        "APNG",
        ".apng",
        "Lossless in all colours as an animated PNG, for documents and browsers.",
        apng.write,
        _FILM,
    ),
    "png": Format(
        "PNG",
        ".png",
        "The finished pictures, lossless; at scale 1 pixel for pixel.",
        png.write,
        ("view", "picture", "scale", "caption", "ground"),
        lambda frames, options: Scene.of(frames[-1:], options),
    ),
    "strip": Format(
        "Film strip",
        ".png",
        "A PNG for papers: a few states side by side with their t.",
        png.write_strip,
        (*_STATES, "scale"),
        png.Strip.of,
    ),
    "html": Format(
        "HTML player",
        ".html",
        "One page that plays, scrubs and enlarges offline, in any browser; lossless, for mails and blogs.",
        html.write,
        (*_STATES, "bounce", "fps"),
        html.Layout.of,
    ),
}


def named(names: Iterable[str]) -> str:
    """The names as a list for people: "a, b or c"."""
    *most, last = names
    return " or ".join([*([", ".join(most)] if most else []), last])


def check(
    path: str | Path, options: ExportOptions, format: str | None, made: Sequence[tuple[int, str]]
) -> None:
    """Raise now what `save` would say of a run that is still to be made, and need not take time.

    `made` is how many of what it makes, (16, "pictures"), and then the same of the run that is to stand below
    it.
    """
    path = Path(path)
    name = format_of(path, format)
    _check_alike([what for _, what in made])
    for count, _ in made:
        check_picture(None if _as_film(options, name) else options.picture, count)
    try:
        files.check(path)
    except OSError as error:
        raise _unwritable(path, error, name) from error


def check_size(
    frame: Frame,
    path: str | Path,
    options: ExportOptions,
    format: str | None = None,
    beside: Sequence[Frame] = (),
) -> None:
    """Raise from one state of a run what `save` would say of the size of its pictures at the end, if all are
    as large.

    The line of a strip that names the settings in which two runs differ is not counted: they are
    not known here.
    """
    name = format_of(Path(path), format)
    shown, laid = as_shown([frame] * (frame.total + 1), options, name)
    if len(beside):
        shown = paired(shown, as_shown(beside, options, name)[0])
    FORMATS[name].lay(shown, laid)


def save(
    frames: Sequence[Frame],
    path: str | Path,
    recipe_json: str,
    options: ExportOptions,
    format: str | None = None,
    beside: Sequence[Frame] = (),
    titles: Titles = NONE,
) -> Path:
    """Write `frames` to `path`, whole or not at all, and return the path; below them those of another run,
    `beside`.

    The format is that of the path's suffix, unless one of `FORMATS` is named. Raises `OptionError` for an
    unknown format or a picture that is not there, `ExportError` where the file cannot be written.
    """
    path = Path(path)
    name = format_of(path, format)
    if not len(frames):
        raise ExportError("There are no states to export yet. Generate first.")
    if len(beside):
        _check_alike([run[0].of_points for run in (frames, beside)])
    shown, laid = as_shown(frames, options, name)
    if len(beside):
        shown = paired(shown, as_shown(beside, options, name)[0], titles)
    try:
        with files.replacing(path, FORMATS[name].suffix) as draft:
            FORMATS[name].write(shown, draft, recipe_json, laid)
    except OSError as error:
        raise _unwritable(path, error, name) from error
    return path


def _check_alike(kinds: Iterable[object]) -> None:
    if len(set(kinds)) > 1:
        raise OptionError(
            "beside", "One of these runs makes pictures and the other points; they cannot be shown together."
        )


def as_shown(
    frames: Sequence[Frame], options: ExportOptions, format: str
) -> tuple[Sequence[Any], ExportOptions]:
    """The frames in the order in which they are shown, and the options with which to lay them out.

    Of a run of points they are `DrawnFrame`s, which have the attributes of a Frame.
    """
    if _as_film(options, format):
        frames, options = film(frames, options.bounce), replace(options, picture=None)
    elif options.delay and "delay" in FORMATS[format].takes and options.picture is None:
        frames = Staggered(frames, options.delay)
    return clouds.drawn(frames, options, _FIT.get(format, 512)) if frames[0].of_points else (frames, options)


def _as_film(options: ExportOptions, format: str) -> bool:
    """Whether the finished pictures are shown one by one, which leaves no choice of one."""
    return options.frames == "pictures" and "frames" in FORMATS[format].takes


def format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise unknown("export format", format, FORMATS, field="format")
        return format
    for name, known in FORMATS.items():
        if path.suffix.lower() == known.suffix:
            return name
    given = f"got {path.suffix!r}" if path.suffix else f"{path.name!r} has none"
    allowed = ", ".join(dict.fromkeys(known.suffix for known in FORMATS.values()))
    raise OptionError(
        "format",
        f"The suffix says what to export: one of {allowed}; {given}. Change it, or name a format "
        f"({', '.join(FORMATS)}).",
    )


def _unwritable(path: Path, error: OSError, format: str) -> ExportError:
    if error.errno == errno.EISDIR:
        example = str(path / f"run{FORMATS[format].suffix}")
        return ExportError(f"{str(path)!r} is a folder. Add a file name, as in {example!r}.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ExportError(f"There is no folder {str(path.parent)!r}. Make it first, or choose another.")
    if error.errno in files.FULL:
        return ExportError(
            f"Cannot write {str(path)!r}: {files.why(error)}. Make room, or choose another disk or "
            "a smaller scale."
        )
    return ExportError(f"Cannot write {str(path)!r}: {files.why(error)}. {files.advice(error)}")
