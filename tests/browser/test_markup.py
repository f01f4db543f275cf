"""Markup in whatever comes from outside is shown as text: looked at in the page, after each way in."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from helpers import answered, open_tab, section
from PIL import Image
from test_server import served

import diffusion_studio as ds
from diffusion_studio.cli import main

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
    page.get_by_text("Card and samples of", exact=False).first.click()
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


PLACES = {"#compare-restore": "Compare", "#train-zip": "Train", "#model-file": "Models"}
ARCHIVE = "<b class=evil>zip<img src=x onerror=hit(8)>.zip"


def drop(page, where: str, path: Path) -> None:
    open_tab(page, PLACES[where])
    page.locator(f"{where} input[type=file]").set_input_files(str(path))


def watch(page) -> None:
    page.evaluate("window.hits = []; window.hit = (n) => window.hits.push(n); null")


@pytest.mark.slow
def test_markup_in_a_dropped_header_and_its_run(app, visit, write_checkpoint, tmp_path):
    """A stranger's checkpoint that runs: name and labels are in its header, the rest in its run."""
    path = write_checkpoint(
        MARKUP, labels=(MARKUP, LINK, "Boot"), provenance={"data": MARKUP, "licence": LINK}
    )
    page = visit(app)
    watch(page)
    drop(page, "#model-file", path)
    page.wait_for_selector("#use-model:enabled")
    check(page)
    page.click("#use-model")
    page.wait_for_selector("#label-chips:has-text('Log in again</a>')")
    check(page)
    page.click("#label-chips [data-name]:has-text('Log in again')")
    page.wait_for_selector("#label-chips [aria-pressed=true]:has-text('Log in again')")
    page.click("#generate")
    page.wait_for_function(
        "(() => { const d = document.querySelector('.player').dataset;"
        " return d.run && d.ended === 'true' && d.recorded !== 'true'; })()"
    )
    section(page, "#share")
    page.wait_for_function("document.querySelector('#command textarea').value.includes('evil')")
    check(page)


@pytest.mark.slow
def test_markup_in_the_entries_of_an_archive(app, visit, tmp_path):
    """Names of folders, which become labels, captions, files that are left out, and the archive's own name."""
    made = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(made, "png")
    good, bad = tmp_path / "<b class=evil>good.zip", tmp_path / ARCHIVE
    with zipfile.ZipFile(good, "w") as out:
        for k, name in enumerate(("<b class=evil>tall<img src=x onerror=hit(9)>", "short")):
            out.writestr(f"all/{name}/{k}.png", made.getvalue())
            out.writestr(f"all/{name}/{k}.txt", MARKUP + "<script>hit(10)<!--")
        out.writestr("all/<img src=x onerror=hit(11)>.exe", b"x")
    with zipfile.ZipFile(bad, "w") as out:
        for k in range(2):
            out.writestr(f"<img src=x onerror=hit({k})>.png", b"no picture")
    page = visit(app)
    watch(page)
    drop(page, "#train-zip", good)
    page.wait_for_function("document.querySelector('#train-found').innerText.includes('2 pictures')")
    assert "<b class=evil>tall" in page.inner_text("#train-found")
    check(page)
    drop(page, "#train-zip", bad)
    page.locator("#train-found .bad").wait_for()
    check(page)


@pytest.mark.slow
def test_markup_in_a_race_its_file_and_its_page(marked, visit, tmp_path):
    address, folder = marked
    studio = ds.Studio(folder.parent)
    base = ds.Recipe(model=MARKUP, label=LINK, steps=2, seeds=(0,))
    race = ds.race([base, {"label": MARKUP}], "steps", studio=studio)
    path = race.save(tmp_path / "<b class=evil>race<img src=x>.gif")
    page = visit(address)
    watch(page)
    open_tab(page, "Compare")
    section_of = page.locator("#compare-open > button").first
    section_of.click()
    drop(page, "#compare-restore", path)
    page.wait_for_selector(".together[data-runs='2'][data-recorded=false]")
    assert MARKUP in "".join(page.locator(".together .lane figcaption").all_inner_texts())
    check(page)
    page.check("#compare-as-text input")
    page.fill("#compare-lanes textarea", f"as it is\nlabel={LINK}{MARKUP}")
    page.click("#compare-run")
    page.locator(".said-wrong").first.wait_for()  # at its field
    check(page)
    assert not page.locator(":is(.toast-body, .said-wrong) :is(a, b, img)").count()

    for made, name in ((race, "race.html"), (studio.run(base), "run.html")):
        offline = page.context.new_page()
        offline.add_init_script("window.hits = []; window.hit = (n) => window.hits.push(n);")
        offline.goto(made.save(tmp_path / name).as_uri())
        offline.wait_for_selector("canvas")
        assert LINK in offline.inner_text("body") and MARKUP in offline.inner_text("body")
        check(offline)
        offline.close()


