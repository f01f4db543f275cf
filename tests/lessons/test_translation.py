"""The texts of figures in another language."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_studio.errors import StudioError
from diffusion_studio.inside.figure import Curves, Figure, Film, Histogram
from diffusion_studio.lessons.translation import translated, translator


def test_a_phrase_and_what_changes_in_it():
    say = translator("de")
    assert say("step 3 of 12") == "Schritt 3 von 12"
    assert say("Bag: 12 passes for each picture, and 12 through the classifier and back") == (
        "Bag: 12 Durchgänge je Bild, und 12 durch den Klassifikator und zurück"
    )
    assert say("Step 0 of 50. linear: the picture itself.") == "Schritt 0 von 50. linear: das Bild selbst."
    assert say("Step 1 of 2. linear: 10% picture, 90% noise (t = 5, ᾱ = 0.1, noise variance 0.9).  cosine: 98% picture, 2% noise (t = 5, ᾱ = 0.98, noise variance 0.02).") == (
        "Schritt 1 von 2. linear: 10 % Bild, 90 % Rauschen (t = 5, ᾱ = 0,1, Varianz des Rauschens 0,9).  "
        "Kosinus: 98 % Bild, 2 % Rauschen (t = 5, ᾱ = 0,98, Varianz des Rauschens 0,02)."
    )  # fmt: skip
    assert say("DDIM, 8 steps") == "DDIM, 8 steps"  # the name of a row is the lesson's own
    assert say("...") == "..."


def test_every_text_of_a_figure():
    pictures, line = np.zeros((1, 2, 2), np.uint8), np.zeros(2)
    cells = [Film("the data", pictures, ["distance 0.1"]), Histogram("At once", line, line[None], line)]
    curves = [Curves("loss", [("without the middle", line, line)], "training steps")]
    found = translated(Figure(1, [("At once", cells)], curves, ["50% of the way"]), "de")
    assert found.labels == ["50 % des Weges"] and found.rows[0][0] == "Auf einmal"
    film, histogram = found.rows[0][1]
    assert (film.title, film.captions, histogram.title) == ("die Daten", ["Abstand 0,1"], "Auf einmal")
    assert histogram.curve_name == "Normalverteilung"
    [curve] = found.curves
    assert (curve.title, curve.x, curve.series[0][0]) == ("Verlust", "Trainingsschritte", "ohne die Mitte")
    figure = Figure(1)
    assert translated(figure, "en") is figure


def test_a_broken_line_is_told(tmp_path):
    (tmp_path / "xx").mkdir()
    for line in ("the data", "{} of {} | {}"):
        (tmp_path / "xx" / "figures.txt").write_text(f"\n{line}\n", "utf-8")
        with pytest.raises(StudioError, match="xx/figures.txt, line 2"):
            translator("xx", tmp_path)
        from diffusion_studio.lessons.translation import phrases

        phrases.cache_clear()
