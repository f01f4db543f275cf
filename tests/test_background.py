"""What transparent parts of a given picture are laid on: the background that the model was trained on, which
its header says.

The right values are alpha blending's: front * alpha + background * (1 - alpha)."""

from __future__ import annotations

import json
import shutil

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData
from PIL import Image
from rendered_controls import render_outside_drawer

import diffusion_studio as ds
from diffusion_studio.checkpoint import native
from diffusion_studio.checkpoint.spec import ModelSpec
from diffusion_studio.cli import main
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.ui.controls import RecipeControls

YELLOW = (250, 200, 10)


@pytest.fixture
def clear(tmp_path):
    """A yellow square of 4x4 in the middle of 8x8 transparent pixels, which are black in the file."""
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[2:6, 2:6] = (*YELLOW, 255)
    Image.fromarray(picture).save(tmp_path / "clear.png")
    return tmp_path / "clear.png"


@pytest.fixture
def white(write_checkpoint):
    """A colour model that was trained on white."""
    return write_checkpoint(
        "white",
        background="white",
        network={"in_channels": 3, "out_channels": 3},
        defaults={"steps": 2, "count": 1},
    )


def on(colour) -> np.ndarray:
    wanted = np.full((8, 8, 3), colour, np.uint8)
    wanted[2:6, 2:6] = YELLOW
    return wanted


def test_a_picture_is_laid_on_the_background_and_it_is_said(clear, tmp_path):
    for name, colour in (("black", 0), ("white", 255), ("#0a141e", (10, 20, 30))):
        picture, said = Picture.opened(clear, name)
        np.testing.assert_array_equal(picture.pixels, on(colour))
        assert said == f"its transparent parts are laid on {name}" and Picture.open(clear, name) == picture
    Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(tmp_path / "opaque.png")
    assert Picture.opened(tmp_path / "opaque.png", "white")[1] == ""
    with pytest.raises(OptionError, match="A background is black, grey, white or #rrggbb, got 'pink'"):
        Picture.open(clear, "pink")


def test_what_a_fit_leaves_is_filled_with_the_background():
    picture = Picture(np.full((4, 8, 3), 100, np.uint8))
    for fit in ("pad", "resize"):
        made = picture.fitted(8, 3, fit, "white").pixels
        assert (made[[0, 1, 6, 7]] == 255).all() and (made[2:6] == 100).all()
    assert (picture.fitted(8, 3, "pad").pixels[[0, 7]] == 0).all()


def test_a_header_without_a_background_means_black_and_stays_as_it_is(write_checkpoint, white):
    plain = write_checkpoint("plain")
    spec = native.read_spec(plain)
    assert spec.background == "black" and "background" not in json.loads(spec.to_json())
    assert native.read_spec(white).background == "white"
    assert ModelSpec.from_json(native.read_spec(white).to_json()) == native.read_spec(white)
    given = json.loads(spec.to_json())
    with pytest.raises(OptionError, match="A background is black"):
        ModelSpec.from_json(json.dumps({**given, "background": "paper"}))


def test_the_bundled_emoji_were_trained_on_white():
    """As the recipe beside it says."""
    assert (
        ds.Studio().card("emoji").spec.background
        == ds.read_config("checkpoints/emoji/recipe.toml").background
        == "white"
    )


@pytest.mark.parametrize(
    "edit",
    [[], ["--edit", "invert", "--sampler", "ddim"], ["--mask", "mask.png"]],
    ids=["edit", "invert", "inpaint"],
)
def test_the_command_line_lays_it_on_the_model_s_background(clear, white, tmp_path, capfd, edit, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("mask.png")
    assert (
        main(
            [
                "generate",
                "white",
                "--checkpoints",
                str(white.parents[1]),
                "--picture",
                str(clear),
                *edit,
                "--guidance",
                "1",
                "--out",
                "out.gif",
            ]
        )
        == 0
    )
    assert (
        "clear.png: its transparent parts are laid on white, the background of white."
        in capfd.readouterr().err
    )
    assert np.array_equal(ds.Recipe.from_file("out.gif").edit.picture.pixels, on(255))


@pytest.fixture
def controls(white, write_checkpoint, tmp_path):
    with gr.Blocks():
        made = RecipeControls(ds.Studio(tmp_path / "checkpoints", "cpu", "fp32"))
        render_outside_drawer(made)
        made.render_rest()
        made.editing.connect(made.model, made.prompt, made.label)
    return made


def test_the_page_lays_it_on_the_model_s_background_and_says_so(controls, clear):
    editing = controls.editing
    found = {one: one.value for one in controls.inputs()} | {
        controls.model: "white",
        editing.kind: "picture",
        editing.pictures["picture"]: str(clear),
    }
    assert np.array_equal(controls.recipe(found).edit.picture.pixels, on(255))
    assert (
        editing._picture_remarks(found)
        == "<p>Picture: its transparent parts are laid on white, the background of white.</p>"
    )
    Image.new("RGB", (20, 10)).save(clear)
    assert "Picture: it is 20x10, brought to 8x8 by crop: scaled until" in editing._picture_remarks(found)
    assert editing._picture_remarks({**found, editing.kind: "none"}) == ""


def test_what_pillow_cannot_open_is_a_sentence_wherever_it_comes(controls, tmp_path, white, capsys):
    """Gradio would open it before our code does, and end the run without a word."""
    fake = tmp_path / "fake.tif"
    fake.write_bytes(b"II*\0 no picture")
    image = controls.editing.pictures["picture"]
    assert (
        image.preprocess(ImageData(path=str(fake), orig_name="fake.tif")) == str(fake)
        and image.preprocess(None) is None
    )
    found = {one: one.value for one in controls.inputs()} | {
        controls.model: "white",
        controls.editing.kind: "picture",
        image: str(fake),
    }
    with pytest.raises(
        DataError, match="fake.tif is not a picture in a known format. Choose a PNG, JPEG, WebP or GIF"
    ):
        controls.recipe(found)
    assert "fake.tif is not a picture in a known format" in controls.editing._picture_remarks(found)
    assert main(["generate", "white", "--checkpoints", str(white.parents[1]), "--picture", str(fake)]) == 2
    assert "fake.tif is not a picture in a known format" in capsys.readouterr().err


def test_eight_bits_in_a_wide_picture_are_not_black(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (4, 4))
    for dtype in (np.uint16, np.int32):
        Image.fromarray(grey.astype(dtype)).save(tmp_path / "wide.tif")
        assert np.array_equal(Picture.open(tmp_path / "wide.tif").pixels[..., 0], grey)
    Image.fromarray((grey * 257).astype(np.uint16)).save(tmp_path / "wide.tif")
    assert np.array_equal(Picture.open(tmp_path / "wide.tif").pixels[..., 0], grey)


def test_measuring_lays_real_pictures_on_the_model_s_background(white, tmp_path, clear):
    """Examples for what a file leaves open, and the data that `evaluate` compares with."""
    from diffusion_studio.metrics.picture_evaluation import PictureEvaluation
    from diffusion_studio.models.calibrate import pictures_for

    folder = tmp_path / "examples"
    folder.mkdir()
    shutil.copy(clear, folder)
    spec = native.read_spec(white)
    shown = pictures_for(folder, spec)
    assert shown.shape == (1, 3, 8, 8) and shown[0, :, 0, 0].tolist() == [1, 1, 1]
    session = PictureEvaluation.__new__(PictureEvaluation)  # of which `_pictures` needs two fields alone
    session.config, session.model = ds.EvalConfig(data=str(folder)), ds.load(white.parent, "cpu")
    np.testing.assert_array_equal(session._pictures("train").images[0], on(255))
