"""The course: all nine lessons walked, a lesson on a phone in German, and what is kept in the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import chosen_model, open_tab

from diffusion_studio.lessons.lesson import course

pytestmark = pytest.mark.slow

LESSONS = course("en")
WAIT = 120_000  # ms, for a figure on a machine under load
AXE = Path(__file__).with_name("axe.min.js")


def lesson(page, name: str, shown: str) -> None:
    """Wait until a lesson stands so: its question, its figure being made, or the whole of it."""
    page.wait_for_selector(f"#learn .lesson[data-lesson='{name}'][data-shown='{shown}']", timeout=WAIT)


def answer(page, number: int) -> None:
    page.locator("#learn .question input").nth(number).check()
    page.click("#learn .press")


def test_the_course_is_walked(desktop):
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    desktop.click("#learn .press")
    assert desktop.inner_text("#learn .hint") == "Choose an answer first."
    for one in LESSONS:
        lesson(desktop, one.name, "question")
        assert desktop.locator("#learn .seen .ds-figure").count() == 0  # the question comes first
        desktop.wait_for_selector("#learn .teaser .ds-figure[data-playing=true]", timeout=WAIT)
        assert one.title in desktop.inner_text("#learn .lesson h2")
        answer(desktop, one.right if one.number % 2 else one.right - 1)
        said = desktop.inner_text("#learn .verdict")
        assert said.startswith("That is right" if one.number % 2 else "Not so. What happens is"), one.name
        desktop.wait_for_selector("#learn .ds-figure :is(canvas, svg)", timeout=WAIT)
        if one.figure != "training":  # one may go on while it is being made
            lesson(desktop, one.name, "whole")
            assert desktop.locator("#learn .happened").is_visible()
            if desktop.locator("#learn .ds-figure canvas").count():
                desktop.wait_for_selector("#learn .ds-figure canvas[data-ready=true]", timeout=WAIT)
        assert desktop.locator("#learn .source > ul li").count() == len(one.papers)
        assert desktop.locator("#learn .go-on").count() == 1
        assert desktop.evaluate("document.documentElement.scrollWidth") <= 1440, one.name
        if one.number < 9:
            desktop.click("#learn .next")
    assert (
        desktop.locator("#learn .course .done").count() == 9 and desktop.locator("#learn .next").count() == 0
    )
    assert "9 of 9" in desktop.inner_text("#learn .progress-line")
    assert "9 of 9 questions, 5 of them right" in desktop.inner_text("#learn .ending .score")
    assert desktop.locator("#learn .ending [data-again]").count() == 4  # those that were missed
    desktop.evaluate(AXE.read_text("utf-8"))
    found = desktop.evaluate("axe.run(document.querySelector('#learn'), {resultTypes: ['violations']})")
    assert [one["id"] for one in found["violations"]] == []


def test_it_goes_on_from_here(desktop):
    """Into Generate with the figure's settings, and the progress is still there."""
    open_tab(desktop, "Learn")
    desktop.click("#learn [data-lesson^='2-']")
    lesson(desktop, "2-noise-comes-out", "question")
    answer(desktop, 2)
    lesson(desktop, "2-noise-comes-out", "whole")
    # the slider stays in sight while the last row is looked at
    rows = "[...document.querySelectorAll('#learn .figure-row')]"
    desktop.wait_for_function(
        f"(() => {{ {rows}.at(-1).scrollIntoView({{block: 'end', behavior: 'instant'}});"
        "const at = document.querySelector('#learn .transport').getBoundingClientRect();"
        "return at.top >= 0 && at.bottom <= innerHeight; })()",
        timeout=WAIT,
    )
    desktop.click("#learn .go-on")
    desktop.wait_for_selector("#generate:visible", timeout=WAIT)
    desktop.wait_for_function("document.querySelector('#steps input')?.value === '24'", timeout=WAIT)
    assert chosen_model(desktop) == "fashion-mnist"
    open_tab(desktop, "Learn")
    lesson(desktop, "2-noise-comes-out", "whole")  # as one left it: the page has not been loaded again
    assert desktop.locator("#learn .course .done").count() == 1
    assert desktop.locator("#learn .question input").nth(2).is_checked()
    assert desktop.locator("#learn .ds-figure canvas").count() == 6
    assert desktop.locator("#learn .next").is_visible()


