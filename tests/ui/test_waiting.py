"""What a press is told while it has no state to show."""

from __future__ import annotations

from diffusion_studio.ui.compute import Progress
from diffusion_studio.ui.waiting import Waiting


def test_a_press_is_told_what_it_waits_for():
    waiting = Waiting()
    assert waiting.at("a") is None
    waiting.join("a")
    waiting.join("b")
    assert waiting.at("a") == {"ahead": 0, "seconds": None}
    waiting.load("a", "heroes")
    assert waiting.at("a") == {"loading": "heroes"}
    waiting.tell("a", Progress(3, others=2, seconds=9.0))
    assert waiting.at("a") == {"running": True, "others": 2}
    waiting.tell("b", Progress(0, place=1, others=2, seconds=20.0))
    assert waiting.at("b") == {"ahead": 1, "seconds": 20.0}
    waiting.refuse("c", "All is taken.")
    assert waiting.at("c") == {"full": "All is taken."}
    waiting.leave("a")
    waiting.leave("never there")
    assert waiting.at("a") is None and waiting.at("b") is not None
