"""What the page begins with: the recording, and the cards of the models."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.ui.model_cards import PICTURE, is_young, model_items, tries
from diffusion_studio.ui.player.player import OPENING

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def test_the_recording_is_small_and_whole():
    recorded = json.loads(OPENING.read_text("utf-8"))
    tick, frames = recorded["tick"], recorded["frames"]
    assert OPENING.stat().st_size < 500_000
    assert tick["run"] == "opening" and tick["done"] and tick["kept"] + 1 == len(frames)
    assert [one[0] for one in frames] == [one[2] for one in frames] == list(range(len(frames)))
    assert frames[-1][4] is None and [one[5] for one in frames] == sorted(one[5] for one in frames)


def test_the_recording_is_what_the_bundled_model_makes():
    recorded = json.loads(OPENING.read_text("utf-8"))
    about, last = recorded["tick"]["about"], recorded["frames"][-1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(last[1]))).convert("RGB")).astype(int)
    studio = ds.Studio(CHECKPOINTS, "cpu", "fp32")
    seeds = tuple(int(one) for one in about["seeds"].split(", "))
    recipe = studio.recipe(
        about["model"], prompt=None, guidance=about["guidance"], seeds=seeds, steps=about["steps"]
    )
    made = studio.run(recipe).images
    rows = np.vstack([np.hstack(made[:2]), np.hstack(made[2:])]).astype(int)
    assert (np.abs(shown[: len(rows)] - rows).max(axis=-1) > 8).mean() < 0.01  # a palette's nearest may turn


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
            assert studio.recipe(name, **one["value"]).model == name
    assert tries(cards["heroes"])[0]["value"] == {"prompt": "a dwarf in a red coat"}


def test_another_model_is_offered_by_what_its_file_says(tmp_path, write_checkpoint):
    write_checkpoint("mine", labels=("Cat", "Dog", "Owl"))
    studio = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
    (item,) = model_items(studio.models())
    assert item["value"] == "mine" and item["line"] == "8x8 grey" and "picture" not in item
    assert [one["value"] for one in tries(studio.card("mine"))] == [
        {"label": "Cat"},
        {"label": "Dog"},
        {"label": "Owl"},
    ]
