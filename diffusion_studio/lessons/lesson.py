"""Lessons as files: how one is read, and the course in each language. docs/learn.md shows how to write one.

title: Noise goes in
figure: forward
settings: {"schedules": ["linear"]}
question: What happens ...?
answer: This.
answer: That.
right: 2
paper: Ho et al. 2020, eq. 4
equation: x_t = ...
go on: {"model": "fashion-mnist"}
---
What is read before the question.
---
What happened, and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import StudioError
from .figures import check

FOLDER = Path(__file__).parent
FIRST = "en"  # the language that is whole, and that others fall back to
MANY = ("answer", "paper")  # names that may come several times
NEEDED = ("title", "figure", "question", "answer", "right", "paper", "equation")
NAMES = (*NEEDED, "minutes", "settings", "teaser", "go on")
TEASER = "photograph"  # of a lesson that names none; `ui.learn_teasers` has them all
SYMBOLS = "symbols.txt"  # what the letters of the equations mean, in each language
WORDS = "words.txt"  # what the page says around the lessons, in each language


class LessonError(StudioError):
    """A lesson's file cannot be read; the message names the file, the line and what to do."""


@dataclass(frozen=True)
class Lesson:
    """One lesson. `right` counts `answers` from 0; `before` and `after` are Markdown; `teaser` is
    what moves before the question; `go_on` is a recipe's
    settings with its model, the name of a tab, or a tab with what is chosen there.
    """

    name: str
    language: str
    title: str
    minutes: int
    figure: str
    settings: Mapping[str, Any]
    question: str
    answers: tuple[str, ...]
    right: int
    papers: tuple[str, ...]
    equation: str
    go_on: Mapping[str, Any] | str
    before: str
    after: str
    teaser: str = TEASER

    @property
    def number(self) -> int:
        """Its place in the course, which begins its file's name."""
        return int(self.name.partition("-")[0])


