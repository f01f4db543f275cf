"""A race and a grid in the app, from the settings to the file."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from helpers import answered, choose_model, open_tab, run, set_number
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.compare.recipes import Axis
from diffusion_studio.diffusion.samplers import sampler_label

pytestmark = pytest.mark.slow
AXE = Path(__file__).with_name("axe.min.js")
BOUND = 120_000  # milliseconds for a few small runs on a busy machine


def ran(page, kind: str, runs: int) -> None:
    page.click("#compare-run")
    shown(page, kind, runs)


def shown(page, kind: str, runs: int) -> None:
    """Wait until runs are shown that were made here, not the recorded example."""
    page.wait_for_selector(
        f".together[data-kind={kind}][data-runs='{runs}'][data-recorded=false]", timeout=BOUND
    )


def write_lanes(page, text: str) -> None:
    page.check("#compare-as-text input")
    page.fill("#compare-lanes textarea", text)


def write_axis(page, side: str, text: str) -> None:
    """Choose the setting from the menu, and type the values; "" chooses nothing."""
    setting, _, values = text.partition("=")
    page.select_option(f"#compare-{side} select", setting)
    if setting:
        page.fill(f"#compare-{side} input", values)


def axis(page, side: str) -> tuple[str, str]:
    return page.input_value(f"#compare-{side} select"), page.input_value(f"#compare-{side} input")


def picture(page, number: int) -> str:
    return page.evaluate("k => document.querySelectorAll('.together canvas')[k].toDataURL()", number)


def axe(page) -> list[str]:
    page.evaluate(AXE.read_text("utf-8"))
    page.wait_for_timeout(1200)  # colours fade in
    # the tab alone: Gradio's own notices, such as that of the mistake, are not ours
    answer = page.evaluate("axe.run('#compare-stage', {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in answer["violations"]]


def to_tick(page, tick: str) -> None:
    page.evaluate(
        "tick => { const one = document.querySelector('.together .scrub');"
        "one.value = tick === 'last' ? one.max : tick; one.dispatchEvent(new Event('input')); }",
        tick,
    )


def saved(page, format: str, folder):
    """One press, which downloads the file and shows it."""
    page.click("#compare-format input")
    page.get_by_role("option", name=format, exact=True).click()
    with page.expect_download(timeout=BOUND) as caught:
        page.click("#compare-save")
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    page.locator("#compare-saved .name").wait_for(timeout=BOUND)
    assert page.locator("#compare-saved .others").is_hidden()  # the format is chosen beside the button
    return path


def test_a_race_plays_scrubs_and_is_saved(page, tmp_path):
    set_number(page, "#count", 2)
    set_number(page, "#steps", 6)
    open_tab(page, "Compare")
    write_lanes(page, "as it is\nsteps=3")
    page.check("#compare-clock input[value=steps]")
    ran(page, "race", 2)
    assert page.locator(".together .lane figcaption").all_inner_texts() == ["steps 6", "steps 3"]
    to_tick(page, "0")
    first = picture(page, 1)
    assert first == picture(page, 0)  # the same noise
    to_tick(page, "3")
    ended = picture(page, 1)
    assert ended != first
    assert page.locator(".together .said").all_inner_texts()[1].startswith("step 3 of 3, 3 of 3 calls")
    assert page.inner_text(".together .tick") == "step 3"
    to_tick(page, "last")
    assert picture(page, 1) == ended  # it finished where it finished
    page.select_option(".together .half", "x0")
    page.click(".together .play")
    page.wait_for_function("document.querySelector('.together').dataset.tick === '6'", timeout=BOUND)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    race = ds.read_race(saved(page, "GIF", tmp_path))
    assert ([one.steps for one in race.lanes], race.clock) == ([6, 3], "steps")
    assert axe(page) == []


def test_a_file_is_the_race_again(desktop, tmp_path):
    studio = ds.Studio()
    base = studio.recipe("fashion-mnist", seeds=(5,), steps=4)
    path = ds.race([base, {"steps": 2}, {"eta": 1.0}], "calls", studio=studio).save(tmp_path / "race.png")
    run = studio.run(base).save(tmp_path / "run.png")
    desktop.get_by_role("tab", name="Compare").click()
    desktop.click("#compare-open > button")
    desktop.set_input_files("#compare-restore input[type=file]", path)
    shown(desktop, "race", 3)
    assert desktop.input_value("#compare-lanes textarea") == "as it is\nsteps=2\neta=1"
    assert desktop.inner_text(".together .tick") == "4 calls"
    desktop.goto(desktop.url.partition("?")[0])
    desktop.get_by_role("tab", name="Compare").click()
    desktop.click("#compare-open > button")
    desktop.set_input_files("#compare-restore input[type=file]", run)
    desktop.get_by_text("This file holds one run").first.wait_for(timeout=BOUND)


def test_a_grid_and_a_mistake(desktop, tmp_path):
    set_number(desktop, "#steps", 4)
    desktop.get_by_role("tab", name="Compare").click()
    with answered(desktop):
        desktop.check("#compare-kind input[value=grid]")
    write_axis(desktop, "y", "sampler=ddim, dpmpp_2m")
    write_axis(desktop, "x", "guidance=1, 99")
    desktop.click("#compare-run")
    desktop.get_by_text("from -20 to 50, got 99").first.wait_for(timeout=BOUND)
    write_axis(desktop, "x", "guidance=1, 3")
    ran(desktop, "grid", 4)
    assert desktop.locator(".together th").all_inner_texts() == [
        "sampler by guidance", "1", "3", "DDIM", "DPM-Solver++ (2M)"
    ]  # fmt: skip
    assert "4 network calls for 4 cells" in desktop.inner_text(".together .note")
    assert not desktop.locator("#compare-clock input[value=seconds]").count()
    assert axe(desktop) == []
    assert desktop.inner_text("#compare-status").startswith("4 runs of ")
    grid = ds.read_grid(saved(desktop, "PNG sheet", tmp_path))
    assert grid.x.values == (1, 3) and len(grid.recipe.seeds) == 1
    assert ds.read_grid(saved(desktop, "HTML player", tmp_path)) == grid
    assert desktop.locator("#compare-saved .preview").is_hidden()  # no picture shows a page
    # what cannot be run leaves the pictures of the runs before, and says that they are
    write_axis(desktop, "x", "guidance=1, 98")
    desktop.click("#compare-run")
    desktop.wait_for_selector(".together[data-stale=true] .stale:has-text('not made')", timeout=BOUND)
    assert "Nothing was made." in desktop.inner_text("#compare-status")  # why is said once, at its axis
    desktop.wait_for_selector("#compare-x .said-wrong >> text=Guidance must be", timeout=BOUND)
    assert desktop.get_by_text("from -20 to 50, got 98").count() == 1
    write_axis(desktop, "x", "guidance=1, 2, 3")
    desktop.locator(".said-wrong").wait_for(state="detached", timeout=BOUND)  # before Run
    ran(desktop, "grid", 6)
    desktop.wait_for_selector(".together[data-stale=false]", timeout=BOUND)


def test_a_race_and_a_grid_each_keep_their_own(desktop, tmp_path):
    """Choosing Grid puts the race aside, and Race brings it back with its file; and the other way round."""
    set_number(desktop, "#steps", 3)
    set_number(desktop, "#count", 1)
    open_tab(desktop, "Compare")
    write_lanes(desktop, "as it is\nsteps=2")
    ran(desktop, "race", 2)
    race = picture(desktop, 1)
    choose_kind(desktop, "grid")
    desktop.wait_for_selector(".together[data-kind=none]", timeout=BOUND)
    assert desktop.locator("#compare-save").is_disabled()
    write_axis(desktop, "x", "guidance=1, 3")
    write_axis(desktop, "y", "")
    ran(desktop, "grid", 2)
    grid = picture(desktop, 1)
    choose_kind(desktop, "race")
    shown(desktop, "race", 2)
    assert picture(desktop, 1) == race != grid
    assert desktop.inner_text("#compare-status").startswith("2 runs of ")
    assert [one.steps for one in ds.read_race(saved(desktop, "GIF", tmp_path)).lanes] == [3, 2]
    choose_kind(desktop, "grid")
    shown(desktop, "grid", 2)
    assert picture(desktop, 1) == grid and desktop.locator("#compare-save").is_enabled()


def choose_kind(page, kind: str) -> None:
    with answered(page):
        page.check(f"#compare-kind input[value={kind}]")


def text_is(page, wanted: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('#compare-lanes textarea').value === text", arg=wanted
    )


def test_lanes_are_chosen_from_menus(page):
    """What is chosen stands in the text, and what is written stands in the menus."""
    open_tab(page, "Compare")
    rows = page.locator("#compare-rows .lane-row")
    rows.nth(2).wait_for()
    assert rows.count() == 3 and rows.first.locator("select").nth(1).input_value() == "ddim"
    page.get_by_role("button", name="Take lane 3 out").click()
    page.get_by_label("Lane 1: what differs").first.select_option("as it is")
    page.get_by_label("Lane 2: Sampler", exact=True).select_option(label="Heun")
    page.get_by_role("button", name="Lane 2: without this setting").click()
    text_is(page, "as it is\nsampler=heun")
    page.get_by_role("button", name="Add a lane").click()
    page.get_by_label("Lane 3: Steps", exact=True).fill("7")
    page.get_by_role("button", name="Lane 3: one more setting that differs").click()
    page.get_by_label("Lane 3: what differs").last.select_option("prompt")
    page.get_by_label("Lane 3: Prompt", exact=True).fill("an orc, red")
    text_is(page, 'as it is\nsampler=heun\nsteps=7, prompt="an orc, red"')
    write_lanes(page, "as it is\nclip_range=2")
    page.wait_for_function("document.querySelectorAll('#compare-rows .lane-row').length === 2")
    assert page.get_by_label("Lane 2: what differs").input_value() == "clip_range"
    assert page.get_by_label("Lane 2: clip_range", exact=True).input_value() == "2"
    assert page.get_by_role("button", name="Take lane").count() == 0  # two are the fewest
    page.check("#compare-clock input[value=seconds]")
    page.wait_for_selector("#compare-clock-help:has-text('computing time')", timeout=BOUND)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe(page) == []


def test_a_branch_is_compared_with_the_run_that_it_branched_from(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=6, count=1)
    desktop.evaluate(
        "() => { const s = document.querySelector('#player .scrub'); s.value = 2;"
        "s.dispatchEvent(new Event('input')); }"
    )
    desktop.wait_for_function("document.querySelector('#player .player').dataset.shown === '2'")
    with answered(desktop):
        desktop.click("#player .branch")
    desktop.click("#label-chips [data-name='Ankle boot']")
    run(desktop)
    desktop.click("#player .compare")
    desktop.wait_for_selector("#compare-begins:has-text('branched at step 2 of the run of “Sneaker”')")
    text_is(desktop, "as it is\nthe run before")
    lane = desktop.get_by_label("Lane 2: what differs")
    assert lane.locator("option:checked").inner_text() == "the run that it branched from"
    first = desktop.locator("#compare-tries button").first
    assert first.inner_text() == "The run that it branched from"
    assert "the run that it branched from" in desktop.inner_text("#compare-status")
    desktop.get_by_role("button", name="Add a lane").click()
    desktop.get_by_label("Lane 3: Steps", exact=True).fill("3")
    text_is(desktop, "as it is\nthe run before\nsteps=3")
    ran(desktop, "race", 3)
    assert desktop.locator(".together .lane figcaption").all_inner_texts() == [
        "steps 6",
        "the run that it branched from",
        "steps 3",
    ]
    said = desktop.locator(".together .said").all_inner_texts()
    assert said[0].startswith("step 6 of 6 (2 inherited, 4 of its 6), 6 of 6 calls")
    assert said[1].startswith("step 6 of 6, ")
    assert re.match(r"step (\d) of \1 \(2 inherited, \d of its 3\)", said[2])
    assert "Inherited are the steps that a branch has of the run before" in desktop.inner_text(
        ".together .note"
    )
    with answered(desktop):
        desktop.click("#compare-own")
    desktop.wait_for_function(
        "![...document.querySelectorAll('#compare-rows option')].some((o) => o.value === 'the run before'"
        " && o.textContent !== o.value)"
    )


def test_lanes_may_have_another_model(desktop):
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 3)
    set_number(desktop, "#count", 1)
    open_tab(desktop, "Compare")
    write_lanes(desktop, "label=none\nmodel=mnist, label=none")
    ran(desktop, "race", 2)
    titles = desktop.locator(".together .lane figcaption").all_inner_texts()
    assert titles == ["model fashion-mnist", "model mnist"]
    assert desktop.inner_text("#compare-status") == "2 runs of 1 picture each."


def test_a_run_of_points_is_compared(desktop):
    """The cloud that the Points tab made is lane 1, with what it was made by."""
    open_tab(desktop, "Points")
    desktop.wait_for_selector("#points-player .player", timeout=BOUND)
    desktop.click("#points-reverse")
    desktop.wait_for_selector("#points-player .compare:enabled", timeout=BOUND)
    desktop.click("#points-player .compare")
    desktop.wait_for_selector("#compare-status:has-text('Your run is lane 1')", timeout=BOUND)
    write_lanes(desktop, "as it is\nsteps=4")
    desktop.check("#compare-clock input[value=steps]")
    ran(desktop, "race", 2)
    to_tick(desktop, "0")
    noise = [picture(desktop, number) for number in (0, 1)]
    assert noise[0] == noise[1]
    to_tick(desktop, "last")
    ends = [picture(desktop, number) for number in (0, 1)]
    assert len({*noise, *ends}) == 3


def test_an_example_is_shown_first(page):
    """A recorded race, before anything has run; what cannot be saved yet says why."""
    open_tab(page, "Compare")
    page.wait_for_selector(".together[data-kind=race][data-recorded=true]", timeout=BOUND)
    assert page.inner_text(".together .recorded").startswith("A recorded example")
    lanes = [dict(part.split("=") for part in line.split(", ")) for line in
             page.input_value("#compare-lanes textarea").splitlines()]  # fmt: skip
    assert page.locator(".together .lane figcaption").all_inner_texts() == [
        f"steps {one['steps']}, sampler {sampler_label(one['sampler'])}" for one in lanes
    ]
    to_tick(page, "0")
    assert picture(page, 0) == picture(page, 1) == picture(page, 2)  # one noise
    to_tick(page, "last")
    assert picture(page, 0) != picture(page, 1)
    assert page.locator("#compare-save").is_disabled()
    assert page.inner_text("#compare-why") == "A file can be made once something has run here."
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_suggestion_is_one_press(desktop):
    set_number(desktop, "#steps", 4)
    set_number(desktop, "#count", 1)
    open_tab(desktop, "Compare")
    desktop.click("#compare-tries button:has-text('Three samplers')")
    shown(desktop, "race", 3)
    assert desktop.locator("#compare-save").is_enabled()


def test_the_run_of_the_player_is_sent_as_the_first_lane(page):
    assert page.locator("#player .compare").is_disabled()  # the recording is no run
    run(page, steps=6, count=4)
    page.click("#player .compare")
    page.wait_for_selector("#compare-begins:has-text('6 steps')", timeout=BOUND)
    assert page.input_value("#compare-lanes textarea") == "as it is\nsteps=2"
    assert "Your run is lane 1" in page.inner_text("#compare-status")
    write_lanes(page, "as it is\nsteps=3")
    ran(page, "race", 2)
    titles = page.locator(".together .lane figcaption").all_inner_texts()
    assert titles == ["steps 6", "steps 3"]
    # one lane over the other, with a line to draw across
    to_tick(page, "last")
    first, second = picture(page, 0), picture(page, 1)
    page.select_option(".together .lay", "1")
    slider = page.locator(".together .wipe")
    slider.fill("0")
    assert picture(page, 0) == second
    slider.fill("100")
    assert picture(page, 0) == first
    slider.fill("50")
    assert picture(page, 0) not in (first, second)
    page.select_option(".together .lay", "")
    assert picture(page, 0) == first
    # one picture alone in both lanes, and all again
    wide = "document.querySelector('.together canvas').width"
    whole = page.evaluate(wide)
    page.locator(".together canvas").first.click(position={"x": 10, "y": 10})
    assert page.evaluate(wide) == whole // 2 and "picture 1 alone" in page.inner_text(".together .tip")
    page.locator(".together canvas").last.click()
    assert page.evaluate(wide) == whole
    with answered(page):
        page.click("#compare-own")
    assert "the settings in Generate" in page.inner_text("#compare-begins")


def test_a_link_holds_a_race_and_a_grid(app, visit):
    base = ds.Studio().recipe("fashion-mnist", seeds=(5,), steps=3)
    race = ds.RaceRecipe.of([base, {"steps": 2}], "calls")
    found = visit_shown(visit, f"{app}/?race={quote(race.to_json())}", "race", 2)
    assert found.input_value("#compare-lanes textarea") == "as it is\nsteps=2"
    assert found.is_checked("#compare-clock input[value=calls]")
    grid = ds.GridRecipe(base, Axis("guidance", (1, 2)), Axis("steps", (2, 3)))
    found = visit_shown(visit, f"{app}/?grid={quote(grid.to_json())}", "grid", 4)
    assert axis(found, "x") == ("guidance", "1, 2") and axis(found, "y") == ("steps", "2, 3")
    found.click("#compare-open > button")
    link = found.input_value("#compare-link :is(textarea, input)")
    assert link == found.url.replace("%27", "'") or "?grid=" in link
    assert ds.GridRecipe.from_json(unquote(link.partition("?grid=")[2])) == grid
    wrong = visit(f"{app}/?race=nonsense", ready="#compare-run")
    wrong.get_by_text("The race in this link could not be used").first.wait_for(timeout=BOUND)


def visit_shown(visit, address: str, kind: str, runs: int):
    found = visit(address, ready="#compare-run")
    shown(found, kind, runs)
    return found


def test_what_is_stopped_is_kept(desktop, tmp_path):
    """Two lanes that nobody waits for: what there is when Stop is pressed is shown, and saved."""
    set_number(desktop, "#count", 64)
    open_tab(desktop, "Compare")
    write_lanes(desktop, "steps=1000\nsteps=900")
    desktop.check("#compare-clock input[value=steps]")
    desktop.click("#compare-run")
    desktop.wait_for_selector(".together .making:has-text('of 2: step')", timeout=BOUND)
    assert desktop.locator("#compare-stop").is_enabled()
    desktop.click("#compare-stop")
    desktop.wait_for_selector(".together[data-kind=race][data-recorded=false]", timeout=BOUND)
    desktop.wait_for_selector("#compare-status:has-text('Ended early: ')", timeout=BOUND)
    assert re.search("Ended early: [01] of 2 runs", desktop.inner_text("#compare-status"))
    race = ds.read_race(saved(desktop, "PNG of the end", tmp_path))
    assert [lane.steps for lane in race.lanes] == [1000, 900]
    desktop.wait_for_selector("#compare-stop:disabled", timeout=BOUND)


def test_a_reference_has_its_price_told(desktop):
    set_number(desktop, "#steps", 4)
    set_number(desktop, "#count", 1)
    open_tab(desktop, "Compare")
    write_lanes(desktop, "as it is\nsteps=2")
    with answered(desktop):
        desktop.check("#compare-reference input")
    desktop.wait_for_selector("#compare-price:has-text('200 network calls for 1 picture')", timeout=BOUND)
    with answered(desktop):
        set_number(desktop, "#compare-reference-steps", 20)
    desktop.wait_for_selector("#compare-price:has-text('20 network calls for 1 picture')", timeout=BOUND)
    ran(desktop, "race", 2)
    said = desktop.locator(".together .said").all_inner_texts()
    assert all(one.endswith("from the reference") for one in said)


def test_a_word_of_the_page_is_tried(desktop):
    """Two seeds beside each other, as the explanation of the word offers it."""
    set_number(desktop, "#steps", 3)
    desktop.click("#seed > button.explain")
    desktop.click("#explain button")
    shown(desktop, "grid", 2)
    assert desktop.locator(".together thead th").all_inner_texts() == ["seed", "0", "100"]


def test_a_lane_of_another_model_has_its_own_settings(desktop):
    """The hero's palette is none that letters knows; the view says what was taken instead."""
    open_tab(desktop, "Compare")
    write_lanes(desktop, 'steps=3\nmodel=letters, steps=2, prompt="red serif", label=A')
    desktop.click("#compare-run")
    desktop.wait_for_selector(".together[data-recorded=false][data-runs='2']", timeout=BOUND)
    assert "letters has no palette of its own" in desktop.inner_text(".together .note")
    assert desktop.locator(".together .states").count() == 1  # of lane 2; lane 1 is the line of 0
    marks = [int(one) for one in desktop.locator(".together .round").all_inner_texts()]
    assert len(marks) >= 3 and {b - a for a, b in zip(marks, marks[1:])} <= {1, 2, 5}  # round, evenly apart


