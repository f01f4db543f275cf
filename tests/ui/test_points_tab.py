"""The Points tab without a browser: a training that stops at its limit of time, and goes on."""

from __future__ import annotations

import time
from base64 import b64decode
from threading import Thread
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from diffusion_studio.errors import OptionError
from diffusion_studio.studio import Studio
from diffusion_studio.ui.compute import Compute, RunEnded
from diffusion_studio.ui.hosting import Hosting
from diffusion_studio.ui.points_tab import DRAWN, PointsTab, _opening
from diffusion_studio.ui.run_view import RunView
from diffusion_studio.ui.shape_pictures import shape_items
from diffusion_studio.ui.store import RunStore

VISITOR = SimpleNamespace(session_hash="visitor")
PRESS = "1000.5"  # the page names a press by its time


@pytest.fixture
def tab(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with gr.Blocks():
        return PointsTab(
            Studio(tmp_path / "checkpoints"),
            RunStore(),
            Compute(),
            Hosting(),
            lambda name: {"used": name},
            [],
        )


def updates(looks) -> list:
    """What the last answer of a training says: status, file, "Use", "Go on"."""
    return list(looks)[-1][1:]


@pytest.mark.slow
def test_a_training_stops_at_its_limit_and_goes_on(tab):
    tab.max_seconds = 0.0  # one step for each press
    status, file, use, more = updates(tab._train(PRESS, "rings", None, 300, VISITOR))
    assert "stopped at the limit of 1 s, after 1 of 300 steps" in status and "<b>Go on</b>" in status
    assert file["visible"] and use["visible"]
    assert more == gr.update(value="Go on: 299 more steps", visible=True)
    assert [one["visible"] for one in tab._chosen("rings", VISITOR)] == [False, True]
    assert [one["visible"] for one in tab._chosen(DRAWN, VISITOR)] == [True, False]  # the pad
    status, *_, more = updates(tab._train_more(PRESS, "rings", None, VISITOR))
    assert "after 2 of 300 steps" in status and more["value"] == "Go on: 298 more steps"
    tab.max_seconds = 1e9
    status, *_, more = updates(tab._train_more(PRESS, "rings", None, VISITOR))
    assert "Trained: 300 steps" in status and not more["visible"]
    assert not tab._chosen("rings", VISITOR)[1]["visible"]
    model, origin, unfinished = tab._model("rings", None, VISITOR)
    assert model.spec.name == "my-rings" and "that you trained" in origin and unfinished is None


def test_only_the_shape_that_was_begun_goes_on(tab):
    with pytest.raises(gr.Error, match="did not begin to learn this shape"):
        list(tab._train_more(PRESS, "rings", None, VISITOR))
    tab.max_seconds = 0.0
    list(tab._train(PRESS, "rings", None, 300, VISITOR))
    with pytest.raises(gr.Error, match="did not begin to learn this shape"):
        list(tab._train_more(PRESS, "moons", None, VISITOR))
    assert tab._trained["visitor"].training.done == 1


def test_a_stopped_training_keeps_what_it_has_learned(tab):
    looks = tab._train(PRESS, "rings", None, 4000, VISITOR)
    shown = next(one for one in looks if isinstance(one[0], dict) and one[0].get("index"))[0]
    looks.close()
    player, status, file, _, more = tab._stopped(shown, VISITOR)
    assert "The training stopped, after" in status and file["visible"] and more["visible"]
    done = tab._trained["visitor"].training.done
    assert done >= shown["index"] and player["index"] == done and player["run"] == shown["run"]
    assert f"after {done:,} of" in status and player["stopped"] and player["doing"] == "training"
    assert tab._stopped({"run": "x"}, VISITOR) == [gr.skip()] * 5  # another run was stopped


def test_a_later_press_ends_the_run_before(tab):
    training = Thread(target=lambda: list(tab._train("1", "rings", None, 4000, VISITOR)))
    training.start()
    for _ in range(1200):
        if "visitor" in tab._training:
            break
        time.sleep(0.05)
    own = tab._training["visitor"]
    cloud = list(tab._forward("2", "moons", None, VISITOR))
    training.join(60)
    stopped = f"The training on rings was stopped after {own.training.done:,} of 4,000 steps."
    assert cloud[-1][1].endswith(stopped)  # said with the result of the press that ended it
    assert cloud[-1][0]["note"] == stopped  # and in the player
    assert not training.is_alive() and cloud[-1][0]["press"] == "2" and cloud[-1][0]["done"]
    assert cloud[-1][0]["words"].startswith("moons")
    # it came here later than its successor; an answer, as Gradio would empty both components without one
    assert list(tab._forward("1", "rings", None, VISITOR)) == [(gr.skip(), gr.skip())]
    assert tab.waiting.at("1") is None and tab.waiting.at("2") is None


def test_an_error_reaches_the_page_unless_a_newer_run_is_there(tab):
    with pytest.raises(gr.Error, match="no shape"), tab._replace_run("1", VISITOR, "Preparing"):
        raise OptionError("shape", "There is no shape.")
    with pytest.raises(RunEnded), tab._replace_run("2", VISITOR, "Preparing"):
        tab._newest.begin("visitor", "3", 3.0)
        raise OptionError("shape", "There is no shape.")


def test_an_unfinished_network_says_so_with_what_it_makes(tab):
    tab.max_seconds = 0.0  # one step
    list(tab._train(PRESS, "rings", None, 300, VISITOR))
    shown, origin = list(tab._reverse(PRESS, "rings", None, "ddim", VISITOR))[-1]
    assert origin.startswith(
        "From fresh noise, by the network that you trained, which stopped after 1 of 300"
    )
    assert shown["done"] and shown["trained"] == [1, 300]  # the player says it below the cloud


def test_the_tab_opens_with_the_chosen_shape_that_dissolves():
    for shape in (None, "moons"):
        opening = _opening(shape)
        assert opening["tick"]["shape"] == (shape or "swiss-roll") and opening["tick"]["run"] == "opening"
        assert [one[0] for one in opening["frames"]] == list(range(21))
        first, last = (np.frombuffer(b64decode(opening["frames"][k][1]), "<i2") for k in (0, -1))
        half = len(first) // 2
        assert (first[:half] == first[half:]).all() and not (last[:half] == last[half:]).all()
    assert _opening(DRAWN) is None and _opening({"a": 1}) is None


def test_the_network_on_offer_names_its_shape(tab):
    tab.max_seconds = 0.0
    file, use, _ = list(tab._train(PRESS, "rings", None, 300, VISITOR))[-1][2:]
    assert "of rings" in file["label"] and use["value"] == "Use your network of rings in Generate"
    ticks = tab._train(PRESS, "moons", None, 300, VISITOR)
    _, _, file, use, _ = next(ticks)
    ticks.close()
    assert "of rings" in file["label"] and "of rings" in use["value"]  # moons have no network yet
    assert "value" not in file and file["visible"]  # its file is the one that stands there


def test_a_closed_page_keeps_no_network(tab):
    looks = tab._train(PRESS, "rings", None, 4000, VISITOR)
    next(one for one in looks if isinstance(one[0], dict))
    own = tab._training["visitor"]
    tab.forget("visitor")
    looks.close()
    assert own.over.wait(60) and not tab._trained and not tab._training


def test_each_shape_has_a_small_picture(tab):
    items = shape_items(DRAWN)
    assert [one["value"] for one in items][-1] == DRAWN and len(items) == 9
    assert all(
        one["picture"].startswith(("page-files/", "data:image/")) and len(one["picture"]) < 300
        for one in items
    )


def test_a_view_says_how_a_run_is_made():
    view = RunView(RunStore(), "Press 1, 2 or 3")
    with pytest.raises(OptionError, match="no run to compare with yet. Press 1, 2 or 3 first"):
        view.shown(None, "compare with")
    with pytest.raises(OptionError, match="no longer kept on the server. Press 1, 2 or 3 to make it again"):
        view.shown({"run": "gone"}, "compare with")
    assert view.frames("gone") is None
