"""The price of a run before it starts, and the limit of a server."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.studio import Studio
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.hosting import LIMIT_HOSTED, hosting
from diffusion_studio.ui.price import Prices, kind_of

RECIPE = Recipe(model="tiny", label="Cat", steps=20, seeds=(0, 1), sampler="heun")


@pytest.fixture
def studio(tiny_checkpoint):
    return Studio(tiny_checkpoint.parent.parent)


def test_a_price_is_calls_times_pictures_times_seconds(studio):
    prices = Prices(studio, Compute(), limit=1000.0)
    prices._seconds[kind_of(RECIPE)] = 0.5
    assert prices.turn(RECIPE).price == 39 * 2 * 0.5  # Heun: two calls a step, but one for the last


def test_what_is_too_long_is_refused_with_what_to_change(studio):
    prices = Prices(studio, Compute(), limit=10.0)
    long = replace(RECIPE, steps=1000 // 10, seeds=tuple(range(8)), sampler="ddim")
    prices._seconds[kind_of(long)] = 0.1
    with pytest.raises(
        OptionError, match=r"about 80 s of computing \(100 network calls for 8 pictures\)"
    ) as error:
        prices.turn(long)
    assert "here a run may take 10 s. Ask for at most 1 picture or 12 steps, or run the app" in str(
        error.value
    )
    assert prices.turn(replace(long, steps=12)).price <= 10


def test_a_server_without_a_limit_refuses_nothing_and_tells_the_time_once_it_knows(studio):
    compute = Compute()
    prices = Prices(studio, compute)
    turn = prices.turn(RECIPE)
    assert turn.price is None
    *_, last = compute.watched(studio.stream(RECIPE, turn.ask), 0, turn)
    assert last.index == 20 and turn.calls == 39
    again = prices.turn(RECIPE)
    assert again.price == pytest.approx(turn.spent, rel=2)  # of the calls up to the 20th


def test_an_unknown_model_is_measured_where_there_is_a_limit(studio):
    prices = Prices(studio, Compute(), limit=100.0)
    assert 0 < prices.turn(RECIPE, threading.Event()).price < 100


def test_a_run_whose_calls_nobody_could_know_is_ended_at_the_limit(studio):
    compute = Compute()
    prices = Prices(studio, compute, limit=1e9)
    prices._seconds[kind_of(RECIPE)] = 1e-9
    turn = prices.turn(RECIPE)
    prices.limit = 1e-6
    with pytest.raises(OptionError, match="ended after 1 network calls: .* What it has made is kept"):
        list(compute.watched(studio.stream(RECIPE, turn.ask), 0, turn))


@pytest.mark.parametrize(
    "given, environment, limit",
    [
        (None, {}, None),
        (None, {"SPACE_ID": "a/b"}, LIMIT_HOSTED),
        (40.0, {"SPACE_ID": "a/b"}, 40.0),
        (40.0, {}, 40.0),
    ],
)
def test_the_limit_of_a_server(given, environment, limit):
    assert hosting(limit=given, environment=environment).limit == limit
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(OptionError, match="limit must be a number of seconds above 0"):
            hosting(limit=wrong)


@pytest.mark.parametrize("timesteps", ["99,50,0", "70"])
def test_a_spacing_with_steps_of_its_own_is_measured_too(studio, timesteps):
    recipe = replace(
        RECIPE, spacing={"name": "timesteps", "timesteps": timesteps}, steps=len(timesteps.split(","))
    )
    assert 0 < Prices(studio, Compute(), limit=100.0).turn(recipe).price < 100
