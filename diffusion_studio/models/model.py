"""A spec and its network, bound to a device: what makes Denoisers."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .. import checkpoint
from ..checkpoint.spec import POINTS, ModelSpec
from ..device import keep_freed_memory, pick_device, pick_dtype
from ..diffusion.denoiser import Denoiser
from ..diffusion.prediction import Prediction, Reading, reading
from ..diffusion.schedule import NoiseLevel, NoiseSchedule
from ..errors import CheckpointWarning, OptionError
from ..networks.precision import arrange, cast
from ..networks.reuse import MOST_POINTS, DeepFeatures, forecast
from ..networks.text import TextFeatures
from .condition import Condition, Encoded, Label, Prompt


class Model:
    """A network ready to run. `denoiser(label)` is its bare reading: nothing clipped, nothing guided.

    `remarks` are lines that say what had to be assumed of its file and what of it is not followed; none where
    all is known.
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
        if (
            spec.makes == POINTS and dtype.itemsize < 4
        ):  # a coordinate needs more digits than a pixel, and costs nothing
            dtype = torch.float32
        self.spec = spec
        self.remarks = remarks
        self.device = device
        self.dtype = dtype
        self.network = cast(network, device, dtype)
        self._arranged = False
        self._arranging = threading.Lock()

    @property
    def schedule(self) -> NoiseSchedule:
        return self.spec.schedule

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of one picture, or (2,) of one point; a cloud's state is (points, 2)."""
        return self.spec.shape

    def denoiser(
        self,
        label: Label | Sequence[Label] = None,
        prompt: Prompt | Sequence[Prompt] = None,
        low_res: torch.Tensor | None = None,
    ) -> NetworkDenoiser | SelfConditioned | Reusing:
        """The Denoiser of `Condition(label, prompt, low_res)`."""
        return self.conditioned(Condition(label, prompt, low_res))

    def conditioned(
        self, condition: Condition, reuse: int = 1
    ) -> NetworkDenoiser | SelfConditioned | Reusing:
        """A Denoiser for what the pictures are asked to be: the same for all of them, or different for each,
        which is one network call all the same. Raises `OptionError` for what the model does not take.

        With `reuse` 2 or more only every so many calls compute the whole network, see `Reusing`; that is for
        one run, and for a U-Net of `UNetConfig`.
        """
        # it halves the time of small convolutions on a CPU; opening does not wait
        with self._arranging:  # or a second run's would swap weights that the first one is reading
            if not self._arranged:
                arrange(self.network)
                self._arranged = True
        encoded = Encoded(
            tuple(self._class_index(label) for label in condition.labels),
            self._encoded(condition.prompts),
            self._enlarged(condition.low_res),
        )
        bound = NetworkDenoiser(self, encoded)
        if self.spec.network.self_condition:
            return SelfConditioned(bound)
        return bound if reuse == 1 else Reusing(bound, reuse)

    def _enlarged(self, low_res: torch.Tensor | None) -> torch.Tensor | None:
        """The small pictures brought to the model's size, bilinearly (Dhariwal & Nichol 2021, appendix A)."""
        side = self.spec.low_res
        if (low_res is None) != (side is None):
            raise OptionError(
                "low_res",
                f"{self.spec.name} enlarges a picture of {side}x{side}, so it needs one: give low_res."
                if side
                else f"{self.spec.name} enlarges no picture. Leave low_res out.",
            )
        if low_res is None:
            return None
        if low_res.ndim != 4 or tuple(low_res.shape[1:]) != (self.spec.channels, side, side):
            raise OptionError(
                "low_res",
                f"{self.spec.name} enlarges pictures (N, {self.spec.channels}, {side}, {side}), got "
                f"{tuple(low_res.shape)}.",
            )
        return enlarged(low_res.to(self.device), self.spec.image_size)

    @torch.no_grad()
    def _encoded(self, prompts: Sequence[str | None]) -> TextFeatures | None:
        """One encoded text for each prompt, encoded one by one: a picture does not depend on its
        neighbours' prompts.
        """
        texts = [text for one in prompts if (text := self.spec.prompt_text(one)) is not None]
        if not self.spec.takes_text:
            return None
        tokens = {text: torch.from_numpy(self.spec.tokenizer([text])).to(self.device) for text in texts}
        encoder = self.network.get_submodule("text")
        made = {text: encoder(one) for text, one in tokens.items()}
        return TextFeatures.cat([made[text] for text in texts])

    def _class_index(self, label: Label) -> int | None:
        if label is not None:
            return self.spec.label_index(label)
        if self.spec.network.classes is None:
            return None
        if not self.spec.network.null_class:
            raise OptionError(
                "label",
                f"{self.spec.name} was trained with labels only, so it needs one. Choose one of: "
                f"{', '.join(self.spec.labels)}.",
            )
        return self.spec.network.classes

    def check(self, level: NoiseLevel) -> None:
        """Raise `OptionError` for a level of which this kind of network can say nothing."""
        self._reading(level)

    def _reading(self, level: NoiseLevel) -> Reading:
        said = reading(self.spec.parametrization, level, self.schedule, self.spec.sigma_data)
        if said.silent:
            raise OptionError(
                "spacing",
                f"{self.spec.name} predicts {self.spec.parametrization}, which says nothing of the picture "
                "where a run starts at pure noise (alpha = 0). Choose a spacing that starts below it: "
                "leading, or timesteps.",
            )
        return said

    def predict(
        self,
        x: torch.Tensor,
        level: NoiseLevel,
        given: Encoded,
        before: torch.Tensor | DeepFeatures | None = None,
    ) -> Prediction:
        """One network call for x (N, C, H, W), or (N, 2) points or (N, P, 2) clouds of points.

        `given` is what the pictures are asked to be; `before` is the last x0, for a network that is given it,
        or the features that an earlier call has left, for a network that reuses them.
        """
        said, given = self._reading(level), given.for_each(x)
        t = torch.full((1,), self.spec.network.time_label(level), device=x.device).expand(len(x))
        label = None
        if self.spec.network.classes is not None:
            label = torch.tensor(given.classes, device=x.device)
        scaled = said.input(self.spec.network.given(x, level))
        scaled = scaled if given.low_res is None else torch.cat([scaled, given.low_res], dim=1)
        scaled = (
            scaled.to(self.dtype, memory_format=torch.channels_last) if x.ndim == 4 else scaled.to(self.dtype)
        )
        more: tuple[Any, ...] = ()
        if before is not None:
            more = (before,) if isinstance(before, DeepFeatures) else (before.to(self.dtype),)
        output = self.network(scaled, t, label, given.text, *more).to(x.dtype)
        variance = None
        if self.spec.learned_variance:
            output, v = output.chunk(2, dim=-1 if self.spec.makes == POINTS else 1)
            variance = (v + 1) / 2
        return said.read(output, x, variance)


