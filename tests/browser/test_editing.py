"""What a person does with pictures: use one, paint over it, draw it anew, go on from a step otherwise,
make a film.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    answered,
    choose_model,
    export,
    pixels,
    player,
    run,
    section,
    set_number,
    wait,
)
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow


def choose(page, title: str) -> None:
    section(page, "#edit")
    page.click("#edit-kind input")
    with answered(page):  # the answers set defaults, which would go over what is typed before them
        page.get_by_role("option", name=title).click()


def to_step(page, place: int) -> None:
    page.evaluate(
        f"(() => {{ const s = document.querySelector('.scrub'); s.value = {place};"
        "s.dispatchEvent(new Event('input')); })()"
    )
    wait(page, f"d.shown === '{place}'")


def paint(page, x0: float, y0: float, x1: float, y1: float) -> None:
    page.wait_for_function("document.querySelector('#edit-canvas .paper')?.dataset.picture")
    paper = page.locator("#edit-canvas .paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    page.mouse.move(box["x"] + box["width"] * x0, box["y"] + box["height"] * y0)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * x1, box["y"] + box["height"] * y1, steps=5)
    page.mouse.up()
    page.wait_for_function("Number(document.querySelector('#edit-canvas .paper').dataset.painted) > 20")


def test_painting_over_a_finished_picture_draws_that_part_anew(page, tmp_path):
    choose_model(page, "fashion-mnist")
    assert page.locator("#player .branch").is_disabled()  # there is no run yet
    run(page, steps=4, count=2)
    before = pixels(page, "x")[:, :32]
    page.click("#player .edit")
    page.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    assert page.locator("#player .player").is_hidden()  # the picture to edit has the stage
    paint(page, 0.2, 0.2, 0.8, 0.2)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    run(page)
    recipe = ds.Recipe.from_file(export(page, "gif", tmp_path))
    mask = recipe.edit.mask.pixels[..., 0]
    assert (
        np.array_equal(recipe.edit.picture.pixels[..., 0], before)
        and 20 < (mask == 255).sum() < 400
        and mask[20:].max() == 0
    )
    after = pixels(page, "x")
    for tile in (after[:, :32], after[:, 32:]):
        assert np.array_equal(tile[mask == 0], before[mask == 0]) and not np.array_equal(tile, before)


def test_the_tools_on_the_stage_and_the_way_back_to_noise(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=3, count=1)
    desktop.click("#player .edit")
    painter = desktop.locator("#edit-canvas .painter")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    painted = "Number(document.querySelector('#edit-canvas .paper').dataset.painted)"
    desktop.wait_for_function("document.querySelector('#edit-canvas .paper').dataset.picture")
    assert painter.locator(".of").inner_text() == "The picture, finished"
    assert painter.locator(".go").is_disabled()  # with nothing painted
    desktop.click("#generate")
    desktop.wait_for_selector(".said-wrong >> text=Paint over what is to be drawn anew")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")  # where it can be mended
    paint(desktop, 0.3, 0.3, 0.7, 0.3)
    assert painter.locator(".go").is_enabled()
    before = desktop.evaluate(painted)
    painter.locator(".all").click()
    assert desktop.evaluate(painted) == 32 * 32 - before
    painter.locator(".all").click()
    painter.locator(".erase").click()
    paper = painter.locator(".paper")
    paper.press("ArrowUp")  # by keys, from the middle
    for _ in range(6):
        paper.press("ArrowUp")
    paper.press(" ")
    assert 0 < desktop.evaluate(painted) < before
    painter.locator(".clear").click()
    assert desktop.evaluate(painted) == 0
    paper.press("Control+z")  # what was cleared
    erased = desktop.evaluate(painted)
    assert 0 < erased < before
    painter.locator(".undo").click()  # the dab by keys
    assert desktop.evaluate(painted) == before
    while painter.locator(".undo").is_enabled():
        painter.locator(".undo").click()
    assert desktop.evaluate(painted) == 0 and painter.locator(".go").is_disabled()
    with answered(desktop):
        painter.locator("[data-what=picture]").click()
    desktop.wait_for_function("document.querySelector('#edit-canvas .strength').value === '0.6'")
    assert painter.locator(".brush").is_hidden()
    with answered(desktop):
        painter.locator(".strength").fill("0.4")
    section(desktop, "#edit")
    desktop.wait_for_function("document.querySelector('#edit-strength input[type=number]').value === '0.4'")
    first = player(desktop)["run"]
    painter.locator(".go").click()
    wait(desktop, f"d.run && d.run !== '{first}' && d.ended === 'true'")
    assert painter.locator(".ask").inner_text() == "Runs start from your picture."
    assert desktop.locator("#player .player").is_visible()
    section(desktop, "#share")
    command = "document.querySelector('#command textarea').value"
    desktop.wait_for_function(f"{command}.includes('--edit picture') && {command}.includes('--strength 0.4')")
    with answered(desktop):
        painter.locator(".leave").click()
    painter.wait_for(state="hidden")
    desktop.wait_for_function(f"{command} && !{command}.includes('--edit')")


def test_editing_by_keys_and_the_picture_before_beside_the_result(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=2, count=3)
    focused = "document.activeElement.className.split(' ').pop()"
    desktop.locator("#player .edit").focus()
    desktop.keyboard.press("Enter")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    desktop.wait_for_function("document.querySelector('#edit-canvas .paper').dataset.picture")
    painter = desktop.locator("#edit-canvas .painter")
    desktop.wait_for_function(f"{focused} === 'paper'")
    assert "Paint first" in painter.locator(".why").inner_text()
    assert painter.locator(".by-keys").is_visible()
    desktop.keyboard.press("Escape")
    painter.wait_for(state="hidden")
    assert desktop.evaluate(focused) == "edit"  # back where it came from
    with answered(desktop):
        desktop.keyboard.press("Enter")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    with answered(desktop):
        painter.locator(".number").select_option("2")  # another picture of the run
    desktop.wait_for_function(
        "document.querySelector('#edit-canvas .of').textContent.startsWith('Picture 3 of 3')"
    )
    painter.locator(".paper").press("ArrowUp")
    assert painter.locator(".ring").is_visible()
    painter.locator(".paper").press(" ")
    assert painter.locator(".why").is_hidden() and painter.locator(".go").is_enabled()
    first = player(desktop)["run"]
    painter.locator(".go").click()
    wait(desktop, f"d.run && d.run !== '{first}' && d.ended === 'true'")
    assert "outlined" in desktop.inner_text("#player .before figcaption")
    assert painter.locator(".which").is_hidden()  # the pictures of the run before are no longer shown
    with answered(desktop):
        painter.locator(".leave").click()
    desktop.locator("#player .before").wait_for(state="detached")


def test_an_edit_out_of_the_history_has_its_painted_mask(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=2, count=1)
    desktop.click("#player .edit")
    paint(desktop, 0.3, 0.3, 0.7, 0.3)
    count = desktop.evaluate("document.querySelector('#edit-canvas .paper').dataset.painted")
    run(desktop)
    with answered(desktop):
        desktop.locator("#edit-canvas .leave").click()
    desktop.wait_for_function("document.querySelectorAll('#history .show').length === 2")
    with answered(desktop):
        desktop.locator("#history .show").first.click()
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=run]")
    desktop.wait_for_function(
        f"document.querySelector('#edit-canvas .paper').dataset.painted === '{count}'", timeout=20_000
    )


def test_branching_goes_on_from_the_shown_step_and_back(desktop, tmp_path):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=2)
    desktop.click("#player .branch")
    desktop.wait_for_selector("text=This is the finished picture. Move the slider")
    to_step(desktop, 3)
    at_the_branch = pixels(desktop, "x")
    desktop.click("#player .branch")
    desktop.wait_for_selector("#branch-notice >> text=Continues from step 3")
    desktop.click("#label-chips [data-name='Ankle boot']")
    run(desktop)
    recipe = ds.Recipe.from_file(export(desktop, "png", tmp_path))
    assert (recipe.label, recipe.branch.at, recipe.branch.recipe.label) == ("Ankle boot", 3, "Sneaker")
    to_step(desktop, 3)
    assert np.array_equal(pixels(desktop, "x"), at_the_branch)
    assert "Here it branches from the run before." in desktop.inner_text("#player .say")
    to_step(desktop, 1)
    assert desktop.inner_text(".readout .part") == "before the branch"
    assert desktop.inner_text("#player .say").endswith("the run before the branch, which is at step 3.")
    to_step(desktop, 6)
    assert desktop.inner_text("#player .say") == (
        "Done: “Ankle boot” after 6 steps. The first 3 are those of the run before. "
        "The network was asked 6 times, 3 of them there."
    )
    mark = desktop.locator("#player .branched")
    assert mark.is_visible() and mark.evaluate("one => one.style.left") == "50%"
    desktop.wait_for_selector("#branch-notice >> text=Generate branches again from step 3")
    fits = "document.documentElement.scrollHeight <= innerHeight"
    assert desktop.evaluate(fits)
    desktop.set_viewport_size({"width": 1920, "height": 1080})
    desktop.wait_for_function(fits)
    desktop.click("#branch-back")
    desktop.wait_for_selector("#label-chips [data-name=Sneaker][aria-pressed=true]")
    desktop.locator("#branch-notice").wait_for(state="hidden")


def test_editing_a_picture_of_a_branch_ends_the_branch(desktop, tmp_path):
    """An edited run starts from the picture; the line of the branch would say otherwise."""
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=1)
    to_step(desktop, 3)
    with answered(desktop):
        desktop.click("#player .branch")
    desktop.click("#label-chips [data-name='Ankle boot']")
    run(desktop)
    with answered(desktop):
        desktop.click("#player .edit")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    paint(desktop, 0.3, 0.3, 0.7, 0.3)
    run(desktop)
    desktop.locator("#branch-notice").wait_for(state="hidden")
    assert "Runs draw the painted part" in desktop.inner_text("#edit-canvas .ask")
    assert "the run before" not in desktop.inner_text("#player .say")
    assert desktop.locator("#player .branched").is_hidden()
    recipe = ds.Recipe.from_file(export(desktop, "png", tmp_path))
    assert recipe.branch is None and isinstance(recipe.edit, ds.EDITS["inpaint"])
    # out of the history the branch says that it has run
    desktop.locator("#history .show").nth(1).click()
    desktop.wait_for_selector("#branch-notice >> text=Generate branches again from step 3")


def test_a_films_pictures_are_exported_one_by_one(desktop, tmp_path):
    choose(desktop, "A film from seed to seed")
    set_number(desktop, "#edit-film", 5)
    run(desktop, steps=3, count=2)
    for picture in "34012":  # it plays by itself, over and over
        wait(desktop, f"d.zoom === '{picture}'")
    path = export(desktop, "gif", tmp_path)  # without asking: what is exported of a film is the film
    with Image.open(path) as film:
        assert film.n_frames == 5 and film.info["duration"] == 100  # slower than a run, which has more states
    assert ds.Recipe.from_file(path).edit == ds.Interpolate(5)


def test_pictures_are_shown_one_after_another(desktop, tmp_path):
    run(desktop, steps=3, count=3)
    grid, film = pixels(desktop, "x0"), desktop.locator(".player .film")
    assert player(desktop).get("zoom", "") == "" and film.get_attribute("aria-pressed") == "false"
    desktop.locator(".player .speed").select_option("10")
    film.click()
    for picture in "1201":
        wait(desktop, f"d.zoom === '{picture}'")
    to_step(desktop, 2)  # goes on there
    for picture in "201":
        wait(desktop, f"d.zoom === '{picture}' && d.shown === '2'")
    path = export(desktop, "gif", tmp_path)
    with Image.open(path) as made:  # of the pictures, not of the states
        assert made.n_frames == 3
    film.press("Escape")
    film.press("f")
    wait(desktop, "d.zoom === '1'")
    film.press("f")  # off: the grid from before it
    wait(desktop, "d.zoom === ''")
    assert film.get_attribute("aria-pressed") == "false"
    to_step(desktop, 3)
    np.testing.assert_array_equal(pixels(desktop, "x0"), grid)
    film.click()
    run(desktop, steps=2, count=1)  # which has no other picture
    assert film.is_hidden() and player(desktop)["zoom"] == ""


def test_an_inversion_shows_its_way_into_noise(desktop, tmp_path):
    picture = np.zeros((32, 32), np.uint8)
    picture[12:22, 4:28] = 180
    Image.fromarray(picture).save(tmp_path / "bag.png")
    choose(desktop, "Into noise and back")
    desktop.locator("#edit-picture input[type=file]").set_input_files(tmp_path / "bag.png")
    desktop.wait_for_selector("#edit-picture img")
    run(desktop, steps=4)
    to_step(desktop, 1)
    assert desktop.inner_text(".readout .part") == "into noise" and player(desktop)["loaded"] == "8"
    to_step(desktop, 0)
    assert np.array_equal(pixels(desktop, "x"), picture)
    section(desktop, "#share")
    desktop.wait_for_function(
        "document.querySelector('#command textarea, #command input')?.value.includes('--edit invert')"
    )
    desktop.wait_for_selector("#command-files", state="visible", timeout=120_000)


def test_what_is_no_picture_is_taken_out_with_a_sentence(desktop, tmp_path):
    """And Generate works on, with the edit and without; a TIFF, which no browser shows, as any other."""
    choose(desktop, "Start from a picture")
    for name in ("bad.png", "fake.tif"):
        (tmp_path / name).write_text("no picture")
        with answered(desktop):  # the file before is taken out
            desktop.locator("#edit-picture input[type=file]").set_input_files(tmp_path / name)
            desktop.wait_for_selector(f"text={name} is not a picture in a known format")
    desktop.click("#generate")
    desktop.wait_for_selector("text=the picture is missing")
    choose(desktop, "Nothing: draw from noise")
    run(desktop, steps=2)


def test_a_transparent_picture_is_laid_on_the_model_s_background_and_it_is_said(desktop, tmp_path):
    """emoji was trained on white, as its header says."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[20:44, 20:44] = (250, 200, 0, 255)
    Image.fromarray(picture).save(tmp_path / "clear.png")
    choose_model(desktop, "emoji")
    choose(desktop, "Start from a picture")
    desktop.locator("#edit-picture input[type=file]").set_input_files(tmp_path / "clear.png")
    desktop.wait_for_selector(
        "#edit-note:has-text('its transparent parts are laid on white, the background of emoji')"
    )
    choose(desktop, "Nothing: draw from noise")
    desktop.wait_for_function("!document.querySelector('#edit-note').innerText.trim()")


def test_the_edited_picture_is_named_and_a_branch_says_what_it_keeps(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=3)
    desktop.locator("#player").press("2")  # the second picture alone
    wait(desktop, "d.zoom === '1'")
    with answered(desktop):
        desktop.click("#player .edit")
    desktop.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    words = desktop.locator("#edit-canvas .of")
    assert words.inner_text() == "Picture 2 of 3, finished"
    paint(desktop, 0.3, 0.3, 0.7, 0.3)
    run(desktop)
    with answered(desktop):
        desktop.locator("#edit-canvas .leave").click()
    to_step(desktop, 3)
    with answered(desktop):
        desktop.click("#player .branch")
    badge = "document.querySelector('#edit-canvas .badge')?.textContent"
    desktop.wait_for_function(f"{badge} === 'Branch of an edit'")
    assert "draws the painted part alone" in desktop.inner_text("#edit-canvas .ask")
    with answered(desktop):
        desktop.get_by_role("button", name="Draw all of it").click()
    desktop.locator("#edit-canvas .painter").wait_for(state="hidden")
    assert "Continues from step 3" in desktop.inner_text("#branch-notice")
