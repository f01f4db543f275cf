"""Export frames to a file: GIF, MP4, WebP, APNG, PNG, film strip, or an HTML page with a player.

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
from .comparison import NONE, Titles, paired
from .options import ExportOptions
from .render import Scene, check_picture
from .slideshow import slideshow
from .stagger import Staggered

__all__ = [
    "ExportOptions",
    "FORMATS",
    "OF_POINTS",
    "Format",
    "as_shown",
    "check",
    "check_size",
    "join_or",
    "save",
    "write_whole",
]


@dataclass(frozen=True)
class Format:
    """An export format.

    `write(frames, path, recipe_json, options)` writes a file. `takes` names the options of `ExportOptions`
    that the format uses. `check_layout(frames, options)` raises the `OptionError` that `write` would raise
    for the size of the pictures, without drawing them.
    """

    label: str
    suffix: str
    help: str
    write: Callable[[Sequence[Any], Path, str, ExportOptions], None]
    takes: tuple[str, ...]
    check_layout: Callable[[Sequence[Any], ExportOptions], object] = Scene.of


_STATES = ("view", "picture", "frames", "every", "states")
OF_POINTS = ("theme", "trails", "arrows", "axes")  # used by every format for a model of points
_FIT = {"strip": 256}  # pixels into which the clouds of a state fit; 512 in other formats
_FILM = (*_STATES, "delay", "bounce", "fps", "hold", "scale", "caption")
FORMATS: dict[str, Format] = {
    "gif": Format(
        "GIF",
        ".gif",
        "Plays everywhere and loops; grey is exact, colours are reduced to the best 256.",
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
        "One page with a player that works offline in any browser; lossless, for mails and blogs.",
        html.write,
        (*_STATES, "bounce", "fps"),
        html.Layout.of,
    ),
}


def join_or(names: Iterable[str]) -> str:
    """The names as an English list: "a, b or c"."""
    *most, last = names
    return " or ".join([*([", ".join(most)] if most else []), last])


def check(
    path: str | Path, options: ExportOptions, format: str | None, outputs: Sequence[tuple[int, str]]
) -> None:
    """Raise, before a run is made, the errors of `save` that can be known by then.

    `outputs` has one entry for each run in the file, the second being the run below: the number and kind of
    what it makes, such as (16, "pictures"). Raises `OptionError` or `ExportError`.
    """
    path = Path(path)
    name = format_of(path, format)
    _check_same_kind([what for _, what in outputs])
    for count, _ in outputs:
        check_picture(None if _shows_pictures(options, name) else options.picture, count)
    try:
        files.check(path)
    except OSError as error:
        raise _write_error(path, error, name) from error


def check_size(
    frame: Frame,
    path: str | Path,
    options: ExportOptions,
    format: str | None = None,
    beside: Sequence[Frame] = (),
) -> None:
    """Raise, from one state of a run, the errors of `save` about the size of its pictures.

    It assumes that all states are as large. A film strip's line with the settings in which two runs differ is
    not counted, because they are not known here.
    """
    name = format_of(Path(path), format)
    shown, laid = as_shown([frame] * (frame.total + 1), options, name)
    if len(beside):
        shown = paired(shown, as_shown(beside, options, name)[0])
    FORMATS[name].check_layout(shown, laid)


def save(
    frames: Sequence[Frame],
    path: str | Path,
    recipe_json: str,
    options: ExportOptions,
    format: str | None = None,
    beside: Sequence[Frame] = (),
    titles: Titles = NONE,
) -> Path:
    """Write `frames` to `path`, completely or not at all, and return the path.

    The format follows from the path's suffix, unless `format` names one of `FORMATS`. `beside` are the frames
    of another run, shown below them, `titles` the captions of both. Raises `OptionError` for an unknown
    format or a missing picture, `ExportError` if the file cannot be written.
    """
    path = Path(path)
    name = format_of(path, format)
    if not len(frames):
        raise ExportError("There are no states to export yet. Generate first.")
    if len(beside):
        _check_same_kind([run[0].of_points for run in (frames, beside)])
    shown, laid = as_shown(frames, options, name)
    if len(beside):
        shown = paired(shown, as_shown(beside, options, name)[0], titles)
    return write_whole(path, name, lambda draft: FORMATS[name].write(shown, draft, recipe_json, laid))


def write_whole(path: Path, format: str, write: Callable[[Path], object]) -> Path:
    """Let `write` make a file of a format, at `path` whole or not at all, and return the path."""
    try:
        with files.replacing(path, FORMATS[format].suffix) as draft:
            write(draft)
    except OSError as error:
        raise _write_error(path, error, format) from error
    return path


def _check_same_kind(kinds: Iterable[object]) -> None:
    if len(set(kinds)) > 1:
        raise OptionError(
            "beside", "One of these runs makes pictures and the other points; they cannot be shown together."
        )


def as_shown(
    frames: Sequence[Frame], options: ExportOptions, format: str
) -> tuple[Sequence[Any], ExportOptions]:
    """The frames in the order in which the format shows them, and the options to lay them out.

    For a run of points they are `DrawnFrame`s, which have the attributes of a Frame.
    """
    if _shows_pictures(options, format):
        frames, options = slideshow(frames, options.bounce), replace(options, picture=None)
    elif options.delay and "delay" in FORMATS[format].takes and options.picture is None:
        frames = Staggered(frames, options.delay)
    return clouds.drawn(frames, options, _FIT.get(format, 512)) if frames[0].of_points else (frames, options)


def _shows_pictures(options: ExportOptions, format: str) -> bool:
    """Whether the finished pictures are shown one by one; then no single picture can be chosen."""
    return options.frames == "pictures" and "frames" in FORMATS[format].takes


def format_of(path: Path, format: str | None) -> str:
    """The name of the format: `format`, or that of the path's suffix. Raises `OptionError` if unknown."""
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
        f"The file's suffix must be one of {allowed}; {given}. Change it, or name a format "
        f"({', '.join(FORMATS)}).",
    )


def _write_error(path: Path, error: OSError, format: str) -> ExportError:
    if error.errno == errno.EISDIR:
        example = str(path / f"run{FORMATS[format].suffix}")
        return ExportError(f"{str(path)!r} is a folder. Add a file name, as in {example!r}.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not path.parent.is_dir():
        return ExportError(
            f"{files.missing(path.parent, 'folder')} Make the folder first, or choose another."
        )
    if error.errno in files.FULL:
        return ExportError(
            f"Cannot write {str(path)!r}: {files.why(error)}. Make room, or choose another disk or "
            "a smaller scale."
        )
    return ExportError(f"Cannot write {str(path)!r}: {files.why(error)}. {files.advice(error)}")
