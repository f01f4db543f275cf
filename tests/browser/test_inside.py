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
        page.wait_for_selector("#inside-seen .cost", state="detached")
    page.wait_for_selector(f"#inside-seen [data-view={view}][data-step='{step}'] .tiles")
    page.wait_for_function("document.querySelector('#stage').dataset.insideAsked === '0'")
    page.wait_for_function(
        "[...document.querySelectorAll('#inside-seen .plays')].every((one) => one.querySelector('.ds-figure'))"
    )
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


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080), (1280, 720), (1000, 800), (390, 844)])
def test_a_chosen_view_is_in_sight_with_the_timeline(desktop, size):
    """At 1440 by 900 its pictures lay below the edge of the window."""
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    run(desktop, steps=4, count=1)
    desktop.click("#player .inside")
    for view in ("attention", "decided"):
        desktop.locator("#inside-view label").nth(ORDER.index(view)).click()
        desktop.wait_for_selector(f"#inside-seen [data-view={view}] .tile img")
        desktop.wait_for_function(
            "() => { const box = (what) => document.querySelector(what).getBoundingClientRect();"
            " const timeline = box('#player .timeline'), picture = box('#inside-seen .tile img');"
            " return timeline.top >= 0 && timeline.bottom <= innerHeight"
            " && picture.top > 0 && picture.top + 60 <= innerHeight; }"
        )
    beside = desktop.evaluate(
        "document.querySelector('#inside').getBoundingClientRect().left >="
        " document.querySelector('#player').getBoundingClientRect().right"
    )
    assert beside == (size[0] > 1180)
    assert desktop.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
def test_pictures_fill_the_panel_and_symbols_are_set_as_in_papers(desktop, size):
    """Rows of three pictures left a fourth of the panel free, and captions said x_t, x0 and eps in plain letters."""
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=1)
    at(desktop, 3)
    desktop.click("#player .inside")
    for view in ("sum", "guidance", "network", "decided", "surprise"):
        seen(desktop, view, 5 if view == "surprise" else 3)
        free, covered, raw = desktop.evaluate(
            """() => {
            const box = (one) => one.getBoundingClientRect(), all = (what) => [...document.querySelectorAll(what)];
            const right = box(document.querySelector('#inside-seen')).right, close = box(document.querySelector('#inside-close'));
            const rows = all('#inside-seen .tiles').map((one) => right - Math.max(...[...one.children].map((tile) => box(tile).right)));
            const over = all('#inside-view label, #inside-settings .form > *').map(box)
              .some((one) => one.width && one.right > close.left && one.left < close.right && one.bottom > close.top && one.top < close.bottom);
            const texts = document.createTreeWalker(document.querySelector('#inside-seen'), NodeFilter.SHOW_TEXT), found = [];
            while (texts.nextNode()) if (/x_t|x0|\\beps\\b|\\balpha\\b|\\d e?-\\d|e-\\d/.test(texts.currentNode.data)) found.push(texts.currentNode.data);
            return [rows, over, found]; }"""
        )
        assert max(free) < 30 and not covered and not raw, (view, free, raw)
        if view == "guidance":
            said = desktop.inner_text("#inside-seen")
            assert "before clipping" in said and "The sampler gets the x0 after clipping" in said
            assert "after clipping" in desktop.locator("#inside-seen figcaption").nth(3).inner_text()
        if view == "surprise":
            gap = desktop.evaluate(
                "() => { const box = (what) => document.querySelector(`#inside-seen ${what}`).getBoundingClientRect();"
                " return [box('.plays .caption').top - box('.plays canvas').bottom,"
                " box('.plays svg').left - box('.plays canvas').right]; }"
            )
            assert min(gap) >= 5  # its caption has room, and the curve stands beside the film


def test_new_runs_follow_the_timeline_once_they_were_computed(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=1)
    at(desktop, 2)
    desktop.click("#player .inside")
    desktop.locator("#inside-view label").nth(ORDER.index("decided")).click()
    desktop.locator("#inside-again input").wait_for()
    set_number(desktop, "#inside-again", 3)
    seen(desktop, "decided", 2)
    runs = "#inside-seen [data-view=decided][data-step='{}'] h3 >> text=3 new runs from step {}"
    desktop.wait_for_selector(runs.format(2, 2))
    # the timeline is moved on: what is shown is dimmed until the new runs of the last place are there
    opacity = desktop.evaluate(
        """async () => { const scrub = document.querySelector('#player .scrub'), found = [];
        for (const place of [3, 5, 4]) { scrub.value = place; scrub.dispatchEvent(new Event('input', { bubbles: true }));
          await new Promise((done) => setTimeout(done, 250));
          found.push(Number(getComputedStyle(document.querySelector('#inside-seen .tiles')).opacity)); }
        return found; }"""
    )
    assert min(opacity) < 1
    desktop.wait_for_selector(runs.format(4, 4))
    desktop.wait_for_function("document.querySelector('#inside').dataset.stale === 'false'")
    assert desktop.locator("#inside-seen .cost").count() == 0


