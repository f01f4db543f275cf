"""Decoded pictures on disk: the same pixels without decoding, and never those of other files or settings."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data import cache


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Six colour pictures of two labels, a cache of their own, and decoding that always counts as slow."""
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SLOW", 0.0)
    random = np.random.default_rng(0)
    for k in range(6):
        path = tmp_path / "pictures" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (10, 8, 3), np.uint8)).save(path)
    return tmp_path / "pictures"


def kept(tmp_path) -> list:
    return sorted((tmp_path / "cache").glob("*"))


def no_decoding(monkeypatch):
    def fail(*given, **options):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(Image, "open", fail)


def test_the_second_time_nothing_is_decoded(pictures, tmp_path, monkeypatch):
    first = data.load(pictures, size=8, fit="crop")
    assert len(kept(tmp_path)) == 1
    with monkeypatch.context() as patch:
        no_decoding(patch)
        again = data.load(pictures, size=8, fit="crop")
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.names == again.names
    chosen = again.images[np.array([4, 1])]  # what training takes may be changed
    chosen[0] = 0
    np.testing.assert_array_equal(first.images, again.images)


@pytest.mark.parametrize("change", ["size", "fit", "background", "content", "more", "fewer", "renamed"])
def test_other_pictures_or_settings_are_decoded(pictures, tmp_path, change):
    before = data.load(pictures, size=8, fit="crop").images
    asked = {"size": 8, "fit": "crop"}
    path = pictures / "a" / "0.png"
    if change == "content":  # of the same length
        stat = path.stat()
        picture = np.array(Image.open(path))
        Image.fromarray(255 - picture).save(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif change == "more":
        Image.fromarray(np.zeros((10, 8, 3), np.uint8)).save(pictures / "b" / "9.png")
    elif change == "fewer":
        path.unlink()
    elif change == "renamed":
        path.rename(pictures / "b" / "zz.png")
    else:
        asked |= {"size": {"size": 16}, "fit": {"fit": "resize"}, "background": {"background": "white"}}[
            change
        ]
    after = data.load(pictures, **asked).images
    assert len(kept(tmp_path)) == 2
    assert after.shape != before.shape or not np.array_equal(after, before) or change == "background"


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_damaged_cache_is_made_anew(pictures, tmp_path, content):
    before = data.load(pictures, size=8, fit="crop").images
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7] if content is None else content)
    np.testing.assert_array_equal(data.load(pictures, size=8, fit="crop").images, before)
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_error(pictures, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "file" / "below"))
    assert data.load(pictures, size=8, fit="crop").images.shape == (6, 8, 8, 3)
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(
        np, "save", lambda *given, **options: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    assert data.load(pictures, size=8, fit="crop").images.shape == (6, 8, 8, 3)
    assert kept(tmp_path) == []


def test_what_decodes_quickly_is_not_kept(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SLOW", 60.0)
    data.load(pictures, size=8, fit="crop")
    assert kept(tmp_path) == []


def test_the_caches_not_used_for_longest_go(pictures, tmp_path, monkeypatch):
    sizes = (8, 16, 24)
    for k, size in enumerate(sizes):
        data.load(pictures, size=size, fit="crop")
        for path in kept(tmp_path):
            os.utime(path, (k, k)) if path.stat().st_mtime > 100 else None
    data.load(pictures, size=8, fit="crop")  # the oldest, used again
    total = sum(path.stat().st_size for path in kept(tmp_path))
    monkeypatch.setattr(cache, "MOST", total + 200)
    data.load(pictures, size=9, fit="crop")
    lengths = {np.load(path).shape[1] for path in kept(tmp_path)}
    assert 8 in lengths and 9 in lengths and 16 not in lengths
