"""Pictures to train on in idx and npz files, whole and broken; their names and padding."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from diffusion_studio import data
from diffusion_studio.data import KNOWN, ImageData
from diffusion_studio.errors import DataError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 4, 6), np.uint8)  # height 4, width 6
LABELS = np.array([0, 2, 1, 2, 0], np.uint8)


def idx(array: np.ndarray) -> bytes:
    """As on Yann LeCun's page: magic (0, 0, 8, dimensions), big-endian sizes, bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    for prefix, count in (("train", 5), ("t10k", 3)):
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY[:count])))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:count])))
    return tmp_path


# --- idx


@pytest.mark.parametrize("split, count", [("train", 5), ("test", 3)])
def test_gzipped_idx(mnist, split, count):
    found = data.load(mnist, split)
    assert found.images.shape == (count, 4, 6, 1) and found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images[..., 0], GREY[:count])
    assert found.labels.dtype == np.int64 and found.labels.tolist() == LABELS[:count].tolist()
    assert found.names == ("0", "1", "2")


def test_plain_idx_and_a_missing_label_file(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(GREY))
    found = data.load(str(tmp_path))
    np.testing.assert_array_equal(found.images[..., 0], GREY)
    assert found.labels is None and found.names == ()
    with pytest.raises(DataError, match="has no file t10k-images-idx3-ubyte.gz"):
        data.load(tmp_path, "test")


def test_a_folder_of_a_known_name_has_its_labels(mnist, monkeypatch):
    (mnist / "train-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(idx(np.array([0, 9, 7, 1, 5], np.uint8)))
    )
    folder = mnist / "fashion-mnist"
    folder.mkdir()
    for path in mnist.glob("*.gz"):
        path.rename(folder / path.name)
    assert data.load(folder).names == KNOWN["fashion-mnist"].names
    monkeypatch.chdir(mnist)
    (mnist / "data").mkdir()
    folder.rename(mnist / "data" / "fashion-mnist")
    found = data.load("fashion-mnist")
    assert found.names[9] == "Ankle boot" and found.labels.tolist() == [0, 9, 7, 1, 5]


@pytest.mark.parametrize(
    "content, message",
    [
        (gzip.compress(idx(GREY))[:-20], "cannot be read: .*Download it again"),
        (gzip.compress(idx(GREY)[:-1]), "is cut short: 119 of 120 bytes. Download it again"),
        (gzip.compress(idx(GREY)[:7]), "cannot be read"),
        (gzip.compress(b""), "cannot be read"),
        (b"", "cannot be read|is cut short"),
        (b"<html>Not found</html>", "cannot be read: Not a gzipped file"),
        (gzip.compress(idx(GREY))[:30] + b"\xff" * 40, "cannot be read"),
        (
            gzip.compress(struct.pack(">HBB3I", 0, 9, 3, 5, 4, 6) + GREY.tobytes()),
            "is not an idx file of unsigned bytes with 3 dimensions",
        ),
        (gzip.compress(struct.pack(">HBB3I", 1, 8, 3, 5, 4, 6) + GREY.tobytes()), "is not an idx file"),
        (gzip.compress(idx(LABELS)), "is not an idx file of unsigned bytes with 3 dimensions"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 6)), "claims [0-9,]+ bytes; the most is"),
        (gzip.compress(idx(GREY[:0])), "5 labels for 0 images"),
    ],
    ids=[
        "cut gzip",
        "cut data",
        "cut header",
        "empty gzip",
        "empty",
        "html",
        "garbled",
        "floats",
        "magic",
        "labels",
        "huge",
        "none",
    ],
)
def test_broken_images(mnist, content, message):
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.load(mnist)


def test_idx_without_any_image(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(GREY[:0]))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:0]))
    with pytest.raises(DataError, match="holds no images for the split 'train'"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (idx(LABELS[:4]), "train-labels-idx1-ubyte.gz has 4 labels for 5 images"),
        (idx(GREY), "is not an idx file of unsigned bytes with 1 dimensions"),
        (idx(LABELS)[:-1], "train-labels-idx1-ubyte.gz is cut short: 4 of 5 bytes"),
    ],
)
def test_broken_labels_are_never_taken_for_missing_ones(mnist, content, message):
    (mnist / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=message):
        data.load(mnist)


# --- npz


@pytest.mark.parametrize(
    "names, split",
    [
        (("x_train", "y_train"), "train"),
        (("images", "labels"), "train"),
        (("arr_0", "arr_1"), "train"),
        (("x_test", "y_test"), "test"),
        (("test_images", "test_labels"), "test"),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 1), (5, 4, 6, 3)], ids=str)
