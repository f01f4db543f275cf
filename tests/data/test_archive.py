"""Zips of pictures from untrusted sources: what is read, and what is refused."""

from __future__ import annotations

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data import archive
from diffusion_studio.data.archive import gather, unpack
from diffusion_studio.errors import DataError

PLENTY = 10**8


def picture(shade: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(out, "png")
    return out.getvalue()


@pytest.fixture
def zipped(tmp_path):
    """Factory: a zip of these names and bytes."""

    def make(entries, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "pictures.zip"
        with zipfile.ZipFile(path, "w", compression) as out:
            for name, content in entries:
                out.writestr(name, content)
        return path

    return make


def test_folders_become_labels_and_texts_captions(zipped, tmp_path):
    entries = [(f"all/{label}/{k}.png", picture(k)) for label in ("cat", "dog") for k in range(3)]
    entries += [
        (f"all/{label}/{k}.txt", f"a {label}, number {k}") for label in ("cat", "dog") for k in range(3)
    ]
    entries += [("all/readme.md", "x"), ("__MACOSX/all/._0.png", b"x"), ("all/.DS_Store", b"x")]
    found = unpack(zipped(entries), tmp_path / "out", PLENTY)
    assert found.pictures == 6
    assert (
        str(found.left_out)
        == "2 hidden or system files (__MACOSX/all/._0.png, all/.DS_Store), 1 .md file (all/readme.md)"
    )
    read = data.load(tmp_path / "out")
    assert read.names == ("cat", "dog") and read.captions[4] == ("a dog, number 1",)
    assert not list((tmp_path / "out").rglob("*.md"))


def test_pictures_without_folders_have_no_labels(zipped, tmp_path):
    found = unpack(zipped([(f"one/two/{k}.PNG", picture(k)) for k in range(3)]), tmp_path / "out", PLENTY)
    assert found.pictures == 3 and found.left_out.total == 0
    read = data.load(tmp_path / "out")
    assert read.labels is None and len(read.images) == 3


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "a/../../evil.png",
        "/tmp/evil.png",
        "C:/evil.png",
        "..\\evil.png",
        "a\nb.png",
        "/".join("abcdefghi") + "/x.png",
        "x" * 300 + ".png",
    ],
)
def test_no_name_leads_out_of_the_folder(zipped, tmp_path, name):
    with pytest.raises(DataError, match="path that leads elsewhere"):
        unpack(zipped([("fine.png", picture()), (name, picture())]), tmp_path / "in" / "out", PLENTY)
    assert not list(tmp_path.rglob("evil*")) and not (tmp_path / "in" / "out").exists()


def test_a_link_is_refused(tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as out:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="a link or a device"):
        unpack(path, tmp_path / "out", PLENTY)


def test_a_bomb_is_refused_by_its_ratio_and_its_sum(zipped, tmp_path):
    with pytest.raises(DataError, match="which no picture is"):
        unpack(zipped([("bomb.png", bytes(30 << 20))]), tmp_path / "out", PLENTY)
    noise = np.random.default_rng(0).bytes(900_000)
    with pytest.raises(DataError, match="at most 2 MB are taken"):
        unpack(
            zipped([(f"{k}.png", noise) for k in range(5)], zipfile.ZIP_STORED), tmp_path / "out", 2 * 10**6
        )
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lies_about_its_sizes_writes_no_more_than_it_says(zipped, tmp_path):
    path = zipped([("a.png", bytes(500_000))])
    raw = bytearray(path.read_bytes())
    for at in (raw.index(b"PK\x01\x02") + 24, raw.index(b"PK\x03\x04") + 22):  # uncompressed size, twice
        raw[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(DataError, match="cannot be unpacked|larger than it states"):
        unpack(path, tmp_path / "out", PLENTY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "entries, said",
    [
        ([], "holds no pictures"),
        ([("a.txt", "x")], "holds no pictures"),
        ([("a/x.png", b"1"), ("a/X.png", b"2")], "twice"),
    ],
)
def test_archives_without_use_are_refused(zipped, tmp_path, entries, said):
    with pytest.raises(DataError, match=said):
        unpack(zipped(entries), tmp_path / "out", PLENTY)


def test_a_password_is_said_to_be_one(zipped, tmp_path):
    path = zipped([("cats/0.png", b"1")])
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # where flags stand, bit 0: encrypted
        raw[raw.index(mark) + at] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="locked with a password. Make it again as a plain zip, without one"):
        unpack(path, tmp_path / "out", PLENTY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"no zip at all",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:60] + bytes(40) + raw[100:],
    ],
)
def test_a_damaged_archive_is_refused(zipped, tmp_path, damage):
    path = zipped([(f"{k}.png", picture(k)) for k in range(5)])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, tmp_path / "out", PLENTY)
    assert not (tmp_path / "out").exists()