@dataclass(frozen=True)
class NetworkDenoiser:
    """A model bound to what the pictures are asked to be."""

    model: Model
    given: Encoded

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self.model.predict(x, level, self.given)

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """Predictions of self and of others with the same model, in one network call."""
        asked = [self]
        asked += [one for one in others if isinstance(one, NetworkDenoiser) and one.model is self.model]
        return _asked_at_once(asked, x, level) if len(asked) == 1 + len(others) else None


def _asked_at_once(
    asked: Sequence[NetworkDenoiser], x: torch.Tensor, level: NoiseLevel, deep: DeepFeatures | None = None
) -> list[Prediction]:
    """The predictions of denoisers of one model for the same x, in one network call."""
    given = Encoded.cat([one.given.for_each(x) for one in asked])
    p = asked[0].model.predict(torch.cat([x] * len(asked)), level, given, deep)
    variances = [None] * len(asked) if p.variance is None else p.variance.chunk(len(asked))
    return [Prediction(*parts) for parts in zip(p.x0.chunk(len(asked)), p.eps.chunk(len(asked)), variances)]


class Reusing:
    """The denoiser of one run that computes the whole network only at every `every`-th call. At the others
    it forecasts the deep features from those of the last whole calls and computes the rest.

    Reuse is that of DeepCache (Ma et al. 2024); the forecast is the polynomial through the last three of
    those calls, over their numbers (as in TaylorSeer, Liu et al. 2025). The first `every` calls are whole.

    A call at a noisier level than the last one's begins anew, as a run does; so does one for other pictures,
    or together with other denoisers. So a run depends on its recipe alone, and on the way into noise every
    call is whole.
    """

    def __init__(self, bound: NetworkDenoiser, every: int) -> None:
        self.bound, self.every = bound, every
        self._of: tuple[Any, ...] = ()  # the pictures and denoisers of the last call
        self._at = 0.0  # its log-SNR
        self._number = 0  # of the next call
        self._kept: list[tuple[int, DeepFeatures]] = []  # of the last every-th calls

    def __call__(self, x: torch.Tensor, level: NoiseLevel) -> Prediction:
        return self._asked([self], x, level)[0]

    def together(
        self, others: Sequence[Denoiser], x: torch.Tensor, level: NoiseLevel
    ) -> list[Prediction] | None:
        """Predictions of self and of others with the same model, in one network call."""
        model = self.bound.model
        asked = [self]
        asked += [one for one in others if isinstance(one, Reusing) and one.bound.model is model]
        return self._asked(asked, x, level) if len(asked) == 1 + len(others) else None

    def _asked(self, asked: Sequence[Reusing], x: torch.Tensor, level: NoiseLevel) -> list[Prediction]:
        at, of = level.path_level.log_snr, (x.shape, *(id(one) for one in asked))
        again = of == self._of and at >= self._at
        number, kept = (self._number, self._kept) if again else (0, [])
        regular = number % self.every == 0
        whole = regular or number < self.every
        deep = DeepFeatures() if whole else forecast(kept, number)
        answers = _asked_at_once([one.bound for one in asked], x, level, deep)
        if regular:
            kept = [*kept, (number, deep)][-MOST_POINTS:]
        self._of, self._at, self._number, self._kept = of, at, number + 1, kept
        return answers


