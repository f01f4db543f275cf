"""Pictures with damaged metadata, odd file names or unusual bit depths, each after a public report."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from diffusion_studio import data
from diffusion_studio.data.summary import summary
from diffusion_studio.errors import DataError
from diffusion_studio.imaging.picture import Picture

CORNERS = np.zeros((16, 24, 3), np.uint8)
CORNERS[:8, :12], CORNERS[8:, 12:] = (250, 20, 20), (20, 20, 250)
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation, stored", STORED.items())
def test_every_orientation_of_a_jpeg(tmp_path, orientation, stored):
    """kohya-ss/sd-scripts#1316: trained on photographs lying on their side. `stored` undoes what the EXIF
    standard says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(CORNERS)
    (picture if stored is None else picture.transpose(stored)).save(
        tmp_path / "0.jpg", exif=exif, quality=95, subsampling=0
    )
    found = data.load(tmp_path)
    assert np.abs(found.images[0].astype(int) - CORNERS).max() <= 3
    assert ("1 turned as their EXIF says" in str(summary(found, "set"))) == (orientation != 1)


def jpeg_with(marker: bytes) -> bytes:
    """A JPEG with this content of an APP1 segment."""
    out = io.BytesIO()
    Image.fromarray(CORNERS).save(out, "jpeg", quality=95, subsampling=0)
    raw = out.getvalue()
    return raw[:2] + b"\xff\xe1" + struct.pack(">H", len(marker) + 2) + marker + raw[2:]


# A TIFF directory of two entries: orientation 6, and a shutter speed of -5 / 0
DAMAGED_RATIONAL = (
    b"Exif\0\0II*\0\x08\0\0\0"
    + struct.pack("<HHHIHH", 2, 0x0112, 3, 1, 6, 0)
    + struct.pack("<HHIII", 0x9201, 10, 1, 38, 0)
    + struct.pack("<ii", -5, 0)
)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "marker, wanted",
    [
        (b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>\xa8\xff\xfe</x:xmpmeta>", CORNERS),
        (b"Exif\0\0garbage!!", CORNERS),
        (DAMAGED_RATIONAL, CORNERS.transpose(1, 0, 2)[:, ::-1]),
    ],
    ids=["XMP that is not UTF-8", "no TIFF header", "a rational that cannot be written"],
)
def test_damaged_notes_are_no_reason_to_refuse_the_pixels(tmp_path, marker, wanted):
    """huggingface/datasets#7668 and #8173: one such picture ended the training. It is still turned as far as
    is known."""
    (tmp_path / "0.jpg").write_bytes(jpeg_with(marker))
    found = data.load(tmp_path)
    assert found.images[0].shape == wanted.shape and np.abs(found.images[0].astype(int) - wanted).max() <= 3
    assert Picture.open(tmp_path / "0.jpg").size == wanted.shape[1::-1]