def test_mutated_archives_are_refused_or_read(zipped, tmp_path):
    """No other error, and nothing outside the folder, whatever the bytes say."""
    raw = zipped([(f"a/{k}.png", picture(k)) for k in range(6)]).read_bytes()
    draw, path, outcomes = np.random.default_rng(0), tmp_path / "m.zip", set()
    for k in range(300):
        changed = bytearray(raw)
        for at in draw.integers(0, len(raw), 4):
            changed[at] = draw.integers(256)
        path.write_bytes(changed)
        try:
            unpack(path, tmp_path / "in" / "out" / str(k), PLENTY)
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
    assert {one.name for one in tmp_path.iterdir()} == {"in", "m.zip", "pictures.zip"}


# --- pictures that come as files


@pytest.fixture
def dropped(tmp_path):
    """Factory: files of these names and bytes, each in a folder of its own, as Gradio leaves uploads."""

    def make(**content):
        paths = []
        for k, (name, written) in enumerate(content.items()):
            (tmp_path / str(k)).mkdir()
            paths.append(tmp_path / str(k) / name.replace("__", "."))
            paths[-1].write_bytes(written)
        return paths

    return make


def test_pictures_and_their_texts_become_a_data_set(dropped, tmp_path):
    files = dropped(a__png=picture(1), b__PNG=picture(2), a__txt=b"one", b__txt=b"two", phone__heic=b"x")
    found = gather(files, tmp_path / "out", PLENTY)
    assert found.pictures == 2 and str(found.left_out) == "1 .heic file (phone.heic)"
    read = data.load(tmp_path / "out")
    assert len(read.images) == 2 and read.captions == (("one",), ("two",)) and read.labels is None
    assert not files[0].exists() and files[-1].exists()  # moved, and left


@pytest.mark.parametrize(
    "content, said",
    [
        (
            {"a__txt": b"x", "b__heic": b"x"},
            r"no picture among these files: .*a\.txt.*b\.heic|b\.heic.*a\.txt",
        ),
        ({"a__png": b"1", "A__png": b"2"}, "a.png is there twice"),
        ({"a__png": b"1" * 600, "b__png": b"2" * 600}, "at most 0 MB are taken here"),
        ({"a__png": b"1", "large__png": b"2" * 900}, "large.png has .* at most"),
    ],
    ids=["no picture", "twice", "together", "one"],
)
def test_files_without_use_are_refused_and_stay(dropped, tmp_path, monkeypatch, content, said):
    monkeypatch.setattr(archive, "MAX_ENTRY", 800)
    files = dropped(**content)
    with pytest.raises(DataError, match=said):
        gather(files, tmp_path / "out", 1000)
    assert not (tmp_path / "out").exists() and all(one.exists() for one in files)


def test_no_more_files_than_a_zip_may_hold(dropped, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 1)
    with pytest.raises(DataError, match="2 files, and at most 1 are taken"):
        gather(dropped(a__png=b"1", b__png=b"2"), tmp_path / "out", PLENTY)
