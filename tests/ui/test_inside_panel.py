"""The panel that looks inside a step: its views, its costs, its sentences, what it keeps of a visitor."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.seen import Seen, Tile
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.surprise_view import of_picture
from diffusion_studio.inside.views import VIEWS
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.inside_panel import MOST_STATES, SETTINGS, FairRun, InsidePanel, Looker, as_html
from diffusion_studio.ui.player import player
from diffusion_studio.ui.price import Prices
from diffusion_studio.ui.store import RunStore

REQUEST = SimpleNamespace(session_hash="visitor")


@pytest.fixture
def make(tmp_path, write_checkpoint):
    """Factory: a panel, and the value of a player that shows a run at a place."""
    write_checkpoint("tiny")

    def made(limit=None, steps=6, **settings):
        studio = ds.Studio(tmp_path / "checkpoints", "cpu", "fp32")
        recipe = ds.Recipe(model="tiny", steps=steps, seeds=(0, 1), **settings)
        store, compute = RunStore(), Compute()
        prices = Prices(studio, compute, limit)
        with gr.Blocks():
            panel = InsidePanel(studio, store, compute, prices, player(lambda key: None))
        run = store.open("visitor", recipe)
        for frame in studio.stream(recipe):
            store.append(run, frame)
        return panel, {"run": run, "shown": 3}

    return made


def values(value, view, **changed):
    plain = {**vars(Settings()), "picture": 1, "word": "", "layer": "", "head": "", "block": "", "place": ""}
    return (value, view, *({**plain, **changed}[name] for name in SETTINGS))


def test_each_view_is_that_of_the_engine(make):
    panel, value = make()
    recipe = panel.store.get(value["run"]).recipe
    for view in VIEWS:
        changed = {"again": 2, "terms": 5} if view in ("decided", "surprise") else {}
        *_, (html, status, *_) = panel._computed(REQUEST, *values(value, view, picture=2, **changed))
        if 'class="why"' in html:  # what this network lacks is said in the engine's words
            with pytest.raises(ds.errors.StudioError):
                ds.inside.view(panel.studio, recipe, view, 3, picture=1)
            continue
        takes = {name: one for name, one in changed.items() if name in VIEWS[view].takes}
        step = 5 if view == "surprise" else 3
        seen = ds.inside.view(panel.studio, recipe, view, step, picture=1, **takes)
        drawn = html.count("<svg")  # in place of the first picture
        assert html.count("<img") + drawn == len(seen.tiles) > 1 and status == ""
        assert drawn == (view == "network")
        assert f'data-view="{view}" data-step="{step}"' in html
        kept = panel.lookers["visitor"].shown[1]
        for one, other in zip(seen.tiles, kept.tiles, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_what_takes_many_calls_waits_for_its_button_and_says_its_cost(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "decided", again=4))
    # 6 calls of 6 steps, 3 of them left, of 4 pictures each
    assert "as 12 network calls" in html and "<img" not in html and panel.lookers["visitor"].shown is None
    *_, (html, *_) = panel._computed(REQUEST, *values(value, "decided", again=4))
    assert "<img" in html
    *_, (again, *_) = panel._look(REQUEST, *values(value, "decided", again=4))
    assert again == html  # what was computed stays while the same is asked
    *_, (html, *_) = panel._look(REQUEST, *values({**value, "shown": 4}, "decided", again=4))
    assert "as 8 network calls" in html


def test_a_view_that_would_take_too_long_is_refused_where_runs_are_limited(make):
    panel, value = make(limit=1e-6)
    *_, (html, *_) = panel._computed(REQUEST, *values(value, "surprise"))
    assert 'class="why"' in html and "Ask for fewer steps" in html


def test_at_the_finished_picture_it_looks_at_the_step_before_and_says_so(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values({**value, "shown": 6}, "sum"))
    assert 'data-step="5"' in html and "No network is asked about the finished picture" in html


@pytest.mark.parametrize(
    "value, said", [(None, "Press Generate"), ({"run": "gone", "shown": 0}, "no longer kept")]
)
def test_without_a_run_it_says_what_to_do(make, value, said):
    panel, _ = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "sum"))
    assert said in html


def test_a_picture_that_the_run_has_not_is_said_in_the_numbers_of_the_page(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "sum", picture=3))
    assert "pictures 1 to 2, got 3" in html


def test_names_of_another_model_are_left_out(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "network", block="no.such.block"))
    assert "<img" in html


def test_a_run_that_is_not_kept_any_more_is_made_again_call_by_call(make):
    panel, value = make()
    recipe = panel.store.get(value["run"]).recipe
    wanted = ds.inside.view(panel.studio, recipe, "sum", 3)["next"]
    panel.studio.free_states(recipe)
    *_, (html, *_) = panel._look(REQUEST, *values(value, "sum"))
    assert "<img" in html
    run = panel.lookers["visitor"].run
    np.testing.assert_array_equal(ds.inside.view(run, None, "sum", 3)["next"], wanted)


def test_network_calls_take_turns_while_it_asks_so():
    threads = []

    class Plain(FairRun):
        def __init__(self):
            self._given = None

    run = Plain()
    assert run._ask(lambda: 1) == 1
    with run.asking(lambda call: (threads.append(threading.get_ident()), call())[1]):
        assert run._ask(lambda: 2) == 2
    assert run._ask(lambda: 3) == 3 and len(threads) == 1


def test_the_newest_look_ends_the_one_before(make):
    panel, value = make()
    first = panel._computed(REQUEST, *values(value, "surprise", terms=4000))
    looker = panel.lookers.setdefault("visitor", Looker())
    started = threading.Thread(target=lambda: answers.extend(first))
    answers: list = []
    before = looker.ended
    started.start()
    while looker.ended is before:
        pass
    *_, (html, *_) = panel._look(REQUEST, *values(value, "sum"))
    started.join(60)
    assert not started.is_alive() and "<img" in html
    assert not any(isinstance(one[0], str) and "<img" in one[0] for one in answers)


def test_what_is_seen_is_saved_as_a_picture_and_over_the_run(make):
    panel, value = make(steps=70)
    with pytest.raises(gr.Error, match="Look first"):
        panel._save(REQUEST, value, "sum")
    list(panel._look(REQUEST, *values(value, "sum")))
    path = panel._save(REQUEST, value, "sum")
    recipe = panel.store.get(value["run"]).recipe
    assert ds.Recipe.from_file(path) == recipe
    np.testing.assert_array_equal(
        np.asarray(Image.open(path).convert("RGB")), ds.inside.image(panel.lookers["visitor"].shown[1])
    )
    *_, (path, said) = panel._save_over(REQUEST, *values(value, "sum"))
    with Image.open(path) as film:
        assert film.n_frames == MOST_STATES and f"{MOST_STATES} of the run's 70" in said
    assert ds.Recipe.from_file(path) == recipe
    *_, (_, said) = panel._save_over(REQUEST, *values(value, "surprise"))
    assert "finished picture alone" in said
    list(panel._look(REQUEST, *values(value, "decided")))  # shows what it would cost, and no picture
    for view in ("sum", "decided"):
        with pytest.raises(gr.Error, match="Look first"):
            panel._save(REQUEST, value, view)


def test_a_page_that_closes_leaves_nothing(make):
    panel, value = make()
    list(panel._look(REQUEST, *values(value, "sum")))
    looker = panel.lookers["visitor"]
    panel.forget("visitor")
    assert not panel.lookers and looker.ended.is_set() and looker.saving.is_set()
    panel.forget("nobody")


def test_texts_from_outside_are_escaped():
    evil = "<img src=x onerror=alert(1)>"
    pixels = np.zeros((4, 4, 3), np.uint8)
    html = as_html(Seen("sum", 0, {}, {}, [evil], [Tile(evil, pixels)], [evil]), None)
    assert evil not in html and html.count("&lt;img src=x") == 4  # a line, a note, a title and its picture


def test_a_block_that_the_network_does_not_have_is_said(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "network", block="up.9"))
    assert "This network has no block up.9, so its middle is shown." in html and "middle.0: ResBlock" in html
    *_, (html, *_) = panel._look(REQUEST, *values(value, "network", block="up.0.stages.0.block", part="skip"))
    assert 'data-block="up.0.stages.0.block"' in html and "x0 without the skip into it" in html
    assert "no block" not in html


def test_the_surprise_of_a_picture_of_ones_own_and_by_the_flow(make, tmp_path):
    panel, value = make()
    file = tmp_path / "mine.png"
    Image.new("L", (20, 16), 90).save(file)
    said = values(value, "surprise", terms=3)
    *_, (html, *_) = panel._look(REQUEST, *said, str(file))
    assert "to measure your picture. This takes as much computing as 3 network calls" in html
    *_, (html, *_) = panel._computed(REQUEST, *said, str(file))
    assert "Surprise of your picture" in html and "The picture was brought to 8x8" in html
    assert "under the label and prompt of the run" in html
    model, recipe = panel.studio.model("tiny"), panel.store.get(value["run"]).recipe
    same = of_picture(model, Picture.open(file), recipe.label, terms=3)
    assert f"{same.numbers['bits_per_pixel']:.2f} bits per pixel" in html
    *_, (html, *_) = panel._computed(REQUEST, *said, None)
    assert "Surprise of the finished picture" in html and "your picture" not in html
    by_flow = values(value, "surprise", terms=3, by="flow")
    *_, (html, *_) = panel._look(REQUEST, *by_flow, None)
    assert "as 12 network calls" in html
    *_, (html, *_) = panel._computed(REQUEST, *by_flow, None)
    assert "flow" in html and html.count("<img") == 2
    (tmp_path / "no.png").write_bytes(b"no picture")
    *_, (html, *_) = panel._computed(REQUEST, *said, str(tmp_path / "no.png"))
    assert 'class="why"' in html and "no picture that can be read" in html
