"""The page that plays by itself: what lies in it, losslessly and safely. tests/browser/test_html_player.py
looks at it in Chromium.
"""

from __future__ import annotations

import base64
import hashlib
import html as entities
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from export_runs import make_run
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.errors import ExportError, OptionError
from diffusion_studio.export import ExportOptions, html, save
from diffusion_studio.export.metadata import embedded, unembedded
from diffusion_studio.imaging.arrays import grid
from diffusion_studio.runs.trajectory import Trajectory

EVIL = '</script><script>alert(1)</script><!-- <script> <img src=x onerror="alert(2)"> \\u003c \\\\u003c'
RECIPE = ds.Recipe(model="tiny", label="Boot", steps=10, seeds=(0, 1, 2, 3))


def made(tmp_path, states, recipe=RECIPE, **options) -> str:
    path = save(states, tmp_path / "run.html", recipe.to_json(), ExportOptions(**options))
    assert ds.Recipe.from_file(path) == recipe
    return path.read_text("utf-8")


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="frames">(.*?)</script>', text, re.S)[1])


def pictures(run: dict) -> list[np.ndarray]:
    """Each frame's sheet part, x over x0, as Pillow decodes it."""
    height = 2 * -(-run["count"] // run["columns"]) * run["tile"][0]
    found = []
    for packed in run["sheets"]:
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB"))
        found += [sheet[at : at + height] for at in range(0, len(sheet), height)]
    return found


@pytest.mark.parametrize("channels, count, size", [(1, 1, 8), (3, 5, 9), (1, 16, 32), (3, 4, 64)])
def test_every_frame_is_there_to_the_pixel(tmp_path, channels, count, size, monkeypatch):
    monkeypatch.setattr(html, "SHEET_PIXELS", 100_000)  # so that the larger ones need several sheets
    frames = make_run(channels, 10, count, size, size - 1)
    data = data_of(made(tmp_path, frames))
    (run,) = data["runs"]
    assert data["figure"] is False
    shown = pictures(run)
    assert len(shown) == 11 and len(run["sheets"]) == -(-11 // run["perSheet"])
    for frame, picture in zip(frames, shown):
        whole = np.concatenate([grid(frame.x), grid(frame.x0)])
        assert (picture == whole).all()
    assert [one[0] for one in run["meta"]] == list(range(11)) and run["meta"][-1][2] is None
    end = frames[-1].x0.astype(float)
    assert run["offs"] == pytest.approx([abs(one.x0 - end).mean() for one in frames], rel=1e-3)


def test_states_and_a_picture_are_chosen(tmp_path):
    frames = make_run(1, 10, 4)
    (run,) = data_of(made(tmp_path, frames, frames="every", every=4, picture=2))["runs"]
    assert [one[0] for one in run["meta"]] == [0, 4, 8, 10] and run["count"] == 1
    assert (pictures(run)[1][:8, :, 0] == frames[4].x[2, ..., 0]).all()
    with pytest.raises(OptionError, match="pictures 0 to 3, got picture 4"):
        made(tmp_path, frames, picture=4)


def test_two_runs_stand_one_below_the_other(tmp_path):
    above, below = make_run(1, 10, 4), make_run(3, 5, 1, 16, 16)
    other = replace(RECIPE, steps=5, seeds=(0,))
    Trajectory(RECIPE, above).save(tmp_path / "two.html", beside=Trajectory(other, below))
    runs = data_of((tmp_path / "two.html").read_text("utf-8"))["runs"]
    assert [one["total"] for one in runs] == [10, 5] and [one["count"] for one in runs] == [4, 1]
    assert len(runs[1]["meta"]) == 11 and runs[1]["meta"][-1][0] == 5 and "steps 5" in runs[1]["about"]


def test_nothing_of_a_recipe_is_markup(tmp_path):
    recipe = replace(RECIPE, label=EVIL, model=EVIL)
    text = made(tmp_path, make_run(), recipe)
    assert len(re.findall(r"<script", text)) == 3 and "<img" not in text and "<!--" not in text
    assert entities.escape(EVIL[:80]) in text
    assert unembedded(embedded(recipe.to_json())) == recipe.to_json()


def test_the_policy_allows_the_pages_own_script_and_style_alone(tmp_path):
    text = made(tmp_path, make_run())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    policy = entities.unescape(policy)
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for kind, found in (
        ("script", r'<script type="module">(.*?)</script>'),
        ("style", r"<style>(.*?)</style>"),
    ):
        (own,) = re.findall(found, text, re.S)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(src|href)=", text) and "@import" not in text and "url(" not in text


def test_a_page_is_at_most_1_3_times_the_lossless_webp(tmp_path):
    """Also where the WebP has each of the model's pixels once; as it is by default it is larger."""
    frames = make_run(3, 25, 16, 32, 32)
    page = save(frames, tmp_path / "a.html", RECIPE.to_json(), ExportOptions()).stat().st_size
    for scale in (1, None):
        options = ExportOptions(view="both", scale=scale)
        webp = save(frames, tmp_path / "a.webp", RECIPE.to_json(), options).stat().st_size
        assert page <= 1.3 * webp


def test_too_much_for_a_page_is_said_before_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(html, "MAX_PIXELS", 1000)
    with pytest.raises(OptionError, match="The page would hold 0 million pixels.*fewer states"):
        made(tmp_path, make_run())


def test_a_page_that_was_cut_off_or_lost_its_recipe_is_said(tmp_path):
    text = made(tmp_path, make_run())
    at = text.index('id="diffusion-studio">')
    cut = tmp_path / "cut.html"
    cut.write_text(text[: text.index("<style>")])
    assert ds.Recipe.from_file(cut) == RECIPE  # the recipe stands in front
    cut.write_text(text[: at + 60])
    with pytest.raises(ExportError, match="cut off before its recipe"):
        ds.Recipe.from_file(cut)
    cut.write_text("<!DOCTYPE html><p>another page</p></html>\n")
    with pytest.raises(ExportError, match="carries no recipe"):
        ds.Recipe.from_file(cut)


def test_a_notebook_shows_a_trajectory_as_its_player():
    shown = Trajectory(RECIPE, make_run())._repr_html_()
    (whole,) = re.findall(r'srcdoc="([^"]*)"', shown)
    text = entities.unescape(whole)
    assert text.startswith("<!doctype html>") and data_of(text)["view"] == "both"
    assert len(data_of(text)["runs"][0]["meta"]) == 11


def test_points_are_drawn(tmp_path):
    from diffusion_studio.imaging.frame import Frame

    points = np.random.default_rng(0).normal(size=(1, 50, 2)).astype(np.float16)
    frames = [Frame(one.index, one.total, one.level, points, points) for one in make_run()]
    data = data_of(made(tmp_path, frames, replace(RECIPE, seeds=(0,))))
    assert data["smooth"] and data["runs"][0]["tile"] == [512, 512]
