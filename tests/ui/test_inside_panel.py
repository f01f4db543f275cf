"""The panel that looks inside a step: its views, its costs, its sentences, what it keeps of a visitor."""

from __future__ import annotations

import json
import threading
from html import unescape
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.imaging.picture import Picture
from diffusion_studio.inside.seen import Tile, ViewResult
from diffusion_studio.inside.settings import Settings
from diffusion_studio.inside.surprise_view import of_picture
from diffusion_studio.inside.views import VIEWS
from diffusion_studio.ui import inside_look, inside_panel
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.inside_html import symbols, view_html
from diffusion_studio.ui.inside_look import MOST_STATES, SETTINGS, FairRun, Visit
from diffusion_studio.ui.inside_panel import InsidePanel
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


def last_html(updates) -> str:
    *_, (html, *_) = updates
    return html


def test_each_view_is_that_of_the_engine(make):
    panel, value = make()
    recipe = panel.store.get(value["run"]).recipe
    for view in VIEWS:
        changed = {"again": 2, "terms": 5} if view in ("decided", "surprise") else {}
        *_, (html, status, *_) = panel._compute(REQUEST, *values(value, view, picture=2, **changed))
        if 'class="why"' in html:  # what this network lacks is said in the engine's words
            with pytest.raises(ds.errors.StudioError):
                ds.inside.view(panel.studio, recipe, view, 3, picture=1)
            continue
        takes = {name: one for name, one in changed.items() if name in VIEWS[view].takes}
        step = 5 if view == "surprise" else 3
        seen = ds.inside.view(panel.studio, recipe, view, step, picture=1, **takes)
        drawn = html.count("<svg")  # in place of the first picture
        playing = sum(one.plays is not None for one in seen.tiles)
        assert html.count("<img") + drawn + playing == len(seen.tiles) > 1 and status == ""
        assert html.count("data-figure") == (playing > 0) == (view in ("decided", "surprise"))
        assert drawn == (view == "network")
        assert f'data-view="{view}" data-step="{step}"' in html
        kept = panel.visits["visitor"].shown[1]
        for one, other in zip(seen.tiles, kept.tiles, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_what_takes_many_calls_waits_for_its_button_and_says_its_cost(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "decided", again=4))
    # 6 calls of 6 steps, 3 of them left, of 4 pictures each; what needs no call is there at once
    assert "4 new runs from step 3 make" in html and "as 12 network calls" in html
    assert "decided so far" in html and "run 4" not in html
    *_, (html, *_) = panel._compute(REQUEST, *values(value, "decided", again=4))
    assert "run 4" in html and "network calls" not in html
    *_, (again, *_) = panel._look(REQUEST, *values(value, "decided", again=4))
    assert again == html  # who comes back to the step finds what was computed there
    *_, (html, *_) = panel._look(REQUEST, *values(value, "decided", again=0))
    assert "decided so far" in html and "network calls" not in html
    *_, (html, *_) = panel._look(REQUEST, *values(value, "surprise", terms=5))
    assert "as 5 network calls" in html and "<img" not in html and panel.visits["visitor"].shown is None


def test_new_runs_follow_the_step_once_they_were_asked_for(make, monkeypatch):
    panel, value = make()
    assert "run 4" not in last_html(panel._look(REQUEST, *values(value, "decided", again=4)))
    list(panel._compute(REQUEST, *values(value, "decided", again=4)))
    html = last_html(panel._look(REQUEST, *values({**value, "shown": 4}, "decided", again=4)))
    assert 'data-step="4"' in html and "run 4" in html and "Press Compute" not in html
    wanted = ds.inside.decided(panel.studio, panel.store.get(value["run"]).recipe, 4, again=4)
    shown = panel.visits["visitor"].shown[1]
    assert shown.numbers["spread"] == wanted.numbers["spread"]
    html = last_html(panel._look(REQUEST, *values({**value, "shown": 4}, "decided", again=3)))
    assert "run 3" in html and "run 4" not in html
    # a surprise still waits for its press, and so do new runs that take long
    assert "Press Compute" in last_html(panel._look(REQUEST, *values(value, "surprise", terms=5)))
    monkeypatch.setattr(panel.prices, "seconds", lambda recipe, calls: inside_panel.FOLLOW_SECONDS + 1)
    html = last_html(panel._look(REQUEST, *values({**value, "shown": 2}, "decided", again=4)))
    assert "Press Compute" in html and "run 4" not in html
    monkeypatch.undo()
    # another run waits for a press of its own
    recipe = ds.Recipe(model="tiny", steps=6, seeds=(5,))
    other = panel.store.open("visitor", recipe)
    for frame in panel.studio.stream(recipe):
        panel.store.append(other, frame)
    html = last_html(panel._look(REQUEST, *values({"run": other, "shown": 3}, "decided", again=4)))
    assert "Press Compute" in html and "run 4" not in html


