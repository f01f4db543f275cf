"""The time budget: which sampler and steps a measured table gives for so many seconds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.runs import budget
from diffusion_studio.runs.budget import (
    Measured,
    check_seconds,
    expected,
    fitting_steps,
    plan,
    step_seconds,
    table_for,
    table_of,
)

CHECKPOINTS = Path(ds.__file__).parents[1] / "checkpoints"
# a table by hand: b is better with few steps, a with many
TABLE = [
    Measured("ddim", 4, 80.0, "2", "500"),
    Measured("ddim", 16, 40.0, "2", "500"),
    Measured("ddim", 64, 30.0, "2", "500"),
    Measured("dpmpp_2m", 4, 60.0, "2", "500"),
    Measured("dpmpp_2m", 16, 50.0, "2", "500"),
]


def test_between_measured_steps_the_distance_is_a_line_over_their_logarithm():
    assert expected(TABLE, "ddim", 4) == 80 and expected(TABLE, "ddim", 16) == 40
    assert expected(TABLE, "ddim", 8) == pytest.approx(60)  # halfway from 4 to 16
    assert expected(TABLE, "dpmpp_2m", 500) == 50  # beyond the last
    assert expected(TABLE, "ddim", 3) == math.inf and expected(TABLE, "heun", 8) == math.inf


@pytest.mark.parametrize(
    ("seconds", "sampler", "steps"),
    [(0.8, "dpmpp_2m", 8), (1.6, "ddim", 16), (6.4, "ddim", 64), (10.0, "ddim", 100)],
)
def test_the_best_that_fits_is_chosen_and_fills_the_budget(seconds, sampler, steps):
    """A step takes 0.1 s. At 8 steps ddim has 60 and dpmpp_2m 55; at 16 they have 40 and 50."""
    found = plan(TABLE, seconds + 1e-9, 0.1, 1000, "by hand")
    assert (found.sampler, found.steps) == (sampler, steps)
    assert 0.8 * seconds <= found.seconds <= 1.2 * seconds
    label = {"ddim": "DDIM", "dpmpp_2m": "DPM-Solver++ (2M)"}[sampler]
    assert f"{steps} steps with {label}, the best choice for that time" in found.reason
    assert "One step takes 0.1 s here" in found.details and "Measured: by hand." in found.details


@pytest.mark.parametrize(
    ("exact", "steps"), [(0.7, 0), (0.9, 1), (1.6, 1), (2.5, 2), (2.6, 3), (3.9, 4), (4.9, 4), (12.9, 12)]
)
def test_a_budget_is_kept_within_a_fifth_where_that_can_be(exact, steps):
    """One step more than fits, where those that fit leave more than a fifth and it goes over by less."""
    found = fitting_steps(exact, 1.0)
    assert found == steps
    if exact not in (0.7, 1.6):  # no number of steps is within a fifth of these
        assert 0.8 <= found / exact <= 1.2


def test_what_a_budget_cannot_have_is_said():
    few = plan(TABLE, 0.25, 0.1, 1000, "by hand")
    assert (few.sampler, few.steps) == ("dpmpp_2m", 2)
    assert few.reason == (
        "About 0.2 s: 2 steps with DPM-Solver++ (2M). The pictures will be poor: 0.4 s give 4 steps, the "
        "fewest that were measured."
    )
    given = plan(TABLE, 14, 3.4, 1000, "by hand")  # 4 steps of 3.4 s, rounded up
    assert given.steps == 4 and "poor" not in given.reason
    assert "14 s give 4 steps" in plan(TABLE, 5, 3.4, 1000, "by hand").reason
    slow = plan(TABLE, 0.05, 0.1, 1000, "by hand")
    assert slow.steps == 1 and "more than the 0.05 s" in slow.reason
    many = plan(TABLE, 100, 0.1, 50, "by hand")
    assert many.steps == 50 and "no more than 50 steps" in many.reason
    enough = plan(TABLE, 20, 0.1, 1000, "by hand")
    assert enough.steps == 200 and "64 steps with DDIM are as good, in 6.4 s" in enough.reason


def test_the_table_of_a_model_is_its_own_or_the_nearest_that_is_said(studio):
    recipe = studio.recipe("tiny", guidance=2.0)
    free = [Measured("ddpm", 10, 50.0, "1", "1000")]
    others = {"free": free, "guided": TABLE}
    assert table_for(recipe, {"tiny": TABLE}, others, {})[1] == "table of tiny, 500 pictures at guidance 2"
    table, said, assumed = table_for(recipe, {"tiny": []}, others, {})
    assert table == TABLE and said == "table of guided, 500 pictures at guidance 2"
    assert assumed == "Assumed: samplers rank as with guided, because tiny has no table of its own."
    assert plan(table, 1, 0.1, 1000, said, assumed).reason.endswith(assumed)  # where it is seen
    assert table_for(studio.recipe("tiny", guidance=1.0), {}, others, {})[0] == free
    left = table_for(recipe, {"tiny": TABLE}, {}, {"sampler=ddim": "because"})[0]
    assert {one.sampler for one in left} == {"dpmpp_2m"}
    with pytest.raises(OptionError, match="No table says"):
        table_for(recipe, {"tiny": []}, {}, {})


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


@pytest.mark.parametrize("model", ["cifar10", "fashion-mnist"])
def test_the_bundled_tables_are_read(model):
    """Multistep solvers of second order are ahead of DDIM with few steps: Lu et al. 2022, table 1."""
    table = table_of(CHECKPOINTS / model / "model.safetensors")
    assert {"ddim", "dpmpp_2m", "ddpm"} <= {one.sampler for one in table}
    assert all(one.steps >= 1 and one.distance > 0 for one in table)
    assert expected(table, "dpmpp_2m", 10) < expected(table, "ddim", 10)


def test_samplers_of_a_table_take_a_network_call_a_step(studio):
    """But for a start, where a multistep method has none before."""
    for name in budget.ONE_CALL:
        recipe = studio.recipe("tiny", steps=20, sampler=name)
        assert studio.network_calls(recipe) in (20, 21), name


def test_a_damaged_table_is_none(tmp_path):
    for text in ("", "sampler,steps\nddim,5\n", "sampler,steps,frechet\nddim,many,3\n", "\0"):
        (tmp_path / budget.TABLE).write_text(text)
        assert table_of(tmp_path / "model.safetensors") == []
    assert table_of(tmp_path / "nowhere" / "model.safetensors") == []


def test_a_recipe_gets_sampler_and_steps(studio):
    """By the bundled tables, as this model has none; all else stays."""
    recipe = studio.recipe("tiny", label="Dog", seeds=(3, 4))
    found, said = studio.within(recipe, 0.5)
    assert (found.label, found.seeds, found.guidance) == (recipe.label, recipe.seeds, recipe.guidance)
    assert 1 <= found.steps <= 1000 and "because tiny has no table of its own" in said


def test_what_has_no_budget_is_refused(studio):
    recipe = studio.recipe("tiny", steps=4)
    for wrong, what in ((recipe.continued(2), "goes on from another"),):
        with pytest.raises(OptionError, match=what) as error:
            studio.within(wrong, 5)
        assert error.value.field == "seconds"
    for wrong in (0, -1, True, "10", math.inf, math.nan, 1e9):
        with pytest.raises(OptionError, match="must be a number of seconds"):
            check_seconds(wrong)


def test_points_have_no_time_budget():
    """The tables are of pictures, whose steps say nothing of points."""
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    with pytest.raises(OptionError, match="swiss-roll makes points. Give steps") as error:
        studio.within(studio.recipe("swiss-roll"), 5)
    assert error.value.field == "seconds"


def test_a_step_is_timed_after_the_first(monkeypatch):
    """At least `FEWEST` are timed, and no more than `MEASURED`."""
    seen = []

    def frames():
        for k in range(100):
            seen.append(k)
            yield k

    assert step_seconds(frames(), 1000.0) > 0 and len(seen) == 1 + budget.MEASURED
    seen.clear()
    now = [0.0]  # a clock by hand: the first call prepares the network and takes 16 s, the others 1.5 s

    def cold():
        for k in range(100):
            now[0] += 1.5 if k else 16
            yield k

    with monkeypatch.context() as patch:
        patch.setattr(budget.time, "perf_counter", lambda: now[0])
        assert step_seconds(cold(), 1.0) == 1.5
    assert step_seconds(frames(), 1e-9) > 0 and len(seen) == 1 + budget.FEWEST
