"""Points in the app: a model of points in Generate, and the Points tab from a drawing to a cloud."""

from __future__ import annotations

import math
import re

import pytest
from helpers import answered, choose_model, chosen_model, open_tab

pytestmark = pytest.mark.slow

PLAYER = "document.querySelector('#points-player .player').dataset"
INK = """(() => {
  const c = document.querySelector("#points-player [data-half='x'] canvas");
  return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, k) => k % 4 === 3 && v > 100);
})()"""


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
    page.click("#shape [data-name='my drawing']")
    page.wait_for_selector("#pad canvas")
    page.locator("#pad canvas").scroll_into_view_if_needed()
    box = page.locator("#pad canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] + 60, middle[1])
    page.mouse.down()
    for k in range(25):
        page.mouse.move(middle[0] + 60 * math.cos(k / 4), middle[1] + 60 * math.sin(k / 4))
    page.mouse.up()
    page.evaluate(
        "(() => { const d = document.querySelector('#points-player .player').dataset; window.played = false;"
        " new MutationObserver(() => { if (d.playing === 'true') window.played = true; })"
        ".observe(document.querySelector('#points-player .player'), {attributeFilter: ['data-playing']}); })()"
    )
    ended(page, "#points-forward")
    page.wait_for_function("window.played")  # it is computed at once, and so it plays from its start
    steps = page.locator("#points-steps input[type=number]")
    steps.fill("300")
    steps.blur()
    ended(page, "#points-train")
    page.wait_for_selector("#points-network:has-text('.safetensors')")
    ended(page, "#points-reverse")
    assert "that you trained" in page.inner_text("#points-status")
    assert colours(page, "#points-player [data-half=x] canvas") > 50
    page.click("#points-export > button")
    with page.expect_download() as caught:
        page.click("#points-make-file")
    page.locator("#points-file a[download]").wait_for()
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
    with answered(desktop):
        desktop.click("#shape [data-name='my drawing']")
    desktop.click("#points-forward")
    desktop.wait_for_selector(".points-press + .said-wrong >> text=Draw a shape first", timeout=60_000)


def test_the_tab_opens_with_a_shape_that_dissolves_and_the_player_speaks_of_points(desktop):
    open_tab(desktop, "Points")
    desktop.wait_for_function(f"Number({PLAYER}.place) >= 2 && {PLAYER}.opening === 'true'")  # it plays
    made = "document.querySelector('#points-player .made').textContent"
    assert desktop.evaluate(made) == "an example: swiss roll · dissolving. 1, 2 and 3 make your own."
    assert desktop.evaluate(INK)  # points are drawn
    assert desktop.locator("#points-player .bar .save").is_disabled()
    pictures = desktop.locator("#shape [data-name] img")
    assert pictures.count() == 9 and not desktop.locator(".points-stop:visible").count()
    with answered(desktop):
        desktop.click("#shape [data-name='moons']")
    assert desktop.locator("#shape [aria-pressed=true]").get_attribute("data-name") == "moons"
    desktop.wait_for_function(f"{made} === 'an example: moons · dissolving. 1, 2 and 3 make your own.'")
    ended(desktop, "#points-forward")
    desktop.wait_for_function(f"{PLAYER}.shown === '50'")
    assert desktop.inner_text("#points-player .left") == "the cloud at this step"
    assert "Each point has drifted" in desktop.inner_text("#points-player .say")
    ended(desktop, "#points-reverse")
    assert "bundled network shapes" in desktop.inner_text("#points-status")
    assert "the network's guess of the shape" in desktop.inner_text("#points-player .right")


def test_a_stopped_training_keeps_its_network_and_goes_on(desktop):
    open_tab(desktop, "Points")
    desktop.locator("#points-steps input[type=number]").fill("4000")
    desktop.locator("#points-steps input[type=number]").blur()
    desktop.click("#points-train")
    desktop.wait_for_function(
        f"{PLAYER}.doing === 'training' && Number({PLAYER}.place) >= 1", timeout=180_000
    )  # two looks: 166 steps
    beside = desktop.locator("#points-train").bounding_box()["y"]
    assert abs(desktop.locator(".points-stop:visible").bounding_box()["y"] - beside) < 8
    desktop.click(".points-stop:visible")
    desktop.locator("#points-more").wait_for()
    said = desktop.inner_text("#points-status")
    assert "The training stopped, after" in said and "of 4,000 steps" in said
    made = re.search(r"after ([\d,]+) of", said)[1].replace(",", "")
    desktop.wait_for_function(  # the network as it was kept is shown, not an earlier look
        f"document.querySelector('#points-player .step').textContent === 'training step {made} of 4000'"
    )
    desktop.wait_for_selector("#points-network:has-text('.safetensors')")
    assert desktop.inner_text("#points-player .step").startswith("training step ")
    before = desktop.evaluate(f"{PLAYER}.run")
    desktop.click("#points-more")  # a new recording begins where the other stopped
    desktop.wait_for_function(f"{PLAYER}.run !== '{before}' && Number({PLAYER}.place) >= 0", timeout=180_000)
    assert not desktop.inner_text("#points-player .step").startswith("training step 0 ")
    desktop.click(".points-stop:visible")
    desktop.locator("#points-more").wait_for()


def test_a_cloud_of_another_shape_is_dimmed_and_named(desktop):
    open_tab(desktop, "Points")
    with answered(desktop):
        desktop.click("#shape [data-name='moons']")
    ended(desktop, "#points-forward")
    stale = "document.querySelector('#points-player .player').classList.contains('stale')"
    assert not desktop.evaluate(stale)
    with answered(desktop):
        desktop.click("#shape [data-name='rings']")
    desktop.wait_for_function(stale)
    assert desktop.inner_text("#points-player .made") == "was made with moons · dissolved in 50 steps"
    desktop.locator("#points-sampler input[value=ddpm]").check()  # of no consequence to what is shown
    with answered(desktop):
        desktop.click("#shape [data-name='moons']")
    desktop.wait_for_function(f"!{stale}")
    assert desktop.inner_text("#points-player .made") == ""


def test_a_press_ends_the_run_before_and_is_never_lost(desktop):
    open_tab(desktop, "Points")
    steps = desktop.locator("#points-steps input[type=number]")
    steps.fill("4000")
    steps.blur()
    desktop.click("#points-train")
    desktop.wait_for_function(
        f"{PLAYER}.doing === 'training' && Number({PLAYER}.place) >= 1", timeout=180_000
    )
    desktop.click("#points-reverse")  # the network as it is now
    desktop.wait_for_function(
        f"{PLAYER}.doing === '' && {PLAYER}.run && {PLAYER}.ended === 'true'", timeout=180_000
    )
    desktop.wait_for_selector("#points-status:has-text('by the network that you trained')")
    desktop.locator("#points-more").wait_for()
    desktop.focus("#points-player .player")
    desktop.keyboard.press("End")  # the sentence below the cloud says whose cloud it is
    said = "document.querySelector('#points-player .say').textContent"
    desktop.wait_for_function(f"{said}.startsWith('This is what an unfinished network makes of noise')")
    assert re.search(r"The network had [\d,]+ of 4,000 training steps", desktop.evaluate(said))
    before = desktop.evaluate(f"{PLAYER}.run")
    desktop.click("#points-reverse")
    desktop.click("#points-forward")
    assert desktop.locator(".points-stop:visible").count() or desktop.evaluate(f"{PLAYER}.run") != before
    desktop.wait_for_function(
        f"{PLAYER}.doing === 'dissolving' && {PLAYER}.ended === 'true'", timeout=180_000
    )
    desktop.wait_for_selector("#points-status:has-text('nothing of the shape is left')")
