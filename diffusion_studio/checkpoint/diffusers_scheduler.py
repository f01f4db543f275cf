"""The scheduler_config.json of diffusers (version 0.42.1): the forward process, and how its pipeline samples.

Each scheduler class becomes one of our samplers with its options, and a spacing that visits the levels of
that class, so that runs give the pictures of the pipeline. Settings that cannot be followed become notes.
This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..diffusion.samplers import SAMPLERS
from ..diffusion.schedule import NoiseSchedule, Table, VarianceExploding
from ..diffusion.spacing import SPACINGS, path
from ..errors import CheckpointError, OptionError
from ..options import from_json
from .facts import Fact, Settings
from .noise import named

BETA_FLAGS = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)
SAMPLING_FLAGS = (
    "variance_type",
    "clip_sample",
    "clip_sample_range",
    "thresholding",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "timestep_spacing",
    "steps_offset",
    "set_alpha_to_one",
    "skip_prk_steps",
    "solver_order",
    "solver_type",
    "algorithm_type",
    "lower_order_final",
    "euler_at_final",
    "final_sigmas_type",
    "lambda_min_clipped",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
)
CONSISTENCY_FLAGS = ("sigma_min", "sigma_max", "sigma_data", "s_noise", "rho", "clip_denoised")
PARAMETRIZATIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
# Keys that are not followed, with the value at which they have no effect.
_UNFOLLOWED: dict[str, Any] = {
    "use_lu_lambdas": False,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "shift_terminal": None,
    "disable_corrector": [],
    "solver_p": None,
    "predict_x0": True,
    "interpolation_type": "linear",
    "timestep_type": "discrete",
}
SCHEDULER_FLAGS = (*BETA_FLAGS, *SAMPLING_FLAGS, *CONSISTENCY_FLAGS, *_UNFOLLOWED)
_FORMULA_FLAGS = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}


@dataclass
class Process:
    """The content of a scheduler's configuration.

    `defaults` are settings of a recipe, `facts` the source of each value, and `notes` sentences about
    settings that are not followed.
    """

    schedule: NoiseSchedule
    parametrization: str
    defaults: dict[str, Any]
    facts: tuple[Fact, ...]
    notes: list[str] = field(default_factory=list)
    sigma_data: float = 0.5


@dataclass(frozen=True)
class _Kind:
    """One scheduler class: its sampler, the spread of its timesteps, and the defaults of its configuration.

    `sampler(reading)` gives the JSON of our sampler. `formula_labels` says how labels are rounded if noise
    levels come from a formula.
    """

    sampler: Callable[[_Reading], dict[str, Any]]
    spread: str = "one more"
    spacing: str = "linspace"
    betas: tuple[float, float] = (1e-4, 0.02)
    clips: bool | None = None  # None: the class has no clip_sample
    thresholds: bool = False
    formulas: tuple[str, ...] = ("karras", "exponential", "beta")
    formula_labels: Mapping[str, str] = field(default_factory=dict)
    # How the last level is determined: always zero, by final_sigmas_type or set_alpha_to_one, or by whether
    # noise levels come from a formula
    ends: str = "zero"
    steps: int = 50


@dataclass
class _Reading:
    """The state of reading one configuration."""

    settings: Settings
    kind: str
    learned: bool
    schedule: NoiseSchedule
    beta_schedule: str
    notes: list[str]
    clips: bool = False
    timestep_spacing: str = "leading"
    zero: bool = True  # whether the run ends at the clean picture
    asked: dict[str, Any] = field(default_factory=dict)

    def ask(self, name: str, usual: Any, **limits: Any) -> Any:
        """A setting whose value is `usual` if the configuration leaves it out, or if there is none."""
        if name not in self.asked:
            self.asked[name] = self.settings.read(name, usual, absent=usual, **limits)
        return self.asked[name]

    def ask_within(self, name: str, usual: float, low: float, high: float) -> float:
        """As `ask`, for a number that a recipe takes from `low` to `high`. Raises `OptionError` outside."""
        value = self.ask(name, usual)
        if not low <= value <= high:
            raise OptionError(name, f"must be a number from {low:g} to {high:g}, got {value:g}.")
        return value


def _ddpm(r: _Reading) -> dict[str, Any]:
    kind = r.settings.read(
        "variance_type",
        "learned_range" if r.learned else "fixed_small",
        absent="fixed_small",
        choices=(
            "fixed_small",
            "fixed_small_log",
            "fixed_large",
            "fixed_large_log",
            "learned",
            "learned_range",
        ),
    )
    if kind == "fixed_large_log":
        r.notes.append(
            "variance_type = fixed_large_log gives no valid number in diffusers (the root of a logarithm); "
            "fixed_large is used"
        )
    if r.learned and kind != "learned_range":
        r.notes.append(
            "the network predicts its variance, so it is used as learned_range, though variance_type = "
            f"{kind}"
        )
    variance = "learned" if r.learned else "large" if kind.startswith("fixed_large") else "small"
    options: dict[str, Any] = {"name": "ddpm", "variance": variance}
    if variance != "small" and (r.timestep_spacing == "trailing" or _offset(r)):
        options["last_noise"] = True
    return options


def _offset(r: _Reading) -> int:
    return r.ask("steps_offset", 0) if r.timestep_spacing == "leading" else 0


def _ddim(r: _Reading) -> dict[str, Any]:
    options: dict[str, Any] = {"name": "ddim"}
    if r.clips:  # diffusers steps along the eps from before x0 was clipped or thresholded
        options["keep_eps"] = True
    if r.timestep_spacing != "leading":  # leading always has the stride T // n
        options["fixed_stride"] = True
    return options


def _pndm(r: _Reading) -> dict[str, Any]:
    return {"name": "plms" if r.ask("skip_prk_steps", False) else "pndm", "fixed_stride": True}


def _lower_order(r: _Reading) -> str:
    return "short" if r.ask("lower_order_final", True) else "never"


# Values that a class replaces by its own default, because they belong to other solvers
_FOREIGN_SOLVERS = {"midpoint": ("logrho", "bh1", "bh2"), "bh2": ("midpoint", "heun", "logrho")}


def _solver_type(r: _Reading, usual: str, other: str) -> str:
    """The solver_type: the class's default `usual`, or `other`."""
    given = r.ask("solver_type", usual, choices=(usual, other, *_FOREIGN_SOLVERS[usual]))
    return other if given == other else usual


