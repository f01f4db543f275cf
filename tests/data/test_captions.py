"""Captions beside pictures, in tables and in archives."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data import KNOWN, ImageData
from diffusion_studio.data.npz import combined_captions
from diffusion_studio.errors import DataError, OptionError, StudioError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
NAMES = ["b.png", "a.png", "c.PNG"]  # read in the order a, b, c


@pytest.fixture
def folder(tmp_path):
    for k, name in enumerate(NAMES):
        Image.fromarray(IMAGES[k]).save(tmp_path / name)
    return tmp_path


def write_csv(path, head, rows):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([head, *rows])


def test_text_files_of_the_same_names(folder):
    for name, text in (("a", "red square\n"), ("b", "blue circle\n\n  a round blue thing  \n"), ("c", "ünï")):
        (folder / f"{name}.txt").write_text(text, "utf-8")
    (folder / "readme.txt").write_text("about")
    found = data.load(folder)
    assert found.captions == (("red square",), ("blue circle", "a round blue thing"), ("ünï",))
    np.testing.assert_array_equal(found.images, IMAGES[[1, 0, 2]])


@pytest.mark.parametrize("table", ["captions.csv", "metadata.csv"])
@pytest.mark.parametrize("column", ["file_name", "file", "image"])
def test_a_csv(folder, table, column):
    write_csv(
        folder / table,
        ["id", column, "text", "caption_2"],
        [
            ["1", "c.PNG", "see", ""],
            ["2", "./a.png", 'one, with "comma"', "two\nlines"],
            ["3", "b.png", "bee", "be"],
            ["4", "b.png", "B", ""],
        ],
    )
    assert data.load(folder).captions == (('one, with "comma"', "two\nlines"), ("bee", "be", "B"), ("see",))


def test_a_jsonl(folder):
    rows = [
        {"file_name": "a.png", "text": ["one", "two"], "seed": 3},
        {"file_name": "b.png", "text": "bee"},
        {"file_name": "c.PNG", "prompt": "see"},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert data.load(folder).captions == (("one", "two"), ("bee",), ("see",))


def test_labels_and_captions_together(tmp_path):
    for k, name in enumerate(["x/1.png", "y/1.png", "y/2.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(IMAGES[k]).save(tmp_path / name)
    write_csv(
        tmp_path / "captions.csv",
        ["file_name", "caption"],
        [["y/2.png", "three"], ["y\\1.png", "two"], ["x/1.png", "one"]],
    )
    found = data.load(tmp_path)
    assert (
        found.names == ("x", "y")
        and found.labels.tolist() == [0, 1, 1]
        and found.captions == (("one",), ("two",), ("three",))
    )


@pytest.mark.parametrize(
    "files, message",
    [
        (
            {"a.txt": "red"},
            r"2 of 3 images have no caption in text files beside the pictures: b.png, c.PNG\. Write theirs",
        ),
        ({"a.txt": "red", "b.txt": " \n", "c.txt": "x"}, "1 of 3 images have no caption .*: b.png"),
        (
            {"captions.csv": "file_name,text\na.png,red\n"},
            "2 of 3 images have no caption in captions.csv: b.png, c.PNG",
        ),
        (
            {"captions.csv": "file_name,text\na.png,x\nb.png,\nc.PNG,y\n"},
            "1 of 3 images have no caption in captions.csv: b.png",
        ),
        (
            {"captions.csv": "file_name,text\nq.png,x\nr.png,\na.png,y\n"},
            "names 2 pictures that .* does not hold: q.png, r.png",
        ),
        (
            {"captions.csv": "name,text\na.png,x\n"},
            "captions.csv, line 2, names no file; the column may be called file_name",
        ),
        ({"captions.csv": ""}, "3 of 3 images have no caption in captions.csv"),
        ({"metadata.jsonl": '{"file_name": "a.png"'}, "metadata.jsonl, line 1, is no JSON"),
        (
            {"metadata.jsonl": '\n["a.png", "red"]'},
            "metadata.jsonl, line 2, is JSON but no object with a file name and a text",
        ),
        ({"metadata.jsonl": '{"file_name": 3, "text": "x"}'}, "line 1, names no file"),
        (
            {"metadata.jsonl": '{"file_name": "a.png", "text": 3}'},
            "metadata.jsonl, line 1, has the caption 3, which is no text. A caption is a text, or a list",
        ),
        (
            {"metadata.jsonl": '{"file_name": "a.png", "text": [{"en": "x"}]}'},
            "line 1, has the caption {'en': 'x'}, which is no text",
        ),
        ({"captions.csv": b"\xff\xfe\x00"}, "captions.csv cannot be read as UTF-8 text .* Save it as UTF-8"),
        ({"a.txt": b"\xff"}, "a.txt cannot be read as UTF-8"),
        (
            {"a.txt": "x", "captions.csv": "file,text\n"},
            "holds captions in several forms: captions.csv, text files beside the pictures. Keep one",
        ),
        (
            {"metadata.csv": "", "metadata.jsonl": ""},
            "holds captions in several forms: metadata.csv, metadata.jsonl",
        ),
    ],
    ids=str,
)
def test_captions_that_do_not_fit(folder, files, message):
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        data.load(folder)


# --- archives


def test_npz_with_captions_labels_and_their_names(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        image=IMAGES,
        caption=np.array(["a", "b", "c", "d", "e"]),
        style=np.array([1, 0, 1, 1, 0], np.uint8),
        style_names=np.array(["flat", "round"]),
        is_dup=np.array([0, 0, 0, 1, 0], bool),
    )
    found = data.load(tmp_path / "set.npz")
    assert found.captions == (("a",), ("b",), ("c",), ("e",)) and found.names == ("flat", "round")
    assert found.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(found.images, IMAGES[[0, 1, 2, 4]])


def test_npz_with_several_captions_each(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        images=IMAGES,
        captions=np.array([["a", "A"], ["b", ""], ["c", "C"], ["d", "D"], ["e", "E"]]),
    )
    assert data.load(tmp_path / "set.npz").captions[:2] == (("a", "A"), ("b",))


def test_npz_of_emoji_has_captions_from_names_and_keywords(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        image=IMAGES,
        emoji_id=np.array([1, 0, 1, 1, 0], np.int16),
        name=np.array(["cat face", "pizza"]),
        keywords=np.array(["cat|face|pet|whiskers", ""]),
    )
    found = data.load(tmp_path / "set.npz")
    assert found.captions[0] == ("pizza", "pizza")
    assert found.captions[1] == combined_captions("cat face", ["cat", "face", "pet", "whiskers"])
    assert combined_captions("cat", ["cat", "pet", "pet", "zoo", "fur"]) == (
        "cat",
        "cat",
        "cat, pet, zoo",
        "cat, fur",
        "pet, zoo, fur",
    )


@pytest.mark.parametrize(
    "arrays, message",
    [
        (
            {"captions": np.array(["a", "", "c", "d", " "])},
            "2 of 5 images have no caption, the first is number 1",
        ),
        (
            {"emoji_id": np.array([0, 1, 2, 0, 0]), "name": np.array(["a", "b"])},
            "emoji_id in .* does not number rows of name and keywords",
        ),
        (
            {"labels": np.array([0, 1, 2, 0, 0]), "classes": np.array(["a", "b"])},
            "The labels in .* go up to 2, and there are only 2 names",
        ),
        (
            {"captions": np.array([{"a": 1}] * 5, dtype=object)},
            "cannot be read as a numpy archive: .*allow_pickle=False",
        ),
    ],
)
def test_npz_that_does_not_fit(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", images=IMAGES, **arrays)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path / "set.npz")


def test_an_array_of_captions_that_holds_no_texts_is_named(tmp_path):
    np.savez(tmp_path / "set.npz", images=IMAGES, caption=np.zeros((5, 3), np.int64))
    found = data.load(tmp_path / "set.npz")
    assert found.captions is None
    assert found.reading.notes == ("caption is int64 (5, 3), not a text for each picture, so it is not read",)


def test_alpha_is_laid_on_the_background(tmp_path):
    """By the formula: what lies on black already gets the rest of the background; RGBA is mixed."""
    alpha = np.random.default_rng(1).integers(0, 256, (5, 4, 4), np.uint8)
    share = alpha[..., None] / 255
    on_black = np.round(IMAGES * share).astype(np.uint8)
    np.savez(tmp_path / "two.npz", images=on_black, alpha=alpha)
    np.savez(tmp_path / "four.npz", images=np.concatenate([IMAGES, alpha[..., None]], axis=3))
    for background, colour in (("white", (255, 255, 255)), ("#204060", (32, 64, 96)), ("black", (0, 0, 0))):
        wanted = IMAGES * share + np.array(colour) * (1 - share)
        for name in ("two.npz", "four.npz"):
            found = data.load(tmp_path / name, background=background).images
            assert found.shape == IMAGES.shape and np.abs(found - wanted).max() <= 1.01
    np.testing.assert_array_equal(data.load(tmp_path / "two.npz").images, on_black)


# --- ImageData and names


def test_a_single_caption_needs_no_tuple():
    assert ImageData(IMAGES, None, (), ("a", ("b", "c"), "d", "e", ["f"])).captions == (
        ("a",),
        ("b", "c"),
        ("d",),
        ("e",),
        ("f",),
    )


@pytest.mark.parametrize(
    "captions, message",
    [
        (("a",), "There are 1 captions for 5 images"),
        (("a", "b", (), "d", "e"), "1 of 5 images have no caption, the first is number 2"),
        (("a", "b", "c", "d", " "), "1 of 5 images have no caption, the first is number 4"),
        (("a", "b", ("c", 3), "d", " "), "Image 2 has the caption 3, which is no text. Give texts"),
    ],
)
def test_captions_that_cannot_be(captions, message):
    with pytest.raises(DataError, match=message):
        ImageData(IMAGES, None, (), captions)


def test_some_labels_only():
    given = ImageData(IMAGES, np.array([0, 2, 1, 2, 0]), ("a", "b", "c"), tuple("vwxyz"))
    found = given.only(["c", "a"])
    assert (
        found.names == ("c", "a")
        and found.labels.tolist() == [1, 0, 0, 1]
        and [c for (c,) in found.captions] == list("vwyz")
    )
    np.testing.assert_array_equal(found.images, IMAGES[[0, 1, 3, 4]])
    with pytest.raises(OptionError, match="There is no label of the data 'd'. Choose one of: a, b, c"):
        given.only(["d"])
    with pytest.raises(OptionError, match="have no labels, so none of a can be chosen"):
        ImageData(IMAGES, None, ()).only(["a"])


def test_known_data_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    """By the file's usual name; by name the licence decides what is taken, by path all is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "sets"
    folder.mkdir()
    names = np.array(["google", "twitter", "openmoji", "fluent3d", "fluentflat"])
    np.savez(
        folder / "emoji64.npz",
        image=IMAGES,
        style=np.arange(5, dtype=np.uint8),
        style_names=names,
        caption=np.array(list("abcde")),
    )
    with pytest.raises(DataError, match="emoji was not found in .*DIFFUSION_STUDIO_DATA"):
        data.load("emoji")
    monkeypatch.setenv("DIFFUSION_STUDIO_DATA", str(folder))
    found = data.load("emoji")
    assert found.names == KNOWN["emoji"].only and "openmoji" not in found.names
    assert found.labels.tolist() == [0, 1, 2, 3] and found.captions == (("a",), ("b",), ("d",), ("e",))
    assert data.load(folder / "emoji64.npz").names == tuple(names)
    with pytest.raises(StudioError, match="heroes was not found in .*sets/heroes, .*heroes32.npz"):
        data.load("heroes")
