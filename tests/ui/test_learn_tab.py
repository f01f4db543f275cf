"""What the Learn tab's page asks, asked without a page."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from diffusion_studio.compare.recipes import RaceRecipe
from diffusion_studio.errors import OptionError
from diffusion_studio.inside.figure import Curves, Figure
from diffusion_studio.lessons import figures
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.studio import Studio
from diffusion_studio.ui import learn_tab, learn_teasers
from diffusion_studio.ui.compute import Compute, Progress
from diffusion_studio.ui.learn_tab import LearnTab

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tab():
    import gradio as gr

    with gr.Blocks():
        return LearnTab(Studio(ROOT / "checkpoints"), Compute())


def part(k: int) -> Figure:
    return Figure(1, curves=[Curves(str(k), [("a", [0, 1], [0, k])])])


def whole(tab, found: dict, language: str = "en") -> list[dict]:
    """All answers until the figure is done."""
    answers = [found]
    while not answers[-1].get("done") and "error" not in answers[-1]:
        asked = {"job": answers[-1]["job"], "seen": answers[-1]["seen"], "language": language}
        answers.append(tab.element.more(asked))
    return answers


def test_the_course_in_a_language_and_in_one_that_is_not_there(tab):
    german, english = (tab.element.course({"language": code}) for code in ("de", "xx"))
    assert german["language"] == "de" and german["words"]["next"] == "Nächste Lektion"
    assert english["language"] == "en" and [one["number"] for one in english["lessons"]] == [*range(1, 10)]
    assert list(english["languages"]) == ["en", "de"]


def test_a_lesson_and_where_it_leads(tab):
    found = tab.element.lesson({"name": "7-fewer-steps", "language": "de"})
    assert found["title"] == "Weniger Schritte" and found["right"] == 2 and len(found["answers"]) == 3
    race = RaceRecipe.from_json(unquote(found["link"].removeprefix("?race=")))
    assert [one.steps for one in race.lanes] == [50, 8, 8, 8]
    assert found["note"].startswith("öffnet Compare")
    found = tab.element.lesson({"name": "5-the-network"})
    recipe = Recipe.from_json(unquote(found["link"].removeprefix("?recipe=")))
    assert (recipe.model, recipe.label, recipe.steps) == ("fashion-mnist", "Trouser", 12)
    assert found["kind"] == "recipe" and Recipe.from_json(found["text"]) == recipe
    found = tab.element.lesson({"name": "1-noise-goes-in"})
    assert found["tab"] == "Forward" and found["choices"]["schedules"] == ["linear"]
    assert found["picture"].startswith("data:image/png") and found["before"]
    assert tab.element.lesson({"name": "4-learning-it"})["choices"] == {"shape": "moons", "steps": 400}
    assert tab.element.lesson({"name": "4-learning-it"})["picture"] == ""
    assert "no lesson 'x'" in tab.element.lesson({"name": "x"})["error"]


def test_a_figure_comes_as_it_grows(tab, monkeypatch):
    def slow(studio, ask, **settings):
        for k in range(3):
            yield part(k)
            time.sleep(0.3)

    monkeypatch.setitem(figures.FIGURES, "forward", slow)
    monkeypatch.setattr(learn_tab, "PATIENCE", 0.2)
    answers = whole(tab, tab.element.figure({"name": "1-noise-goes-in"}))
    titles = [one["figure"]["curves"][0]["title"] for one in answers if "figure" in one]
    assert titles[0] == "0" and titles[-1] == "2" and answers[-1]["done"]
    again = tab.element.more({"job": answers[-1]["job"], "seen": 0})
    assert "no longer being computed" in again["error"]


def test_a_figure_is_told_again_in_another_language(tab, monkeypatch):
    """Also while it is made, with the names that the translation gives to rows. Nothing is drawn again."""
    calls, going = [], threading.Event()

    def rows(studio, ask, **settings):
        calls.append(settings)
        for _ in range(2):
            names = [row["name"] for row in settings["rows"]]
            yield Figure(1, labels=[f"{names[0]}: 0.123 RMS from {names[-1]}"])
            going.wait(60)

    monkeypatch.setitem(figures.FIGURES, "runs", rows)
    name = "2-noise-comes-out"
    plain, other = (
        [row["name"] for row in tab._lesson({"name": name, "language": code}).settings["rows"]]
        for code in ("en", "de")
    )
    found = tab.element.figure({"name": name, "language": "en"})
    assert found["figure"]["labels"] == [f"{plain[0]}: 0.123 RMS from {plain[-1]}"]
    german = [f"{other[0]}: 0,123 RMS von {other[-1]}"]
    found = tab.element.more({"job": found["job"], "seen": 0, "language": "de"})
    assert found["figure"]["labels"] == german and found["language"] == "de"
    going.set()
    assert whole(tab, found)[-1]["done"]
    again = tab.element.figure({"name": name, "language": "de", "again": True})
    assert again["done"] and again["figure"]["labels"] == german and len(calls) == 1
    tab._whole.clear()  # as after a restart of the server: it is drawn again
    again = whole(tab, tab.element.figure({"name": name, "language": "de", "again": True}), "de")
    assert again[-1]["done"] and len(calls) == 2
    assert [one["figure"]["labels"] for one in again if "figure" in one][-1] == german


def test_a_figure_says_how_far_it_is(tab, monkeypatch):
    going = threading.Event()

    def slow(studio, ask, **settings):
        yield figures.Part(3, 12)
        going.wait(60)
        yield part(1)

    monkeypatch.setitem(figures.FIGURES, "forward", slow)
    monkeypatch.setattr(learn_tab, "PATIENCE", 0.05)
    found = tab.element.figure({"name": "1-noise-goes-in"})
    end = time.monotonic() + 60
    while "part" not in found and time.monotonic() < end:
        found = tab.element.more({"job": found["job"], "seen": found["seen"]})
    assert found["part"] == [3, 12] and "figure" not in found
    going.set()
    last = whole(tab, found)[-1]
    assert last["done"] and "part" not in last


def test_a_link_that_is_followed_again_is_new():
    value = {"kind": "race", "text": "{}", "number": 1}
    assert learn_tab._link_text(value, "race") != learn_tab._link_text({**value, "number": 2}, "race")
    assert learn_tab._link_text(value, "race").strip() == "{}"
    for other in ({**value, "kind": "recipe"}, {"kind": "race"}, None, "race {}"):
        assert learn_tab._link_text(other, "race") == ""


def test_the_page_has_symbols_and_an_ending_in_each_language(tab):
    for code, name in (("en", "the clean picture"), ("de", "das saubere Bild")):
        found = tab.element.course({"language": code})
        assert name in found["symbols"] and "<sub>0</sub>" in found["symbols"]
        assert '<b class="control">Points</b>' in found["words"]["end next"]


def test_a_figure_that_fails_says_so(tab, monkeypatch):
    def refuses(studio, ask, **settings):
        yield from figures.runs(studio, ask, model="fashion-mnist", rows=[{"steps": 999}])

    monkeypatch.setitem(figures.FIGURES, "forward", refuses)
    assert "may take 500" in whole(tab, tab.element.figure({"name": "1-noise-goes-in"}))[-1]["error"]


def test_a_figure_that_nobody_asks_about_ends(tab, monkeypatch):
    made = []

    def endless(studio, ask, **settings):
        while True:
            made.append(ask(lambda: 1))
            time.sleep(0.01)
            yield part(len(made))

    monkeypatch.setitem(figures.FIGURES, "forward", endless)
    monkeypatch.setattr(learn_tab, "LEFT_ALONE", 0.3)
    found = tab.element.figure({"name": "1-noise-goes-in"})
    job = tab._jobs[found["job"]]
    assert job.ended.wait(20)
    with job.changed:
        assert job.changed.wait_for(lambda: job.done, 20)


def test_as_many_jobs_as_there_is_room_for(tab, monkeypatch):
    monkeypatch.setattr(learn_tab, "MOST_JOBS", 0)
    assert "Try again in a minute" in tab.element.figure({"name": "1-noise-goes-in"})["error"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_something_moves_in_each_lesson_at_once(tab, language):
    """Without a network, and small enough to be there soon."""
    for one in tab.element.course({"language": language})["lessons"]:
        found = tab.element.teaser({"name": one["name"], "language": language})
        figure = found["figure"]
        [row] = figure["rows"]
        assert figure["states"] >= 20 and found["loops"] in ("round", "back"), one["name"]
        assert sum(len(cell["sheet"]) for cell in row["cells"]) < 500_000, one["name"]
        if language == "de":
            assert not any("noise" in cell["title"] or "network" in cell["title"] for cell in row["cells"])


def test_the_states_of_a_teaser_differ():
    for name in learn_teasers.TEASERS:
        film = learn_teasers.teaser(name).rows[0][1][0]
        assert (film.pictures[0] != film.pictures[len(film.pictures) // 2]).mean() > 0.005, name
    with pytest.raises(OptionError, match="no teaser 'dance'"):
        learn_teasers.teaser("dance")


def test_a_recorded_run_shows_its_state_or_its_guess():
    """One of the two, four whole pictures of it; both are the same at the end alone."""
    state, guess = (
        learn_teasers.teaser(f"recorded {one}").rows[0][1][0].pictures for one in ("run", "guess")
    )
    assert state.shape[1:] == guess.shape[1:] == (64, 64, 3)
    assert (state[-1] == guess[-1]).all() and (state[0] != guess[0]).mean() > 0.5
    rough = [np.abs(np.diff(one[2].astype(int), axis=1)).mean() for one in (state, guess)]
    assert rough[0] > 2 * rough[1]  # noise, and what is seen in it


def test_a_figure_says_what_it_waits_for(tab, monkeypatch):
    monkeypatch.setattr(learn_tab, "PATIENCE", 0.0)
    tab._jobs["a"] = learn_tab.Job(stands=Progress(0, 2, 5))
    found = tab.element.more({"job": "a", "seen": 0})
    assert (found["place"], found["others"]) == (2, 5)
