"""What runs cost on this machine: known before they start, and at most what the owner of a server allows."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from itertools import islice
from typing import Any

from ..diffusion.spacing import Trailing
from ..errors import OptionError
from ..runs.recipe import Recipe
from ..studio import Studio
from .compute import Compute, Turn, duration

TIMED_CALLS, TIMED_SECONDS = 3, 1.0  # of a kind of run that was not measured yet
MEASURED_CALLS = 3  # of a run, before its own speed counts
KEPT_COUNTS = 256
SLACK = 1.5  # a run that turns out to take so many times the limit is ended on its way


class Prices:
    """Turns for runs, with their price: network calls x pictures x seconds that this model takes for one.

    Seconds are those of the runs before; where there was none, of a network call that is made for it.
    `limit` is the most seconds of computing that one run may take; None: any.
    """

    def __init__(self, studio: Studio, compute: Compute, limit: float | None = None) -> None:
        self.studio = studio
        self.compute = compute
        self.limit = limit
        self._seconds: dict[tuple[Any, ...], float] = {}  # of one picture in a network call
        self._counted: dict[Recipe, int] = {}
        self._lock = threading.Lock()

    def turn(self, recipe: Recipe, ended: threading.Event | None = None) -> Turn:
        """The place for a recipe's run. An `OptionError` where it would take longer than the limit."""
        calls = self.calls(recipe)
        each = self._seconds_each(recipe)
        if each is None and self.limit is not None:
            each = self._measured(recipe)
        price = None if each is None else calls * recipe.pictures * each
        if price is not None and self.limit is not None and price > self.limit:
            raise OptionError("limit", self._over_limit_text(recipe, calls, price, self.limit))
        return self.compute.turn(ended, price, lambda turn: self._check_limit(turn, recipe), shares(recipe))

    def seconds(self, recipe: Recipe, calls: float) -> float | None:
        """Seconds of computing that network calls about one picture each take, None where no run of this kind
        was measured.
        """
        each = self._seconds_each(recipe)
        return None if each is None else calls * each

    def estimate(self, recipe: Recipe, calls: float) -> float:
        """As `seconds`; a kind of run that was not measured yet is measured now, by two network calls."""
        each = self._seconds_each(recipe)
        return calls * (self._measured(recipe) if each is None else each)

    def turn_for(
        self,
        recipe: Recipe,
        calls: float,
        what: str,
        advice: str,
        ended: threading.Event | None = None,
        calls_of_one_kind: bool = False,
    ) -> Turn:
        """The place for other work on a recipe's run: network calls, times pictures in each. An `OptionError`
        where it would take longer than the limit; `what` names the work, `advice` how to make it smaller. If
        all its calls are like those of the recipe, they tell what a call takes.
        """
        each = self._seconds_each(recipe)
        if each is None and self.limit is not None:
            each = self._measured(recipe)
        price = None if each is None else calls * each

        def refuse(seconds: float, how: str) -> None:
            if self.limit is not None:
                raise OptionError(
                    "limit",
                    f"{what} {how} {duration(seconds)} of computing, and here it may take "
                    f"{duration(self.limit)}. {advice}, or run the app on your own machine.",
                )

        def look(turn: Turn) -> None:
            if calls_of_one_kind:
                self._record_speed(turn, recipe)
            if self.limit is not None and turn.spent > SLACK * self.limit:
                refuse(turn.spent, "was ended: it has taken")

        if price is not None and self.limit is not None and price > self.limit:
            refuse(price, "would take about")
        return self.compute.turn(ended, price, look)

    def _seconds_each(self, recipe: Recipe) -> float | None:
        with self._lock:
            return self._seconds.get(kind_of(recipe))

    def calls(self, recipe: Recipe) -> int:
        """About how many network calls a run makes, counted once for all seeds."""
        alone = recipe.edit is None and recipe.branch is None
        like = replace(recipe.first_pictures(1), seeds=(0,)) if alone else recipe
        if (found := self._counted.get(like)) is None:
            found = self.compute.call(lambda: self.studio.network_calls(like))
            if len(self._counted) >= KEPT_COUNTS:
                self._counted.clear()
            self._counted[like] = found
        return found

    def _measured(self, recipe: Recipe) -> float:
        """Seconds of a picture in a network call: of the fastest of a few after the first one, which prepares
        things. What else the machine did for a moment does not count.
        """
        # of a whole call: what reuse saves is learned from the runs
        rule = recipe.spacing if recipe.spacing.count is None else Trailing()  # one that takes any steps
        most = rule.most(self.studio.card(recipe.model).spec.schedule)
        steps = min(max(recipe.steps, TIMED_CALLS + 1), most)
        short = replace(recipe.first_pictures(4), spacing=rule, steps=steps, reuse=1)

        def timed() -> float:
            if (known := self._seconds_each(recipe)) is not None:  # by another visitor meanwhile
                return known
            frames = self.studio.stream(short)
            before, fastest, whole = next(frames).calls, math.inf, time.perf_counter()
            began = whole
            for frame in islice(frames, TIMED_CALLS):
                now = time.perf_counter()
                fastest = min(fastest, (now - began) / max(frame.calls - before, 1))
                began, before = now, frame.calls
                if now - whole > TIMED_SECONDS:
                    break
            return fastest / len(short.seeds)

        seconds = self.compute.call(timed)
        with self._lock:
            return self._seconds.setdefault(kind_of(recipe), seconds)

    def _check_limit(self, turn: Turn, recipe: Recipe) -> None:
        """Before each network call of a run: learn from its speed, and end it where it takes too long."""
        self._record_speed(turn, recipe)
        if self.limit is not None and turn.spent > SLACK * self.limit:
            raise OptionError(
                "limit",
                f"The run was ended after {turn.calls:,} network calls: it has taken "
                f"{duration(turn.spent)} of computing, and here a run may take {duration(self.limit)}. "
                "What it has made is kept. Ask for fewer pictures or steps, or for a greater tolerance where "
                "the sampler has one.",
            )

    def _record_speed(self, turn: Turn, recipe: Recipe) -> None:
        """Keep the seconds of a call so far. The first one, which prepares things, does not count."""
        if turn.calls == 1:
            turn.first_spent = turn.spent
        if turn.calls == MEASURED_CALLS or turn.calls and turn.calls % 20 == 0:
            with self._lock:
                spent = turn.spent - turn.first_spent
                self._seconds[kind_of(recipe)] = spent / ((turn.calls - 1) * recipe.pictures)

    @staticmethod
    def _over_limit_text(recipe: Recipe, calls: int, price: float, limit: float) -> str:
        share = limit / price
        advice = [f"{n:,} {what}{'s' * (n > 1)}" for n, what in _sizes_within(recipe, share) if n >= 1]
        return (
            f"This run would take about {duration(price)} of computing ({calls:,} network calls for "
            f"{recipe.pictures} picture{'s' * (recipe.pictures > 1)}), and here a run may take "
            f"{duration(limit)}. "
            + (f"Ask for at most {' or '.join(advice)}" if advice else "Choose a smaller model")
            + ", or run the app on your own machine."
        )


def shares(recipe: Recipe) -> bool:
    """Whether a run's network calls can be made together with those of others: where nothing alters the
    network while it is asked, and no gradient goes through another one.
    """
    runs = [recipe]
    while runs[-1].branch is not None:
        runs.append(runs[-1].branch.recipe)
    return not any(one.self_guidance.on or one.classifier.on for one in runs)


def _sizes_within(recipe: Recipe, share: float) -> list[tuple[int, str]]:
    """The number of pictures, and of steps, with which a recipe costs this share of its price."""
    found = [(int(recipe.pictures * share), "picture")] if recipe.edit is None else []
    return [*found, (int(recipe.steps * share), "step")]


def kind_of(recipe: Recipe) -> tuple[Any, ...]:
    """A key that recipes share if their network calls take the same time for each picture."""
    guided = recipe.guidance != 1 or recipe.guidance_scales is not None
    inside = recipe.self_guidance.on  # it asks about a further picture in each call
    return (
        recipe.model,
        guided,
        inside,
        recipe.weaker,
        recipe.classifier.name,
        recipe.points,
        recipe.reuse,
    )
