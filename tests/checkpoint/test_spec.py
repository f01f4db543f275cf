"""The spec of a checkpoint: what its header stores."""

from __future__ import annotations

import json

import pytest

from diffusion_studio.checkpoint.spec import DEFAULT_NAMES, PARAMETRIZATION_NAMES, ModelSpec
from diffusion_studio.diffusion.prediction import PARAMETRIZATIONS
from diffusion_studio.diffusion.schedule import Cosine, FlowMatching, Linear, VarianceExploding
from diffusion_studio.errors import OptionError
from diffusion_studio.runs.recipe import Recipe


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": Cosine(timesteps=40, offset=0.01)},
        {"schedule": Linear(timesteps=7, beta_end=0.3)},
        {"parametrization": "v"},
        {"schedule": VarianceExploding(sigma_max=40), "parametrization": "edm", "sigma_data": 0.3},
        {"schedule": FlowMatching(scale=1), "parametrization": "flow"},
        {"network": {"classes": None, "null_class": False}},
        {"network": {"in_channels": 3, "out_channels": 6}, "learned_variance": True},
        {
            "network": {
                "multipliers": (0.5, 1.5),
                "channels": 16,
                "attention_levels": (1,),
                "head_channels": 8,
            },
            "image_size": 12,
        },
        {
            "defaults": {"steps": 20, "guidance": 2.5, "sampler": {"name": "ddpm"}, "label": "Dog"},
            "provenance": {"ünï": ["x", None]},
        },
    ],
    ids=str,
)
def test_json_round_trip(tiny_spec, changes):
    spec = tiny_spec(**changes)
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert ModelSpec.from_json(json.dumps(json.loads(spec.to_json()), indent=2)) == spec


def test_the_lists_of_names_agree_with_the_registries():
    """They are repeated where torch must not be loaded."""
    assert set(PARAMETRIZATION_NAMES) == set(PARAMETRIZATIONS)
    assert set(DEFAULT_NAMES) - {"count"} <= {f.name for f in Recipe.__dataclass_fields__.values()}


@pytest.mark.parametrize(
    "label, index", [("Cat", 0), ("cat", 0), ("DOG", 1), ("ankle BOOT", 2), (0, 0), (2, 2)]
)
def test_labels_by_name_in_any_case_or_by_index(tiny_spec, label, index):
    assert tiny_spec().label_index(label) == index


def test_labels_that_differ_in_case_only_are_each_found(tiny_spec):
    letters = tiny_spec(labels=("A", "a", "b"))
    assert [letters.label_index(name) for name in letters.labels] == [0, 1, 2] and letters.label_index(
        "B"
    ) == 2


@pytest.mark.parametrize("label", [3, -1, True, 1.0, "0", "", "ankle", None])
def test_unknown_labels(tiny_spec, label):
    with pytest.raises(
        OptionError, match=f"There is no label of tiny '{label}'. Choose one of: Cat, Dog, Ankle boot"
    ):
        tiny_spec().label_index(label)


def test_a_near_label_is_suggested(tiny_spec):
    with pytest.raises(OptionError, match="Did you mean 'Ankle boot'"):
        tiny_spec().label_index("Ankel boot")


def test_a_model_without_labels_takes_none(tiny_spec):
    spec = tiny_spec(network={"classes": None, "null_class": False})
    with pytest.raises(OptionError, match="tiny takes no label, got 'Cat'. Leave the label out"):
        spec.label_index("Cat")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"network": 3}, "A ModelSpec needs a network's configuration and a NoiseSchedule"),
        ({"schedule": "linear"}, "A ModelSpec needs a network's configuration and a NoiseSchedule"),
        (
            {"schedule": FlowMatching(), "parametrization": "mean"},
            "mean needs a schedule with timesteps, and this one",
        ),
        ({"sigma_data": 0}, "sigma_data must be a finite number from 0.0001 to 10000, got 0"),
        ({"labels": ["Cat", "Dog", "Bag"]}, "labels must be a list of texts"),
        ({"labels": ("Cat", "Dog", 3)}, "labels must be a list of texts"),
        ({"labels": ()}, "The network has 3 classes and 0 label names"),
        ({"channels": 2}, "Pictures have 1 or 3 channels, got 2"),
        (
            {"channels": 3},
            "A network for 3-channel pictures takes 3 and gives 3 channels; this one takes 1 and gives 1",
        ),
        ({"learned_variance": True}, "takes 1 and gives 2 channels"),
        ({"image_size": 7}, "This network takes sizes that are multiples of 2; the pictures are 7 wide"),
        ({"image_size": 0}, "image_size must be a whole number from 1 to 4096, got 0"),
        (
            {"parametrization": "score"},
            "There is no parametrization 'score'. Choose one of: eps, x0, v",
        ),
        ({"defaults": {"seeds": [1]}}, "There is no recipe default 'seeds'"),
        ({"defaults": 3}, "defaults and provenance must be objects"),
        ({"provenance": "mine"}, "defaults and provenance must be objects"),
        ({"name": 3}, "name must be a text, got 3"),
    ],
)
def test_what_does_not_fit_together(tiny_spec, changes, message):
    spec = tiny_spec()
    fields = {name: getattr(spec, name) for name in ModelSpec.__dataclass_fields__}
    with pytest.raises(OptionError, match=message):
        ModelSpec(**{**fields, **changes})


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not an object with a network"),
        ('{"network": 3}', "not an object with a network"),
        ('{"network": {"name": "gan"}}', "There is no kind of network 'gan'; this version knows 'unet'"),
        ('{"network": {}}', "There is no kind of network None"),
        ('{"network": {"name": "unet"}}', "A noise schedule is a name or an object with a 'name', got None"),
        (
            '{"network": {"name": "unet", "channels": 1e400}, "schedule": "linear"}',
            "network.channels must be .* got inf",
        ),
        (
            '{"network": {"name": "unet"}, "schedule": "linear", "extra": 1}',
            "There is no field of the model's description 'extra'",
        ),
    ],
)
def test_texts_that_are_no_spec(text, message):
    with pytest.raises(OptionError, match=message):
        ModelSpec.from_json(text)
