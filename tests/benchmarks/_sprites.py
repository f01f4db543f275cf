"""What can be said of role-playing sprites and their captions without a network: slots, pairs, backgrounds,
palettes.

A caption names parts in one order: body, armour, legs, cloak, boots, head, hair, weapon, shield. All but the
first may be missing. Pictures are (N, H, W, 3) uint8 on black.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch

from diffusion_studio.errors import DataError

SLOTS = ("body", "armour", "legs", "cloak", "boots", "head", "hair", "weapon", "shield")
NOTHING = ""  # the name of an empty slot
NEAR_BLACK = 16  # of real sprites' pixels 0.05 % are darker and not black, of noise around black most
OFF_PALETTE = 12  # a shade this far from every real one (Euclidean, RGB in 0 to 255) is a new one


@dataclass(frozen=True)
class Attributes:
    """`names` of the parts that each slot can hold, and `seen` (N, slots), each sprite's part as an index
    into them.
    """

    names: tuple[tuple[str, ...], ...]
    seen: np.ndarray

    def of(self, captions: Sequence[str]) -> np.ndarray:
        """(N, slots) indices of other captions of the same parts. Raises `DataError` for a part that is
        not known.
        """
        kinds = {name: k for k in range(2, len(SLOTS)) for name in self.names[k] if name}
        where = [_places(names) for names in self.names]
        return np.array([_row(parts(caption), kinds, where) for caption in captions])


def attributes(captions: Sequence[str]) -> Attributes:
    """Which part fills which slot, read off the captions themselves.

    Boots, cloaks, hair and shields say what they are. Of the others, armour is what is never named later than
    second; legs are what comes third or later and before a cloak or boots in any caption, weapons what comes
    after hair in any, and what is left is worn on the head. One name can be armour and legs: armour too is
    what has legs right behind it.
    """
    split = [parts(caption) for caption in captions]
    later = {part for one in split for part in one[2:]}
    kinds = {part: kind for part in later if (kind := _said(part)) is not None}
    before_legs, after_hair = {SLOTS.index("cloak"), SLOTS.index("boots")}, SLOTS.index("hair")
    legs, weapons = set(), set()
    for one in split:
        said = [kinds.get(part) for part in one[2:]]
        for k, part in enumerate(one[2:]):
            if said[k] is None and before_legs & {*said[k + 1 :]}:
                legs.add(part)
            if said[k] is None and after_hair in said[:k]:
                weapons.add(part)
    if both := legs & weapons:
        raise DataError(
            f"The captions have {sorted(both)[0]!r} both before boots and after hair, so its slot is not "
            "known."
        )
    for part in later - kinds.keys():
        kinds[part] = SLOTS.index("legs" if part in legs else "weapon" if part in weapons else "head")
    armours = {
        one[1] for one in split if one[1:2] and (one[1] not in later or one[2:3] and {one[1], one[2]} <= legs)
    }
    names = [tuple(sorted({one[0] for one in split})), (NOTHING, *sorted(armours))]
    names += [
        (NOTHING, *sorted(part for part, kind in kinds.items() if kind == k)) for k in range(2, len(SLOTS))
    ]
    where = [_places(some) for some in names]
    return Attributes(tuple(names), np.array([_row(one, kinds, where) for one in split]))


def parts(caption: str) -> list[str]:
    """The parts between commas."""
    return [part.strip() for part in caption.split(",")]


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: k for k, name in enumerate(names)}


def _said(part: str) -> int | None:
    words = part.split()
    if words[-1] in ("boots", "cloak", "hair"):
        return SLOTS.index(words[-1])
    return SLOTS.index("shield") if {"shield", "buckler"} & {*words} else None


def _row(caption: Sequence[str], kinds: dict[str, int], where: Sequence[dict[str, int]]) -> list[int]:
    found = [caption[0], *[NOTHING] * (len(SLOTS) - 1)]
    for k, part in enumerate(caption[1:]):
        kind = 1 if k == 0 and part in where[1] else kinds.get(part)
        if kind is None or found[kind]:
            raise DataError(
                f"{', '.join(caption)!r} has {part!r}, "
                + (
                    "which is known for no slot."
                    if kind is None
                    else f"a second part for the slot {SLOTS[kind]}."
                )
            )
        found[kind] = part
    if found[0] not in where[0]:
        raise DataError(
            f"{', '.join(caption)!r} begins with {found[0]!r}, which is none of the bodies: "
            f"{', '.join(where[0])}."
        )
    return [names[part] for names, part in zip(where, found)]


def pairs(known: Attributes, seen: np.ndarray | None = None) -> list[tuple[str, str]]:
    """(body, armour) of each sprite."""
    return [
        (known.names[0][body], known.names[1][armour])
        for body, armour, *_ in (known.seen if seen is None else seen)
    ]


def asked_pairs(
    captions: Sequence[str], known: Attributes, held: Set[tuple[str, str]], count: int, seed: int
) -> tuple[list[str], list[str]]:
    """(captions with held-out pairs of body and armour, as many with seen pairs).

    The first are real captions, one of each pair in turn. The second are the same ones with their bodies
    dealt out anew, so that every pair is one of those in training: both lists have the same bodies, armours
    and other parts, and differ in nothing but which go together. Raises `DataError` where that cannot be.
    """
    chance = np.random.default_rng(seed)
    own, by_pair = pairs(known), {}
    for k in chance.permutation(len(captions)):
        if own[k][1] != NOTHING:
            by_pair.setdefault(own[k], []).append(captions[k])
    held_out = [one for one in by_pair if one in held]
    seen = by_pair.keys() - held
    if not held_out or not seen:
        raise DataError(
            f"Of {len(by_pair)} pairs of body and armour in the captions {len(held_out)} are held out; a "
            "comparison needs pairs of both kinds."
        )
    turns = [(held_out[k % len(held_out)], k // len(held_out)) for k in range(count)]
    asked = [by_pair[one][turn % len(by_pair[one])] for one, turn in turns]
    bodies = [body for (body, _), _ in turns]
    dealt = matching(
        [[k for k in chance.permutation(count) if (bodies[k], armour) in seen] for (_, armour), _ in turns]
    )
    if dealt is None:
        raise DataError(
            f"The bodies of {count} captions with held-out pairs cannot be dealt so that all pairs are seen "
            "ones. Ask for another number of pictures, or another choice."
        )
    return asked, [", ".join([bodies[k], *parts(caption)[1:]]) for k, caption in zip(dealt, asked)]


def matching(choices: Sequence[Sequence[int]]) -> list[int] | None:
    """One of its own choices for each, no choice twice (Kuhn's augmenting paths); None where there is no
    such dealing.
    """
    taken: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for choice in choices[one]:
            if choice not in tried:
                tried.add(choice)
                if choice not in taken or place(taken[choice], tried):
                    taken[choice] = one
                    return True
        return False

    for one in range(len(choices)):
        if not place(one, set()):
            return None
    return [choice for _, choice in sorted((one, choice) for choice, one in taken.items())]


def always_black(real: np.ndarray) -> np.ndarray:
    """(H, W) bool: the places that are exactly black in every real sprite. Nothing belongs there."""
    return ~real.any(axis=(0, 3))


def black_backgrounds(pictures: np.ndarray, empty: np.ndarray) -> float:
    """The share of pictures in which every place that is always empty is exactly (0, 0, 0)."""
    return float((~pictures[:, empty].any(axis=(1, 2))).mean())


def near_black(pictures: np.ndarray) -> float:
    """The share of pixels that are not black, but so nearly that no real part is painted so: dirt on the
    background.
    """
    brightest = pictures.max(axis=3)
    return float(((brightest > 0) & (brightest < NEAR_BLACK)).mean())


def colours(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W) each pixel's colour as one number."""
    return pictures.astype(np.int64) @ np.array([65536, 256, 1])


def palette(real: np.ndarray) -> np.ndarray:
    """(K, 3) uint8: all colours of the real sprites."""
    found = np.unique(colours(real))
    return np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8)


