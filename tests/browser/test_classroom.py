"""A teacher's page and a page in its room: what one shows plays in the other."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import pixels, player, run, wait

SEEK = """place => { const scrub = document.querySelector('#player .scrub'); scrub.value = place;
  scrub.dispatchEvent(new Event('input')); }"""


@pytest.fixture
def pupil(app, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page, errors = context.new_page(), []
    page.set_default_timeout(120_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []
    context.close()


@pytest.mark.slow
def test_what_the_teacher_shows_plays_in_the_room(desktop, pupil, app):
    desktop.click("#player .class")
    desktop.click("#classroom .begin")
    desktop.wait_for_selector("#classroom .teaching:not([hidden])")
    code = desktop.inner_text("#classroom .teaching .code")
    pupil.goto(f"{app}/?room={code.lower()}")
    desktop.wait_for_selector("#classroom .watching:text-is('1 page watches')")
    pupil.wait_for_selector("#classroom .words:text-is('The teacher has shown nothing yet.')")
    assert not pupil.locator("#generate, #model, #player .save, #player .branch").filter(visible=True).count()

    run(desktop, count=1)
    wait(pupil, f"d.run === '{player(desktop)['run']}' && d.ended === 'true'")
    for place in (3, 11):  # the teacher's place leads
        desktop.evaluate(SEEK, place)
        for page in (desktop, pupil):
            wait(page, f"d.shown === '{place}'")
        assert (pixels(desktop, "x0") == pixels(pupil, "x0")).all()
    assert np.ptp(pixels(pupil, "x0")) > 100

    assert pupil.locator("#player .scrub").evaluate("one => getComputedStyle(one).pointerEvents") == "none"
    desktop.click("#classroom .leads")  # from here on each page is where it likes
    pupil.wait_for_selector(
        "#classroom .words:text-is('What the teacher runs plays here; move through it as you like.')"
    )
    pupil.evaluate(SEEK, 2)
    wait(pupil, "d.shown === '2'")
    desktop.evaluate(SEEK, 8)
    wait(desktop, "d.shown === '8'")
    pupil.wait_for_timeout(2500)
    assert player(pupil)["shown"] == "2"

    desktop.reload()  # the room stays open, and this page its teacher's
    desktop.wait_for_selector(f"#classroom .teaching .code:text-is('{code}')")
    desktop.click("#classroom .end")
    pupil.wait_for_selector("#classroom .words:text-is('The room is closed. What was shown stays.')")
    assert desktop.locator("#classroom .classroom").is_hidden()
    pupil.click("#classroom .leave")
    pupil.wait_for_selector("#generate", state="visible")
    assert "room" not in pupil.url


@pytest.mark.slow
def test_a_room_that_is_not_there_is_said(pupil, app):
    pupil.goto(f"{app}/?room=ZZZZZZ")
    pupil.wait_for_selector("#classroom .words:text-matches('^There is no open room of this name')")
