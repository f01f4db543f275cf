"""Pictures and edits as values of a recipe: equality, lossless storage, limits, and as a command with its
files.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import shlex
import struct
import zlib
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.cli.generate import recipe_from_flags
from diffusion_studio.cli.parser import build_parser
from diffusion_studio.diffusion.samplers import DDPM
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.imaging.picture import MAX_SIDE, Picture
from diffusion_studio.options import fields_of
from diffusion_studio.runs.branch import MAX_BRANCHES, Branch
from diffusion_studio.runs.edits import (
    EDITS,
    FromPicture,
    Inpaint,
    Interpolate,
    Invert,
    Morph,
    Travel,
    edit_json,
    edit_of,
)
from diffusion_studio.runs.recipe import REGISTRIES, Recipe

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(0)
GREY, OTHER = (Picture(RANDOM.integers(0, 256, (32, 32, 1), dtype=np.uint8)) for _ in range(2))
RGB = Picture(RANDOM.integers(0, 256, (7, 9, 3), dtype=np.uint8))
MASK = Picture(np.where(RANDOM.random((32, 32)) < 0.5, 255, 0).astype(np.uint8))
BASE = Recipe(model="fashion-mnist", label="Bag", seeds=(3,), steps=4)
SEVERAL = replace(BASE, seeds=(3, 4, 9))
RECIPES = [
    replace(BASE, edit=FromPicture(GREY, 0.25)),
    replace(SEVERAL, edit=Inpaint(GREY, MASK, jumps=3, jump_length=2)),
    replace(BASE, edit=Invert(GREY, 0.5, source_label="-Shirt")),
    replace(SEVERAL, edit=Interpolate(film=5, loop=True)),
    replace(BASE, edit=Morph(GREY, OTHER, source_prompt="a 'shoe'")),
    BASE.continued(2, label="Shirt"),
    BASE.continued(0, seeds=(1, 2)),
    replace(BASE, edit=Travel("Bag | any | -Shirt", film=7, loop=True)),
    replace(SEVERAL, edit=Inpaint(GREY, MASK)).continued(1, sampler=DDPM()).continued(3, guidance=2.0),
    replace(BASE, edit=Invert(GREY)).continued(1, edit=Inpaint(OTHER, MASK)),
]


# --- pictures


@pytest.mark.parametrize("picture", [GREY, RGB, MASK], ids=str)
def test_a_picture_is_a_value(picture):
    again = Picture.from_text(picture.to_text())
    assert again == picture and hash(again) == hash(picture) and np.array_equal(again.pixels, picture.pixels)
    assert deepcopy(picture) == pickle.loads(pickle.dumps(picture)) == picture and repr(picture).startswith(
        "<Picture "
    )
    assert picture != OTHER and Picture(255 - picture.pixels).name != picture.name
    with pytest.raises(ValueError, match="read-only"):
        picture.pixels[0] = 0
    with pytest.raises(AttributeError, match="is immutable"):
        picture.pixels = OTHER.pixels


def test_a_picture_keeps_nothing_of_its_callers_array():
    given = np.zeros((4, 4), np.uint8)
    picture = Picture(given)
    given[:] = 9
    assert not picture.pixels.any() and picture.pixels.shape == (4, 4, 1) and picture.size == (4, 4)


@pytest.mark.parametrize(
    "given",
    [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_picture(given):
    with pytest.raises(OptionError, match="A picture is an array of uint8"):
        Picture(given)


def png(picture: Image.Image, **options) -> str:
    packed = io.BytesIO()
    picture.save(packed, "PNG", **options)
    return base64.b64encode(packed.getvalue()).decode()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claims(width: int, height: int) -> str:
    """A PNG of a hundred bytes that says it is large."""
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body += chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "this one is not a PNG file"),
        ("hello", "a PNG file in base64, got 'hello'"),
        ("aGVsbG8=", "this one is not a PNG file"),
        ("x" * (7 << 20), "at most 6,291,456 characters"),
        (claims(60_000, 60_000), "this one has 60000 x 60000"),
        (claims(MAX_SIDE + 1, 4), f"at most {MAX_SIDE} x {MAX_SIDE} pixels"),
        (claims(0, 4), "this one has 0 x 4"),
        (claims(500, 500), "damaged or cut off"),
        (png(Image.new("RGBA", (4, 4))), "colour type 6"),
        (png(Image.new("P", (4, 4))), "PNG's colour type 3"),
        (png(Image.new("I;16", (4, 4))), "16 bits"),
    ],
    ids=lambda value: value[:30],
)
def test_texts_that_are_no_picture_of_a_recipe(text, message):
    with pytest.raises(OptionError, match=message):
        FromPicture(text)


def test_files_are_opened_with_care(tmp_path):
    Image.new("RGBA", (9, 7), (255, 0, 0, 128)).save(tmp_path / "half.png")
    assert np.array_equal(Picture.open(tmp_path / "half.png").pixels[0, 0], [128, 0, 0])
    Image.new("L", (640, 480), 7).save(tmp_path / "grey.jpg")
    assert Picture.open(tmp_path / "grey.jpg").fitted(32, 3) == Picture(np.full((32, 32, 3), 7, np.uint8))
    assert Picture.open(tmp_path / "half.png").fitted(32, 1, "pad").pixels.shape == (32, 32, 1)
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes(GREY.png()[:200])
    (tmp_path / "bomb.png").write_bytes(base64.b64decode(claims(30_000, 30_000)))
    for name, message in (
        ("no.png", "There is no file"),
        ("text.png", "text.png is not a picture in a known format"),
        ("cut.png", "cut.png is damaged or cut off"),
        ("bomb.png", "30000 x 30000|too many pixels"),
        (".", "Cannot read"),
    ):
        with pytest.raises(DataError, match=message):
            Picture.open(tmp_path / name)
    with pytest.raises(DataError, match="larger than 32x32; ask for the fit 'crop' or 'resize'"):
        Picture.open(tmp_path / "grey.jpg").fitted(32, 1, "pad")
    with pytest.raises(OptionError, match="There is no fit 'stretch'"):
        GREY.fitted(32, 1, "stretch")


# --- edits and branches in recipes


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipes_with_edits_round_trip(recipe):
    text = recipe.to_json()
    again = Recipe.from_json(text)
    assert again == recipe and hash(again) == hash(recipe) and "\n" not in text and again.to_json() == text
    assert again != replace(recipe, edit=None, branch=None)


def test_recipes_without_edits_say_nothing_of_them():
    assert not {"edit", "branch"} & json.loads(BASE.to_json()).keys()


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_command_and_its_files_make_the_recipe(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, data in recipe.files().items():
        (tmp_path / name).write_bytes(data)
    args = build_parser().parse_args(shlex.split(recipe.to_command())[1:])
    assert recipe_from_flags(args, ds.Studio(ROOT / "checkpoints")) == recipe
    assert capsys.readouterr().err == ""  # nothing had to be brought to another size


def test_an_edit_is_given_as_itself_or_as_json():
    for recipe in RECIPES:
        if recipe.edit is not None:
            assert edit_of(edit_json(recipe.edit)) == recipe.edit
    assert Recipe.from_settings(
        {"edit": {"name": "interpolate", "film": 4}, "seeds": (1, 2)}
    ).edit == Interpolate(4)


def test_flags_of_edits_clash_with_no_other():
    names = {
        one.name for registry in REGISTRIES.values() for cls in registry.values() for one in fields_of(cls)
    }
    assert not names & {one.name for cls in EDITS.values() for one in fields_of(cls)}


def test_a_defaults_count_yields_where_no_seed_matters():
    base = {"model": "m", "seeds": (0, 1, 2, 3)}
    assert Recipe.from_settings({"edit": Invert(GREY)}, base).seeds == (0,)
    assert Recipe.from_settings({"edit": FromPicture(GREY)}, base).seeds == (0, 1, 2, 3)


@pytest.mark.parametrize(
    "recipe, count",
    [
        (BASE, 1),
        (SEVERAL, 3),
        (replace(SEVERAL, edit=Interpolate(7)), 7),
        (replace(BASE, edit=Morph(GREY, OTHER, film=9)), 9),
        (BASE.continued(1, seeds=(1, 2)), 2),
        (replace(SEVERAL, edit=Interpolate(7)).continued(2), 7),
    ],
    ids=str,
)
def test_how_many_pictures_a_run_makes(recipe, count):
    assert recipe.pictures == count


def nested(levels: int) -> dict:
    given = json.loads(BASE.to_json())
    for _ in range(levels):
        given = {**json.loads(BASE.to_json()), "branch": {"recipe": given, "at": 1}}
    return given


def test_branches_of_branches_end_somewhere():
    assert Recipe.from_json(json.dumps(nested(MAX_BRANCHES))).branch is not None
    for levels in (MAX_BRANCHES + 1, 150):
        with pytest.raises(OptionError, match="At most 8 recipes continue each other"):
            Recipe.from_json(json.dumps(nested(levels)))
    recipe = BASE
    with pytest.raises(OptionError, match="At most 8 recipes continue each other"):
        for _ in range(MAX_BRANCHES + 1):
            recipe = recipe.continued(1)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: FromPicture(), "Start from a picture: the picture is missing"),
        (lambda: FromPicture(GREY, 0), "strength must be a finite number from 0.01 to 1, got 0"),
        (lambda: FromPicture(3), "The picture must be a Picture, got 3"),
        (
            lambda: FromPicture(Picture(np.zeros((2000, 4), np.uint8))),
            "4x2000 grey; a recipe carries up to 1024",
        ),
        (lambda: Inpaint(GREY), "the mask is missing"),
        (
            lambda: Inpaint(GREY, Picture(np.full((16, 16), 255, np.uint8))),
            "The mask is 16x16 grey and the picture 32x32 grey. Give a mask",
        ),
        (
            lambda: Inpaint(GREY, Picture(np.zeros((32, 32), np.uint8))),
            "all black, so nothing would be drawn anew",
        ),
        (lambda: Inpaint(GREY, Picture(np.zeros((32, 32, 3), np.uint8))), "A mask is grey, got 32x32 RGB"),
        (lambda: Inpaint(GREY, MASK, jumps=21), "jumps must be a whole number from 1 to 20"),
        (lambda: Morph(GREY, RGB), "begins with a picture of 32x32 grey and ends with one of 9x7 RGB"),
        (
            lambda: Travel("cat"),
            "takes 2 to 16 stops with | between them, such as 'cat face | owl', got 'cat'",
        ),
        (lambda: Travel("cat | | owl"), "takes 2 to 16 stops"),
        (lambda: Travel("a|" * 16 + "b"), "takes 2 to 16 stops"),
        (lambda: Travel("a" * 1999 + "|b"), "more than 2,000 letters"),
        (lambda: Recipe(seeds=(1, 2), edit=Travel("a | b")), "it takes one seed, got 2"),
        (lambda: Interpolate(65), "film must be a whole number from 2 to 64, got 65"),
        (lambda: Invert(GREY, source_prompt="x" * 2001), "source_prompt has more than 2,000 letters"),
        (lambda: Recipe(edit="inpant"), "There is no edit 'inpant'.*Did you mean 'inpaint'"),
        (
            lambda: Recipe(edit={"name": "picture", "pictur": "x"}),
            "There is no option of the edit 'picture' 'pictur'",
        ),
        (
            lambda: Recipe(edit=3),
            "edit must be a name, or an object with a name and its options, got 3. Choose one of: picture",
        ),
        (lambda: Recipe(seeds=(1, 2), edit=Invert(GREY)), "it takes one seed, got 2. Give one"),
        (lambda: Recipe(edit=Interpolate()), "needs at least two seeds"),
        (lambda: Recipe(branch=3), "A branch is a recipe and the state from which to go on, got 3"),
        (lambda: Recipe(branch=Branch("m", 3)), "A branch continues a recipe, got 'm'"),
        (lambda: Branch(BASE, -1), "branch.at must be a whole number from 0"),
        (lambda: Recipe(branch={"recipe": {"steps": 3}, "at": 1}), "without the key 'diffusion-studio'"),
        (lambda: Recipe(branch={"at": 1}), "Not a valid Branch"),
        (
            lambda: BASE.continued(1, model="other"),
            "The run to continue was made by 'fashion-mnist', and its continuation asks for 'other'",
        ),
        (
            lambda: BASE.continued(1, edit=FromPicture(GREY)),
            "starts from a state of it. Leave the edit out",
        ),
        (lambda: BASE.continued(1, edit=Inpaint(GREY, MASK, strength=0.5)), "in-painting with strength 1"),
        (lambda: SEVERAL.continued(1, seeds=(1, 2)), "has 3 pictures, and 2 other seeds were given"),
        (
            lambda: replace(SEVERAL, edit=Interpolate(3)).continued(1, seeds=(1, 2, 3)),
            "has 3 pictures, and 3 other seeds were given",
        ),
    ],
)
def test_edits_that_cannot_be(make, message):
    with pytest.raises(OptionError, match=message):
        make()
