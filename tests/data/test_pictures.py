"""Pictures of every kind that people's folders hold, to 8 bits and to one size; and CIFAR-10's files."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data import ImageData
from diffusion_studio.errors import DataError, OptionError

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (4, 6, 3), np.uint8)  # height 4, width 6
GREY = RANDOM.integers(0, 256, (4, 6), np.uint8)


def loaded(folder, **options) -> np.ndarray:
    return data.load(folder, **options).images[0]


# --- kinds


def test_palette_and_cmyk_become_rgb(tmp_path):
    Image.fromarray(RGB // 64 * 64).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(
        tmp_path / "1.png"
    )
    np.testing.assert_array_equal(loaded(tmp_path), RGB // 64 * 64)
    flat = np.full((8, 8, 3), (200, 30, 90), np.uint8)
    (tmp_path / "1.png").unlink()
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "1.jpg", quality=100)
    assert loaded(tmp_path).shape == (8, 8, 3) and np.abs(loaded(tmp_path).astype(int) - flat).max() <= 4


@pytest.mark.parametrize(
    "background, colour", [("black", (0, 0, 0)), ("white", (255, 255, 255)), ("#0a141e", (10, 20, 30))]
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_laid_on_the_background(tmp_path, mode, background, colour):
    alpha = RANDOM.integers(0, 256, (4, 6), np.uint8)
    if mode == "P":
        index = RANDOM.integers(0, 3, (4, 6), np.uint8)
        picture = Image.fromarray(index).convert("P")
        picture.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
        picture.save(tmp_path / "1.png", transparency=2)
        front, alpha = (
            np.array([[10, 20, 30], [200, 100, 50], [7, 8, 9]])[index],
            np.where(index == 2, 0, 255),
        )
    elif mode == "LA":
        Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]).save(tmp_path / "1.png")
        front = GREY[..., None]
    else:
        Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "1.png")
        front = RGB
    share = alpha[..., None] / 255
    wanted = front * share + np.array(colour) * (1 - share)
    found = loaded(tmp_path, background=background)
    if mode == "LA" and len(set(colour)) == 1:
        assert found.shape == (4, 6, 1)
    assert np.abs(found - wanted).max() <= 0.51


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((4, 6, 3), value, np.uint8)) for value in (40, 200)]
    for suffix in ("gif", "webp", "png"):
        frames[0].save(tmp_path / f"1.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
        assert np.abs(loaded(tmp_path).astype(int) - 40).max() == 0
        (tmp_path / f"1.{suffix}").unlink()


@pytest.mark.parametrize(
    "orientation, turned",
    [(1, RGB), (3, RGB[::-1, ::-1]), (6, RGB.transpose(1, 0, 2)[:, ::-1]), (2, RGB[:, ::-1])],
)
def test_exif_orientation(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(loaded(tmp_path), turned)


def test_deep_pictures(tmp_path):
    wide = RANDOM.integers(0, 65_536, (4, 6)).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "1.tif")
    np.testing.assert_array_equal(loaded(tmp_path)[..., 0], wide >> 8)
    Image.fromarray(np.zeros((4, 6), np.float32)).save(tmp_path / "2.tif")
    Image.fromarray(np.full((4, 6), 70_000, np.int32)).save(tmp_path / "3.tif")
    with pytest.raises(
        DataError,
        match="2 of 3 images cannot be used: .*2.tif: its pixels are floating-point numbers.*3.tif: its "
        "pixels have values below 0 or above 65535",
    ):
        data.load(tmp_path)


# --- sizes


def test_pictures_of_different_sizes_in_a_folder(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "1.png"), Image.fromarray(RGB[:, :4]).save(tmp_path / "2.png")
    found = data.load(tmp_path, size=6, background="white").images
    np.testing.assert_array_equal(found[0, 1:5], RGB)
    np.testing.assert_array_equal(found[1, 1:5, 1:5], RGB[:, :4])
    assert (found[0, [0, 5]] == 255).all() and (found[1][:, [0, 5]] == 255).all()
    with pytest.raises(
        DataError,
        match="2 of 2 images cannot be used: .*1.png: it is 6x4, larger than 3x3; ask for the fit 'crop' or "
        "'resize'",
    ):
        data.load(tmp_path, size=3)
    with pytest.raises(
        DataError,
        match=r"The images have 2 different sizes \(1 of 6x4, 1 of 4x4\). Bring them to one size first, or "
        r"ask",
    ):
        data.load(tmp_path)


@pytest.mark.parametrize("source", ["folder", "npz"])
def test_crop_keeps_the_middle_and_resize_the_whole(tmp_path, source):
    """A picture of three broad stripes, 24 wide and 8 high: crop sees the middle one, resize all three,
    smaller.
    """
    wide = np.repeat(np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8), 8, axis=0)[None].repeat(
        8, axis=0
    )
    if source == "npz":
        np.savez(tmp_path / "set.npz", images=wide[None])
        tmp_path = tmp_path / "set.npz"
    else:
        Image.fromarray(wide).save(tmp_path / "1.png")
    crop = loaded(tmp_path, size=8, fit="crop")
    np.testing.assert_array_equal(crop, wide[:, 8:16])
    small = loaded(tmp_path, size=4, fit="crop")
    assert small.shape == (4, 4, 3) and np.abs(small[:, 1:3].astype(int) - (0, 250, 0)).max() < 12
    whole = loaded(tmp_path, size=12, fit="resize", background="grey")
    assert whole.shape == (12, 12, 3) and (whole[:4] == 128).all() and (whole[8:] == 128).all()
    assert [int(whole[6, x].argmax()) for x in (1, 6, 10)] == [0, 1, 2]
    large = loaded(tmp_path, size=16, fit="crop")
    assert large.shape == (16, 16, 3) and np.abs(large[:, 4:12].astype(int) - (0, 250, 0)).max() < 12


@pytest.mark.parametrize("shape", [(2, 1, 9, 1), (1, 50, 3, 3), (3, 5, 5, 1)])
@pytest.mark.parametrize("fit", ["crop", "resize"])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_odd_sizes(shape, fit, size):
    images = RANDOM.integers(0, 256, shape, np.uint8)
    assert ImageData(images, None, ()).fitted(size, fit).images.shape == (shape[0], size, size, shape[3])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fit": "squeeze"}, "There is no fit 'squeeze'. Choose one of: pad, crop, resize"),
        ({"background": "pink"}, "A background is black, grey, white or #rrggbb, got 'pink'"),
        ({"background": "#12345"}, "or #rrggbb, got '#12345'"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        data.load(tmp_path, **options)


# --- CIFAR-10


def records(count: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    """As on the authors' page: a label byte, then 1024 red, 1024 green, 1024 blue, row by row."""
    images = RANDOM.integers(0, 256, (count, 32, 32, 3), np.uint8)
    labels = RANDOM.integers(0, 10, count).astype(np.uint8)
    return (
        b"".join(
            bytes([label]) + b"".join(image[..., c].tobytes() for c in range(3))
            for label, image in zip(labels, images)
        ),
        images,
        labels,
    )


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar_binary(tmp_path, inside):
    (tmp_path / inside).mkdir(exist_ok=True)
    made = {
        name: records(count)
        for name, count in (("data_batch_1.bin", 3), ("data_batch_2.bin", 2), ("test_batch.bin", 4))
    }
    for name, (content, _, _) in made.items():
        (tmp_path / inside / name).write_bytes(content)
    found = data.load(tmp_path)
    np.testing.assert_array_equal(
        found.images, np.concatenate([made["data_batch_1.bin"][1], made["data_batch_2.bin"][1]])
    )
    assert (
        found.labels.tolist() == [*made["data_batch_1.bin"][2], *made["data_batch_2.bin"][2]]
        and found.names[3] == "cat"
    )
    np.testing.assert_array_equal(data.load(tmp_path, "test").images, made["test_batch.bin"][1])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "has 0 bytes, no multiple of 3073"),
        (b"\0" * 3074, "has 3,074 bytes, no multiple of 3073"),
        (b"\x0a" + b"\0" * 3072, "has a label 10; CIFAR-10's go up to 9"),
    ],
)
def test_broken_cifar_binary(tmp_path, content, message):
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path)
    with pytest.raises(DataError, match="has no file test_batch.bin"):
        data.load(tmp_path, "test")


