"""The page says what the settings are, what runs and what went wrong, and nothing covers a control."""

from __future__ import annotations

import json
import re

import pytest
from helpers import answered, choose_model, open_settings, player, run, section, set_number, wait

pytestmark = pytest.mark.slow
COVERED = """() => {
  const wrap = document.querySelector('.toast-wrap'), n = wrap.getBoundingClientRect();
  return [...document.querySelectorAll('button, input, textarea, summary')]
    .filter((one) => !wrap.contains(one) && !one.matches('.scrub') && one.checkVisibility())
    .filter((one) => { const b = one.getBoundingClientRect();
      return b.width && b.left < n.right && b.right > n.left && b.top < n.bottom && b.bottom > n.top; })
    .map((one) => one.id || one.className || one.textContent); }"""


def bottom_of_bar(page) -> float:
    return page.evaluate("document.querySelector('#player .bar').getBoundingClientRect().bottom")


def test_a_notice_covers_no_control(desktop):
    run(desktop, steps=3, count=2)
    with answered(desktop):
        desktop.click("#quality label:has-text('In seconds')")  # the settings reach far down now
    run(desktop)
    for _ in range(2):
        desktop.click("#player .branch")  # of the finished picture, which is refused
    desktop.wait_for_selector(".toast-body >> text=This is the finished picture")
    desktop.wait_for_function(f"({COVERED})().length === 0", timeout=20_000)


def test_link_and_command_describe_the_settings_as_they_stand(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=3, count=1)
    with answered(desktop):
        section(desktop, "#share")
    command = "document.querySelector('#command textarea').value"
    desktop.wait_for_function(f"{command}.includes('--steps 3 ')")
    set_number(desktop, "#steps", 7)
    desktop.wait_for_function(f"{command}.includes('--steps 7 ')")
    recipe = "JSON.parse(new URL(location.href).searchParams.get('recipe') ?? '{}')"
    desktop.wait_for_function(f"{recipe}.steps === 7")
    desktop.wait_for_function("document.querySelector('#link textarea').value.includes('steps%22%3A%207')")
    set_number(desktop, "#count", 999)
    desktop.wait_for_function(
        "/No link: Pictures must be .* from 1 to 64/.test(document.querySelector('#link textarea').value)"
    )
    assert desktop.evaluate(command) == ""
    kept = desktop.evaluate("JSON.parse(localStorage['diffusion-studio-runs'])")
    assert [json.loads(one["recipe"])["steps"] for one in kept] == [3]  # the run's, not the settings'


def test_other_settings_can_be_run_while_a_run_works(desktop):
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#steps", 900)
    set_number(desktop, "#count", 64)  # it does not end by itself meanwhile
    desktop.click("#generate")
    desktop.locator("#stop").wait_for()
    wait(desktop, "d.run && Number(d.shown) >= 1")
    first = player(desktop)["run"]
    assert "when the run has ended" in desktop.locator("#player .edit").get_attribute("title")
    set_number(desktop, "#steps", 2)
    set_number(desktop, "#count", 1)
    wait(desktop, "d.stale === 'true'")
    assert desktop.inner_text("#player .made").startswith("this run has other settings: fashion-mnist")
    assert desktop.locator("#player .player.stale").count() == 0  # not dimmed: it still goes on
    desktop.locator("#generate").click()
    # the run may end before its picture is here: until then the button says so
    wait(desktop, f"d.run && d.run !== '{first}' && d.ended === 'true' && Number(d.shown) >= 1")
    assert desktop.locator("#player .edit").get_attribute("title") == "Edit the finished picture"


def test_seconds_follow_the_settings_and_bad_ones_leave_no_advice(desktop):
    choose_model(desktop, "fashion-mnist")
    set_number(desktop, "#count", 1)
    with answered(desktop):
        desktop.click("#quality label:has-text('In seconds')")
    desktop.wait_for_selector("#budget-said:has-text('table of ')")
    before = desktop.inner_text("#budget-said")
    desktop.fill("#budget-seconds input", "-5")
    with answered(desktop):
        desktop.press("#budget-seconds input", "Enter")
    desktop.wait_for_selector("#budget-said:has-text('must be a number of seconds above 0')")
    assert "table of" not in (desktop.text_content("#budget-said") or "") and before
    desktop.fill("#budget-seconds input", "2")
    with answered(desktop):
        desktop.press("#budget-seconds input", "Enter")
    desktop.wait_for_selector("#budget-said:has-text('table of ')")
    open_settings(desktop)
    desktop.click("#sampler input")
    with answered(desktop):
        desktop.get_by_role("option", name=re.compile("heun: ")).click()
    desktop.locator("#budget").wait_for(state="hidden")  # not the sampler that the seconds chose


def test_the_menu_of_samplers_has_two_parts(desktop):
    open_settings(desktop)
    desktop.click("#sampler input")
    desktop.locator("#sampler [role=option]").first.wait_for()
    heads = desktop.evaluate(
        """[...document.querySelectorAll('#sampler [role=option]')].map((one) =>
          [getComputedStyle(one, '::before').content, one.textContent]).filter(([head]) => head !== 'none')"""
    )
    assert [head for head, _ in heads] == ['"Recommended"', '"Others"']
    assert "★" in heads[0][1] and "★" not in heads[1][1]


def test_neither_classroom_nor_drawer_moves_the_bar(desktop):
    choose_model(desktop, "fashion-mnist")
    run(desktop, steps=3, count=2)
    before = bottom_of_bar(desktop)
    desktop.click("#player .class")
    desktop.locator("#classroom .begin").wait_for()
    desktop.wait_for_function(
        f"Math.abs(document.querySelector('#player .bar').getBoundingClientRect().bottom - {before}) < 3"
    )
    desktop.click("#classroom .never")
    open_settings(desktop)
    tops = "[...document.querySelectorAll('#player .bar :is(.play, .inside, .save)')].map((one) => one.offsetTop)"
    desktop.wait_for_function(f"new Set({tops}).size === 1")
