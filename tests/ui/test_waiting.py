"""What a press is told while it waits, with a clock of the test's own."""

from __future__ import annotations

from diffusion_studio.ui.waiting import FORGOTTEN, Waiting


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_press_sees_those_before_it_and_about_how_long():
    clock = Clock()
    waiting = Waiting(clock)
    for name in ("a", "b", "c"):
        waiting.join(name)
    assert waiting.at("a") == {"ahead": 0, "seconds": None}
    assert waiting.at("c") == {"ahead": 2, "seconds": None}  # nothing has run yet: no time is claimed
    waiting.begin("a", "heroes")
    assert waiting.at("a") == {"loading": "heroes"}
    clock.now += 2
    waiting.step("a", 5, 20)  # a quarter took 2 s: 6 s are left
    assert waiting.at("a") == {"running": True} and waiting.at("b") == {"ahead": 1, "seconds": 6.0}
    clock.now += 6
    waiting.step("a", 20, 20)
    waiting.leave("a")
    assert waiting.at("a") is None and waiting.at("b") == {"ahead": 0, "seconds": None}
    assert waiting.at("c") == {"ahead": 1, "seconds": 8.0}  # as long as the last one took


def test_a_press_whose_page_is_gone_or_that_was_stopped_stands_before_nobody():
    clock = Clock()
    waiting = Waiting(clock)
    waiting.join("gone")
    waiting.join("stopped")
    waiting.leave("stopped")
    waiting.join("mine")
    assert waiting.at("mine")["ahead"] == 1
    clock.now += FORGOTTEN
    assert waiting.at("mine")["ahead"] == 0
    waiting.leave("never there")
    waiting.step("never there", 1, 2)


def test_a_run_that_was_stopped_does_not_make_the_usual_one_shorter():
    clock = Clock()
    waiting = Waiting(clock)
    waiting.begin("a")
    clock.now += 1
    waiting.step("a", 1, 100)
    waiting.leave("a")
    waiting.join("b")
    waiting.join("c")
    assert waiting.at("c") == {"ahead": 1, "seconds": None}