@pytest.mark.slow
def test_markup_in_menus_of_lanes_and_axes_of_a_grid(marked, visit):
    """The menus offer the names of models, and show what a lane's text has that they do not know."""
    address, _ = marked
    page = visit(address)
    watch(page)
    open_tab(page, "Compare")
    page.check("#compare-as-text input")
    page.fill("#compare-lanes textarea", f"label={LINK}\n{MARKUP}\nprompt={MARKUP}, model={MARKUP}")
    page.wait_for_function(
        "[...document.querySelectorAll('#compare-rows option')].some((one) => one.textContent.includes('onerror'))"
    )
    assert LINK in page.locator("#compare-rows input").evaluate_all(
        "all => all.map((one) => one.value).join()"
    )
    check(page)
    page.click("#compare-kind label:has-text('Grid')")
    page.select_option("#compare-x select", "label")
    page.fill("#compare-x input", f"{LINK}, Boot, '{MARKUP}'")
    page.click("#compare-run")
    page.locator(".said-wrong, .together[data-kind=grid][data-recorded=false]").first.wait_for()
    check(page)
    page.fill("#compare-x input", f'"{MARKUP}", Boot')
    page.click("#compare-run")
    page.wait_for_selector(".together[data-kind=grid][data-recorded=false]")
    assert MARKUP in "".join(page.locator(".together th").all_inner_texts())
    check(page)


@pytest.mark.slow
def test_markup_in_the_sentence_of_a_branch(marked, visit):
    address, _ = marked
    page = visit(address)
    watch(page)
    with answered(page):
        page.click("#label-chips [data-name]:has-text('Log in again')")
    page.click("#generate")
    page.wait_for_function("document.querySelector('.player').dataset.ended === 'true'")
    page.locator("#player .scrub").fill("3")
    page.wait_for_function("document.querySelector('#player .player').dataset.shown === '3'")
    page.click("#player .branch")
    page.wait_for_selector("#branch-notice:has-text('<a class=evil')")
    check(page)
    page.click("#generate")
    page.wait_for_selector("#branch-notice:has-text('branches again')")
    assert not page.locator("#branch-notice a").count()
    check(page)


@pytest.mark.slow
@pytest.mark.parametrize("code", [MARKUP, LINK, "javascript:hit(15)"])
def test_markup_in_the_code_of_a_room(app, visit, code):
    page = visit(f"{app}/?room={quote(code)}", ready="#classroom .attending:not([hidden])")
    watch(page)
    page.wait_for_selector("#classroom .words:text-matches('^There is no open room of this name')")
    assert not page.locator("#classroom :is(b, img, a.evil)").filter(has_text="bold").count()
    check(page)


@pytest.mark.slow
def test_markup_in_a_gallery(marked, browser, tmp_path, monkeypatch):
    """Its title, the runs' models and labels, and the names of the files that they come from."""
    _, folder = marked
    studio = ds.Studio(folder.parent)
    run = studio.run(ds.Recipe(model=MARKUP, label=LINK, steps=2, seeds=(0,)))
    given = run.save(tmp_path / "<b class=evil>run<img src=x>.gif")
    branch = studio.run(run.recipe.continued(1, label=MARKUP)).save(tmp_path / "branch.gif")
    site = tmp_path / "site"
    words = ["gallery", str(given), str(branch), "--out", str(site), "--title", MARKUP + LINK]
    assert main([*words, "--checkpoints", str(folder.parent)]) == 0
    page = browser.new_page()
    page.add_init_script("window.hits = []; window.hit = (n) => window.hits.push(n);")
    page.goto((site / "index.html").as_uri())
    assert page.inner_text("h1") == MARKUP + LINK and LINK in page.inner_text("ul")
    check(page)
    for k in range(2):
        page.goto((site / "index.html").as_uri())
        page.locator("li a").nth(k).click()
        page.wait_for_selector("canvas")
        assert (LINK, MARKUP)[k] in page.inner_text("h1")
        check(page)
    page.close()


LESSONS = """import sys
from functools import partial
from pathlib import Path
from diffusion_studio.cli import main
from diffusion_studio.lessons import lesson
from diffusion_studio.ui import learn_tab
for name in ("course", "languages", "words"):
    setattr(learn_tab, name, partial(getattr(lesson, name), folder=Path(sys.argv[1])))
sys.exit(main(["serve", *sys.argv[2:]]))"""


@pytest.fixture
def lessons(tmp_path):
    """Address of an app whose lessons are a translator's file with markup in all of its fields, and one that
    cannot be read, which is named.
    """
    own, language = ROOT / "diffusion_studio" / "lessons", tmp_path / "lessons" / "en"
    language.mkdir(parents=True)
    shutil.copy(own / "en" / "words.txt", language)
    lines = (own / "en" / "1-noise-goes-in.md").read_text("utf-8").splitlines()
    fields = ("title", "question", "answer", "paper", "equation")
    lines = [f"{one} {MARKUP} {LINK}" if one.partition(":")[0] in fields else one for one in lines]
    text = "\n".join([*lines, "", f"{MARKUP} {LINK} [x](javascript:hit(12)) <script>hit(13)</script>"])
    (language / "1-noise<b class=evil>.md").write_text(text, "utf-8")
    (language / "2-<img src=x onerror=hit(14)>.md").write_text("nothing", "utf-8")
    folder = tmp_path / "app"
    folder.mkdir()
    with served(folder, program=("-c", LESSONS, str(language.parent))) as (_, address):
        yield address


@pytest.mark.slow
def test_markup_in_a_lesson_and_its_file_name(lessons, visit):
    page = visit(lessons)
    watch(page)
    open_tab(page, "Learn")
    page.wait_for_selector("#learn input[type=radio]")
    assert MARKUP in page.inner_text("#learn") and "onerror=hit(14)" in page.inner_text("#learn")
    check(page)
    page.locator("#learn input[type=radio]").first.check()
    page.click("#learn .press")
    page.locator("#learn .equation").wait_for()
    check(page)