def test_the_marker_of_the_curves_follows_the_player_without_the_server(page):
    choose_model(page, "fashion-mnist")
    run(page, steps=6, count=1)
    at(page, 3)
    page.click("#player .inside")
    seen(page, "decided", 3)
    figure = page.locator("#inside-seen .ds-figure")
    assert figure.get_attribute("data-state") == "3"
    names = page.locator("#inside-seen .curves figcaption").all_inner_texts()
    assert names == [
        "how much x₀ still changes (root mean square)",
        "share of decided pixels",
        "probability of each label, by the classifier",
    ]
    # what the page asks when the marker moves: nothing, and the curves are not dimmed
    page.evaluate(
        """() => { window.moves = [];
        const note = () => moves.push([document.querySelector('#inside-seen .ds-figure').dataset.state,
          document.querySelector('#stage').dataset.insideAsked, document.querySelector('#inside').dataset.stale,
          getComputedStyle(document.querySelector('#inside-seen .plays')).opacity]);
        new MutationObserver(note).observe(document.querySelector('#inside-seen .ds-figure'), { attributeFilter: ['data-state'] }); }"""
    )
    at(page, 5)
    page.wait_for_function("moves.length > 0")
    assert page.evaluate("moves[0]") == ["5", "0", "true", "1"]
    # then the panel shows that step, and a marker that is dragged moves the player
    page.wait_for_selector("#inside-seen [data-view=decided][data-step='5'] .ds-figure[data-state='5']")
    page.locator("#inside-seen svg.drags").first.click(position={"x": 60, "y": 40})
    wait(page, "Number(d.shown) < 3")
    page.wait_for_function(
        "document.querySelector('#inside-seen .ds-figure').dataset.state ==="
        " document.querySelector('#player .player').dataset.shown"
    )


def test_the_whole_run_is_shown_on_a_press_and_saved(desktop, tmp_path):
    heroes(desktop, "orc, robe white")
    at(desktop, 3)
    desktop.click("#player .inside")
    for view, part in (("guidance", ".ds-figure[data-state='3'] svg"), ("attention", ".tile img")):
        seen(desktop, view, 3)
        assert desktop.locator("#inside-over").is_hidden()  # that of the view before is put away
        desktop.click("#inside-whole")
        desktop.wait_for_selector(f"#inside-over {part}")
        desktop.wait_for_function("document.querySelector('#stage').dataset.insideAsked === '0'")
        with desktop.expect_download() as caught:
            desktop.click("#inside-save-whole")
        path = tmp_path / caught.value.suggested_filename
        caught.value.save_as(path)
        assert path.name.endswith(f"-{view}-run.png") and ds.Recipe.from_file(path).steps == 6
    titles = desktop.locator("#inside-over figcaption").all_inner_texts()
    assert [one.split(":")[0] for one in titles] == ["predicted x0", "orc", "robe", "white"]


def test_the_curves_have_the_colours_of_the_theme(app, visit):
    page = visit(f"{app}/?__theme=dark")
    run(page, steps=4, count=1)
    at(page, 2)
    page.click("#player .inside")
    page.locator("#inside-view label").nth(ORDER.index("decided")).click()
    page.wait_for_selector("#inside-seen .ds-figure svg")
    drawn = "getComputedStyle(document.querySelector('#inside-seen .ds-figure svg')).backgroundColor"
    paper = "getComputedStyle(document.querySelector('#inside')).backgroundColor"
    assert page.evaluate(drawn) == page.evaluate(paper) != "rgb(255, 255, 255)"
    name = "getComputedStyle(document.querySelector('#inside-seen .names .name-1')).color"
    line = "getComputedStyle(document.querySelector('#inside-seen svg .line-1')).stroke"
    assert page.evaluate(name) == page.evaluate(line)


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
    desktop.locator("#inside-seen .pointed img").first.click(position={"x": 1, "y": 1})  # a place of it
    desktop.wait_for_selector("#inside-seen >> text=Pixel at row 0, column 0")
    assert (
        desktop.locator("#inside-seen .mark").count() == desktop.locator("#inside-seen .pointed").count() > 5
    )
    desktop.locator("#player .player").focus()
    desktop.keyboard.press("2")  # the enlarged picture is the one that is looked into
    desktop.wait_for_function("document.querySelector('#inside-picture input').value === '2'")
    desktop.locator("#inside-picture input").fill("9")
    desktop.wait_for_selector("#inside-status .kept >> text=pictures 1 to 2, got 9")
    assert desktop.locator("#inside-seen .tiles img").count() > 5  # the last picture stays
    desktop.locator("#inside-picture input").fill("1")
    desktop.wait_for_selector("#inside-status .kept", state="detached")


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