def test_axes_are_chosen_from_menus(page):
    """A setting brings values to begin with; names are pressed; a mistake stands at its own axis."""
    choose_model(page, "fashion-mnist")
    set_number(page, "#steps", 2)
    open_tab(page, "Compare")
    choose_kind(page, "grid")
    assert axis(page, "x") == ("guidance", "1, 2, 4, 8") and axis(page, "y") == ("steps", "4, 8, 25")
    page.select_option("#compare-y select", "label")
    assert page.input_value("#compare-y input") == "T-shirt, Trouser, Pullover"
    page.locator("#compare-y").get_by_role("button", name="Trouser", exact=True).click()
    page.locator("#compare-y").get_by_role("button", name="Bag", exact=True).click()
    assert page.input_value("#compare-y input") == "T-shirt, Pullover, Bag"
    page.fill("#compare-x input", "steps=1, 2")  # as on the command line
    page.locator("#compare-x input").blur()
    page.wait_for_selector("#compare-x[data-setting=steps]")
    assert axis(page, "x") == ("steps", "1, 2")
    assert page.locator("#compare-y select option[value=steps]").count() == 0  # taken
    ran(page, "grid", 6)
    assert page.locator(".together tbody th").all_inner_texts() == ["T-shirt", "Pullover", "Bag"]
    before = picture(page, 5)
    for values, wrong in (("T-shirt, Bagg", "'Bagg'"), ("", "at least one value")):
        page.fill("#compare-y input", values)
        page.click("#compare-run")
        page.wait_for_selector(f'#compare-y .said-wrong:has-text("{wrong}")', timeout=BOUND)
        assert page.locator(".said-wrong").count() == 1
        assert axis(page, "x") == ("steps", "1, 2") and page.input_value("#compare-y input") == values
    page.wait_for_selector(".together[data-stale=true]", timeout=BOUND)
    assert picture(page, 5) == before
    page.select_option("#compare-y select", "")
    ran(page, "grid", 2)
    assert page.locator(".said-wrong").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert axe(page) == []


