"""What a person does with files of their own: open a checkpoint, train on pictures, and watch either in
Generate.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import chosen_model, open_tab, wait
from PIL import Image
from safetensors.numpy import save_file

pytestmark = pytest.mark.slow


@pytest.fixture
def native(tmp_path, write_checkpoint):
    path = write_checkpoint("other", labels=("Cat", "Dog", "Owl"), defaults={"steps": 5, "count": 4})
    return path.rename(tmp_path / "animals.safetensors")


def narrow(page):
    return page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_dropped_checkpoint_is_explained_and_runs(page, native):
    said_on_console: list[str] = []
    page.on("console", lambda message: said_on_console.append(message.text))
    open_tab(page, "Models")
    page.locator("#model-file input[type=file]").set_input_files(str(native))
    page.wait_for_selector("#report .good")
    said = page.inner_text("#report")
    assert (
        "animals.safetensors" in said
        and "8x8 grey" in said
        and "nothing was assumed" in said
        and not page.locator("#report .filter").count()
        and narrow(page)
    )
    page.click("#use-model")
    page.wait_for_selector("#generate:visible")
    assert chosen_model(page) == "animals"
    page.click("#generate")
    wait(
        page, "d.ended === 'true' && d.shown === '5' && d.loaded === '6'"
    )  # skipped states come after the newest
    assert [one for one in said_on_console if "not implemented" in one] == []  # Gradio's, of each upload


@pytest.fixture
def foreign(tmp_path):
    """A file of OpenAI's program without its flags, so that settings have to be assumed. Only its shapes matter."""
    kept = np.load(Path(__file__).parents[1] / "checkpoint" / "golden_openai.npz")
    shapes = json.loads(zlib.decompress(kept["adm.about"].tobytes()))["shapes"]
    path = tmp_path / "adm.safetensors"
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, path)
    return path


def test_a_dropped_file_keeps_its_name_and_shows_only_what_was_assumed(page, foreign):
    open_tab(page, "Models")
    page.locator("#model-file input[type=file]").set_input_files(str(foreign))
    page.wait_for_selector("#report table")
    assert "adm.safetensors" in page.inner_text("#model-opened")
    use, table = page.locator("#use-model").bounding_box(), page.locator("#report table").bounding_box()
    assert use["y"] + use["height"] <= table["y"] and narrow(page)
    rows = page.locator("#report tbody tr")
    assumed = page.locator("#report tbody tr.assumed").count()
    assert 0 < assumed < rows.count() and f"only what was assumed ({assumed})" in page.inner_text(
        "#report .filter"
    )
    page.check("#report .only-assumed")
    assert [one.is_visible() for one in rows.all()].count(True) == assumed
    page.uncheck("#report .only-assumed")
    assert all(one.is_visible() for one in rows.all())


def test_a_run_that_fails_on_its_way_says_why_and_keeps_its_states(desktop, overflowing):
    open_tab(desktop, "Models")
    path = overflowing("wild", defaults={"steps": 10, "count": 4})
    desktop.locator("#model-file input[type=file]").set_input_files(
        str(path.rename(path.with_name("wild.safetensors")))
    )
    desktop.wait_for_selector("#report .good")
    desktop.click("#use-model")
    desktop.wait_for_selector("#generate:visible")
    desktop.evaluate("""() => { const quick = window.createImageBitmap;         // the strip shrinks while it is being drawn
        window.createImageBitmap = async (blob) => { await new Promise((go) => setTimeout(go, 200)); return quick(blob); }; }""")
    desktop.click("#generate")
    desktop.get_by_text("From step 4 of 10 on").wait_for()
    wait(desktop, "d.ended === 'true' && d.loaded === '4' && d.shown === '3'")
    assert (
        desktop.inner_text(".readout .state") == "stopped"
        and desktop.inner_text(".readout .step") == "step 3 of 10"
    )


def test_a_pickle_and_a_web_page_are_answered_with_a_sentence(desktop, tmp_path):
    open_tab(desktop, "Models")
    for name, content, said in (
        ("net.pt", b"PK\x03\x04 pickle", "diffusion-studio convert net.pt net.safetensors"),
        ("x.safetensors", b"<!DOCTYPE html><html></html>", "its download went wrong"),
    ):
        (tmp_path / name).write_bytes(content)
        desktop.locator("#model-file input[type=file]").set_input_files(str(tmp_path / name))
        desktop.wait_for_function(
            "said => document.querySelector('#report').innerText.includes(said)", arg=said
        )
        assert desktop.locator("#use-model").is_hidden()  # it cannot be used


def test_the_cards_of_the_models_stand_first(page):
    open_tab(page, "Models")
    cards, form = page.locator("#models-here"), page.locator("#open-model")
    form.wait_for()
    assert cards.bounding_box()["y"] < form.bounding_box()["y"]
    page.evaluate("window.sameDocument = true; history.replaceState(null, '', '?recipe=kept')")
    page.click("#models-here a")
    page.wait_for_timeout(300)  # a page that is loaded anew would be so by now, or lose the mark below
    assert page.evaluate("window.sameDocument === true")
    page.wait_for_function(
        "document.querySelector('#open-model').getBoundingClientRect().top < innerHeight / 2 ||"
        " scrollY + innerHeight >= document.documentElement.scrollHeight - 2"
    )