def _algorithm(r: _Reading) -> str:
    """Whether the solver is for the ODE ("ode") or the SDE ("sde")."""
    given = r.ask(
        "algorithm_type",
        "dpmsolver++",
        choices=("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis"),
    )
    if given in ("dpmsolver", "sde-dpmsolver"):
        r.notes.append(f"algorithm_type = {given} is not followed here; {given}++ is used")
    return "sde" if given.startswith("sde") else "ode"


def _dpm_multistep(r: _Reading) -> dict[str, Any]:
    order, stochastic = r.ask("solver_order", 2, choices=(1, 2, 3)), _algorithm(r) == "sde"
    correction = _solver_type(r, "midpoint", "heun")
    lower = _lower_order(r)
    if r.ask("euler_at_final", False) and not r.zero:
        if order == 2:
            lower = "always"
        elif lower == "never" and order == 3:
            r.notes.append(
                "euler_at_final = True is not followed with solver_order 3 if the run does not end at sigma 0"
            )
    if stochastic:
        if order == 3:
            r.notes.append("solver_order = 3 of sde-dpmsolver++ is not followed here; order 2 is used")
        if order == 1:
            return {"name": "euler_ancestral"}
        return {"name": "dpmpp_2m_sde", "correction": correction, "lower_order_final": lower}
    if order == 1:
        return {"name": "ddim"}
    if order == 3:
        return {"name": "dpmpp_3m", "difference": "half", "lower_order_final": lower}
    return {"name": "dpmpp_2m", "correction": correction, "lower_order_final": lower}


