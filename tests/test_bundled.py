"""The bundled models: each loads, is small, has a whole card, and still makes what it made. New ones need
no line here.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import diffusion_studio as ds
from diffusion_studio.studio import CLASSIFIER_FILE, FILE_NAME

_FOUND = importlib.util.spec_from_file_location("make_bundled", Path(__file__).with_name("make_bundled.py"))
golden = importlib.util.module_from_spec(_FOUND)
_FOUND.loader.exec_module(golden)

CHECKPOINTS = golden.ROOT / "checkpoints"
MODELS, CLASSIFIERS = golden.bundled()

MB = 1_000_000
LARGEST = {"emoji": 16, "heroes": 6, "letters": 6, "cifar10": 12, "fashion-mnist": 4, "mnist": 4}
LARGEST_OTHER, LARGEST_CLASSIFIER, LARGEST_OF_POINTS, ALL_TOGETHER = 16, 2, 0.2, 46

# Other kernels and threads round otherwise; in four steps that moves a pixel by a shade now and then.
MOST_SHADES, MEAN_SHADES = 3, 0.25  # of 255
MOST_COORDINATE = 0.01  # of points, which have unit variance
MOST_LOG_PROBABILITY = 1e-3

ROWS = ("data", "licence of the data", "licence of the weights", "command", "training", "time and hardware")
STILL, MOVING = (".png",), (".gif", ".webp", ".apng", ".mp4")


@pytest.fixture(scope="module")
def studio():
    return ds.Studio(CHECKPOINTS, "cpu", "fp32")


def lacks(card: str, folder: Path, moving: bool = True) -> list[str]:
    """What a card does not tell or show."""
    rows = dict(re.findall(r"^\| ([^|]+?) \| (.+) \|$", card, re.MULTILINE))
    found = [f"the row {row!r}" for row in ROWS if not rows.get(row, "").strip()]
    if "diffusion-studio train" not in rows.get("command", ""):
        found.append("the command that trained it")
    if not re.search(r"\d[\d,.]* (million )?(images|pictures|points)", rows.get("training", "")):
        found.append("how many images it has seen")
    _, quality, figures = card.partition("\n## Quality\n")
    if not quality or not re.search(r"\d", figures):
        found.append("figures under ## Quality")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", card)
    found += [f"the file {name}" for name in shown if not (folder / name).is_file()]
    for kind, endings in (("a sample sheet or curve", STILL), ("an animation", MOVING)):
        if (moving or endings is STILL) and not any(name.endswith(endings) for name in shown):
            found.append(kind)
    return found


def largest(name: str, makes: str) -> float:
    """The most MB of a model's weights."""
    return LARGEST_OF_POINTS if makes == "points" else LARGEST.get(name, LARGEST_OTHER)


def unlike(found: np.ndarray, kept: np.ndarray, most: float, mean: float = np.inf) -> str | None:
    """How something differs from what is kept, where it is more than rounding."""
    if found.shape != kept.shape:
        return f"it is {found.shape}, and {kept.shape} is kept"
    apart = np.abs(found.astype(np.float64) - kept)
    if apart.max() <= most and apart.mean() <= mean:
        return None
    return f"it is up to {apart.max():.4g} and on average {apart.mean():.4g} off"


