"""What a scheduler_config.json of diffusers says: its process, and how its pipeline samples (version 0.42.1).
No torch.

Each class of scheduler becomes one of our samplers with its options, and the spacing that visits the levels
which that class visits, so that the pipeline's own pictures come out. What cannot be followed becomes a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..diffusion.schedule import NoiseSchedule, Table, VarianceExploding
from ..errors import CheckpointError
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
# Keys that are not followed, with the value at which they change nothing.
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
    """What a pipeline's scheduler says: the process, the recipe's settings, each value's source, and what
    is not followed.
    """

    schedule: NoiseSchedule
    parametrization: str
    defaults: dict[str, Any]
    facts: tuple[Fact, ...]
    notes: list[str] = field(default_factory=list)
    sigma_data: float = 0.5


@dataclass(frozen=True)
class _Kind:
    """One class of scheduler: how its sampler is set, how its timesteps are spread, and what its
    configuration leaves out.

    `sampler(told, context)` gives the sampler's JSON. `formula_labels` says how labels are rounded for noise
    levels by a formula, where that does not depend on more.
    """

    sampler: Callable[[_Reading], dict[str, Any]]
    spread: str = "one more"
    spacing: str = "linspace"
    betas: tuple[float, float] = (1e-4, 0.02)
    clips: bool | None = None  # None: the class clips nothing
    thresholds: bool = False
    formulas: tuple[str, ...] = ("karras", "exponential", "beta")
    formula_labels: Mapping[str, str] = field(default_factory=dict)
    ends: str = "zero"  # zero; least; final_sigmas_type; set_alpha_to_one or not; formula
    steps: int = 50


@dataclass
class _Reading:
    """A configuration while it is read."""

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
        """A setting whose value is `usual` where the configuration leaves it out, and where there is none."""
        if name not in self.asked:
            self.asked[name] = self.settings.read(name, usual, absent=usual, **limits)
        return self.asked[name]


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
            "variance_type = fixed_large_log is no number in diffusers (the root of a logarithm); "
            "fixed_large is used"
        )
    if r.learned and kind != "learned_range":
        r.notes.append(
            "the network predicts its variance, so it is used as learned_range, though variance_type = "
            f"{kind}"
        )
    variance = "learned" if r.learned else "large" if kind.startswith("fixed_large") else "small"
    made: dict[str, Any] = {"name": "ddpm", "variance": variance}
    if variance != "small" and (r.timestep_spacing == "trailing" or _offset(r)):
        made["last_noise"] = True
    return made


def _offset(r: _Reading) -> int:
    return r.ask("steps_offset", 0) if r.timestep_spacing == "leading" else 0


def _ddim(r: _Reading) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "ddim"}
    if r.clips:  # diffusers clips or thresholds x0 and steps along the eps of before
        made["keep_eps"] = True
    if r.timestep_spacing != "leading":  # leading visits every T // n-th timestep anyway
        made["fixed_stride"] = True
    return made


def _pndm(r: _Reading) -> dict[str, Any]:
    return {"name": "plms" if r.ask("skip_prk_steps", False) else "pndm", "fixed_stride": True}


def _lower_order(r: _Reading) -> str:
    return "short" if r.ask("lower_order_final", True) else "never"


def _algorithm(r: _Reading) -> str:
    given = r.ask("algorithm_type", "dpmsolver++")
    if given in ("dpmsolver", "sde-dpmsolver"):
        r.notes.append(f"algorithm_type = {given} is not followed here; {given}++ is used")
    return "sde" if given.startswith("sde") else "ode"


def _dpm_multistep(r: _Reading) -> dict[str, Any]:
    order, stochastic = r.ask("solver_order", 2, choices=(1, 2, 3)), _algorithm(r) == "sde"
    correction = "heun" if r.ask("solver_type", "midpoint") == "heun" else "midpoint"
    lower = _lower_order(r)
    if r.ask("euler_at_final", False) and not r.zero:
        if order == 2:
            lower = "always"
        elif lower == "never" and order == 3:
            r.notes.append(
                "euler_at_final = True is not followed at solver_order 3 where the run does not end at sigma "
                "0"
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
        "correction": "heun" if r.ask("solver_type", "midpoint") == "heun" else "midpoint",
        "lower_order_final": "always" if lower else "never",
    }


def _dpm_sde(r: _Reading) -> dict[str, Any]:
    r.notes.append(
        "DPMSolverSDEScheduler draws its noise from a Brownian tree of its own; here from the seed's own path"
    )
    return {"name": "dpmpp_sde"}


def _unipc(r: _Reading) -> dict[str, Any]:
    return {
        "name": "unipc",
        "order": r.ask("solver_order", 2, choices=(1, 2, 3)),
        "solver": "bh1" if r.ask("solver_type", "bh2") == "bh1" else "bh2",
        "lower_order_final": "always" if r.ask("lower_order_final", True) else "never",
    }


def _deis(r: _Reading) -> dict[str, Any]:
    return {
        "name": "deis",
        "order": r.ask("solver_order", 2, choices=(1, 2, 3)),
        "lower_order_final": _lower_order(r),
    }


def _named(name: str, **options: Any) -> Callable[[_Reading], dict[str, Any]]:
    return lambda r: {"name": name, **options}


def _in_place_of(name: str, **options: Any) -> Callable[[_Reading], dict[str, Any]]:
    """For classes that have no sampler here."""

    def noted(r: _Reading) -> dict[str, Any]:
        r.notes.append(f"{r.kind}Scheduler has no sampler here; {name} is used")
        return {"name": name, **options}

    return noted


_WITHOUT_BETAS = ("Flow", "EDM", "SCM", "KarrasVe", "SdeVe", "SdeVp", "Cosine", "VQ", "Amused")
_ROUNDED = {"karras": "nearest"}
_WHOLE = {
    "karras": "nearest",
    "exponential": "below",
    "beta": "below",
}  # what becomes an integer is cut, not rounded
_KARRAS_ENDS = (0.00085, 0.012)  # betas that some of the k-diffusion family take where none are given
_DDPM = _Kind(_ddpm, "steps", "leading", clips=True, thresholds=True, formulas=(), steps=250)
_DDIM = _Kind(_ddim, "steps", "leading", clips=True, thresholds=True, formulas=(), ends="set_alpha_to_one")
_K_DIFFUSION: dict[str, Any] = {"spread": "unrounded"}
_KINDS: dict[str, _Kind] = {
    "DDPM": _DDPM,
    "DDPMParallel": _DDPM,
    "DDIM": _DDIM,
    "DDIMParallel": _DDIM,
    "RePaint": _Kind(_in_place_of("ddpm"), "steps", "leading", clips=True, formulas=(), steps=250),
    "PNDM": _Kind(_pndm, "steps", "leading", formulas=(), ends="set_alpha_to_one"),
    "LMSDiscrete": _Kind(_named("lms"), **_K_DIFFUSION),
    "EulerDiscrete": _Kind(_named("euler"), ends="final_sigmas_type", **_K_DIFFUSION),
    "EulerAncestralDiscrete": _Kind(_named("euler_ancestral"), formulas=(), **_K_DIFFUSION),
    "HeunDiscrete": _Kind(_named("heun"), betas=_KARRAS_ENDS, clips=False, **_K_DIFFUSION),
    "KDPM2Discrete": _Kind(_named("dpm_2"), betas=_KARRAS_ENDS, formula_labels=_ROUNDED, **_K_DIFFUSION),
    "KDPM2AncestralDiscrete": _Kind(
        _named("dpm_2", eta=1.0), betas=_KARRAS_ENDS, formula_labels=_ROUNDED, **_K_DIFFUSION
    ),
    "DPMSolverSDE": _Kind(_dpm_sde, betas=_KARRAS_ENDS, **_K_DIFFUSION),
    "DPMSolverMultistep": _Kind(
        _dpm_multistep, thresholds=True, formula_labels=_WHOLE, ends="final_sigmas_type", steps=25
    ),
    "DPMSolverSinglestep": _Kind(
        _dpm_singlestep, thresholds=True, formula_labels=_WHOLE, ends="final_sigmas_type", steps=25
    ),
    "UniPCMultistep": _Kind(
        _unipc, thresholds=True, formula_labels=_WHOLE, ends="final_sigmas_type", steps=25
    ),
    "DEISMultistep": _Kind(_deis, thresholds=True, formula_labels=_WHOLE, ends="formula", steps=25),
    "SASolver": _Kind(_in_place_of("dpmpp_2m_sde"), formula_labels=_WHOLE, steps=25),
    "LCM": _Kind(_in_place_of("consistency"), "steps", "leading", formulas=(), steps=4),
    "TCD": _Kind(_in_place_of("ddim"), "steps", "leading", formulas=(), steps=4),
    "UnCLIP": _Kind(_in_place_of("ddpm"), "steps", "linspace", clips=True, formulas=(), steps=25),
}


def process_of(config: Mapping[str, Any], flags: Mapping[str, Any], learned: bool) -> Process:
    """The process and the sampling that a scheduler's configuration and flags say; `learned` where the
    variance is predicted.

    An empty configuration is taken for DDPM's. Raises `CheckpointError` for a process that is none of betas,
    `OptionError` for values out of range.
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
            f"This model is sampled with {kind}Scheduler, which {why}. Its U-Net can be read, but what its "
            "levels are cannot be told. If it was trained with betas, give the flag beta_schedule (linear, "
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
            "PNDMScheduler combines the v of several states before it reads eps from them; here each eps is "
            "read at its own state, as the paper has it, so the pictures differ"
        )
    whole = {**config, **given}
    r.notes += [
        f"{name} = {whole[name]} is not followed here; {usual} is used"
        for name, usual in _UNFOLLOWED.items()
        if str(whole.get(name, usual)) not in (str(usual), "None")
    ]
    r.notes += _ends_of_formula(r, whole)
    defaults = {"sampler": sampler, "spacing": spacing, **limits, "steps": min(one.steps, schedule.timesteps)}
    return Process(schedule, PARAMETRIZATIONS[means], defaults, settings.finish(SCHEDULER_FLAGS), r.notes)


