"""The Forward tab: a picture goes into noise, by slider, by marker and by itself."""

from __future__ import annotations

import io
import re

import imageio.v3 as imageio
import numpy as np
import pytest
from helpers import open_tab, run
from PIL import Image

pytestmark = pytest.mark.slow

WAIT = 30_000  # ms


def open_forward(page, plays: bool = False) -> None:
    """For who wants no motion it stands still at first, and so the tests want it."""
    page.emulate_media(reduced_motion="no-preference" if plays else "reduce")
    open_tab(page, "Forward")
    shown(page, lambda: None, first=True)
    assert playing(page) is plays


def playing(page) -> bool:
    return page.evaluate("document.querySelector('#forward .ds-figure').dataset.playing === 'true'")


def shown(page, act, first: bool = False) -> None:
    """Do it, and wait until the figure of it is drawn."""
    before = 0 if first else int(page.evaluate("document.querySelector('#forward .view').dataset.shown"))
    act()
    page.wait_for_function(
        "before => { const view = document.querySelector('#forward .view');"
        " return view && Number(view.dataset.shown) > before && view.ariaBusy !== 'true'; }",
        arg=before,
        timeout=WAIT,
    )
    page.wait_for_function(
        "[...document.querySelectorAll('#forward canvas')].every((one) => one.dataset.ready)", timeout=WAIT
    )


def state(page) -> int:
    return int(page.evaluate("document.querySelector('#forward .ds-figure').dataset.state"))


def spread(page, number: int) -> float:
    """Standard deviation of a canvas's red channel."""
    return page.evaluate(
        "n => { const c = document.querySelectorAll('#forward canvas')[n];"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " const v = [...d].filter((_, k) => k % 4 === 0), m = v.reduce((a, b) => a + b) / v.length;"
        " return Math.sqrt(v.reduce((a, b) => a + (b - m) ** 2, 0) / v.length); }",
        number,
    )


