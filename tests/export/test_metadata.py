"""Recipe -> file -> recipe, and every way in which a file can fail to carry one."""

from __future__ import annotations

import json
import struct
import zlib

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from diffusion_studio.errors import ExportError, OptionError
from diffusion_studio.export import FORMATS, ExportOptions, save
from diffusion_studio.export.metadata import MAX_TEXT, PNG_KEY, read_recipe
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.runs.edits import FromPicture
from diffusion_studio.runs.recipe import Recipe


@pytest.fixture(scope="module")
def exported(tmp_path_factory, grey, recipe):
    folder = tmp_path_factory.mktemp("exported")
    return {
        name: save(grey, folder / f"{name}{known.suffix}", recipe.to_json(), ExportOptions(scale=1), name)
        for name, known in FORMATS.items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_carries_the_recipe(exported, recipe, name):
    assert Recipe.from_file(exported[name]) == recipe


@pytest.mark.parametrize("side", [32, 160])
@pytest.mark.parametrize("name", FORMATS)
def test_pictures_travel_in_every_format(tmp_path, grey, name, side):
    """Noise packs worst: 160 x 160 pixels are more than a command line takes."""
    picture = Picture(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
    made = Recipe(model="m", edit=FromPicture(picture, 0.3))
    assert (len(made.to_json()) > 100_000) == (side == 160)
    file = save(grey, tmp_path / f"a{FORMATS[name].suffix}", made.to_json(), ExportOptions(scale=1), name)
    assert Recipe.from_file(file) == made
    if FORMATS[name].suffix == ".mp4":
        with av.open(str(file)) as film:
            assert sum(1 for _ in film.decode(video=0)) >= len(grey)


@pytest.mark.parametrize("name", FORMATS)
def test_raw_unicode_survives(tmp_path, grey, name):
    """JSON as other programs write it, without \\u escapes."""
    text = json.dumps({"diffusion-studio": 1, "label": "Tür = ; # \\ \" ' 靴 🎨 %d"}, ensure_ascii=False)
    file = save(grey, tmp_path / f"a{FORMATS[name].suffix}", text, ExportOptions(scale=1), name)
    assert read_recipe(file) == text


@pytest.mark.parametrize("name", FORMATS)
def test_the_content_decides_and_not_the_suffix(exported, recipe, tmp_path, name):
    file = tmp_path / "holiday.jpeg"
    file.write_bytes(exported[name].read_bytes())
    assert Recipe.from_file(file) == recipe


def test_other_programs_see_the_recipe(exported, recipe):
    with Image.open(exported["gif"]) as image:
        assert image.info["comment"].decode() == recipe.to_json()
    with Image.open(exported["png"]) as image:
        assert image.text[PNG_KEY] == recipe.to_json()
    with av.open(str(exported["mp4"])) as container:
        assert container.metadata["comment"] == recipe.to_json()


def test_json_with_and_without_a_byte_order_mark(tmp_path, recipe):
    file = tmp_path / "run.json"
    for mark in (b"", b"\xef\xbb\xbf", b"\n  "):
        file.write_bytes(mark + recipe.to_json().encode())
        assert Recipe.from_file(file) == recipe


@pytest.mark.parametrize("kind", ["text", "zip", "itxt", "itxt zipped"])
def test_a_png_that_was_saved_again_with_another_text_chunk(tmp_path, kind):
    text = '{"diffusion-studio": 1, "label": "Tür"}'
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "another")
    if kind.startswith("itxt"):
        info.add_itxt(PNG_KEY, text, zip=kind.endswith("zipped"))
    else:
        info.add_text(PNG_KEY, text, zip=kind == "zip")
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    assert read_recipe(tmp_path / "a.png") == text


def test_a_gif_with_a_second_comment_of_another_program(exported, tmp_path, recipe):
    data = exported["gif"].read_bytes()
    at = data.index(b"!\xfe")
    for comment in (b"made with love", b"{not json", b"[1]", b'{"a": 1}', b"\xff\xfe", b'{"a":' * 50 + b"}"):
        file = tmp_path / "two.gif"
        file.write_bytes(data[:at] + b"!\xfe" + bytes([len(comment)]) + comment + b"\0" + data[at:])
        assert Recipe.from_file(file) == recipe


def plain(kind, folder):
    """A valid file of another program."""
    file = folder / f"plain.{kind}"
    if kind == "mp4":
        with av.open(str(file), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 16
            frame = av.VideoFrame.from_image(Image.new("RGB", (16, 16)))
            for packet in [*stream.encode(frame), *stream.encode()]:
                container.mux(packet)
    else:
        Image.new("L", (4, 4)).save(file)
    return file


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "mp4"])
def test_a_file_of_another_program_carries_no_recipe(tmp_path, kind):
    with pytest.raises(ExportError, match=r"plain\.\w+ carries no recipe.*original file"):
        read_recipe(plain(kind, tmp_path))