def _dpm_singlestep(r: _Reading) -> dict[str, Any]:
    if _algorithm(r) == "sde":
        r.notes.append(
            "algorithm_type = sde-dpmsolver++ of a singlestep solver is not followed here; dpmsolver++ is "
            "used"
        )
    lower = r.ask("lower_order_final", False) or r.zero
    return {
        "name": "dpmpp_singlestep",
        "order": r.ask("solver_order", 2, choices=(1, 2, 3)),
        "correction": _solver_type(r, "midpoint", "heun"),
        "lower_order_final": "always" if lower else "never",
    }


def _dpm_sde(r: _Reading) -> dict[str, Any]:
    r.notes.append(
        "DPMSolverSDEScheduler draws noise from its own Brownian tree; here it comes from the seed's path"
    )
    return {"name": "dpmpp_sde"}


def _unipc(r: _Reading) -> dict[str, Any]:
    return {
        "name": "unipc",
        "order": r.ask("solver_order", 2, choices=(1, 2, 3)),
        "solver": _solver_type(r, "bh2", "bh1"),
        "lower_order_final": "always" if r.ask("lower_order_final", True) else "never",
    }


def _deis(r: _Reading) -> dict[str, Any]:
    r.ask("algorithm_type", "deis", choices=("deis", "dpmsolver", "dpmsolver++"))  # all mean deis
    r.ask("solver_type", "logrho", choices=("logrho", "midpoint", "heun", "bh1", "bh2"))  # all mean logrho
    return {
        "name": "deis",
        "order": r.ask("solver_order", 2, choices=(1, 2, 3)),
        "lower_order_final": _lower_order(r),
    }


def _named(name: str, **options: Any) -> Callable[[_Reading], dict[str, Any]]:
    return lambda r: {"name": name, **options}


def _replaced_by(name: str, **options: Any) -> Callable[[_Reading], dict[str, Any]]:
    """The sampler of a class that has none of its own here. A note says so."""

    def noted(r: _Reading) -> dict[str, Any]:
        r.notes.append(f"{r.kind}Scheduler has no sampler here; {name} is used")
        return {"name": name, **options}

    return noted


