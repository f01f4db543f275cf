"""DPM-Solver++: exponential integrators for the data prediction (Lu et al. 2022, arXiv 2211.01095).

With lambda = log(alpha / sigma) the solution of the ODE is x_t = sigma_t / sigma_s x_s + sigma_t * integral
of exp(lambda) x0 d(lambda), so only x0 is approximated. In all solvers the step to the clean picture, and
steps that use a prediction at alpha = 0, are of first order, because lambda is infinite there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from ... import options
from ...options import DependsOn, option
from ..levels import Levels
from ..schedule import NoiseLevel
from .arithmetic import (
    ddim_step,
    lower_order_final_option,
    lowers_final_order,
    split_noise,
    step_with_eps,
    step_with_x0,
    weighted,
)
from .base import NoiseFunction, Sampler, Step
from .euler import ETA, S_NOISE

if TYPE_CHECKING:
    import torch

    from ..denoiser import Denoiser

CORRECTION = "How the change of x0 over a step is integrated: by the midpoint rule, or exactly (Heun's rule)."


def lambda_step(now: NoiseLevel, to: NoiseLevel) -> float:
    """The change h of lambda over a step; infinite from alpha = 0 or to sigma = 0."""
    return (to.log_snr - now.log_snr) / 2


def is_finite(*steps: float) -> bool:
    """Whether all these steps in lambda are finite and not 0, as difference quotients need."""
    return all(h and math.isfinite(h) for h in steps)


@dataclass(frozen=True)
class DPMPP2M(Sampler):
    """DPM-Solver++(2M), Algorithm 2: second order with one network call per step.

    It also uses the x0 of the previous step. Choose it for good pictures in 10 to 25 steps.
    """

    label: ClassVar[str] = "DPM-Solver++ (2M)"
    correction: str = option("midpoint", CORRECTION, choices=("midpoint", "heun"))
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        lowered = lowers_final_order(self.lower_order_final, levels.steps)
        before, h_before = None, math.inf
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            h = lambda_step(now, to)
            if before is None or not is_finite(h, h_before) or lowered and i == len(levels) - 2:
                x = ddim_step(p, to)
            else:
                gain = -to.alpha * math.expm1(-h)  # alpha_t (1 - exp(-h))
                more = (gain / 2 if self.correction == "midpoint" else to.alpha - gain / h) * h / h_before
                x = weighted((to.sigma / now.sigma, x), (gain + more, p.x0), (-more, before))
            before, h_before = p.x0, h
            del p
        return x


@dataclass(frozen=True)
class DPMPP3M(Sampler):
    """DPM-Solver++(3M): third order with one network call per step.

    It also uses the x0 of the two previous steps. The paper's code, diffusers and k-diffusion weight the
    second difference by half of what the quadratic through three points requires, which makes their order 2;
    `difference` "half" does the same. Choose it instead of 2M for 20 steps or more with little guidance. It
    is less stable with fewer steps.
    """

    label: ClassVar[str] = "DPM-Solver++ (3M)"
    difference: str = option(
        "full",
        "Weight of the second difference: full gives third order, half is what other programs use.",
        choices=("full", "half"),
    )
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        lowered = lowers_final_order(self.lower_order_final, levels.steps)
        history: list[tuple[float, torch.Tensor]] = []  # newest first: (the step from it, x0)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            h = lambda_step(now, to)
            gain = -to.alpha * math.expm1(-h)
            most = len(levels) - 1 - i if lowered else 3  # order of this step at most
            if not is_finite(h) or not history or most == 1:
                x = ddim_step(p, to)
            elif len(history) == 1 or most == 2:
                more = gain / 2 * h / history[0][0]
                x = weighted((to.sigma / now.sigma, x), (gain + more, p.x0), (-more, history[0][1]))
            else:
                r1, r2 = history[0][0] / h, history[1][0] / h
                first = to.alpha - gain / h  # weights of the first and second
                second = to.alpha - 2 * (to.alpha - gain / h) / h  # divided difference of x0
                if self.difference == "half":
                    second /= 2
                new = (first * (2 * r1 + r2) + second) / (r1 + r2) / r1  # of the newest difference
                old = (first * r1 + second) / (r1 + r2) / r2  # of the one before it
                x = weighted(
                    (to.sigma / now.sigma, x),
                    (gain + new, p.x0),
                    (-new - old, history[0][1]),
                    (old, history[1][1]),
                )
            history = [(h, p.x0), *history[:1]] if is_finite(h) else []
            del p
        return x


@dataclass(frozen=True)
class Midpoint(Sampler):
    """The midpoint method of `DPM2` and `DPMPP2S`.

    `held` (x0 or eps) names the part of the prediction halfway in lambda that is used for the whole step.
    With eta above 0 the step ends at less noise than its arrival, and fresh noise fills the gap.
    """

    eta: float = option(0.0, ETA, low=0.0, high=1.0)
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0, depends=(DependsOn("eta"),))

    held: ClassVar[str]

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels, cross = Levels.of(levels), {"x0": step_with_x0, "eps": step_with_eps}[self.held]
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            down, up = split_noise(now, to, self.eta)
            goal = NoiseLevel(to.t, to.alpha, down)
            if not is_finite(lambda_step(now, goal)):
                x = ddim_step(p, goal)
                del p
            else:
                middle = levels.at((now.log_snr + goal.log_snr) / 2)
                ahead = ddim_step(p, middle)
                del p
                x = cross(x, getattr(denoise(ahead, middle), self.held), now, goal)
                del ahead
            if up:
                x.add_(noise(i + 1), alpha=self.s_noise * up)
        return x


@dataclass(frozen=True)
class DPMPP2S(Midpoint):
    """DPM-Solver++(2S), Algorithm 1 with r = 1/2: single-step, second order, two network calls per step.

    With eta above 0 part of the noise is replaced by fresh noise ("2S ancestral" in k-diffusion). Choose it
    where multistep methods are unstable: with strong guidance, or if settings change during the run.
    """

    label: ClassVar[str] = "DPM-Solver++ (2S)"
    memoryless: ClassVar[bool] = True
    held: ClassVar[str] = "x0"


@dataclass(frozen=True)
class DPMPPSDE(Sampler):
    """Single-step SDE-DPM-Solver++ with a midpoint, two network calls per step ("dpm++ sde" in k-diffusion).

    As `DPMPP2S` with eta 1, but noise is also added at the midpoint. Both noises are increments of one
    Brownian path. Choose it for much detail in 10 to 20 steps.
    """

    label: ClassVar[str] = "SDE-DPM-Solver++"
    eta: float = option(1.0, ETA, low=0.0, high=1.0)
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0, depends=(DependsOn("eta"),))

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            if not is_finite(lambda_step(now, to)):
                x = ddim_step(p, to)
                del p
                continue
            middle = levels.at((now.log_snr + to.log_snr) / 2)
            x0 = p.x0
            del p

            def fresh(to: NoiseLevel) -> torch.Tensor:
                return _increment(noise, i, now, to, self.eta)

            ahead = self._ancestral(x, x0, now, middle, fresh)
            del x0
            x = self._ancestral(x, denoise(ahead, middle).x0, now, to, fresh)
            del ahead
        return x

    def _ancestral(
        self,
        x: torch.Tensor,
        x0: torch.Tensor,
        now: NoiseLevel,
        to: NoiseLevel,
        fresh: Callable[[NoiseLevel], torch.Tensor],
    ) -> torch.Tensor:
        """A step from x with constant x0 to part of the noise of `to`, plus fresh noise for the rest."""
        down, up = split_noise(now, to, self.eta)
        moved = step_with_x0(x, x0, now, NoiseLevel(to.t, to.alpha, down))
        return moved.add_(fresh(to), alpha=self.s_noise * up) if up else moved


@dataclass(frozen=True)
class DPMPPSinglestep(Sampler):
    """Singlestep DPM-Solver++ (Lu et al. 2022), as DPMSolverSinglestepScheduler of diffusers.

    Steps form groups of `order`. The steps of a group have the orders 1, 2 and 3, and each starts from the
    state at the beginning of its group. It makes one network call per step. Last steps that do not fill a
    group, and the step to the clean picture, have lower orders. Choose it where `DPMPP2M` is unstable.
    """

    label: ClassVar[str] = "DPM-Solver++ (singlestep)"
    order: int = option(2, "Number of steps in a group, and the order of its last step.", low=1, high=3)
    correction: str = option("midpoint", CORRECTION, choices=("midpoint", "heun"))
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def orders(self, steps: int, clean: bool) -> list[int]:
        """The order of each step. With `clean`, for a run to the clean picture, the last one is 1."""
        order = self.order
        groups, rest = divmod(steps, order)
        if not rest and not lowers_final_order(self.lower_order_final, steps):
            group_orders = [*range(1, order + 1)] * groups
        else:  # the last group has the orders 1, or 1, 1 (full group of 2), or 1, 2, 1 (full group of 3)
            tail = {1: [1], 2: [1, 1] if order == 2 else [1, 2], 3: [1, 2, 1]}[rest or order]
            group_orders = [*range(1, order + 1)] * (groups - (not rest)) + tail
        return [*group_orders[:-1], 1] if clean else group_orders

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        orders = self.orders(len(levels) - 1, not levels[-1].sigma)
        group: list[tuple[NoiseLevel, torch.Tensor]] = []  # (level, x0) of the steps of the current group
        begun = x
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            if orders[i] == 1 or not _regular(group, now, to):
                group, begun, x = [(now, p.x0)], x, ddim_step(p, to)
                del p
                continue
            group = [*group, (now, p.x0)]
            del p
            x = self._advance(begun, group, to)
        return x

    def _advance(
        self, begun: torch.Tensor, group: list[tuple[NoiseLevel, torch.Tensor]], to: NoiseLevel
    ) -> torch.Tensor:
        """The state at the level `to`, from the first state of the group and the x0 at all its levels."""
        start, first = group[0]
        h = lambda_step(start, to)
        gain, linear = -to.alpha * math.expm1(-h), to.alpha * (math.expm1(-h) / h + 1)
        spans = [lambda_step(start, level) for level, _ in group[1:]]  # in lambda, from the start
        noise_ratio = to.sigma / start.sigma
        if len(group) == 2 or self.correction == "midpoint":
            more = (gain / 2 if len(group) == 2 and self.correction == "midpoint" else linear) * h / spans[-1]
            return weighted((noise_ratio, begun), (gain - more, first), (more, group[-1][1]))
        near, far = (span / h for span in spans)
        quadratic = -2 * to.alpha * ((math.expm1(-h) + h) / h**2 - 0.5)
        newest = (quadratic - linear * near) / (far - near) / far  # of the newest x0 less the first
        older = (linear * far - quadratic) / (far - near) / near
        return weighted(
            (noise_ratio, begun), (gain - newest - older, first), (older, group[1][1]), (newest, group[2][1])
        )


def _regular(group: list[tuple[NoiseLevel, torch.Tensor]], now: NoiseLevel, to: NoiseLevel) -> bool:
    """Whether a step of higher order is possible: all levels differ and have a finite lambda."""
    levels = [*(level for level, _ in group), now, to]
    return bool(group) and all(is_finite(lambda_step(a, b)) for a, b in pairwise(levels))


@dataclass(frozen=True)
class DPMPP2MSDE(Sampler):
    """SDE-DPM-Solver++(2M): 2M for the reverse SDE with eta times the noise of DDPM (section 4 of the paper).

    The noise of a step is the increment of the seed's Brownian path over the time (alpha / sigma)^(2 eta), in
    which the exact solution is written. So runs with different numbers of steps use the same noise and
    converge to the same picture. Choose it for more detail than 2M in 20 to 50 steps.
    """

    label: ClassVar[str] = "SDE-DPM-Solver++ (2M)"
    eta: float = option(1.0, ETA, low=0.0, high=1.0)
    s_noise: float = option(1.0, S_NOISE, low=0.0, high=2.0, depends=(DependsOn("eta"),))
    correction: str = option("midpoint", CORRECTION, choices=("midpoint", "heun"))
    lower_order_final: str = lower_order_final_option()

    def __post_init__(self) -> None:
        options.check(self, "sampler")

    def __call__(
        self, denoise: Denoiser, x: torch.Tensor, levels: Sequence[NoiseLevel], noise: NoiseFunction
    ) -> Generator[Step, None, torch.Tensor]:
        levels = Levels.of(levels)
        lowered = lowers_final_order(self.lower_order_final, levels.steps)
        before, h_before = None, math.inf
        for i, (now, to) in enumerate(pairwise(levels)):
            p = denoise(x, now)
            yield Step(i, now, x, p)
            h = lambda_step(now, to)
            eta = self.eta if h > 0 else 0.0  # no noise on the way up
            noise_ratio = to.sigma / now.sigma * math.exp(-eta * h) if eta else to.sigma / now.sigma
            gain = -to.alpha * math.expm1(-(1 + eta) * h)
            if math.isinf(h) and not eta:
                x = ddim_step(p, to)
            elif before is None or not is_finite(h, h_before) or lowered and i == len(levels) - 2:
                x = weighted((noise_ratio, x), (gain, p.x0))
            else:
                half = gain / 2 if self.correction == "midpoint" else to.alpha - gain / (1 + eta) / h
                more = half * h / h_before
                x = weighted((noise_ratio, x), (gain + more, p.x0), (-more, before))
            before, h_before = p.x0, h
            del p
            if eta and to.sigma:
                fresh = to.sigma * math.sqrt(-math.expm1(-2 * eta * h))
                x.add_(_increment(noise, i, now, to, eta), alpha=self.s_noise * fresh)
        return x


def _increment(noise: NoiseFunction, i: int, now: NoiseLevel, to: NoiseLevel, eta: float) -> torch.Tensor:
    """Standard normal noise: the increment between the levels if `noise` has a path, else `noise(i + 1)`."""
    over = getattr(noise, "over", None)
    if over is None:
        return noise(i + 1)
    return over(*(math.exp(eta * level.log_snr) for level in (now, to)))
