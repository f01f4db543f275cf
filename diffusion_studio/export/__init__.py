"""Frames to a file: GIF, MP4, WebP, APNG, PNG and film strip. Every file carries the recipe of its run."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ExportError, OptionError, unknown
from ..frame import Frame
from . import apng, clouds, gif, mp4, png, webp
from .beside import NONE, Titles, paired
from .film import film
from .options import ExportOptions

__all__ = ["ExportOptions", "FORMATS", "OF_POINTS", "Format", "save"]


@dataclass(frozen=True)
class Format:
    """A kind of file: `write(frames, path, recipe_json, options)` makes one, `takes` names the options that matter."""

    label: str
    suffix: str
    help: str
    write: Callable[[Sequence[Frame], Path, str, ExportOptions], None]
    takes: tuple[str, ...]


_STATES = ("view", "picture", "frames", "every", "states")
OF_POINTS = ("theme", "trails", "arrows", "axes")            # every format takes them, where there are points to draw
_FIT = {"strip": 256}                                        # pixels for the clouds of a state; else 512
_FILM = (*_STATES, "bounce", "fps", "hold", "scale", "caption")
FORMATS: dict[str, Format] = {
    "gif": Format("GIF", ".gif", "Plays everywhere and loops; grey is exact, colours are the best 256.", gif.write, _FILM),
    "mp4": Format("MP4", ".mp4", "H.264 video: small, all colours, for slides and the web.", mp4.write, _FILM),
    "webp": Format("WebP", ".webp", "Lossless in all colours; plays in browsers and loops.", webp.write, _FILM),
    "apng": Format("APNG", ".apng", "Lossless in all colours as an animated PNG, for documents and browsers.", apng.write, _FILM),
    "png": Format("PNG", ".png", "The finished pictures, pixel for pixel.", png.write,
                  ("view", "picture", "scale", "caption")),
    "strip": Format("Film strip", ".png", "A PNG for papers: a few states side by side with their t.", png.write_strip,
                    (*_STATES, "scale")),
}


def save(frames: Sequence[Frame], path: str | Path, recipe_json: str, options: ExportOptions,
         format: str | None = None, beside: Sequence[Frame] = (), titles: Titles = NONE) -> Path:
    """Write `frames` to `path`, whole or not at all, and return the path; below them those of another run, `beside`.

    The format is that of the path's suffix, unless one of `FORMATS` is named. Raises `OptionError` for an
    unknown format or a picture that is not there, `ExportError` where the file cannot be written.
    """
    path = Path(path)
    chosen = FORMATS[format_of(path, format)]
    if not len(frames):
        raise ExportError("There are no states to export yet. Generate first.")
    if len(beside) and beside[0].of_points != frames[0].of_points:
        raise OptionError("One of these runs made pictures and the other points; they cannot be shown together.")
    frames, laid = _ready(frames, options, format_of(path, format))
    if len(beside):
        frames = paired(frames, _ready(beside, options, format_of(path, format))[0], titles)
    options = laid
    target = Path(os.path.realpath(path))    # a link stays a link, and ffmpeg gets no name that reads like a URL
    if target.is_dir():
        raise ExportError(f"{str(path)!r} is a folder. Add a file name, as in {str(path / ('run' + chosen.suffix))!r}.")
    if not target.parent.is_dir():
        raise ExportError(f"There is no folder {str(path.parent)!r}. Make it first, or choose another.")
    draft = target.with_name(f".{uuid.uuid4().hex}{chosen.suffix}")
    try:
        try:
            draft.touch(exist_ok=False)
            chosen.write(frames, draft, recipe_json, options)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(f"Cannot write {str(path)!r}: {error.strerror or error}. {_advice(error.errno)}") from error
    return path


def _ready(frames: Sequence[Frame], options: ExportOptions, format: str) -> tuple[Sequence[Frame], ExportOptions]:
    """The frames as pictures in their order, and the options with which to lay them out."""
    if options.frames == "pictures" and "frames" in FORMATS[format].takes:
        frames, options = film(frames, options.bounce), replace(options, picture=None)
    return clouds.drawn(frames, options, _FIT.get(format, 512)) if frames[0].of_points else (frames, options)


def format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise unknown("export format", format, FORMATS)
        return format
    for name, known in FORMATS.items():
        if path.suffix.lower() == known.suffix:
            return name
    given = f"got {path.suffix!r}" if path.suffix else f"{path.name!r} has none"
    allowed = ", ".join(dict.fromkeys(known.suffix for known in FORMATS.values()))
    raise OptionError(f"The suffix says what to export: one of {allowed}; {given}. Change it, or name a format "
                      f"({', '.join(FORMATS)}).")


def _advice(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
        return "Make room, or choose another disk or a smaller scale."
    return "Choose a folder that you may write to."