_WITHOUT_BETAS = ("Flow", "EDM", "SCM", "KarrasVe", "SdeVe", "SdeVp", "Cosine", "VQ", "Amused")
_ROUNDED_LABELS = {"karras": "nearest"}
_CUT_LABELS = {
    "karras": "nearest",
    "exponential": "below",
    "beta": "below",
}  # conversion to an integer cuts and does not round
_KARRAS_ENDS = (0.00085, 0.012)  # default betas of some classes of the k-diffusion family
_DDPM = _Kind(_ddpm, "steps", "leading", clips=True, thresholds=True, formulas=(), steps=250)
_DDIM = _Kind(_ddim, "steps", "leading", clips=True, thresholds=True, formulas=(), ends="set_alpha_to_one")
_K_DIFFUSION: dict[str, Any] = {"spread": "unrounded"}
_KINDS: dict[str, _Kind] = {
    "DDPM": _DDPM,
    "DDPMParallel": _DDPM,
    "DDIM": _DDIM,
    "DDIMParallel": _DDIM,
    "RePaint": _Kind(_replaced_by("ddpm"), "steps", "leading", clips=True, formulas=(), steps=250),
    "PNDM": _Kind(_pndm, "steps", "leading", formulas=(), ends="set_alpha_to_one"),
    "LMSDiscrete": _Kind(_named("lms"), **_K_DIFFUSION),
    "EulerDiscrete": _Kind(_named("euler"), ends="final_sigmas_type", **_K_DIFFUSION),
    "EulerAncestralDiscrete": _Kind(_named("euler_ancestral"), formulas=(), **_K_DIFFUSION),
    "HeunDiscrete": _Kind(_named("heun"), betas=_KARRAS_ENDS, clips=False, **_K_DIFFUSION),
    "KDPM2Discrete": _Kind(
        _named("dpm_2"), betas=_KARRAS_ENDS, formula_labels=_ROUNDED_LABELS, **_K_DIFFUSION
    ),
    "KDPM2AncestralDiscrete": _Kind(
        _named("dpm_2", eta=1.0), betas=_KARRAS_ENDS, formula_labels=_ROUNDED_LABELS, **_K_DIFFUSION
    ),
    "DPMSolverSDE": _Kind(_dpm_sde, betas=_KARRAS_ENDS, **_K_DIFFUSION),
    "DPMSolverMultistep": _Kind(
        _dpm_multistep, thresholds=True, formula_labels=_CUT_LABELS, ends="final_sigmas_type", steps=25
    ),
    "DPMSolverSinglestep": _Kind(
        _dpm_singlestep, thresholds=True, formula_labels=_CUT_LABELS, ends="final_sigmas_type", steps=25
    ),
    "UniPCMultistep": _Kind(
        _unipc, thresholds=True, formula_labels=_CUT_LABELS, ends="final_sigmas_type", steps=25
    ),
    "DEISMultistep": _Kind(_deis, thresholds=True, formula_labels=_CUT_LABELS, ends="formula", steps=25),
    "SASolver": _Kind(_replaced_by("dpmpp_2m_sde"), formula_labels=_CUT_LABELS, steps=25),
    "LCM": _Kind(_replaced_by("consistency"), "steps", "leading", formulas=(), steps=4),
    "TCD": _Kind(_replaced_by("ddim"), "steps", "leading", formulas=(), steps=4),
    "UnCLIP": _Kind(_replaced_by("ddpm"), "steps", "linspace", clips=True, formulas=(), steps=25),
}


def process_of(config: Mapping[str, Any], flags: Mapping[str, Any], learned: bool) -> Process:
    """The process and the sampling of a scheduler's configuration and flags.

    `learned` says that the network predicts its variance. An empty configuration counts as DDPM's. Raises
    `CheckpointError` for a process that is not given by betas, and `OptionError`, with the configuration's
    name as its field, for a value that is not allowed.
    """
    given = {name: value for name, value in flags.items() if name in SCHEDULER_FLAGS}
    kind = str(config.get("_class_name", "DDPMScheduler")).removesuffix("Scheduler").removeprefix("Flax")[:80]
    if kind == "CMStochasticIterative":
        return _consistency(config, given)
    if kind not in _KINDS and "beta_schedule" not in given:
        why = (
            "is not a process of betas (a score or flow model)"
            if any(part in kind for part in _WITHOUT_BETAS)
            else "is not known here"
        )
        raise CheckpointError(
            f"This model is sampled with {kind}Scheduler, which {why}. Its U-Net can be read, but its noise "
            "levels are unknown. If it was trained with betas, give the flag beta_schedule (linear, "
            "scaled_linear, squaredcos_cap_v2, ...); it is then sampled as DDPM."
        )
    settings = Settings("diffusers scheduler", given, config, {})
    one = _KINDS.get(kind, _DDPM)
    schedule, beta_schedule = _betas(settings, one)
    means = settings.read("prediction_type", "epsilon", absent="epsilon", choices=tuple(PARAMETRIZATIONS))
    r = _Reading(settings, kind, learned, schedule, beta_schedule, [])
    r.timestep_spacing = (
        "linspace"
        if kind == "DPMSolverSinglestep"
        else r.ask("timestep_spacing", one.spacing, choices=("leading", "trailing", "linspace"))
    )
    limits = _limits(r, one)
    spacing = _spacing(r, one)
    sampler = one.sampler(r)
    if kind == "PNDM" and means == "v_prediction":
        r.notes.append(
            "PNDMScheduler combines the v of several states and then computes eps; here each eps is computed "
            "at its own state, as in the paper, so the pictures differ"
        )
    whole = {**config, **given}
    r.notes += [
        f"{name} = {whole[name]} is not followed here; {usual} is used"
        for name, usual in _UNFOLLOWED.items()
        if str(whole.get(name, usual)) not in (str(usual), "None")
    ]
    r.notes += _unfollowed_sigma_ends(r, whole)
    defaults = {"sampler": sampler, "spacing": spacing, **limits, "steps": min(one.steps, schedule.timesteps)}
    check_defaults(defaults, schedule)
    return Process(schedule, PARAMETRIZATIONS[means], defaults, settings.finish(SCHEDULER_FLAGS), r.notes)