def test_the_surprise_is_saved_at_the_shown_step_and_only_once_it_is_there(desktop, tmp_path):
    """It saved the map of the last step, and Save was there before Compute was pressed."""
    run(desktop, steps=5, count=1)
    at(desktop, 1)
    desktop.click("#player .inside")
    desktop.locator("#inside-view label").nth(ORDER.index("surprise")).click()
    desktop.wait_for_selector("#inside-seen [data-view=surprise] .cost")
    save, over = desktop.locator("#inside-save-picture"), desktop.locator("#inside-save-over")
    desktop.wait_for_function("document.querySelector('#inside').dataset.stale === 'false'")
    desktop.wait_for_timeout(300)  # three looks of the panel
    assert save.is_disabled() and over.is_disabled()
    desktop.fill("#inside-terms input", "6")
    desktop.wait_for_selector("#inside-seen .cost >> text=as much computing as 6 network calls")
    desktop.click("#inside-compute")
    desktop.wait_for_selector("#inside-seen [data-view=surprise] .tiles")
    saved = {}
    for step in (1, 4, 5):
        at(desktop, step)
        with desktop.expect_download() as caught:
            save.click()  # which waits until what is drawn is of this step
        path = tmp_path / caught.value.suggested_filename
        caught.value.save_as(path)
        assert path.name.endswith(f"-surprise-{step}.png"), path.name
        saved[step] = Image.open(path).tobytes()
    assert len(set(saved.values())) == 3


def test_a_run_that_is_made_says_what_to_do_and_can_be_looked_into(desktop):
    """The panel was empty as long as the player followed the run."""
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 200)
    set_number(desktop, "#count", 1)
    desktop.click("#generate")
    wait(desktop, "d.run && Number(d.loaded) > 3 && d.busy === 'true'")
    desktop.click("#player .inside")
    desktop.wait_for_function("document.querySelector('#inside').dataset.plays === 'true'")
    told = "getComputedStyle(document.querySelector('#inside-status'), '::after').content"
    assert "Choose a step on the timeline" in desktop.evaluate(told)
    at(desktop, 1)
    desktop.wait_for_selector("#inside-seen [data-view=sum] .tiles")
    assert desktop.evaluate(told) == "none"
    assert player(desktop)["busy"] == "true"  # meanwhile the run goes on
    desktop.click("#stop")
    wait(desktop, "d.ended === 'true' && d.busy !== 'true'")
    made = int(player(desktop)["loaded"]) - 1
    assert made < 200
    desktop.locator("#inside-view label").nth(ORDER.index("decided")).click()
    desktop.wait_for_selector("#inside-seen [data-view=decided] .cost >> text=this view goes on to its end")


def test_an_error_has_no_picture_to_save(desktop):
    desktop.click("#player .inside")
    desktop.wait_for_selector("#inside-seen .why >> text=Press Generate")
    desktop.wait_for_timeout(300)
    assert desktop.locator("#inside-save-picture").is_disabled()
    run(desktop, steps=3, count=1)
    seen(desktop, "sum", 2)
    desktop.locator("#inside-save-picture:enabled").wait_for()
    desktop.locator("#inside-save-over:enabled").wait_for()