def test_decided_says_its_cost_alone_where_the_run_would_have_to_be_made_again(make):
    panel, value = make()
    panel.studio.free_states(panel.store.get(value["run"]).recipe)
    *_, (html, *_) = panel._look(REQUEST, *values(value, "decided", again=4))
    assert "as 24 network calls" in html and "<img" not in html  # 6 of 2 pictures, then 3 of 4


def test_of_a_stopped_run_it_says_that_it_makes_the_rest(make):
    panel, value = make()
    whole = panel.store.get(value["run"])
    stopped = panel.store.open("visitor", whole.recipe)
    for frame in whole.frames[:4]:
        panel.store.append(stopped, frame)
    for name in ("decided", "surprise"):
        given = values({"run": stopped, "shown": 2}, name, again=2, terms=3)
        assert "up to step 3 of 6; this view goes on to its end" in last_html(panel._look(REQUEST, *given))
        assert "up to step 3 of 6. This view is about the finished run" in last_html(
            panel._compute(REQUEST, *given)
        )
        complete = last_html(panel._compute(REQUEST, *values({**value, "shown": 2}, name, again=2, terms=3)))
        assert "up to step" not in complete
    assert "up to step" not in last_html(panel._look(REQUEST, *values({"run": stopped, "shown": 2}, "sum")))


def test_last_looks_are_bounded(make, monkeypatch):
    panel, value = make()
    for shown in range(5):
        list(panel._look(REQUEST, *values({**value, "shown": shown}, "sum")))
    looks = panel.visits["visitor"].looks
    assert len(looks) == 5
    size = sum(sum(tile.pixels.nbytes for tile in one.tiles) for one in looks.values()) // 5
    monkeypatch.setattr(inside_look, "MOST_KEPT", 3 * size + size // 2)
    list(panel._look(REQUEST, *values({**value, "shown": 5}, "sum")))
    assert [key[2] for key in looks] == [3, 4, 5]


def figure_of(html: str) -> dict:
    return json.loads(unescape(html.partition('data-figure="')[2].partition('"')[0]))


def test_the_curves_are_data_with_a_marker_for_each_state(make):
    panel, value = make()
    recipe = panel.store.get(value["run"]).recipe
    seen = ds.inside.decided(panel.studio, recipe, 3, again=0)
    *_, (html, *_) = panel._look(REQUEST, *values(value, "decided"))
    made = figure_of(html)
    assert made["states"] == 7 and made["start"] == 3
    change, share = made["curves"][:2]
    assert change["at"] == [0, 1, 2, 3, 4, 5, 6] and change["x"] == "step"
    np.testing.assert_allclose(change["series"][0]["ys"], seen["apart"], rtol=1e-4)
    np.testing.assert_allclose(share["series"][0]["ys"], seen["share"], rtol=1e-4)
    surprise = ds.inside.surprise(panel.studio, recipe, 5, terms=5)
    *_, (html, *_) = panel._compute(REQUEST, *values(value, "surprise", terms=5))
    made = figure_of(html)
    assert made["states"] == 7 == len(made["rows"][0]["cells"][0]["captions"])
    terms = made["curves"][0]
    assert terms["log"] and len(terms["at"]) == 7
    np.testing.assert_allclose(terms["series"][0]["ys"], np.log10(surprise["terms"][:0:-1]), rtol=1e-3)


def test_the_whole_run_of_a_view(make):
    panel, value = make(label="Dog")
    recipe = panel.store.get(value["run"]).recipe
    *_, (html, status) = panel._show_whole(REQUEST, *values(value, "guidance"))
    wanted = ds.inside.over_run(panel.studio, recipe, "guidance")
    curves = {one["title"]: one for one in figure_of(html)["curves"]}
    found = curves["with - without, root mean square"]["series"][0]
    np.testing.assert_allclose(found["ys"], wanted["difference_size"], rtol=1e-4)
    assert found["xs"] == [0, 1, 2, 3, 4, 5] and status == ""
    path = panel._save_whole(REQUEST, value, "guidance")
    assert ds.Recipe.from_file(path) == recipe
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), ds.inside.image(wanted))
    with pytest.raises(gr.Error, match="Show the whole run first"):
        panel._save_whole(REQUEST, value, "attention")
    *_, (_, said) = panel._show_whole(REQUEST, *values(value, "sum"))
    assert "Sum has no picture of the whole run" in said


