"""A resumed run continues with the labels and data that it started with, or reports the differences."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.data.files import digest
from diffusion_studio.errors import CheckpointError, DataError, OptionError
from diffusion_studio.training.fingerprint import Fingerprint
from diffusion_studio.training.run import RunFolder


@pytest.fixture
def classes(tmp_path):
    """A folder with two pictures of each of the labels a, b and c."""
    root = tmp_path / "classes"
    for k, name in enumerate(("a/0", "a/1", "b/2", "b/3", "c/4", "c/5")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8), np.uint8)).save(
            root / f"{name}.png"
        )
    return root


@pytest.fixture
def begun(classes, config, tmp_path):
    """A run of two steps on that folder, and its configuration."""
    given = config(data=str(classes))
    run = ds.train(given, tmp_path / "run", device="cpu", sample_every=0)
    next(run), next(run)
    run.close()
    return given, tmp_path / "run"


def rename(root, *pairs):
    for before, after in pairs:
        (root / before).rename(root / after)


def picture(root, name, size=(8, 8)):
    Image.fromarray(np.zeros(size, np.uint8)).save(root / name)


CHANGES = {
    "renamed, so that labels change places": (
        lambda root: rename(root, ("a", "z")),
        "label 'a' is gone; label 'z' is new",
    ),
    "two that changed names": (
        lambda root: rename(root, ("a", "x"), ("b", "a"), ("x", "b")),
        r"other pictures of 'a' \(2, as before\); other pictures of 'b' \(2, as "
        r"before\)\.",
    ),
    "a further label": (lambda root: ((root / "d").mkdir(), picture(root, "d/9.png")), "label 'd' is new"),
    "a label that is gone": (lambda root: rename(root, ("c", "../c")), "label 'c' is gone"),
    "one picture more": (lambda root: picture(root, "b/9.png"), "pictures of 'b': 2 -> 3"),
    "another picture": (lambda root: picture(root, "b/2.png"), r"other pictures of 'b' \(2, as before\)\."),
    "captions": (
        lambda root: [path.with_suffix(".txt").write_text("x") for path in root.rglob("*.png")],
        "captions are new",
    ),
}


@pytest.mark.parametrize("change, message", CHANGES.values(), ids=CHANGES)
def test_a_resume_on_other_data_is_refused_with_the_differences(begun, classes, finish, change, message):
    given, run = begun
    before = {
        path.name: path.read_bytes()
        for path in run.iterdir()
        if path.is_file() and path.name != "status.json"
    }
    change(classes)
    with pytest.raises(DataError, match=f"The data differs from that of the run in .*run: {message}"):
        finish(given, run, resume=True)
    assert {
        path.name: path.read_bytes()
        for path in run.iterdir()
        if path.is_file() and path.name != "status.json"
    } == before


def test_the_same_data_resumes(begun, finish):
    given, run = begun
    assert len(finish(given, run, resume=True)) == 6 and ds.load(run, "cpu").spec.labels == ("a", "b", "c")


def test_data_that_moved_is_asked_for_and_taken_from_its_new_place(begun, classes, finish, tmp_path):
    """MrNeRF/LichtFeld-Studio#599: a run could not go on once its pictures lay elsewhere."""
    given, run = begun
    moved = classes.rename(tmp_path / "moved")
    with pytest.raises(
        OptionError, match="there is nothing of that name in .*name the data's new place with data"
    ) as said:
        finish(given, run, resume=True)
    assert said.value.field == "data"
    (moved / "a").rename(moved / "z")
    with pytest.raises(DataError, match="label 'a' is gone; label 'z' is new"):
        finish(replace(given, data=str(moved)), run, resume=True)
    (moved / "z").rename(moved / "a")
    assert len(finish(replace(given, data=str(moved)), run, resume=True)) == 6
    assert RunFolder(run).config().data == str(moved)