class SelfConditioned:
    """The denoiser of a network that is given its last x0 (Chen et al. 2022, Analog Bits): of one run, whose
    x0 it keeps.

    A call at a noisier level than the last, or for other pictures, starts over, as a run does: with zeros.
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
        self.last = at, p.x0.detach().clamp(-1, 1)  # samplers of the origin clip what they hand on
        return p


def enlarged(low_res: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (N, C, h, w) at size x size, as every network that enlarges is given them."""
    return F.interpolate(low_res, (size, size), mode="bilinear", align_corners=False)


def load(
    path: str | Path, device: str = "auto", precision: str = "auto", flags: Mapping[str, Any] | None = None
) -> Model:
    """The model in a checkpoint file or folder, in any layout that is known (`checkpoint.READERS`).

    `flags` say what a foreign file cannot, in its origin's own names: {"num_heads": 4, "diffusion_steps":
    4000}. `checkpoint.inspect(path, flags)` tells what was found, inferred and assumed; what was assumed, or
    is not followed, is a `CheckpointWarning` and the model's `remarks`. Raises `CheckpointError` for a file
    that is broken or not what it claims to be, before memory is taken.
    """
    model = opened(path, device, precision, flags)
    if model.remarks:
        warnings.warn(f"{model.spec.name}: {' '.join(model.remarks)}", CheckpointWarning, stacklevel=2)
    return model


def opened(
    path: str | Path, device: str = "auto", precision: str = "auto", flags: Mapping[str, Any] | None = None
) -> Model:
    """As `load`, for those who say the model's remarks in their own way."""
    at = pick_device(device)
    dtype = pick_dtype(precision, at)
    weights = checkpoint.read_any(path, flags, dtype=dtype)
    return Model(checkpoint.drawing(path, weights.spec), weights.network, at, dtype, weights.remarks)