def read(path: str | Path, plain: Lesson | None = None) -> Lesson:
    """The lesson of a file NUMBER-NAME.md. What its front part leaves out is that of `plain`, the lesson that
    it translates. Raises `LessonError`.
    """
    path = Path(path)
    number = path.stem.partition("-")[0]
    if not number.isdecimal():
        raise LessonError(
            f"{path.name}: the name of a lesson's file begins with its number, as 3-name.md does."
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LessonError(f"{path.name} cannot be read ({error}). Save it as text in UTF-8.") from error
    front, before, after = _parts(path.name, text)
    found = _front(path.name, front)
    kept = {} if plain is None else _as_front(plain)
    missing = [name for name in NEEDED if name not in found and name not in kept]
    if missing:
        raise LessonError(f"{path.name}: the front part has no line '{missing[0]}: ...'. Write one.")
    both = {**kept, **found}
    settings, go_on = _json(path.name, "settings", both), _json(path.name, "go on", both)
    answers = tuple(both["answer"])
    right = _whole(path.name, "right", both["right"], 1, len(answers))
    if len(answers) < 2:
        raise LessonError(f"{path.name}: a question has two or more answers, got {len(answers)}. Add one.")
    figure = str(both["figure"])
    try:
        check(figure, settings)
    except StudioError as error:
        raise LessonError(f"{path.name}: {error}") from error
    return Lesson(
        path.stem,
        path.parent.name,
        both["title"],
        _whole(path.name, "minutes", both.get("minutes", "3"), 1, 60),
        figure,
        settings,
        both["question"],
        answers,
        right - 1,
        tuple(both["paper"]),
        both["equation"],
        go_on,
        before,
        after,
        both.get("teaser", TEASER),
    )


def _parts(name: str, text: str) -> tuple[list[str], str, str]:
    """The lines before the first line of ---, and the two texts that it and the second one begin."""
    lines = text.splitlines()
    marks = [k for k, line in enumerate(lines) if line.strip() == "---"]
    if len(marks) != 2:
        raise LessonError(
            f"{name} has {len(marks)} lines of ---, and a lesson has two: after the front part, and between "
            "the text before the question and the one after it."
        )
    texts = ["\n".join(lines[a + 1 : b]).strip() for a, b in zip(marks, [marks[1], len(lines)])]
    for what, one in zip(("before", "after"), texts):
        if not one:
            raise LessonError(
                f"{name}: there is no text {what} the second line of ---. Write a sentence there."
            )
    return lines[: marks[0]], texts[0], texts[1]


def _front(name: str, lines: list[str]) -> dict[str, Any]:
    """Names and values of the front part; a line that begins with blanks goes on with the one before."""
    found: dict[str, Any] = {}
    last = ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line[0].isspace() and last:
            _add(found, last, line.strip())
            continue
        last, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or last not in NAMES:
            raise LessonError(
                f"{name}, line {number}: {line.strip()[:60]!r} is none of the front part's lines. Each is "
                f"'NAME: value', NAME one of: {', '.join(NAMES)}."
            )
        if last in found and last not in MANY:
            raise LessonError(f"{name}, line {number}: '{last}' is given twice. Keep one of the two.")
        if last in MANY:
            found.setdefault(last, []).append(value)
        else:
            found[last] = value
    return found


def _add(found: dict[str, Any], name: str, text: str) -> None:
    """Go on with the last value of a name."""
    if name in MANY:
        found[name][-1] = f"{found[name][-1]} {text}".strip()
    else:
        found[name] = f"{found[name]} {text}".strip()


def _as_front(lesson: Lesson) -> dict[str, Any]:
    """A lesson's front part, as the one who translates it may leave it out."""
    return {
        "title": lesson.title,
        "minutes": str(lesson.minutes),
        "figure": lesson.figure,
        "settings": json.dumps(dict(lesson.settings)),
        "question": lesson.question,
        "answer": list(lesson.answers),
        "right": str(lesson.right + 1),
        "paper": list(lesson.papers),
        "equation": lesson.equation,
        "teaser": lesson.teaser,
        "go on": f"tab {lesson.go_on}" if isinstance(lesson.go_on, str) else json.dumps(dict(lesson.go_on)),
    }


def _json(name: str, field: str, front: Mapping[str, Any]) -> Any:
    """A value that is an object in JSON; of "go on" also "tab NAME", and nothing."""
    text = str(front.get(field, "")).strip()
    if field == "go on" and (not text or text.startswith("tab ")):
        return text.removeprefix("tab ").strip()
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise LessonError(
            f"{name}: '{field}' is an object in JSON, such as {{\"steps\": 12}}; it is broken at letter "
            f"{error.pos + 1} ({error.msg})."
        ) from error
    if not isinstance(found, dict):
        raise LessonError(
            f"{name}: '{field}' is an object in JSON, such as {{\"steps\": 12}}, got {text:.60}."
        )
    return found


def _whole(name: str, field: str, text: str, low: int, high: int) -> int:
    if not str(text).isdecimal() or not low <= int(text) <= high:
        raise LessonError(f"{name}: '{field}' must be a whole number from {low} to {high}, got {text!r:.40}.")
    return int(text)


# ---- the course


def languages(folder: Path = FOLDER) -> dict[str, str]:
    """The languages that have a folder, by their code, each with its own name; the whole one first."""
    codes = sorted(one.name for one in folder.iterdir() if (one / WORDS).is_file())
    return {code: words(code, folder)["language"] for code in sorted(codes, key=lambda one: one != FIRST)}


@lru_cache(16)
def words(language: str, folder: Path = FOLDER) -> Mapping[str, str]:
    """What the page says around the lessons; what a language leaves out is English."""
    found: dict[str, str] = {}
    for code in dict.fromkeys((FIRST, language)):
        path = folder / code / WORDS
        if not path.is_file():
            raise LessonError(f"There is no language {code!r:.20}. Choose one of those that the page offers.")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not line.strip():
                continue
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon or (code != FIRST and name not in found):
                raise LessonError(
                    f"{code}/{WORDS}, line {number}: {line[:60]!r} is none of en/{WORDS}'s lines."
                )
            found[name] = value
    return found


@lru_cache(16)
def symbols(language: str, folder: Path = FOLDER) -> str:
    """What the letters of the equations mean, as Markdown; in English where it is not translated."""
    for code in (language, FIRST):
        if (path := folder / code / SYMBOLS).is_file():
            return path.read_text("utf-8")
    return ""


@lru_cache(16)
def course(language: str = FIRST, folder: Path = FOLDER) -> tuple[Lesson | LessonError, ...]:
    """All lessons in their order, in English where there is no translation. A file that cannot be read has
    its error in its place, and the others stay.
    """
    words(language, folder)  # an unknown language fails here
    found: list[Lesson | LessonError] = []
    for path in sorted((folder / FIRST).glob("*.md"), key=_order):
        try:
            plain = read(path)
            translated = folder / language / path.name
            found.append(plain if language == FIRST or not translated.is_file() else read(translated, plain))
        except LessonError as error:
            found.append(error)
    return tuple(found)


def _order(path: Path) -> tuple[int, str]:
    number = path.stem.partition("-")[0]
    return (int(number) if number.isdecimal() else 10**6, path.name)
