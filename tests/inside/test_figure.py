"""Figures that play: what the page is sent is what was computed."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.diffusion.schedule import Cosine, Linear
from diffusion_studio.errors import OptionError
from diffusion_studio.inside import figure
from diffusion_studio.inside.figure import Curves, Figure, Film
from diffusion_studio.inside.forward_figure import example, forward_figure
from diffusion_studio.inside.forward_pictures import process

X0 = np.random.default_rng(3).uniform(-1, 1, (3, 8, 10))


def opened(sheet: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2]))).convert("RGB"))


@pytest.mark.parametrize("states", [1, 2, 5, 9])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_state_lies_in_the_sheet_bit_for_bit(states, channels):
    pictures = np.random.default_rng(states).integers(0, 256, (states, 6, 4, channels), dtype=np.uint8)
    made = Film("x", pictures).to_json()
    sheet = opened(made["sheet"])
    for k in range(states):
        top, left = k // made["columns"] * 6, k % made["columns"] * 4
        expected = np.broadcast_to(pictures[k], (6, 4, 3))
        np.testing.assert_array_equal(sheet[top : top + 6, left : left + 4], expected)


def test_a_logarithmic_curve_leaves_out_what_has_no_logarithm():
    made = Curves("beta", [("a", [0, 1, 2, 3], [100.0, 0.0, -1.0, math.inf])], log=True).to_json()
    assert made["series"][0]["ys"] == [2.0, None, None, None]


def test_the_forward_figure_shows_the_process():
    one = process(X0, Linear(), 10, seed=4, name="linear")
    made = forward_figure([one], ("closed", "unscaled")).to_json()
    closed, unscaled, bars = made["rows"][0]["cells"]
    assert made["states"] == 11 and len(made["labels"]) == 11 and "t = 999" in made["labels"][10]
    expected = np.clip(one.closed[3] * 127.5 + 127.5, 0, 255).round().astype(np.uint8).transpose(1, 2, 0)
    top, left = 3 // closed["columns"] * 8, 3 % closed["columns"] * 10
    np.testing.assert_array_equal(opened(closed["sheet"])[top : top + 8, left : left + 10], expected)
    assert closed["captions"][0] == f"variance {X0.var():.2f}"
    assert unscaled["captions"][10] == f"variance {one.unscaled[10].var():.2f}"
    width = bars["xs"][1] - bars["xs"][0]
    for state in bars["states"]:
        assert sum(state) * width == pytest.approx(1, abs=1e-3)  # a density
    names = [curve["title"].partition(":")[0] for curve in made["curves"]]
    assert names == ["ᾱ", "log-SNR", "β of one step", "variance of the pixels"]
    assert made["curves"][0]["at"][0] == 0 and made["curves"][0]["at"][10] == 1


def test_a_schedule_has_one_colour_in_all_curves_and_a_way_its_own_dashes():
    """Nine lines of six colours could not be told apart."""
    rows = [process(X0, one, 4, name=name) for name, one in (("linear", Linear()), ("cosine", Cosine()))]
    *others, variances = forward_figure(rows, ("closed", "unscaled")).to_json()["curves"]
    assert all([line["look"] for line in one["series"]] == [(0, 0), (1, 0)] for one in others)
    assert {line["name"]: line["look"] for line in variances["series"]} == {
        "linear, closed": (0, 0),
        "cosine, closed": (1, 0),
        "linear, unscaled": (0, 2),
        "cosine, unscaled": (1, 2),
    }


def test_alpha_bar_is_that_of_the_papers():
    """Ho et al. 2020: the product of 1 - beta; Nichol & Dhariwal 2021, eq. 17: f(t) / f(0) with s = 0.008."""
    rows = [process(X0, one, 4, name=name) for name, one in (("linear", Linear()), ("cosine", Cosine()))]
    linear, cosine = forward_figure(rows).to_json()["curves"][0]["series"]
    assert linear["ys"][-1] == pytest.approx(np.prod(1 - np.linspace(1e-4, 0.02, 1000)), rel=1e-3)
    t = round(cosine["xs"][60] * 999) + 1
    f = [math.cos((u / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (t, 0)]
    assert cosine["ys"][60] == pytest.approx(f[0] / f[1], rel=1e-3)


def test_an_unknown_way_and_a_figure_too_large_are_refused(monkeypatch):
    one = process(X0, Linear(), 4)
    with pytest.raises(OptionError, match="way") as caught:
        forward_figure([one], ("closed", "sideways"))
    assert "sideways" in str(caught.value)
    monkeypatch.setattr(figure, "MOST_BYTES", 100)
    with pytest.raises(OptionError, match="fewer steps") as caught:
        forward_figure([one]).to_json()
    assert caught.value.field == "steps"


def test_a_figure_of_nothing_but_curves():
    made = Figure(1, curves=[Curves("loss", [("loss", [0, 1], [1, 2])])]).to_json()
    assert made["rows"] == [] and made["curves"][0]["at"] == []


def test_the_example_is_a_photograph_with_its_licence():
    picture = example()
    assert picture.size == (160, 160) and picture.channels == 3
    import diffusion_studio.inside as inside

    notes = (inside.__path__[0], "pictures", "README.md")
    from pathlib import Path

    assert "CC0" in Path(*notes).read_text("utf-8")
