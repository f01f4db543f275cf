"""Views of a run whose pictures have each a label or a prompt of its own: what is seen of a picture is what
the run of that picture alone shows. And whose labels the classifier of the view "decided" must have.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.checkpoint.classifier_spec import ClassifierSpec
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.inside.attention_view import leave_out, words_of
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.views import view
from diffusion_studio.networks.classifier import NoisyClassifier
from diffusion_studio.networks.classifier_config import ClassifierConfig
from diffusion_studio.runs.recipe import Recipe

LETTERS = ("A", "E", "I", "O", "U")
# 'decided' with as many new runs as pictures, and with another number: neither may take the others' labels
CASES = [
    ("sum", {}),
    ("guidance", {}),
    ("attention", {}),
    ("network", {}),
    ("decided", {"again": 2}),
    ("decided", {"again": 3}),
    ("surprise", {"terms": 3}),
]


def assert_same(seen, alone) -> None:
    assert seen.arrays.keys() == alone.arrays.keys() and seen.arrays
    for name in seen.arrays:
        np.testing.assert_allclose(seen[name], alone[name], atol=1e-5, err_msg=name)


@pytest.fixture
def speller(tiny_model):
    return tiny_model(labels=LETTERS, network={"classes": 5, "attention_levels": (0, 1)})


@pytest.mark.parametrize("branch", [False, True])
@pytest.mark.parametrize("name, given", CASES)
def test_a_picture_of_a_written_name_is_seen_with_its_own_letter(speller, name, given, branch):
    def at_label(**asked) -> Recipe:
        made = Recipe("tiny", steps=4, guidance=2.0, **asked)
        return made.continued(1) if branch else made

    seen = view(speller, at_label(spell="AIO", seeds=(4, 5, 6)), name, 2, picture=1, **given)
    alone = view(speller, at_label(label="I", seeds=(5,)), name, 2, picture=0, **given)
    other = view(speller, at_label(label="A", seeds=(5,)), name, 2, picture=0, **given)
    assert_same(seen, alone)
    assert any(not np.allclose(seen[one], other[one], atol=1e-5) for one in seen.arrays)


def test_a_picture_of_several_prompts_is_seen_with_its_own_words(reading_model):
    several = Recipe("tiny", prompts=("elf", "hat, red shield"), seeds=(4, 5), steps=4)
    single = Recipe("tiny", prompt="hat, red shield", seeds=(5,), steps=4)
    seen = view(reading_model, several, "attention", 2, picture=1)
    alone = view(reading_model, single, "attention", 2)
    assert seen.numbers["tokens"] == alone.numbers["tokens"] == ["<start>", "hat", ",", "red", "shield"]
    assert_same(seen, alone)
    run = Run(reading_model, several)
    assert words_of(run.state(2), 0) == ["<start>", "elf"]
    found = leave_out(run.state(2), "red", 1)
    for name, array in leave_out(Run(reading_model, single).state(2), "red").items():
        np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.parametrize("labels, drawn", [(("Dog", "Elk", "Cat"), True), (("Coat", "Bag", "Shirt"), False)])
def test_decided_asks_a_classifier_of_the_model_s_own_labels_only(write_checkpoint, labels, drawn):
    folder = write_checkpoint("tiny", labels=("Cat", "Dog", "Elk")).parents[1]
    spec = ClassifierSpec(
        "judge", ClassifierConfig(1, 3, 8, 8, (1, 1), 1, norm_groups=4), Linear(timesteps=100), labels
    )
    (folder / "judge").mkdir()
    weights = NoisyClassifier(spec.network).state_dict()
    checkpoint.write(folder / "judge" / "classifier.safetensors", spec, weights, torch.float32)
    studio = ds.Studio(folder, "cpu", "fp32")
    assert studio.helpers(studio.card("tiny"))[0] == ["judge"]  # it knows such pictures
    seen = view(studio, studio.recipe("tiny", label="Dog", steps=3), "decided", 1, again=0)
    assert ("probability" in seen.arrays) == drawn
    assert any("no noisy classifier with the labels of" in note for note in seen.notes) != drawn
