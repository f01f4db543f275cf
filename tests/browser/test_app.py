"""What a person does: generate, watch, scrub, enlarge, stop, export, share, restore."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers import (
    answered,
    choose_model,
    generate,
    pixels,
    player,
    run,
    section,
    set_number,
    wait,
)

import diffusion_studio as ds


@pytest.mark.parametrize(
    "page",
    [(1440, 900), pytest.param((390, 844), marks=pytest.mark.slow)],
    ids=["desktop", "phone"],
    indirect=True,
)
def test_a_newcomer_sees_a_picture_denoise(page):
    set_number(page, "#count", 32)  # so that it takes a while
    began = time.monotonic()
    page.click("#generate")
    wait(page, "Number(d.shown) >= 0")
    assert time.monotonic() - began < 10
    wait(page, "Number(d.shown) >= 3 && d.ended !== 'true'")  # watched while it runs, not after
    assert "step" in page.inner_text(".readout .step")
    wait(page, "d.ended === 'true' && d.loaded === '26' && d.shown === '25'")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.inner_text(".readout .step") == "step 25 of 25"


@pytest.mark.slow
def test_the_canvas_shows_the_engines_own_pixels(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=4, count=4)
    recipe = ds.Studio().recipe("fashion-mnist", steps=4, seeds=(0, 1, 2, 3))
    frames = ds.Studio().run(recipe).frames
    for place in (4, 0, 2):
        desktop.evaluate(
            f"(() => {{ const s = document.querySelector('.scrub'); s.value = {place};"
            "s.dispatchEvent(new Event('input')); })()"
        )
        wait(desktop, f"d.shown === '{place}'")
        for half in ("x", "x0"):
            tiles = getattr(frames[place], half)[..., 0]
            expected = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
            # another process may split the work otherwise: equal up to rounding
            assert np.abs(pixels(desktop, half).astype(int) - expected).max() <= 2


@pytest.mark.slow
def test_scrubbing_playing_and_enlarging_need_no_server(desktop):
    run(desktop, steps=12, count=4)
    requests: list[str] = []
    desktop.on("request", lambda request: requests.append(request.url))
    whole = pixels(desktop, "x0")
    desktop.focus(".player")
    desktop.keyboard.press("Home")
    wait(desktop, "d.shown === '0'")
    desktop.keyboard.press("ArrowRight")
    wait(desktop, "d.shown === '1'")
    desktop.keyboard.press("End")
    wait(desktop, "d.shown === '12'")
    desktop.select_option(".speed", "2")
    desktop.click(".play")  # from the end: starts over
    wait(desktop, "d.shown === '1'")
    desktop.select_option(".speed", "40")
    wait(desktop, "d.shown === '12'")
    box = desktop.locator("[data-half=x0] canvas").bounding_box()
    desktop.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.75)
    wait(desktop, "d.zoom === '3' && d.shown === '12'")
    desktop.wait_for_function("document.querySelector('[data-half=x0] canvas').width === 32")
    np.testing.assert_array_equal(pixels(desktop, "x0"), whole[32:, 32:])
    desktop.keyboard.press("Escape")
    desktop.wait_for_function("document.querySelector('[data-half=x0] canvas').width === 64")
    for key, zoom in (("2", "1"), ("2", ""), ("9", "")):  # by number, and back; there is no ninth
        desktop.keyboard.press(key)
        wait(desktop, f"d.zoom === '{zoom}'")
    line = desktop.locator(".timeline").bounding_box()
    desktop.mouse.click(line["x"] + 2, line["y"] + line["height"] / 2)
    wait(desktop, "d.shown === '0'")
    desktop.click(".views [data-view=x0]")
    assert desktop.locator("[data-half=x]").is_hidden()
    assert not requests


@pytest.mark.slow
def test_another_press_takes_the_place_of_a_run(desktop):
    """Nothing waits for a run that nobody wants any more; the command line is of the settings as they stand."""
    set_number(desktop, "#steps", 400)
    desktop.click("#generate")
    wait(desktop, "Number(d.shown) >= 1")
    long = player(desktop)["run"]
    set_number(desktop, "#steps", 4)
    generate(desktop)
    wait(desktop, f"d.run !== '{long}' && d.ended === 'true' && d.shown === '4'")
    assert desktop.inner_text(".readout .step") == "step 4 of 4"
    set_number(desktop, "#steps", 77)
    section(desktop, "#share")  # which describes the settings as they stand
    desktop.wait_for_function(
        "document.querySelector('#command :is(textarea, input)')?.value.includes('--steps 77 ')"
    )
    desktop.wait_for_function("location.href.includes('steps%22%3A+77')")  # and the address follows
    desktop.reload()
    desktop.wait_for_function("document.querySelector('#steps input[type=number]')?.value === '77'")


@pytest.mark.slow
def test_a_press_right_after_a_stop_runs(desktop):
    set_number(desktop, "#steps", 1000)
    set_number(desktop, "#count", 64)  # it does not end by itself meanwhile
    desktop.click("#generate")
    wait(desktop, "Number(d.shown) >= 1")
    desktop.click("#stop")
    run(desktop, steps=3, count=4)
    assert desktop.inner_text(".readout .state") == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["a word", "-1", "", "1.5"])
def test_a_wrong_seed_is_explained(desktop, seed):
    desktop.locator("#seed input, #seed textarea").fill(seed)
    desktop.click("#generate")
    desktop.wait_for_selector("text=seed must be a whole number")


@pytest.mark.slow
def test_a_palette_is_typed_and_the_pictures_are_drawn_in_it(desktop):
    choose_model(desktop, "fashion-mnist")
    section(desktop, "#palette-section")
    field = desktop.locator("#palette input")
    field.fill("#000,#888,#fff")
    field.press("Enter")
    desktop.wait_for_selector("#palette-below", state="visible")
    run(desktop, steps=4, count=4)
    assert set(np.unique(pixels(desktop, "x0")).tolist()) == {0, 136, 255}


@pytest.mark.slow
def test_clicking_twice_and_two_visitors(desktop, app, browser):
    second = browser.new_page()
    with answered(second):  # what the page asks while it opens would go over the steps
        second.goto(app)
        second.wait_for_selector("#generate")
    set_number(second, "#steps", 8)
    set_number(desktop, "#steps", 8)
    desktop.dblclick("#generate")
    second.click("#generate")
    for page in (desktop, second):
        wait(page, "d.ended === 'true' && d.loaded === '9'")
    assert player(desktop)["run"] != player(second)["run"]
    second.close()


@pytest.mark.slow
def test_closing_the_page_ends_the_run(app, browser, desktop):
    other = browser.new_page()
    other.goto(app)
    other.wait_for_selector("#generate")
    set_number(other, "#steps", 1000)
    set_number(other, "#count", 64)
    other.click("#generate")
    wait(other, "Number(d.shown) >= 0")
    other.close()
    began = time.monotonic()
    run(desktop, steps=2)  # the queue holds one run: it must be free again
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_the_models_tab_shows_the_card(desktop):
    desktop.get_by_role("tab", name="Models").click()
    desktop.wait_for_selector("text=32x32 grey")


@pytest.mark.slow
def test_the_page_travels_small(app):
    """The configuration of all tabs is inside it; what a phone loads is what counts."""
    import urllib.request

    asked = urllib.request.Request(f"{app}/", headers={"accept-encoding": "gzip"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["content-encoding"] == "gzip" and len(answer.read()) < 150_000