def png16(colour_type: int, pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, after the standard: filter 0 before each row."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("colour_type, channels", [(2, 3), (6, 4)], ids=["RGB", "RGBA"])
def test_sixteen_bits_of_colour(tmp_path, colour_type, channels):
    """junyanz/pytorch-CycleGAN-and-pix2pix#321: all black. With 8-bit values in them they are refused, as
    Pillow keeps the upper 8 bits alone."""
    pixel = np.array([51_400, 2_570, 25_700, 65_535][:channels])
    (tmp_path / "0.png").write_bytes(png16(colour_type, np.broadcast_to(pixel, (4, 4, channels))))
    assert data.load(tmp_path).images[0, 0, 0].tolist() == [200, 10, 100]
    pixel = np.array([200, 10, 100, 65_535][:channels])
    (tmp_path / "0.png").write_bytes(png16(colour_type, np.broadcast_to(pixel, (4, 4, channels))))
    with pytest.raises(
        DataError, match="1 images of 16 bits a channel are black all over, as 8-bit values in 16 bits are"
    ):
        data.load(tmp_path)
    with pytest.raises(
        DataError, match="0.png cannot be used: it has 16 bits a channel and is black all over"
    ):
        Picture.open(tmp_path / "0.png")


@pytest.mark.parametrize(
    "on_disk, in_table",
    [(unicodedata.normalize("NFD", "ärger.png"), "ärger.png"), ("A.PNG", "a.png")],
    ids=["normal forms", "letter case"],
)
def test_names_that_another_system_spells_otherwise(tmp_path, on_disk, in_table):
    """llmsresearch/paperbanana#234: macOS takes accents apart, and rows of the table were skipped."""
    Image.fromarray(CORNERS).save(tmp_path / on_disk)
    (tmp_path / "captions.csv").write_text(f"file_name,caption\n{in_table},x\n", "utf-8")
    assert data.load(tmp_path).captions == (("x",),)


def test_names_that_are_told_apart_by_case_alone_are_not_mixed_up(tmp_path):
    for name in ("A.png", "a.png"):
        Image.fromarray(CORNERS).save(tmp_path / name)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this system does not tell letter case apart")
    (tmp_path / "captions.csv").write_text("file_name,caption\nA.png,large\na.png,small\n")
    assert data.load(tmp_path).captions == (("large",), ("small",))


def test_a_picture_called_train_is_a_picture(tmp_path):
    """huggingface/datasets#7201: of a flat folder only train.png was loaded."""
    for name in ("pika.png", "train.png", "test.png"):
        Image.fromarray(CORNERS).save(tmp_path / name)
    assert len(data.load(tmp_path).images) == 3


def test_a_folder_around_all_labels_is_taken_off(tmp_path):
    """As in zips. kohya's layout has img/40_name/: every picture got the one label img."""
    for name in ("img/40_a b/0", "img/10_c/1"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(CORNERS).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.caption").write_text("x")
    found = data.load(tmp_path)
    assert found.names == ("10_c", "40_a b") and found.captions == (("x",), ("x",))


def test_pictures_inside_an_archive_are_said_to_be_there(tmp_path):
    """huggingface/datasets#5761: a table beside images.zip."""
    (tmp_path / "images.zip").write_bytes(b"PK")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}')
    with pytest.raises(DataError, match=r"it holds 1 .zip file \(images.zip\). Unpack archives first"):
        data.load(tmp_path)


def test_two_pictures_of_one_stem_share_their_text_and_it_is_said(tmp_path):
    for name in ("0.png", "0.bmp", "1.png"):
        Image.fromarray(CORNERS).save(tmp_path / name)
    (tmp_path / "0.txt").write_text("zero"), (tmp_path / "1.txt").write_text("one")
    found = data.load(tmp_path)
    assert found.captions == (("zero",), ("zero",), ("one",)) and "2 pictures share 1 of the texts" in str(
        summary(found, "set")
    )


def test_a_quoted_text_behind_a_space(tmp_path):
    """As people write tables by hand."""
    Image.fromarray(CORNERS).save(tmp_path / "0.png")
    (tmp_path / "captions.csv").write_text('file_name, caption\n0.png, "a cat, black"\n')
    assert data.load(tmp_path).captions == (("a cat, black",),)


def test_a_picture_of_too_many_pixels_is_said_to_be_one(tmp_path, monkeypatch, recwarn):
    """lyuwenyu/RT-DETR#337 and others: "could be decompression bomb DOS attack" in the middle of a training."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name, side in (("0.png", 12), ("1.png", 16)):
        Image.new("L", (side, side)).save(tmp_path / name)
    with pytest.raises(DataError, match="1 of 2 .*1.png: it has more than 200 pixels.*; make it smaller.$"):
        data.load(tmp_path)
    (tmp_path / "1.png").unlink()
    assert data.load(tmp_path).images.shape == (1, 12, 12, 1) and not recwarn.list


@pytest.mark.parametrize(
    "names, said",
    [
        (("cat_0", "cat_1", "dog_0", "dog_1"), "begin like labels (cat_ 2, dog_ 2), which are not read"),
        (("cat_0", "cat_1", "dog_0"), None),
        (("img_0", "img_1", "img_2"), None),
        (("cat_0", "cat_1", "dog0", "dog1"), None),
        (("1_0", "1_1", "2_0", "2_1"), None),
    ],
)
def test_labels_in_the_names_are_not_read_and_it_is_said(tmp_path, names, said):
    """openai/guided-diffusion#95: that program takes what stands before "_" for the label."""
    for name in names:
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    line = str(summary(data.load(tmp_path), "set"))
    assert "no labels" in line and (said in line if said else "begin like labels" not in line)
    for name in names:
        (tmp_path / f"{name}.txt").write_text("x")
    assert "begin like labels" not in str(summary(data.load(tmp_path), "set"))
