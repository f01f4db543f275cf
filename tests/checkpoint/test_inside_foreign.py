"""Every view on other programs' networks: diffusers folders, OpenAI's, lucidrains' and the small ones."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.errors import OptionError
from diffusion_studio.inside.run import Run
from diffusion_studio.inside.terms import step_terms
from diffusion_studio.runs.applicability import self_guidance_kinds
from diffusion_studio.runs.generate import stream

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


PANEL = [("diffusers", "default"), ("openai", "adm"), ("lucidrains", "bias"), ("dome272", "classes")]


def foreign_folder(saved, kept, tmp_path, layout: str, name: str):
    return saved(layout, name) if layout in ("diffusers", "openai") else kept(layout, name).folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("layout, name", PANEL)
@pytest.mark.filterwarnings("ignore::diffusion_studio.errors.CheckpointWarning")
def test_the_panel_and_the_command_show_it(saved, kept, tmp_path, capsys, layout, name):
    """Every view of a run of an opened file, on the page and by `diffusion-studio inside --model`."""
    import gradio as gr

    from diffusion_studio.cli import main
    from diffusion_studio.inside.settings import Settings
    from diffusion_studio.ui.compute import Compute
    from diffusion_studio.ui.inside_look import SETTINGS
    from diffusion_studio.ui.inside_panel import InsidePanel
    from diffusion_studio.ui.player import player
    from diffusion_studio.ui.price import Prices
    from diffusion_studio.ui.store import RunStore

    (tmp_path / "none").mkdir()
    folder = foreign_folder(saved, kept, tmp_path, layout, name)
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    opened_as = studio.open(folder)
    labels = studio.card(opened_as).conditions
    recipe = studio.recipe(opened_as, seeds=(1, 2), steps=3, **({"label": labels[0]} if labels else {}))
    store, compute = RunStore(), Compute()
    with gr.Blocks():
        panel = InsidePanel(studio, store, compute, Prices(studio, compute), player(lambda key: None))
    run = store.open("visitor", recipe)
    trajectory = studio.run(recipe)
    for frame in trajectory.frames:
        store.append(run, frame)
    file = trajectory.save(tmp_path / "run.gif")
    plain = {**vars(Settings()), "picture": 1, "word": "", "layer": "", "head": "", "block": "", "place": ""}
    plain |= {"again": 2, "terms": 3}
    for view, more in VIEWS.items():
        said = [*({**plain, **more}[one] for one in SETTINGS)]
        *_, (html, *_) = panel._compute(
            SimpleNamespace(session_hash="visitor"), {"run": run, "shown": 1}, view, *said
        )
        out = tmp_path / f"{view}.png"
        words = ["inside", str(file), "--model", str(folder), "--checkpoints", str(tmp_path / "none")]
        words += ["--view", view, "--at", "1", "--out", str(out), "--precision", "fp32"]
        words += [word for key, value in more.items() for word in (f"--{key}", str(value))]
        status, told = main(words), capsys.readouterr()
        if 'class="why"' in html:
            assert any(one in html for one in ALLOWED) and status != 0, (view, html)
            assert any(one in told.err for one in ALLOWED), (view, told.err)
            continue
        assert html.count("<figure") >= 2 and status == 0 and out.is_file(), (view, told)
        if view == "network":
            assert 'class="chosen"' in html and "<svg" in html


@pytest.mark.parametrize("layout, name", PANEL)
@pytest.mark.filterwarnings("ignore::diffusion_studio.errors.CheckpointWarning")
def test_self_guidance_by_what_its_network_has(saved, kept, tmp_path, layout, name):
    model = opened(foreign_folder(saved, kept, tmp_path, layout, name))
    label = model.spec.labels[0] if model.spec.labels else None
    base = ds.Recipe("foreign", label, seeds=(1,), steps=2, clip=False)
    kinds = self_guidance_kinds(model.spec)
    assert "perturbed_attention" in kinds
    made = [[*stream(model, replace(base, self_guidance=one))][-1].x0 for one in (None, *kinds)]
    assert all((one != made[0]).any() for one in made[1:])