def test_a_grid_has_an_example_of_one_press(page):
    """Guidance by steps, with the settings of a fresh page: a hero."""
    set_number(page, "#count", 1)
    open_tab(page, "Compare")
    choose_kind(page, "grid")
    page.click(".together .try")
    shown(page, "grid", 12)
    assert page.locator(".together tr > :first-child").all_inner_texts() == [
        "steps by guidance", "4", "8", "25"
    ]  # fmt: skip
    assert page.inner_text("#compare-status").startswith("12 runs of heroes, “a wizard with a ruby staff”")


def test_a_cell_of_a_grid_is_seen_alone(page):
    choose_model(page, "fashion-mnist")
    set_number(page, "#steps", 2)
    open_tab(page, "Compare")
    choose_kind(page, "grid")
    write_axis(page, "y", "seed=" + ", ".join(map(str, range(8))))
    write_axis(page, "x", "guidance=1, 1.5, 2, 3, 4, 5, 6, 8")
    ran(page, "grid", 64)
    assert "4 network calls for 64 cells" in page.inner_text(".together .note")
    names = page.locator(".together tbody th").nth(3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.querySelector('.together .runs').scrollLeft = 500")
    assert names.bounding_box()["x"] >= 0  # the names of the rows stay where a phone scrolls the columns
    small = page.locator(".together canvas").nth(9).bounding_box()["width"]
    page.locator(".together canvas").nth(9).click()
    alone = page.locator(".together canvas:visible")
    assert alone.count() == 1 and alone.bounding_box()["width"] > 2 * small
    assert page.inner_text(".together .tip") == "guidance 1.5, seed 1: click for all"
    last = page.evaluate("document.querySelector('.together td.lone canvas').toDataURL()")
    to_tick(page, "0")
    assert page.evaluate("document.querySelector('.together td.lone canvas').toDataURL()") != last
    alone.click()
    assert page.locator(".together canvas:visible").count() == 64
    page.locator(".together canvas").nth(63).focus()
    page.keyboard.press("Enter")
    assert page.inner_text(".together .tip") == "guidance 8, seed 7: click for all"
    page.locator(".together td.lone canvas").focus()
    page.keyboard.press(" ")
    assert page.locator(".together canvas:visible").count() == 64


def test_places_fill_while_the_runs_are_made(desktop):
    """Nobody waits for these: their states stand in their places, also in those of the runs before."""
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 2)
    open_tab(desktop, "Compare")
    choose_kind(desktop, "grid")
    write_axis(desktop, "y", "")
    write_axis(desktop, "x", "guidance=1, 3")
    ran(desktop, "grid", 2)
    before = picture(desktop, 0)
    write_axis(desktop, "y", "steps=900, 1000")
    desktop.click("#compare-run")
    place = "document.querySelectorAll('.together .coming canvas')"
    desktop.wait_for_function(f"{place}.length === 4")
    assert desktop.locator(".together .coming th").all_inner_texts() == [
        "steps by guidance", "1", "3", "900", "1000"
    ]  # fmt: skip
    assert desktop.locator(".together :is(.whole, .stale)").locator("visible=true").count() == 0
    state = desktop.evaluate(f"{place}[3].toDataURL()")
    desktop.wait_for_function(f"before => {place}[3].toDataURL() !== before", arg=state)
    choose_kind(desktop, "race")
    choose_kind(desktop, "grid")
    desktop.wait_for_function(f"{place}.length === 4")  # they stand where the other kind was looked at
    desktop.click("#compare-stop")
    shown(desktop, "grid", 4)
    assert desktop.locator(".together .coming").is_hidden()
    assert "Ended early: 0 of 4 runs" in desktop.inner_text(".together .note")
    assert picture(desktop, 0) != before
    choose_kind(desktop, "race")
    write_lanes(desktop, "steps=1000\nsteps=900")
    desktop.click("#compare-run")
    desktop.wait_for_selector(".together .coming .lane:first-child canvas")
    assert (
        desktop.locator(".together .coming .place").last.inner_text() == "being made …"
    )  # lanes run in turn
    desktop.click("#compare-stop")
    shown(desktop, "race", 1)


