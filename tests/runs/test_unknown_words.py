"""Words of a prompt that a model was not trained with are said where a run is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import diffusion_studio as ds
from diffusion_studio.cli import main
from diffusion_studio.runs.unknown_words import unknown_letters, unknown_words

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def test_the_sentence_names_them_once():
    card = ds.Studio(CHECKPOINTS).card("heroes")
    assert unknown_words("heroes", card.spec, ["a wizard with a staff", None, ""]) == ""
    assert unknown_words("heroes", card.spec, ["orc on mars", "elf of mars"]) == (
        "“mars”: heroes never saw it, and guesses it from its letters."
    )
    many = [f"zz{letter}" for letter in "abcdefgh"]
    said = unknown_words("heroes", card.spec, many)
    assert re.findall("“(.*?)”", said) == many[:6] and said.endswith(
        " …: heroes never saw them, and guesses them from their letters."
    )
    assert unknown_words("mnist", ds.Studio(CHECKPOINTS).card("mnist").spec, ["mars"]) == ""


def test_the_command_line_says_it(tmp_path, capsys):
    words = ["generate", "heroes", "--checkpoints", str(CHECKPOINTS), "--steps", "1", "--count", "1"]
    for prompt, said in (("an orc on mars", True), ("an orc", False)):
        assert main([*words, "--prompt", prompt, "--out", str(tmp_path / "a.png")]) == 0
        assert ("“mars”: heroes never saw it" in capsys.readouterr().err) == said


def test_letters_that_are_changed_or_left_out_are_named():
    letters = "ZoeMulr"
    assert unknown_letters("letters", "Zoe", letters) == ""
    assert unknown_letters("letters", "Zoë", letters) == "letters draws ë as e."
    assert unknown_letters("letters", "Zoë Müller!", letters) == (
        "letters draws ë and ü as e and u; it has no !, which is left out."
    )
    assert unknown_letters("letters", "Zo?!", letters) == "letters has no ? and !, which are left out."
