"""What the scripts that measure the bundled models say of things that are known, and that they can tell what
fails.

Of the sprites' captions, pixels and palettes; of curves over a scale; of the bounds on time.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

import diffusion_studio as ds
from diffusion_studio.errors import DataError
from diffusion_studio.networks.mlp_config import MLPConfig


@pytest.fixture(scope="module")
def sprites(script):
    return script("_sprites")


CAPTIONS = [
    "orc, robe red, brown boots, red hair, long sword",
    "elf, coat, pants, brown boots, crown",
    "orc, bikini, pants, red cloak",
    "elf, bikini, bikini, brown boots",
    "elf, pants, long sword, large shield",
    "orc",
    "imp, robe red, crown, red hair",
    "elf, coat, bikini, red cloak, red hair, long sword, buckler round",
]


def test_parts_find_their_slots(sprites):
    known = sprites.attributes(CAPTIONS)
    assert known.names == (
        ("elf", "imp", "orc"),
        ("", "bikini", "coat", "robe red"),
        ("", "bikini", "pants"),
        ("", "red cloak"),
        ("", "brown boots"),
        ("", "crown"),
        ("", "red hair"),
        ("", "long sword"),
        ("", "buckler round", "large shield"),
    )
    assert known.seen[:, 0].tolist() == [2, 0, 2, 0, 0, 2, 1, 0] and known.seen[:, 1].tolist() == [
        3,
        2,
        1,
        1,
        0,
        0,
        3,
        2,
    ]
    assert known.seen[4].tolist() == [0, 0, 2, 0, 0, 0, 0, 1, 2] and not known.seen[5, 1:].any()
    np.testing.assert_array_equal(known.of(CAPTIONS[::-1]), known.seen[::-1])
    for wrong, message in (
        ("orc, robe blue", "'robe blue', which is known for no slot"),
        ("orc, coat, pants, bikini", "'bikini', a second part for the slot legs"),
        ("ant, coat", "begins with 'ant', which is none of the bodies: elf, imp, orc"),
    ):
        with pytest.raises(DataError, match=message):
            known.of([wrong])
    with pytest.raises(DataError, match="'sash' both before boots and after hair"):
        sprites.attributes(["orc, coat, sash, brown boots", "orc, coat, red hair, sash"])


def test_seen_pairs_are_the_held_out_ones_dealt_anew(sprites):
    captions = [f"body{b}, coat{a}, part{(a + b) % 3} boots" for b in range(5) for a in range(6)]
    held = {(f"body{k % 5}", f"coat{k % 6}") for k in range(7)}
    known = sprites.attributes(captions)
    asked, seen = sprites.asked_pairs(captions, known, held, 18, seed=3)
    pairs = [sprites.pairs(known, known.of(some)) for some in (asked, seen)]
    assert set(pairs[0]) == held and not held & set(pairs[1]) and len(asked) == len(seen) == 18
    assert {*asked, *seen} <= {
        *captions,
        *(f"body{b}, {c.split(', ', 1)[1]}" for b in range(5) for c in captions),
    }
    for slot in (0, 1):
        assert sorted(one[slot] for one in pairs[0]) == sorted(one[slot] for one in pairs[1])
    assert [one.split(", ", 1)[1] for one in asked] == [one.split(", ", 1)[1] for one in seen]
    assert (asked, seen) == sprites.asked_pairs(captions, known, held, 18, seed=3)
    assert asked != sprites.asked_pairs(captions, known, held, 18, seed=4)[0]
    everything = {(f"body{b}", f"coat{a}") for b in range(5) for a in range(6)}
    for none in (set(), everything):
        with pytest.raises(DataError, match="needs pairs of both kinds"):
            sprites.asked_pairs(captions, known, none, 4, seed=0)
    with pytest.raises(DataError, match="cannot be dealt"):
        sprites.asked_pairs(captions, known, {("body0", f"coat{a}") for a in range(6)}, 6, seed=0)


def test_matching_moves_those_who_chose_first(sprites):
    assert sprites.matching([[0, 1], [0], [1, 2]]) == [1, 0, 2]
    assert sprites.matching([[0, 1], [0, 1], [1, 0]]) is None
    assert sprites.matching([]) == []


def test_black_is_counted_exactly(sprites):
    real = np.zeros((3, 4, 4, 3), np.uint8)
    real[0, 1, 1] = (200, 0, 0)
    real[1, 2, 1:3] = (40, 40, 90)
    empty = sprites.always_black(real)
    assert empty.sum() == 13 and not empty[1, 1] and not empty[2, 1:3].any()
    made = real.copy()
    assert sprites.black_backgrounds(made, empty) == 1 and sprites.near_black(made) == 0
    made[2, 0, 0, 2] = 1  # one channel of one pixel, by one
    assert sprites.black_backgrounds(made, empty) == pytest.approx(2 / 3)
    assert sprites.near_black(made) == pytest.approx(1 / 48)
    made[2] = 0
    made[2, 1, 1] = (3, 200, 3)  # where sprites are, anything may be
    assert sprites.black_backgrounds(made, empty) == 1 and sprites.near_black(made) == 0


def test_palette_figures_of_known_shades(sprites):
    real = np.zeros((2, 2, 4, 3), np.uint8)
    real[0, :, :2], real[1, 0, 0] = (100, 50, 0), (0, 0, 255)
    known = sprites.palette(real)
    assert sorted(map(tuple, known.tolist())) == [(0, 0, 0), (0, 0, 255), (100, 50, 0)]
    own = sprites.palette_figures(real, known)
    assert own["distance"] == own["off"] == 0 and own["distinct"] == 2
    assert own["even"] == pytest.approx(
        (7 / 8 + 9 / 12) / 2
    )  # of 8 pairs one above the other, and 12 side by side
    made = real.copy()
    made[0, 0, 0] = (103, 54, 0)  # 5 from the nearest of a real sprite
    made[0, 0, 1] = (100, 50, 30)  # 30
    found = sprites.palette_figures(made, known)
    assert found["distance"] == pytest.approx((5 + 30 + 0 + 0 + 0) / 5) and found["off"] == pytest.approx(
        1 / 5
    )
    assert found["distinct"] == 3 and found["even"] < own["even"]
    assert np.isnan(sprites.palette_figures(np.zeros_like(real), known)["distance"])


@pytest.mark.slow
def test_a_judge_reads_parts_and_not_noise(script):
    """Squares whose place is the body and whose colour is the armour: learned in a few passes, lost where
    they change.
    """
    quality, pixel_judge, chance = script("heroes_quality"), script("_pixel_judge"), np.random.default_rng(0)
    captions = [f"body{chance.integers(3)}, coat{chance.integers(4)}" for _ in range(768)]
    known = script("_sprites").attributes(captions)
    colours = np.array([(250, 30, 30), (30, 250, 30), (30, 30, 250), (220, 220, 220)])
    pictures = np.zeros((len(captions), 8, 8, 3), np.uint8)
    for picture, (body, coat, *_) in zip(pictures, known.seen):
        picture[2:6, 3 * body : 3 * body + 2] = colours[coat - 1]
    sizes = [len(names) for names in known.names]
    judge = pixel_judge.trained(pictures[:512], sizes, known.seen[:512], seed=0, epochs=8)
    right = quality.by_slot(pixel_judge.named(judge, pictures[512:]) == known.seen[512:])
    assert right["body"] > 0.97 and right["armour"] > 0.97 and right["legs"] == 1
    swapped = quality.by_slot(pixel_judge.named(judge, pictures[512:, :, :, ::-1]) == known.seen[512:])
    assert swapped["armour"] < 0.65 < swapped["body"]  # red and blue are one another's, half of the coats


def test_what_was_held_out_is_pairs(script, tmp_path):
    quality, path = script("heroes_quality"), tmp_path / "held.txt"
    path.write_text("orc, half plate\nelf,  coat\n", "utf-8")
    assert quality.held_pairs(path) == {("orc", "half plate"), ("elf", "coat")}
    path.write_text("orc, half plate, pants\n", "utf-8")
    with pytest.raises(DataError, match="is a body and an armour.*got 'orc, half plate, pants'"):
        quality.held_pairs(path)


def test_verdicts_name_what_is_missed(script):
    quality = script("heroes_quality")
    right = {
        "judge, on real sprites": {"body": 0.91, "armour": 0.99, "legs": 0.74, "hair": 0.95},
        "seen": {"body": 0.90, "armour": 0.99, "legs": 0.9, "hair": 0.86},
        "held out": {"body": 0.851, "armour": 0.93, "legs": 0.2, "hair": 0.84},
    }
    assert [told for *_, told in quality.verdicts(right)] == [
        "",
        "more than 5 points below seen pairs",
        None,
        "under 85%",
    ]


def led(*rows: tuple[float, float, float]) -> list[dict[str, float]]:
    return [
        {"scale": scale, "recognised": seen, "varied": apart, "pictures": 100} for scale, seen, apart in rows
    ]


@pytest.mark.parametrize(
    "rows, rises, falls",
    [
        (led((0, 0.1, 10), (1, 0.5, 9), (2, 0.9, 7)), True, True),
        (led((0, 0.1, 10), (1, 0.9, 7), (8, 0.2, 12)), True, True),  # beyond the best scale pictures break
        (led((0, 0.1, 10), (1, 0.6, 9), (2, 0.4, 8), (4, 0.9, 7)), False, True),
        (led((0, 0.1, 10), (1, 0.5, 9), (2, 0.45, 8), (4, 0.9, 7)), True, True),  # 5 of 100 are chance
        (led((0, 0.1, 10), (1, 0.5, 11), (2, 0.9, 7)), True, False),
        (led((0, 0.1, 10), (1, 0.5, 10), (2, 0.9, 10)), True, False),
        (led((0, 0.9, 10), (1, 0.5, 9), (2, 0.1, 7)), False, False),
    ],
    ids=["as in the paper", "too far", "dips", "chance", "varies more", "varies alike", "falls"],
)
def test_verdict_on_a_curve_of_guidance(script, rows, rises, falls):
    told = script("classifier_guidance").verdict(rows)
    assert (f"rises: {'met' if rises else 'MISSED'}" in told) and (
        f"falls: {'met' if falls else 'MISSED'}" in told
    ), told


def test_a_curve_of_guidance_is_drawn_from_its_table(script, tmp_path):
    guidance, table = script("classifier_guidance"), tmp_path / "curve.csv"
    rows = [
        {"scale": guidance.REAL, "recognised": 0.9, "varied": 8.0, "pictures": 100},
        {"scale": guidance.TOLD, "recognised": 0.8, "varied": 7.0, "pictures": 100},
        *led((0.0, 0.1, 10), (4.0, 0.9, 6)),
    ]
    guidance.figure(table, rows)
    sizes = {}
    for path in sorted(tmp_path.iterdir()):
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
            shown = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
        curves = script("_figure").DARK if "dark" in path.name else script("_figure").LIGHT
        for wanted in map(ImageColor.getrgb, curves[:3]):  # all three curves are there
            assert min(max(abs(a - b) for a, b in zip(wanted, one)) for one in shown) < 8, (path.name, wanted)
    assert sizes == {"curve-dark.png": (1600, 1060), "curve.png": (1600, 1060)}


@pytest.mark.parametrize(
    "most, ticks",
    [
        (1.0, [k / 10 for k in range(11)]),
        (11, [0, 2, 4, 6, 8, 10]),
        (0.5, [k / 20 for k in range(11)]),
        (9.99, list(range(10))),
    ],
)
def test_ticks_are_round(script, most, ticks):
    assert script("_figure")._round_ticks(most) == pytest.approx(ticks)


def test_bounds_on_time(script, tiny_spec):
    bound_of = script("model_speed").bound_of
    grey, coloured = tiny_spec(), tiny_spec({"in_channels": 3, "out_channels": 3})
    assert [bound_of(coloured, name) for name in ("emoji", "heroes", "cifar10", "letters")] == [4, 2, 2, 0.6]
    assert bound_of(grey, "mnist") == bound_of(grey, "new") == 1.5 and bound_of(coloured, "new") is None
    points = ds.ModelSpec(network=MLPConfig())
    assert bound_of(points, "swiss-roll") is None


def test_names_that_are_farther_than_the_one_wanted(script):
    quality = script("emoji_quality")
    seen = np.array([[0.0], [1], [2], [3], [10], [11]])
    names = np.array(["a", "b", "c", "d", "a", "b"])
    made, every = np.array([[2.1], [9.0], [2.1]]), np.ones((3, 6), bool)
    found = quality.farther_names(made, seen, names, ["c", "b", "d"], every)
    np.testing.assert_allclose(found, [1, 2 / 3, 2 / 3])  # of the three other names
    every[0, 2] = False  # the only picture of c: then no name is farther
    assert quality.farther_names(made[:1], seen, names, ["c"], every[:1])[0] == 0
    every[0, 3] = False  # d counts no more at all: a and b are left
    assert quality.farther_names(made[:1], seen, names, ["a"], every[:1])[0] == 0
    assert quality.farther_names(made[:1], seen, names, ["b"], every[:1])[0] == 1


@pytest.mark.slow
def test_styles_are_told_by_a_judge_that_has_not_seen_them(script):
    from diffusion_studio.data import ImageData

    quality, random = script("emoji_quality"), np.random.default_rng(0)
    labels = np.arange(640) % 4
    pictures = (random.integers(0, 60, (640, 16, 16, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    names = np.array([f"name {k // 4}" for k in range(640)])
    real = ImageData(pictures, labels, ("a", "b", "c", "d"))
    right, of_real = quality.styles_right(pictures[[0, 1, 2, 3]], [0, 1, 2, 2], real, names)
    assert right == 0.75 and of_real > 0.99


def test_descriptions_are_held_out_and_of_known_names(script, tmp_path):
    from diffusion_studio.data import ImageData

    quality, path = script("emoji_quality"), tmp_path / "some.csv"
    real = ImageData(
        np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), ("x", "y"), (("cat", "cat, pet"), ("dog",))
    )
    path.write_text("name,description\ncat,a kitten\ndog,woof\n", "utf-8")
    assert quality.descriptions(path, real) == [("cat", "a kitten"), ("dog", "woof")]
    for line, message in (
        ("cow,moo", "'cow', which is no name"),
        ('cat,"Cat, Pet"', "'Cat, Pet', which is a caption"),
    ):
        path.write_text(f"name,description\n{line}\n", "utf-8")
        with pytest.raises(DataError, match=message):
            quality.descriptions(path, real)
    with quality.DESCRIPTIONS.open(encoding="utf-8", newline="") as file:
        lines = file.read().splitlines()[1:]
    assert len(lines) == len({line.split(",")[0] for line in lines}) == 200


@pytest.mark.slow
@pytest.mark.parametrize("kind, count", [("pixels", 900), ("features", 144)])
def test_a_judge_sees_labels_that_are_easy_to_see(script, tmp_path, kind, count):
    import argparse

    from safetensors.torch import save_file

    from diffusion_studio.data import ImageData
    from diffusion_studio.metrics.efficientnet import EfficientNetLite0

    judge, random = script("_judge"), np.random.default_rng(0)
    labels = np.arange(count + 30) % 3
    pictures = random.integers(0, 60, (len(labels), 8, 8, 1), dtype=np.uint8)
    for k in range(3):
        pictures[labels == k, 2 * k : 2 * k + 3] += 150
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(EfficientNetLite0().state_dict(), tmp_path / "weights.safetensors")
    parser = argparse.ArgumentParser()
    judge.add_judge(parser)
    asked = parser.parse_args(["--judge", kind, "--feature-weights", str(tmp_path / "weights.safetensors")])
    asked.cache, asked.judge_seed = tmp_path / "cache", 0
    sees = judge.judge_of(ImageData(pictures[:count], labels[:count], ("a", "b", "c")), asked)
    assert (sees(pictures[count:]) == labels[count:]).mean() > 0.9


@pytest.fixture(scope="module")
def written(script):
    return script("_letters")


@pytest.fixture(scope="module")
def strokes() -> np.ndarray:
    """(3, 16, 16) ink: a bar, a thin bar of which no pixel is wholly covered, and a slope of all
    coverages.
    """
    ink = np.zeros((3, 16, 16), np.uint8)
    ink[0, 2:14, 6:9], ink[1, 2:14, 7] = 255, 150
    ink[2, 4:12] = np.arange(16) * 17
    return ink


def test_colours_are_read_from_ink_on_white(written, strokes):
    for colour in range(12):
        pictures = written.coloured(strokes, np.full(3, colour))
        assert written.ink_colours(pictures).tolist() == [colour] * 3
        read = written.coverage(pictures, np.full(3, colour)).astype(int)
        assert abs(read - strokes).max() <= 1  # gray has half as many shades
        noisy = (
            (pictures + np.random.default_rng(0).normal(0, 5, pictures.shape))
            .round()
            .clip(0, 255)
            .astype(np.uint8)
        )
        assert written.ink_colours(noisy).tolist() == [colour] * 3
    black = written.coloured(strokes, np.zeros(3, int))
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    assert written.ink_colours(white).tolist() == [written.NONE]
    assert written.ink_colours(255 - (255 - black) // 2).tolist()[0] == written.COLOUR_NAMES.index("gray")
    chosen = written.Recoloured(strokes, np.array([3, 5, 7]))[np.array([2, 0])]
    np.testing.assert_array_equal(chosen, written.coloured(strokes[[2, 0]], np.array([7, 3])))


def test_colours_are_dealt_by_what_was_held_out(written):
    looks = ["bold mono", "black italic sans", "pixel"] * 40
    for held_out in (False, True):
        found = written.dealt_colours(looks, held_out, np.random.default_rng(0))
        names = [written.COLOUR_NAMES[k] for k in found]
        assert all(
            (written.HELD_OUT_LOOK[name] == look.split()[-1]) == held_out for name, look in zip(names, looks)
        )
        assert len(set(names)) == (5 if held_out else 12)
    assert written.split_caption("black black sans") == (0, "black sans")
    for wrong in ("black", "sans", "beige sans", "red cat"):
        with pytest.raises(DataError, match="got '" + wrong):
            written.split_caption(wrong)


def test_ink_that_grows(written):
    ink = np.array([[1, 2, 3, 4, 5, 6.0], [1, 2, 2, 4, 5, 6], [6, 2, 3, 4, 5, 7], [1, np.nan, 3, 4, 5, 6]])
    assert written.growing(ink).tolist() == [True, False, False, False]
    glyphs = np.repeat(np.array([10, 20, 30, 40], np.uint8), 4).reshape(4, 2, 2)
    found = written.ink_of_glyphs(
        glyphs, np.array([0, 0, 1, 1]), ["bold sans", "bold sans", "sans", "bold italic sans"], "sans", 2
    )
    bold, regular = written.WEIGHTS.index("bold"), written.WEIGHTS.index("")
    assert found[0, bold] == pytest.approx(15 / 255) and found[1, regular] == pytest.approx(30 / 255)
    assert np.isnan(found).sum() == 10


def test_nearest_glyphs_are_of_the_same_character(written):
    random = np.random.default_rng(0)
    real, labels = random.integers(0, 256, (40, 4, 4), dtype=np.uint8), np.arange(40) % 2
    made = real[[3, 4, 5]]
    made[1, 0, 0] = 255 - made[1, 0, 0]
    found = written.nearest(made, np.array([1, 0, 0]), real, labels)
    assert found[0] == 0 and found[1] == pytest.approx(abs(2 * int(real[4, 0, 0]) - 255) / 255, abs=1e-6)
    others = np.square((real[labels == 0].astype(float) - made[2]) / 255).sum((1, 2))
    assert found[2] == pytest.approx(np.sqrt(others.min())) and found[2] > 0.5  # itself is another character
    assert written.nearest(made, np.array([5, 0, 0]), real, labels)[0] == np.inf


def letter_figures(**changes):
    """What letters_quality.py measures where each target is just met."""
    rights = {"character": 0.9, "colour": 1.0}
    looks = dict.fromkeys(("serif", "sans", "mono", "script", "blackletter", "pixel"), 0.8)
    figures = {
        "right": {"made": {"character": 0.881, "colour": 0.99}, "real": rights},
        "looks": {"made": dict.fromkeys(looks, 0.751), "real": looks},
        "new pairs": {"seen": rights, "held out": {"character": 0.881, "colour": 0.981}},
        "copies": {"made": {"median": 3.0, "nearest": 1.0}, "real": {"median": 3.0, "nearest": 1.0}},
        "ink": {"grows": 62, "grows_in_real": 62, "characters": 62},
        "calls": 25.0,
    }
    for path, value in changes.items():
        *inner, last = path.split("__")
        at = figures
        for name in inner:
            at = at[name.replace("_", " ")]
        at[last] = value
    return figures


@pytest.mark.parametrize(
    "changes, missed",
    [
        ({}, []),
        ({"right__made__character": 0.879}, ["character recognised"]),
        ({"right__made__colour": 0.989}, ["colour right"]),
        ({"ink__grows": 61}, ["ink grows with weight"]),
        ({"looks__made__pixel": 0.749}, ["look told: pixel"]),
        ({"new_pairs__held_out__character": 0.879}, ["character in new pairs"]),
        ({"new_pairs__held_out__colour": 0.979}, ["colour in new pairs"]),
        ({"copies__made__median": 2.99}, ["copies: median"]),
        ({"copies__made__nearest": 0.99}, ["copies: nearest 5%"]),
        ({"calls": 26.0}, ["network calls"]),
        ({"calls": None}, []),
    ],
    ids=str,
)
def test_verdicts_on_letters(script, changes, missed):
    found = script("letters_quality").verdicts(letter_figures(**changes))
    assert [one["what"] for one in found if not one["met"]] == missed


@pytest.fixture
def lettered(script, tmp_path):
    """A small file of scripts/letters_data.py: 54 typefaces of nine looks, four characters, nine held out."""
    script("_timing")  # puts this checkout on the path
    from scripts.letters_data import LOOKS, coloured_letters

    looks = [
        f"{weight} {look}".strip()
        for look in LOOKS
        for weight in ("hairline", "light", "", "semibold", "bold", "black")
    ]
    fonts = np.repeat(np.arange(len(looks)), 4)
    ink, random = np.zeros((len(fonts), 32, 32), np.uint8), np.random.default_rng(0)
    for k, font in enumerate(fonts):
        row, column = 4 + 3 * (font // 6), 2 + 7 * (k % 4)  # the look is the place down, the character across
        ink[k, row : row + 3 + font % 6, column : column + 4] = 255 - random.integers(0, 40)
    letters = {
        "image": ink,
        "label": np.arange(len(fonts)) % 4,
        "label_names": np.array([*"AaBb"]),
        "font": fonts,
        "caption": np.array([looks[k] for k in fonts]),
        "font_names": np.array(looks),
    }
    np.savez(tmp_path / "letters.npz", **coloured_letters(letters, 5, seed=0))
    return tmp_path / "letters.npz"


@pytest.mark.slow
def test_letters_are_measured_from_start_to_end(
    script, lettered, write_checkpoint, tmp_path, monkeypatch, capsys
):
    import json
    import sys

    from diffusion_studio.networks.config import TextConfig

    words = ("black", "bold", "sans")
    text = TextConfig(words=len(words), width=8, heads=2, tokens=8)
    path = write_checkpoint(
        network={"in_channels": 3, "out_channels": 3, "classes": 4, "text": text},
        image_size=32,
        labels=(*"AaBb",),
        words=words,
        defaults={"steps": 2, "guidance": 2.0},
    )
    quality, few = (
        script("letters_quality"),
        ["--pictures", 30, "--new-pairs", 10, "--each-look", 4, "--ink-seeds", 1],
    )
    monkeypatch.setattr(quality, "SHEET_TEXT", "AaBb")
    monkeypatch.setattr(quality, "SHEET_WEIGHTS", "BbAa")
    found = {}
    for model in ("real", path):
        out = tmp_path / "out.json"
        monkeypatch.setattr(
            sys,
            "argv",
            [
                "letters_quality.py",
                str(model),
                "--data",
                str(lettered),
                "--cache",
                str(tmp_path / "cache"),
                *map(str, few),
                "--json",
                str(out),
                "--sheet",
                str(tmp_path / "sheet.png"),
            ],
        )
        quality.main()
        found[model] = json.loads(out.read_text("utf-8"))
        assert "character recognised" in capsys.readouterr().out
    assert [one["what"] for one in found["real"]["verdicts"] if not one["met"]] == [] and found["real"][
        "right"
    ]["made"]["colour"] == 1
    missed = {one["what"] for one in found[path]["verdicts"] if not one["met"]}
    assert {"character recognised", "colour right", "ink grows with weight"} <= missed
    assert found[path]["calls"] == 4 and (tmp_path / "sheet.png").is_file()
    assert len(list((tmp_path / "cache").iterdir())) == 1  # the judge, made once
