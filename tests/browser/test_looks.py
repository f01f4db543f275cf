"""What eyes need: letters that can be read, and the part of the page that a press is about."""

from __future__ import annotations

import pytest
from helpers import open_tab, run, wait

pytestmark = pytest.mark.slow

LEAST = 4.5  # WCAG 2, 1.4.3: luminance of letters against what they stand on
# Every element with letters of its own that stands out less, as [contrast, letters, colour, background]. What
# stands on a picture or a gradient has no one background and is left out.
FAINT = """least => {
  const numbers = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const luminance = colour => colour.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
  const ways = element => { const found = []; for (let at = element; at; at = at.parentElement) found.push(getComputedStyle(at));
                            return found; };
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    const typed = one.matches('input:not([type=checkbox], [type=radio], [type=range]), textarea') && one.value;
    const said = typed || [...one.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data).join('').trim();
    const {width, height} = one.getBoundingClientRect();
    if (!said || width < 2 || height < 2 || one.closest(':disabled') || !one.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const styles = ways(one);
    if (styles.some(style => style.backgroundImage !== 'none')) continue;
    const ground = styles.map(style => numbers(style.backgroundColor)).reduceRight((below, colour) => over(colour, below),
                                                                                   [255, 255, 255]);
    const ink = numbers(styles[0].color);
    ink[3] *= styles.reduce((opacity, style) => opacity * style.opacity, 1);
    const [low, high] = [luminance(over(ink, ground)), luminance(ground)].sort((a, b) => a - b);
    const contrast = (high + .05) / (low + .05);
    if (contrast < least) found.push([contrast.toFixed(2), said, styles[0].color, ground.join()]);
  }
  return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_letters_can_be_read(app, visit, theme):
    page = visit(f"{app}/?__theme={theme}")
    run(page, steps=3)
    for tab in ("Generate", "Learn", "Compare", "Points", "Forward", "Models", "Train"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(500)  # colours fade in
        assert page.evaluate(FAINT, LEAST) == [], tab


def top_of(page, what: str) -> float:
    return page.evaluate("what => document.querySelector(what).getBoundingClientRect().top", what)


def test_a_press_brings_the_picture_into_sight(page):
    narrow = page.viewport_size["width"] <= 860
    assert (top_of(page, "#view") > page.viewport_size["height"] / 3) == narrow
    page.click("#generate")
    wait(page, "Number(d.shown) >= 0")
    if narrow:
        page.wait_for_function(  # below Stop, or Generate, which stays at the top of the window
            "(() => { const pressed = [...document.querySelectorAll('#generate, #stop')].find((one) => one.offsetParent);"
            " const { top, bottom } = pressed.getBoundingClientRect();"
            " const below = document.querySelector('#view').getBoundingClientRect().top - bottom;"
            " return top >= 0 && top < 40 && below >= 0 && below < 20; })()"
        )
    else:
        assert page.evaluate("scrollY") == 0
    box = page.locator("[data-half] canvas").first.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"]


def test_an_edit_of_this_picture_opens_in_sight(page):
    run(page, steps=3)
    page.click("#player .edit")
    page.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    page.wait_for_function(
        "(() => { const at = document.querySelector('#edit-canvas .paper').getBoundingClientRect();"
        " return at.height > 100 && at.top >= 0 && at.bottom <= innerHeight; })()"
    )


HEIGHT = "document.documentElement.scrollHeight"


def test_compare_needs_no_scrolling_and_its_example_plays(desktop):
    """It was 918 pixels high, stood still, and a menu cut the name of a sampler."""
    open_tab(desktop, "Compare")
    desktop.wait_for_function("document.querySelector('.together')?.dataset.recorded === 'true'")
    desktop.wait_for_function("document.querySelector('.together .play').textContent.includes('Pause')")
    desktop.wait_for_function("document.querySelector('.together .play').textContent.includes('Play')")
    assert desktop.evaluate(HEIGHT) <= 900
    cut = desktop.evaluate(
        """() => [...document.querySelectorAll('#compare-rows select')].filter((one) => {
          const style = getComputedStyle(one), pen = document.createElement('canvas').getContext('2d');
          pen.font = style.font;
          const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 16;
          return pen.measureText(one.selectedOptions[0].text).width > room; }).map((one) => one.selectedOptions[0].text)"""
    )
    assert cut == []


def test_points_need_no_scrolling_once_there_is_a_network(desktop):
    """Its column was 1043 pixels high after a training."""
    open_tab(desktop, "Points")
    desktop.click("#points-train")
    desktop.wait_for_function("Number(document.querySelector('#points-player .player').dataset.shown) >= 2")
    desktop.click("#points-train + .points-stop")
    desktop.wait_for_selector("#points-network a[download]")
    assert desktop.evaluate(HEIGHT) <= 900


def test_the_figure_comes_before_its_settings_on_a_phone(app, visit):
    page = visit(app)
    page.set_viewport_size({"width": 390, "height": 844})
    for tab, figure, form in (
        ("Compare", "#compare-view", "#compare-quick"),
        ("Points", "#points-view", "#points-quick"),
    ):
        open_tab(page, tab)
        page.wait_for_selector(form)
        assert top_of(page, figure) < top_of(page, form)
    open_tab(page, "Generate")
    over = page.evaluate(
        "() => document.querySelector('#player .show-numbers').getBoundingClientRect().right"
        " - document.querySelector('#player .say-row').getBoundingClientRect().right"
    )
    assert over <= 0.5
    run(page, steps=3, count=1)
    page.click("#player .inside")
    page.wait_for_selector("#inside-seen [data-view=sum] .tile img")
    page.evaluate("document.querySelector('#inside-seen').scrollIntoView()")
    page.wait_for_selector("#inside-small canvas >> visible=true")
    assert 60 < page.locator("#inside-small").bounding_box()["height"] < 0.4 * 844
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_selector("#inside-small", state="hidden")


def test_the_help_is_seen_whole(desktop):
    """Its last button had no room below it."""
    desktop.click("#player .help")
    box = desktop.evaluate(
        "() => { const one = document.querySelector('#player .keys'), to = one.getBoundingClientRect();"
        " const close = one.querySelector('form button').getBoundingClientRect(), top = one.querySelector('h2').getBoundingClientRect().top;"
        " return [one.scrollHeight - one.clientHeight, top - to.top, to.bottom - close.bottom, close.left - to.left]; }"
    )
    assert box[0] <= 0 and max(box[1:]) - min(box[1:]) <= 4