def test_an_error_leaves_the_last_picture_of_the_same_view_and_run(make):
    panel, value = make()
    list(panel._look(REQUEST, *values(value, "sum")))
    *_, (html, status, *_) = panel._look(REQUEST, *values(value, "sum", place="900,900"))
    assert html == gr.skip() and "rows 0 to 7" in status and "the last one that could be made" in status
    assert panel._save(REQUEST, value, "sum")  # it is still the one that is saved
    *_, (html, status, *_) = panel._look(REQUEST, *values(value, "network", part="wrong"))
    assert 'class="why"' in html and status == ""  # a picture of another view says nothing here
    *_, (html, *_) = panel._look(REQUEST, *values({"run": "gone", "shown": 0}, "sum"))
    assert "no longer kept" in html


def test_a_view_that_would_take_too_long_is_refused_where_runs_are_limited(make):
    panel, value = make(limit=1e-6)
    *_, (html, *_) = panel._compute(REQUEST, *values(value, "surprise"))
    assert 'class="why"' in html and "Ask for fewer steps" in html


def test_at_the_finished_picture_it_looks_at_the_step_before_and_says_so(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values({**value, "shown": 6}, "sum"))
    assert 'data-step="5"' in html and "The network is not called for the finished picture" in html


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
    run = panel.visits["visitor"].run
    np.testing.assert_array_equal(ds.inside.view(run, None, "sum", 3)["next"], wanted)


def test_network_calls_take_turns_while_it_asks_so():
    threads = []

    class Plain(FairRun):
        def __init__(self):
            self._turns = None

    run = Plain()
    assert run._ask(lambda: 1) == 1
    with run.asking(lambda call: (threads.append(threading.get_ident()), call())[1]):
        assert run._ask(lambda: 2) == 2
    assert run._ask(lambda: 3) == 3 and len(threads) == 1


def test_the_newest_look_ends_the_one_before(make):
    panel, value = make()
    first = panel._compute(REQUEST, *values(value, "surprise", terms=4000))
    visit = panel.visits.setdefault("visitor", Visit())
    started = threading.Thread(target=lambda: answers.extend(first))
    answers: list = []
    before = visit.newest.get("look")
    started.start()
    while visit.newest.get("look") is before:
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
        np.asarray(Image.open(path).convert("RGB")), ds.inside.image(panel.visits["visitor"].shown[1])
    )
    *_, (path, said) = panel._save_over(REQUEST, *values(value, "sum"))
    with Image.open(path) as film:
        assert film.n_frames == MOST_STATES and f"{MOST_STATES} of the run's 70" in said
    assert ds.Recipe.from_file(path) == recipe
    list(panel._look(REQUEST, *values(value, "surprise")))  # shows what it would cost, and no picture
    for view in ("sum", "surprise"):
        with pytest.raises(gr.Error, match="Look first"):
            panel._save(REQUEST, value, view)