def palette_figures(pictures: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """How clean the colours are, as means over the pictures' pixels that are not black (`even`: over all):

    `distance` to the nearest known colour, Euclidean in RGB from 0 to 255; the share `off` that is farther
    than OFF_PALETTE; the median number of `distinct` colours of a picture; and the share `even` of pairs of
    neighbours with one colour.
    """
    code = colours(pictures)
    used, count = np.unique(code[code > 0], return_counts=True)
    distances = _to_palette(np.stack([used >> 16, used >> 8 & 255, used & 255], axis=1), known)
    pairs = code[:, 1:] == code[:, :-1], code[:, :, 1:] == code[:, :, :-1]
    mean = (lambda of: np.average(of, weights=count)) if len(used) else (lambda of: math.nan)
    return {
        name: float(value)
        for name, value in {
            "distance": mean(distances),
            "off": mean(distances > OFF_PALETTE),
            "distinct": np.median([len(np.unique(one)) for one in code]),
            "even": np.mean([one.mean() for one in pairs]),
        }.items()
    }


def _to_palette(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(K,) distances of (K, 3) colours to the nearest of the known ones."""
    near = torch.from_numpy(known.astype(np.float32))
    exact = "donot_use_mm_for_euclid_dist"
    found = [
        torch.cdist(torch.from_numpy(part.astype(np.float32)), near, compute_mode=exact).amin(1)
        for part in np.split(wanted, range(4096, len(wanted), 4096))
    ]
    return torch.cat(found).numpy()
