"""What leaves the page: files, links and commands, and the way back."""

from __future__ import annotations

import json
import urllib.parse

import numpy as np
import pytest
from helpers import choose_model, export, looks, open_settings, run, section, set_number, wait
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow


def test_stop_keeps_what_was_seen_and_exports_it(desktop, tmp_path):
    set_number(desktop, "#steps", 1000)
    desktop.click("#generate")
    wait(desktop, "Number(d.shown) >= 2")
    desktop.click("#stop")
    wait(desktop, "d.ended === 'true'")
    desktop.wait_for_timeout(1500)
    kept = int(desktop.inner_text("#player .undone .at").split()[3])  # stopped at step 7 of 1000
    assert 2 <= kept < 999
    assert desktop.inner_text(".readout .state") == "stopped"
    wait(desktop, f"Number(d.loaded) === {kept + 1}")
    path = export(desktop, "gif", tmp_path)
    with Image.open(path) as film:
        assert kept + 1 <= film.n_frames < 1000
    assert ds.Recipe.from_file(path).steps == 1000
    run(desktop, steps=3)  # and the next run starts at once


@pytest.mark.parametrize("name", ["gif", "mp4", "png", "strip"])
def test_exports_carry_the_recipe_and_restore_the_controls(desktop, app, tmp_path, name):
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#count", 3)
    desktop.locator("#seed input, #seed textarea").fill("7")
    set_number(desktop, "#guidance", 3)
    run(desktop, steps=5)
    path = export(desktop, name, tmp_path)
    recipe = ds.Recipe.from_file(path)
    assert recipe == ds.Studio().recipe("fashion-mnist", steps=5, seeds=(7, 8, 9), guidance=3.0)

    desktop.goto(app)  # a reload would come back to these settings
    desktop.wait_for_selector("#generate")
    section(desktop, "#share")
    desktop.locator("#restore input[type=file]").set_input_files(path)
    desktop.wait_for_selector("text=The settings of this file are restored")
    desktop.wait_for_function("document.querySelector('#seed input, #seed textarea').value === '7'")
    for where, value in (("#steps", "5"), ("#count", "3"), ("#guidance", "3")):
        assert desktop.locator(f"{where} input[type=number]").input_value() == value


def test_a_file_without_a_recipe_is_explained(desktop, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "plain.png")
    section(desktop, "#share")
    seed = desktop.locator("#seed input, #seed textarea")
    before = seed.input_value()
    desktop.locator("#restore input[type=file]").set_input_files(tmp_path / "plain.png")
    desktop.wait_for_selector("text=plain.png carries no recipe")
    assert seed.input_value() == before


def test_the_export_panel_shows_what_matters_to_the_format(desktop, tmp_path):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=4)
    open_settings(desktop)
    desktop.click("#export > button")
    options = desktop.locator("#export-options")
    for name, there, gone in (
        ("png", "One picture", "Speed"),
        ("strip", "Number of states", "Pause at the end"),
        ("gif", "Speed", "k"),
    ):
        desktop.locator(f"#format input[value={name}]").check()
        options.get_by_text(there, exact=True).wait_for()
        options.get_by_text(gone, exact=True).wait_for(state="hidden")
    options.get_by_label("One picture").fill("9")
    desktop.click("#make-file")
    desktop.wait_for_selector("text=This run has the pictures 1 to 4, got picture 9")
    options.get_by_label("One picture").fill("4")
    options.get_by_label("Scale").fill("2")
    looks(desktop, "x0", "4")
    path = export(desktop, "gif", tmp_path)
    with Image.open(path) as film:
        assert film.size == (64, 64) and film.n_frames == 7
        film.seek(6)
        last = np.asarray(film.convert("L"))[::2, ::2].astype(int)
    wanted = ds.Studio().run(ds.Recipe.from_file(path)).images[3][..., 0]
    assert np.abs(last - wanted).max() <= 8  # GIF's colours
    options.get_by_label("Scale").fill("3")  # what was made is not what the options say any more
    link = desktop.locator("#file a[download]")
    link.wait_for(state="detached")


def test_the_export_panel_begins_as_the_player_shows_the_run(desktop):
    run(desktop, steps=4, count=4)
    desktop.click('.views [data-view="x0"]')
    desktop.locator(".player .speed").select_option("5")
    desktop.locator(".player").focus()
    desktop.keyboard.press("2")
    wait(desktop, "d.zoom === '1'")
    open_settings(desktop)
    desktop.click("#export > button")
    options = desktop.locator("#export-options")
    desktop.wait_for_function("document.querySelector('#export-options input').value === 'x0'")
    assert options.get_by_label("One picture").input_value() == "2"
    assert options.locator("input[type=number]").first.input_value() == "5"


def test_a_link_and_a_command_line_bring_a_run_back(desktop, app):
    choose_model(desktop, "fashion-mnist")
    desktop.locator("#seed input, #seed textarea").fill("3, 14, 15")
    run(desktop, steps=6)
    section(desktop, "#share")
    desktop.wait_for_function(
        "document.querySelector('#link textarea, #link input')?.value.startsWith('http')"
    )
    link = desktop.locator("#link textarea, #link input").first.input_value()
    text = urllib.parse.parse_qs(urllib.parse.urlparse(link).query)["recipe"][0]
    assert ds.Recipe.from_json(text).seeds == (3, 14, 15)
    assert (
        "--seeds 3,14,15 --steps 6"
        in desktop.locator("#command textarea, #command input").first.input_value()
    )
    desktop.goto(link)
    desktop.wait_for_selector("#generate")
    desktop.wait_for_function("document.querySelector('#seed input, #seed textarea').value === '3, 14, 15'")
    assert desktop.locator("#steps input[type=number]").input_value() == "6"


def test_a_wrong_link_is_said_and_the_app_still_works(app, visit):
    broken = json.dumps({"diffusion-studio": 1, "model": "no-such-model"})
    page = visit(f"{app}/?recipe={urllib.parse.quote(broken)}")
    page.wait_for_selector("text=There is no model")
    run(page, steps=2)
