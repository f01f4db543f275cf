"""Folders as other programs leave them: splits, system files, links, tables of several kinds. Each is a
public report's kind of fault; the right values follow from how the folder is made."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data.archive import unpack
from diffusion_studio.data.files import list_files
from diffusion_studio.data.summary import summary
from diffusion_studio.errors import DataError

RANDOM = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """Factory: a folder of colour pictures of 4x4 with these names, each of a shade of its own."""

    def make(*names):
        root = tmp_path / "set"
        for k, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4, 3), (10 + k, 0, 0), np.uint8)).save(path)
        return root

    return make


def shades(found) -> list[int]:
    """Which pictures these are, by the number in their red channel."""
    return [int(image[0, 0, 0]) - 10 for image in found.images]


# --- splits


@pytest.mark.parametrize(
    "train, test",
    [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "validation"),
        ("train", "val"),
        ("TRAIN", "valid"),
        ("train", "dev"),
    ],
)
@pytest.mark.parametrize("around", ["", "around/"])
def test_splits_are_no_labels(folder, train, test, around):
    root = folder(f"{around}{train}/cat/0.png", f"{around}{train}/dog/1.png", f"{around}{test}/cat/2.png")
    found = data.load(root)
    assert found.names == ("cat", "dog") and found.labels.tolist() == [0, 1] and shades(found) == [0, 1]
    held = data.load(root, "test")
    assert shades(held) == [2] and held.names == ("cat",)
    assert f"not trained on: {'test' if test.startswith('test') else 'validation'} (1)" in str(
        summary(found, "set")
    )


def test_splits_below_the_labels(folder):
    root = folder("cat/train/0.png", "cat/test/1.png", "dog/train/2.png", "dog/test/3.png")
    assert shades(data.load(root)) == [0, 2] and data.load(root).names == ("cat", "dog")
    assert shades(data.load(root, "test")) == [1, 3]


def test_splits_without_labels_have_their_own_captions(folder):
    root = folder("train/0.png", "train/1.png", "validation/9.png")
    (root / "train" / "metadata.jsonl").write_text(
        '{"file_name": "0.png", "text": "zero"}\n{"file_name": "1.png", "text": "one"}\n'
    )
    (root / "validation" / "metadata.jsonl").write_text('{"file_name": "9.png", "text": "nine"}\n')
    found = data.load(root)
    assert found.labels is None and found.captions == (("zero",), ("one",))
    assert data.load(root, "test").captions == (("nine",),)


def test_one_table_above_the_splits(folder):
    root = folder("train/0.png", "test/1.png")
    (root / "metadata.csv").write_text("file_name,text\ntrain/0.png,zero\ntest/1.png,one\n")
    assert data.load(root).captions == (("zero",),) and data.load(root, "test").captions == (("one",),)


@pytest.mark.parametrize("name", ["images", "Imgs", "pictures", "PHOTOS", "data"])
@pytest.mark.parametrize("around", ["", "train/"])
def test_a_single_folder_of_pictures_is_no_label(folder, name, around):
    root = folder(f"{around}{name}/0.png", f"{around}{name}/1.png")
    for k in (0, 1):
        (root / around / name / f"{k}.txt").write_text("x")
    found = data.load(root)
    assert found.labels is None and found.captions == (("x",), ("x",))


def test_other_single_folders_and_those_beside_others_are_labels(folder):
    assert data.load(folder("train/cat/0.png", "test/cat/1.png")).names == ("cat",)
    assert data.load(folder("train/images/2.png")).names == ("cat", "images")


def test_a_folder_around_the_labels_of_a_split_is_taken_off(folder):
    root = folder("train/images/cat/0.png", "train/images/dog/1.png", "test/images/cat/2.png")
    assert data.load(root).names == ("cat", "dog") and data.load(root, "test").names == ("cat",)


def test_a_table_in_a_split_describes_the_folder_beside_it(folder):
    root = folder("train/faces/0.png", "test/faces/1.png")
    (root / "train" / "metadata.csv").write_text("file_name,text\nfaces/0.png,x\n")
    assert data.load(root).labels is None and data.load(root).captions == (("x",),)
    assert data.load(root, "test").names == ("faces",)


def test_the_word_train_among_labels_is_a_label(folder):
    assert data.load(folder("train/0.png", "car/1.png", "boat/2.png")).names == ("boat", "car", "train")


def test_splits_beside_labels_are_refused(folder):
    with pytest.raises(
        DataError,
        match="holds the splits test, train beside other folders .cat.*does not say which are labels",
    ):
        data.load(folder("train/0.png", "test/1.png", "cat/2.png"))


def test_a_split_that_is_not_there_is_a_sentence(folder):
    root = folder("train/0.png", "train/1.png")
    with pytest.raises(
        DataError, match="holds the split train and none for test. Name the folder with those pictures test"
    ):
        data.load(root, "test")
    os.rename(root / "train", root / "val")
    with pytest.raises(DataError, match="holds the split val and none for train"):
        data.load(root)


def test_two_names_of_one_split_are_refused(folder):
    with pytest.raises(DataError, match="several folders for the split validation: val, valid. Keep one"):
        data.load(folder("train/0.png", "val/1.png", "valid/2.png"), "test")


# --- what systems and editors leave, and links


SYSTEM = (
    "cats/.ipynb_checkpoints/0-checkpoint.png",
    ".ipynb_checkpoints/x.png",
    "cats/._0.png",
    "__MACOSX/cats/._0.png",
    "dogs/@eaDir/1.png",
    ".git/y.png",
)


def test_system_files_are_no_classes_in_folders_and_in_zips(folder, tmp_path):
    root = folder("cats/0.png", "dogs/1.png", *SYSTEM)
    for name in ("cats/.DS_Store", "Thumbs.db", "dogs/desktop.ini", "dogs/Thumbs.db"):
        (root / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as out:
        for path in root.rglob("*"):
            if path.is_file():
                out.write(path, path.relative_to(root).as_posix())
    unpacked = unpack(tmp_path / "set.zip", tmp_path / "out", 10**8)
    assert unpacked.left_out.counts == {"system": len(SYSTEM) + 4}
    for place in (root, tmp_path / "out"):
        found = data.load(place)
        assert found.names == ("cats", "dogs") and shades(found) == [0, 1]
    assert "10 hidden or system files (" in str(summary(data.load(root), "set"))


def test_a_hidden_folder_around_the_data_does_not_hide_it(folder, tmp_path):
    folder("0.png").rename(tmp_path / ".cache")
    assert shades(data.load(tmp_path / ".cache")) == [0]


@pytest.fixture
def links(tmp_path):
    try:
        (tmp_path / "try").symlink_to(tmp_path)
    except OSError:
        pytest.skip("no links on this system")
    (tmp_path / "try").unlink()


def test_linked_folders_and_files_are_followed(folder, tmp_path, links):
    root = folder("a/0.png")
    (tmp_path / "elsewhere").mkdir()
    for k in (1, 2):
        Image.fromarray(np.full((4, 4, 3), (10 + k, 0, 0), np.uint8)).save(
            tmp_path / "elsewhere" / f"{k}.png"
        )
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "9.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    found = data.load(root)
    assert (
        found.names == ("a", "b") and found.labels.tolist() == [0, 0, 1, 1] and shades(found) == [0, 2, 1, 2]
    )


@pytest.mark.timeout(60)
def test_links_in_circles_end_and_are_counted(folder, tmp_path, links):
    root = folder("a/0.png", "b/1.png")
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "self").symlink_to(root / "b")
    (root / "a" / "b").symlink_to(root / "b")
    (root / "b" / "a").symlink_to(root / "a")
    (root / "b" / "lost.png").symlink_to(root / "nothing.png")
    (root / "b" / "ring.png").symlink_to(root / "b" / "ring.png")
    found = data.load(root)
    assert found.names == ("a", "b") and set(shades(found)) == {0, 1}
    left = list_files(root).left_out
    assert left.counts["links in a circle"] >= 3 and left.counts["links to nothing, or no files"] >= 2


def test_what_is_left_out_is_counted_in_the_right_number(folder, tmp_path, links):
    root = folder("a/0.png", "b/1.png", "lost+found/2.png")
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "gone.png").symlink_to(root / "nothing.png")
    found = data.load(root)
    assert found.names == ("a", "b")
    assert str(summary(found, "set")).endswith(
        "left out: 1 link in a circle (a/up), 1 link to nothing, or no file (b/gone.png), "
        "1 hidden or system file (lost+found)."
    )
    (root / "b" / "down").symlink_to(root)
    assert "2 links in a circle (b/down, a/up)" in str(list_files(root).left_out)


def test_empty_folders_are_counted_in_folders_and_in_zips(folder, tmp_path):
    root = folder("a/0.png", "b/1.png")
    (root / "c").mkdir()
    (root / "d" / "deep").mkdir(parents=True)
    assert "left out: 2 empty folders (d/deep, c)." in str(summary(data.load(root), "set"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as out:
        for path in root.rglob("*"):
            out.write(path, path.relative_to(root).as_posix())
    unpacked = unpack(tmp_path / "set.zip", tmp_path / "out", 10**8)
    assert unpacked.left_out.counts == {"empty folders": 2}


# --- kinds of files


def test_every_suffix_that_pillow_reads_is_read_and_the_rest_is_named(folder):
    from PIL import features

    kinds = ["png", "jfif", "jpe", "jp2", "tga", "ppm", "pcx", "webp"] + ["avif"] * features.check("avif")
    root = folder(*(f"{k}.{kind}" for k, kind in enumerate(kinds)))
    for name in ("a.heic", "b.heic", "c.heic", "d.HEIC", "notes.md", "noise", "x.eps"):
        (root / name).write_bytes(b"no picture")
    told = summary(data.load(root, size=16, fit="crop"), "set")
    assert told.pictures == len(kinds) and told.left_out_count == 7
    assert told.left_out == (
        "4 .heic files (a.heic, b.heic, c.heic, ...), 1 file without a suffix (noise), 1 .eps file (x.eps), "
        "1 .md file (notes.md)"
    )


def test_a_folder_of_kinds_that_are_not_read_says_what_it_holds(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(
        DataError,
        match=r"holds no images .*, nor gzipped idx files; it holds 1 .heic file "
        r"\(a.heic\)",
    ):
        data.load(tmp_path)


# --- bits


def save_wide(root, arrays, suffix="tif"):
    root.mkdir(exist_ok=True)
    for k, array in enumerate(arrays):
        Image.fromarray(array).save(root / f"{k}.{suffix}")


@pytest.mark.parametrize("dtype, suffix", [(np.int32, "tif"), (np.uint16, "tif"), (np.uint16, "png")])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_wide_pictures_are_scaled_by_what_is_there(tmp_path, dtype, suffix, bits):
    """The largest value of the folder says how many bits count; its dark picture stays dark."""
    bright = np.arange(16).reshape(4, 4).astype(dtype) * ((2**bits - 1) // 15)
    dark = bright // 4
    save_wide(tmp_path / "set", [dark, bright], suffix)
    found = data.load(tmp_path / "set")
    np.testing.assert_array_equal(found.images[1, ..., 0], bright >> (bits - 8))
    np.testing.assert_array_equal(found.images[0, ..., 0], dark >> (bits - 8))
    assert f"read as {bits} bits (their largest value is {int(bright.max()):,})" in str(summary(found, "set"))


def test_8_bit_values_among_16_bit_ones_are_counted(tmp_path):
    """255 of 65,535 is 0 of 255."""
    narrow = np.arange(16, dtype=np.uint16).reshape(4, 4) * 17
    save_wide(tmp_path / "set", [narrow, narrow, narrow * 257, narrow * 0])
    found = data.load(tmp_path / "set")
    assert found.images[:2].max() == 0 and found.images[2].max() == 255
    assert "2 of them use 8 bits at most and come out black or nearly so" in str(summary(found, "set"))
    (tmp_path / "set" / "2.tif").unlink()  # then all of them are read as 8 bits
    assert "8 bits at most" not in str(summary(data.load(tmp_path / "set"), "set"))


def test_black_pictures_of_16_bits_a_channel_are_counted(tmp_path):
    def png(name, most):
        rows = b"".join(b"\0" + struct.pack(">6H", *[most] * 6) for _ in range(2))
        parts = [
            (b"IHDR", struct.pack(">2I5B", 2, 2, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
        packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))

    png("0.png", 200), png("1.png", 51400)
    found = data.load(tmp_path)
    assert found.images.max(axis=(1, 2, 3)).tolist() == [0, 200]
    assert "1 of 2 with 16 bits a channel comes out black all over" in str(summary(found, "set"))


def test_a_pgm_of_few_bits_is_scaled_by_its_own_largest_value(tmp_path):
    """Netpbm's header says what is white: 1023 here."""
    (tmp_path / "0.pgm").write_bytes(b"P5 2 1 1023\n" + np.array([0, 1023], ">u2").tobytes())
    assert data.load(tmp_path).images[0, ..., 0].tolist() == [[0, 255]]


