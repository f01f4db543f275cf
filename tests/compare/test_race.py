"""Races: lanes from one noise, their curve, what does not fit, and JSON both ways."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio.compare import lanes
from diffusion_studio.compare.divergence import Base, rising_only, rms
from diffusion_studio.compare.lanes import Stopwatch
from diffusion_studio.compare.player_data import INHERITED, MEASURED, shown_value
from diffusion_studio.compare.race import race, racing, reference_recipe, run_to_end
from diffusion_studio.compare.recipes import Axis, RaceRecipe, fingerprint, read
from diffusion_studio.compare.results import titles
from diffusion_studio.diffusion.denoiser import RunEnded
from diffusion_studio.diffusion.samplers import DDIM, Euler
from diffusion_studio.diffusion.spacing import Leading
from diffusion_studio.errors import OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.options import fields_of
from diffusion_studio.runs.branch import Branch
from diffusion_studio.runs.edits import Interpolate
from diffusion_studio.runs.guidance_options import GROUPS
from diffusion_studio.runs.recipe import Recipe


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint("tiny", network={"in_channels": 3, "out_channels": 3}, channels=3)
    write_checkpoint("twin", network={"in_channels": 3, "out_channels": 3}, channels=3)
    write_checkpoint("large", image_size=16)
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


@pytest.fixture
def recipe(studio):
    return studio.recipe("tiny", label="Dog", seeds=(3, 4), steps=6)


def test_each_lane_is_the_run_of_its_recipe(studio, recipe):
    seen = []
    made = race(
        [recipe, {"sampler": "dpmpp_2m", "steps": 3}, {"model": "twin", "eta": 0.5}],
        studio=studio,
        on_state=lambda number, frame: seen.append((number, frame.index)),
    )
    assert seen == [(0, k) for k in range(7)] + [(1, k) for k in range(4)] + [(2, k) for k in range(7)]
    for lane in made.lanes:
        alone = studio.run(lane.recipe)
        assert len(lane.frames) == len(alone.frames) and lane.calls == alone.frames[-1].calls
        for mine, other in zip(lane.frames, alone.frames):
            np.testing.assert_array_equal(mine.x, other.x)
            np.testing.assert_array_equal(mine.x0, other.x0)
        assert all(a <= b for a, b in zip(lane.seconds, lane.seconds[1:])) and lane.took > 0
    assert made.titles == (
        ("model tiny", "steps 6", "sampler DDIM", "fresh noise (eta) 0"),
        ("model tiny", "steps 3", "sampler DPM-Solver++ (2M)"),
        ("model twin", "steps 6", "sampler DDIM", "fresh noise (eta) 0.5"),
    )
    starts = [lane.frames[0].x for lane in made.lanes]
    np.testing.assert_array_equal(starts[0], starts[1])
    np.testing.assert_array_equal(starts[0], starts[2])


def test_a_branch_says_which_steps_it_inherits(studio, recipe):
    branch = recipe.continued(2, label="Cat")
    made = race([branch, recipe, {"steps": 3}], studio=studio)
    own = [lane.frames[-1].total - 2 for lane in made.lanes]
    assert own[0] == 4 and own[2] < 3  # of the 3 levels of the short path
    last = [lane.step_text(len(lane.frames) - 1) for lane in made.lanes]
    assert last == [
        "step 6 of 6 (2 inherited, 4 of its 6)",
        "step 6 of 6",
        f"step {2 + own[2]} of {2 + own[2]} (2 inherited, {own[2]} of its 3)",
    ]
    assert made.lanes[0].step_text(1, own=False) == "step 1 of 6 (2 inherited)"
    assert made.titles[:2] == (
        ("steps 6",),
        ("the run that it branched from",),  # as the lanes' menu has it
    )
    np.testing.assert_array_equal(made.lanes[0].frames[2].x, made.lanes[1].frames[2].x)
    value = shown_value(made)
    assert value["runs"][0]["said"][-1].startswith("step 6 of 6 (2 inherited, 4 of its 6), 6 of 6 calls")
    assert value["note"] == f"{INHERITED} {MEASURED}"
    assert shown_value(race([recipe, {"steps": 3}], studio=studio))["note"] == MEASURED


def test_lanes_finish_where_they_finish(studio, recipe):
    made = race([recipe, {"steps": 3}], "steps", studio=studio)
    assert [made.numbers(k) for k in range(len(made.ticks))] == [
        (0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3)
    ]  # fmt: skip
    assert made.shown(4)[1].index == made.shown(4)[1].total == 3
    noise = made.on("log-snr")
    assert noise.ticks[-1] == math.inf and noise.numbers(-1) == (6, 3)
    for tick in range(len(noise.ticks)):
        for lane, number in zip(noise.lanes, noise.numbers(tick)):
            after = lane.frames[number + 1 :]
            assert all(one.level.log_snr > noise.ticks[tick] for one in after)


def test_the_curve_is_the_distance_of_x0_at_equal_noise(studio, recipe):
    made = race([recipe, {}, {"guidance": 3.0}], studio=studio)
    first, same, other = made.lanes
    assert first.curve is None and same.curve.rms == (0.0,) * 7
    assert other.curve.log_snr == tuple(frame.level.log_snr for frame in other.frames)
    for k in (0, 3, 6):  # of equal levels the uint8 frames say it too, within their rounding
        by_eye = np.sqrt(np.square((first.frames[k].x0.astype(float) - other.frames[k].x0) / 127.5).mean())
        assert other.curve.rms[k] == pytest.approx(by_eye, abs=0.01) and by_eye > 0.02


def test_between_two_states_the_first_lane_is_taken_on_the_line():
    base = Base(1 << 20)
    for place, value in ((-4.0, 0.0), (0.0, 0.5), (math.inf, 1.0)):
        base.add(place, torch.full((1, 1, 2, 2), value), 0, 2)
    found = [float(base.at(place).mean()) for place in (-9, -4, -3, -1, 0, 7, math.inf)]
    assert found == [0, 0, 0.125, 0.375, 0.5, 0.5, 1]  # -3 is a quarter of the way, 7 is held
    assert rms(base.at(-3), torch.full((1, 1, 2, 2), 0.625)) == pytest.approx(0.5)
    assert rising_only([(-1, 0.1), (2, 0.2), (0, 0.9), (2, 0.8), (3, 0.3)]) == [(-1, 0.1), (2, 0.2), (3, 0.3)]


def test_the_distance_to_the_reference(studio, recipe):
    exact = reference_recipe(studio, recipe)
    assert (exact.steps, exact.sampler) == (100, ds.DDIM())  # all timesteps that tiny has
    made = race([exact, {"steps": 10}, {"steps": 50}], studio=studio, reference=True)
    assert made.lanes[0].distance == 0  # it is the reference itself
    assert made.lanes[1].distance > made.lanes[2].distance > 0
    assert race([recipe, {"steps": 3}], studio=studio).lanes[0].distance is None


def test_the_reference_runs_last_and_is_not_run_again(studio, recipe, tmp_path):
    """Its distances are in the file, so that a race that is opened again needs no reference run."""
    asked = RaceRecipe.of([recipe, {"steps": 3}], reference=50)
    order = []
    made = race(asked, studio=studio, on_state=lambda number, frame: order.append(number))
    assert order == [0] * 7 + [1] * 4 + [-1] * 51
    found = ds.read_race(made.save(tmp_path / "race.png"))
    assert found.distances == tuple(lane.distance for lane in made.lanes) != ()
    order.clear()
    again = race(found, studio=studio, on_state=lambda number, frame: order.append(number))
    assert -1 not in order and again.recipe.distances == made.recipe.distances
    assert [lane.distance for lane in again.lanes] == [lane.distance for lane in made.lanes]
    race(found, studio=studio, reference=20, on_state=lambda number, frame: order.append(number))
    assert order.count(-1) == 21  # distances to another reference run are measured
    for wrong in ([0.1], ["a", 0.1], [-1.0, 0.1], "ab"):
        with pytest.raises(OptionError, match="[Dd]istances") as error:
            RaceRecipe(found.lanes, reference=50, distances=wrong)
        assert error.value.field == "reference"


@pytest.mark.parametrize(
    "exchange",
    [
        lambda first, second: (first, replace(second, model="twin")),  # of the same weights: equal pictures
        lambda first, second: (second, first),
        lambda first, second: (replace(first, steps=2), second),
    ],
)
def test_an_exchanged_lane_is_measured_again(studio, recipe, exchange):
    """Distances belong to the lanes that were measured, also where another lane ends in equal pictures."""
    made = race(RaceRecipe.of([recipe, {"steps": 3}], reference=20), studio=studio)
    again = replace(made.recipe, lanes=exchange(*made.recipe.lanes))
    assert made.recipe.distances and again.distances == again.fingerprints == ()
    assert made.recipe.reference_to_run == 0 and again.reference_to_run == 20
    assert replace(made.recipe, clock="steps").distances == made.recipe.distances
    assert replace(made.recipe, reference=10).distances == ()
    order = []
    found = race(again, studio=studio, on_state=lambda number, frame: order.append(number))
    assert order.count(-1) == 21
    fresh = race(RaceRecipe(again.lanes, again.clock, 20), studio=studio)
    assert found.recipe.distances == fresh.recipe.distances != ()


def test_fingerprints_differ_with_every_setting(recipe):
    """One value of each option, of the sampler's own and of each group; and equal recipes have equal ones."""
    other = {
        "model": "twin", "label": "Cat", "steps": 5, "guidance": 2.0, "clip": False, "stretch": True,
        "prompt": "a cat", "negative": "a dog", "negative_label": "Cat", "guidance_shape": "linear",
        "guidance_rescale": 0.5, "threshold": 0.9, "threshold_most": 2.0, "clip_range": 2.0,
        "guidance_scales": "1,2", "weaker": "twin", "points": 7, "reuse": 2, "spell": "at",
        "seeds": (3, 5), "spacing": Leading(), "labels": ("Cat", "Dog"), "prompts": ("a cat", None),
        "edit": Interpolate(), "branch": Branch(recipe, 2), "low_res": Picture(np.zeros((8, 8, 1), np.uint8)),
    }  # fmt: skip
    changed = {
        name: replace(recipe, **{name: value}, **({"label": None} if name in ("spell", "labels") else {}))
        for name, value in other.items()
    }
    changed |= {
        f"sampler {k}": replace(recipe, sampler=one) for k, one in enumerate((Euler(), DDIM(eta=0.5)))
    }
    options = {
        "low": 0.5, "high": 2.0, "parallel": 0.5, "radius": 3.0, "scale": 2.0, "form": "mean", "step": 3,
        "label": "Dog", "prompt": "a cat", "guidance": 2.0, "below": 0.5, "star": True, "silent": 0.5,
        "layers": "1", "blur": 2.0, "name": "perturbed_attention",
    }  # fmt: skip
    groups = {
        "classifier": {"name": "judge"},
        "change": {"step": 2, "label": "Cat"},
        "palette": {"name": "game-boy"},
        "self_guidance": {"name": "skipped_layers"},
    }
    for group, cls in GROUPS.items():
        base = groups.get(group, {})
        changed |= {group: replace(recipe, **{group: cls(**base)})} if base else {}
        for one in fields_of(cls):
            value = "pico-8" if (group, one.name) == ("palette", "name") else options[one.name]
            changed[f"{group} {one.name}"] = replace(recipe, **{group: cls(**{**base, one.name: value})})
    assert {one.name for one in fields(Recipe)} <= {*other, *GROUPS, "sampler"}
    found = {name: fingerprint(one, 20, b"pictures") for name, one in {"": recipe, **changed}.items()}
    assert len(set(found.values())) == len(found), found
    assert fingerprint(Recipe.from_json(recipe.to_json()), 20, b"pictures") == found[""]
    assert fingerprint(recipe, 20, b"others") != found[""] != fingerprint(recipe, 21, b"pictures")


