"""The first screen: it moves when it opens, fits, says what happens, and one press saves."""

from __future__ import annotations

from helpers import answered, choose_model, chosen_model, generate, player, run, section, set_number, wait
from PIL import Image

import diffusion_studio as ds


def test_it_moves_when_it_opens_and_nothing_has_to_be_scrolled(desktop):
    desktop.wait_for_function(
        "(() => { const d = document.querySelector('#player .player').dataset;"
        " return d.opening === 'true' && Number(d.place) > 2; })()"
    )
    assert "a recording: heroes" in desktop.inner_text(".readout .made")
    assert player(desktop)["shown"] == "-1" and player(desktop)["run"] == ""  # it is no run of the visitor's
    assert desktop.evaluate("document.documentElement.scrollHeight") <= 900
    assert desktop.locator("#player .save").is_disabled() and desktop.locator("#player .branch").is_disabled()
    bars = desktop.locator("#player .bar").bounding_box()
    assert bars["y"] + bars["height"] <= 900
    run(desktop, steps=3, count=2)
    assert player(desktop)["opening"] == "false" and "recording" not in desktop.inner_text(".readout .made")


def test_an_example_runs_at_once(desktop):
    desktop.get_by_role("button", name="Ankle boot", exact=True).click()
    wait(desktop, "d.run && d.ended === 'true'")
    assert desktop.locator("#label input").input_value() == "Ankle boot"
    desktop.wait_for_function("document.querySelector('#player .say').textContent.includes('“Ankle boot”')")


def test_enter_in_the_prompt_generates_and_its_line_stays(desktop):
    choose_model(desktop, "heroes")
    set_number(desktop, "#steps", 2)
    field = desktop.locator("#prompt textarea")
    field.fill("orc, wizard white")
    field.press("Enter")
    wait(desktop, "d.run && d.ended === 'true'")
    assert field.input_value() == "orc, wizard white"


def test_generate_becomes_stop_while_it_runs(desktop):
    set_number(desktop, "#steps", 600)
    desktop.click("#generate")
    desktop.locator("#stop").wait_for()
    assert desktop.locator("#generate").is_hidden()
    wait(desktop, "Number(d.shown) >= 5")
    assert "denoising" in desktop.inner_text(".readout .state")
    desktop.click("#stop")
    desktop.locator("#generate").wait_for()
    assert desktop.inner_text(".readout .state") == "stopped"


def test_a_result_that_the_settings_no_longer_describe_is_said_to_be_one(desktop):
    run(desktop, steps=4, count=2)
    desktop.wait_for_timeout(2500)
    assert player(desktop)["stale"] == "false"
    set_number(desktop, "#steps", 9)
    wait(desktop, "d.stale === 'true'")
    assert "was made with fashion-mnist" in desktop.inner_text(".readout .made")
    assert "4 steps" in desktop.inner_text(".readout .made")
    set_number(desktop, "#steps", 4)
    wait(desktop, "d.stale === 'false'")
    assert desktop.inner_text(".readout .made") == ""


def test_quality_is_a_number_of_steps(desktop):
    steps = desktop.locator("#steps input[type=number]")
    for name, wanted in (("Fast", "10"), ("Best", "100"), ("Normal", "25")):
        with answered(desktop):
            desktop.locator("#quality label").filter(has_text=name).click()
        assert steps.input_value() == wanted
    set_number(desktop, "#steps", 77)
    desktop.wait_for_function("!document.querySelector('#quality input:checked')")


def test_one_press_saves_a_gif_and_says_how_large_it_is(desktop, tmp_path):
    run(desktop, steps=6, count=4)
    with desktop.expect_download() as caught:
        desktop.click("#player .save")
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    with Image.open(path) as film:
        assert film.format == "GIF" and film.n_frames == 7
        assert film.size[0] >= 2 * film.size[1]  # both halves, as they are shown
    assert path.stat().st_size <= 2_000_000 and ds.Recipe.from_file(path).steps == 6
    assert "MB" in desktop.inner_text(".saved .said")
    with desktop.expect_download() as caught:
        desktop.click(".saved [data-preset=paper]")
    assert caught.value.suggested_filename.endswith(".png")


def test_choosing_a_model_leaves_alone_what_is_opened_meanwhile(desktop):
    """Its answer used to close the section, and the menu in it stayed out of reach for good."""
    section(desktop, "#sampler-section")  # the drawer
    slow = []

    def late(route):
        slow.append(route)
        desktop.wait_for_timeout(1500)
        route.continue_()

    desktop.route("**/run/predict", late)
    desktop.click("#model [data-name=emoji]")
    desktop.click("#edit > button")
    desktop.click("#edit-kind input")
    desktop.wait_for_timeout(2500)
    desktop.unroute("**/run/predict")
    assert slow and desktop.locator("#edit-kind").is_visible()
    desktop.wait_for_function("document.querySelector('#label input').value === 'google'")
    if not desktop.get_by_role("option", name="Start from a picture").is_visible():
        desktop.click("#edit-kind input")
    desktop.get_by_role("option", name="Start from a picture").click()
    desktop.locator("#edit-picture").wait_for()
    assert chosen_model(desktop) == "emoji"


def test_a_second_visitor_is_told_of_the_run_with_which_it_takes_turns(desktop, app, browser):
    other = browser.new_page()
    other.goto(app)
    other.wait_for_selector("#player .player")
    set_number(other, "#steps", 1000)
    set_number(other, "#count", 64)
    generate(other)
    wait(other, "Number(d.shown) >= 2")
    set_number(desktop, "#count", 16)
    desktop.click("#generate")
    desktop.wait_for_selector(".state:has-text('in turns with another run')")
    wait(desktop, "d.run && Number(d.shown) >= 2")  # while the long one still runs
    assert "step" in other.inner_text("#player .step") and player(other)["ended"] == "false"
    other.close()
    wait(desktop, "d.run && d.ended === 'true'")
    assert desktop.locator(".waiting").is_hidden()


def test_keys_are_listed_and_the_strip_is_one_stop(desktop):
    desktop.click("#player .help")
    assert "Generate" in desktop.inner_text("#player .keys")
    desktop.keyboard.press("Escape")
    run(desktop, steps=6, count=2)
    desktop.focus("#player .scrub")
    desktop.keyboard.press("ArrowLeft")
    wait(desktop, "d.shown === '5'")
    said = desktop.locator("#player .scrub").get_attribute("aria-valuetext")
    assert said.startswith("step 5 of 6, ") and "noise" in said
    assert desktop.locator("#player .timeline").locator("button, [tabindex]").count() == 0