# --- colours


def grey_as_rgb(root, kind="png"):
    root.mkdir()
    grey = RANDOM.integers(0, 256, (3, 8, 8), np.uint8)
    for k in range(3):
        Image.fromarray(grey[k][..., None].repeat(3, 2)).save(root / f"{k}.{kind}")
    return grey


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_grey_saved_as_rgb_is_told_and_can_be_read_as_grey(tmp_path, kind):
    grey = grey_as_rgb(tmp_path / "set", kind)
    told = summary(data.load(tmp_path / "set"), "set")
    assert (
        told.channels == 3
        and told.grey_as_rgb
        and "grey saved as RGB" in str(told)
        and "with --colours grey a grey one" in str(told)
    )
    found = data.load(tmp_path / "set", colours="grey")
    assert found.images.shape == (3, 8, 8, 1) and not summary(found, "set").grey_as_rgb
    if kind == "png":
        np.testing.assert_array_equal(found.images[..., 0], grey)


def test_colours_are_brought_to_grey_as_pillow_does_and_back(tmp_path):
    images = RANDOM.integers(0, 256, (5, 6, 6, 3), np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    wanted = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in images])
    grey = data.load(tmp_path / "set.npz", colours="grey").images
    np.testing.assert_array_equal(grey[..., 0], wanted)
    np.savez(tmp_path / "grey.npz", images=grey)
    np.testing.assert_array_equal(data.load(tmp_path / "grey.npz", colours="rgb").images, grey.repeat(3, 3))
    assert not summary(data.load(tmp_path / "set.npz"), "set").grey_as_rgb


