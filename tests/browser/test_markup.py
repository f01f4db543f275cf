"""Markup in whatever comes from outside is shown as text: looked at in the page, after each way in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import answered, section
from test_server import served

import diffusion_studio as ds

ROOT = Path(__file__).resolve().parents[2]
MARKUP = "<img src=x onerror=hit(1)><b class=evil>bold<!--"
LINK = '<a class=evil href="https:example.com">Log in again</a>'
CARD = f"""# {MARKUP}

{LINK} <script>hit(2)</script> <iframe srcdoc="<script>parent.hit(3)</script>"></iframe>

[click](javascript:hit(4)) <svg onload=hit(5)></svg> <a href="javascript:hit(6)">x</a>
"""


@pytest.fixture
def marked(write_checkpoint, tmp_path):
    """Address of an app whose models have markup wherever words can be: names, labels, cards, a broken one."""
    folder = write_checkpoint(MARKUP, labels=(MARKUP, LINK, "Boot")).parent
    (folder / "card.md").write_text(CARD)
    broken = folder.parent / f"{MARKUP}broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"no model")
    with served(tmp_path, checkpoints=folder.parent) as (_, address):
        yield address, folder


def check(page) -> None:
    """No element and no script came of the markup; a card is Markdown, of which Gradio keeps harmless parts."""
    assert page.evaluate("window.hits") == []
    assert (
        page.evaluate(
            "document.querySelectorAll('img[src=x]:not(.prose *), .evil:not(.prose *), iframe[srcdoc]').length"
        )
        == 0
    )
    assert not page.evaluate("[...document.links].filter((a) => /javascript:/i.test(a.href)).length")


@pytest.mark.slow
def test_markup_is_text(marked, visit, tmp_path):
    address, folder = marked
    page = visit(address)
    page.evaluate("window.hits = []; window.hit = (n) => window.hits.push(n); null")
    page.click("#generate")
    page.wait_for_function("document.querySelector('.player').dataset.ended === 'true'")
    check(page)

    exported = (
        ds.Studio(folder.parent)
        .run(ds.Recipe(model=MARKUP, label=LINK, steps=1, seeds=(0,)))
        .save(tmp_path / "<b class=evil>run<img src=x>.gif")
    )
    for name in ("#guidance-more", "#export", "#share"):
        section(page, name)
    page.locator("#restore input[type=file]").set_input_files(str(exported))
    page.get_by_text("The settings of this file are restored").wait_for()
    check(page)

    for tab in ("Models", "Train", "Points"):
        with answered(page):
            page.get_by_role("tab", name=tab).click()
        check(page)
    page.get_by_role("tab", name="Models").click()
    assert "<b class=evil>" in page.inner_text("#models-here")
    page.get_by_text("The card of", exact=False).first.click()
    page.wait_for_timeout(500)
    check(page)

    bad = tmp_path / "<img src=x onerror=hit(7)>.safetensors"
    bad.write_bytes(b"0" * 100)
    page.locator("#model-file input[type=file]").set_input_files(str(bad))
    page.locator("#report .bad").wait_for()
    check(page)


@pytest.mark.slow
@pytest.mark.parametrize("field", ["model", "label", "sampler"])
def test_markup_in_a_link(app, visit, field):
    """A model's name with HTML in it was shown as HTML: a link of the attacker's that works."""
    given = json.loads(ds.Recipe(model="fashion-mnist").to_json())
    given[field] = {"name": LINK + MARKUP} if field == "sampler" else LINK + MARKUP
    page = visit(f"{app}/?recipe={quote(json.dumps(given))}")
    toast = page.locator(".toast-body").first
    toast.wait_for()
    assert "Log in again</a>" in toast.inner_text()
    assert (
        page.evaluate("document.querySelectorAll('.toast-body a, .toast-body b, .toast-body img').length")
        == 0
    )
