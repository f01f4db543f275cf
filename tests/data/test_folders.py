"""Folders of pictures to train on, whole and broken."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.errors import DataError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (3, 4, 6), np.uint8)  # height 4, width 6


def save(folder, name, array):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def test_a_flat_folder_has_no_labels(tmp_path):
    for k in (2, 0, 1):
        save(tmp_path, f"{k}.png", GREY[k])
    (tmp_path / "readme.txt").write_text("not an image")
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.images[..., 0], GREY[:3])  # in the order of names
    assert found.labels is None and found.names == ()


def test_subfolders_are_labels(tmp_path):
    for k, name in enumerate(["b/1.png", "a/2.png", "b/deeper/3.PNG"]):
        save(tmp_path, name, GREY[k])
    found = data.load(tmp_path)
    assert found.names == ("a", "b") and found.labels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(found.images[..., 0], GREY[[1, 0, 2]])


def test_sixteen_bits_become_eight(tmp_path):
    save(tmp_path, "1.png", GREY[0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(data.load(tmp_path).images[0, ..., 0], GREY[0])


def test_grey_and_colour_together_are_colour(tmp_path):
    colour = RANDOM.integers(0, 256, (4, 6, 3), np.uint8)
    save(tmp_path, "1.png", GREY[0]), save(tmp_path, "2.png", colour)
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.images[0], np.repeat(GREY[0][..., None], 3, 2))
    np.testing.assert_array_equal(found.images[1], colour)


def test_images_in_and_beside_subfolders(tmp_path):
    save(tmp_path, "a/1.png", GREY[0]), save(tmp_path, "2.png", GREY[1])
    with pytest.raises(
        DataError, match="holds images both in sub-folders, which name their labels, and beside them"
    ):
        data.load(tmp_path)


def test_different_sizes(tmp_path):
    (
        save(tmp_path, "1.png", GREY[0]),
        save(tmp_path, "2.png", GREY[1][:, :5]),
        save(tmp_path, "3.png", GREY[2]),
    )
    with pytest.raises(
        DataError, match=r"The images have 2 different sizes \(2 of 6x4, 1 of 5x4\). Bring them to one size"
    ):
        data.load(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="holds no images .*nor gzipped idx files"):
        data.load(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.9])
def test_a_broken_image_is_named(tmp_path, suffix, kept):
    large = RANDOM.integers(0, 256, (32, 32, 3), np.uint8)
    save(tmp_path, f"good.{suffix}", large)
    path = save(tmp_path, f"bad.{suffix}", large)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DataError, match=rf"1 of 2 images cannot be used: .*bad\.{suffix}: "):
        data.load(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # a garbled size may be a huge one
def test_a_garbled_image_is_an_error_of_ours_or_none(tmp_path):
    """Whatever a decoder raises for bad bytes; some damage only changes pixels."""
    large = RANDOM.integers(0, 256, (16, 16, 3), np.uint8)
    failures = 0
    for suffix in ("jpg", "png", "gif", "webp", "bmp"):
        path = save(tmp_path / suffix, f"bad.{suffix}", large)
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :])
            try:
                data.load(tmp_path / suffix)
            except DataError:
                failures += 1
    assert failures > 20


def test_many_broken_images_are_counted(tmp_path):
    for k in range(5):
        (tmp_path / f"{k}.jpg").write_bytes(b"no jpeg")
    with pytest.raises(DataError, match=r"5 of 5 images cannot be used: .*0.jpg.*2.jpg.* and 2 more\.$"):
        data.load(tmp_path)