def test_before_a_file_is_dropped_there_is_no_empty_report(page, native):
    """A bar "Use in Generate" that could not be pressed stood there, and a report on nothing."""
    open_tab(page, "Models")
    page.locator("#open-model").wait_for()
    parts = [page.locator(one) for one in ("#use-model", "#report", "#model-flags", "#read-again")]
    assert not any(one.is_visible() for one in parts) and narrow(page)
    page.locator("#model-file input[type=file]").set_input_files(str(native))
    page.wait_for_selector("#report .good")
    assert all(one.is_visible() for one in parts) and narrow(page)
    report, cards = page.locator("#report").bounding_box(), page.locator(".model-gallery").bounding_box()
    assert report["y"] < cards["y"]  # where the file was dropped


def test_a_bundled_model_is_taken_from_its_card(desktop):
    open_tab(desktop, "Models")
    desktop.click("#use-fashion-mnist")
    desktop.wait_for_selector("#generate:visible")
    assert chosen_model(desktop) == "fashion-mnist"


def found(page, text: str) -> None:
    page.wait_for_function(
        "said => document.querySelector('#train-found').innerText.includes(said)", arg=text
    )


def test_pictures_are_dropped_as_they_are_and_replace_those_before(page, tmp_path):
    """Only a .zip was taken."""
    paths = []
    for k in range(6):
        paths.append(tmp_path / f"{k}.{('png', 'jpg', 'webp')[k % 3]}")
        Image.fromarray(np.full((24 + 40 * k, 24 + 20 * k, 3), 40 * k, np.uint8)).save(paths[-1])
    open_tab(page, "Train")
    field = page.locator("#train-zip input[type=file]")
    field.set_input_files(paths)
    found(page, "6 pictures, 24x24 to 124x224, will be cut to 32x32.")
    thumbnails = page.locator("#train-found .thumbnails img")
    assert thumbnails.count() == 6 and narrow(page)
    name = page.locator("#train-data input").input_value()
    assert name.startswith("my-pictures")
    field.set_input_files(paths[:1])
    found(page, "1 picture, 24x24, will be scaled to 32x32.")
    assert thumbnails.count() == 1 and page.locator("#train-data input").input_value() == name
    (tmp_path / "bad.png").write_bytes(b"no picture")
    field.set_input_files([paths[0], tmp_path / "bad.png"])
    found(page, "1 of 2 images cannot be used: bad.png: ")
    page.locator("#train-data input").click()  # and another set is there to be chosen again
    page.get_by_role("option").first.wait_for()


def test_the_first_state_of_train_fits_into_the_window(desktop):
    open_tab(desktop, "Train")
    desktop.wait_for_selector("#train-found .have")
    assert desktop.evaluate("document.documentElement.scrollHeight") <= 900
    words = desktop.inner_text("#train")
    assert "looked into" not in words and "shades" not in words  # in plain words
    sizes = desktop.locator("#train-size label")
    assert len({round(one.bounding_box()["y"]) for one in sizes.all()}) == 1


@pytest.mark.slow
def test_a_model_is_trained_stopped_resumed_and_used(page, tmp_path, request):
    name = f"shapes-{request.node.callspec.id}"
    draw, archive = np.random.default_rng(0), tmp_path / f"{name}.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for k in range(24):
            picture = np.zeros((16, 16, 3), np.uint8)
            picture[4 * (k % 2) :, :8] = draw.integers(100, 255, 3)
            made = io.BytesIO()
            Image.fromarray(picture).save(made, "png")
            out.writestr(f"pictures/{('tall', 'short')[k % 2]}/{k}.png", made.getvalue())
    open_tab(page, "Train")
    page.locator("#train-zip input[type=file]").set_input_files(str(archive))
    page.wait_for_function("document.querySelector('#train-found').innerText.includes('24 pictures')")
    assert "2 labels: short, tall, 12 pictures of each." in page.inner_text("#train-found") and narrow(page)
    thumbnails = page.locator("#train-found .thumbnails img")  # before the training, of both labels
    assert thumbnails.count() == 10 and all(
        one.evaluate("i => i.naturalWidth") == 32 for one in thumbnails.all()
    )
    assert {one.inner_text() for one in page.locator("#train-found figcaption b").all()} == {"short", "tall"}
    page.locator("#train-size label").filter(has_text="16x16").click()
    page.wait_for_function("document.querySelector('#train-found img').naturalWidth === 16")
    page.click("#train-advanced > button")
    groups = page.locator("#train-advanced > :not(button) button.label-wrap")
    groups.filter(has_text="Network").click()
    assert groups.count() == 6
    field = page.get_by_label("Channels", exact=True)
    field.fill("8")
    field.blur()
    page.click("#train-go")
    page.wait_for_function(  # another run may be shown until this one begins
        f"document.querySelector('#train-view').innerText.includes('{name}')", timeout=300_000
    )
    page.wait_for_selector("#train-view polyline", timeout=300_000)
    page.wait_for_selector("#train-samples .whole", timeout=300_000)
    assert "mean squared error" in page.inner_text("#train-view .curve") and narrow(page)
    page.click("#train-stop")
    page.wait_for_selector("#train-view .wait, #train-view .good:has-text('Finished')")
    page.reload()  # what was closed is found again
    page.wait_for_selector("#generate")
    open_tab(page, "Train")
    page.wait_for_selector("#train-view .run")
    assert name in page.inner_text("#train-view")
    if page.locator("#train-view .wait").count():
        page.click("#train-resume")
        page.wait_for_selector("#train-view .good")
        page.click("#train-stop")
        page.wait_for_selector("#train-view .wait, #train-view .good:has-text('Finished')")
    page.click("#train-use")
    page.wait_for_selector("#generate:visible")
    assert chosen_model(page) == name and narrow(page)
    page.click("#generate")
    wait(page, "d.ended === 'true' && d.shown === '50'")