def _betas(settings: Settings, one: _Kind) -> tuple[NoiseSchedule, str]:
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
    if betas is not None and not isinstance(betas, (list, tuple)):
        raise CheckpointError(
            f"trained_betas must be a list of {timesteps} numbers, got {str(betas)[:80]!r}."
        )
    schedule = Table(values=tuple(betas)) if betas else named(name, timesteps, start, end)
    if settings.read("rescale_betas_zero_snr", False, absent=False):
        schedule = replace(schedule, zero_snr=True)
    return schedule, name


def _limits(r: _Reading, one: _Kind) -> dict[str, Any]:
    """The recipe's settings that keep the predicted picture in range."""
    r.clips = one.clips is not None and r.ask("clip_sample", one.clips)
    found: dict[str, Any] = {"clip": bool(r.clips)}
    if r.clips and (reach := r.ask("clip_sample_range", 1.0)) != 1.0:
        found["clip_range"] = reach
    if one.thresholds and r.ask("thresholding", False):
        # the quantile is held between 1 and sample_max_value, so 1 clips and no more
        most = r.ask("sample_max_value", 1.0)
        found |= (
            {"threshold": r.ask("dynamic_thresholding_ratio", 0.995), "threshold_most": most}
            if most > 1
            else {"clip": True}
        )
        found.pop("clip_range", None)
        r.clips = True
    return found