def test_lanes_are_kept_where_the_reference_is_ended(studio, recipe):
    asked = RaceRecipe.of([recipe, {"steps": 4}], reference=50)
    made = run_to_end(racing(asked, studio), ends_after(20, KeyboardInterrupt()))
    assert all(lane.is_finished and lane.distance is None for lane in made.lanes)
    assert made.ended_text.startswith("All 2 runs are finished, but the reference run was ended")
    assert made.recipe.distances == ()


def test_a_long_race_keeps_every_kth_state(studio, recipe, monkeypatch):
    one = studio.run(recipe).frames[0].nbytes
    monkeypatch.setattr("diffusion_studio.compare.race.MAX_BYTES", 3 * 4 * one)
    made = race([recipe, {"steps": 3}], studio=studio)
    long, short = made.lanes
    assert (long.every, [frame.index for frame in long.frames]) == (2, [0, 2, 4, 6])
    assert (short.every, len(short.frames), len(short.curve.rms)) == (1, 4, 4)
    assert lanes.MAX_BYTES == 384 << 20


@pytest.mark.parametrize(
    "changes, field, message",
    [
        ({"seed": 9}, "seeds", r"start from the same noise.*lane 1 has 3, 4 and lane 2 9, 10"),
        ({"model": "large", "label": "Dog"}, "model", "tiny makes 8x8 RGB, and large makes 16x16 grey"),
        ({"sampler": "dpm2"}, "sampler", "There is no sampler"),
        ({"churn": 1.0}, "churn", "churn has no effect on this run: it is an option of the sampler"),
        ({"stpes": 3}, "setting", "There is no setting 'stpes'.*Did you mean"),
        ({"steps": 5000}, "steps", "from 1 to 100"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(studio, recipe, changes, field, message):
    seen = []
    with pytest.raises(OptionError, match=message) as wrong:
        race([recipe, changes], studio=studio, on_state=lambda *given: seen.append(given))
    assert wrong.value.field == field and not seen


def test_the_number_of_lanes(recipe):
    for count in (1, 7):
        with pytest.raises(OptionError, match=f"2 to 6 lanes, got {count}"):
            RaceRecipe((recipe,) * count)
    with pytest.raises(OptionError, match="first lane of a race is a whole recipe"):
        RaceRecipe.of([{"steps": 3}, recipe])


def test_an_inversion_takes_another_clock(studio, recipe):
    picture = ds.Picture(np.zeros((8, 8, 3), np.uint8))
    edited = studio.recipe("tiny", seeds=(0,), steps=4, edit=ds.Invert(picture))
    with pytest.raises(OptionError, match="goes into noise first") as wrong:
        race([edited, {"steps": 3}], studio=studio)
    assert wrong.value.field == "clock"
    made = race([edited, {"steps": 3}], "steps", studio=studio)
    assert all(frame.index == frame.total for frame in made.shown(-1))
    assert made.lanes[1].curve.log_snr[-1] == math.inf  # of the way out of noise alone


def test_json_both_ways(recipe, tmp_path):
    asked = RaceRecipe.of([recipe, {"sampler": "unipc"}, {"interval_low": 0.5}], "calls", True)
    assert RaceRecipe.from_json(asked.to_json()) == asked
    path = tmp_path / "race.json"
    path.write_text(asked.to_json())
    assert ds.read_race(path) == read(path) == asked
    with pytest.raises(OptionError, match="This is a race of several runs.*diffusion-studio race FILE"):
        ds.Recipe.from_file(path)
    with pytest.raises(OptionError, match="holds a race, not a grid"):
        ds.read_grid(path)
    for text, message in (
        ("{", "Not a race"),
        (recipe.to_json(), "without the key 'race'"),
        (asked.to_json().replace('"clock"', '"watch"'), "got 'watch'"),
        (asked.to_json().replace('"calls"', '"sundial"'), "There is no clock 'sundial'"),
        ('{"diffusion-studio": 9, "race": {}}', "version 9"),
        ('{"diffusion-studio": 1, "race": {"lanes": 3}}', "a list of lanes"),
    ):
        with pytest.raises(OptionError, match=message):
            RaceRecipe.from_json(text)


def test_titles_name_only_what_differs(recipe):
    changed = ds.RaceRecipe.of([recipe, {"eta": 0.5}, {"sampler": "ddpm"}]).lanes
    assert titles(changed) == (
        ("sampler DDIM", "fresh noise (eta) 0"),
        ("sampler DDIM", "fresh noise (eta) 0.5"),
        ("sampler DDPM",),
    )
    assert titles(changed[:2]) == (("fresh noise (eta) 0",), ("fresh noise (eta) 0.5",))
    assert titles([recipe, recipe]) == ((), ())


def test_titles_have_the_words_of_the_menu(recipe):
    """They were names of fields: "edit inpaint", "edit none"."""
    mask = np.zeros((8, 8, 1), np.uint8)
    mask[2:5, 2:5] = 255
    edited = replace(recipe, edit=ds.Inpaint(Picture(np.zeros((8, 8, 3), np.uint8)), Picture(mask)))
    plain = replace(edited, edit=None)
    assert titles([edited, plain]) == (("as it is",), ("without the edit, from noise",))
    shorter = replace(edited, steps=3)
    assert titles([edited, plain, shorter]) == (
        ("steps 6",),
        ("without the edit, from noise",),
        ("steps 3",),
    )


def test_titles_say_how_edits_differ(recipe):
    """Two kinds by their names, one kind by its pictures and settings: they were the base64 of a PNG."""
    rng = np.random.default_rng(0)
    first, second = (Picture(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(2))
    quarter, half = np.zeros((2, 8, 8, 1), np.uint8)
    quarter[:2], half[:4] = 255, 255
    inpainted = replace(recipe, edit=ds.Inpaint(first, Picture(quarter)))
    started = replace(recipe, edit=ds.FromPicture(first), label="Cat")
    assert titles([inpainted, started]) == (
        (f"label {recipe.label or 'any'}", "edit in-painting"),
        ("label Cat", "edit from a picture"),
    )
    wider = replace(inpainted, edit=ds.Inpaint(first, Picture(half), strength=0.5))
    small, wide = titles([inpainted, wider])
    assert small == (f"part drawn anew 25% ({Picture(quarter).name})", "strength of the edit 1")
    assert wide == (f"part drawn anew 50% ({Picture(half).name})", "strength of the edit 0.5")
    other = replace(inpainted, edit=ds.Inpaint(second, Picture(quarter)))
    assert titles([inpainted, other]) == tuple(
        (f"given picture 8x8 RGB ({one.name})",) for one in (first, second)
    )


def test_titles_have_the_labels_of_the_page(recipe):
    """They were names of fields: "cfg_zero star none", "self_guidance scale 5.0"."""
    attention = {"name": "perturbed_attention"}
    changes = [{}, {"self_guidance": "skipped_layers"}, {"cfg_zero_star": True}, {"clip": False}]
    first, skipping, star, unclipped = titles(ds.RaceRecipe.of([recipe, *changes[1:]]).lanes)
    assert first == ("clipping of x0 on", "self-guidance none", "CFG-Zero* off")
    assert skipping == ("clipping of x0 on", "self-guidance skipped layers", "CFG-Zero* off")
    assert (
        star == ("clipping of x0 on", "self-guidance none", "CFG-Zero* on")
        and unclipped[0] == "clipping of x0 off"
    )
    base = replace(recipe, self_guidance=attention)
    usual, strong = titles(ds.RaceRecipe.of([base, {"self_guidance_scale": 5.0}]).lanes)
    assert (usual, strong) == (("self-guidance strength 3",), ("self-guidance strength 5",))
    axis = Axis("self-guidance", ["smoothed_energy", None])
    assert (axis.name, axis.words()) == ("self-guidance", ["smoothed energy", "none"])


def test_the_reference_has_the_steps_that_are_asked_for(studio, recipe):
    made = race([recipe, {"steps": 10}], studio=studio, reference=50)
    exact = studio.run(reference_recipe(studio, recipe, 50))
    assert len(exact.frames) == 51 and made.recipe.reference == 50
    assert RaceRecipe.from_json(made.recipe.to_json()) == made.recipe
    assert RaceRecipe(made.recipe.lanes, reference=True).reference == 1000
    for wrong in (-1, 20_000, 2.5, "many"):
        with pytest.raises(OptionError, match="whole number of steps from 1 to 10,000") as error:
            RaceRecipe(made.recipe.lanes, reference=wrong)
        assert error.value.field == "reference"


def ends_after(states: int, error: BaseException):
    """An `on_state` in which an error comes at a state, counted from 1."""
    seen = []

    def on_state(number, frame):
        seen.append(number)
        if len(seen) == states:
            raise error

    return on_state


def test_a_race_that_is_ended_keeps_what_there_is(studio, recipe, tmp_path):
    """Seven states of the first lane, three of the second, none of the third."""
    asked = RaceRecipe.of([recipe, {"steps": 4}, {"steps": 5}])
    error = KeyboardInterrupt()
    made = run_to_end(racing(asked, studio), ends_after(10, error))
    assert made.ended is error and made.recipe == asked
    assert [len(lane.frames) for lane in made.lanes] == [7, 3]
    assert [lane.is_finished for lane in made.lanes] == [True, False]
    assert made.titles == (("steps 6",), ("steps 4",))
    assert made.ended_text.startswith("Ended early: 1 of 3 runs are finished")
    for name in ("race.gif", "race.png"):
        assert ds.read_race(made.save(tmp_path / name)) == asked  # opens again as the whole race
    made.save(tmp_path / "strip.png", "strip")
    with pytest.raises(KeyboardInterrupt):
        race(asked, studio=studio, on_state=ends_after(10, KeyboardInterrupt()))
    with pytest.raises(ZeroDivisionError):  # an error too is not lost
        race(asked, studio=studio, on_state=ends_after(3, ZeroDivisionError()))


def test_a_race_of_which_nothing_came_raises_what_ended_it(studio, recipe):
    def ask(call):
        raise RunEnded

    with pytest.raises(RunEnded):
        run_to_end(racing(RaceRecipe.of([recipe, {"steps": 4}]), studio, ask), None)


def test_ask_ends_a_race_at_a_network_call(studio, recipe):
    calls = []

    def ask(call):
        calls.append(call)
        if len(calls) > 8:
            raise RunEnded
        return call()

    made = run_to_end(racing(RaceRecipe.of([recipe, {"steps": 4}]), studio, ask), None)
    assert isinstance(made.ended, RunEnded) and [len(lane.frames) for lane in made.lanes] == [7, 2]


def test_a_lane_of_another_model_has_its_own_settings_where_it_cannot_use_lane_1s(studio, write_checkpoint):
    rgb = {"network": {"in_channels": 3, "out_channels": 3}, "channels": 3}
    write_checkpoint("drawn", **rgb, palette=("#000000", "#ff0000"))
    first = studio.recipe("drawn", label="Dog", steps=3, palette={"name": "own"})
    made = race([first, {"model": "twin", "steps": 2}], studio=studio)
    assert made.lanes[1].recipe.palette.name is None and made.lanes[1].recipe.label == "Dog"
    assert made.lanes[0].recipe == first  # lane 1 keeps what it has
    assert made.said == ("Lane 2: twin has no palette of its own, so the palette is the default of twin.",)
    assert made.on("steps").said == made.said
    with pytest.raises(OptionError, match="no label of twin 'Whale'"):  # of its own, so it is refused
        race([first, {"model": "twin", "label": "Whale"}], studio=studio)
    assert race([first, {"steps": 2}], studio=studio).said == ()


def test_seconds_of_a_lane_by_hand():
    """Three network calls in three steps: what it takes to reach each state."""
    watch = Stopwatch()
    # the first call takes 5 s, as it prepares the weights; it counts as the longest later one, 1.5 s
    found = [watch.reached(*one) for one in ((5.0, 1), (1.0, 2), (1.5, 3), (0.25, 3))]
    assert found == [0.0, 1.0, 1.5 + 1.0, 1.5 + 1.0 + 1.5 + 0.25]
    alone = Stopwatch()  # a run of one step has no later call
    assert [alone.reached(2.0, 1), alone.reached(0.5, 1)] == [0.0, 2.5]


def test_seconds_leave_out_what_a_lane_waited_for(studio, recipe):
    waited = [0.0]

    def ask(call):
        waited[0] += 100.0  # as if other runs had gone first
        return call()

    made = run_to_end(racing(RaceRecipe.of([recipe, {"steps": 3}]), studio, ask, lambda: waited[0]), None)
    assert all(lane.seconds[0] == 0 and lane.took < 100 for lane in made.lanes)


@pytest.mark.parametrize(("lanes_given", "advice"), [(1, "Add a line"), (7, "Leave some out")])
def test_too_few_and_too_many_lanes_are_told_apart(recipe, lanes_given, advice):
    with pytest.raises(OptionError, match=f"got {lanes_given}. {advice}"):
        RaceRecipe((recipe,) * lanes_given)


def test_an_unknown_setting_names_those_that_are_like_it_and_the_usual_ones(recipe):
    with pytest.raises(OptionError, match="no setting 'foo'. The usual ones are model, label") as wrong:
        RaceRecipe.of([recipe, {"foo": 3}])
    assert "help" not in str(wrong.value)  # the page has no command line
    with pytest.raises(OptionError, match="'guidence'. Did you mean guidance.*The usual ones"):
        RaceRecipe.of([recipe, {"guidence": 3}])
