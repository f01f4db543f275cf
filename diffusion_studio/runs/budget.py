"""A time budget: which sampler with how many steps makes the best pictures in so many seconds.

What is best is read from a table of Frechet distances over samplers and steps, as
`diffusion-studio evaluate --table` writes it: the file `steps.csv` beside a model's weights. A model without
one goes by the table of another, and `Plan.said` says by which.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from .recipe import Recipe

TABLE = "steps.csv"
MOST_SECONDS = 24 * 3600.0
SHARE = 0.1  # of the budget that measuring a step may take, where steps are slow
MEASURED = 12  # steps that are timed, after one that prepares things
# Samplers that ask the network once a step, so that all of them have as many steps in the same time.
ONE_CALL = frozenset(
    "ddim ddpm euler euler_ancestral dpmpp_2m dpmpp_3m dpmpp_2m_sde unipc deis lms plms".split()
)


@dataclass(frozen=True)
class Measured:
    """A row of a table: the Frechet distance of a sampler, by its plain name, with so many steps, and the
    guidance and number of pictures with which it was measured, as texts.
    """

    sampler: str
    steps: int
    distance: float
    guidance: str = ""
    pictures: str = ""


@dataclass(frozen=True)
class Plan:
    """What was chosen for a budget, the seconds that it is expected to take here, and why, in sentences."""

    sampler: str
    steps: int
    seconds: float
    said: str


def check_seconds(seconds: object) -> float:
    """A budget in seconds, or an `OptionError`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS:
        raise OptionError(
            "seconds",
            f"must be a number of seconds above 0 and at most {MOST_SECONDS:,.0f}, got {seconds!r}.",
        )
    return float(seconds)


def check_recipe(recipe: Recipe) -> None:
    """An `OptionError` for a recipe whose time is not its steps times the time of one."""
    kind = next(
        (
            what
            for what, on in (
                ("an edited run", recipe.edit is not None),
                ("a run that goes on from another", recipe.branch is not None),
                ("a spacing that has its own number of steps", recipe.spacing.count is not None),
            )
            if on
        ),
        None,
    )
    if kind is not None:
        raise OptionError(
            "seconds", f"A time budget chooses the steps of a run from noise, and this is {kind}. Give steps."
        )


def table_of(weights: Path) -> list[Measured]:
    """The rows of `steps.csv` beside a weight file; none where there is no such file, or it says nothing of
    Frechet distances. Rows of samplers with options of their own, and of those that ask the network more than
    once a step, are left out.
    """
    try:
        with weights.with_name(TABLE).open(encoding="utf-8", newline="") as lines:
            return list(_rows(csv.DictReader(lines)))
    except (OSError, ValueError, TypeError, csv.Error):
        return []


def table_for(
    recipe: Recipe,
    own: Mapping[str, Sequence[Measured]],
    others: Mapping[str, Sequence[Measured]],
    unusable: Mapping[str, str],
) -> tuple[list[Measured], str]:
    """The table to go by, and what it is: the model's own, else the nearest of the others, which is one that
    was measured with guidance where the recipe has it, and without where it has none.

    Tables are given by their model's name; samplers that the model cannot use (`unusable`) are left out.
    """

    def usable(table: Sequence[Measured]) -> list[Measured]:
        return [one for one in table if f"sampler={one.sampler}" not in unusable]

    def unlike(table: Sequence[Measured]) -> bool:
        return (table[0].guidance in ("1", "1.0", "")) != (recipe.guidance == 1)

    for name, rows in own.items():
        if table := usable(rows):
            return table, _source(name, table)
    found = {name: usable(rows) for name, rows in others.items()}
    named = [name for name, table in found.items() if table]
    name = min(named, key=lambda one: unlike(found[one]), default=None)
    if name is None:
        raise OptionError(
            "seconds",
            f"No table says which sampler is best in how many steps: there is no {TABLE} beside the weights "
            "of any model. Give steps, or measure one with 'diffusion-studio evaluate --table'.",
        )
    said = f"by the {_source(name, found[name])}, as {recipe.model} has no table of its own"
    return found[name], said


def _source(name: str, table: Sequence[Measured]) -> str:
    one = table[0]
    of = f", {one.pictures} pictures at guidance {one.guidance}" if one.guidance else ""
    return f"table of {name}{of}"


def _rows(given: Iterable[dict[str, str]]) -> Iterator[Measured]:
    for row in given:
        if row.get("sampler") in ONE_CALL and row.get("frechet"):
            found = row["sampler"], int(row["steps"]), float(row["frechet"])
            yield Measured(*found, row.get("guidance") or "", row.get("pictures") or "")


def expected(table: Sequence[Measured], sampler: str, steps: int) -> float:
    """The distance that a table says of a sampler: between its numbers of steps on the straight line over
    their logarithm, beyond the last the last. Infinite below the first, and of a sampler that it has not.
    """
    own = sorted((one.steps, one.distance) for one in table if one.sampler == sampler)
    if not own or steps < own[0][0]:
        return math.inf
    for (low, before), (high, after) in zip(own, own[1:]):
        if low <= steps < high:
            share = math.log(steps / low) / math.log(high / low)
            return before + share * (after - before)
    return own[-1][1]


def plan(table: Sequence[Measured], seconds: float, step_seconds: float, most: int, source: str) -> Plan:
    """The best sampler of a table with as many steps as fit, where a step takes `step_seconds` here.

    `most` are the steps that a run of the model can have; `source` names the table.
    """
    fit = int(seconds / step_seconds)
    steps = max(1, min(fit, most))
    names = dict.fromkeys(one.sampler for one in table)
    best = min(names, key=lambda name: expected(table, name, steps))
    distance = expected(table, best, steps)
    if math.isinf(distance):
        fewest = min(table, key=lambda one: (one.steps, one.distance))
        best, why = fewest.sampler, f"the best with {fewest.steps}, the fewest that were measured"
    else:
        why = f"the least Frechet distance there, {distance:.3g}"
    said = [f"{best}, {steps} step{'s' * (steps > 1)}: {why} ({source})."]
    took = steps * step_seconds
    if fit < 1:
        said.append(f"One step takes {took:.2g} s here, more than the {seconds:g} s that were asked for.")
    elif fit > most:
        said.append(f"The model has no more than {most} steps, so it takes about {took:.2g} s.")
    elif enough := _enough(table, distance, steps):
        sooner = f"in {enough.steps * step_seconds:.2g} s"
        said.append(f"{enough.sampler} with {enough.steps} steps is as good by that table, {sooner}.")
    return Plan(best, steps, took, " ".join(said))


def _enough(table: Sequence[Measured], distance: float, steps: int) -> Measured | None:
    """The quickest row that is as good with at most half of the steps."""
    good = [one for one in table if one.distance <= distance and one.steps <= steps // 2]
    return min(good, key=lambda one: one.steps, default=None)


def step_seconds(frames: Iterator[Any], budget: float) -> float:
    """What a step of a run takes here: the mean of the next few after the first, which prepares things. The
    mean, as what else the machine does slows the whole run as well.
    """
    next(frames)
    began, times = time.perf_counter(), []
    while len(times) < MEASURED and (len(times) < 1 or time.perf_counter() - began < SHARE * budget):
        start = time.perf_counter()
        if next(frames, None) is None:
            break
        times.append(time.perf_counter() - start)
    return max(sum(times) / len(times), 1e-6)