def test_a_picture_of_a_cell_is_seen_in_all_cells(page):
    """Cells have the first picture of Generate, or all; a click on one shows this one of each cell."""
    choose_model(page, "fashion-mnist")
    set_number(page, "#steps", 2)
    set_number(page, "#count", 4)
    open_tab(page, "Compare")
    choose_kind(page, "grid")
    write_axis(page, "y", "steps=1, 2")
    write_axis(page, "x", "guidance=1, 4")
    ran(page, "grid", 4)
    assert page.inner_text("#compare-status").endswith("1 picture each.")
    first = [picture(page, cell) for cell in range(4)]
    page.get_by_label("All 4 pictures of Generate in each cell").check()
    page.click("#compare-run")
    page.wait_for_selector("#compare-status:has-text('4 pictures each')", timeout=BOUND)
    shown(page, "grid", 4)
    whole = [picture(page, cell) for cell in range(4)]
    parts = []
    for number, (across, down) in enumerate([(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]):
        cell = page.locator(".together canvas").nth(number)
        cell.scroll_into_view_if_needed()
        side = cell.bounding_box()
        cell.click(position={"x": side["width"] * across, "y": side["height"] * down})
        assert page.inner_text(".together .tip") == f"picture {number + 1} alone: click for all"
        parts.append([picture(page, one) for one in range(4)])
        cell.click()
        assert [picture(page, one) for one in range(4)] == whole
    assert parts[0] == first
    for cell in range(4):
        assert len({one[cell] for one in parts}) == 4
    page.keyboard.press("3")
    assert [picture(page, one) for one in range(4)] == parts[2]
    page.keyboard.press("3")
    assert [picture(page, one) for one in range(4)] == whole
    page.get_by_label("All 4 pictures of Generate in each cell").uncheck()
    ran_again(page, "1 picture each")


def ran_again(page, said: str) -> None:
    page.click("#compare-run")
    page.wait_for_selector(f"#compare-status:has-text('{said}')", timeout=BOUND)


def test_the_keys_of_a_player_lead_the_runs(desktop):
    open_tab(desktop, "Compare")
    desktop.wait_for_selector(".together[data-recorded=true]", timeout=BOUND)
    last = int(desktop.evaluate("document.querySelector('.together .scrub').max"))
    tick = "Number(document.querySelector('.together').dataset.tick)"
    desktop.mouse.click(700, 60)  # on nothing: the page hands on what nothing else reads
    for key, at in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last)):
        desktop.keyboard.press(key)
        assert desktop.evaluate(tick) == at, key
    desktop.keyboard.press("Home")
    desktop.click(".together .play")  # a pointer leaves the focus to the view, so Space pauses once
    desktop.wait_for_function(f"{tick} > 1")
    desktop.keyboard.press(" ")
    assert desktop.inner_text(".together .play") == "▶ Play" and desktop.evaluate(tick) < last
    desktop.keyboard.press(" ")
    desktop.wait_for_function(f"{tick} === {last}")
    desktop.focus(".together .half")
    desktop.keyboard.press("Home")  # a menu keeps its keys
    assert desktop.evaluate(tick) == last


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
def test_a_grid_fills_its_place_and_is_in_sight(desktop, size):
    """All cells and Save are in sight, and the cells take the width or the height that there is."""
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 1)
    open_tab(desktop, "Compare")
    choose_kind(desktop, "grid")
    for x, y in (("1, 2, 3, 4", "0, 1, 2"), ("1, 2, 3, 4, 5, 6, 7, 8", "0, 1")):
        write_axis(desktop, "x", f"guidance={x}")
        write_axis(desktop, "y", f"seed={y}")
        ran(desktop, "grid", len(x.split(",")) * len(y.split(",")))
        view = desktop.locator("#compare-view").bounding_box()
        cells = [one.bounding_box() for one in desktop.locator(".together canvas").all()]
        right = max(one["x"] + one["width"] for one in cells)
        bottom = max(one["y"] + one["height"] for one in cells)
        save = desktop.locator("#compare-save").bounding_box()
        assert right <= view["x"] + view["width"] and save["y"] + save["height"] <= size[1]
        wide, high = view["x"] + view["width"] - right, size[1] - bottom
        assert min(wide / view["width"], (high - 75) / size[1]) < 0.05
        assert desktop.evaluate(
            "document.querySelector('.together .runs').scrollWidth <= document.querySelector('.together .runs').clientWidth"
        )


