"""The forward process of a picture against the papers' formulas, in float64."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.cli import main
from diffusion_studio.diffusion.noise import gaussian
from diffusion_studio.diffusion.schedule import Cosine, FlowMatching, Linear, VarianceExploding
from diffusion_studio.errors import OptionError
from diffusion_studio.export.metadata import read_recipe
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.forward_pictures import (
    beta_of,
    from_json,
    histogram,
    image,
    look,
    process,
    save_forward,
    schedule_curves,
    schedules_named,
    strip_of,
    to_json,
)
from diffusion_studio.runs.recipe import Recipe

X0 = np.random.default_rng(1).uniform(-1, 1, (3, 12, 16))


def test_the_closed_form_and_the_chain_are_the_papers():
    """Ho et al. 2020, eq. 2 and 4, with betas from 1e-4 to 0.02 over 20 timesteps."""
    betas = np.linspace(1e-4, 0.02, 20)
    alpha_bar = np.cumprod(1 - betas)
    made = process(X0, Linear(timesteps=20), 20, seed=7)
    eps = gaussian(7, 0, X0.shape)
    x, free = X0, X0
    for k in range(1, 21):
        expected = math.sqrt(alpha_bar[k - 1]) * X0 + math.sqrt(1 - alpha_bar[k - 1]) * eps
        np.testing.assert_allclose(made.closed[k], expected, atol=1e-12)
        fresh = gaussian(7, k, X0.shape)
        x = math.sqrt(1 - betas[k - 1]) * x + math.sqrt(betas[k - 1]) * fresh
        free = free + math.sqrt(betas[k - 1]) * fresh
        np.testing.assert_allclose(made.iterated[k], x, atol=1e-10)
        np.testing.assert_allclose(made.unscaled[k], free, atol=1e-10)
    np.testing.assert_array_equal(made.closed[0], X0)


def test_both_ways_have_the_same_variance_and_without_the_factor_it_explodes():
    x0 = np.random.default_rng(0).uniform(-1, 1, (1, 120, 120))
    made = process(x0, Linear(), 1000)
    found = made.variances()
    for way in ("closed", "iterated"):
        np.testing.assert_allclose(found[way], found["expected"], rtol=0.05)
    total = np.linspace(1e-4, 0.02, 1000).sum()  # each step adds its beta
    assert found["unscaled"][-1] == pytest.approx(total + x0.var(), rel=0.05) and total > 10


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(zero_snr=True), VarianceExploding(), FlowMatching()])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_kind_of_schedule_at_few_steps(schedule, steps):
    made = process(X0, schedule, steps)
    assert made.steps == steps and np.isfinite(made.iterated).all() and np.isfinite(made.unscaled).all()
    last = made.levels[-1]
    eps = gaussian(0, 0, X0.shape)
    np.testing.assert_allclose(made.closed[-1], last.alpha * X0 + last.sigma * eps, atol=1e-9)
    assert image(look([made], steps)).ndim == 3


def test_the_curves_are_the_schedule_s():
    found = schedule_curves(Linear(timesteps=50))
    betas = np.linspace(1e-4, 0.02, 50)
    np.testing.assert_allclose(found["beta"], betas, atol=1e-12)
    np.testing.assert_allclose(found["alpha_bar"], np.cumprod(1 - betas), atol=1e-12)
    bar = found["alpha_bar"]
    np.testing.assert_allclose(found["log_snr"], np.log(bar / (1 - bar)), atol=1e-9)
    levels = [FlowMatching().level(t) for t in (100.0, 101.0)]
    assert beta_of(*levels) > 0 and len(schedule_curves(FlowMatching())["t"]) == 200


def test_pure_noise_follows_the_normal_curve():
    centres, density, normal = histogram(gaussian(3, 0, (100_000,)))
    width = centres[1] - centres[0]
    assert density.sum() * width == pytest.approx(1) and normal.sum() * width == pytest.approx(1, abs=1e-3)
    inner = slice(1, -1)
    error = np.sqrt(normal / width / 100_000)
    assert (np.abs(density - normal)[inner] < 5 * error[inner] + 2e-3).all()


def test_up_to_three_schedules_by_name_and_a_model_s_own():
    found = schedules_named(["linear", {"name": "linear", "beta_end": 0.03}, "heroes"], lambda name: Cosine())
    assert list(found) == ["linear", "linear 2", "heroes"]
    with pytest.raises(OptionError, match="1 to 3 schedules, got 4"):
        schedules_named(["linear"] * 4)
    with pytest.raises(OptionError, match="There is no schedule 'liner'"):
        schedules_named(["liner"])
    with pytest.raises(OptionError, match="more memory"):
        process(np.zeros((3, 512, 512)), Linear(), 1000)


def test_it_is_written_as_an_animation_and_as_a_strip(tmp_path):
    rows = [process(Picture(np.zeros((8, 8, 3), np.uint8)), one, 4) for one in (Linear(), Cosine())]
    with Image.open(save_forward(rows, tmp_path / "a.gif", every=2)) as made:
        assert made.n_frames == 3
    save_forward(rows, tmp_path / "a.mp4", every=2)
    page = save_forward(rows, tmp_path / "a.html", every=2).read_text("utf-8")
    assert "<h1>The forward process</h1>" in page and '"figure":true' in page  # no sentences about a run
    with Image.open(save_forward(rows, tmp_path / "a.png", strip=3)) as made:
        assert made.size == strip_of(rows, 3).shape[1::-1]


def test_the_command_line_writes_it(tmp_path, write_checkpoint, capsys):
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(tmp_path / "in.png")
    folder = str(write_checkpoint().parents[1])
    out = tmp_path / "out.gif"
    words = ["forward", str(tmp_path / "in.png"), "--schedules", "cosine,tiny", "--steps", "3", "--size", "8"]
    assert main([*words, "--out", str(out), "--checkpoints", folder]) in (0, None)
    assert "transparent" not in capsys.readouterr().err
    with Image.open(out) as made:
        assert made.n_frames == 4
    Image.new("RGBA", (8, 8)).save(tmp_path / "in.png")
    assert main([*words, "--out", str(out), "--checkpoints", folder]) in (0, None)
    assert "in.png: its transparent parts are laid on black." in capsys.readouterr().err


def test_a_file_holds_all_that_makes_it_again(tmp_path, capsys):
    """The picture, steps and seed too, not the schedules alone; the flags change what the file holds."""
    picture = Picture(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
    rows = [process(picture, one, 4, 7, name) for name, one in (("a", Linear()), ("b", Cosine()))]
    for name in ("a.gif", "a.png", "a.html"):
        found = from_json(read_recipe(save_forward(rows, tmp_path / name)))
        assert [(one.name, one.schedule, one.steps, one.seed) for one in found] == [
            ("a", Linear(), 4, 7),
            ("b", Cosine(), 4, 7),
        ]
        for one, other in zip(rows, found):
            np.testing.assert_array_equal(one.iterated, other.iterated)
    out = tmp_path / "changed.png"
    assert main(["forward", str(tmp_path / "a.gif"), "--steps", "3", "--out", str(out)]) in (0, None)
    again = from_json(read_recipe(out))
    assert [(one.name, one.steps, one.seed) for one in again] == [("a", 3, 7), ("b", 3, 7)]
    assert again[0].picture == picture


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"diffusion-studio": None}, "only the schedules"),
        ({"steps": 0}, "1 to 10,000 steps"),
        ({"seed": -1}, "a seed"),
        ({"names": ["a", "b"]}, "a name for each"),
        ({"picture": "no"}, "PNG file in base64"),
        ({"forward": ["liner"]}, "no schedule 'liner'"),
    ],
)
def test_what_is_no_forward_process_says_why(change, said):
    text = to_json([process(Picture(np.zeros((8, 8, 3), np.uint8)), Linear(), 4)])
    with pytest.raises(OptionError, match=said):
        from_json(json.dumps(json.loads(text) | change))
    with pytest.raises(OptionError, match="Not a forward process"):
        from_json("[]")
    with pytest.raises(OptionError, match="the forward process of a picture"):
        Recipe.from_json(text)
