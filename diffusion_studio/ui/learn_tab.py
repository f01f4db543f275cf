"""The Learn tab: the lessons of `diffusion_studio/lessons`, each with a question before its figure.

A figure is computed while the page waits: an answer comes within `PATIENCE` seconds, with what there is by
then and the name of a job to ask on about.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import gradio as gr

from ..compare.recipes import RaceRecipe
from ..errors import OptionError, StudioError
from ..imaging.picture import Picture
from ..inside.figure import Figure
from ..lessons import figures
from ..lessons.lesson import FIRST, Lesson, LessonError, course, languages, symbols, words
from ..lessons.markdown import html_of, inline
from ..lessons.translation import row_names, translated
from ..runs.recipe import Recipe
from ..studio import Studio
from .compare_tab import CompareTab
from .compute import Compute, Progress
from .generate_tab import GenerateTab
from .handlers import in_words
from .lazy import lazy
from .learn_teasers import ROUND, teaser
from .page_script import call_action

PATIENCE = 1.5  # seconds until the page is answered
LEFT_ALONE = 20.0  # seconds without a question, after which a job is ended
MOST_JOBS = 64
MARKED = ("end seen", "end next")  # words with marks of Markdown


@dataclass
class Job:
    """The figure of the lesson `name` that is being computed, in English. `number` counts what there has been
    of it so far.
    """

    name: str = ""
    figure: Figure | None = None
    number: int = 0
    part: figures.Part | None = None
    stands: Progress | None = None  # among the other runs
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
            self.number += not changes.keys() <= {
                "part",
                "stands",
            }  # these alone wake nobody: the page asks on soon
            self.changed.notify_all()


class LearnTab:
    """Renders into the surrounding Blocks: one element, which fetches the rest when it is seen."""

    def __init__(self, studio: Studio, compute: Compute) -> None:
        self.studio, self.compute = studio, compute
        self._jobs: dict[str, Job] = {}
        self._whole: dict[str, Figure] = {}  # the last one of each lesson, for the change of language
        self._lock = threading.Lock()
        self.element: gr.HTML = lazy(
            '<div class="ds-learn"></div>',
            ("figure/figure.css", "learn/learn.css"),
            ("player/keys.mjs", "figure/plot.mjs", "figure/figure.js", "learn/learn.js"),
            [self.course, self.lesson, self.teaser, self.figure, self.more],
            elem_id="learn",
        )

    def connect(self, generate: GenerateTab, compare: CompareTab) -> None:
        """Let the page follow a lesson's link without loading again, so that the lesson stays as it is. The
        element's value {kind, text, number} does what a link in the page's address does.
        """
        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

        def recipe(value: object) -> dict[Any, Any]:
            return generate.opened(_link_text(value, "recipe"))

        def race(value: object) -> Any:
            text = _link_text(value, "race")
            return f"race {text}" if text else gr.skip()

        settings = [*generate.settings.outputs(), generate.arrived]
        self.element.input(recipe, self.element, settings, **private).then(
            None, generate.arrived, None, js=call_action("playArrived"), queue=False, api_visibility="private"
        )
        self.element.input(race, self.element, compare.arrived, queue=False, **private)

    # ---- what the page asks

    def course(self, given: dict[str, Any]) -> dict[str, Any]:
        """The lessons of `language` by name and title, the page's words in it, and all languages. An unknown
        language, as a browser may have kept it, is English.
        """
        offered, language = languages(), _language(given)
        found = [
            {"error": str(one)}
            if isinstance(one, LessonError)
            else {"name": one.name, "number": one.number, "title": one.title}
            for one in course(language)
        ]
        said = {name: inline(text) if name in MARKED else text for name, text in words(language).items()}
        return {
            "language": language,
            "languages": offered,
            "words": said,
            "lessons": found,
            "symbols": html_of(symbols(language)),
        }

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
            "picture": _png(figures.before(one.figure)),
            **self._next_place(one),
        }

    def teaser(self, given: dict[str, Any]) -> dict[str, Any]:
        """The figure that moves before the question is answered; `loops` is how, as ui/figure takes it."""
        one = self._lesson(given)
        figure = translated(teaser(one.teaser), one.language).to_json()
        return {"figure": figure, "loops": "round" if one.teaser in ROUND else "back"}

    def figure(self, given: dict[str, Any]) -> dict[str, Any]:
        """Begin to compute a lesson's figure; see `more` for the answer. With `again` a page asks for a
        figure that it has in another language: it is told again, where it is still there.
        """
        one = self._lesson(given)
        if given.get("again") and (kept := self._whole.get(one.name)) is not None:
            told = self._told(kept, one.name, given)
            return {"job": "", "seen": 0, "done": True, "language": _language(given), "figure": told}
        name, job = secrets.token_urlsafe(12), Job(one.name)
        with self._lock:
            for old in [key for key, kept in self._jobs.items() if kept.done or _is_abandoned(kept)]:
                self._jobs.pop(old).ended.set()
            if len(self._jobs) >= MOST_JOBS:
                raise OptionError("figure", "Too many figures are being computed now. Try again in a minute.")
            self._jobs[name] = job
        threading.Thread(target=self._compute, args=(job,), name="lesson", daemon=True).start()
        return self.more({"job": name, "seen": 0, "language": given.get("language")})

    def more(self, given: dict[str, Any]) -> dict[str, Any]:
        """What there is of a job's figure: {job, seen, done}, where it is newer than `seen` {figure} and its
        {language}, how far it is {part}, and while it is computed its place among those that wait, and how
        many take turns with it {place, others}.
        """
        name, seen = given.get("job"), given.get("seen")
        if not isinstance(name, str) or (job := self._jobs.get(name)) is None:
            raise OptionError("figure", "This figure is no longer being computed. Press the button again.")
        end = time.monotonic() + PATIENCE
        with job.changed:
            job.asked = time.monotonic()
            while not job.done and not (job.figure and job.number != seen) and time.monotonic() < end:
                job.changed.wait(max(end - time.monotonic(), 0.01))
            figure, number, done, error = job.figure, job.number, job.done, job.error
            part, stands = job.part, job.stands
        if done:
            self._jobs.pop(name, None)
        if error:
            return {"error": error}
        news: dict[str, Any] = {}
        if figure is not None and number != seen:
            news = {"figure": self._told(figure, job.name, given), "language": _language(given)}
        if part is not None and not done:
            news["part"] = [part.done, part.of]
        if stands is not None and not done:
            news |= {"place": stands.place, "others": stands.others}
        return {"job": name, "seen": number, "done": done, **news}

    # ---- its parts

    def _lesson(self, given: dict[str, Any]) -> Lesson:
        for one in course(_language(given)):
            if isinstance(one, Lesson) and one.name == given.get("name"):
                return one
        raise OptionError("lesson", f"There is no lesson {given.get('name')!r:.60}. Choose one of the list.")

    def _told(self, figure: Figure, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """A lesson's figure in the language that is asked for."""
        plain, one = self._lesson({"name": name}), self._lesson({"name": name, "language": _language(given)})
        return translated(figure, one.language, names=row_names(plain.settings, one.settings)).to_json()

    def _next_place(self, one: Lesson) -> dict[str, Any]:
        """The place to which the lesson leads: a tab with settings, a recipe, or a race."""
        if not one.go_on:
            return {}
        if isinstance(one.go_on, str):
            return {"tab": one.go_on, "choices": {}}
        if "tab" in one.go_on:
            return {
                "tab": one.go_on["tab"],
                "choices": {name: value for name, value in one.go_on.items() if name != "tab"},
            }
        found = go_on_recipe(self.studio, one.go_on)
        kind, note = ("race", "go on race") if isinstance(found, RaceRecipe) else ("recipe", "go on note")
        text = found.to_json()
        return {
            "link": f"?{kind}={quote(text)}",
            "kind": kind,
            "text": text,
            "note": words(one.language)[note],
        }

    def _compute(self, job: Job) -> None:
        turn, one = self.compute.turn(job.ended), self._lesson({"name": job.name})

        def items() -> figures.Made:
            yield from figures.draw(self.studio, one.figure, one.settings, turn.ask)

        watched = True
        try:
            for found in self.compute.watched(items(), 0.0, turn):
                if isinstance(found, figures.Part):
                    job.put(part=found)
                elif isinstance(found, Progress):
                    job.put(stands=found)
                else:
                    job.put(figure=found)
                if _is_abandoned(job):
                    watched = False
                    job.ended.set()
            if job.figure is not None and watched and not _is_abandoned(job):
                self._whole[job.name] = job.figure
            job.put(done=True)
        except StudioError as error:
            job.put(done=True, error=in_words(error))
        except Exception:
            job.put(done=True, error="This figure failed on the server, which says why. Try another lesson.")
            raise


