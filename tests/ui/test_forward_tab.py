"""What the Forward tab's page asks, asked without a page."""

from __future__ import annotations

import base64
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.diffusion.schedule import NoiseLevel
from diffusion_studio.imaging.frame import Frame
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.studio import Studio
from diffusion_studio.ui import file_making, forward_tab
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.forward_tab import ForwardTab, _formulas
from diffusion_studio.ui.store import RunStore

SMALL = {"schedules": ["linear", "cosine", ""], "steps": 4, "size": 16, "ways": ["iterated"]}


@pytest.fixture
def tab(tiny_checkpoint):
    import gradio as gr

    with gr.Blocks():
        return ForwardTab(Studio(tiny_checkpoint.parents[1]), RunStore(), Compute())


def ask(tab, **given):
    return tab.element.figure({**SMALL, **given})


def file_of(size: tuple[int, int], kind: str = "PNG") -> str:
    packed = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(packed, kind)
    return base64.b64encode(packed.getvalue()).decode()


def thumb(found) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found["thumb"].partition(",")[2]))))


def test_a_row_for_each_schedule_and_a_cell_for_each_way(tab):
    found = ask(tab)
    assert [row["name"] for row in found["rows"]] == ["linear", "cosine"]
    assert [cell["kind"] for cell in found["rows"][0]["cells"]] == ["film", "film", "histogram"]
    assert found["states"] == 5 and thumb(found).shape == (16, 16, 3)
    assert ["tiny", "that of tiny"] in found["choices"]
    alone = ask(tab, ways=[])
    assert [cell["kind"] for cell in alone["rows"][0]["cells"]] == ["film", "histogram"]


def test_what_transparent_parts_are_laid_on_is_said(tab):
    packed = io.BytesIO()
    Image.new("RGBA", (16, 16), (200, 30, 30, 0)).save(packed, "PNG")
    clear = base64.b64encode(packed.getvalue()).decode()
    found = ask(tab, picture={"kind": "file", "data": clear})
    assert found["note"] == "Its transparent parts are laid on black." and thumb(found).max() == 0
    assert ask(tab, picture={"kind": "file", "data": file_of((16, 16))})["note"] == ""


def test_a_networks_own_schedule_and_a_table(tab):
    found = ask(tab, schedules=["tiny", "table"], betas="0.1, 0.2 0.5")
    assert [row["name"] for row in found["rows"]] == ["tiny", "table"]
    assert found["states"] == 4 and "3 timesteps" in found["note"] and ask(tab)["note"] == ""
    assert found["curves"][0]["series"][1]["ys"] == pytest.approx([0.9, 0.72, 0.36])  # products of 1 - beta


def test_a_file_is_cut_to_a_square(tab):
    found = ask(tab, picture={"kind": "file", "data": file_of((40, 20), "JPEG")})
    assert thumb(found).shape == (16, 16, 3) and abs(int(thumb(found)[8, 8, 0]) - 200) < 4


def test_a_picture_of_the_run(tab):
    pictures = np.stack([np.full((8, 8, 1), value, np.uint8) for value in (10, 90)])
    run = tab.store.open("visitor", Recipe(model="tiny", seeds=(0, 1)))
    tab.store.append(run, Frame(0, 1, NoiseLevel(0.0, 1.0, 0.5), pictures, pictures))
    found = ask(tab, picture={"kind": "run", "run": run, "shown": 7, "zoom": 1})
    assert thumb(found).shape == (8, 8) and (thumb(found) == 90).all()  # its own size, where that is less


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedules": []}, "1 to 3 schedules"),
        ({"schedules": ["linear"] * 4}, "1 to 3 schedules"),
        ({"schedules": ["lineal"]}, "lineal"),
        ({"schedules": ["table"], "betas": "a lot"}, "list of numbers"),
        ({"schedules": ["table"], "betas": "2, 3"}, "beta above 0"),
        ({"steps": 0}, "from 1 to 100"),
        ({"size": "64"}, "from 8 to 128"),
        ({"picture": {"kind": "file", "data": "!"}}, "incomplete"),
        ({"picture": {"kind": "file", "data": base64.b64encode(b"no picture").decode()}}, "PNG, JPEG"),
        ({"picture": {"kind": "run", "run": "gone"}}, "Press Generate"),
    ],
)
def test_bad_input_is_answered_by_a_sentence(tab, given, said):
    assert said in ask(tab, **given)["error"]


