"""Any checkpoint: which layout it is, what of it is known and whence, and its weights as our network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from . import classifier, ddpm, diffusers, diffusers_skip, edm, lucidrains, openai, openai_classifier, tqch
from .classifier_spec import ClassifierSpec
from .container import Outline, outline, tree
from .folders import configurations, notes_on, weight_file
from .native import FOREIGN_DTYPES, FORMAT, Weights, read, read_spec
from .reader import Found, Reader
from .remarks import remarks
from .small import SMALL
from .spec import ModelSpec

READERS: dict[str, Reader] = {
    "diffusers-ncsnpp": diffusers_skip.READER,
    "diffusers": diffusers.READER,
    "openai": openai.READER,
    "ddpm": ddpm.READER,
    "edm": edm.READER,
    "openai-classifier": openai_classifier.READER,
    "lucidrains": lucidrains.READER,
    "tqch": tqch.READER,
    **SMALL,
}

# What a file is that is none of the above: a part of a tensor's name, and the sentence.
_STRANGERS = (
    (
        ("lora_", ".lora.", "lora_A", "hada_w1", "lokr_w1"),
        "It is a LoRA, small changes to another model's weights, not a model; "
        "and of latent diffusion, most likely.",
    ),
    (
        ("transformer_blocks.", ".attn2.to_k.", "add_embedding."),
        "It is a text-to-image U-Net of latent diffusion: it works on an "
        "autoencoder's codes, not on pixels, and cannot be watched here.",
    ),
    (("quant_conv.", "post_quant_conv."), "It is an autoencoder of latent diffusion, not a denoiser."),
    (("text_model.", "token_embedding.", "logit_scale"), "It is a text encoder, not a denoiser."),
    (
        ("noise_level_mlp.", ".noise_func.noise_func."),
        "It is SR3's U-Net (Image Super-Resolution via Iterative Refinement), which is given the noise level "
        "and a picture to enlarge; it is not built here.",
    ),
    (("layer1.0.conv1.weight",), "It is a ResNet, which recognises pictures and draws none."),
    (("x_embedder.", "adaLN_modulation"), "It is a diffusion transformer, not a U-Net."),
)
# The first convolution, in any of the layouts.
_FIRST = (
    "conv_in.weight",
    "input_blocks.0.0.weight",
    "init_conv.weight",
    "in_conv.weight",
    "inc.double_conv.0.weight",
    "init_conv.conv1.0.weight",
)


@dataclass(frozen=True)
class Inspection:
    """What a file is: its outline, and what its reader found (None for a native file, whose header says
    everything).
    """

    path: Path
    outline: Outline
    found: Found | None
    spec: Any
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()  # tensors of the network whose kind of number cannot be read, with that

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was assumed and what is not followed, in at most two lines for people."""
        return remarks(self.found, getattr(self.spec, "provenance", {}))

    @property
    def problem(self) -> str:
        """Why the file cannot be run, as a sentence; empty where it can."""
        for what, names in (("lacks", self.missing), ("holds, besides the network,", self.surplus)):
            if names:
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                return f"It cannot be loaded: the file {what} {', '.join(names[:4])}{more}."
        if self.unreadable:
            return (
                f"It cannot be loaded: {', '.join(self.unreadable[:4])}; weights here are one of "
                f"{', '.join(FOREIGN_DTYPES)}."
            )
        if isinstance(self.spec, ClassifierSpec):
            return "It is a noisy classifier: it guides another model and draws nothing itself."
        return ""


def spec_of(path: str | Path, flags: Mapping[str, Any] | None = None) -> ModelSpec:
    """The `ModelSpec` of any checkpoint of a model that draws, its weights unread. Raises
    `CheckpointError`.
    """
    return drawing(path, inspect(path, flags).spec)


def drawing(path: str | Path, spec: Any) -> ModelSpec:
    """The spec, where it is that of a model that draws; a `CheckpointError` where it is a noisy
    classifier's.
    """
    if isinstance(spec, ClassifierSpec):
        raise CheckpointError(
            f"{Path(path).name} is a noisy classifier, which guides another model and draws nothing itself. "
            "Open it with ds.load_classifier, and take it for guidance."
        )
    return spec


