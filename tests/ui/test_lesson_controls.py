"""What the lessons call the page's controls, against the page."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import gradio as gr
import pytest
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.lessons.lesson import Lesson, course, languages, words
from diffusion_studio.lessons.markdown import CONTROL, controls
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.controls import RecipeControls
from diffusion_studio.ui.page_script import COMPONENTS, HERE
from diffusion_studio.ui.shell import build

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
ELEMENT = re.compile(r"<(button|label|legend|summary|option)\b[^>]*>(.*?)</\1>", re.DOTALL)


@pytest.fixture(scope="module")
def page() -> dict:
    """The tabs of the page, and all names of its controls, those of the drawer among them, which is rendered
    when it is opened.
    """
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    with gr.Blocks() as drawer:
        settings = RecipeControls(studio)
        render_outside_drawer(settings)
        settings.render_rest()
    names, tabs = set(), set()
    for one in (
        *build(studio, Compute()).get_config_file()["components"],
        *drawer.get_config_file()["components"],
    ):
        props = one["props"]
        names.add(props.get("label"))
        if one["type"] == "button":
            names.add(props.get("value"))
        if one["type"] == "tabitem":
            tabs.add(props["label"])
        names.update(choice[0] for choice in props.get("choices") or () if isinstance(choice, (list, tuple)))
    markups = [(HERE / files.markup).read_text("utf-8") for files in COMPONENTS.values() if files.markup]
    for _, inner in (found for markup in markups for found in ELEMENT.findall(markup)):
        names.add(" ".join(unescape(re.sub(r"<[^>]*>", "", inner)).split()))
    return {"names": {one for one in names if isinstance(one, str) and one}, "tabs": tabs}


def lessons() -> list[Lesson]:
    return [one for code in languages() for one in course(code) if isinstance(one, Lesson)]


def texts(one: Lesson) -> list[str]:
    return [one.before, one.after, one.question, *one.answers, one.equation]


def test_the_page_has_every_control_that_a_lesson_names(page):
    named = {name for one in lessons() for text in texts(one) for name in controls(text)}
    assert (
        named <= page["names"] and {"Edit", "A part", "Network", "Block", "Spacing (schedule path)"} <= named
    )
    given = [one.go_on if isinstance(one.go_on, str) else one.go_on.get("tab") for one in lessons()]
    assert {one for one in given if one} <= page["tabs"]
    named = {name for code in languages() for text in words(code).values() for name in controls(text)}
    assert named <= page["names"] | page["tabs"] and "Points" in named
    assert {"Generate", "Learn", "Forward"} <= page["tabs"]


def test_tabs_are_named_as_controls(page):
    """So that the test above sees them. `words.txt` names the two tabs into which a lesson leads."""
    tab = re.compile(r"\b(Generate|Forward|Inside|Spacing)\b")  # the other names begin sentences too
    for one in lessons():
        for text in texts(one):
            assert not (found := tab.search(CONTROL.sub("", text))), f"{one.language}/{one.name}: {found}"
    for code in languages():
        assert "Generate" in words(code)["go on note"] and "Compare" in words(code)["go on race"]


def test_an_unknown_control_is_found(page):
    assert controls("With [[Edit > Fill in a part]] and [[Inside]].") == ["Edit", "Fill in a part", "Inside"]
    assert "Fill in a part" not in page["names"]