def test_npz(tmp_path, names, split, shape):
    images = RANDOM.integers(0, 256, shape, np.uint8)
    np.savez(tmp_path / "set.npz", **{names[0]: images, names[1]: LABELS.reshape(-1, 1)})
    found = data.load(tmp_path / "set.npz", split)
    np.testing.assert_array_equal(found.images, images if images.ndim == 4 else images[..., None])
    assert (
        found.labels.tolist() == LABELS.tolist()
        and found.labels.dtype == np.int64
        and found.names == ("0", "1", "2")
    )


def test_npz_without_labels(tmp_path):
    np.savez_compressed(tmp_path / "set.npz", images=GREY)
    found = data.load(tmp_path / "set.npz")
    assert found.labels is None and found.names == () and found.images.shape == (5, 4, 6, 1)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"pictures": GREY}, "has no train images under any of the names x_train, .*; it holds pictures"),
        ({}, "has no train images .*; it holds nothing"),
        ({"images": GREY.astype(np.float32)}, r"images in .*set.npz is float32 \(5, 4, 6, 1\); wanted uint8"),
        ({"images": GREY[0]}, r"is uint8 \(4, 6\); wanted"),
        (
            {"images": np.zeros((2, 4, 4, 2), np.uint8)},
            r"is uint8 \(2, 4, 4, 2\); wanted .* with 1 or 3 channels",
        ),
        ({"images": GREY[:0]}, "at least one image"),
        ({"images": GREY, "labels": LABELS[:3]}, r"The labels in .* are uint8 \(3,\) for 5 images"),
        ({"images": GREY, "labels": LABELS / 2}, "The labels in .* are float64"),
        ({"images": GREY, "labels": -LABELS.astype(int)}, "wanted one whole number of at least 0 for each"),
        ({"images": GREY, "labels": np.array(list("abcde"))}, "The labels in .* are <U1"),
        (
            {"images": GREY, "labels": np.array([0, 1, 2, 3, 10**9])},
            "The labels in .* go up to 1,000,000,000; a network takes at most",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_npz_that_does_not_fit(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path / "set.npz")


def test_npz_never_unpickles(tmp_path):
    np.savez(tmp_path / "set.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as a numpy archive: .*allow_pickle=False"):
        data.load(tmp_path / "set.npz")


@pytest.mark.parametrize("kept", [0, 1, 100, -30])
def test_broken_npz(tmp_path, kept):
    np.savez_compressed(tmp_path / "set.npz", images=GREY)
    whole = (tmp_path / "set.npz").read_bytes()
    (tmp_path / "set.npz").write_bytes(whole[:kept])
    with pytest.raises(DataError, match="set.npz cannot be read as a numpy archive"):
        data.load(tmp_path / "set.npz")


def test_npz_with_a_flipped_byte_in_its_data(tmp_path):
    """Anywhere in the compressed pictures: zlib, the CRC or the npy header notices."""
    np.savez_compressed(tmp_path / "good.npz", images=GREY)
    whole = (tmp_path / "good.npz").read_bytes()
    for at in range(60, len(whole) - 100, 7):
        (tmp_path / "set.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(DataError):
            data.load(tmp_path / "set.npz")


def test_an_npy_under_the_name_of_an_npz(tmp_path):
    with open(tmp_path / "set.npz", "wb") as file:
        np.save(file, GREY)
    with pytest.raises(DataError, match="set.npz cannot be read as a numpy archive"):
        data.load(tmp_path / "set.npz")


# --- names, padding


def test_unknown_sources(tmp_path):
    with pytest.raises(
        DataError, match="There is no data set 'cifar': neither a path nor one of fashion-mnist, mnist"
    ):
        data.load("cifar")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match="is neither a folder nor an .npz file. Give a folder of images"):
        data.load(tmp_path / "a.txt")
    with pytest.raises(DataError, match="split must be 'train' or 'test', got 'valid'"):
        data.load("mnist", "valid")


def test_a_known_name_that_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    absent = [
        name
        for name, known in KNOWN.items()
        if not any(p.startswith("/") and (tmp_path / p).exists() for p in known.places)
    ]
    for name in absent:
        with pytest.raises(
            DataError, match=f"{name} was not found in data/{name}, .*Put its files in one of these places"
        ):
            data.load(name)


@pytest.mark.parametrize("size, top, left", [(6, 1, 0), (8, 2, 1), (9, 2, 1), (32, 14, 13)])
def test_padding_centres_on_black(size, top, left):
    given = ImageData(GREY[..., None], LABELS.astype(np.int64), ("0", "1", "2"))
    found = given.padded(size)
    assert (
        found.images.shape == (5, size, size, 1)
        and found.names == given.names
        and found.labels is given.labels
    )
    np.testing.assert_array_equal(found.images[:, top : top + 4, left : left + 6], given.images)
    assert found.images.sum(dtype=int) == given.images.sum(dtype=int)


def test_padding_never_crops():
    with pytest.raises(
        DataError, match="The pictures are 6x4, larger than the 5x5 asked for. Ask for size 6 or more"
    ):
        ImageData(GREY[..., None], None, ()).padded(5)
