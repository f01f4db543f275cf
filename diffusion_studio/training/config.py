"""The configuration of a training run. No torch, so that the command line loads it quickly."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import options
from ..checkpoint.spec import PARAMETRIZATION_NAMES, ModelSpec
from ..data.imagedata import COLOURS
from ..diffusion.schedule import NoiseSchedule
from ..errors import OptionError, Setting
from ..imaging.arrays import colour
from ..imaging.fitting import FITS
from ..networks.classifier_config import ClassifierConfig
from ..networks.config import TextConfig, UNetConfig
from ..options import option
from .checks import check_averages, check_low_res, check_tune
from .processes import PROCESSES, check_process
from .rates import LR_SHAPES, lr_factor

KINDS = ("denoiser", "classifier", "points")
# consistency models need a training method of their own
TRAINABLE = tuple(name for name in PARAMETRIZATION_NAMES if name != "consistency")
OBJECTIVE_NAMES = ("simple", "hybrid", "vlb")
LEARNED_VARIANCE = ("hybrid", "vlb")
OPTIMIZERS = ("adamw", "muon")
DRAW_NAMES = ("uniform", "loss", "log-normal", "logit-normal")
# settings that may change when a run is resumed; nothing else may
MAY_CHANGE = (
    "data",  # its place: the run's fingerprint tells whether it is the same
    "images",
    "hold_out",  # its place, for the same reason
    "sample_steps",
    "sample_guidance",
    "ema_export",
    "ema_length",
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines a training run: data, network, process and optimisation.

    Raises `OptionError`, with the field's name, for a value out of range or settings that exclude each other.
    """

    kind: str = option(
        "denoiser",
        "What is trained: a denoiser, a classifier of noisy pictures for guidance, or a denoiser "
        "of points in the plane.",
        choices=KINDS,
    )
    data: str = option(
        "fashion-mnist",
        "Data set: a known name, or a path to gzipped idx files, an npz or a folder. For points: "
        "a set such as swiss-roll, shapes (all sets), or a .csv, an npz or a picture of a shape.",
    )
    name: str = option("", "Name of the model; left out, that of the run's folder.")
    size: int = option(32, "Height and width that pictures are brought to.", low=4, high=1024)
    fit: str = option(
        "pad",
        "How pictures are brought to size: centred on the background, scaled and cropped, or scaled "
        "and padded.",
        choices=tuple(FITS),
    )
    background: str = option("black", "What shows through transparent pixels: black, grey, white or #rrggbb.")
    colours: str = option("auto", "Colours: as in the files, all pictures grey, or all RGB.", choices=COLOURS)
    only: str = option("", "Labels to train on, with commas between them; left out, all.")
    hold_out: str = option(
        "",
        "A text file with one or more parts of a caption in each line, such as 'orc, half plate'. "
        "Pictures whose captions contain a line are left out, to test prompts that were never seen.",
    )
    black_margin: float = option(
        0.0,
        "How far below -1 exactly black pixels are in training, so that they come out exactly black "
        "after clipping: 0.1 absorbs errors of 12 shades.",
        low=0.0,
        high=1.0,
    )
    flips: bool = option(
        False, "Mirror pictures at random, half of them each time; not for letters and digits."
    )

    low_res: int = option(
        0,
        "Train to enlarge pictures of this height and width, made by scaling the data down; 0 is off.",
        low=0,
        high=1024,
    )
    low_res_noise: float = option(
        0.0,
        "Largest noise on the picture to enlarge, as a standard deviation; drawn for each picture.",
        low=0.0,
        high=2.0,
    )
    low_res_blur: float = option(
        0.0, "Largest blur of the picture to enlarge, in its pixels; drawn for each.", low=0.0, high=16.0
    )

    channels: int = option(64, "Base width of the U-Net; width of a network for points.", low=8, high=2048)
    multipliers: str = option("0.375,0.75,1.5", "Width of each level as a multiple of the base width.")
    blocks: int = option(1, "Residual blocks per level; layers of a network for points.", low=1, high=16)
    attention: str = option("8", "Sizes at which the network attends to all positions, such as 16,8.")
    heads: int = option(2, "Attention heads.", low=1, high=64)
    norm_groups: int = option(8, "Largest number of groups of a group norm.", low=1, high=256)
    conditioning: str = option(
        "scale_shift", "How time and label reach a block.", choices=("add", "scale_shift")
    )
    resample: str = option(
        "conv",
        "How levels are downsampled and upsampled: strided convolution or residual block.",
        choices=("conv", "residual"),
    )
    patch: int = option(
        1, "Patch size: side of the squares of pixels that become one position.", low=1, high=16
    )
    dropout: float = option(0.0, "Dropout in the residual blocks.", low=0.0, high=0.9)

    schedule: str = option(
        "linear",
        "Noise schedule: a table of timesteps, or in continuous time vp (variance preserving), "
        "edm (variance exploding) or flow (flow matching).",
        choices=tuple(PROCESSES),
    )
    timesteps: int = option(
        1000, "Timesteps T; in continuous time only the most sampling steps.", low=1, high=100_000
    )
    parametrization: str = option(
        "auto",
        "What the network predicts. auto suits the schedule: edm and flow with the schedules of that "
        "name, v if a schedule ends in pure noise, else eps.",
        choices=("auto", *TRAINABLE),
    )
    sigma_data: float = option(
        0.5, "Standard deviation of the pictures, which EDM's preconditioning uses.", low=1e-4, high=1e4
    )
    objective: str = option(
        "simple",
        "Loss: mean squared error, the variational bound, or both; the latter two learn the variance.",
        choices=OBJECTIVE_NAMES,
    )
    bound_weight: float = option(
        0.001, "Weight of the variational bound in the hybrid objective.", low=0.0, high=1000.0
    )
    min_snr: float = option(0.0, "Gamma of min-SNR weighting, 5 in its paper; 0 is off.", low=0.0, high=1e6)
    weighting: str = option(
        "output",
        "Weight of a noise level in the loss: 1 for the error of the network's output, or EDM's weight "
        "for the error of x0, 1 / c_out^2. Both are the same for the parametrization edm.",
        choices=("output", "edm"),
    )
    draw_t: str = option(
        "auto",
        "How noise levels are drawn: uniform in t, by loss (importance sampling), or with a normal "
        "log(sigma / alpha), whose defaults are EDM's (log-normal) or logit-normal flow matching's. auto "
        "suits the schedule.",
        choices=("auto", *DRAW_NAMES),
    )
    draw_mean: float | None = option(
        None, "Mean of a normal log(sigma / alpha): -1.2 in EDM, 0 in logit-normal.", low=-20, high=20
    )
    draw_std: float | None = option(
        None, "Standard deviation of that normal: 1.2 in EDM, 1 in logit-normal.", low=1e-3, high=20
    )
    label_dropout: float = option(
        0.1,
        "Share of labels replaced by 'any', for classifier-free guidance; 0 trains with labels only.",
        low=0.0,
        high=1.0,
    )
    text: bool = option(True, "Train on the captions, if the pictures have any.")
    text_width: int = option(128, "Width of the text encoder.", low=4, high=4096)
    text_layers: int = option(1, "Transformer layers of the text encoder.", low=0, high=48)
    text_tokens: int = option(64, "Longest caption, in words and commas.", low=1, high=1024)
    text_cross: bool = option(
        True, "Cross-attention to the words; without it only the pooled text reaches the network."
    )
    text_vectors: str = option(
        "",
        "An .npz with 'words' and 'vectors': fixed word vectors, instead of ones learnt from the captions.",
    )
    text_dropout: float = option(
        0.1, "Share of captions left empty, for guidance; 0 trains with captions only.", low=0.0, high=1.0
    )
    joint_dropout: float = option(
        0.1, "Further share of pictures that lose both label and caption.", low=0.0, high=1.0
    )
    part_dropout: float = option(
        0.0,
        "Share of captions of which only some parts (between commas) are used, chosen at random "
        "each time, so that short prompts work too.",
        low=0.0,
        high=1.0,
    )
    prompts: str = option(
        "", "Prompts for the sample sheet, with | between them; left out, some captions of the data."
    )
    palette: int = option(
        0,
        "Number of the data's most frequent colours that are stored in the model as its palette; 0 is none.",
        low=0,
        high=4096,
    )
    sample_steps: int = option(50, "The model's default number of sampling steps.", low=1, high=1000)
    sample_guidance: float = option(
        0.0, "The model's default guidance; 0 means 2 with labels, 4 with captions.", low=0.0, high=20.0
    )

    start_from: str = option(
        "", "A model file whose weights the run starts from; its network must be the same."
    )
    grow_from: str = option(
        "",
        "A model file of smaller pictures whose weights the run starts from; this run's network has more "
        "levels, or larger patches.",
    )
    tune: str = option(
        "",
        "Fine-tune only these parts of the network in start_from, given as the beginnings of their weights' "
        "names, such as up.2,conv_out; left out, all.",
    )
    images: int = option(220_000, "Number of images to train on in all, with repetitions.", low=1)
    batch: int = option(32, "Images per step.", low=1, high=65_536)
    accumulate: int = option(
        1, "Parts in which a batch is computed one after another, to save memory.", low=1, high=65_536
    )
    lr: float = option(1e-3, "Learning rate after warm-up.", low=1e-8, high=1.0)
    lr_shape: str = option(
        "constant",
        "Shape of the learning rate between warm-up and cooldown; inverse-sqrt is 1 / sqrt(step) from "
        "the end of the warm-up.",
        choices=LR_SHAPES,
    )
    warmup: int = option(300, "Steps over which the learning rate rises.", low=0)
    cooldown: float = option(
        0.4,
        "Last share of the run over which the learning rate falls to zero, on top of its shape.",
        low=0.0,
        high=1.0,
    )
    optimizer: str = option(
        "adamw",
        "Optimizer: adamw, or muon (orthogonal updates of the inner matrices), which needs fewer images.",
        choices=OPTIMIZERS,
    )
    weight_decay: float = option(0.0, "Decoupled weight decay.", low=0.0, high=10.0)
    clip_norm: float = option(1.0, "Largest norm of the gradient; 0 is no limit.", low=0.0)
    ema: float = option(
        0.999, "Decay per step of the averaged weights (EMA); it warms up.", low=0.0, high=0.99999999
    )
    ema_also: str = option("", "Decays of further averages to keep, such as 0.99,0.9999.")
    ema_export: float = option(
        0.0, "Decay of the average that the model file holds; 0 is that of ema.", low=0.0, high=0.99999999
    )
    ema_power: str = option(
        "",
        "Relative lengths of power-function averages of which snapshots are kept, such as 0.05,0.1. "
        "From two, an average of any other length can be made after training.",
    )
    ema_length: float = option(
        0.0,
        "Relative length of the average that the model file holds, made from those snapshots; 0 "
        "uses the average by decay.",
        low=0.0,
        high=0.28,
    )
    snapshot_every: int = option(10_000, "Images between those snapshots.", low=1)
    seed: int = option(0, "Seed of all random numbers.", low=0, high=2**62)
    precision: str = option(
        "auto",
        "Precision of matrix products; auto is bf16 autocast where that is fast, else fp32.",
        choices=("auto", "fp32", "bf16"),
    )
    channels_last: bool = option(True, "Memory layout with the channels innermost, for faster convolutions.")

    def __post_init__(self) -> None:
        options.check(self)
        check_process(self, self.objective in LEARNED_VARIANCE)
        options.numbers(self.multipliers, "multipliers", float)
        colour(self.background)
        for wanted in options.numbers(self.attention, "attention", int):
            if wanted not in self.level_sizes:
                raise OptionError(
                    "attention",
                    Setting("attention"),
                    f" at size {wanted} is not possible: the network's levels have the sizes "
                    f"{', '.join(map(str, self.level_sizes))}.",
                )
        whole = self.patch * 2 ** (len(self._multipliers) - 1)
        if self.kind != "points" and self.size % whole:
            raise OptionError(
                "size",
                f"must be a multiple of {whole} for this network's levels and patches, got {self.size}.",
            )
        if self.patch > 1 and self.kind == "classifier":
            raise OptionError(
                "patch", f"A classifier reads single pixels; patch is {self.patch}. Leave it out."
            )
        if self.batch < self.accumulate:
            raise OptionError(
                "accumulate",
                f"A batch of {self.batch} cannot be computed in {self.accumulate} parts. Make ",
                Setting("accumulate"),
                f" at most {self.batch}.",
            )
        check_averages(self)
        check_low_res(self)
        check_tune(self)

    @property
    def predicts(self) -> str:
        """The parametrization, with `auto` resolved."""
        auto = self.parametrization == "auto"
        return PROCESSES[self.schedule].predicts(self.timesteps) if auto else self.parametrization

    @property
    def draws(self) -> str:
        """How noise levels are drawn, with `auto` resolved."""
        return PROCESSES[self.schedule].draw if self.draw_t == "auto" else self.draw_t

    @property
    def draw_options(self) -> dict[str, float]:
        """The arguments of the class in `TIMESTEP_DRAWS` besides the schedule."""
        given = {"mean": self.draw_mean, "deviation": self.draw_std}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def decays(self) -> tuple[float, ...]:
        """The distinct decays of all averages; the first is `ema`. Raises `OptionError` for an invalid
        `ema_also`.
        """
        also = options.numbers(self.ema_also, "ema_also", float)
        if not all(0 <= decay < 1 for decay in also):
            raise OptionError("ema_also", f"must be decays from 0 to below 1, got {self.ema_also!r}.")
        return tuple(dict.fromkeys((self.ema, *map(float, also))))

    @property
    def powers(self) -> tuple[float, ...]:
        """The distinct relative lengths of the power-function averages. Raises `OptionError` for an
        invalid `ema_power`.
        """
        found = options.numbers(self.ema_power, "ema_power", float)
        if not all(0.005 <= length <= 0.28 for length in found):
            raise OptionError("ema_power", f"must be lengths from 0.005 to 0.28, got {self.ema_power!r}.")
        return tuple(dict.fromkeys(map(float, found)))

    @property
    def export_index(self) -> int:
        """The index in `decays` of the average that the model file holds."""
        return self.decays.index(self.ema_export) if self.ema_export else 0

    @property
    def learned_variance(self) -> bool:
        return self.kind != "classifier" and self.objective in LEARNED_VARIANCE

    @property
    def level_sizes(self) -> list[int]:
        """Height (equal to width) at each level of the network."""
        return [self.size // self.patch // 2**level for level in range(len(self._multipliers))]

    @property
    def _multipliers(self) -> tuple[float, ...]:
        return options.numbers(self.multipliers, "multipliers", float)

    def text_config(self, words: int, vectors: int | None = None) -> TextConfig:
        """The text encoder for a vocabulary of `words` words, with fixed vectors of width `vectors` if
        given.
        """
        return TextConfig(
            words=words,
            vectors=vectors,
            width=self.text_width,
            layers=self.text_layers,
            tokens=self.text_tokens,
            cross=self.text_cross,
            null=self.text_dropout > 0,
        )

    def network(self, channels: int, classes: int | None, text: TextConfig | None = None) -> UNetConfig:
        """The U-Net for pictures with this number of channels and classes, and captions."""
        attended = options.numbers(self.attention, "attention", int)
        return UNetConfig(
            in_channels=channels * (2 if self.low_res else 1),
            channels=self.channels,
            out_channels=channels * (2 if self.learned_variance else 1),
            multipliers=self._multipliers,
            blocks=self.blocks,
            heads=self.heads,
            norm_groups=self.norm_groups,
            conditioning=self.conditioning,
            resample=self.resample,
            patch=self.patch,
            dropout=self.dropout,
            classes=classes,
            attention_levels=tuple(k for k, size in enumerate(self.level_sizes) if size in attended),
            null_class=classes is not None and self.label_dropout > 0,
            text=text,
        )

    def noise_schedule(self) -> NoiseSchedule:
        return PROCESSES[self.schedule].schedule(timesteps=self.timesteps)

    def spec(
        self,
        name: str,
        channels: int,
        labels: tuple[str, ...],
        provenance: Mapping[str, Any],
        show: str | None = None,
        text: TextConfig | None = None,
        words: tuple[str, ...] = (),
        prompts: tuple[str, ...] = (),
    ) -> ModelSpec:
        """The spec of the model that this configuration trains. `show` is its default label; the first
        prompt is its default prompt.
        """
        defaults: dict[str, Any] = {
            "count": 16,
            "steps": min(self.sample_steps, self.timesteps),
            **PROCESSES[self.schedule].defaults,
        }
        if self.black_margin:  # clipping would remove the margin from each predicted x0
            defaults["clip"] = False
        if labels:
            defaults["label"] = show if show in labels else labels[0]
        if labels and self.label_dropout > 0:
            defaults["guidance"] = self.sample_guidance or 2.0
        if text is not None and prompts:
            defaults |= {
                "prompt": prompts[0],
                "guidance": (self.sample_guidance or 4.0) if text.null else 1.0,
            }
        return ModelSpec(
            name=name,
            network=self.network(channels, len(labels) or None, text),
            words=words,
            prompts=prompts,
            schedule=self.noise_schedule(),
            parametrization=self.predicts,
            sigma_data=self.sigma_data,
            image_size=self.size,
            channels=channels,
            learned_variance=self.learned_variance,
            black_margin=self.black_margin,
            background=self.background,
            low_res=self.low_res or None,
            labels=labels,
            defaults=defaults,
            provenance=dict(provenance),
        )

    def classifier(self, channels: int, classes: int) -> ClassifierConfig:
        """The classifier for pictures with this number of channels and classes."""
        body = self.network(channels, None)
        return ClassifierConfig(
            in_channels=channels,
            classes=classes,
            size=self.size,
            channels=self.channels,
            multipliers=self._multipliers,
            blocks=self.blocks,
            attention_levels=body.attention_levels,
            heads=self.heads,
            norm_groups=self.norm_groups,
            conditioning=self.conditioning,
            resample=self.resample,
            dropout=self.dropout,
        )

    def learning_rate(self, seen: int) -> float:
        """The learning rate after `seen` images."""
        return self.lr * lr_factor(
            self.lr_shape, seen / self.batch, self.images / self.batch, self.warmup, self.cooldown
        )

    def differences(self, other: TrainConfig) -> list[str]:
        """Fields in which `other` differs, as texts 'field: own value -> other value'."""
        return [
            f"{f.name}: {getattr(self, f.name)!r} -> {getattr(other, f.name)!r}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]

    def check_resume(self, asked: TrainConfig) -> None:
        """Raise `OptionError` with all differences unless `asked` differs in fields of `MAY_CHANGE` only."""
        if differences := self.differences(
            dataclasses.replace(asked, **{n: getattr(self, n) for n in MAY_CHANGE})
        ):
            raise OptionError(
                "resume",
                f"A resumed run keeps its configuration; only {', '.join(MAY_CHANGE[:-1])} and "
                f"{MAY_CHANGE[-1]} may change. "
                f"Different (kept -> asked for): {'; '.join(differences)}. Start a new run for these.",
            )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Restore a configuration from the JSON of `to_json`. Raises `OptionError` for anything else."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError("config", f"Not a training configuration: {error}") from error
        if not isinstance(given, Mapping):
            raise OptionError("config", "Not a training configuration: the text is JSON, but no object.")
        return options.build(cls, given, "field of the training configuration")

    def command(self, out: str | Path, base: TrainConfig | None = None) -> str:
        """The command line that starts this run; settings that are equal in `base` are left out."""
        words = ["diffusion-studio", "train"]
        for field in options.fields_of(TrainConfig):
            before = getattr(base, field.name) if base is not None and field.name != "data" else field.default
            if (value := getattr(self, field.name)) != before:
                flag = field.name.replace("_", "-")
                words += (
                    [f"--{'' if value else 'no-'}{flag}"] if field.kind is bool else [f"--{flag}", str(value)]
                )
        return shlex.join([*words, "--out", str(out)])
