"""A real Chromium on the real app with the bundled models. In CI a missing browser is a failure, elsewhere
a skip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # in importlib mode pytest does not
ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Gradio's own page warns about its translations; anything else on the console fails the test
HARMLESS = re.compile(r"svelte-i18n|favicon|manifest\.json|Failed to load resource.*(font|404)")


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("CI must run the browser tests, and no Chromium is installed")
    pytest.skip("no Chromium on this machine (Debian: apt install chromium)")


@pytest.fixture(scope="session")
def app():
    """The address of `python app.py`, started as a user starts it."""
    from helpers import free_port  # beside the tests, whose folder is on the path by now

    with tempfile.TemporaryDirectory() as temp:
        log = Path(temp) / "log"
        environment = {**os.environ, "GRADIO_TEMP_DIR": temp, "PYTHONUNBUFFERED": "1", "TMPDIR": temp}
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "app.py", "--runs", str(Path(temp) / "runs"), "--port", str(free_port())],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        try:
            deadline = time.monotonic() + 120
            while not (found := re.search(r"http://\S+:\d+", log.read_text())):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield found.group()
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, app, browser):
    """The app's page, ready to be clicked. Errors on its console fail the test."""
    yield from opened(app, browser, request.param)


@pytest.fixture
def desktop(app, browser):
    yield from opened(app, browser, (1440, 900))


@pytest.fixture
def visit(browser):
    """Factory: the page at an address of the app, watched as `page` is, once `ready` is in it.

    A page that is led elsewhere while it still loads breaks off what it asks for, which is an error.
    """
    visits = []

    def make(address, ready="#generate"):
        visits.append(opened(address, browser, (1440, 900), ready))
        return next(visits[-1])

    yield make
    for one in visits:
        next(one, None)


def opened(address, browser, size, ready="#generate"):
    errors: list[str] = []
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    found = context.new_page()
    found.set_default_timeout(120_000)
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    found.goto(address)
    found.wait_for_selector(ready)
    found.wait_for_selector(".player", state="attached")
    yield found
    context.close()
    assert not [one for one in errors if not HARMLESS.search(one)]