def test_a_lesson_goes_on_with_its_choices(desktop):
    """Into Forward, which then shows the lesson's own figure, and whose styles leave the lesson's alone."""
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    colour = "getComputedStyle(document.querySelector('#learn .press')).backgroundColor"
    before = desktop.evaluate(colour)
    answer(desktop, 1)
    lesson(desktop, LESSONS[0].name, "whole")
    desktop.click("#learn .go-on")
    desktop.wait_for_selector("#forward .ds-figure:visible", timeout=WAIT)
    chosen = "[...document.querySelectorAll('#forward .schedule')].map((one) => one.value).join()"
    assert desktop.evaluate(chosen) == "linear,,"
    ways = "[...document.querySelectorAll('#forward .ways input')].map((one) => one.checked).join()"
    assert desktop.evaluate(ways) == "true,true"
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "whole")
    assert desktop.evaluate(colour) == before
    desktop.click("#learn [data-lesson^='6-']")
    lesson(desktop, "6-the-schedule", "question")
    answer(desktop, 2)
    lesson(desktop, "6-the-schedule", "whole")
    desktop.click("#learn .go-on")  # where the tab has been opened before
    desktop.wait_for_function(f"{chosen} === 'linear,cosine,'", timeout=WAIT)


def test_the_text_comes_after_the_figure(desktop):
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    assert desktop.locator("#learn .photograph").is_visible()
    desktop.evaluate(
        """() => { window.early = 0;
          const note = () => {
            const told = document.querySelector('#learn .told');
            if (told?.checkVisibility() && !document.querySelector('#learn .whole .ds-figure')) window.early += 1;
          };
          new MutationObserver(note).observe(document.querySelector('#learn'),
            { subtree: true, childList: true, attributes: true }); }"""
    )
    answer(desktop, 1)
    lesson(desktop, LESSONS[0].name, "whole")
    assert desktop.locator("#learn .happened").is_visible() and desktop.evaluate("window.early") == 0


def test_what_was_answered_goes_on_after_a_reload(desktop):
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    answer(desktop, 1)
    lesson(desktop, LESSONS[0].name, "whole")
    desktop.reload()
    desktop.wait_for_selector("#generate")
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    assert desktop.locator("#learn .question input").nth(1).is_checked()
    assert desktop.locator("#learn .next").is_visible() and desktop.locator("#learn .go-on").is_visible()


def test_a_lesson_goes_on_as_a_race(desktop):
    open_tab(desktop, "Learn")
    desktop.click("#learn [data-lesson^='7-']")
    lesson(desktop, "7-fewer-steps", "question")
    answer(desktop, 2)
    lesson(desktop, "7-fewer-steps", "whole")
    assert desktop.locator("#learn .ds-figure canvas").count() == 4
    assert desktop.locator("#learn .figure-curves svg").count() == 1
    desktop.click("#learn .go-on")
    desktop.wait_for_selector(".together[data-kind=race][data-runs='4'][data-recorded=false]", timeout=WAIT)
    assert desktop.input_value("#compare-lanes textarea").splitlines()[0] == "as it is"


def test_a_lesson_in_german(page):
    open_tab(page, "Learn")
    lesson(page, LESSONS[0].name, "question")
    page.select_option("#learn .language", "de")
    page.wait_for_selector("#learn h2:has-text('Neun Lektionen')", timeout=WAIT)
    page.click("#learn [data-lesson^='6-']")
    lesson(page, "6-the-schedule", "question")
    assert "Der Zeitplan" in page.inner_text("#learn .lesson h2")
    answer(page, 0)
    assert page.inner_text("#learn .verdict").startswith("Nein. Es geschieht dies: Etwa 8 %.")
    lesson(page, "6-the-schedule", "whole")
    assert page.locator("#learn .ds-figure canvas").count() == 4  # two schedules, samples of both
    slider = page.locator("#learn .transport input")
    slider.fill("10")
    assert page.locator("#learn .ds-figure").get_attribute("data-state") == "10"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.locator("#learn .lesson").get_attribute("lang") == "de"
    page.click("#learn .go-on")  # a tab, which a phone has in a menu
    page.wait_for_selector("#forward .ds-figure:visible", timeout=WAIT)
    page.reload()
    page.wait_for_selector("#generate")
    open_tab(page, "Learn")
    page.wait_for_selector("#learn h2:has-text('Neun Lektionen')", timeout=WAIT)
    assert page.locator("#learn .course .done").count() == 1


