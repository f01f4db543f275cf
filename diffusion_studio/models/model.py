"""Diffusion models bound to a device. A model and a condition give a Denoiser."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .. import checkpoint
from ..checkpoint.spec import POINTS, ModelSpec
from ..device import keep_freed_memory, pick_device, pick_dtype
from ..diffusion.denoiser import Altered, Denoiser
from ..diffusion.prediction import Prediction, Reading, reading
from ..diffusion.schedule import NoiseLevel, NoiseSchedule
from ..errors import CheckpointWarning, OptionError
from ..networks.precision import arrange, cast
from ..networks.reuse import MOST_POINTS, DeepFeatures, forecast
from ..networks.text import TextFeatures
from .condition import Condition, Encoded, Label, Prompt
from .network_call import NetworkCall, output_of


class Model:
    """A network with its spec, ready to run. `denoiser(label)` predicts without clipping or guidance.

    `remarks` are sentences about settings that had to be assumed for its file, and about settings of the file
    that are not followed. They are empty for a file that determines everything.
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        remarks: tuple[str, ...] = (),
    ) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        if spec.makes == POINTS and dtype.itemsize < 4:
            dtype = torch.float32  # coordinates need more digits than pixels, and these networks are small
        self.spec = spec
        self.remarks = remarks
        self.device = device
        self.dtype = dtype
        self.network = cast(network, device, dtype)
        self._arranged = False
        self._arranging = threading.Lock()

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule that the network was trained with."""
        return self.spec.schedule

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of one picture, or (2,) of one point. The state of a cloud is (P, 2)."""
        return self.spec.shape

    def denoiser(
        self,
        label: Label | Sequence[Label] = None,
        prompt: Prompt | Sequence[Prompt] = None,
        low_res: torch.Tensor | None = None,
    ) -> NetworkDenoiser | SelfConditioned | Reusing:
        """The denoiser for `Condition(label, prompt, low_res)`; see `conditioned`."""
        return self.conditioned(Condition(label, prompt, low_res))

    def conditioned(
        self, condition: Condition, reuse: int = 1
    ) -> NetworkDenoiser | SelfConditioned | Reusing:
        """The denoiser for a condition, which may be the same for all pictures or differ for each.

        Either way one network call serves the whole batch. With `reuse` of 2 or more, only every
        `reuse`-th call computes the whole network, see `Reusing`; such a denoiser is for one run, and needs a
        U-Net of `UNetConfig`. Raises `OptionError` for a condition that the model does not take.
        """
        # Packed weights halve the time of small convolutions on a CPU. They are packed at the first use, so
        # that opening a model stays fast, and under a lock, because another run may be reading the weights.
        with self._arranging:
            if not self._arranged:
                arrange(self.network)
                self._arranged = True
        encoded = Encoded(
            tuple(self._class_index(label) for label in condition.labels),
            self._encode_prompts(condition.prompts),
            self._enlarge_low_res(condition.low_res),
        )
        bound = NetworkDenoiser(self, encoded)
        if self.spec.network.self_condition:
            return SelfConditioned(bound)
        return bound if reuse == 1 else Reusing(bound, reuse)

    def _enlarge_low_res(self, low_res: torch.Tensor | None) -> torch.Tensor | None:
        """The pictures to enlarge, interpolated to the model's size (Dhariwal & Nichol 2021, appendix A).

        Raises `OptionError` if they are missing, not wanted, or of the wrong shape.
        """
        side = self.spec.low_res
        if (low_res is None) != (side is None):
            raise OptionError(
                "low_res",
                f"{self.spec.name} enlarges a picture of {side}x{side} and needs one. Give low_res."
                if side
                else f"{self.spec.name} does not enlarge pictures. Leave low_res out.",
            )
        if low_res is None:
            return None
        if low_res.ndim != 4 or tuple(low_res.shape[1:]) != (self.spec.channels, side, side):
            raise OptionError(
                "low_res",
                f"{self.spec.name} takes low_res of the shape (N, {self.spec.channels}, {side}, {side}), got "
                f"{tuple(low_res.shape)}.",
            )
        return enlarged(low_res.to(self.device), self.spec.image_size)

    @torch.no_grad()
    def _encode_prompts(self, prompts: Sequence[str | None]) -> TextFeatures | None:
        """The text encoder's features of each prompt, or None for a model without text.

        Prompts are encoded one by one, so that rounding does not depend on the other prompts of the batch.
        """
        texts = [text for one in prompts if (text := self.spec.prompt_text(one)) is not None]
        if not self.spec.takes_text:
            return None
        tokens = {text: torch.from_numpy(self.spec.tokenizer([text])).to(self.device) for text in texts}
        encoder = self.network.get_submodule("text")
        features = {text: encoder(one) for text, one in tokens.items()}
        return TextFeatures.cat([features[text] for text in texts])

    def _class_index(self, label: Label) -> int | None:
        """The class index of a label, or None. Raises `OptionError` if the network needs a label."""
        if label is not None:
            return self.spec.label_index(label)
        if self.spec.network.classes is None:
            return None
        if not self.spec.network.null_class:
            raise OptionError(
                "label",
                f"{self.spec.name} was always trained with a label, so it needs one. Choose one of: "
                f"{', '.join(self.spec.labels)}.",
            )
        return self.spec.network.classes

    def check(self, level: NoiseLevel) -> None:
        """Raise `OptionError` if the network's output does not determine x0 at this level."""
        self._output_reading(level)

    def _output_reading(self, level: NoiseLevel) -> Reading:
        """How the network's output at a level becomes x0 and eps. Raises as `check`."""
        found = reading(self.spec.parametrization, level, self.schedule, self.spec.sigma_data)
        if found.silent:
            raise OptionError(
                "spacing",
                f"{self.spec.name} predicts {self.spec.parametrization}, which does not determine the "
                "picture at pure noise (alpha = 0), where this run starts. Choose a spacing that starts at "
                "less noise: leading, or timesteps.",
            )
        return found

    def predict(
        self,
        x: torch.Tensor,
        level: NoiseLevel,
        given: Encoded,
        before: torch.Tensor | DeepFeatures | None = None,
    ) -> Prediction:
        """One network call for x (N, C, H, W), or points (N, 2), or clouds of points (N, P, 2).

        `given` is the encoded condition. `before` is the last x0 for a self-conditioned network, or the deep
        features of an earlier call for a network that reuses them. Returns x0 and eps in the shape of x, and
        the variance if the network learned it, as a share in [0, 1] nominally.
        """
        found, given = self._output_reading(level), given.for_each(x)
        t = torch.full((1,), self.spec.network.time_label(level), device=x.device).expand(len(x))
        label = None
        if self.spec.network.classes is not None:
            label = torch.tensor(given.classes, device=x.device)
        scaled = found.input(self.spec.network.network_input(x, level))
        scaled = scaled if given.low_res is None else torch.cat([scaled, given.low_res], dim=1)
        scaled = (
            scaled.to(self.dtype, memory_format=torch.channels_last) if x.ndim == 4 else scaled.to(self.dtype)
        )
        more: tuple[Any, ...] = ()
        if before is not None:
            more = (before,) if isinstance(before, DeepFeatures) else (before.to(self.dtype),)
        output = output_of(NetworkCall(self.network, scaled, t, label, given.text, more)).to(x.dtype)
        variance = None
        if self.spec.learned_variance:
            output, v = output.chunk(2, dim=-1 if self.spec.makes == POINTS else 1)
            variance = (v + 1) / 2
        return found.read(output, x, variance)


