"""The panel that looks inside the step that the player shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import choose_model, player, run, set_number, wait
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow
ORDER = ["sum", "guidance", "attention", "network", "decided", "surprise"]
AXE = Path(__file__).with_name("axe.min.js")
ON_PRESS = ("decided", "surprise")


def at(page, place: int) -> None:
    """Stop the player at a place of its run."""
    page.evaluate(
        "place => { const s = document.querySelector('#player .scrub'); s.value = place;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); }",
        place,
    )
    wait(page, f"Number(d.shown) === {place}")


def heroes(page, prompt: str) -> None:
    """A run of two heroes in six steps."""
    choose_model(page, "heroes")
    set_number(page, "#steps", 6)
    set_number(page, "#count", 2)
    before = player(page).get("run", "")
    page.fill("#prompt textarea", prompt)
    page.locator("#prompt textarea").press("Enter")
    wait(page, f"d.run && d.run !== '{before}' && d.ended === 'true'")


def seen(page, view: str, step: int) -> list[str]:
    """Choose a view, press Compute where it waits for that, and return the titles of its tiles."""
    page.locator("#inside-view label").nth(ORDER.index(view)).click()
    if view in ON_PRESS:
        page.wait_for_selector(f"#inside-seen [data-view={view}] .cost")
        page.click("#inside-compute")
    page.wait_for_selector(f"#inside-seen [data-view={view}][data-step='{step}'] .tiles")
    page.wait_for_function("document.querySelector('#stage').dataset.insideAsked === '0'")
    assert page.locator("#inside-seen cite").inner_text()
    return page.locator("#inside-seen figcaption").all_inner_texts()


def test_each_view_of_each_kind_of_model(page):
    assert page.locator("#inside").is_hidden()
    page.click("#player .inside")
    page.wait_for_selector("#inside-seen .why >> text=Press Generate")  # there is no run yet
    for model, words in (("fashion-mnist", None), ("heroes", "orc, robe white")):
        if words:
            heroes(page, words)
        else:
            choose_model(page, model)
            run(page, steps=6, count=2)
        at(page, 3)
        for view in ORDER:
            titles = seen(page, view, 5 if view == "surprise" else 3)
            assert len(titles) >= 2, (model, view, titles)
            if view == "attention":
                assert [one.split(":")[0] for one in titles[1:4]] == (
                    ["orc", "robe", "white"] if words else [titles[1]]
                )
                assert ("reads no text" in page.inner_text("#inside-seen")) == (words is None)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    page.click("#inside-close")
    assert page.locator("#inside").is_hidden()


def test_it_asks_only_when_it_is_open_and_the_player_rests(desktop):
    asked = []
    desktop.on("request", lambda one: asked.append(one) if "queue/join" in one.url else None)
    run(desktop, steps=6, count=2)
    at(desktop, 2)
    desktop.wait_for_timeout(500)
    asked.clear()
    desktop.wait_for_timeout(1500)
    assert not asked
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen [data-step='2'] .tiles")
    assert len(asked) == 1
    desktop.evaluate(
        "() => [3, 4, 5, 4, 3, 1].forEach((place, k) => setTimeout(() => {"
        " const s = document.querySelector('#player .scrub'); s.value = place;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); }, 120 * k))"
    )
    desktop.wait_for_selector("#inside-seen [data-step='1'] .tiles")
    desktop.wait_for_timeout(1200)
    assert len(asked) == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(app, visit, theme):
    page = visit(f"{app}/?__theme={theme}")
    run(page, steps=4, count=2)
    at(page, 2)
    page.click("#player .inside")
    page.wait_for_selector("#inside-seen [data-step='2'] .tiles")
    page.wait_for_timeout(1200)  # colours fade in
    page.evaluate(AXE.read_text("utf-8"))
    for view in ("network", "attention", "decided"):
        page.locator("#inside-view label").nth(ORDER.index(view)).click()
        page.wait_for_selector(f"#inside-seen [data-view={view}]")
        page.wait_for_function("document.querySelector('#stage').dataset.insideAsked === '0'")
        page.wait_for_timeout(600)
        answer = page.evaluate("axe.run('#view', {resultTypes: ['violations']})")
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in answer["violations"]] == [], view


def test_settings_change_what_is_seen(desktop):
    heroes(desktop, "orc, robe white")
    at(desktop, 3)
    desktop.click("#player .inside")
    seen(desktop, "attention", 3)
    desktop.click("#inside-word input")
    desktop.get_by_role("option", name="robe", exact=True).click()
    desktop.wait_for_function("document.querySelectorAll('#inside-seen img').length === 2")
    assert desktop.locator("#inside-seen figcaption").nth(1).inner_text().startswith("robe")
    seen(desktop, "sum", 3)
    desktop.locator("#inside-seen .pointed img").first.click(position={"x": 2, "y": 2})  # a place of it
    desktop.wait_for_selector("#inside-seen >> text=Pixel at row 0, column 0")
    desktop.locator("#player .player").focus()
    desktop.keyboard.press("2")  # the enlarged picture is the one that is looked into
    desktop.wait_for_function("document.querySelector('#inside-picture input').value === '2'")
    desktop.locator("#inside-picture input").fill("9")
    desktop.wait_for_selector("#inside-seen .why >> text=pictures 1 to 2, got 9")


def test_it_saves_the_picture_and_the_run(desktop, tmp_path):
    run(desktop, steps=5, count=2)
    at(desktop, 3)
    desktop.click("#player .inside")
    seen(desktop, "network", 3)
    for button, ending, frames in (("#inside-save-picture", ".png", 1), ("#inside-save-over", ".gif", 5)):
        with desktop.expect_download() as caught:
            desktop.click(button)
        path = tmp_path / caught.value.suggested_filename
        caught.value.save_as(path)
        assert path.suffix == ending and ds.Recipe.from_file(path).steps == 5
        with Image.open(path) as made:
            assert getattr(made, "n_frames", 1) == frames
    assert player(desktop)["shown"] == "3"


def test_compute_counts_though_the_view_was_just_chosen(desktop):
    run(desktop, steps=4, count=2)
    at(desktop, 2)
    desktop.click("#player .inside")
    seen(desktop, "sum", 2)
    desktop.evaluate(
        "n => { document.querySelectorAll('#inside-view label')[n].querySelector('input').click();"
        " setTimeout(() => document.querySelector('#inside-compute').click(), 150); }",
        ORDER.index("decided"),
    )
    desktop.wait_for_selector("#inside-seen [data-view=decided][data-step='2'] .tiles", timeout=60_000)
    desktop.wait_for_function("document.querySelector('#inside').dataset.stale === 'false'")


def test_what_is_of_another_look_is_dimmed_and_its_file_put_away(desktop):
    run(desktop, steps=4, count=2)
    at(desktop, 2)
    desktop.click("#player .inside")
    seen(desktop, "network", 2)
    desktop.wait_for_function("document.querySelector('#inside').dataset.stale === 'false'")
    with desktop.expect_download():
        desktop.click("#inside-save-picture")
    desktop.wait_for_selector("#inside-file a[download]")
    # before the panel has asked for the new view
    opacity = desktop.evaluate(
        """async (n) => { document.querySelectorAll('#inside-view label')[n].querySelector('input').click();
        await new Promise((done) => setTimeout(done, 250));
        return ['#inside-seen', '#inside-file'].map((one) => getComputedStyle(document.querySelector(one)).opacity); }""",
        ORDER.index("sum"),
    )
    assert opacity == ["0.4", "0.4"]
    desktop.wait_for_selector("#inside-seen [data-view=sum] .tiles")
    desktop.wait_for_selector("#inside-file a[download]", state="detached")
    desktop.wait_for_function("getComputedStyle(document.querySelector('#inside-seen')).opacity === '1'")


def test_a_film_of_the_pictures_leaves_the_panel_at_its_own(desktop):
    run(desktop, steps=4, count=3)
    at(desktop, 2)
    desktop.click("#player .film")
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen [data-view=sum][data-step='2'] .tiles")
    wait(desktop, "d.zoom === '2'")
    desktop.wait_for_timeout(300)  # three looks of the panel
    assert desktop.input_value("#inside-picture input") == "1"
    desktop.click("#player .film")  # it stops at a picture: the panel looks at that one
    desktop.wait_for_function(
        "document.querySelector('#inside-picture input').value ==="
        " String(Number(document.querySelector('#player .player').dataset.zoom) + 1)"
    )


def test_the_drawn_network_answers_to_clicks_and_moves_with_the_run(desktop):
    run(desktop, steps=12, count=1)
    at(desktop, 3)
    desktop.click("#player .inside")
    seen(desktop, "network", 3)
    chosen = "document.querySelector('#inside-seen .chosen')?.dataset.block"
    assert desktop.evaluate(chosen) == "middle.0"
    assert "change of size" in desktop.text_content("#inside-seen .legend")
    desktop.locator("#inside-seen [data-block='up.2.stages.0.block']").click()
    desktop.wait_for_function(f"{chosen} === 'up.2.stages.0.block'")
    desktop.wait_for_selector("#inside-seen figcaption >> text=x0 without the block")
    desktop.locator("#inside-seen [data-skip='up.0.stages.0.block'] path").first.dispatch_event("click")
    desktop.wait_for_function(f"{chosen} === 'up.0.stages.0.block'")
    desktop.wait_for_selector("#inside-seen figcaption >> text=x0 without the skip into it")
    # the drawing moves while the run plays, and not for who wants less motion
    moving = """() => { const inside = document.querySelector('#inside'), before = inside.dataset.plays;
      inside.dataset.plays = 'true';
      const found = ['.flow', '.skip path:last-child'].map((one) => getComputedStyle(inside.querySelector(one)).animationName);
      inside.dataset.plays = before; return found; }"""
    assert desktop.evaluate(moving) == ["ds-along", "ds-along-skip"]
    desktop.emulate_media(reduced_motion="reduce")
    assert desktop.evaluate(moving) == ["none", "none"]
    assert desktop.evaluate("document.querySelector('#inside').dataset.plays") == "false"
    desktop.evaluate(
        "() => { window.told = []; new MutationObserver(() => told.push(document.querySelector('#inside').dataset.plays))"
        ".observe(document.querySelector('#inside'), { attributeFilter: ['data-plays'] }); }"
    )
    desktop.click("#player .play")
    desktop.wait_for_function("told.includes('true') && told.at(-1) === 'false'")
    # what goes in and what comes out are those of the player
    assert desktop.evaluate(
        "['into', 'out'].every((end) => document.querySelector(`#inside-seen .${end} canvas`).width > 1)"
    )


def test_a_place_of_the_picture_shows_where_it_looks(desktop):
    run(desktop, steps=4, count=1)
    at(desktop, 2)
    desktop.click("#player .inside")
    seen(desktop, "attention", 2)
    desktop.locator("#inside-seen .pointed img").first.click(position={"x": 2, "y": 2})
    desktop.wait_for_selector("#inside-seen figcaption >> text=from 0,0 at")
    assert desktop.input_value("#inside-place :is(input, textarea)") == "0,0"


def test_the_surprise_of_a_picture_that_is_dropped(desktop, tmp_path):
    Image.new("RGB", (40, 30), (200, 40, 40)).save(tmp_path / "mine.png")
    run(desktop, steps=4, count=1)
    desktop.click("#player .inside")
    desktop.locator("#inside-view label").nth(ORDER.index("surprise")).click()
    desktop.wait_for_selector("#inside-seen [data-view=surprise] .cost >> text=the finished picture")
    desktop.set_input_files("#inside-given input[type=file]", tmp_path / "mine.png")
    desktop.wait_for_selector("#inside-seen .cost >> text=measure your picture")
    desktop.fill("#inside-terms input", "4")
    desktop.wait_for_selector("#inside-seen .cost >> text=as much computing as 4 network calls")
    desktop.click("#inside-compute")
    desktop.wait_for_selector("#inside-seen h2 >> text=Surprise of your picture")
    assert "brought to 32x32" in desktop.inner_text("#inside-seen")