@pytest.mark.parametrize(
    "stored", ["no JSON", '{"answers": {"1-noise-goes-in": 99}, "language": "xx", "last": "gone"}']
)
def test_what_a_browser_keeps_may_be_anything(desktop, stored):
    desktop.evaluate("stored => localStorage.setItem('diffusion-studio-lessons', stored)", stored)
    open_tab(desktop, "Learn")
    lesson(desktop, LESSONS[0].name, "question")
    assert desktop.locator("#learn .course ol button").count() == 9


def test_a_place_is_clicked_and_the_language_keeps_the_figure(page):
    """Lesson 5: where a place looks, by click and by keys; the figure stays as it was in another language."""
    open_tab(page, "Learn")
    page.click("#learn [data-lesson^='5-']")
    lesson(page, "5-the-network", "question")
    answer(page, 1)
    lesson(page, "5-the-network", "whole")
    page.wait_for_selector("#learn .places[data-ready=true]", timeout=WAIT)
    page.wait_for_selector("#learn .whole .ds-figure[data-playing=false]", timeout=WAIT)
    page.locator("#learn .transport input").fill("11")
    places, said = (
        page.locator("#learn .places"),
        "document.querySelector('#learn .place-cell .caption').textContent",
    )
    assert places.get_attribute("data-place") == "6,3"
    before = page.evaluate(said)
    box = places.bounding_box()
    places.click(position={"x": box["width"] * 0.05, "y": box["height"] * 0.05})
    assert places.get_attribute("data-place") == "0,0"
    after = page.evaluate(said)
    assert before != after and after.endswith("% of its attention goes beyond its neighbours (dashed)")
    page.keyboard.press("ArrowRight")
    assert places.get_attribute("data-place") == "0,1"
    assert (
        page.locator("#learn .whole .ds-figure").get_attribute("data-state") == "11"
    )  # not the slider's keys
    page.locator("#learn .transport input").fill("4")
    page.select_option("#learn .language", "de")
    page.wait_for_selector(
        "#learn .whole .ds-figure figcaption:has-text('eine Stelle anklicken')", timeout=WAIT
    )
    assert page.locator("#learn .whole .ds-figure").get_attribute("data-state") == "4"
    page.wait_for_selector("#learn .places[data-place='0,1'][data-ready=true]", timeout=WAIT)
    assert page.inner_text("#learn .verdict").startswith("Das stimmt")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_question_and_curves_are_in_sight(desktop, number, size):
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    open_tab(desktop, "Learn")
    one = LESSONS[number - 1]
    desktop.click(f"#learn [data-lesson='{one.name}']")
    lesson(desktop, one.name, "question")
    answer(desktop, one.right)
    lesson(desktop, one.name, "whole")
    desktop.wait_for_function(
        "(() => { const boxes = ['.question', '.whole .curves svg', '.whole canvas'].flatMap((where) => "
        "[...document.querySelectorAll(`#learn ${where}`)]).map((found) => found.getBoundingClientRect());"
        "return boxes.length > 4 && boxes.every((box) => box.top >= 0 && box.bottom <= innerHeight); })()"
    )


def test_a_figure_goes_on_while_another_lesson_is_read(desktop):
    """And the answered question stands above it, in sight."""
    open_tab(desktop, "Learn")
    desktop.click("#learn [data-lesson^='2-']")
    lesson(desktop, "2-noise-comes-out", "question")
    answer(desktop, 1)
    box = desktop.locator("#learn .question").bounding_box()
    assert box["y"] >= 0 and not desktop.locator("#learn .reading").get_attribute("open")
    desktop.click("#learn [data-lesson^='1-']")
    lesson(desktop, LESSONS[0].name, "question")
    desktop.wait_for_selector("#learn .teaser .ds-figure[data-playing=true]", timeout=WAIT)
    desktop.click("#learn [data-lesson^='2-']")
    lesson(desktop, "2-noise-comes-out", "whole")  # no press of the button
    assert desktop.locator("#learn .ds-figure canvas").count() == 6
    assert desktop.inner_text("#learn .verdict").startswith("That is right")
