"""What the page begins with: the recording, and the cards of the models."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.ui.controls import RecipeControls, unknown_words
from diffusion_studio.ui.model_cards import (
    PICTURE,
    is_young,
    label_chips,
    model_items,
    parts,
    surprises,
    tries,
)
from diffusion_studio.ui.player.player import OPENING, opening_recipe

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def test_the_recording_is_small_and_whole():
    recorded = json.loads(OPENING.read_text("utf-8"))
    tick, frames = recorded["tick"], recorded["frames"]
    assert OPENING.stat().st_size < 500_000
    assert tick["run"] == "opening" and tick["done"] and tick["kept"] + 1 == len(frames)
    assert [one[0] for one in frames] == list(range(len(frames)))
    assert [one[2] for one in frames] == [*range(0, 25, 2), 25]  # every second state, and the last
    assert frames[-1][4] is None and [one[5] for one in frames] == sorted(one[5] for one in frames)


def test_the_recording_is_what_the_bundled_model_makes():
    recorded = json.loads(OPENING.read_text("utf-8"))
    about, last = recorded["tick"]["about"], recorded["frames"][-1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(last[1]))).convert("RGB")).astype(int)
    recipe = ds.Recipe.from_json(opening_recipe())
    assert about["prompt"] == recipe.prompt == "a wizard with a ruby staff"
    made = ds.Studio(CHECKPOINTS, "cpu", "fp32").run(recipe).images
    rows = np.vstack([np.hstack(made[:2]), np.hstack(made[2:])]).astype(int)
    assert (np.abs(shown[: len(rows)] - rows).max(axis=-1) > 8).mean() < 0.01  # a palette's nearest may turn


def test_the_settings_begin_with_the_recording(tmp_path, write_checkpoint):
    recipe = ds.Recipe.from_json(opening_recipe())
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    assert RecipeControls(studio).start == recipe and studio.models()[0].name == recipe.model
    write_checkpoint(
        "mine", defaults={"steps": 3}
    )  # where the recorded model is not here: the first one's own
    other = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
    assert RecipeControls(other).start == other.recipe("mine")


def test_every_bundled_model_has_its_picture_and_what_can_be_asked_of_it():
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    cards = {card.name: card for card in studio.models()}
    items = {one["value"]: one for one in model_items(list(cards.values()))}
    assert set(items) == set(cards)
    assert all((cards[name].path.with_name(PICTURE)).is_file() and "picture" in items[name] for name in cards)
    assert {name for name, one in items.items() if "tag" in one} == {
        name for name, card in cards.items() if is_young(card)
    }
    assert "letters" in {name for name in cards if is_young(cards[name])}
    for name, card in cards.items():
        for one in tries(card):
            for asked in one["value"].get("any_of", [one["value"]]):
                assert studio.recipe(name, **asked).model == name
    assert items["letters"]["tag_help"] == "trained for a short time; expect flaws"
    assert tries(cards["heroes"])[0]["value"] == {"prompt": "a dwarf in a red coat"}


def test_another_model_is_offered_by_what_its_file_says(tmp_path, write_checkpoint):
    write_checkpoint("mine", labels=("Cat", "Dog", "Owl"))
    studio = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
    (item,) = model_items(studio.models())
    assert item["value"] == "mine" and item["line"] == "8x8 grey" and "picture" not in item
    items = tries(studio.card("mine"))
    assert sorted(one["label"] for one in items[-1]["value"]["any_of"]) == ["Cat", "Dog", "Owl"]
    assert [one["value"] for one in items[:-1]] == [
        {"label": "Cat"},
        {"label": "Dog"},
        {"label": "Owl"},
    ]


def test_a_surprise_is_one_of_many_that_the_model_knows():
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    for card in studio.models():
        given = surprises(card, [])
        assert (len(given) > 1) == bool(card.conditions or card.spec.prompts)
        for one in given:
            assert not set(one) - {"label", "prompt"} and one.get("label") in (None, *card.conditions)
            assert "prompt" not in one or not card.spec.tokenizer.unknown(one["prompt"])


def test_parts_are_of_the_models_words_and_of_no_other_model_of_its_name(tmp_path, write_checkpoint):
    heroes = ds.Studio(CHECKPOINTS, "cpu", "fp32").card("heroes")
    kinds = parts(heroes)
    held_out = {
        line.split(", ")[0] for line in (heroes.path.with_name("held_out.txt")).read_text().splitlines()
    }
    worn = {line.split(", ")[1] for line in (heroes.path.with_name("held_out.txt")).read_text().splitlines()}
    assert set(kinds["Who"]) <= held_out and set(kinds["Wears"]) - {"leather armour"} <= worn
    assert not heroes.spec.tokenizer.unknown(" ".join(name for names in kinds.values() for name in names))
    write_checkpoint("heroes")  # takes no text
    assert parts(ds.Studio(tmp_path / "checkpoints", "cpu", "fp32").card("heroes")) == {}


def test_words_that_a_model_lacks_are_said():
    heroes = ds.Studio(CHECKPOINTS, "cpu", "fp32").card("heroes")
    assert unknown_words(heroes, "a wizard with a ruby staff") == ""
    said = unknown_words(heroes, "orc on <mars>")
    assert "“mars”: heroes never saw it" in said and "<mars>" not in said


def test_few_labels_are_chips_and_many_are_a_menu():
    assert [one["value"] for one in label_chips(["any", "a", "b"])] == ["any", "a", "b"]
    assert label_chips([]) == [] == label_chips([str(k) for k in range(14)])