def test_a_picture_goes_into_noise(page):
    open_forward(page)
    slider = page.locator("#forward .transport input[type=range]")
    assert page.locator("#forward .figure-row").count() == 2 and page.locator("#forward canvas").count() == 4
    slider.fill("0")
    assert state(page) == 0 and "variance" in page.inner_text("#forward .caption >> nth=0")
    clean = spread(page, 0)
    slider.fill("50")
    assert state(page) == 50 and spread(page, 0) > clean + 20
    slider.fill("0")
    page.click("#forward .play")
    page.wait_for_function(
        "Number(document.querySelector('#forward .ds-figure').dataset.state) > 3", timeout=WAIT
    )
    page.click("#forward .play")
    assert page.inner_text("#forward .play") == "Play"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_the_marker_is_dragged_and_choices_change_the_figure(desktop):
    open_forward(desktop)
    chart = desktop.locator("#forward .curves svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    desktop.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    desktop.mouse.down()
    desktop.mouse.move(box["x"] + box["width"] - 10 / 330 * box["width"], box["y"] + 40)
    desktop.mouse.up()
    assert state(desktop) == 50
    shown(desktop, lambda: desktop.check("#forward input[name=unscaled]"))
    assert state(desktop) == 50 and desktop.locator("#forward canvas").count() == 6
    assert float(desktop.inner_text("#forward .caption >> nth=2").split()[-1]) > 3  # it explodes
    shown(desktop, lambda: desktop.select_option("#forward .schedule >> nth=2", "fashion-mnist"))
    assert desktop.inner_text("#forward .row-name >> nth=2") == "fashion-mnist"
    shown(desktop, lambda: desktop.select_option("#forward .schedule >> nth=2", "table"))
    assert "7 timesteps" in desktop.inner_text("#forward .status")


def test_a_file_and_a_run_go_into_noise(desktop, tmp_path):
    open_forward(desktop)
    packed = io.BytesIO()
    Image.new("L", (50, 40), 255).save(packed, "PNG")
    path = tmp_path / "white.png"
    path.write_bytes(packed.getvalue())
    shown(desktop, lambda: desktop.set_input_files("#forward .file", path))
    desktop.locator("#forward .transport input[type=range]").fill("0")
    assert spread(desktop, 0) == 0 and "Your picture" in desktop.inner_text("#forward .credit")
    (tmp_path / "no.png").write_bytes(b"no picture")
    shown(desktop, lambda: desktop.set_input_files("#forward .file", tmp_path / "no.png"))
    assert "not a picture in a known format" in desktop.inner_text("#forward .status")
    shown(desktop, lambda: desktop.click("#forward .of-run"))
    assert "Press Generate" in desktop.inner_text("#forward .status")
    desktop.get_by_role("tab", name="Generate").click()
    run(desktop, steps=3, count=2)
    desktop.get_by_role("tab", name="Forward").click()
    shown(desktop, lambda: desktop.click("#forward .of-run"))
    assert desktop.inner_text("#forward .status") == ""
    assert desktop.locator("#forward canvas").first.get_attribute("width") == "32"


@pytest.mark.parametrize("kind", ["gif", "mp4", "strip"])
def test_it_is_saved_and_decodes(desktop, tmp_path, kind):
    open_forward(desktop)
    shown(desktop, lambda: desktop.select_option("#forward .steps", "25"))
    with desktop.expect_download(timeout=120_000) as caught:
        desktop.click(f"#forward [data-format={kind}]")
    suffix = {"strip": ".png"}.get(kind, f".{kind}")
    assert caught.value.suggested_filename == f"forward-linear-cosine{suffix}"
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    frames = imageio.imread(path)
    if kind == "strip":  # eight states of both schedules, beside each other
        assert frames.ndim == 3 and frames.shape[1] > 8 * 128 and frames.shape[0] > 2 * 128
        return
    assert len(frames) >= 26  # all states; MP4 repeats the last one, to rest on it
    cat, noise = (frames[k][..., :3].astype(float) for k in (0, -1))
    assert np.abs(cat - noise).mean() > 5
    # two ways are chosen on the page, and two are in the file: where the third one stood is a plot on white
    white = [(noise[60:170, left : left + 110] > 250).mean() for left in (20, 160, 300)]
    assert max(white[:2]) < 0.5 < 0.8 < white[2], white


def test_it_plays_when_it_is_opened_and_goes_round(desktop):
    """It stood still, and nothing said that it can move."""
    open_forward(desktop, plays=True)
    desktop.select_option("#forward .speed", "40")
    assert desktop.locator("#forward .loop").is_checked()
    desktop.evaluate(
        "() => { window.seen = new Set(); const figure = document.querySelector('#forward .ds-figure');"
        " new MutationObserver(() => window.seen.add(Number(figure.dataset.state)))"
        ".observe(figure, { attributes: true }); }"
    )
    desktop.wait_for_function("window.seen.has(50)", timeout=WAIT)
    desktop.evaluate("window.seen.clear()")
    desktop.wait_for_function("window.seen.has(3)", timeout=WAIT)  # again from the picture
    shown(desktop, lambda: desktop.select_option("#forward .steps", "25"))
    assert (
        playing(desktop) and desktop.locator("#forward .speed").input_value() == "40"
    )  # a choice keeps both
    desktop.uncheck("#forward .loop")
    desktop.wait_for_function(
        "document.querySelector('#forward .ds-figure').dataset.playing === 'false'", timeout=WAIT
    )
    assert state(desktop) == 25
    shown(desktop, lambda: desktop.select_option("#forward .steps", "50"))
    assert not playing(desktop) and not desktop.locator("#forward .loop").is_checked()


def test_a_plain_sentence_comes_before_the_symbols(page):
    open_forward(page)
    page.locator("#forward .transport input[type=range]").fill("10")
    told, symbols = (page.locator(f"#forward {one}").first for one in (".told", ".symbols"))
    assert told.inner_text().endswith(" % noise: the shape is still there.")
    assert "ᾱ" in symbols.inner_text() and "ᾱ" not in told.inner_text()
    sizes = [one.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") for one in (told, symbols)]
    assert told.bounding_box()["y"] < symbols.bounding_box()["y"] and sizes[0] > sizes[1]
    names = page.locator("#forward .curves").last.locator(".names").inner_text().split()
    assert " ".join(names) == "linear cosine at once step by step"
    assert page.locator("#forward .curves").last.locator(".names .sample").count() == 2


def test_three_rows_of_four_cells_fit_into_the_window(desktop):
    """The third row was cut."""
    open_forward(desktop)
    shown(desktop, lambda: desktop.select_option("#forward .schedule >> nth=2", "sigmoid"))
    shown(desktop, lambda: desktop.check("#forward input[name=unscaled]"))
    assert desktop.locator("#forward .figure-row").count() == 3
    assert desktop.locator("#forward .cell").count() == 12
    assert desktop.evaluate("document.documentElement.scrollHeight") <= 900
    bottoms = desktop.evaluate(
        "[...document.querySelectorAll('#forward figure, #forward .about')].map((e) => e.getBoundingClientRect().bottom)"
    )
    assert max(bottoms) <= 900


def test_a_file_shows_how_far_it_is_and_is_cancelled(page):
    open_forward(page)
    shown(page, lambda: page.select_option("#forward .steps", "100"))
    offered = []
    page.on("download", lambda one: offered.append(one))
    page.click("#forward [data-format=gif]")
    page.wait_for_function(
        "/^[1-9]\\d* of 101 pictures drawn$/.test(document.querySelector('#forward .how-far').textContent)",
        timeout=WAIT,
    )
    bar = "({ value, max }) => [value, max]"
    value, most = page.locator("#forward .saving progress").evaluate(bar)
    assert 0 < value < most == 101 and page.locator("#forward .save").is_hidden()
    with page.expect_response(lambda one: "component_server" in one.url) as told:
        page.click("#forward .cancel")
    assert told.value.ok and page.inner_text("#forward .status") == "Cancelled: no file was saved."
    assert page.locator("#forward .saving").is_hidden()
    assert page.evaluate("document.activeElement.dataset.format") == "gif" and not offered
    page.select_option("#forward .steps", "25")
    with page.expect_download(timeout=120_000):  # and the next one is made
        page.click("#forward [data-format=strip]")
    assert len(offered) == 1 and "Saved" in page.inner_text("#forward .status")


def full(page) -> bool:
    return page.evaluate("document.fullscreenElement === document.querySelector('#forward .view')")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_full_screen_by_key_and_by_button(app, visit, theme):
    page = visit(f"{app}/?__theme={theme}")
    page.set_viewport_size({"width": 1920, "height": 1080})
    open_forward(page)
    entered = "document.fullscreenElement !== null && document.activeElement.matches('#forward .view')"
    page.keyboard.press("f")
    page.wait_for_function(entered)
    assert full(page) and page.inner_text("#forward .full-screen") == "Leave full screen"
    before = state(page)
    page.keyboard.press("ArrowRight")
    assert state(page) == before + 1
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('#forward .play').textContent === 'Pause'")
    page.keyboard.press(" ")
    assert page.evaluate(  # all of it is in sight
        "document.fullscreenElement.scrollHeight <= innerHeight && document.fullscreenElement.scrollWidth <= innerWidth"
    )
    ground = "getComputedStyle(document.querySelector('#forward .view')).backgroundColor"
    assert (sum(map(int, re.findall(r"\d+", page.evaluate(ground))[:3])) > 380) == (theme == "light")
    page.keyboard.press("Escape")
    page.wait_for_function("document.fullscreenElement === null")
    page.click("#forward .full-screen")
    page.wait_for_function(entered)
    page.click("#forward .full-screen")
    page.wait_for_function("document.fullscreenElement === null")
    page.focus("#forward .seed")
    page.keyboard.press("f")  # in a field it is typed
    assert not full(page)


def test_on_a_very_wide_page_the_curves_stand_two_by_two_beside_the_rows(desktop):
    """They stood in one row of four, with nothing below them."""
    desktop.set_viewport_size({"width": 1920, "height": 1080})
    open_forward(desktop)
    rows, curves = (
        desktop.evaluate(
            "where => [...document.querySelectorAll(where)].map((one) => one.getBoundingClientRect().toJSON())",
            where,
        )
        for where in ("#forward .figure-row", "#forward .curves")
    )
    assert len(curves) == 4 and len({round(one["left"]) for one in curves}) == 2
    assert min(one["left"] for one in curves) > max(one["right"] for one in rows)
    ends = [max(one["bottom"] for one in parts) for parts in (rows, curves)]
    assert max(ends) <= 1080 and abs(ends[0] - ends[1]) < 120, ends


def test_all_of_it_is_seen_at_once_and_no_bar_is_cut(desktop):
    open_forward(desktop)
    bottom = desktop.evaluate(
        "Math.max(...[...document.querySelectorAll('#forward .figure-body figure')]"
        ".map((one) => one.getBoundingClientRect().bottom))"
    )
    assert bottom <= 900
    for state in ("0", "10", "50"):
        desktop.locator("#forward .transport input[type=range]").fill(state)
        # the bars' own box in the units of their drawing, which is 200 high
        tops = desktop.evaluate(
            "[...document.querySelectorAll('#forward .cell .bars')].map((one) => one.getBBox().y)"
        )
        assert len(tops) == 2 and all(0 < top < 178 for top in tops), (state, tops)
    assert "sqrt" not in desktop.inner_text("#forward") and "_bar" not in desktop.inner_text("#forward")


def test_in_full_screen_it_is_larger_and_takes_the_keys(desktop):
    """It was smaller than in the tab, and Space left full screen."""
    desktop.set_viewport_size({"width": 1920, "height": 1080})
    open_forward(desktop)
    sizes = (
        "[document.querySelector('#forward .cell canvas').clientWidth,"
        " document.querySelector('#forward .curves svg').clientWidth,"
        " parseFloat(getComputedStyle(document.querySelector('#forward .caption')).fontSize)]"
    )
    before, place = desktop.evaluate(sizes), state(desktop)
    desktop.click("#forward .full-screen")
    full = "document.fullscreenElement === document.querySelector('#forward .view')"
    desktop.wait_for_function(full)
    after = desktop.evaluate(sizes)
    assert all(now > then for now, then in zip(after, before)), (before, after)
    bottom = desktop.evaluate(
        "Math.max(...[...document.querySelectorAll('#forward figure')].map((one) => one.getBoundingClientRect().bottom))"
    )
    assert 0.85 * 1080 < bottom <= 1080
    desktop.keyboard.press("ArrowRight")
    assert state(desktop) == place + 1
    desktop.keyboard.press("Space")
    desktop.wait_for_function("document.querySelector('#forward .ds-figure').dataset.playing === 'true'")
    desktop.keyboard.press("Space")
    desktop.wait_for_function("document.querySelector('#forward .ds-figure').dataset.playing === 'false'")
    assert desktop.evaluate(full)