def _language(given: Mapping[str, Any]) -> str:
    """The language that is asked for, or the first where there is none of that name."""
    language = given.get("language")
    return language if isinstance(language, str) and language in languages() else FIRST


def _link_text(value: object, kind: str) -> str:
    """The JSON of a followed link of this kind, "" for a link of another kind. The page adds blanks at the
    end of a link that is followed again, so that Gradio takes it as a new value.
    """
    if not isinstance(value, dict) or value.get("kind") != kind or not isinstance(value.get("text"), str):
        return ""
    number = value.get("number")
    return value["text"] + " " * (number % 8 if isinstance(number, int) else 0)


def _png(picture: Picture | None) -> str:
    """The picture as an address, "" without one."""
    return "" if picture is None else f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"


def go_on_recipe(studio: Studio, given: Mapping[str, Any]) -> Recipe | RaceRecipe:
    """The run with which a lesson goes on, or with `race`, a list of lanes, the race of these."""
    settings = dict(given)
    lanes, model = settings.pop("race", None), settings.pop("model")
    if lanes is None:
        return studio.recipe(model, **settings)
    return RaceRecipe(tuple(studio.recipe(model, **settings, **lane) for lane in lanes))


def _is_abandoned(job: Job) -> bool:
    """Whether no page has asked about the job for `LEFT_ALONE` seconds: it has closed, or shows another
    lesson.
    """
    return time.monotonic() - job.asked > LEFT_ALONE
