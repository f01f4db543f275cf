"""Pictures of numbers: ticks, curves, sheets, and heat maps over a picture."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.inside import drawing


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0.0, 0.335, [0, 0.1, 0.2, 0.3]),
        (-8.35, 0.83, [-8, -6, -4, -2, 0]),
        (0, 6, [0, 2, 4, 6]),
        (19.0, 999.0, [0, 200, 400, 600, 800, 1000]),
        (2e-9, 0.9999, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3.0, 3.0001, [3, 3.00002, 3.00004, 3.00006, 3.00008, 3.0001]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert drawing.ticks(low, high) == pytest.approx(expected, abs=1e-12)


def test_curves_with_ticks_have_the_size_that_was_asked_for():
    made = drawing.curves([("a", [0, 1, 2], [5.0, 7.0, float("nan")])], "title", marker=1.0, size=(300, 150))
    assert made.shape == (150, 300, 3) and len({*map(tuple, made.reshape(-1, 3).tolist())}) > 3
    assert drawing.curves([("one", [3], [4])], "of one point").shape == (220, 420, 3)


def test_names_that_have_no_room_beside_the_title_stand_below_it():
    """They were drawn over it."""
    lines = [("to the end", [0, 1], [1, 0]), ("to the next step", [0, 1], [0, 1])]
    for title, below in (("short", False), ("how much x0 still changes (root mean square), over step", True)):
        drawn = drawing.curves(lines, title, size=(480, 240))
        of_names = [(np.abs(drawn.astype(int) - colour).sum(-1) < 30).any(1) for colour in drawing.LINES[:2]]
        first = [int(rows.argmax()) for rows in of_names]
        assert all((row > 20) == below for row in first), (title, first)


def test_a_group_begins_under_its_name():
    tile = np.zeros((16, 16, 3), np.uint8)
    plain = drawing.sheet([("a", tile, False), ("b", tile, False)], side=16, groups=["", ""])
    named = drawing.sheet([("a", tile, False), ("b", tile, False)], side=16, groups=["", "the next state"])
    dark = [int((sheet.sum(-1) == 0).any(1).sum()) for sheet in (plain, named)]
    assert dark == [16, 32]
    assert named.shape[0] - plain.shape[0] == 16 + drawing.TITLE + drawing.GAP + drawing.HEADING


def test_a_heat_map_is_as_readable_over_black_as_over_white():
    """Over a black picture the brightest place had a luminance of 56 of 255."""
    weights = np.array([[0.0, 0.5, 1.0]])
    for value in (0, 255):
        drawn = drawing.over(np.full((1, 3, 3), value, np.uint8), weights).mean(-1)[0]
        assert drawn[2] > 200 and drawn[2] - drawn[0] > 100, (value, drawn)
        assert drawn[0] < drawn[1] < drawn[2]
    outline = drawing.over(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), np.zeros((1, 2))).mean(-1)[0]
    assert outline[1] - outline[0] > 60  # the picture stays to be seen where the map is dark
