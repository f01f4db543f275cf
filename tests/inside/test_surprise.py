"""Bits per pixel: the map sums to what the evaluation measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion_studio.diffusion.noise import Noise
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.diffusion.spacing import path
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.surprise_view import at_state, look, of_picture
from diffusion_studio.metrics.bound import bound_terms
from diffusion_studio.runs.recipe import Recipe


def test_the_map_s_mean_is_the_bound(tiny_model):
    model = tiny_model()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), np.uint8)
    seen = of_picture(model, Picture(pixels[0]), label="Dog", terms=20)
    levels = path(model.schedule, 20, "trailing")
    noise = Noise((0,), (1, 8, 8), dtype=torch.float64)
    terms = [
        term for _, term in bound_terms(model.denoiser("Dog"), from_uint8(pixels).double(), levels, noise)
    ]
    assert seen["bits"].mean() == pytest.approx(float(sum(terms)))
    np.testing.assert_allclose(seen["terms"], torch.cat(terms).numpy())
    assert seen["bits"].shape == (8, 8) and seen.image().ndim == 3


def test_the_bound_has_at_most_a_step_for_each_timestep_and_says_so(tiny_model):
    model = tiny_model(schedule=Linear(timesteps=10))
    seen = look(Run(model, Recipe("tiny", "Dog", (1,), 4)).state(2), Settings(terms=50))
    assert seen.numbers["steps"] == len(seen["terms"]) - 1 == 10
    assert "bound in 10 steps" in " ".join(seen.lines)


def test_a_run_s_picture_by_both_measures(tiny_model):
    run = Run(tiny_model(), Recipe("tiny", "Dog", (1,), 4))
    for by in ("bound", "flow"):
        seen = look(run.state(2), Settings(by=by, terms=8))
        assert seen["bits"].mean() == pytest.approx(seen.numbers["bits_per_pixel"])
        assert np.isfinite(seen["bits"]).all()


def test_what_was_measured_once_is_drawn_at_any_state(tiny_model):
    """The page moves the map and the marker without the server, and saved those of the last state."""
    run = Run(tiny_model(), Recipe("tiny", "Dog", (1,), 4))
    last = replace(look(run.state(3), Settings(terms=12)), arrays={})  # as the page keeps it
    for k in (0, 2, 4):
        looked, moved = look(run.state(k), Settings(terms=12)), at_state(last, k)
        assert moved.step == k and moved.numbers["bits_so_far"] == looked.numbers["bits_so_far"]
        assert [tile.title for tile in moved.tiles] == [tile.title for tile in looked.tiles]
        assert np.array_equal(moved.image(), looked.image())
    assert not np.array_equal(at_state(last, 0).image(), last.image())
    flow = look(run.state(3), Settings(by="flow", terms=3))
    assert at_state(flow, 1).step == 1 and np.array_equal(at_state(flow, 1).image(), flow.image())


def test_the_map_of_every_state_can_be_read_and_says_its_scale(tiny_model):
    """Those of the first states were nearly black, on the scale of the finished picture."""
    run = Run(tiny_model(), Recipe("tiny", "Dog", (1,), 8))
    seen = look(run.state(2), Settings(terms=50))
    film = seen.tiles[2].plays
    assert 10 * seen["so_far"][0].mean() < seen["so_far"][-1].mean()  # of which little was seen
    for k in range(9):
        brightest = float(np.quantile(seen["so_far"][k], 0.99))
        assert film.pictures[k].max() > 200
        assert film.captions[k].endswith(f"(colours 0 to {brightest:.3g})")
