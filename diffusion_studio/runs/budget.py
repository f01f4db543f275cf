"""Time budgets: choose the sampler and the number of steps that give the best pictures in a given time.

Quality is read from a table of Frechet distances over samplers and steps, the file `steps.csv` beside a
model's weights, as `diffusion-studio evaluate --table` writes it. A model without a table uses that of
another model, and `Plan.reason` names it.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..diffusion.samplers import sampler_label
from ..errors import Given, OptionError
from .recipe import Recipe

TABLE = "steps.csv"
MOST_SECONDS = 24 * 3600.0
SHARE = 0.1  # share of the budget that timing may take when steps are slow
TOLERANCE = 0.2  # how far from the budget a run may land, as a share of it
MEASURED = 12  # steps that are timed, after a warm-up step
FEWEST = 2  # of these where steps are slow: one alone says little on a busy machine
# Samplers with one network call a step: in equal time all of them make the same number of steps.
ONE_CALL = frozenset(
    "ddim ddpm euler euler_ancestral dpmpp_2m dpmpp_3m dpmpp_2m_sde unipc deis lms plms".split()
)


@dataclass(frozen=True)
class Measured:
    """One row of a table: the Frechet distance that a sampler, with its default options, reached in `steps`
    steps.

    `guidance` and `pictures` (how many were compared) are the conditions of the measurement, as texts.
    """

    sampler: str
    steps: int
    distance: float
    guidance: str = ""
    pictures: str = ""


@dataclass(frozen=True)
class Plan:
    """The choice for a time budget: sampler, steps, expected seconds on this machine, the reason in
    `reason`, and the measurement behind it in `details`.
    """

    sampler: str
    steps: int
    seconds: float
    reason: str
    details: str = ""


def check_seconds(seconds: object) -> float:
    """The time budget as a float. Raises `OptionError` unless it is a number in (0, `MOST_SECONDS`]."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MOST_SECONDS:
        raise OptionError(
            "seconds",
            f"must be a number of seconds above 0 and at most {MOST_SECONDS:,.0f}",
            Given(seconds),
        )
    return float(seconds)