def inspect(
    path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None
) -> Inspection:
    """What a checkpoint is, from its header and the configurations beside it; reads no weight and loads no
    torch.

    `beside` is the file whose neighbours are read, where it is not the path itself. Raises `CheckpointError`
    where no reader fits, with what each looked for; `OptionError` for a flag that is not known.
    """
    path = weight_file(path)
    drawn = outline(path)
    if drawn.metadata.get("format") == FORMAT:
        if flags:
            raise OptionError(
                "flags", f"{path.name} is a native file; its header says everything, so it takes no flags."
            )
        read_header = classifier.read_spec if classifier.is_one(drawn.metadata) else read_spec
        return Inspection(path, drawn, None, read_header(path))
    reader = _recognised(drawn)
    source = reader.source(drawn, **configurations(beside or path, flags or {}))
    try:
        found = reader.describe(source)
    except OptionError as error:
        if flags:
            raise
        raise CheckpointError(
            f"{path.name} has the layout of {reader.title}, but its settings make no model: "
            f"{str(error)[:600]}"
        ) from error
    more = (*notes_on(path), *reader.notes_on(drawn, source))
    found = replace(found, notes=(*found.notes, *more)) if more else found
    wanted = {name for one in found.renames for name in one.theirs}
    return Inspection(
        path,
        drawn,
        found,
        found.spec,
        tuple(sorted(wanted - source.shapes.keys())),
        tuple(sorted(source.shapes.keys() - wanted - set(found.unused))),
        tuple(
            f"{name} is {kind}"
            for name in sorted(wanted & source.shapes.keys())
            if (kind := drawn.dtypes[source.original[name]]) not in FOREIGN_DTYPES
        ),
    )


def read_any(
    path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None, dtype: Any = None
) -> Weights:
    """Spec and network of a checkpoint in any known layout, loaded strictly; as `dtype`, or as in the file.

    Raises `CheckpointError`, `OptionError`.
    """
    from .assemble import assembled

    seen = inspect(path, flags, beside)
    if seen.found is None:
        if isinstance(seen.spec, ClassifierSpec):
            return Weights(*classifier.read_classifier(seen.path))
        return replace(read(seen.path, dtype), remarks=seen.remarks)
    _complete(seen, seen.found.layout)
    reader = READERS[seen.found.layout]
    return replace(assembled(seen.path, reader.source(seen.outline), seen.found, dtype), remarks=seen.remarks)


def _complete(seen: Inspection, layout: str) -> None:
    problems = []
    for what, names in (("missing", seen.missing), ("not in the network", seen.surplus)):
        if names:
            problems.append(
                f"{what} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            )
    if problems:
        raise CheckpointError(
            f"{seen.path.name} has the layout {layout}, but its tensors are not those of the "
            f"network that its shapes describe: {'; '.join(problems)}. It may be cut short, or changed by "
            "its author; see 'diffusion-studio inspect'."
        )


def _recognised(drawn: Outline) -> Reader:
    lacks = {name: reader.missing(drawn) for name, reader in READERS.items()}
    for name, missing in lacks.items():
        if not missing and not _stranger(drawn):
            return READERS[name]
    lines = [
        f"{drawn.path.name} is in no layout that is known here, so it is not a pixel-space U-Net that can be "
        "run."
    ]
    if drawn.shapes and (said := _stranger(drawn)):
        lines[0] = f"{drawn.path.name} is not a pixel-space U-Net. {said}"
    for name, missing in lacks.items():
        looked = ", ".join(READERS[name].sentinels)
        lines.append(
            f"  {name} ({READERS[name].title}) looks for {looked}; not there: "
            f"{', '.join(missing) or 'nothing'}"
        )
    lines.append(f"  native looks for a header of format {FORMAT!r}; not there")
    lines += [f"What the file holds ({len(drawn.shapes):,} tensors):", tree(drawn.shapes, 40)]
    raise CheckpointError("\n".join(lines))


def _stranger(drawn: Outline) -> str | None:
    def there(part: str) -> bool:
        return any(part in name for name in drawn.shapes)

    for parts, said in _STRANGERS:
        if any(there(part) for part in parts):
            return said
    first = next((shape for name, shape in drawn.shapes.items() if name.endswith(_FIRST)), ())
    if len(first) in (3, 5):
        return (
            f"Its convolutions run over {'sequences' if len(first) == 3 else 'volumes or films'}, not over "
            "pictures, which have two dimensions."
        )
    if len(first) == 4 and first[1] in (4, 8, 9, 16) and not there("class_emb.weight"):
        return (
            f"Its input has {first[1]} channels: it works on an autoencoder's codes (latent diffusion), "
            "not on pixels."
        )
    enlarger = drawn.shapes.get("conv_in.weight", ())
    if len(enlarger) == 4 and enlarger[1] == 6:
        return (
            "Its input has 6 channels: it is given a picture besides the noise, to enlarge it (most likely "
            "one of latent diffusion). Such models are read in OpenAI's layout and our own."
        )
    return None
