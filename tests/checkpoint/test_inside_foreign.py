"""Every view on other programs' networks: diffusers folders, OpenAI's, lucidrains' and the small ones."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.terms import step_terms

LARGE = [
    ("diffusers", "default"),
    ("diffusers", "consistency-like"),
    ("diffusers", "course"),
    ("openai", "adm"),
]
SMALL = [
    ("lucidrains", "bias"),
    ("lucidrains", "classes"),
    ("tqch", "cifar-like"),
    ("teapearce", "mnist"),
    ("dome272", "classes"),
    ("ddpm", "cifar-like"),
]
VIEWS = {
    "sum": {},
    "guidance": {},
    "attention": {},
    "network": {},
    "decided": {"again": 2},
    "surprise": {"terms": 3},
}
# what a network may lack, and says
ALLOWED = ("no guidance to see", "has no attention", "is given its last x0")


def opened(folder) -> ds.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ds.CheckpointWarning)
        return ds.load(folder, precision="fp32")


@pytest.mark.parametrize("layout, name", LARGE + SMALL)
def test_every_view_of_a_foreign_network(saved, kept, tmp_path, layout, name):
    folder = (
        saved(layout, name)
        if layout in ("diffusers", "openai", "ddpm")
        else kept(layout, name).folder(tmp_path)
    )
    model = opened(folder)
    settings = {"label": model.spec.labels[0]} if model.spec.labels else {}
    run = Run(model, ds.Recipe("foreign", seeds=(1, 2), steps=3, **settings))
    states = [x for _, x in run.states()]
    total = sum(term.product for term in step_terms(run.state(1)))
    np.testing.assert_allclose(total, states[2].double(), atol=1e-5 * float(states[2].abs().max()))
    for view, more in VIEWS.items():
        try:
            seen = ds.inside.view(run, None, view, 1, picture=1, **more)
        except OptionError as error:
            assert any(one in str(error) for one in ALLOWED), error
            continue
        assert all(np.isfinite(one).all() for one in seen.arrays.values())
        assert seen.image().ndim == 3
        if view == "attention":
            assert seen.numbers["row_error"] < 1e-5 and seen.numbers["fused_error"] < 1e-5
        if view == "network":
            assert len(seen.numbers["blocks"]) > 5 and any(one.skip for one in seen.numbers["blocks"])