def check_recipe(recipe: Recipe) -> None:
    """Raise `OptionError` if the time of a recipe's run is not its number of steps times the time of one."""
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
    """The usable rows of `steps.csv` beside a weight file. Empty if the file is missing or has no Frechet
    distances.

    Rows of samplers with non-default options, or with several network calls a step, are left out.
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
) -> tuple[list[Measured], str, str]:
    """Choose the table for a recipe; returns its rows, a text that names it, and what is assumed with it, if
    anything.

    The model's own table comes first. Otherwise it is another model's, preferably one measured with guidance
    if the recipe uses guidance, and without if not. `own` and `others` map names of models to tables.
    Samplers in `unusable` are left out. Raises `OptionError` if there is no table at all.
    """

    def usable(table: Sequence[Measured]) -> list[Measured]:
        return [one for one in table if f"sampler={one.sampler}" not in unusable]

    def differs_in_guidance(table: Sequence[Measured]) -> bool:
        return (table[0].guidance in ("1", "1.0", "")) != (recipe.guidance == 1)

    for name, rows in own.items():
        if table := usable(rows):
            return table, _source(name, table), ""
    tables = {name: usable(rows) for name, rows in others.items()}
    named = [name for name, table in tables.items() if table]
    name = min(named, key=lambda one: differs_in_guidance(tables[one]), default=None)
    if name is None:
        raise OptionError(
            "seconds",
            f"No table says which sampler is best in how many steps: there is no {TABLE} beside the weights "
            "of any model. Give steps, or measure one with 'diffusion-studio evaluate --table'.",
        )
    assumed = f"Assumed: samplers rank as with {name}, because {recipe.model} has no table of its own."
    return tables[name], _source(name, tables[name]), assumed


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
    """The expected Frechet distance of a sampler at a number of steps.

    Between measured step counts it is interpolated linearly in log(steps); above the largest count it stays
    constant. It is infinite below the smallest count, and for a sampler that is not in the table.
    """
    own = sorted((one.steps, one.distance) for one in table if one.sampler == sampler)
    if not own or steps < own[0][0]:
        return math.inf
    for (low, before), (high, after) in zip(own, own[1:]):
        if low <= steps < high:
            share = math.log(steps / low) / math.log(high / low)
            return before + share * (after - before)
    return own[-1][1]


def plan(
    table: Sequence[Measured], seconds: float, step_seconds: float, most: int, source: str, assumed: str = ""
) -> Plan:
    """Choose the best sampler of a table, with as many steps as fit into `seconds`.

    `step_seconds` is the time of one step on this machine, `most` the largest number of steps that the model
    allows, `source` the name of the table for the explanation, `assumed` what the table does not tell.
    """
    fit = fitting_steps(seconds, step_seconds)
    steps = max(1, min(fit, most))
    names = [*dict.fromkeys(one.sampler for one in table)]
    best = min(names, key=lambda name: expected(table, name, steps))
    distance = expected(table, best, steps)
    by, poor = ", the best choice for that time", ""
    if math.isinf(distance):
        fewest = min(table, key=lambda one: (one.steps, one.distance))
        best, by = fewest.sampler, ""
        poor = f"The pictures will be poor: {_fewest_text(fewest, step_seconds)}."
        why = f"the best sampler with {fewest.steps} steps, as nothing was measured with fewer"
    else:
        of = f" of {len(names)} samplers" if len(names) > 1 else ""
        why = f"the least Frechet distance{of} (how far the pictures are from real ones), {distance:.3g}"
    took = steps * step_seconds
    chosen = f"{steps} step{'s' * (steps > 1)} with {sampler_label(best)}"
    reason = [f"About {took:.2g} s: {chosen}{by}."]
    if poor:
        reason.append(poor)
    if fit < 1:
        reason.append(f"One step takes {took:.2g} s here, more than the {seconds:g} s that were asked for.")
    elif fit > most:
        reason.append(f"The model has no more than {most} steps, so it takes about {took:.2g} s.")
    elif enough := _enough(table, distance, steps):
        sooner = f"in {enough.steps * step_seconds:.2g} s"
        reason.append(f"{enough.steps} steps with {sampler_label(enough.sampler)} are as good, {sooner}.")
    if assumed:
        reason.append(assumed)
    details = f"One step takes {step_seconds:.2g} s here. Chosen: {why}. Measured: {source}."
    return Plan(best, steps, took, " ".join(reason), details)


def _fewest_text(fewest: Measured, step_seconds: float) -> str:
    """How many seconds the fewest measured steps take, rounded up, so that as many seconds give them."""
    needed = fewest.steps * step_seconds
    seconds = math.ceil(needed) if needed >= 1 else math.ceil(100 * needed) / 100
    return f"{seconds:g} s give {fewest.steps} steps, the fewest that were measured"


def fitting_steps(seconds: float, step_seconds: float) -> int:
    """The most steps that fit into `seconds`, 0 if none does. Where they would fill less than four fifths of
    it, one step more, if that takes at most a fifth more than `seconds`.
    """
    exact = seconds / step_seconds
    fewer = int(exact)
    return fewer + 1 if fewer < (1 - TOLERANCE) * exact and fewer + 1 <= (1 + TOLERANCE) * exact else fewer


def _enough(table: Sequence[Measured], distance: float, steps: int) -> Measured | None:
    """The row with the fewest steps that is at least as good with at most half of the steps."""
    good = [one for one in table if one.distance <= distance and one.steps <= steps // 2]
    return min(good, key=lambda one: one.steps, default=None)


def step_seconds(frames: Iterator[Any], budget: float) -> float:
    """Measure the seconds that one step takes here: the mean over the next few frames after the first (a
    warm-up).

    The mean and not the minimum, because other load on the machine slows the whole run too.
    """
    next(frames)
    began, times = time.perf_counter(), []
    while len(times) < MEASURED and (len(times) < FEWEST or time.perf_counter() - began < SHARE * budget):
        start = time.perf_counter()
        if next(frames, None) is None:
            break
        times.append(time.perf_counter() - start)
    return max(sum(times) / len(times), 1e-6)