# The names in a configuration of our samplers' and spacings' options, where they differ
_ORIGINAL_NAMES = {"order": "solver_order", "lambda_min": "lambda_min_clipped"}


def check_defaults(defaults: Mapping[str, Any], schedule: NoiseSchedule | None = None) -> None:
    """Raise `OptionError` if the sampler or the spacing of the configuration cannot be used.

    With a `schedule` it is also checked that an offset of timesteps leads to none beyond its end. Without
    these checks the error would appear at the first run only, and blame a flag of the command line that
    nobody gave.
    """

    def original(name: str) -> str:
        bare = name.rpartition(".")[2]
        return _ORIGINAL_NAMES.get(bare, bare)

    try:
        from_json(SAMPLERS, "sampler", defaults["sampler"])
        spacing = from_json(SPACINGS, "spacing", defaults["spacing"])
        if schedule is not None and getattr(spacing, "steps_offset", 0):
            path(schedule, defaults["steps"], spacing)
    except OptionError as error:
        raise OptionError(original(error.field), error.worded(original)) from error


def _betas(settings: Settings, one: _Kind) -> tuple[NoiseSchedule, str]:
    """The schedule of the betas, and the name of their formula."""
    timesteps = settings.read("num_train_timesteps", 1000, absent=1000)
    name = settings.read(
        "beta_schedule",
        "linear",
        absent="linear",
        choices=("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"),
    )
    start, end = (
        settings.read(f"beta_{which}", usual, absent=usual)
        for which, usual in zip(("start", "end"), one.betas)
    )
    betas = settings.read("trained_betas", None, absent=None)
    if betas is not None and (not isinstance(betas, (list, tuple)) or len(betas) not in (0, timesteps)):
        count = f"{len(betas):,} numbers" if isinstance(betas, (list, tuple)) else repr(str(betas)[:80])
        raise CheckpointError(
            f"trained_betas must be a list of {timesteps:,} numbers, one per training timestep "
            f"(num_train_timesteps); got {count}. Correct one of the two."
        )
    schedule = Table(values=tuple(betas)) if betas else named(name, timesteps, start, end)
    if settings.read("rescale_betas_zero_snr", False, absent=False):
        schedule = replace(schedule, zero_snr=True)
    return schedule, name


def _limits(r: _Reading, one: _Kind) -> dict[str, Any]:
    """The settings of a recipe that restrict the predicted x0 to a range."""
    r.clips = one.clips is not None and r.ask("clip_sample", one.clips)
    found: dict[str, Any] = {"clip": bool(r.clips)}
    if r.clips and (reach := r.ask_within("clip_sample_range", 1.0, 0.01, 1e4)) != 1.0:
        found["clip_range"] = reach
    if one.thresholds and r.ask("thresholding", False):
        # the quantile is clamped to 1..sample_max_value, so with 1 x0 is only clipped
        most = r.ask_within("sample_max_value", 1.0, 0.0, 1e6)
        share = r.ask_within("dynamic_thresholding_ratio", 0.995, 0.5, 1.0)
        found |= {"threshold": share, "threshold_most": most} if most > 1 else {"clip": True}
        found.pop("clip_range", None)
        r.clips = True
    return found


