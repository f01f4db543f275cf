"""The Learn tab: the lessons of `diffusion_studio/lessons`, each with a question before its figure.

A figure is computed while the page waits: an answer comes within `PATIENCE` seconds, with what there is by
then and the name of a job to ask on about.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..compare.recipes import RaceRecipe
from ..errors import OptionError, StudioError
from ..inside.figure import Figure
from ..lessons import figures
from ..lessons.lesson import FIRST, Lesson, LessonError, course, languages, words
from ..lessons.markdown import html_of, inline
from ..runs.recipe import Recipe
from ..studio import Studio
from .compute import Compute, Progress
from .handlers import in_words
from .lazy import lazy

PATIENCE = 1.5  # seconds until the page is answered
LEFT_ALONE = 20.0  # seconds without a question, after which a job is ended
MOST_JOBS = 64


@dataclass
class Job:
    """A figure that is being computed. `number` counts what there has been of it so far."""

    figure: Figure | None = None
    number: int = 0
    done: bool = False
    error: str = ""
    asked: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, **changes: Any) -> None:
        """Change fields, and wake who waits."""
        with self.changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self.number += 1
            self.changed.notify_all()


class LearnTab:
    """Renders into the surrounding Blocks: one element, which fetches the rest when it is seen."""

    def __init__(self, studio: Studio, compute: Compute) -> None:
        self.studio, self.compute = studio, compute
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self.element: gr.HTML = lazy(
            '<div class="ds-learn"></div>',
            ("figure/figure.css", "learn/learn.css"),
            ("figure/plot.mjs", "figure/figure.js", "learn/learn.js"),
            [self.course, self.lesson, self.figure, self.more],
            elem_id="learn",
        )

    # ---- what the page asks

    def course(self, given: dict[str, Any]) -> dict[str, Any]:
        """The lessons of `language` by name and title, the page's words in it, and all languages. An unknown
        language, as a browser may have kept it, is English.
        """
        offered = languages()
        language = given.get("language") if given.get("language") in offered else FIRST
        found = [
            {"error": str(one)}
            if isinstance(one, LessonError)
            else {"name": one.name, "number": one.number, "title": one.title}
            for one in course(language)
        ]
        return {"language": language, "languages": offered, "words": dict(words(language)), "lessons": found}

    def lesson(self, given: dict[str, Any]) -> dict[str, Any]:
        """One lesson as HTML."""
        one = self._lesson(given)
        return {
            "name": one.name,
            "language": one.language,
            "number": one.number,
            "title": one.title,
            "minutes": one.minutes,
            "before": html_of(one.before),
            "question": inline(one.question),
            "answers": [inline(answer) for answer in one.answers],
            "right": one.right,
            "after": html_of(one.after),
            "equation": inline(one.equation),
            "papers": [inline(paper) for paper in one.papers],
            **self._onward(one),
        }

    def figure(self, given: dict[str, Any]) -> dict[str, Any]:
        """Begin to compute a lesson's figure; see `more` for the answer."""
        one = self._lesson(given)
        name, job = secrets.token_urlsafe(12), Job()
        with self._lock:
            for old in [key for key, kept in self._jobs.items() if kept.done or _alone(kept)]:
                self._jobs.pop(old).ended.set()
            if len(self._jobs) >= MOST_JOBS:
                raise OptionError("figure", "Too many figures are being computed now. Try again in a minute.")
            self._jobs[name] = job
        threading.Thread(target=self._compute, args=(one, job), name="lesson", daemon=True).start()
        return self.more({"job": name, "seen": 0})

    def more(self, given: dict[str, Any]) -> dict[str, Any]:
        """What there is of a job's figure: {job, seen, done} and, where it is newer than `seen`, {figure}."""
        name, seen = given.get("job"), given.get("seen")
        if not isinstance(name, str) or (job := self._jobs.get(name)) is None:
            raise OptionError("figure", "This figure is no longer being computed. Press the button again.")
        end = time.monotonic() + PATIENCE
        with job.changed:
            job.asked = time.monotonic()
            while not job.done and not (job.figure and job.number != seen) and time.monotonic() < end:
                job.changed.wait(max(end - time.monotonic(), 0.01))
            figure, number, done, error = job.figure, job.number, job.done, job.error
        if done:
            self._jobs.pop(name, None)
        if error:
            return {"error": error}
        news = {"figure": figure.to_json()} if figure is not None and number != seen else {}
        return {"job": name, "seen": number, "done": done, **news}

    # ---- its parts

    def _lesson(self, given: dict[str, Any]) -> Lesson:
        language = given.get("language") if given.get("language") in languages() else FIRST
        for one in course(language):
            if isinstance(one, Lesson) and one.name == given.get("name"):
                return one
        raise OptionError("lesson", f"There is no lesson {given.get('name')!r:.60}. Choose one of the list.")

    def _onward(self, one: Lesson) -> dict[str, str]:
        """Where the lesson leads on: a tab, or Generate with a recipe."""
        if isinstance(one.go_on, str):
            return {"tab": one.go_on} if one.go_on else {}
        if not one.go_on:
            return {}
        found = go_on_recipe(self.studio, one.go_on)
        return {"link": f"?{'race' if isinstance(found, RaceRecipe) else 'recipe'}={quote(found.to_json())}"}

    def _compute(self, one: Lesson, job: Job) -> None:
        turn = self.compute.turn(job.ended)

        def items() -> Iterator[Figure]:
            yield from figures.draw(self.studio, one.figure, one.settings, turn.ask)

        try:
            for found in self.compute.watched(items(), 0.0, turn):
                if not isinstance(found, Progress):
                    job.put(figure=found)
                if _alone(job):
                    job.ended.set()
            job.put(done=True)
        except StudioError as error:
            job.put(done=True, error=in_words(error))
        except Exception:
            job.put(done=True, error="This figure failed on the server, which says why. Try another lesson.")
            raise


def go_on_recipe(studio: Studio, given: Mapping[str, Any]) -> Recipe | RaceRecipe:
    """The run with which a lesson goes on, or with `race`, a list of lanes, the race of these."""
    settings = dict(given)
    lanes, model = settings.pop("race", None), settings.pop("model")
    if lanes is None:
        return studio.recipe(model, **settings)
    return RaceRecipe(tuple(studio.recipe(model, **settings, **lane) for lane in lanes))


def _alone(job: Job) -> bool:
    """Whether nobody has asked about it for a while: its page has closed, or shows another lesson."""
    return time.monotonic() - job.asked > LEFT_ALONE