@pytest.mark.parametrize("name", {known.suffix: name for name, known in reversed(FORMATS.items())}.values())
def test_a_file_cut_off_anywhere_gives_the_recipe_or_says_what_happened(exported, tmp_path, recipe, name):
    """Never another error, never half a recipe."""
    data = exported[name].read_bytes()
    file = tmp_path / "cut"
    after = failed = 0
    for length in [*range(0, 3000, 13), *range(3000, len(data), max(1, len(data) // 60))]:
        file.write_bytes(data[:length])
        try:
            assert read_recipe(file) == recipe.to_json()
            after += 1
        except ExportError as error:
            failed += 1
            assert "cut" in str(error) or "is empty" in str(error) or length < 12
    assert failed > 20 and (after > 20 or name == "webp")  # whose rules have it at the end
    file.write_bytes(data[:300])
    with pytest.raises(ExportError, match="cut off before its recipe.*download it again"):
        read_recipe(file)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"hello world, this is a text", "is no GIF, MP4, WebP, PNG, HTML or JSON"),
        (b"\xff\xd8\xff\xe0 jpeg jpeg jpeg", "is no GIF, MP4, WebP, PNG, HTML or JSON"),
        (b'{"diffusion-studio": 1, "label": "Sn', "not whole JSON, it may be cut off"),
        (b'{"a": ' * 100_000, "not whole JSON"),
        (b'{"a": "\xff"}', "not whole JSON"),
        (b'{"model": "a"}', "carries no recipe: it lacks the key"),
        (b'{"diffusion-studio": 1, "label": "' + b"x" * MAX_TEXT + b'"}', "a recipe has at most"),
        (b"GIF89a" + b"\1\0\1\0\0\0\0" + b"?" * 30, "is damaged: a GIF has no block of kind 0x3f"),
        (
            struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 3, b"moov") + b"\0" * 20,
            "shorter than its own head",
        ),
        (struct.pack(">I4s", 16, b"ftyp") + b"\0" * 8, "carries no recipe"),
    ],
)
def test_what_is_not_an_export_is_an_error_that_says_so(tmp_path, content, message):
    file = tmp_path / "given.bin"
    file.write_bytes(content)
    with pytest.raises(ExportError, match=message):
        read_recipe(file)


def test_a_compressed_text_may_not_swell_without_end(tmp_path):
    """A bomb of 40 MB in 40 kB is read no further than a recipe can be long."""
    data = PNG_KEY.encode() + b"\0\0" + zlib.compress(b" " * 40_000_000)
    chunk = struct.pack(">I4s", len(data), b"zTXt") + data + b"\0" * 4
    file = tmp_path / "bomb.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I4s", 0, b"IEND") + b"\0" * 4)
    with pytest.raises(ExportError, match="carries no recipe"):
        read_recipe(file)
    file.write_bytes(file.read_bytes().replace(b"\0\0\x78", b"\0\0\xff"))
    with pytest.raises(ExportError, match="is damaged: its compressed text cannot be read"):
        read_recipe(file)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ExportError, match="There is no file .*none.gif.*Check the name"):
        read_recipe(tmp_path / "none.gif")
    with pytest.raises(ExportError, match="Cannot read .*directory"):
        read_recipe(tmp_path)


def test_a_recipe_of_a_later_version_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"diffusion-studio": 99}')
    with pytest.raises(OptionError, match="version 99"):
        Recipe.from_file(tmp_path / "a.json")