# --- tables


@pytest.mark.parametrize(
    "text, captions",
    [
        ("file_name;caption\n0.png;a cat\n1.png;a cat, black\n", ("a cat", "a cat, black")),
        ("file_name\tcaption\n0.png\ta cat\n1.png\ta cat, black\n", ("a cat", "a cat, black")),
        ("id|file_name|caption\n1|0.png|a cat\n2|1.png|b, c; d\n", ("a cat", "b, c; d")),
        ("\ufefffile_name;caption\r\n0.png;a\r\n\r\n1.png;b\r\n", ("a", "b")),
        ('"File_Name";"Caption"\n0.png;a\n1.png;"b; c"\n', ("a", "b; c")),
        ("file_name,caption\n0.png,a\u2028b\n1.png,c\x85d\n", ("a\u2028b", "c\x85d")),
    ],
    ids=["semicolon", "tab", "bar", "BOM, CR LF", "capitals", "odd line ends"],
)
def test_tables_with_other_delimiters(folder, text, captions):
    root = folder("0.png", "1.png")
    (root / "captions.csv").write_bytes(text.encode())
    assert data.load(root).captions == tuple((one,) for one in captions)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "file_name,caption\n0.png,a dog\n1.png,a cat, black\n",
            r"captions.csv, line 3, has 3 fields, and its first line names 2: '1.png,a cat,black'. Put a "
            r"text that "
            r"holds ',' into double",
        ),
        ('file_name,caption\n0.png,"two\nlines"\n\n1.png,a, b\n', "captions.csv, line 5, has 3 fields"),
        (
            'file_name,caption\n0.png,"never ends\n1.png,b\n',
            "captions.csv, line 2, is no csv: unexpected end of data",
        ),
        (
            "file_name,title\n0.png,a\n1.png,b\n",
            "no caption in captions.csv: 0.png, 1.png. Its columns are file_name, title; one of captions is "
            "called caption, text, prompt, description, one of labels label",
        ),
    ],
)
def test_tables_that_would_lose_text(folder, text, message):
    root = folder("0.png", "1.png")
    (root / "captions.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        data.load(root)


def test_lines_of_json_end_at_line_feeds_alone(folder):
    root = folder("0.png", "1.png")
    (root / "metadata.jsonl").write_bytes(
        '{"file_name": "0.png", "text": "a\u2028b"}\r\n{"file_name": "1.png", "text": "c\u2029d"}\n'.encode()
    )
    assert data.load(root).captions == (("a\u2028b",), ("c\u2029d",))
    (root / "metadata.jsonl").unlink()
    (root / "0.txt").write_bytes("a\u2028b\nc\r\n".encode())
    (root / "1.txt").write_bytes(b"x\x0cy")
    assert data.load(root).captions == (("a\u2028b", "c"), ("x\x0cy",))


@pytest.mark.parametrize(
    "rows, names, labels",
    [
        (["cat", "dog", "cat"], ("cat", "dog"), [0, 1, 0]),
        (["10", "2", "2"], ("2", "10"), [1, 0, 0]),
    ],
    ids=["names", "numbers"],
)
@pytest.mark.parametrize("column", ["label", "class", "Category"])
def test_a_column_of_labels(folder, rows, names, labels, column):
    root = folder("0.png", "1.png", "2.png")
    (root / "metadata.csv").write_text(
        f"file_name,{column}\n" + "".join(f"{k}.png,{row}\n" for k, row in enumerate(rows))
    )
    found = data.load(root)
    assert found.names == names and found.labels.tolist() == labels and found.captions is None


def test_labels_and_captions_in_one_table_of_json(folder):
    root = folder("images/0.png", "images/1.png")
    (root / "metadata.jsonl").write_text(
        '{"file_name": "images/0.png", "label": 3, "text": "x"}\n'
        '{"file_name": "images/1.png", "label": 11, "text": "y"}\n'
    )
    found = data.load(root)
    assert found.names == ("3", "11") and found.captions == (("x",), ("y",))


@pytest.mark.parametrize("relative", [False, True])
def test_rows_of_files_outside_the_folder_are_counted(folder, tmp_path, monkeypatch, relative):
    root = folder("a/0.png", "a/1.png", "../other/2.png")
    (root / "metadata.csv").write_text(
        f"file_name,text\n./a/../a/0.png,x\n{root / 'a' / '1.png'},y\n../other/2.png,z\n"
    )
    monkeypatch.chdir(root)
    found = data.load("." if relative else root)
    assert found.captions == (("x",), ("y",))
    assert "1 row of metadata.csv names a file outside the folder, not read: ../other/2.png" in str(
        summary(found, "set")
    )


def test_labels_of_edms_dataset_json(folder):
    """What dataset_tool.py of NVlabs/edm and stylegan3 writes: folders part the files, labels lie beside."""
    root = folder("00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png")
    pairs = [["00000/img00000000.png", 7], ["00000/img00000001.png", 10], ["00001/img00001000.png", 7]]
    (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
    found = data.load(root)
    assert found.names == ("7", "10") and found.labels.tolist() == [0, 1, 0] and found.captions is None
    assert "labels are those of dataset.json, not the 2 folders" in str(summary(found, "set"))
    (root / "dataset.json").write_text(json.dumps({"labels": pairs[:2]}))
    with pytest.raises(DataError, match="1 of 3 images have no label in dataset.json: 00001/img00001000.png"):
        data.load(root)


def test_edms_folders_are_no_labels_where_it_says_that_there_are_none(folder):
    root = folder("00000/img00000000.png", "00001/img00001000.png", "00001/img00001001.png")
    assert data.load(root).names == ("00000", "00001")
    (root / "dataset.json").write_text('{"labels": null}')
    found = data.load(root)
    assert found.labels is None
    assert "no labels by dataset.json: the folders only part the files" in str(summary(found, "set"))
    for name in ("00000", "00001"):
        (root / name).rename(root / f"kind {name}")
    assert data.load(root).names == ("kind 00000", "kind 00001")


@pytest.mark.parametrize("text", ["[1]", "{", '{"images": []}', '{"labels": [1, 2]}', '{"labels": "x"}'])
def test_a_dataset_json_of_another_program_is_not_read_and_it_is_said(folder, text):
    root = folder("a/0.png", "b/1.png")
    (root / "dataset.json").write_text(text)
    found = data.load(root)
    assert found.names == ("a", "b")
    assert "dataset.json is not of EDM's form, so it is not read" in str(summary(found, "set"))


def test_a_folder_beside_the_table_that_describes_it_is_no_label(folder):
    root = folder("images/0.png", "images/1.png")
    (root / "captions.csv").write_text("file_name,text\nimages/0.png,x\nimages/1.png,y\n")
    assert data.load(root).labels is None and data.load(root).captions == (("x",), ("y",))


@pytest.mark.parametrize(
    "given, names, labels",
    [("qww", ("q", "w"), [0, 1, 1]), ("100", ("0", "1"), [1, 0, 0]), ("ppq", ("p", "q"), [0, 0, 1])],
    ids=["one label a folder", "numbers", "across folders"],
)
def test_labels_of_a_table_win_over_folders_and_the_line_says_so(folder, given, names, labels):
    root = folder("cat/0.png", "dog/1.png", "dog/2.png")
    rows = zip(("cat/0.png", "dog/1.png", "dog/2.png"), given)
    (root / "metadata.csv").write_text("file_name,label\n" + "".join(f"{a},{b}\n" for a, b in rows))
    found = data.load(root)
    assert found.names == names and found.labels.tolist() == labels
    assert "labels are those of metadata.csv, not the 2 folders" in str(summary(found, "set"))


@pytest.mark.parametrize(
    "rows, message",
    [
        ('{"file_name": "0.png", "label": "a"}', "1 of 2 images have no label in metadata.jsonl: 1.png"),
        (
            '{"file_name": "0.png", "label": [1, 2]}',
            r"line 1, has the label \[1, 2\]. A label is one name or "
            r"one whole number",
        ),
        (
            '{"file_name": "0.png", "label": 1}\n{"file_name": "0.png", "label": 2}',
            "line 2, gives 0.png the label '2', and another line '1'",
        ),
    ],
)
def test_labels_that_cannot_be(folder, rows, message):
    root = folder("0.png", "1.png")
    (root / "metadata.jsonl").write_text(rows)
    with pytest.raises(DataError, match=message):
        data.load(root)


def test_numbered_folders_are_in_the_order_of_their_numbers(folder):
    root = folder("10/0.png", "2/1.png", "1/2.png")
    found = data.load(root)
    assert found.names == ("1", "2", "10")
    assert {name: shades(found.only([name])) for name in found.names} == {"1": [2], "2": [1], "10": [0]}


# --- a look at a large folder


def test_a_look_decodes_some_and_counts_all(folder):
    root = folder(*(f"{'ab'[k % 2]}/{k:02}.png" for k in range(20)))
    for k in range(20):
        (root / "ab"[k % 2] / f"{k:02}.txt").write_text("one\ntwo")
    found = data.load(root, most=5)
    told = summary(found, "set")
    assert len(found.images) == 5 == told.looked and told.pictures == 20 and told.labels == {"a": 10, "b": 10}
    assert told.captions == 40 and "5 of them, evenly chosen, were opened for this line" in str(told)
    assert summary(data.load(root), "set").looked is None
    np.savez(
        root / "set.npz",
        images=np.zeros((50, 4, 4), np.uint8),
        labels=np.arange(50) % 2,
        captions=np.full(50, "x"),
    )
    arrays = summary(data.load(root / "set.npz", size=8, fit="crop", most=6), "set.npz")
    assert (arrays.looked, arrays.pictures, arrays.labels, arrays.captions) == (6, 50, {"0": 25, "1": 25}, 50)


def test_the_line_says_all_that_was_read(folder):
    root = folder("train/cat/0.png", "train/dog/1.png", "test/cat/2.png")
    Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(root / "train" / "cat" / "z.png")
    (root / "readme.md").write_text("x")
    assert str(summary(data.load(root, size=8, fit="resize"), str(root), "resize")) == (
        "Read set, split train: 3 pictures of 2 sizes (4x4, 2x2), brought to 8x8 (resize), RGB, 3 shades of "
        "each channel; 2 labels: cat 2, dog 1; no captions; 1 with transparency, laid on black; not trained "
        "on: test (1); left out: 1 .md file (readme.md)."
    )
