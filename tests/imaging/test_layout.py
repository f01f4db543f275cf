"""Where pictures stand: grids, and the lines of a text."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.imaging.layout import LINE, Layout, text_lines


@pytest.mark.parametrize(
    "text, lines",
    [
        ("Ada", ("Ada",)),
        ("  Ada \t Lovelace ", ("Ada Lovelace",)),
        ("Ada\nLovelace", ("Ada", "Lovelace")),
        ("Ada\r\n\r\nLovelace\n", ("Ada", "", "Lovelace")),
        ("Sixteen letters a", ("Sixteen letters", "a")),
        ("x" * (LINE + 1), ("x" * (LINE + 1),)),  # a word is not broken
        ("no " + "x" * LINE, ("no", "x" * LINE)),
        (" \n ", ()),
        ("", ()),
    ],
)
def test_a_text_is_set_in_lines(text, lines):
    assert text_lines(text) == lines


def test_each_letter_has_a_place_and_blanks_a_gap():
    layout = Layout.of_lines(("ab c", "", "d"))
    assert (layout.rows, layout.columns) == (3, 4)
    assert layout.places == ((0, 0), (0, 1), (0, 3), (2, 0))


def test_a_sheet_shows_every_letter_in_its_place_and_paper_elsewhere():
    images = np.stack([np.full((2, 2, 1), k, np.uint8) for k in range(1, 4)])
    sheet = Layout.of_lines(("a b", "c")).sheet(images, background=200)[..., 0]
    expected = [[1, 1, 200, 200, 2, 2], [1, 1, 200, 200, 2, 2], [3, 3, 200, 200, 200, 200]]
    np.testing.assert_array_equal(sheet, [*expected, expected[-1]])
