"""A text that is written with one picture for each letter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.errors import OptionError
from diffusion_studio.runs import each_picture
from diffusion_studio.runs.branch import Branch
from diffusion_studio.runs.edits import Interpolate, Travel
from diffusion_studio.runs.recipe import Recipe


def spelling(text: str, **more) -> Recipe:
    return Recipe.from_settings({"spell": text, **more}, {"model": "letters", "steps": 2})


def test_a_text_asks_for_a_picture_of_each_letter():
    recipe = spelling("  Ada \n Love  1 ")
    assert recipe.spell == "Ada\nLove 1"
    assert recipe.each_label == ("A", "d", "a", "L", "o", "v", "e", "1")
    assert recipe.seeds == tuple(range(8)) and recipe.pictures == 8 and recipe.label is None
    assert (recipe.layout.rows, recipe.layout.columns) == (2, 6)
    assert recipe.layout.places[-1] == (1, 5) and recipe.layout.places[3] == (1, 0)
    assert spelling("Ada\\nLove 1") == recipe  # as it is typed on a command line
    assert Recipe().layout is None


def test_equal_seeds_are_kept():
    assert spelling("Ada", seeds=(7, 7, 7)).seeds == (7, 7, 7)


@pytest.mark.parametrize("text", ["", " \n", None])
def test_nothing_to_spell_is_no_text(text):
    assert Recipe(spell=text) == Recipe()


def test_a_single_letter_is_a_label():
    assert spelling("Q") == Recipe(model="letters", steps=2, label="Q")


@pytest.mark.parametrize("text", ["Ada", "Ada\nLovelace", "a -b", "--seed"])
def test_round_trips(text):
    recipe = spelling(text, prompt="red serif")
    assert (
        Recipe.from_json(recipe.to_json()) == recipe == replace(recipe) and '"labels"' not in recipe.to_json()
    )
    assert ds.Recipe.from_settings({}, {name: getattr(recipe, name) for name in vars(recipe)}) == recipe


def test_another_label_or_text_takes_its_place():
    recipe = spelling("Ada")
    base = {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}
    assert Recipe.from_settings({"label": "B"}, base).spell is None
    assert Recipe.from_settings({"labels": ("B", "C", "D")}, base).each_label == ("B", "C", "D")
    longer = Recipe.from_settings({"spell": "Grace"}, base)
    assert longer.each_label == tuple("Grace") and len(longer.seeds) == 5
    assert recipe.continued(1, label="B").layout is None and recipe.continued(1, steps=2).spell == "Ada"
    assert replace(recipe, change={"step": 1, "label": "B"}).changed().each_label == ("B",) * 3


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: spelling("Ada", label="B"), "'Ada' says the label of each picture"),
        (lambda: spelling("Ada", labels=("A", "d", "b")), "says the label of each picture"),
        (lambda: spelling("Ada", seeds=(1, 2)), "'Ada' has 3 letters, and the run 2 pictures"),
        (lambda: spelling("x" * 65), "has 65 letters, and the run 1 picture. Ask for .* up to 64"),
        (lambda: spelling("Ada", edit=Travel(stops="A | B", film=3)), "Leave spell out"),
        (
            lambda: spelling("Ada", seeds=(1, 2), edit=Interpolate(film=4)),
            "3 letters, and the run 4 pictures",
        ),
        (lambda: Recipe(spell=3), "spell must be a text"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(OptionError, match=message) as error:
        make()
    assert error.value.field == "spell"


def test_letters_that_a_model_has_not():
    assert each_picture.known_letters("Zo\u00eb O\u2019Neil \U0001f600", "ZoeONil") == (
        "Zoe ONeil ",
        "\u00eb",
        "\u2019\U0001f600",
    )
    assert each_picture.known_letters("Zo\u0065\u0308", "Zo\u00eb") == ("Zo\u00eb", "", "")
    assert each_picture.can_spell("ABCDEFGHIJKLMNOPQRSTUVWXYZ") and not each_picture.can_spell("0123456789")
    assert not each_picture.can_spell(("A", "E", "I", "O", "U", "Bag"))


@pytest.fixture(scope="module")
def studio(root):
    return ds.Studio(root / "checkpoints", "cpu", "fp32")


@pytest.fixture(scope="module")
def root(request):
    return request.config.rootpath


def test_a_word_is_its_letters_side_by_side(studio, tmp_path):
    recipe = studio.recipe("letters", spell="If I", prompt="red bold serif", steps=2)
    run = studio.run(recipe)
    singles = [
        studio.run(studio.recipe("letters", label=one, seeds=(k,), prompt="red bold serif", steps=2)).images[
            0
        ]
        for k, one in enumerate("IfI")
    ]
    assert np.abs(run.images.astype(int) - np.stack(singles)).max() <= 1  # one call of three, three of one
    path = run.save(tmp_path / "word.png", scale=1)
    from PIL import Image

    with Image.open(path) as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (32, 128, 3) and (sheet[:, 64:96] == 255).all()
    np.testing.assert_array_equal(sheet[:, :32], run.images[0])
    np.testing.assert_array_equal(sheet[:, 96:], run.images[2])
    assert Recipe.from_file(path) == recipe
    frames = list(studio.stream(replace(recipe, branch=Branch(recipe, 1))))
    assert {frame.layout for frame in frames} == {recipe.layout}


def test_the_command_line_spells(studio, tmp_path, monkeypatch, capsys):
    import shlex

    monkeypatch.chdir(tmp_path)
    flags = ["--steps", "2", "--checkpoints", str(studio.folder), "--prompt", "teal mono"]
    assert (
        main(
            [
                "generate",
                "letters",
                "--spell",
                "Go\\nAda",
                "--one-hand",
                *flags,
                "--out",
                "a.gif",
                "--delay",
                "1",
            ]
        )
        == 0
    )
    recipe = Recipe.from_file("a.gif")
    assert recipe.spell == "Go\nAda" and recipe.seeds == (0,) * 5
    words = shlex.split(recipe.to_command(studio.recipe("letters")))[1:]
    assert main([*words, "--checkpoints", str(studio.folder), "--out", "b.gif"]) == 0
    assert Recipe.from_file("b.gif") == recipe
    assert main(["generate", "letters", "--spell", "Zoë", *flags, "--out", "c.gif"]) == 2
    assert "ë" in capsys.readouterr().err
    assert main(["generate", "letters", "--one-hand", *flags, "--out", "c.gif"]) == 2
