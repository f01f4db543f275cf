"""The exported page in Chromium, from a file and with the network off: it plays and shows the run's pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

import diffusion_studio as ds
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.imaging.arrays import grid
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.forward_pictures import process, save_forward

pytestmark = pytest.mark.slow

READ = """half => { const c = document.querySelector(`[data-half=${half}] canvas`);
  return [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }"""


@pytest.fixture(scope="module")
def run():
    studio = ds.Studio()
    return studio.run(ds.Recipe(model="fashion-mnist", label="Bag", steps=6, seeds=(3, 4, 5)))


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, browser, run, tmp_path):
    path = run.save(tmp_path / "run.html", view="both", fps=30)
    context = browser.new_context(
        viewport={"width": request.param[0], "height": request.param[1]}, offline=True
    )
    found, errors = context.new_page(), []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    found.on(
        "request", lambda one: errors.append(one.url) if not one.url.startswith(("file:", "blob:")) else None
    )
    found.goto(path.as_uri())
    shown(found, 6)
    yield found
    context.close()
    tried = "scripts_that" in request.node.name  # the refusal is what that test wants
    assert [one for one in errors if not (tried and "Content Security Policy" in one)] == []


def until(page, condition: str) -> None:
    """Wait for it. The page's policy forbids what Playwright's own way needs: a string made into a function."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def shown(page, place: int) -> None:
    until(page, f"document.querySelector('main').dataset.shown === '{place}'")


def pixels(page, half: str) -> np.ndarray:
    width, height, data = page.evaluate(READ, half)
    return np.array(data, np.uint8).reshape(height, width, 4)[..., :1]


def test_it_shows_the_runs_own_pixels(page, run):
    for place in (0, 3, 6):
        page.locator(".scrub").fill(str(place))
        shown(page, place)
        assert (pixels(page, "x") == grid(run.frames[place].x)).all()
        assert (pixels(page, "x0") == grid(run.frames[place].x0)).all()
        expect(page.locator(".say")).to_contain_text(
            ("99 % noise. Every run", " % noise. ", "Done: “Bag”")[place // 3]
        )
    expect(page.locator(".readout")).to_have_text("step 6 of 6 · clean picture · 6 network calls")


def test_it_plays_and_is_led_by_keys(page, run):
    page.keyboard.press("Home")
    shown(page, 0)
    assert re.match(r"step 0 of 6 · t = \d+ · .* · 1 network call$", page.inner_text(".readout"))
    page.keyboard.press("ArrowRight")
    shown(page, 1)
    page.keyboard.press("Space")
    shown(page, 6)
    until(page, "document.querySelector('.play').textContent === 'Play'")  # at the end it stops
    page.locator(".scrub").focus()  # as who has just led it by hand
    page.keyboard.press("Home")
    shown(page, 0)
    page.keyboard.press("Space")
    shown(page, 6)
    until(page, "document.querySelector('.play').textContent === 'Play'")
    page.keyboard.press("2")
    until(page, "document.querySelector('canvas').width === 32")
    shown(page, 6)
    assert (pixels(page, "x") == run.frames[6].x[1]).all()
    page.keyboard.press("Escape")
    until(page, "document.querySelector('canvas').width === 64")
    assert page.locator("[data-half=x0] canvas").is_visible()
    page.keyboard.press("v")
    assert (
        page.locator("[data-half=x0] canvas").is_visible()
        and page.locator("[data-half=x] canvas").is_hidden()
    )


def test_the_pictures_fill_the_window_by_whole_pixels(page):
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    sizes = page.evaluate(
        "[...document.querySelectorAll('canvas')].map((one) => [one.width, one.clientWidth, one.clientHeight])"
    )
    assert all(wide == high and wide % own == 0 for own, wide, high in sizes)
    bottom = page.evaluate("document.querySelector('.controls').getBoundingClientRect().bottom")
    larger = sizes[0][0] * (
        2 if width < height else 1
    )  # one step of the scale, of each picture in the column
    assert height - larger - 60 < bottom <= height
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_it_plays_by_itself_once_unless_less_motion_is_wished(motion, run, browser, tmp_path):
    path = run.save(tmp_path / "run.html", view="both", fps=30)
    context = browser.new_context(reduced_motion=motion)
    found = context.new_page()
    found.add_init_script(
        "window.places = []; new MutationObserver(() => {"
        " const place = document.querySelector('main')?.dataset.shown;"
        " if (place && place !== window.places.at(-1)) window.places.push(place);"
        "}).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-shown'] });"
    )
    found.goto(path.as_uri())
    shown(found, 6)
    until(found, "document.querySelector('.play').textContent === 'Play'")
    places = found.evaluate("window.places")
    assert places == ["6"] if motion == "reduce" else (places[0] == "0" and len(places) > 2)
    context.close()


def test_space_plays_after_a_button_was_clicked(page):
    page.click(".back")
    shown(page, 5)
    page.keyboard.press("Space")
    shown(page, 6)


def test_a_finger_enlarges_a_picture_and_chooses_what_is_shown(page, run):
    page.locator("[data-view=x]").first.click()
    canvas = page.locator("[data-half=x] canvas")
    box = canvas.bounding_box()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    canvas.click(position={"x": box["width"] * 0.75, "y": box["height"] * 0.25})
    until(page, "document.querySelector('canvas').width === 32")
    assert (pixels(page, "x") == run.frames[6].x[1]).all()


def test_a_branch_is_marked_on_the_timeline(page, browser, run, tmp_path):
    """As in the app: a mark at the state where it leaves the run before, and sentences on both sides of it."""
    assert page.locator(".branched").is_hidden()  # the run itself is no branch
    made = ds.Studio().run(run.recipe.continued(2, label="Coat"))
    context = browser.new_context(viewport=page.viewport_size, offline=True)
    found, errors = context.new_page(), []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    found.goto(made.save(tmp_path / "branch.html", view="both").as_uri())
    shown(found, 6)
    mark, slider = (found.locator(where).bounding_box() for where in (".branched", ".scrub"))
    assert found.inner_text(".branched") == "branch"
    assert mark["x"] == pytest.approx(slider["x"] + 8 + 2 / 6 * (slider["width"] - 16), abs=2)
    assert mark["y"] < slider["y"] and mark["y"] + mark["height"] > slider["y"] + 16
    for place, said in (
        (1, "This is still the run before the branch, which is at step 2."),
        (2, "Here it b"),
        (6, "The first 2 are those of the run before."),
    ):
        found.locator(".scrub").fill(str(place))
        shown(found, place)
        assert said in found.inner_text(".say"), place
    assert found.evaluate("document.documentElement.scrollWidth <= innerWidth") and errors == []
    context.close()


def test_its_recipe_is_readable_in_it(page):
    page.click("summary")
    assert "Bag" in page.inner_text(".settings") and "fashion-mnist" in page.inner_text(".settings")


def test_scripts_that_are_not_its_own_do_not_run(page):
    """The policy, not the page's care, is asked: an element that is added later."""
    page.evaluate("""() => { window.ran = false; const one = document.createElement('script');
      one.textContent = 'window.ran = true'; document.body.append(one); }""")
    assert page.evaluate("window.ran") is False


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("kind", ["points", "forward"])
def test_points_and_a_forward_process_play_from_their_files(kind, width, browser, tmp_path):
    """Points are called so, and of a forward process nothing is said that a network would say."""
    path = tmp_path / "a.html"
    if kind == "points":
        studio = ds.Studio()
        run = studio.run(studio.recipe("swiss-roll", seeds=(0,), points=200, steps=4))
        run.save(path, view="both", fps=30)
    else:
        picture = Picture(np.arange(768, dtype=np.uint8).reshape(16, 16, 3))
        save_forward([process(picture, Linear(), 4, 3, "linear")], path, fps=30)
    context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
    found, errors = context.new_page(), []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    found.on(
        "request", lambda one: errors.append(one.url) if not one.url.startswith(("file:", "blob:")) else None
    )
    found.goto(path.as_uri())
    shown(found, 4)
    found.locator(".scrub").fill("2")
    shown(found, 2)
    said = {
        "points": "Noise and shape weigh about the same now.",
        "forward": "",
    }[kind]
    assert found.inner_text(".say").endswith(said) and bool(found.inner_text(".say")) == bool(said)
    captions = [one for one in found.locator("figcaption").all_inner_texts() if one]
    assert captions == {"points": ["the state x_t", "the predicted clean points x0"], "forward": []}[kind]
    found.keyboard.press("Home")
    shown(found, 0)
    found.keyboard.press("Space")
    shown(found, 4)
    assert found.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    context.close()


def test_a_race_plays_from_its_file(browser, tmp_path):
    """The lanes of a race show their states at each tick, offline, from a file, by keys."""
    studio = ds.Studio()
    base = studio.recipe("fashion-mnist", label="Bag", seeds=(3, 4), steps=4)
    race = ds.race([base, {"steps": 2}], "steps", studio=studio)
    path = race.save(tmp_path / "race.html", view="x")
    assert ds.read_race(path) == race.recipe
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    found, errors = context.new_page(), []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    found.goto(path.as_uri())
    until(found, "document.querySelector('.together').dataset.runs === '2'")
    assert found.locator(".lane figcaption").all_inner_texts() == ["steps 4", "steps 2"]
    found.locator(".scrub").focus()
    for key, tick in (("Home", 0), ("ArrowRight", 1), ("End", 4)):
        found.keyboard.press(key)
        until(found, f"document.querySelector('.together').dataset.tick === '{tick}'")
        for number, frame in enumerate(race.shown(tick)):
            width, height, data = found.evaluate(
                "k => { const c = document.querySelectorAll('.together canvas')[k];"
                "return [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }",
                number,
            )
            seen = np.array(data, np.uint8).reshape(height, width, 4)[..., 0]
            np.testing.assert_array_equal(seen, frame.sheet(frame.x)[..., 0])
    found.keyboard.press("Space")  # from the end it begins again, and plays to the end
    until(found, "document.querySelector('.play').textContent.includes('Play')")
    found.click("summary")
    rows = found.locator(".settings tr").all_inner_texts()
    assert [one for one in rows if one.startswith("lane 2")] == ["lane 2\tsteps 2"]
    assert found.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    context.close()


def test_a_grid_plays_from_its_file(browser, tmp_path):
    """Its cells with their values on the axes; a prompt with markup is text."""
    studio = ds.Studio()
    base = studio.recipe("heroes", prompt="</script><b>orc</b>", seeds=(3,), steps=2)
    grid = ds.grid(base, ("guidance", [1, 3]), ("steps", [2, 3]), studio=studio)
    path = grid.save(tmp_path / "grid.html")
    context = browser.new_context(offline=True)
    found = context.new_page()
    found.goto(path.as_uri())
    until(found, "document.querySelector('.together').dataset.runs === '4'")
    assert found.locator("th").all_inner_texts() == ["steps by guidance", "1", "3", "2", "3"]
    assert found.inner_text("h1") == "A grid of guidance and steps: </script><b>orc</b>, heroes"
    assert f"{grid.network_calls} network calls for 4 cells (batched" in found.inner_text(".note")
    context.close()
