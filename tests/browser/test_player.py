"""The player where states come slowly, an address that is loaded again, letters, and the page by keys and on a phone."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from helpers import choose_model, open_settings, open_tab, player, run, set_number, wait
from test_server import served

from diffusion_studio.runs.recipe import Recipe

pytestmark = pytest.mark.slow

# what stands together at each moment: the mark, the place of the picture, whether Save GIF can be pressed
WATCH = """() => {
  window.seen = [];
  const root = document.querySelector('#player .player'), find = (what) => root.querySelector(what);
  const look = () => {
    if (root.dataset.run) window.seen.push({ mark: Number(find('.scrub').value), place: Number(root.dataset.place), playing: root.dataset.playing,
      save: !find('.save').disabled, edit: !find('.edit').disabled });
    setTimeout(look, 20);
  };
  look();
}"""


def test_what_plays_waits_for_its_states_and_save_for_a_picture(desktop):
    def slowly(route):
        time.sleep(0.3)
        route.continue_()

    desktop.wait_for_function("Number(document.querySelector('#player .player').dataset.place) >= 0")
    desktop.evaluate(WATCH)
    desktop.route("**/component_server*", slowly)
    set_number(desktop, "#steps", 20)
    desktop.click("#generate")
    wait(desktop, "d.run && d.ended === 'true' && Number(d.loaded) > 1")
    desktop.click("#player .back")
    desktop.keyboard.press("Home")
    desktop.click("#player .play")
    wait(desktop, "Number(d.place) === 20 && Number(d.loaded) === 21")
    seen = desktop.evaluate("window.seen")
    assert any(one["playing"] == "true" for one in seen)
    assert all(one["mark"] == one["place"] for one in seen if one["playing"] == "true" and one["place"] >= 0)
    assert not any(one["save"] or one["edit"] for one in seen if one["place"] < 0)
    assert desktop.locator("#player .save").is_enabled()


def test_an_address_with_a_run_plays_it_and_no_recording_before(app, visit):
    recipe = quote(Recipe(model="mnist", label="3", steps=4, seeds=(5,)).to_json())
    page = visit(f"{app}?recipe={recipe}")
    said = "document.querySelector('#player .player').dataset.opening"
    assert page.evaluate(said) != "true"
    wait(page, "d.run && d.ended === 'true' && Number(d.shown) >= 0")
    assert page.evaluate(said) == "false" and "Loading the run of this address" not in page.inner_text(
        "#player"
    )
    assert page.locator("#model [aria-pressed=true]").get_attribute("data-name") == "mnist"


def test_an_address_that_holds_no_run_opens_with_the_recording(app, visit):
    page = visit(f"{app}?recipe=nonsense")
    page.wait_for_function("document.querySelector('#player .player').dataset.opening === 'true'")


def test_letters_fill_their_box(desktop):
    choose_model(desktop, "letters")
    desktop.wait_for_selector("#spell :is(input, textarea)")
    desktop.fill("#spell :is(input, textarea)", "Magical")
    desktop.keyboard.press("Tab")
    run(desktop, steps=2)
    for half in ("x", "x0"):
        wide, high, across, down = desktop.evaluate(
            "half => { const c = document.querySelector(`#player [data-half='${half}'] canvas`); "
            "return [c.width, c.height, c.clientWidth, c.clientHeight]; }",
            half,
        )
        assert (wide, high) == (7 * 32, 32) and abs(across / down - 7) < 0.1
    desktop.wait_for_selector("#history img")
    size = desktop.evaluate(
        "(() => { const i = document.querySelector('#history img'); return [i.naturalWidth, i.naturalHeight]; })()"
    )
    assert size == [7 * 32, 32]  # in one row


def test_the_cards_are_one_tab_stop_with_arrows(desktop):
    stops = "[...document.querySelectorAll('#model button')].filter((one) => one.tabIndex === 0).length"
    desktop.wait_for_function(f"{stops} === 1")
    desktop.focus("#model [aria-pressed=true]")
    first = desktop.evaluate("document.activeElement.dataset.name")
    desktop.keyboard.press("ArrowRight")
    second = desktop.evaluate("document.activeElement.dataset.name")
    assert second and second != first and desktop.evaluate(stops) == 1
    assert desktop.locator("#model [aria-pressed=true]").get_attribute("data-name") == first
    desktop.keyboard.press("Home")
    desktop.keyboard.press("ArrowLeft")  # around the end
    last = desktop.evaluate("[...document.querySelectorAll('#model button')].at(-1).dataset.name")
    assert desktop.evaluate("document.activeElement.dataset.name") == last
    desktop.keyboard.press("Tab")
    assert desktop.evaluate("!document.activeElement.closest('#model')")


def test_a_field_with_the_focus_has_a_ring(desktop):
    for field in ("#seed input", "#steps input", "#prompt textarea"):
        desktop.focus(field)
        ring = desktop.eval_on_selector(
            field, "f => { const s = getComputedStyle(f); return [s.outlineStyle, s.outlineWidth]; }"
        )
        assert ring == ["solid", "2px"], field


def test_play_is_in_sight_on_a_phone(page):
    page.wait_for_function("Number(document.querySelector('#player .player').dataset.place) >= 0")
    box = page.locator("#player .play").bounding_box()
    assert box["y"] + box["height"] <= page.viewport_size["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_beside_inside_the_player_of_letters_is_whole(desktop):
    choose_model(desktop, "letters")
    desktop.wait_for_selector("#spell :is(input, textarea)")
    desktop.fill("#spell :is(input, textarea)", "Magical")
    desktop.keyboard.press("Tab")
    run(desktop, steps=2)
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen .view-seen")
    box = desktop.locator("#player .save").bounding_box()
    assert box["y"] + box["height"] <= 900 and player(desktop)["run"]


@pytest.fixture
def new_app(tmp_path):
    """Address of an app in which nothing was trained yet."""
    with served(tmp_path) as (_, address):
        yield address


def test_no_training_offers_no_dead_buttons_and_the_drop_stands_above_the_cards(new_app, visit):
    desktop = visit(new_app)
    open_tab(desktop, "Train")
    desktop.wait_for_selector("#train-go:visible")
    assert not desktop.locator(":is(#train-run, #train-use, #train-stop, #train-resume):visible").count()
    open_tab(desktop, "Models")
    desktop.wait_for_selector("#model-file:visible")
    drop, card = (desktop.locator(one).first.bounding_box() for one in ("#model-file", ".model-card"))
    assert drop["y"] + drop["height"] <= card["y"]


def test_full_screen_beside_inside_or_the_drawer_is_as_wide_as_the_screen(desktop):
    """The bar kept the sizes of the narrow player beside the panel."""
    run(desktop, steps=2, count=1)
    rows = (
        "new Set([...document.querySelectorAll('#player .bar button')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.offsetTop)).size"
    )
    size = "parseFloat(getComputedStyle(document.querySelector('#player .play')).width) / innerWidth"

    def in_full_screen() -> tuple[float, int]:
        desktop.click("#player .full")
        desktop.wait_for_function("document.fullscreenElement")
        found = desktop.evaluate(size), desktop.evaluate(rows)
        desktop.evaluate("document.exitFullscreen()")
        desktop.wait_for_function("!document.fullscreenElement")
        return found

    alone = in_full_screen()
    open_settings(desktop)
    assert in_full_screen() == alone
    desktop.click("#all-settings")
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen .tiles")
    assert in_full_screen() == alone


def test_the_page_by_keys_from_its_top(desktop):
    """The first Tab landed in the footer, Escape closed nothing, and what opened did not take the focus."""
    focused = "document.activeElement"
    desktop.keyboard.press("Tab")
    assert desktop.evaluate(f"{focused}.textContent") == "Skip to the player"
    desktop.keyboard.press("Enter")
    assert desktop.evaluate(f"{focused}.closest('#player') !== null")
    for opener, within, is_open in (
        (
            "#all-settings",
            "#settings",
            "document.querySelector('#stage').classList.contains('with-settings')",
        ),
        ("#player .inside", "#inside", "document.querySelector('#stage').dataset.inside === 'true'"),
    ):
        desktop.focus(opener)
        desktop.keyboard.press("Enter")
        desktop.wait_for_function(f"{is_open} && {focused}.closest('{within}') !== null")
        desktop.keyboard.press("Escape")
        desktop.wait_for_function(f"!({is_open}) && {focused}.matches('{opener}')")


def test_a_recording_is_no_run_to_look_into_and_none_of_another_model(desktop):
    """Inside said so and offered nothing; the wizards stood there as if they were letters."""
    choose_model(desktop, "letters")
    desktop.wait_for_function(
        "getComputedStyle(document.querySelector('#player .screen > canvas')).opacity < 0.5"
    )
    choose_model(desktop, "heroes")
    desktop.wait_for_function(
        "getComputedStyle(document.querySelector('#player .screen > canvas')).opacity === '1'"
    )
    set_number(desktop, "#steps", 2)
    desktop.click("#player .inside")
    desktop.click("#inside-generate")
    wait(desktop, "d.ended === 'true' && d.run")
    desktop.wait_for_selector("#inside-seen [data-view=sum] .tiles")
    assert not desktop.is_visible("#inside-generate")


def test_space_plays_where_a_pointer_was_and_presses_what_tab_reached(desktop):
    """It left full screen, stepped on, or did nothing on the timeline."""
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=12, count=1)
    desktop.locator("#player .speed").select_option("2")

    def space_plays() -> None:
        desktop.keyboard.press("Space")
        wait(desktop, "d.playing === 'true'")
        desktop.keyboard.press("Space")
        wait(desktop, "d.playing === 'false'")

    full = "document.fullscreenElement === document.querySelector('#player .player')"
    desktop.click("#player .full")
    desktop.wait_for_function(full)
    space_plays()
    assert desktop.evaluate(full)
    desktop.keyboard.press("ArrowLeft")
    place = int(player(desktop)["place"])
    desktop.keyboard.press("ArrowRight")
    wait(desktop, f"Number(d.place) === {place + 1}")
    desktop.evaluate("document.exitFullscreen()")
    desktop.wait_for_function("!document.fullscreenElement")
    box = desktop.locator("#player .scrub").bounding_box()
    desktop.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + 50)
    space_plays()
    desktop.click("#player .next")
    space_plays()
    desktop.click("#player .back")
    desktop.keyboard.press("Home")
    wait(desktop, "d.place === '0'")
    desktop.locator("#player .scrub").focus()
    desktop.keyboard.press("Tab")  # to the first button of the bar, or the mark before it
    while desktop.evaluate("!document.activeElement.matches('.next')"):
        desktop.keyboard.press("Tab")
    desktop.keyboard.press("Space")
    wait(desktop, "d.place === '1' && d.playing === 'false'")
    assert desktop.evaluate("document.activeElement.matches('.next')")


def test_beside_inside_no_button_is_lost_and_no_caption_cut(desktop):
    run(desktop, steps=2, count=1)
    buttons = (
        "[...document.querySelectorAll('#player .bar button')].filter((one) => one.checkVisibility()).length"
    )
    before = desktop.evaluate(buttons)
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen .tiles")
    assert desktop.evaluate(buttons) == before
    cut = desktop.evaluate(
        "[...document.querySelectorAll('#player figcaption')].filter((one) => one.checkVisibility())"
        ".filter((one) => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight).length"
    )
    assert cut == 0