def _spacing(r: _Reading, one: _Kind) -> Any:
    formula = next((name for name in one.formulas if r.ask(_FORMULA_FLAGS[name], False)), None)
    end = _final_sigma(r, one, formula)
    r.zero = end == "zero"
    made: dict[str, Any] = {
        "timestep_spacing": r.timestep_spacing,
        "spread": one.spread,
        "steps_offset": _offset(r),
        "sigmas": formula or "timesteps",
        "final_sigma": end,
    }
    if formula is not None and formula in one.formula_labels:
        made["label_rounding"] = one.formula_labels[formula]
        if r.kind == "DPMSolverMultistep" and formula == "karras" and r.beta_schedule == "squaredcos_cap_v2":
            made["label_rounding"] = "below"
    if r.kind.startswith("DPMSolver") and one.spread == "one more":
        made |= _least_lambda(r)
    plain = made["spread"] == "steps" and end == "zero" and not made["steps_offset"] and formula is None
    if plain and r.timestep_spacing == "leading":  # our own rules, where they say the same
        return r.timestep_spacing
    return {"name": "diffusers", **{name: value for name, value in made.items() if value not in (0, None)}}


def _least_lambda(r: _Reading) -> dict[str, Any]:
    given = r.settings.config.get("lambda_min_clipped", r.settings.flags.get("lambda_min_clipped", -math.inf))
    if given in (-math.inf, "-Infinity", "-inf", None):
        return {}
    return {"lambda_min": r.ask("lambda_min_clipped", -100.0)}


def _final_sigma(r: _Reading, one: _Kind, formula: str | None) -> str:
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


def _ends_of_formula(r: _Reading, config: Mapping[str, Any]) -> list[str]:
    named_ends = [
        f"{name} = {config[name]}" for name in ("sigma_min", "sigma_max") if config.get(name) is not None
    ]
    return (
        [f"{' and '.join(named_ends)} not followed here; the schedule's own ends are used"]
        if named_ends
        else []
    )


def _consistency(config: Mapping[str, Any], flags: Mapping[str, Any]) -> Process:
    """Consistency models (Song et al. 2023): variance exploding, their own parametrization, and one step."""
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
    return Process(
        VarianceExploding(timesteps, least, most, "1000 c_noise"),
        "consistency",
        defaults,
        settings.finish(SCHEDULER_FLAGS),
        notes,
        data,
    )