@dataclass(frozen=True)
class NetworkDenoiser:
    """A Denoiser: a model bound to an encoded condition."""

    model: Model
    given: Encoded

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self.model.predict(x, level, self.given)

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """The predictions of this denoiser and of `others`, in one network call.

        The others may be `Altered`. Returns None if one of them is not of the same model.
        """
        bare = [one.denoise if isinstance(one, Altered) else one for one in others]
        denoisers = [self]
        denoisers += [one for one in bare if isinstance(one, NetworkDenoiser) and one.model is self.model]
        if len(denoisers) != 1 + len(others):
            return None
        with ExitStack() as altered:
            for k, one in enumerate(others, 1):
                if isinstance(one, Altered):
                    altered.enter_context(one.altering(slice(k * len(x), (k + 1) * len(x))))
            return _predict_together(denoisers, x, level)


def _predict_together(
    denoisers: Sequence[NetworkDenoiser], x: torch.Tensor, level: NoiseLevel, deep: DeepFeatures | None = None
) -> list[Prediction]:
    """The predictions of denoisers of one model for the same x, in one network call."""
    given = Encoded.cat([one.given.for_each(x) for one in denoisers])
    p = denoisers[0].model.predict(torch.cat([x] * len(denoisers)), level, given, deep)
    variances = [None] * len(denoisers) if p.variance is None else p.variance.chunk(len(denoisers))
    return [
        Prediction(*parts)
        for parts in zip(p.x0.chunk(len(denoisers)), p.eps.chunk(len(denoisers)), variances)
    ]


