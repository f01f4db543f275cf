"""Lessons as files: all that are bundled, in each language, and what is said of broken ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from diffusion_studio.lessons.figures import FIGURES
from diffusion_studio.lessons.lesson import FOLDER, Lesson, LessonError, course, languages, read, words
from diffusion_studio.lessons.markdown import html_of, inline

LESSON = """title: A title
figure: forward
settings: {"schedules": ["linear"]}
question: What
  happens?
answer: This.
answer: That.
right: 2
paper: A paper
equation: x_t = x_0
go on: tab Forward
---
Before.
---
After.
"""


def written(folder: Path, text: str, name: str = "1-a.md", language: str = "en") -> Path:
    path = folder / language / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_lesson_is_read(tmp_path):
    one = read(written(tmp_path, LESSON))
    assert (one.name, one.language, one.number, one.title, one.minutes) == ("1-a", "en", 1, "A title", 3)
    assert one.question == "What happens?" and one.answers == ("This.", "That.") and one.right == 1
    assert one.settings == {"schedules": ["linear"]} and one.go_on == "Forward"
    assert (one.before, one.after, one.papers) == ("Before.", "After.", ("A paper",))


def test_a_translation_leaves_out_what_stays(tmp_path):
    plain = read(written(tmp_path, LESSON))
    short = "title: Ein Titel\nanswer: Dies.\nanswer: Das.\n---\nVorher.\n---\nNachher.\n"
    one = read(written(tmp_path, short, language="de"), plain)
    assert (one.language, one.title, one.question) == ("de", "Ein Titel", "What happens?")
    assert one.answers == ("Dies.", "Das.") and one.right == 1
    assert (one.settings, one.go_on, one.papers) == (plain.settings, plain.go_on, plain.papers)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A title\n", "", "no line 'title: ...'"),
        ("figure: forward", "figure: backward", "backward"),
        ('{"schedules"', '{"scedules"', "scedules"),
        ('["linear"]}', '["linear"]', "JSON.*letter"),
        ('{"schedules": ["linear"]}', "[1]", "an object in JSON"),
        ("right: 2", "right: 3", "'right' must be a whole number from 1 to 2, got '3'"),
        ("right: 2", "right: two", "got 'two'"),
        ("answer: That.\nright: 2", "right: 1", "two or more answers, got 1"),
        ("title: A title", "title: A title\ntitle: Another", "line 2: 'title' is given twice"),
        ("paper: A paper", "papers: A paper", "line 9: 'papers: A paper' is none of"),
        ("---\nAfter.", "After.", "1 lines of ---"),
        ("After.", "", "no text after"),
        ("go on: tab Forward", "go on: Forward", "'go on' is an object in JSON"),
    ],
)
def test_a_broken_lesson_says_what_to_mend(tmp_path, old, new, said):
    assert old in LESSON
    path = written(tmp_path, LESSON.replace(old, new))
    with pytest.raises(LessonError, match=said) as caught:
        read(path)
    assert str(caught.value).startswith("1-a.md")


def test_a_name_without_number_and_a_file_that_is_no_text(tmp_path):
    with pytest.raises(LessonError, match="begins with its number"):
        read(written(tmp_path, LESSON, "a.md"))
    path = written(tmp_path, LESSON, "2-b.md")
    path.write_bytes(b"title: \xff\xfe")
    with pytest.raises(LessonError, match="UTF-8"):
        read(path)


def test_a_broken_lesson_leaves_the_others(tmp_path):
    written(tmp_path, "language: English\n", "words.txt")
    written(tmp_path, LESSON)
    written(tmp_path, LESSON.replace("right: 2", "right: 9"), "2-b.md")
    written(tmp_path, LESSON, "10-c.md")
    first, second, third = course("en", tmp_path)
    assert isinstance(first, Lesson) and isinstance(second, LessonError) and third.number == 10


def test_what_is_not_translated_is_english(tmp_path):
    written(tmp_path, "language: English\nnext: Next\n", "words.txt")
    written(tmp_path, "language: Deutsch\n", "words.txt", "de")
    written(tmp_path, LESSON)
    assert [one.language for one in course("de", tmp_path)] == ["en"]
    assert words("de", tmp_path) == {"language": "Deutsch", "next": "Next"}
    assert languages(tmp_path) == {"en": "English", "de": "Deutsch"}
    with pytest.raises(LessonError, match="no language 'xx'"):
        course("xx", tmp_path)
    written(tmp_path, "language: Deutsch\nnaechste: x\n", "words.txt", "fr")
    with pytest.raises(LessonError, match="line 2"):
        words("fr", tmp_path)


@pytest.mark.parametrize("language", languages())
def test_the_course(language):
    found = course(language)
    assert not [one for one in found if isinstance(one, LessonError)]
    assert [one.number for one in found] == [*range(1, 10)]
    assert {one.language for one in found} == {language}  # every lesson is translated
    for one, plain in zip(found, course("en")):
        assert one.figure in FIGURES and one.figure == plain.figure, one.name
        assert (one.right, len(one.answers)) == (plain.right, len(plain.answers)), one.name
        assert one.papers and all(re.search(r"20\d\d|Lu et al\.", paper) for paper in one.papers), one.name
        assert one.go_on, one.name
        html = html_of(one.before) + html_of(one.after)
        assert "**" not in html and "_{" not in html, one.name
        # the same numbers are claimed in each language
        numbers = [re.findall(r"\d+[.]\d\d", text.replace(",", ".")) for text in (one.after, plain.after)]
        assert numbers[0] == numbers[1], one.name


@pytest.mark.parametrize("language", languages())
def test_a_translation_changes_only_the_names_of_rows(language):
    """Figures are drawn with the settings of English lessons; the page then puts the names in their places."""

    def unnamed(settings):
        rows = [{**row, "name": ""} for row in settings.get("rows", ())]
        return {**settings, "rows": rows, "against": bool(settings.get("against"))}

    for one, plain in zip(course(language), course("en")):
        assert isinstance(one, Lesson) and isinstance(plain, Lesson)
        assert unnamed(one.settings) == unnamed(plain.settings), one.name


def test_a_part_that_is_folded_up():
    made = html_of("Seen.\n\n??? More: a *title*\nHidden.\n\n- one\n\n??? Last\nEnd.")
    assert made.startswith('<p>Seen.</p>\n<details class="more"><summary>More: a <em>title</em></summary>')
    assert "<p>Hidden.</p>\n<ul><li>one</li></ul></details>" in made and made.endswith(
        "<p>End.</p></details>"
    )
    assert "details" not in html_of("Is it so ??? Or not.")


def test_the_papers_figures():
    """DDPM's and ADM's abstracts, ADM's table 5, Improved DDPM's table 3."""
    text = next(one for one in course("en") if one.number == 9).after
    for row in (
        r"DDPM .2020. \| CIFAR-10 \| FID 3.17",
        r"CIFAR-10 \| 2.94 bits",
        r"64 x 64 \| 3.53 bits",
        r"BigGAN-deep.*256 \| FID 6.95",
        r"ADM with classifier guidance.*256 \| FID 4.59",
        r"upsampling \| ImageNet 256 x 256 \| FID 3.94",
    ):
        assert re.search(row, text), row


def test_the_linear_schedule_has_eight_percent_halfway():
    """What lesson 6 asks: the product of 1 - beta over 500 of DDPM's 1000 betas; and its cosine's half."""
    import math

    import numpy as np

    from diffusion_studio.diffusion.schedule import Cosine, Linear

    expected = np.prod(1 - np.linspace(1e-4, 0.02, 1000)[:500])
    assert Linear().level(499).alpha ** 2 == pytest.approx(expected) and round(expected, 2) == 0.08
    assert Cosine().level(499).alpha ** 2 == pytest.approx(
        math.cos(0.508 / 1.008 * math.pi / 2) ** 2, abs=1e-3
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b** *c* `d`", "<p>a <strong>b</strong> <em>c</em> <code>d</code></p>"),
        ("<b>x</b> & y", "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>"),
        ("- one\n  more\n- two", "<ul><li>one more</li><li>two</li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        (
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        ),
        (
            "[DDPM](https://arxiv.org/abs/2006.11239)",
            '<p><a href="https://arxiv.org/abs/2006.11239" target="_blank" rel="noopener">DDPM</a></p>',
        ),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
        ("## A\n\nb\nc", "<h3>A</h3>\n<p>b c</p>"),
    ],
)
def test_markdown(text, html):
    assert html_of(text) == html


def test_indices():
    assert (
        inline("x_{t-1} + √ᾱ_t ε_θ(x_0)") == "x<sub>t-1</sub> + √ᾱ<sub>t</sub> ε<sub>θ</sub>(x<sub>0</sub>)"
    )
    assert inline("max_steps, dpmpp_2m") == "max_steps, dpmpp_2m"


def test_the_files_are_in_the_package():
    assert {one.name for one in FOLDER.iterdir() if one.is_dir() and one.name != "__pycache__"} == set(
        languages()
    )
