"""Inspection and loading of checkpoints in any known layout."""

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

# Other kinds of models: parts of tensor names, and a sentence for an error.
_OTHER_MODELS = (
    (
        ("lora_", ".lora.", "lora_A", "hada_w1", "lokr_w1"),
        "It is a LoRA, small changes to another model's weights, and not a model; most likely of latent "
        "diffusion.",
    ),
    (
        ("transformer_blocks.", ".attn2.to_k.", "add_embedding."),
        "It is a text-to-image U-Net of latent diffusion: it works on the latents of an autoencoder and not "
        "on pixels, which is not supported.",
    ),
    (("quant_conv.", "post_quant_conv."), "It is an autoencoder of latent diffusion, not a denoiser."),
    (("text_model.", "token_embedding.", "logit_scale"), "It is a text encoder, not a denoiser."),
    (
        ("noise_level_mlp.", ".noise_func.noise_func."),
        "It is SR3's U-Net (Image Super-Resolution via Iterative Refinement), which takes the noise level "
        "and a picture to enlarge; it is not supported.",
    ),
    (("layer1.0.conv1.weight",), "It is a ResNet, which classifies pictures and generates none."),
    (("x_embedder.", "adaLN_modulation"), "It is a diffusion transformer, not a U-Net."),
)
# Names of the first convolution in all layouts.
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
    """The result of `inspect`: the file's outline, its spec, and what its reader found.

    `found` is None for a native file, whose header holds everything. `missing` are tensors of the network
    that the file lacks, and `surplus` tensors of the file that the network does not have.
    """

    path: Path
    outline: Outline
    found: Found | None
    spec: Any
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()  # tensors of the network with an unsupported dtype, and that dtype

    @property
    def remarks(self) -> tuple[str, ...]:
        """At most two lines about assumed settings, and about settings that are not followed."""
        return remarks(self.found, getattr(self.spec, "provenance", {}))

    @property
    def problem(self) -> str:
        """Why the file cannot be run, as a sentence; empty if it can."""
        for what, names in (("lacks", self.missing), ("holds, besides the network,", self.surplus)):
            if names:
                more = f" and {len(names) - 4} more" if len(names) > 4 else ""
                return f"It cannot be loaded: the file {what} {', '.join(names[:4])}{more}."
        if self.unreadable:
            return (
                f"It cannot be loaded: {', '.join(self.unreadable[:4])}; weights must be one of "
                f"{', '.join(FOREIGN_DTYPES)}."
            )
        if isinstance(self.spec, ClassifierSpec):
            return "It is a noisy classifier: it guides another model and draws nothing itself."
        return ""


def spec_of(path: str | Path, flags: Mapping[str, Any] | None = None) -> ModelSpec:
    """The `ModelSpec` of a diffusion model's checkpoint in any layout; no weight is read.

    Raises `CheckpointError`.
    """
    return model_spec(path, inspect(path, flags).spec)


def model_spec(path: str | Path, spec: Any) -> ModelSpec:
    """The given spec. Raises `CheckpointError` if it is that of a noisy classifier."""
    if isinstance(spec, ClassifierSpec):
        raise CheckpointError(
            f"{Path(path).name} is a noisy classifier, which guides another model and draws nothing itself. "
            "Open it with ds.load_classifier, and use it for guidance."
        )
    return spec


