"""A name that is written on the page, and the player's keys right after Generate."""

from __future__ import annotations

import pytest
from helpers import choose_model, player, run, wait
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow


def test_a_name_is_written_and_saved_letter_by_letter(page, tmp_path):
    choose_model(page, "letters")
    page.locator("#spell input, #spell textarea").fill("Zoë Ad!")
    page.wait_for_selector("#letters-left-out >> text=draws ë as e; it has no !")  # before anything runs
    page.click("#generate")
    wait(page, "d.run && d.ended === 'true'")
    assert page.locator("#letters-left-out").is_visible()  # and beside the result
    wait(page, "Number(d.loaded) === 13 && Number(d.shown) === 12")
    size = page.evaluate(
        "(() => { const c = document.querySelector('[data-half=x] canvas'); return [c.width, c.height]; })()"
    )
    assert size == [6 * 32, 32]
    assert "Zoe Ad" in page.inner_text("#player .say")
    with page.expect_download() as caught:
        page.click("#player .save")
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    recipe = ds.Recipe.from_file(path)
    assert (recipe.spell, recipe.seeds) == ("Zoe Ad", (0, 1, 2, 3, 4))
    with Image.open(path) as film:
        assert film.size[0] >= 800 and film.size[0] == 6 * film.size[1] and film.n_frames == 13 + 2 * 4
    assert path.stat().st_size <= 2_000_000
    page.keyboard.press("Escape")
    page.locator(".saved").wait_for(state="hidden")


def test_the_keys_play_right_after_generate(desktop):
    run(desktop, steps=6, count=4)  # its last act is a click on Generate, which gives way to Stop
    last = 6
    desktop.keyboard.press("ArrowLeft")
    wait(desktop, f"d.shown === '{last - 1}'")
    desktop.keyboard.press("Home")
    wait(desktop, "d.shown === '0'")
    desktop.keyboard.press("End")
    wait(desktop, f"d.shown === '{last}'")
    desktop.keyboard.press("?")
    desktop.locator("#player .keys").wait_for(state="visible")
    desktop.keyboard.press("Escape")
    desktop.locator("#player .keys").wait_for(state="hidden")
    desktop.locator("#steps input").focus()
    desktop.keyboard.press("Home")  # the field's own
    assert player(desktop)["shown"] == str(last)
