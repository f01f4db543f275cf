"""The facade: a folder of models, and runs on them."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError, OptionError, SamplingError
from diffusion_studio.studio import KEPT_MODELS, default_folder


@pytest.fixture
def studio(tmp_path, write_checkpoint):
    write_checkpoint(
        "tiny",
        defaults={"steps": 4, "count": 3, "guidance": 2.0, "sampler": {"name": "ddpm"}, "label": "Dog"},
    )
    write_checkpoint("other", network={"classes": None, "null_class": False})
    return ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")


@pytest.fixture(scope="module")
def opened():
    """Paths that Python opens, noted while the list in use is given."""
    notes: list[list[str]] = []

    def hook(event, args):
        if event == "open" and notes:
            notes[-1].append(str(args[0]))

    sys.addaudithook(hook)  # it cannot be taken away
    yield notes
    notes.clear()


def test_a_header_is_read_once(studio, opened, tmp_path):
    opened.append(first := [])
    studio.card("tiny")
    assert any(path.endswith("model.safetensors") for path in first)  # the hook sees them
    opened.append(again := [])
    assert studio.card("tiny").spec.labels and len(studio.models()) == 2
    assert studio.helpers(studio.card("tiny")) == ([], ["other"])
    opened.clear()
    assert again == []


def test_a_changed_header_is_read_again(studio, tmp_path, write_checkpoint):
    assert studio.card("other").spec.labels == ()
    write_checkpoint("other")  # with labels now
    assert studio.card("other").spec.labels != ()


def test_models_are_listed_by_folder_without_loading(studio, tmp_path):
    (tmp_path / "checkpoints" / "tiny" / "card.md").write_text("# Tiny", "utf-8")
    (tmp_path / "checkpoints" / "notes.txt").write_text("no model")
    (tmp_path / "checkpoints" / "empty").mkdir()
    other, tiny = studio.models()
    assert (other.name, tiny.name) == ("other", "tiny")
    assert tiny.conditions == ("Cat", "Dog", "Ankle boot") and other.conditions == () and tiny.resolution == 8
    assert tiny.text == "# Tiny" and other.text == ""
    assert studio.problems() == {} and not studio._loaded


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda path: path.write_bytes(b"not weights"), "is not a whole safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "is not a whole safetensors file"),
        (
            lambda path: path.write_bytes(
                path.read_bytes().replace(b'\\"channels\\": 8', b'\\"channels\\": 9')
            ),
            "do not fit the network in its header: conv_in.bias",
        ),
        (
            lambda path: path.write_bytes(
                path.read_bytes().replace(b'\\"timesteps\\": 100', b'\\"timesteps\\": 1e9')
            ),
            "schedule.timesteps",
        ),
    ],
    ids=["text", "cut", "channels", "timesteps"],
)
def test_a_broken_checkpoint_is_a_problem_and_hides_no_other(
    studio, tmp_path, write_checkpoint, spoil, reason
):
    path = write_checkpoint("broken")
    before = path.read_bytes()
    spoil(path)
    assert path.read_bytes() != before
    assert [card.name for card in studio.models()][-2:] == ["other", "tiny"]
    if "broken" in studio.problems():
        assert "model.safetensors" in studio.problems()["broken"]
    with pytest.raises(CheckpointError, match=reason):
        studio.model("broken")
    assert studio.run(studio.recipe("tiny")).complete


def test_an_unknown_model_lists_the_known(studio):
    for ask in (studio.card, studio.model, studio.recipe, lambda name: studio.stream(ds.Recipe(model=name))):
        with pytest.raises(
            OptionError,
            match="There is no model in .*checkpoints 'tny'. Choose one of: other, tiny. Did you mean 'tiny'",
        ):
            ask("tny")


@pytest.mark.parametrize("name", ["../tiny", "tiny/model.safetensors", "", "."])
def test_a_name_is_never_a_path(studio, name):
    with pytest.raises(OptionError, match="There is no model"):
        studio.model(name)


def test_a_folder_that_is_not_there_has_no_models(tmp_path):
    studio = ds.Studio(tmp_path / "absent")
    assert studio.models() == [] and studio.problems() == {}
    with pytest.raises(OptionError, match="Choose one of: none"):
        studio.card("tiny")


def test_the_default_recipe_comes_from_the_header(studio):
    assert studio.recipe("tiny") == ds.Recipe(
        model="tiny", label="Dog", seeds=(0, 1, 2), steps=4, guidance=2.0, sampler=ds.DDPM()
    )
    assert studio.recipe("other") == ds.Recipe(model="other")
    changed = studio.recipe("tiny", label=None, seeds=[7], sampler="ddim", steps=2)
    assert changed == ds.Recipe(model="tiny", seeds=(7,), steps=2, guidance=2.0)
    with pytest.raises(OptionError, match="There is no field of a recipe 'setps'"):
        studio.recipe("tiny", setps=3)


@pytest.mark.parametrize(
    "defaults, message",
    [
        ({"count": 10**12}, "pictures by default; a run makes 1 to 64"),
        ({"count": "four"}, "'four' pictures by default"),
        ({"count": 0}, "0 pictures by default"),
        ({"steps": -1}, "steps must be"),
        ({"sampler": "best"}, "There is no sampler 'best'"),
    ],
)
def test_defaults_that_make_no_recipe(studio, write_checkpoint, defaults, message):
    write_checkpoint("odd", defaults=defaults)
    with pytest.raises(OptionError, match=message):
        studio.recipe("odd")


def test_a_run_is_the_stream_recorded(studio):
    recipe = studio.recipe("tiny")
    trajectory = studio.run(recipe)
    assert trajectory.recipe == recipe and trajectory.complete and len(trajectory.frames) == 5
    assert trajectory.images.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(trajectory.images, trajectory.frames[-1].x)
    for a, b in zip(studio.stream(recipe), trajectory.frames, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.x0, b.x0)


def test_a_stopped_run_is_a_shorter_trajectory(studio):
    recipe = studio.recipe("tiny")
    run = studio.stream(recipe)
    stopped = ds.Trajectory(recipe, [next(run), next(run)])
    run.close()
    assert not stopped.complete
    np.testing.assert_array_equal(stopped.images, stopped.frames[1].x0)
    with pytest.raises(OptionError, match="There is no export option 'colour'"):
        stopped.save("x.gif", colour="red")


def test_a_recipe_that_does_not_fit_fails_before_the_first_frame(studio):
    with pytest.raises(OptionError, match="other takes no label"):
        studio.stream(ds.Recipe(model="other", label="Dog"))


def test_the_last_few_models_stay_loaded(studio, write_checkpoint):
    names = [f"m{k}" for k in range(KEPT_MODELS)]
    for name in names:
        write_checkpoint(name)
    first = studio.model("tiny")
    assert studio.model("tiny") is first
    for name in names[1:]:
        studio.model(name)
    assert studio.model("tiny") is first  # asked for again, so the newest
    studio.model(names[0])
    assert list(studio._loaded) == [*names[2:], "tiny", names[0]] and len(studio._loaded) == KEPT_MODELS
    assert studio.model("tiny") is first
    for name in names:
        studio.model(name)
    assert "tiny" not in studio._loaded and studio.model("tiny") is not first


def test_a_replaced_file_is_loaded_anew(studio, write_checkpoint):
    first = studio.model("tiny")
    os.utime(write_checkpoint("tiny"), ns=(0, 1))  # another time, however coarse the clock
    second = studio.model("tiny")
    assert second is not first and studio.model("tiny") is second and len(studio._loaded) == 1


@pytest.mark.parametrize("again", range(12))
def test_two_threads_stream_at_once(studio, again):
    """Frames of interleaved runs are those of each alone; the barrier makes them alternate. Both are the
    model's first: of twelve such pairs some went wrong while each arranged the weights that the other
    read.
    """
    recipes = [
        ds.Recipe(model="tiny", label="Cat", seeds=(1, 2), steps=8, guidance=2.0),
        ds.Recipe(model="tiny", label="Dog", seeds=(3,), steps=8, sampler=ds.DDPM()),
    ]
    wanted = [studio.run(recipe) for recipe in recipes]
    fresh = ds.Studio(studio.folder, "cpu", "fp32")
    barrier, found, errors = threading.Barrier(2, timeout=30), [[], []], []

    def watch(k: int) -> None:
        try:
            for frame in fresh.stream(recipes[k]):
                found[k].append(frame)
                barrier.wait()
        except Exception as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=watch, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == [] and len(fresh._loaded) == 1
    for frames, trajectory in zip(found, wanted):
        assert len(frames) == 9
        for a, b in zip(frames, trajectory.frames):
            np.testing.assert_array_equal(a.x, b.x)


def test_the_default_folder_is_the_working_one_or_the_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder().name == "checkpoints" and default_folder().is_absolute()
    (tmp_path / "checkpoints").mkdir()
    assert default_folder().resolve() == tmp_path / "checkpoints"
    assert ds.Studio().folder == default_folder()


def test_a_header_is_read_afresh(studio, tiny_spec):
    """A checkpoint that is replaced while the program runs shows its new header."""
    path = studio.card("tiny").path
    weights = checkpoint.read(path)
    import torch

    checkpoint.write(path, tiny_spec(name="renewed"), weights.network.state_dict(), torch.float32)
    assert studio.card("tiny").spec.name == "renewed"


def test_a_run_whose_states_become_no_numbers_says_where(studio, overflowing):
    overflowing("wild")
    recipe = studio.recipe("wild", label="Cat", steps=10, guidance=1.0, sampler={"name": "ddim"})
    seen = []
    with pytest.raises(
        SamplingError, match=r"From step 4 of 10 on \(t = 59\) the states are no finite numbers\. Try"
    ):
        for frame in studio.stream(recipe):
            seen.append(frame)
    assert [frame.index for frame in seen] == [0, 1, 2, 3] and all(frame.x.std() > 1 for frame in seen)


def test_what_the_app_begins_with_is_first(write_checkpoint):
    for name in ("a", "heroes", "b"):
        folder = write_checkpoint(name).parents[1]
    assert [card.name for card in ds.Studio(folder).models()] == ["heroes", "a", "b"]


def test_sentences_call_an_opened_model_by_the_name_that_it_was_opened_under(tmp_path, write_checkpoint):
    """A dropped file was called by its temporary folder."""
    path = write_checkpoint("tiny")
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    assert studio.open(path, name="mine") == "mine"
    assert studio.card("mine").spec.name == studio.model("mine").spec.name == "mine"
    with pytest.raises(ds.StudioError, match="label of mine"):
        studio.run(studio.recipe("mine", label="Unicorn", steps=1))