def inspect(
    path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None
) -> Inspection:
    """Inspect a checkpoint's header and the configurations in its folder. No weight is read.

    `flags` are those of `load`. `beside` is the file in whose folder configurations are looked for, if it is
    not `path`. Raises `CheckpointError` if no reader knows the layout, with what each looked for, and
    `OptionError` for an unknown flag. Torch is not imported.
    """
    path = weight_file(path)
    header = outline(path)
    if header.metadata.get("format") == FORMAT:
        if flags:
            raise OptionError(
                "flags", f"{path.name} is a native file; its header holds all settings. Leave the flags out."
            )
        read_header = classifier.read_spec if classifier.is_classifier(header.metadata) else read_spec
        return Inspection(path, header, None, read_header(path))
    reader = _recognise(header)
    source = reader.source(header, **configurations(beside or path, flags or {}))
    try:
        found = reader.describe(source)
    except OptionError as error:
        if flags:
            raise
        raise CheckpointError(
            f"{path.name} has the layout of {reader.title}, but its settings make no model: "
            f"{str(error)[:600]}"
        ) from error
    more = (*notes_on(path), *reader.notes_on(header, source))
    found = replace(found, notes=(*found.notes, *more)) if more else found
    wanted = {name for one in found.renames for name in one.theirs}
    return Inspection(
        path,
        header,
        found,
        found.spec,
        tuple(sorted(wanted - source.shapes.keys())),
        tuple(sorted(source.shapes.keys() - wanted - set(found.unused))),
        tuple(
            f"{name} is {kind}"
            for name in sorted(wanted & source.shapes.keys())
            if (kind := header.dtypes[source.original[name]]) not in FOREIGN_DTYPES
        ),
    )


def read_any(
    path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None, dtype: Any = None
) -> Weights:
    """Read spec and network of a checkpoint in any known layout, in `dtype` or in the file's dtype.

    `flags` and `beside` are those of `inspect`. Raises `CheckpointError` unless the file holds exactly the
    tensors of the network, and `OptionError` for an unknown flag.
    """
    from .assemble import assemble_weights

    seen = inspect(path, flags, beside)
    if seen.found is None:
        if isinstance(seen.spec, ClassifierSpec):
            return Weights(*classifier.read_classifier(seen.path))
        return replace(read(seen.path, dtype), remarks=seen.remarks)
    _check_complete(seen, seen.found.layout)
    reader = READERS[seen.found.layout]
    return replace(
        assemble_weights(seen.path, reader.source(seen.outline), seen.found, dtype), remarks=seen.remarks
    )


def _check_complete(seen: Inspection, layout: str) -> None:
    """Raise `CheckpointError` unless the file holds exactly the tensors of the network."""
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


def _recognise(header: Outline) -> Reader:
    """The reader that knows the layout. Raises `CheckpointError`, which says what each looked for."""
    lacks = {name: reader.missing(header) for name, reader in READERS.items()}
    for name, missing in lacks.items():
        if not missing and not _other_model(header):
            return READERS[name]
    lines = [
        f"{header.path.name} is in no layout that is known here, so it is not a pixel-space U-Net that can "
        "be run."
    ]
    if header.shapes and (reason := _other_model(header)):
        lines[0] = f"{header.path.name} is not a pixel-space U-Net. {reason}"
    for name, missing in lacks.items():
        looked = ", ".join(READERS[name].sentinels)
        lines.append(
            f"  {name} ({READERS[name].title}) looks for {looked}; not there: "
            f"{', '.join(missing) or 'nothing'}"
        )
    lines.append(f"  native looks for a header of format {FORMAT!r}; not there")
    lines += [f"What the file holds ({len(header.shapes):,} tensors):", tree(header.shapes, 40)]
    raise CheckpointError("\n".join(lines))


def _other_model(header: Outline) -> str | None:
    """A sentence about a known kind of model that is not a pixel-space U-Net, or None."""

    def has_part(part: str) -> bool:
        return any(part in name for name in header.shapes)

    for parts, reason in _OTHER_MODELS:
        if any(has_part(part) for part in parts):
            return reason
    first = next((shape for name, shape in header.shapes.items() if name.endswith(_FIRST)), ())
    if len(first) in (3, 5):
        return (
            f"Its convolutions are for {'sequences' if len(first) == 3 else 'volumes or videos'}, not for "
            "pictures, which have two dimensions."
        )
    if len(first) == 4 and first[1] in (4, 8, 9, 16) and not has_part("class_emb.weight"):
        return (
            f"Its input has {first[1]} channels: it works on the latents of an autoencoder (latent "
            "diffusion), not on pixels."
        )
    enlarger = header.shapes.get("conv_in.weight", ())
    if len(enlarger) == 4 and enlarger[1] == 6:
        return (
            "Its input has 6 channels: besides the noise it takes a picture to enlarge (most likely one of "
            "latent diffusion). Such models are supported in OpenAI's layout and our own."
        )
    return None
