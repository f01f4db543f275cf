"""Settings in which two recipes differ, as the page and the captions of exports show them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import diffusion_studio as ds
from diffusion_studio.runs.recipe_diff import differences, flat_settings

RECIPE = ds.Recipe(model="fashion-mnist", label="Bag", seeds=(0, 1), steps=10)


def differing(one: ds.Recipe, other: ds.Recipe) -> dict[str, tuple]:
    mine, yours = flat_settings(one), flat_settings(other)
    return {
        name: (mine.get(name), yours.get(name))
        for name in {*mine, *yours}
        if mine.get(name) != yours.get(name)
    }


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, {}),
        ({"steps": 25, "guidance": 3.0}, {"steps": (10, 25), "guidance": (1.0, 3.0)}),
        ({"label": None}, {"label": ("Bag", None)}),
        ({"sampler": ds.DDIM(eta=0.5)}, {"sampler eta": (0.0, 0.5)}),
        (
            {"sampler": ds.DDPM()},
            {
                "sampler": ("ddim", "ddpm"),
                "sampler eta": (0.0, None),
                "sampler fixed_stride": (False, None),
                "sampler keep_eps": (False, None),
                "sampler last_noise": (None, False),
                "sampler variance": (None, "small"),
                "sampler interpolation": (None, 0.5),
                "sampler learned_above": (None, 0.0),
            },
        ),
        ({"spacing": "karras"}, {"spacing": ("trailing", "karras"), "spacing rho": (None, 7.0)}),
        ({"seeds": (0, 2)}, {"seeds": ("0, 1", "0, 2")}),
        (
            {"change": {"step": 4, "label": "Coat"}},
            {"change step": (None, 4), "change label": (None, "Coat")},
        ),
    ],
)
def test_what_differs_is_named(changes, expected):
    assert differing(RECIPE, replace(RECIPE, **changes)) == expected


def test_a_branch_is_known_by_its_step_and_long_texts_are_cut():
    branch = RECIPE.continued(4, label="Coat")
    assert differing(RECIPE, branch) == {"label": ("Bag", "Coat"), "branch at": (None, 4)}
    assert flat_settings(replace(RECIPE, prompt="red " * 40))["prompt"] == ("red " * 40)[:59] + "…"
    assert all(isinstance(value, (str, int, float)) for value in flat_settings(branch).values())


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, ((), ())),
        ({"steps": 25, "label": None}, (("label Bag", "steps 10"), ("label any", "steps 25"))),
        ({"sampler": ds.DDPM()}, (("sampler DDIM",), ("sampler DDPM",))),
        (
            {"sampler": ds.DDIM(eta=0.5), "prompt": "x"},
            (("fresh noise (eta) 0", "prompt any"), ("fresh noise (eta) 0.5", "prompt x")),
        ),
    ],
)
def test_the_captions_of_two_runs(changes, expected):
    assert tuple(map(set, differences(RECIPE, replace(RECIPE, **changes)))) == tuple(map(set, expected))