class Reusing:
    """A denoiser for one run that computes the whole network only at every `every`-th call.

    The other calls forecast the deep features and compute only the outer layers. Which features are reused
    follows DeepCache (Ma et al. 2024). The forecast is the polynomial in the call's number through the last
    three whole calls (as in TaylorSeer, Liu et al. 2025). The first `every` calls are whole.

    The count starts over at a call at a noisier level than the last one, for other pictures, or together with
    other denoisers. So a run depends on its recipe alone, and every call on the way into noise is whole.
    """

    def __init__(self, bound: NetworkDenoiser, every: int) -> None:
        self.bound, self.every = bound, every
        self._last_batch: tuple[Any, ...] = ()  # shape of x and identities of the denoisers of the last call
        self._last_log_snr = 0.0
        self._number = 0  # of the next call
        self._kept: list[tuple[int, DeepFeatures]] = []  # of the latest calls whose number `every` divides

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self._predict_all([self], x, level)[0]

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """The predictions of this denoiser and of `others`, in one network call; None if models differ."""
        model = self.bound.model
        denoisers = [self]
        denoisers += [one for one in others if isinstance(one, Reusing) and one.bound.model is model]
        return self._predict_all(denoisers, x, level) if len(denoisers) == 1 + len(others) else None

    def _predict_all(
        self, denoisers: Sequence[Reusing], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction]:
        """The predictions of denoisers for the same x. Updates the state of this denoiser."""
        log_snr, batch = level.path_level.log_snr, (x.shape, *(id(one) for one in denoisers))
        continues = batch == self._last_batch and log_snr >= self._last_log_snr
        number, kept = (self._number, self._kept) if continues else (0, [])
        regular = number % self.every == 0
        whole = regular or number < self.every
        deep = DeepFeatures() if whole else forecast(kept, number)
        answers = _predict_together([one.bound for one in denoisers], x, level, deep)
        if regular:
            kept = [*kept, (number, deep)][-MOST_POINTS:]
        self._last_batch, self._last_log_snr = batch, log_snr
        self._number, self._kept = number + 1, kept
        return answers


class SelfConditioned:
    """The denoiser of a self-conditioned network (Chen et al. 2022, Analog Bits), for one run.

    The network takes its last predicted x0 as a further input. A call at a noisier level than the last one,
    or for other pictures, starts over with zeros.
    """

    def __init__(self, bound: NetworkDenoiser) -> None:
        self.bound = bound
        self.last: tuple[float, torch.Tensor] | None = None

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        at = level.path_level.log_snr
        before = None
        if self.last is not None and self.last[0] <= at and self.last[1].shape == x.shape:
            before = self.last[1]
        p = self.bound.model.predict(x, level, self.bound.given, before)
        self.last = at, p.x0.detach().clamp(-1, 1)  # the original samplers clip the x0 that they pass on
        return p


def enlarged(low_res: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (N, C, h, w) bilinearly interpolated to (N, C, size, size), the input of super-resolution."""
    return F.interpolate(low_res, (size, size), mode="bilinear", align_corners=False)


def load(
    path: str | Path, device: str = "auto", precision: str = "auto", flags: Mapping[str, Any] | None = None
) -> Model:
    """Load a diffusion model from a checkpoint file or folder, in any layout of `checkpoint.READERS`.

    `flags` give settings that a foreign file does not contain, under the names of the program that wrote it:
    {"num_heads": 4, "diffusion_steps": 4000}. `checkpoint.inspect(path, flags)` lists what was found,
    inferred and assumed. Assumed settings, and those that are not followed, are reported by a
    `CheckpointWarning` and by the model's `remarks`. Raises `CheckpointError` for a file that is broken or
    not what it claims to be, before memory is allocated for its weights, and `OptionError` for a device or
    precision that cannot be used.
    """
    model = load_without_warning(path, device, precision, flags)
    if model.remarks:
        warnings.warn(f"{model.spec.name}: {' '.join(model.remarks)}", CheckpointWarning, stacklevel=2)
    return model


def load_without_warning(
    path: str | Path, device: str = "auto", precision: str = "auto", flags: Mapping[str, Any] | None = None
) -> Model:
    """As `load`, without the warning: for callers that report the model's `remarks` themselves."""
    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    weights = checkpoint.read_any(path, flags, dtype=dtype)
    return Model(checkpoint.model_spec(path, weights.spec), weights.network, chosen, dtype, weights.remarks)
