"""Grids: the cells are the single runs, and those that share network and level are one call."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.compare import settings
from diffusion_studio.compare.grid import grid, sweeping
from diffusion_studio.compare.lockstep import in_lockstep
from diffusion_studio.compare.race import run_to_end
from diffusion_studio.compare.recipes import Axis, GridRecipe
from diffusion_studio.diffusion.denoiser import RunEnded
from diffusion_studio.errors import OptionError
from diffusion_studio.runs.setting_labels import ALONE, setting_label


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    write_checkpoint("twin")
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


@pytest.fixture
def recipe(studio):
    return studio.recipe("tiny", label="Dog", seeds=(3,), steps=6)


def assert_as_single_runs(studio, made):
    """Within one shade of 255: a larger batch adds numbers up in another order."""
    for cell in made.cells:
        alone = studio.run(cell.recipe)
        assert [frame.calls for frame in cell.frames] == [frame.calls for frame in alone.frames]
        for mine, other in zip(cell.frames, alone.frames):
            assert np.abs(mine.x.astype(int) - other.x).max() <= 1
            assert np.abs(mine.x0.astype(int) - other.x0).max() <= 1


def test_guidance_and_seed_are_one_call_a_step(studio, recipe):
    made = grid(recipe, ("guidance", [0, 1, 2, 4]), ("seed", [3, 11]), studio=studio)
    assert [(cell.recipe.guidance, cell.recipe.seeds) for cell in made.cells] == [
        (value, (seed,)) for seed in (3, 11) for value in (0, 1, 2, 4)
    ]
    assert made.network_calls == 6
    assert_as_single_runs(studio, made)


def test_samplers_and_steps_share_the_levels_that_they_share(studio, recipe):
    made = grid(recipe, ("steps", [2, 4, 8]), ("sampler", ["ddim", "heun"]), studio=studio)
    # DDIM in 8 steps visits all levels of 4 and 2; Heun asks at each arrival too, where DDIM stands already
    assert 8 <= made.network_calls < sum(cell.calls for cell in made.cells) / 2
    assert_as_single_runs(studio, made)


@pytest.mark.parametrize(
    "x, y",
    [
        (("model", ["tiny", "twin"]), None),
        (("label", ["Dog", "Cat", None]), ("eta", [0.0, 1.0])),
        (("spacing", ["trailing", "karras"]), ("sampler", ["ddpm", {"name": "dpmpp_2m"}])),
        (("weaker", [None, "twin"]), ("guidance", [1.0, 3.0])),
        (("change-guidance", [1, 5]), None),
    ],
)
def test_any_setting_is_an_axis(studio, recipe, x, y):
    base = (
        recipe
        if x[0] != "change-guidance"
        else ds.Recipe.from_settings(
            {"change": {"step": 2, "guidance": 2.0}},
            {n: getattr(recipe, n) for n in recipe.__dataclass_fields__},
        )
    )
    assert_as_single_runs(studio, grid(base, x, y, studio=studio))


def test_several_pictures_and_points(studio, tmp_path, write_checkpoint):
    from diffusion_studio.compare.lockstep import MOST_PICTURES

    made = grid(
        studio.recipe("tiny", seeds=tuple(range(40)), steps=2), ("label", ["Dog", "Cat"]), studio=studio
    )
    assert made.network_calls == 4 and MOST_PICTURES < 80  # two calls a step, as both do not fit one
    assert_as_single_runs(studio, made)


def test_json_both_ways(studio, recipe, tmp_path):
    asked = GridRecipe(recipe, Axis("interval.low", [0.5, 1.0]), Axis("sampler", ["ddim", "ddpm"]), "steps")
    assert asked.x.setting == "interval_low" and asked.x.name == "guidance from noise"
    assert GridRecipe.from_json(asked.to_json()) == asked
    assert GridRecipe.from_json(GridRecipe(recipe, Axis("seed", [1])).to_json()).y is None
    path = tmp_path / "grid.json"
    path.write_text(asked.to_json())
    assert ds.read_grid(path) == asked
    with pytest.raises(OptionError, match="This is a grid of several runs"):
        ds.Recipe.from_file(path)


@pytest.mark.parametrize(
    "x, y, clock, message",
    [
        (("guidance", range(65)), None, None, "at most 64 cells; 65 x 1 are 65"),
        (("guidance", [1, 2, 1]), None, None, "a value twice: 1, 2, 1"),
        (("guidance", []), None, None, "at least one value"),
        (("guidance", "12"), None, None, "are a list"),
        (("gidance", [1]), None, None, "Did you mean guidance or self_guidance"),
        (("guidance", [1]), ("guidance", [2]), None, "Both axes are guidance"),
        (("guidance", [1, 99]), None, None, "from -20 to 50, got 99"),
        (("strength", [0.5]), None, None, "strength has no effect on this run: it is an option of the edit"),
        (("label", ["Dog", "Cow"]), None, None, "no label of tiny 'Cow'"),
        (("guidance", [1, 2]), None, "seconds", "share network calls"),
        (None, None, None, "A grid has an axis x"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(studio, recipe, x, y, clock, message):
    seen = []
    with pytest.raises(OptionError, match=message):
        grid(recipe, x, y, clock, studio=studio, on_state=lambda *given: seen.append(given))
    assert not seen


def test_a_grid_that_is_ended_leaves_no_thread(studio, recipe):
    before, calls = threading.active_count(), []

    def ask(call):
        calls.append(1)
        if len(calls) == 3:
            raise RunEnded("enough")
        return call()

    with pytest.raises(RunEnded, match="enough"):
        grid(recipe, ("seed", [1, 2, 3]), studio=studio, ask=ask)
    assert len(calls) == 3 and threading.active_count() == before


def test_a_run_that_fails_ends_the_others():
    before, ended, found = threading.active_count(), [], []

    def waiting(wait):
        try:
            yield 1
            yield wait(None)
        finally:
            ended.append(1)

    def broken(wait):
        yield 2
        raise OptionError("steps", "no")

    with pytest.raises(OptionError, match="no"):
        for item in in_lockstep([waiting, broken, waiting]):
            found.append(item)
    assert found == [(0, 1)] and ended == [1]  # the third had not begun
    assert threading.active_count() == before


def test_a_grid_that_is_ended_keeps_what_there_is(studio, recipe, tmp_path):
    """Cells of two networks: after the first states of one network the other has none."""
    calls = []

    def ask(call):
        calls.append(call)
        if len(calls) > 3:
            raise RunEnded
        return call()

    asked = GridRecipe(recipe, Axis("model", ("tiny", "twin")), Axis("guidance", (1.0, 2.0)))
    made = run_to_end(sweeping(asked, studio, ask), None)
    assert isinstance(made.ended, RunEnded) and made.network_calls == 4
    assert not any(cell.is_finished for cell in made.cells) and len(made.cells) == 4
    assert made.ended_text.startswith("Ended early: 0 of 4 runs are finished")
    for name in ("grid.gif", "grid.png"):
        assert ds.read_grid(made.save(tmp_path / name)) == asked
    calls[:] = [None] * 2
    made = run_to_end(sweeping(asked, studio, ask), None)  # one call alone was made
    begun = [cell for cell in made.cells if cell.calls]
    assert 0 < len(begun) < 4
    assert all(not cell.finished.any() for cell in made.cells if not cell.calls)
    made.save(tmp_path / "grid.png")


def test_a_cell_of_another_model_has_its_own_settings(studio, recipe, write_checkpoint):
    """As a lane of a race: what it cannot use of the recipe is its model's own, and the grid says so."""
    write_checkpoint("letters", labels=("A", "B", "C"), defaults={"label": "B"})
    made = grid(recipe, ("model", ["tiny", "letters", "twin"]), ("eta", [0.0, 1.0]), studio=studio)
    assert [cell.recipe.label for cell in made.cells] == ["Dog", "B", "Dog"] * 2
    assert [cell.recipe.sampler.eta for cell in made.cells] == [0.0] * 3 + [1.0] * 3
    assert made.said == (
        "Cells of letters: There is no label of letters 'Dog', so the label is the default of letters, 'B'.",
    )
    assert "Dog" not in made.common  # on a sheet: it is not what all cells were asked for
    assert_as_single_runs(studio, made)
    # a value of an axis is not replaced, not even the one that the recipe has too
    for labels in (["Dog"], ["Dog", "Cat"]):
        with pytest.raises(OptionError, match="no label of letters 'Dog'"):
            grid(recipe, ("model", ["letters"]), ("label", labels), studio=studio)


def test_every_setting_of_the_menus_has_a_label_of_its_own():
    """They were field names, such as "Snr" and "Lambda min"."""
    plain = {"model", "label", "steps", "guidance", "prompt", "negative_label", "seed", "sampler", "spacing"}
    assert {name for name in settings.names() if name not in ALONE} == plain
    labels = [setting_label(name) for name in settings.names()]
    assert len(set(labels)) == len(labels)  # so that each can be chosen
    assert setting_label("snr") == "signal-to-noise ratio of the corrector (snr)"
    # as `flat_settings` names them
    assert setting_label("sampler snr") == setting_label("snr")
    assert setting_label("interval low") == setting_label("interval_low") == "guidance from noise"