def test_surprise_is_saved_over_the_run_by_the_bound(make, tmp_path):
    panel, value = make()
    file = tmp_path / "mine.png"
    Image.new("L", (8, 8), 250).save(file)
    pictures = []
    for given in (None, str(file)):
        *_, (path, said) = panel._save_over(REQUEST, *values(value, "surprise", terms=5), given)
        assert said == ""
        with Image.open(path) as film:
            assert film.n_frames == 6
            pictures.append(np.asarray(film.convert("RGB")))
    assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()  # each its own
    *_, (_, said) = panel._save_over(REQUEST, *values(value, "surprise", terms=5, by="flow"), None)
    assert "does not change over the run" in said


def test_a_page_that_closes_leaves_nothing(make):
    panel, value = make()
    list(panel._look(REQUEST, *values(value, "sum")))
    visit = panel.visits["visitor"]
    save = visit.newest.begin("save")
    panel.forget("visitor")
    assert not panel.visits and visit.newest.get("look").ended.is_set() and save.ended.is_set()
    panel.forget("nobody")


def test_texts_from_outside_are_escaped():
    evil = "<img src=x onerror=alert(1)>"
    pixels = np.zeros((4, 4, 3), np.uint8)
    html = view_html(ViewResult("sum", 0, {}, {}, [evil], [Tile(evil, pixels)], [evil]), None)
    assert evil not in html and html.count("&lt;img src=x") == 4  # a line, a note, a title and its picture


def test_a_block_that_the_network_does_not_have_is_said(make):
    panel, value = make()
    *_, (html, *_) = panel._look(REQUEST, *values(value, "network", block="up.9"))
    assert "This network has no block up.9, so its middle is shown." in html and "middle.0: ResBlock" in html
    *_, (html, *_) = panel._look(REQUEST, *values(value, "network", block="up.0.stages.0.block", part="skip"))
    assert 'data-block="up.0.stages.0.block"' in html and "</sub> without the skip into it" in html
    assert "no block" not in html


def test_the_surprise_of_a_picture_of_ones_own_and_by_the_flow(make, tmp_path):
    panel, value = make()
    file = tmp_path / "mine.png"
    Image.new("L", (20, 16), 90).save(file)
    said = values(value, "surprise", terms=3)
    *_, (html, *_) = panel._look(REQUEST, *said, str(file))
    assert "to measure your picture. This takes as much computing as 3 network calls" in html
    *_, (html, *_) = panel._compute(REQUEST, *said, str(file))
    assert "Surprise of your picture" in html and "The picture was brought to 8x8" in html
    assert "under the label and prompt of the run" in html
    model, recipe = panel.studio.model("tiny"), panel.store.get(value["run"]).recipe
    same = of_picture(model, Picture.open(file), recipe.label, terms=3)
    assert f"{same.numbers['bits_per_pixel']:.2f} bits per pixel" in html
    *_, (html, *_) = panel._compute(REQUEST, *said, None)
    assert "Surprise of the finished picture" in html and "your picture" not in html
    by_flow = values(value, "surprise", terms=3, by="flow")
    *_, (html, *_) = panel._look(REQUEST, *by_flow, None)
    assert "as 12 network calls" in html
    *_, (html, *_) = panel._compute(REQUEST, *by_flow, None)
    assert "flow" in html and html.count("<img") == 2
    (tmp_path / "no.png").write_bytes(b"no picture")
    *_, (_, status, *_) = panel._compute(REQUEST, *said, str(tmp_path / "no.png"))
    assert "not a picture in a known format" in status and "the last one that could be made" in status


def test_the_page_sets_symbols_and_leaves_words_alone():
    clean = "<i>x</i><sub>0</sub>"
    assert symbols("x(7) = 0.8 x0(6) - 0.6 eps(6)") == f"<i>x</i>(7) = 0.8 {clean}(6) − 0.6 ε(6)"
    assert (
        symbols("alpha times x0, sigma times eps; x_t") == f"α times {clean}, σ times ε; <i>x</i><sub>t</sub>"
    )
    assert symbols("5.2e-09 bits, v towards -x0") == f"5.2 × 10<sup>−9</sup> bits, v towards −{clean}"
    assert symbols("2 x (with - without), 4x4, <b>") == "2 × (with − without), 4x4, &lt;b&gt;"
    assert symbols("a self-made alphabet") == "a self-made alphabet"