def test_a_saved_grid_opens_again(desktop, tmp_path):
    """An animation and a sheet hold the grid, and another visitor's page shows it with its axes."""
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 2)
    open_tab(desktop, "Compare")
    choose_kind(desktop, "grid")
    write_axis(desktop, "y", "sampler=ddim, ddpm")
    write_axis(desktop, "x", "guidance=1, 4")
    ran(desktop, "grid", 4)
    end = picture(desktop, 3)
    film, sheet = saved(desktop, "GIF", tmp_path), saved(desktop, "PNG sheet", tmp_path)
    with Image.open(film) as moving, Image.open(sheet) as still:
        assert moving.n_frames > 3
        assert moving.width == still.width and still.height > 128  # its cells, and the axes above them
    desktop.goto(desktop.url.partition("?")[0])  # a page of its own: its address names no grid
    desktop.wait_for_selector("#generate")
    open_tab(desktop, "Compare")
    desktop.click("#compare-open > button")
    desktop.set_input_files("#compare-restore input[type=file]", sheet)
    shown(desktop, "grid", 4)
    assert axis(desktop, "x") == ("guidance", "1, 4") and axis(desktop, "y") == ("sampler", "ddim, ddpm")
    assert picture(desktop, 3) == end


def test_cells_may_have_another_model(desktop):
    """The label is none of mnist's: its cell has mnist's own, and the page says so."""
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 2)
    open_tab(desktop, "Compare")
    choose_kind(desktop, "grid")
    write_axis(desktop, "y", "")
    write_axis(desktop, "x", "model=fashion-mnist, mnist")
    ran(desktop, "grid", 2)
    note = desktop.inner_text(".together .note")
    assert "There is no label of mnist 'Sneaker', so the label is the default of mnist" in note