def test_a_run_of_points_has_no_picture(tab):
    cloud = np.zeros((1, 5, 2), np.float16)
    run = tab.store.open("visitor", Recipe(model="points"))
    tab.store.append(run, Frame(0, 1, NoiseLevel(0.0, 1.0, 0.5), cloud, cloud))
    assert "of points" in ask(tab, picture={"kind": "run", "run": run})["error"]


def saved(tab, **given) -> dict:
    """What the page gets in the end, where it asks on."""
    key = tab.element.save({**SMALL, **given})["making"]
    while "of" in (found := tab.element.saving({"making": key})):
        time.sleep(0.02)
    assert "no longer" in tab.element.saving({"making": key})["error"]  # it is given once
    return found


@pytest.mark.parametrize(("kind", "start"), [("gif", b"GIF89a"), ("strip", b"\x89PNG"), ("mp4", b"\0\0\0")])
def test_it_is_saved(tab, kind, start):
    made = saved(tab, format=kind)
    assert base64.b64decode(made["data"]).startswith(start)
    assert made["name"].startswith("forward-linear-cosine.")
    assert "format" in tab.element.save({**SMALL, "format": "doc"})["error"]


def test_each_state_is_told_in_words_and_then_in_symbols(tab):
    rows = ask(tab, steps=50)["rows"]
    linear, cosine = (row["told"] for row in rows)
    assert linear[0][0] == cosine[0][0] == "No noise yet: this is the picture itself."
    assert linear[10][0] == "34 % noise: the shape is still there."  # 1 - alpha_bar, as in Generate and Learn
    assert linear[10][1].startswith("t = 199, ᾱ = 0.659, noise variance 0.341, log-SNR ")
    assert linear[50][0] == "More than 99 % noise: nothing of the picture can be seen."
    white = io.BytesIO()
    Image.new("L", (16, 16), 255).save(white, "PNG")
    file = base64.b64encode(white.getvalue()).decode()
    [row] = ask(tab, steps=50, schedules=["linear"], picture={"kind": "file", "data": file})["rows"]
    assert (
        row["told"][10][0] == "34 % noise: it is still easy to recognise."
    )  # a stronger picture than the cat


def test_a_file_tells_how_far_it_is_and_is_given_up(tab, monkeypatch):
    drawn, go = [], threading.Event()

    def slowly(rows, path, progress, **how):
        for k in range(3):
            progress(k, 3)
            drawn.append(k)
            go.wait(20)

    monkeypatch.setattr(forward_tab, "save_forward", slowly)
    key = tab.element.save({**SMALL, "format": "gif"})["making"]
    while not drawn:
        time.sleep(0.01)
    assert tab.element.saving({"making": key}) == {"done": 0, "of": 3}
    assert tab.element.cancel({"making": key}) == {"cancelled": True}
    go.set()
    for one in threading.enumerate():
        if one.name.startswith("file "):
            one.join(20)
    assert drawn == [0] and "no longer being made" in tab.element.saving({"making": key})["error"]
    assert tab.element.cancel({"making": None}) == {"cancelled": False}


def test_files_that_nobody_asks_for_make_room(tab, monkeypatch):
    go = threading.Event()

    def slowly(rows, path, progress, **how):
        go.wait(20)
        progress(0, 1)

    monkeypatch.setattr(forward_tab, "save_forward", slowly)
    keys = [
        tab.element.save({**SMALL, "format": "gif"}).get("making") for _ in range(forward_tab.MOST_WAITING)
    ]
    assert all(keys) and "8 files are being made" in tab.element.save({**SMALL, "format": "gif"})["error"]
    monkeypatch.setattr(file_making, "PATIENCE", 0.0)
    assert "making" in tab.element.save({**SMALL, "format": "gif"})
    go.set()


def test_formulas_are_written_as_formulas():
    text = _formulas("in steps x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) eps, from sqrt(alpha_bar) x0")
    assert text == "in steps x<sub>t</sub> = √(1 − β) x<sub>t−1</sub> + √β ε, from √ᾱ x<sub>0</sub>"
