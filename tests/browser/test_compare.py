"""A race and a grid in the app, from the settings to the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import answered, open_tab, set_number

import diffusion_studio as ds

pytestmark = pytest.mark.slow
AXE = Path(__file__).with_name("axe.min.js")
BOUND = 120_000  # milliseconds for a few small runs on a busy machine


def ran(page, kind: str, runs: int) -> None:
    page.click("#compare-run")
    page.wait_for_selector(f".together[data-kind={kind}][data-runs='{runs}']", timeout=BOUND)


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
    page.check(f"#compare-format input[value={format}]")
    page.click("#compare-save")
    link = page.locator("#compare-file a[download]").first
    link.wait_for(timeout=BOUND)
    with page.expect_download(timeout=BOUND) as caught:
        link.click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def test_a_race_plays_scrubs_and_is_saved(page, tmp_path):
    set_number(page, "#count", 2)
    set_number(page, "#steps", 6)
    open_tab(page, "Compare")
    page.fill("#compare-lanes textarea", "as in Generate\nsteps=3")
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
    page.select_option(".together select", "x0")
    page.click(".together .play")
    page.wait_for_function("document.querySelector('.together').dataset.tick === '6'", timeout=BOUND)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    race = ds.read_race(saved(page, "gif", tmp_path))
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
    desktop.wait_for_selector(".together[data-kind=race][data-runs='3']", timeout=BOUND)
    assert desktop.inner_text(".together .tick") == "4 calls"
    desktop.reload()
    desktop.get_by_role("tab", name="Compare").click()
    desktop.click("#compare-open > button")
    desktop.set_input_files("#compare-restore input[type=file]", run)
    desktop.get_by_text("This file holds one run").first.wait_for(timeout=BOUND)


def test_a_grid_and_a_mistake(desktop, tmp_path):
    set_number(desktop, "#steps", 4)
    desktop.get_by_role("tab", name="Compare").click()
    with answered(desktop):
        desktop.check("#compare-kind input[value=grid]")
    desktop.fill("#compare-x input, #compare-x textarea", "guidance=1, 99")
    desktop.click("#compare-run")
    desktop.get_by_text("from -20 to 50, got 99").first.wait_for(timeout=BOUND)
    desktop.fill("#compare-x input, #compare-x textarea", "guidance=1, 3")
    ran(desktop, "grid", 4)
    assert desktop.locator(".together th").all_inner_texts() == [
        "sampler by guidance", "1", "3", "ddim", "dpmpp_2m"
    ]  # fmt: skip
    assert "4 network calls for 4 cells" in desktop.inner_text(".together .note")
    assert not desktop.locator("#compare-clock input[value=seconds]").count()
    assert axe(desktop) == []
    grid = ds.read_grid(saved(desktop, "png", tmp_path))
    assert grid.x.values == (1, 3) and len(grid.recipe.seeds) == 1


def test_a_lane_is_added(desktop):
    desktop.get_by_role("tab", name="Compare").click()
    desktop.click("#compare-add > button")
    desktop.locator("#compare-add").get_by_label("Steps", exact=True).fill("7")
    with answered(desktop):
        desktop.click("#compare-add-lane")
    assert desktop.input_value("#compare-lanes textarea").splitlines()[-1] == "steps=7"