def compare(name: str, found: np.ndarray, most: float, mean: float = np.inf) -> None:
    path = golden.file_of(name)
    assert path is not None, (
        f"Nothing is kept of what {name} makes. Look at it, and keep it: python tests/make_bundled.py {name}"
    )
    why = unlike(found, golden.stored(path), most, mean)
    assert why is None, (
        f"{name} does not make what is kept in {path.name}: {why}. If its weights were replaced on "
        f"purpose: python tests/make_bundled.py {name}"
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_still_makes_what_it_made(studio, name):
    found = golden.made_by(studio, name)
    compare(name, found, *((MOST_SHADES, MEAN_SHADES) if found.dtype == np.uint8 else (MOST_COORDINATE,)))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_still_says_what_it_said(studio, name):
    compare(name, golden.said_by(studio, name), MOST_LOG_PROBABILITY)


@pytest.mark.parametrize("name", MODELS)
def test_another_picture_is_not_taken_for_it(studio, name):
    found = golden.made_by(studio, name, seeds=(1, 0))  # the same two, exchanged
    tolerance = (MOST_SHADES, MEAN_SHADES) if found.dtype == np.uint8 else (MOST_COORDINATE,)
    with pytest.raises(AssertionError, match=f"{name} does not make what is kept in .* off. If its weights"):
        compare(name, found, *tolerance)


def test_what_is_not_kept_says_how_to_keep_it(tmp_path, monkeypatch):
    monkeypatch.setattr(golden.file_of, "__defaults__", (tmp_path,))
    with pytest.raises(
        AssertionError, match="Nothing is kept of what new makes.*python tests/make_bundled.py new"
    ):
        compare("new", np.zeros((2, 2, 1), np.uint8), 3)


@pytest.mark.parametrize(
    "found",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
        np.arange(8, dtype=np.uint8).reshape(2, 4, 1),
        np.linspace(-2, 2, 12, dtype=np.float32).reshape(1, 6, 2),
    ],
    ids=["RGB", "grey", "points"],
)
def test_what_is_kept_comes_back(tmp_path, found):
    first = golden.write("new", found[:1], tmp_path)
    path = golden.write("new", found, tmp_path)
    assert path == first == golden.file_of("new", tmp_path) and [*tmp_path.iterdir()] == [path]
    np.testing.assert_array_equal(golden.stored(path), found)


def test_nothing_is_kept_of_models_that_are_gone():
    assert {path.stem for path in golden.FOLDER.iterdir()} <= {*MODELS, *CLASSIFIERS}
    assert max(path.stat().st_size for path in golden.FOLDER.iterdir()) < 40_000


@pytest.mark.parametrize("name", [*MODELS, *CLASSIFIERS])
def test_a_card_tells_all(name):
    card = CHECKPOINTS / name / "card.md"
    assert card.is_file(), f"{name} has no card.md. Write where it comes from, and how good it is."
    assert lacks(card.read_text("utf-8"), card.parent, moving=name in MODELS) == []


@pytest.mark.parametrize(
    "change, missing",
    [
        (
            lambda card: card.replace("| licence of the data |", "| copyright |"),
            "the row 'licence of the data'",
        ),
        (lambda card: re.sub(r"\| command \|.*", "| command | lost |", card), "the command that trained it"),
        (
            lambda card: re.sub(r"\| training \|.*", "| training | long |", card),
            "how many images it has seen",
        ),
        (lambda card: card.replace("## Quality", "## Remarks"), "figures under ## Quality"),
        (lambda card: card.replace("samples.png", "sheet.png"), "the file sheet.png"),
        (lambda card: re.sub(r"!\[.*\.gif\)", "", card), "an animation"),
        (lambda card: re.sub(r"!\[.*\.png\)", "", card), "a sample sheet or curve"),
    ],
    ids=["licence", "command", "images", "figures", "file", "animation", "sheet"],
)
def test_a_card_that_lacks_something_is_noticed(change, missing):
    folder = CHECKPOINTS / "fashion-mnist"
    card = (folder / "card.md").read_text("utf-8")
    assert change(card) != card and lacks(change(card), folder) == [missing]


def test_the_models_are_small(studio):
    sizes = {name: (CHECKPOINTS / name / FILE_NAME).stat().st_size / MB for name in MODELS}
    most = {name: largest(name, studio.card(name).spec.makes) for name in MODELS}
    sizes |= {
        f"{name} (classifier)": (CHECKPOINTS / name / CLASSIFIER_FILE).stat().st_size / MB
        for name in CLASSIFIERS
    }
    most |= {f"{name} (classifier)": LARGEST_CLASSIFIER for name in CLASSIFIERS}
    assert {name: size for name, size in sizes.items() if size > most[name]} == {}
    whole = sum(path.stat().st_size for path in CHECKPOINTS.rglob("*") if path.is_file()) / MB
    assert whole <= ALL_TOGETHER, (
        f"checkpoints/ has {whole:.1f} MB, pictures included; it may have {ALL_TOGETHER}"
    )
