"""Points in the app: a model of points in Generate, and the Points tab from a drawing to a cloud."""

from __future__ import annotations

import math

import pytest
from helpers import choose_model, chosen_model, open_tab

pytestmark = pytest.mark.slow

PLAYER = "document.querySelector('#points-player .player').dataset"


def ended(page, button: str) -> None:
    before = page.evaluate(f"{PLAYER}.run") or ""
    page.click(button)
    page.wait_for_function(
        f"(() => {{ const d = {PLAYER}; return d.run && d.run !== '{before}' && d.ended === 'true'"
        " && Number(d.loaded) > 1; })()",
        timeout=180_000,
    )


def colours(page, where: str) -> int:
    """How many different colours a canvas shows."""
    return page.evaluate(
        "where => { const c = document.querySelector(where), d = c.getContext('2d').getImageData(0, 0, "
        "c.width, c.height).data; return new Set(new Uint32Array(d.buffer)).size; }",
        where,
    )


def test_a_model_of_points_plays_in_generate(desktop):
    choose_model(desktop, "swiss-roll")
    desktop.wait_for_function("document.querySelector('#count input').value === '1'")
    desktop.click("#generate")
    desktop.wait_for_function(
        "(() => { const d = document.querySelector('#player .player').dataset;"
        " return d.ended === 'true' && d.loaded === '51' && d.shown === '50'; })()",
        timeout=120_000,
    )
    assert desktop.inner_text("#player .level") == "clean points"
    plain = colours(desktop, "#player [data-half=x] canvas")
    assert plain > 100
    desktop.check("#player .trails")
    desktop.wait_for_timeout(500)
    assert colours(desktop, "#player [data-half=x] canvas") != plain


@pytest.mark.slow
def test_a_drawing_is_dissolved_learned_and_made_again(page):
    open_tab(page, "Points")
    page.wait_for_selector("#points-player .player")
    page.click("#shape input")
    page.click("[role=option]:has-text('my drawing')")
    page.wait_for_selector("#pad canvas")
    page.locator("#pad canvas").scroll_into_view_if_needed()
    box = page.locator("#pad canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] + 60, middle[1])
    page.mouse.down()
    for k in range(25):
        page.mouse.move(middle[0] + 60 * math.cos(k / 4), middle[1] + 60 * math.sin(k / 4))
    page.mouse.up()
    ended(page, "#points-forward")
    steps = page.locator("#points-steps input[type=number]")
    steps.fill("300")
    steps.blur()
    ended(page, "#points-train")
    page.wait_for_selector("#points-network:has-text('.safetensors')")
    ended(page, "#points-reverse")
    assert "that you trained" in page.inner_text("#points-status")
    assert colours(page, "#points-player [data-half=x] canvas") > 50
    page.click("#points-export > button")
    page.click("#points-make-file")
    link = page.locator("#points-file a[download]")
    link.wait_for()
    with page.expect_download() as caught:
        link.click()
    assert caught.value.suggested_filename.startswith(
        "my-drawing-"
    )  # no model's name, which would be replayed in its place
    page.click("#points-use")
    page.wait_for_selector("#generate:visible")
    assert chosen_model(page).startswith("my-points")  # the earlier page may still have the name
    page.click("#generate")
    page.wait_for_function(
        "(() => { const d = document.querySelector('#player .player').dataset;"
        " return d.ended === 'true' && d.loaded === '51' && d.shown === '50'; })()",
        timeout=120_000,
    )
    assert colours(page, "#player [data-half=x] canvas") > 50
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_an_empty_pad_is_explained(desktop):
    open_tab(desktop, "Points")
    desktop.click("#shape input")
    desktop.click("[role=option]:has-text('my drawing')")
    desktop.click("#points-forward")
    desktop.wait_for_selector("text=Draw a shape first")
