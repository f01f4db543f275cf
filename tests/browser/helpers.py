"""Actions of a visitor on the page, and readings of what the page shows."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def player(page) -> dict:
    return page.evaluate("({...document.querySelector('.player').dataset})")


def wait(page, condition: str) -> None:
    page.wait_for_function(
        f"(() => {{ const d = document.querySelector('.player').dataset; return {condition}; }})()"
    )


def run(page, steps: int | None = None, count: int | None = None) -> None:
    """Click Generate and wait until the whole run is in the page."""
    if steps:
        set_number(page, "#steps", steps)
    if count:
        set_number(page, "#count", count)
    before = player(page).get("run", "")
    page.click("#generate")
    wait(page, f"d.run && d.run !== '{before}' && d.ended === 'true'")
    total = page.evaluate("Number(document.querySelector('.scrub').max)")
    wait(page, f"Number(d.loaded) === {total + 1} && Number(d.shown) === {total}")


def generate(page) -> None:
    """Press Generate by its keys: while a run is on, its button says Stop."""
    page.keyboard.press("Control+Enter")


def choose_model(page, name: str) -> None:
    with answered(page):
        page.click(f"#model [data-name='{name}']")


def chosen_model(page) -> str:
    return page.locator("#model [aria-pressed=true]").get_attribute("data-name")


def free_port() -> int:
    """Apps that begin at once, in two workers, would both take the first one that Gradio finds free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def open_tab(page, name: str) -> None:
    """Choose a tab, on a phone out of the menu that holds those that have no room."""
    tab = page.locator(f"button[role=tab]:has-text('{name}'):visible")
    if not tab.count():
        page.click(".overflow-menu > button")
        tab = page.locator(f".overflow-dropdown button:has-text('{name}')")
    tab.first.click()


def open_settings(page) -> None:
    """The drawer of all settings."""
    if page.locator("#all-settings").get_attribute("aria-expanded") != "true":
        page.click("#all-settings")
    page.locator("#sampler-section").wait_for()


def section(page, name: str) -> None:
    """Open a section of the drawer, where it is not open."""
    open_settings(page)
    toggle = page.locator(f"{name} > button").first
    if "open" not in (toggle.get_attribute("class") or ""):
        toggle.click()


def set_number(page, where: str, value: object) -> None:
    """Type it, again where an answer that was under way went over it."""
    field = page.locator(f"{where} input[type=number]")
    for _ in range(8):
        field.fill(str(value))
        field.blur()
        page.wait_for_timeout(300)
        if field.input_value() == str(value):
            return


def pixels(page, half: str, where: str = "half") -> np.ndarray:
    """What a canvas shows, (H, W) of its red channel."""
    width, height, data = page.evaluate(
        "where => { const c = document.querySelector(`[data-${where}] canvas, canvas[data-${where}]`);"
        "return [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }",
        f"{where}={half}",
    )
    return np.array(data, np.uint8).reshape(height, width, 4)[..., 0]


@contextmanager
def answered(page):
    """Waits at its end until all that the page asks the server meanwhile is answered and shown."""
    asked, done = [], []

    def sent(one):  # Playwright marks listeners, so a list's own method will not do
        asked.append(one)

    def ended(one):
        done.append(one)

    events = {"request": sent, "requestfinished": ended, "requestfailed": ended}
    for name, note in events.items():
        page.on(name, note)
    yield
    quiet = looked = 0
    while quiet < 3 and looked < 400:
        page.wait_for_timeout(150)
        looked += 1
        waiting = [one for one in asked if "run/predict" in one.url and one not in done]
        # A press that asks nothing at all is answered: without this it would be waited for without end.
        quiet = 0 if waiting or (not asked and looked < 14) else quiet + 1
    assert quiet == 3, f"the page still waits for {[one.url for one in asked if one not in done]}"
    for name, note in events.items():
        page.remove_listener(name, note)


def looks(page, view: str, picture: str = "") -> None:
    """What is exported, in place of what the player shows."""
    options = page.locator("#export-options")
    options.get_by_label("View").click()
    page.get_by_role("option", name=view, exact=True).click()
    options.get_by_label("One picture").fill(picture)


def export(page, name: str, folder: Path) -> Path:
    open_settings(page)
    if not page.locator("#make-file").is_visible():
        with answered(page):  # which puts the panel to what the player shows
            page.click("#export > button")
    page.locator(f"#format input[value={name}]").check()
    with page.expect_download() as caught:  # which begins by itself
        page.click("#make-file")
    page.locator("#file a[download]").first.wait_for()  # and can be had again
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path
