"""What the page shows is of the settings that it stands beside: after a reload, a change, a stop."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from helpers import generate, player, set_number, wait

import diffusion_studio as ds

pytestmark = pytest.mark.slow
# whatever the server says of a run comes four seconds late
LATE = """() => { const ask = window.fetch; window.fetch = async (...given) => {
  if (String(given[0]?.url ?? given[0]).includes('queue/data')) await new Promise((go) => setTimeout(go, 4000));
  return ask(...given); }; }"""


def test_a_stopped_run_keeps_room_for_its_other_steps_and_goes_on(desktop):
    desktop.locator("#prompt textarea").fill("a zebra with a ruby staff")
    set_number(desktop, "#steps", 250)
    set_number(desktop, "#count", 12)
    generate(desktop)
    wait(desktop, "d.opening === 'false' && Number(d.index) >= 4")
    desktop.wait_for_timeout(800)  # what comes sooner after Generate is a double click
    desktop.click("#stop")
    desktop.wait_for_function("document.querySelector('#player .state').textContent === 'stopped'")
    # the last states may come after the word "stopped", and the player shows them one after another
    wait(desktop, "d.ended === 'true' && Number(d.place) === Number(d.loaded) - 1")
    at = int(player(desktop)["index"])
    assert desktop.inner_text("#player .undone .at") == f"stopped at step {at} of 250"
    timeline, undone = (desktop.locator(f"#player .{one}").bounding_box() for one in ("timeline", "undone"))
    share = (undone["x"] - timeline["x"]) / timeline["width"]
    assert abs(share - at / 250) < 0.02
    said = desktop.inner_text("#player .say")
    assert "zebra" not in said and "decided" not in said
    desktop.wait_for_timeout(1200)
    assert desktop.inner_text("#player .say") == said  # also once all guesses were measured
    stopped = player(desktop)["run"]
    desktop.click("#player .go-on")
    wait(desktop, f"d.run !== '{stopped}' && d.ended === 'true' && d.loaded === '251' && d.index === '250'")
    assert desktop.locator("#player .undone").is_hidden()
    assert desktop.inner_text("#player .say").startswith("Done: the picture after 250 steps.")
    assert "never saw “zebra”" in desktop.inner_text("#player .say")


def test_the_recording_says_that_it_is_of_another_model(desktop):
    wait(desktop, "d.opening === 'true' && d.playing === 'true'")
    desktop.click("#model [data-name=letters]")
    wait(desktop, "d.stale === 'true' && d.playing === 'false'")
    assert desktop.inner_text("#player .stage .made") == (
        "This is a recording of heroes. Generate makes pictures of letters."
    )
    desktop.click("#model [data-name=heroes]")
    wait(desktop, "d.stale === 'false' && d.playing === 'true'")


def test_a_model_that_is_chosen_before_the_first_state_marks_the_run(desktop):
    set_number(desktop, "#steps", 4)
    desktop.evaluate(LATE)
    desktop.click("#generate")
    desktop.click("#model [data-name=fashion-mnist]")  # longer ago than any look that a click begins
    wait(desktop, "d.run && d.opening === 'false' && d.ended === 'true' && d.stale === 'true'")
    assert "was made with heroes" in desktop.inner_text("#player .made")


def test_a_reload_in_compare_shows_its_tab_at_once_and_its_own_lanes(app, visit):
    base = ds.Studio().recipe("fashion-mnist", seeds=(5,), steps=3)
    race = ds.RaceRecipe.of([base, {"steps": 2}], "calls")
    page = visit(f"{app}/?race={quote(race.to_json())}", ready="#compare-run")
    shown = ".together[data-kind=race][data-recorded=false][data-runs='2']"
    page.wait_for_selector(shown)
    page.add_init_script(
        "window.kinds = []; setInterval(() => {"
        " const one = document.querySelector('.together'), tab = document.querySelector('[role=tab][aria-selected=true]');"
        " if (one?.checkVisibility()) kinds.push(one.dataset.kind + one.dataset.recorded + one.innerText);"
        " if (tab && document.querySelector('#generate')?.checkVisibility()) kinds.push('generate'); }, 20)"
    )
    page.reload()
    page.wait_for_selector(shown)
    assert page.input_value("#compare-lanes textarea") == "as it is\nsteps=2"
    assert not any("true" in one for one in page.evaluate("kinds"))  # never the recorded example
    seen = page.evaluate("kinds")
    assert any("being made" in one and "steps 3" in one for one in seen)  # the names of the lanes before them
    assert not any("Press Run" in one for one in seen)
    page.click("button[role=tab][data-tab-id=generate]")
    page.wait_for_timeout(2500)
    assert page.locator("button[role=tab][data-tab-id=generate]").get_attribute("aria-selected") == "true"