def test_a_relative_place_is_one_of_the_folder_in_which_the_run_was_begun(
    classes, config, finish, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    finish(config(data="classes", images=4), "run")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert main(["train", "--resume", "../run", "--images", "8"]) == 2
    assert "is trained on 'classes'" in (said := capsys.readouterr().err) and "new place with --data." in said
    assert main(["train", "--resume", "../run", "--images", "8", "--data", "../classes"]) == 0


def test_without_marks_the_place_stays(begun, finish, tmp_path):
    given, run = begun
    (run / "data.json").unlink()
    with pytest.raises(OptionError, match="has no marks of its data .data.json., so only"):
        finish(replace(given, data=str(tmp_path)), run, resume=True)


def test_labels_keep_the_run_s_order(begun, classes, config, finish, tmp_path):
    """A run by a version that sorted labels otherwise: the same labels in another order are put into the
    run's."""
    given, run = begun
    data = json.loads((run / "data.json").read_text())
    data["labels"] = {name: data["labels"][name] for name in ("c", "a", "b")}
    (run / "data.json").write_text(json.dumps(data))
    finish(given, run, resume=True)
    assert ds.load(run, "cpu").spec.labels == ("c", "a", "b")


def test_a_run_by_an_earlier_version_is_held_to_its_model_s_labels(begun, classes, finish):
    given, run = begun
    (run / "data.json").unlink()
    rename(classes, ("a", "z"))
    with pytest.raises(DataError, match="label 'a' is gone; label 'z' is new"):
        finish(given, run, resume=True)
    rename(classes, ("z", "a"))
    finish(given, run, resume=True)
    assert [*RunFolder(run).data().labels] == ["a", "b", "c"]


def test_labels_whose_files_are_of_equal_names_and_sizes_do_not_change_places(config, finish, tmp_path):
    """Both folders hold 0.bmp of one size; an older data.json knows no more than that."""
    root = tmp_path / "classes"
    for k, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(root / name / "0.bmp")
    given, run = config(data=str(root)), tmp_path / "run"
    finish(given, run)
    kept = json.loads((run / "data.json").read_text())
    swap = (("a", "x"), ("b", "a"), ("x", "b"))
    rename(root, *swap)
    with pytest.raises(DataError, match=r"other pictures of 'a' \(1, as before\); other pictures of 'b'"):
        finish(given, run, resume=True)
    rename(root, *swap)
    older = {name: value for name, value in kept.items() if name != "contents"}
    (run / "data.json").write_text(json.dumps(older))
    finish(given, run, resume=True)
    assert json.loads((run / "data.json").read_text()) == kept  # from now on by contents too
    (run / "data.json").write_text(json.dumps(older))
    rename(root, ("b/0.bmp", "b/1.bmp"))
    with pytest.raises(DataError, match=r"run.*: other pictures of 'b' \(1, as before\)"):
        finish(given, run, resume=True)


@pytest.mark.parametrize("at", [0, 5_000, 20_000, -1])
def test_a_digest_reads_the_ends_and_the_middle_of_a_large_file(tmp_path, at):
    bits = bytearray(40_000)
    (tmp_path / "a").write_bytes(bits)
    bits[at] = 1
    (tmp_path / "b").write_bytes(bits)
    assert (digest(tmp_path / "a") == digest(tmp_path / "b")) == (at == 5_000)


def test_a_damaged_file_says_what_to_do(begun, finish):
    given, run = begun
    (run / "data.json").write_text('{"labels": [1]}')
    with pytest.raises(
        CheckpointError, match="data.json is damaged .* Delete it to resume without comparing"
    ):
        finish(given, run, resume=True)


def test_arrays_and_points_have_marks_too(config, finish, tmp_path, pictures):
    finish(config(images=8), tmp_path / "run")
    with np.load(pictures) as kept:
        arrays = dict(kept)
    arrays["images"][0, 0, 0] ^= 1
    np.savez(pictures, **arrays)
    with pytest.raises(DataError, match=r"other pictures of '0' \(4, as before\)\."):
        finish(config(images=16), tmp_path / "run", resume=True)
    table = tmp_path / "points.csv"
    np.savetxt(table, np.random.default_rng(0).normal(size=(50, 2)), delimiter=",")
    given = ds.train_config(data=str(table), images=64, batch=32, channels=8, blocks=1)
    finish(given, tmp_path / "points")
    np.savetxt(table, np.random.default_rng(1).normal(size=(60, 2)), delimiter=",")
    with pytest.raises(DataError, match="points: 50 -> 60"):
        finish(given, tmp_path / "points", resume=True)


def test_a_fingerprint_survives_json(tmp_path):
    given = Fingerprint(3, {"ü": (2, "ab"), "1": (1, "cd")}, "ef", {"1": "gh"})
    assert Fingerprint.from_json(given.to_json(), tmp_path) == given and not given.differences(given)


def test_training_begins_with_one_line_of_what_it_read(classes, tmp_path, capfd):
    (classes / "notes.md").write_text("x")
    words = [
        "train",
        "--data",
        str(classes),
        "--size",
        "8",
        "--channels",
        "8",
        "--multipliers",
        "1,2",
        "--attention",
        "4",
        "--images",
        "8",
        "--batch",
        "4",
        "--norm-groups",
        "4",
        "--only",
        "a,c",
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        "--sample-every",
        "0",
    ]
    assert main(words) == 0
    told = capfd.readouterr()
    shades = len(
        np.unique([np.asarray(Image.open(path)) for name in "ac" for path in (classes / name).glob("*.png")])
    )
    assert told.err.splitlines()[0] == (
        f"Read classes: 4 pictures of 8x8, grey, {shades} shades; 2 labels: a 2, c 2; no captions; 2 left "
        "out by only; left out: 1 .md file (notes.md)."
    )
    assert told.out.strip() == str(tmp_path / "run" / "model.safetensors")
    assert main(["train", "--resume", str(tmp_path / "run"), "--images", "12", "--sample-every", "0"]) == 0
    assert capfd.readouterr().err.startswith("Read classes: 4 pictures of 8x8, grey")


def test_grey_saved_as_rgb_trains_a_grey_model_by_the_flag(tmp_path, config, finish):
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8).repeat(3, 3)
    np.savez(tmp_path / "grey.npz", images=images)
    told = []
    finish(config(data=str(tmp_path / "grey.npz")), tmp_path / "colour", on_data=told.append)
    finish(config(data=str(tmp_path / "grey.npz"), colours="grey"), tmp_path / "grey", on_data=told.append)
    assert [one.grey_as_rgb for one in told] == [
        True,
        False,
    ] and "with --colours grey a grey one" in str(told[0])
    assert (
        ds.load(tmp_path / "colour", "cpu").spec.channels == 3
        and ds.load(tmp_path / "grey", "cpu").spec.channels == 1
    )


def test_a_model_knows_the_background_that_it_was_trained_on(tmp_path, config, finish):
    finish(config(background="white"), tmp_path / "white")
    finish(config(), tmp_path / "black")
    assert [ds.load(tmp_path / name, "cpu").spec.background for name in ("white", "black")] == [
        "white",
        "black",
    ]
