"""The script that makes the letters data: held-out parts, random choices, and errors for wrong files."""

from __future__ import annotations

import hashlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from diffusion_studio import data

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "letters_data.py"
TYPEFACES = {"serif": 40, "bold sans": 20, "light condensed mono": 3, "black pixel": 1}
CHARACTERS = ("A", "a", "0")


@pytest.fixture
def letters(tmp_path) -> Path:
    """A small letters32.npz: random ink, 64 typefaces of four looks."""
    looks = [look for look, count in TYPEFACES.items() for _ in range(count)]
    fonts = np.repeat(np.arange(len(looks)), len(CHARACTERS))
    path = tmp_path / "letters32.npz"
    np.savez(
        path,
        image=np.random.default_rng(1).integers(0, 256, (len(fonts), 32, 32), dtype=np.uint8),
        label=np.arange(len(fonts)).astype(np.uint8) % len(CHARACTERS),
        label_names=np.array(CHARACTERS),
        caption=np.array([looks[k] for k in fonts]),
        font=fonts.astype(np.uint16),
        font_names=np.array([f"font {k}" for k in range(len(looks))]),
    )
    return path


@pytest.fixture
def run(monkeypatch):
    def call(*given: object) -> None:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, given)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return call


def test_what_is_held_out_and_what_is_drawn(letters, tmp_path, run):
    script, out = runpy.run_path(str(SCRIPT)), tmp_path / "runs" / "letters.npz"
    run(letters, out)
    train, test = data.load(out), data.load(out, "test")
    assert train.names == test.names == CHARACTERS
    with np.load(out) as made, np.load(letters) as given:
        held = set(made["held_fonts"])
        ink, label, caption, font = (given[name] for name in ("image", "label", "caption", "font"))
    of_look = {look: sum(caption[3 * int(name.split()[1])] == look for name in held) for look in TYPEFACES}
    assert of_look == {
        "serif": 2,
        "bold sans": 1,
        "light condensed mono": 1,
        "black pixel": 1,
    }  # 5 %, at least one
    assert len(test.images) == 3 * len(held)
    by_ink = {picture.tobytes(): k for k, picture in enumerate(ink)}
    for split, of_test in ((train, False), (test, True)):
        for picture, number, texts in zip(split.images, split.labels, split.captions):
            name, look = texts[0].split(" ", 1)
            if name == "black":  # the only colour of which the ink can be read exactly
                k = by_ink[(255 - picture[..., 0]).tobytes()]
                assert label[k] == number and caption[k] == look and (f"font {font[k]}" in held) == of_test
            if not of_test:
                assert script["HELD_OUT_LOOK"][name] != look.split()[-1]
                assert texts[:4] == (texts[0],) * 4 and texts[4:] == (
                    " ".join([name, *look.split()[:-1]]),
                    look,
                )
    assert any(
        script["HELD_OUT_LOOK"][texts[0].split()[0]] == texts[0].split()[-1] for texts in test.captions
    )
    seen = [texts[0].split()[-1] for texts in train.captions]
    assert (
        seen.count("serif") == 38 * 3 * 10 and seen.count("mono") == 2 * 3 * 10
    )  # rare: in every colour allowed


def test_ink_on_white():
    script = runpy.run_path(str(SCRIPT))
    ink = np.array([[[0, 255], [128, 1]]], np.uint8)
    found = script["coloured"](ink, np.array([list(script["COLOURS"]).index("navy")]))
    assert found[0, 0].tolist() == [[255, 255, 255], [30, 42, 120]]
    assert found[0, 1, 0].tolist() == [142, 148, 187]  # 255 - 128/255 * (225, 213, 135), to the nearest
    assert set(script["HELD_OUT_LOOK"]) == set(script["COLOURS"])
    assert set(script["HELD_OUT_LOOK"].values()) == set(script["LOOKS"])


def test_no_caption_can_be_read_in_two_ways():
    """ "black" is a colour and a weight: every caption that begins with a colour's name has that colour."""
    script = runpy.run_path(str(SCRIPT))
    for colour in script["COLOURS"]:
        for look in ("black sans", "black italic sans", "bold sans", "sans"):
            for text in script["captions"](colour, look):
                assert text.split()[0] == colour or text.split()[0] not in script["COLOURS"], text


def test_a_seed_makes_the_same_file(letters, tmp_path, run):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(letters, tmp_path / f"{name}.npz", "--colours", 2, "--seed", seed)
        hashes.append(hashlib.sha256((tmp_path / f"{name}.npz").read_bytes()).hexdigest())
    assert hashes[0] == hashes[1] != hashes[2]


def test_wrong_files_are_told(letters, tmp_path, run, capsys):
    with np.load(letters) as given:
        arrays = dict(given)
    np.savez(tmp_path / "less.npz", image=arrays["image"])
    arrays["caption"] = np.array(["bold gothic", *arrays["caption"][1:]])
    np.savez(tmp_path / "other.npz", **arrays)
    (tmp_path / "text.npz").write_text("no archive", "utf-8")
    for name, message in (
        ("less", "has no label, label_names, caption, font, font_names; it holds image"),
        ("other", "end in gothic; known looks are serif, sans"),
        ("text", "cannot be read as an .npz"),
        ("none", "cannot be read as an .npz"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(tmp_path / f"{name}.npz", tmp_path / "out.npz")
    for wrong, message in ((("--colours", 11), "from 1 to 10, got 11"), ((), "must end in .npz")):
        with pytest.raises(SystemExit):
            run(letters, tmp_path / ("out.npz" if wrong else "out"), *wrong)
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))