def test_the_line_between_two_lanes_follows_mouse_and_keys(desktop):
    desktop.emulate_media(reduced_motion="reduce")  # the example stands still
    open_tab(desktop, "Compare")
    desktop.wait_for_selector(".together[data-recorded=true]", timeout=BOUND)
    desktop.select_option(".together .lay", "2")
    assert desktop.locator(".together .side").all_inner_texts() == ["lane 1", "lane 3"]
    left, right = (one.bounding_box()["x"] for one in desktop.locator(".together .side").all())
    line = desktop.locator(".together .wipe")
    box = line.bounding_box()
    assert box["x"] <= left < box["x"] + box["width"] / 2 < right < box["x"] + box["width"]
    halfway = picture(desktop, 0)
    desktop.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    desktop.mouse.down()
    desktop.mouse.move(box["x"] + box["width"] / 4, box["y"] + 60, steps=4)
    desktop.mouse.up()
    assert 20 <= float(line.input_value()) <= 30 and picture(desktop, 0) != halfway
    dragged = float(line.input_value())
    desktop.keyboard.press("ArrowRight")
    assert float(line.input_value()) == dragged + 0.5
    desktop.keyboard.press("End")
    first = picture(desktop, 0)
    desktop.keyboard.press("Home")
    assert picture(desktop, 0) == picture(desktop, 2) != first
    desktop.select_option(".together .lay", "")
    assert desktop.locator(".together .side").count() == 0 and picture(desktop, 0) == first