def sheets(path, images, labels, **more):
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(0, len(images), 100):
            sheet = images[k : k + 100].reshape(10, 10, 8, 8, 3).swapaxes(1, 2).reshape(80, 80, 3)
            Image.fromarray(sheet).save(held := io.BytesIO(), "WEBP", lossless=True)
            archive.writestr(f"train_{k // 100:03}.webp", held.getvalue())
        np.save(held := io.BytesIO(), labels)
        archive.writestr("train_labels.npy", held.getvalue())
        for name, content in more.items():
            archive.writestr(name.replace("_txt", ".txt"), content)


def test_sheets_in_a_zip(tmp_path):
    images, labels = RANDOM.integers(0, 256, (200, 8, 8, 3), np.uint8), np.arange(200) % 3
    sheets(tmp_path / "set.zip", images, labels, classes_txt="cat dog owl")
    found = data.load(tmp_path / "set.zip")
    np.testing.assert_array_equal(found.images, images)
    assert found.labels.tolist() == labels.tolist() and found.names == ("cat", "dog", "owl")
    with pytest.raises(
        DataError, match=r"has no sheets test_\*.webp with test_labels.npy. Unpack it, and give the folder"
    ):
        data.load(tmp_path / "set.zip", "test")
    sheets(tmp_path / "few.zip", images, labels[:3])
    with pytest.raises(DataError, match=r"train_labels.npy in .* is int64 \(3,\) for 200 images"):
        data.load(tmp_path / "few.zip")
    whole = (tmp_path / "set.zip").read_bytes()
    (tmp_path / "set.zip").write_bytes(whole[:5000])
    with pytest.raises(DataError, match="set.zip cannot be read: .* Download it again"):
        data.load(tmp_path / "set.zip")