def _spacing(r: _Reading, one: _Kind) -> Any:
    """The JSON of the spacing that visits the levels of the scheduler. Sets `r.zero`."""
    formula = next((name for name in one.formulas if r.ask(_FORMULA_FLAGS[name], False)), None)
    end = _final_sigma(r, one, formula)
    r.zero = end == "zero"
    options: dict[str, Any] = {
        "timestep_spacing": r.timestep_spacing,
        "spread": one.spread,
        "steps_offset": _offset(r),
        "sigmas": formula or "timesteps",
        "final_sigma": end,
    }
    if formula is not None and formula in one.formula_labels:
        options["label_rounding"] = one.formula_labels[formula]
        if r.kind == "DPMSolverMultistep" and formula == "karras" and r.beta_schedule == "squaredcos_cap_v2":
            options["label_rounding"] = "below"
    if r.kind.startswith("DPMSolver") and one.spread == "one more":
        options |= _lambda_min(r)
    plain = options["spread"] == "steps" and end == "zero" and not options["steps_offset"] and formula is None
    if plain and r.timestep_spacing == "leading":  # our own spacing of this name visits the same levels
        return r.timestep_spacing
    return {"name": "diffusers", **{name: value for name, value in options.items() if value not in (0, None)}}


def _lambda_min(r: _Reading) -> dict[str, Any]:
    given = r.settings.config.get("lambda_min_clipped", r.settings.flags.get("lambda_min_clipped", -math.inf))
    if given in (-math.inf, "-Infinity", "-inf", None):
        return {}
    return {"lambda_min": r.ask("lambda_min_clipped", -100.0)}


def _final_sigma(r: _Reading, one: _Kind, formula: str | None) -> str:
    """The value of the option `final_sigma` of our spacing."""
    if one.ends == "set_alpha_to_one":
        return "zero" if r.ask("set_alpha_to_one", r.kind.startswith("DDIM")) else "least"
    if one.ends == "formula":  # DEIS
        return "repeated" if formula else "least"
    if (
        one.ends == "final_sigmas_type"
        and r.ask("final_sigmas_type", "zero", choices=("zero", "sigma_min")) == "sigma_min"
    ):
        return "repeated" if formula and r.kind == "UniPCMultistep" else "least"
    return "zero"


def _unfollowed_sigma_ends(r: _Reading, config: Mapping[str, Any]) -> list[str]:
    """Notes about ends of the noise levels that the configuration sets."""
    named_ends = [
        f"{name} = {config[name]}" for name in ("sigma_min", "sigma_max") if config.get(name) is not None
    ]
    return (
        [f"{' and '.join(named_ends)} not followed here; the schedule's own ends are used"]
        if named_ends
        else []
    )


def _consistency(config: Mapping[str, Any], flags: Mapping[str, Any]) -> Process:
    """The process of consistency models (Song et al. 2023): variance exploding, sampled in one step."""
    settings = Settings("diffusers scheduler", flags, config, {})
    timesteps = settings.read("num_train_timesteps", 40, absent=40)
    least, most = (
        settings.read("sigma_min", 0.002, absent=0.002),
        settings.read("sigma_max", 80.0, absent=80.0),
    )
    data = settings.read("sigma_data", 0.5, absent=0.5)
    notes = [
        f"{name} = {value:g} is not followed here; {usual:g} is used"
        for name, usual in (("s_noise", 1.0), ("rho", 7.0))
        if (value := settings.read(name, usual, absent=usual)) != usual
    ]
    defaults = {
        "sampler": {"name": "consistency", "sigma_min": least},
        "spacing": {"name": "diffusers", "sigmas": "consistency"},
        "clip": settings.read("clip_denoised", True, absent=True),
        "steps": 1,
    }
    check_defaults(defaults)
    return Process(
        VarianceExploding(timesteps, least, most, "1000 c_noise"),
        "consistency",
        defaults,
        settings.finish(SCHEDULER_FLAGS),
        notes,
        data,
    )