def test_the_line_between_two_lanes_follows_a_finger(app, browser):
    """Sideways; a finger that goes up or down scrolls the page, and the line stays."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(BOUND)
    page.goto(app)
    page.wait_for_selector("#generate")
    open_tab(page, "Compare")
    page.wait_for_selector(".together[data-recorded=true]")
    page.select_option(".together .lay", "1")
    line = page.locator(".together .wipe")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    fingers = context.new_cdp_session(page)

    def touch(path):
        for number, (x, y) in enumerate(path):
            kind = "touchMove" if number else "touchStart"
            points = [{"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y}]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            page.wait_for_timeout(30)
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    at = "document.querySelector('.together .wipe').value"
    touch([(share, 0.6) for share in (0.5, 0.45, 0.4, 0.35, 0.3, 0.25)])
    page.wait_for_function(f"{at} >= 20 && {at} <= 30")
    stood, before = line.input_value(), page.evaluate("scrollY")
    touch([(0.6, share) for share in (0.8, 0.75, 0.65, 0.5, 0.35, 0.2)])
    page.wait_for_function("y => scrollY > y + 50", arg=before)
    assert line.input_value() == stood
    context.close()


@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
def test_lanes_clock_and_run_are_in_sight(desktop, size):
    desktop.set_viewport_size({"width": size[0], "height": size[1]})
    open_tab(desktop, "Compare")
    desktop.wait_for_selector(".together[data-recorded=true]", timeout=BOUND)
    parts = [*desktop.locator(".together .lane canvas, .together .scrub, .together .play").all()]
    parts += [desktop.locator(one) for one in ("#compare-clock", "#compare-rows", "#compare-run")]
    for one in parts:
        box = one.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], one
    assert desktop.evaluate("document.documentElement.scrollHeight") <= size[1] + 100


def test_a_mistake_in_the_lanes_goes_when_it_is_mended(desktop):
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 3)
    open_tab(desktop, "Compare")
    write_lanes(desktop, "as it is\nstepps=2")
    desktop.click("#compare-run")
    desktop.wait_for_selector("#compare-lanes .said-wrong:has-text('Did you mean steps')", timeout=BOUND)
    write_lanes(desktop, "as it is\nsteps=2")
    desktop.wait_for_selector(".said-wrong", state="detached", timeout=BOUND)
    desktop.uncheck("#compare-as-text input")  # folded, so a mistake stands above the menus
    steps = desktop.get_by_label("Lane 2: Steps", exact=True)
    for mend in (lambda: steps.fill("2"), lambda: ran_example(desktop)):
        steps.fill("-4")
        desktop.click("#compare-run")
        desktop.wait_for_selector("#compare-lanes-help .said-wrong:has-text('at least 1')", timeout=BOUND)
        mend()
        desktop.wait_for_selector(".said-wrong", state="detached", timeout=BOUND)


def ran_example(page) -> None:
    page.click("#compare-tries button:has-text('4, 8 and 25')")
    shown(page, "race", 3)