def test_what_the_panel_says_can_be_read(desktop):
    """Menus cut their choice off, a label lay over the words of a field, and the network's were 10 px high."""
    run(desktop, steps=3, count=1)
    desktop.click("#player .inside")
    seen(desktop, "attention", 2)
    for menu in ("#inside-word", "#inside-layer", "#inside-head"):
        if desktop.locator(menu).is_hidden():  # no words
            continue
        assert desktop.evaluate(
            "where => { const one = document.querySelector(`${where} input`); return one.scrollWidth <= one.clientWidth; }",
            menu,
        ), menu
    seen(desktop, "network", 2)
    assert (
        desktop.evaluate(
            "Math.min(...[...document.querySelectorAll('#inside-seen .drawing text')].map((one) => one.getBoundingClientRect().height))"
        )
        >= 12
    )
    desktop.locator("#inside-view label").nth(ORDER.index("surprise")).click()
    desktop.wait_for_selector("#inside-seen [data-view=surprise] .cost")
    boxes = desktop.evaluate(
        "['#inside-given label', '#inside-given button .wrap'].map((one) => { const range = document.createRange();"
        " range.selectNodeContents(document.querySelector(one)); const box = range.getBoundingClientRect(); return [box.top, box.bottom]; })"
    )
    assert boxes[0][1] <= boxes[1][0], boxes


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
    desktop.wait_for_selector("#inside-seen [data-view=decided][data-step='2'] .tiles", timeout=120_000)
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
    # before the panel has asked for the other picture
    opacity = desktop.evaluate(
        """async () => { const field = document.querySelector('#inside-picture input');
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, '2');
        for (const name of ['input', 'change', 'blur']) field.dispatchEvent(new Event(name, { bubbles: true }));
        await new Promise((done) => setTimeout(done, 250));
        return ['#inside-seen', '#inside-file'].map((one) => getComputedStyle(document.querySelector(one)).opacity); }""",
    )
    assert opacity == ["0.4", "0.4"]
    desktop.wait_for_selector("#inside-file a[download]", state="detached")
    desktop.wait_for_function("getComputedStyle(document.querySelector('#inside-seen')).opacity === '1'")


def test_a_chosen_view_says_at_once_what_it_is_and_what_is_waited_for(desktop):
    """The view before stayed, faded, under its own title."""
    run(desktop, steps=4, count=2)
    at(desktop, 2)
    desktop.click("#player .inside")
    seen(desktop, "sum", 2)
    desktop.wait_for_selector("#inside-awaited section", state="attached")
    said = desktop.evaluate(
        """async (n) => { document.querySelectorAll('#inside-view label')[n].querySelector('input').click();
        const awaited = document.querySelector('#inside-awaited');
        const here = () => document.querySelector('#inside-seen [data-view=guidance]');
        while (!awaited.checkVisibility() && !here()) await new Promise(requestAnimationFrame);
        const seen = document.querySelector('#inside-seen');
        return [document.querySelector('#inside-awaited').innerText, seen.checkVisibility()]; }""",
        ORDER.index("guidance"),
    )
    assert said[0].startswith("Guidance\n") and said[0].endswith("Looking: one network call …")
    assert said[1] is False
    desktop.wait_for_selector("#inside-seen [data-view=guidance] .tiles")
    desktop.wait_for_function("!document.querySelector('#inside-awaited').checkVisibility()")


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
    # a line that is seen, and at which a click arrives
    at_skip = """() => { const line = document.querySelector("#inside-seen [data-skip='up.0.stages.0.block']");
      line.scrollIntoView({block: 'center'});
      const path = line.lastElementChild, {x, y} = path.getPointAtLength(path.getTotalLength() / 2).matrixTransform(path.getScreenCTM());
      return getComputedStyle(line).opacity === '1' && document.elementFromPoint(x, y)?.closest('[data-skip]') === line ? [x, y] : null; }"""
    desktop.mouse.click(*desktop.evaluate(at_skip))
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


def test_the_number_of_a_picture_does_not_outlive_its_run(desktop):
    """The next run may have fewer pictures; the view was then an error."""
    run(desktop, steps=3, count=2)
    desktop.click("#player .inside")
    seen(desktop, "sum", 2)
    set_number(desktop, "#inside-picture", 2)
    run(desktop, steps=3, count=1)
    desktop.wait_for_function("document.querySelector('#inside-picture input').value === '1'")
    seen(desktop, "sum", 2)


def test_a_place_of_the_picture_shows_where_it_looks(desktop):
    run(desktop, steps=4, count=1)
    at(desktop, 2)
    desktop.click("#player .inside")
    seen(desktop, "attention", 2)
    desktop.locator("#inside-seen .pointed img").first.click(position={"x": 1, "y": 1})
    desktop.wait_for_selector("#inside-seen figcaption >> text=where 0,0 looks")
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
