"""Any checkpoint: which layout it is, what of it is known and whence, and its weights as our network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..classifier_spec import ClassifierSpec
from ..errors import CheckpointError, OptionError
from ..spec import ModelSpec
from . import classifier, ddpm, diffusers, diffusers_skip, edm, lucidrains, openai, openai_classifier, tqch
from .container import PICKLES, Outline, outline, read_json, tree
from .native import FORMAT, Weights, read, read_spec
from .reader import Found, Reader
from .small import SMALL

READERS: dict[str, Reader] = {
    "diffusers-ncsnpp": diffusers_skip.READER, "diffusers": diffusers.READER, "openai": openai.READER, "ddpm": ddpm.READER,
    "edm": edm.READER, "openai-classifier": openai_classifier.READER, "lucidrains": lucidrains.READER, "tqch": tqch.READER,
    **SMALL}

_FILES = ("model.safetensors", "diffusion_pytorch_model.safetensors", "unet_ema/diffusion_pytorch_model.safetensors",
          "unet/diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors",
          "unet/diffusion_pytorch_model.fp16.safetensors")
# What a file is that is none of the above: a part of a tensor's name, and the sentence.
_STRANGERS = (
    (("lora_", ".lora.", "lora_A", "hada_w1", "lokr_w1"),
     "It is a LoRA, small changes to another model's weights, not a model; "
     "and of latent diffusion, most likely."),
    (("transformer_blocks.", ".attn2.to_k.", "add_embedding."),
     "It is a text-to-image U-Net of latent diffusion: it works on an "
     "autoencoder's codes, not on pixels, and cannot be watched here."),
    (("quant_conv.", "post_quant_conv."), "It is an autoencoder of latent diffusion, not a denoiser."),
    (("text_model.", "token_embedding.", "logit_scale"), "It is a text encoder, not a denoiser."),
    (("layer1.0.conv1.weight",), "It is a ResNet, which recognises pictures and draws none."),
    (("x_embedder.", "adaLN_modulation"), "It is a diffusion transformer, not a U-Net."),
)
# The first convolution, in any of the layouts.
_FIRST = ("conv_in.weight", "input_blocks.0.0.weight", "init_conv.weight", "in_conv.weight", "inc.double_conv.0.weight",
          "init_conv.conv1.0.weight")


@dataclass(frozen=True)
class Inspection:
    """What a file is: its outline, and what its reader found (None for a native file, whose header says everything)."""

    path: Path
    outline: Outline
    found: Found | None
    spec: Any
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()


def weight_file(path: str | Path) -> Path:
    """The weight file at a path: itself, or the one that a model's folder holds. Raises `CheckpointError`."""
    path = Path(path)
    if not path.is_dir():
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    candidates = sorted(one.name for one in path.glob("*.safetensors"))
    if len(candidates) == 1:
        return path / candidates[0]
    if candidates:
        shown = ", ".join(candidates[:5]) + (f" and {len(candidates) - 5} more" if len(candidates) > 5 else "")
        raise CheckpointError(f"{path} holds {len(candidates)} weight files ({shown}). Name the one that is meant.")
    if pickles := sorted(one for one in [*path.glob("*"), *path.glob("unet/*")] if one.suffix.lower() in PICKLES):
        held = f"a pickle, {pickles[0].name}. Make a safetensors file of it" if len(pickles) == 1 else \
            f"pickles: {', '.join(one.name for one in pickles[:5])}. Make a safetensors file of the one that is meant"
        raise CheckpointError(f"{path} holds only {held} with: "
                              f"diffusion-studio convert {pickles[0]} {pickles[0].with_suffix('.safetensors')}")
    raise CheckpointError(f"There is no weight file at {path / _FILES[0]}, nor at another place where a model's folder "
                          f"has it: {', '.join(_FILES[1:4])}.")


def listed_file(folder: Path) -> Path | None:
    """The weight file by which a folder is known as a model's, or None where it is not one."""
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


def spec_of(path: str | Path, flags: Mapping[str, Any] | None = None) -> ModelSpec:
    """The `ModelSpec` of any checkpoint of a model that draws, its weights unread. Raises `CheckpointError`."""
    return drawing(path, inspect(path, flags).spec)


def drawing(path: str | Path, spec: Any) -> ModelSpec:
    """The spec, where it is that of a model that draws; a `CheckpointError` where it is a noisy classifier's."""
    if isinstance(spec, ClassifierSpec):
        raise CheckpointError(f"{Path(path).name} is a noisy classifier, which guides another model and draws nothing itself. "
                              "Open it with ds.load_classifier, and take it for guidance.")
    return spec


def inspect(path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None) -> Inspection:
    """What a checkpoint is, from its header and the configurations beside it; reads no weight and loads no torch.

    `beside` is the file whose neighbours are read, where it is not the path itself. Raises `CheckpointError` where no
    reader fits, with what each looked for; `OptionError` for a flag that is not known.
    """
    path = weight_file(path)
    drawn = outline(path)
    if drawn.metadata.get("format") == FORMAT:
        if flags:
            raise OptionError(f"{path.name} is a native file; its header says everything, so it takes no flags.")
        read_header = classifier.read_spec if classifier.is_one(drawn.metadata) else read_spec
        return Inspection(path, drawn, None, read_header(path))
    reader = _recognised(drawn)
    source = reader.source(drawn, **_beside(beside or path, flags or {}))
    try:
        found = reader.describe(source)
    except OptionError as error:
        if flags:
            raise
        raise CheckpointError(f"{path.name} has the layout of {reader.title}, but its settings make no model: "
                              f"{str(error)[:600]}") from error
    wanted = {name for one in found.renames for name in one.theirs}
    return Inspection(path, drawn, found, found.spec, tuple(sorted(wanted - source.shapes.keys())),
                      tuple(sorted(source.shapes.keys() - wanted - set(found.unused))))


def read_any(path: str | Path, flags: Mapping[str, Any] | None = None, beside: Path | None = None,
             dtype: Any = None) -> Weights:
    """Spec and network of a checkpoint in any known layout, loaded strictly; as `dtype`, or as in the file.

    Raises `CheckpointError`, `OptionError`.
    """
    from .assemble import assembled

    seen = inspect(path, flags, beside)
    if seen.found is None:
        if isinstance(seen.spec, ClassifierSpec):
            return Weights(*classifier.read_classifier(seen.path))
        return read(seen.path, dtype)
    _complete(seen)
    reader = READERS[seen.found.layout]
    return assembled(seen.path, reader.source(seen.outline), seen.found, dtype)


def _complete(seen: Inspection) -> None:
    problems = []
    for what, names in (("missing", seen.missing), ("not in the network", seen.surplus)):
        if names:
            problems.append(f"{what} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else ""))
    if problems:
        raise CheckpointError(f"{seen.path.name} has the layout {seen.found.layout}, but its tensors are not those of the network "
                              f"that its shapes describe: {'; '.join(problems)}. It may be cut short, or changed by its "
                              "author; see 'diffusion-studio inspect'.")


def _recognised(drawn: Outline) -> Reader:
    lacks = {name: reader.missing(drawn) for name, reader in READERS.items()}
    for name, missing in lacks.items():
        if not missing and not _stranger(drawn):
            return READERS[name]
    lines = [f"{drawn.path.name} is in no layout that is known here, so it is not a pixel-space U-Net that can be run."]
    if drawn.shapes and (said := _stranger(drawn)):
        lines[0] = f"{drawn.path.name} is not a pixel-space U-Net. {said}"
    for name, missing in lacks.items():
        looked = ", ".join(READERS[name].sentinels)
        lines.append(f"  {name} ({READERS[name].title}) looks for {looked}; not there: {', '.join(missing) or 'nothing'}")
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
        return (f"Its convolutions run over {'sequences' if len(first) == 3 else 'volumes or films'}, not over pictures, "
                "which have two dimensions.")
    if len(first) == 4 and first[1] in (4, 8, 9, 16):
        return f"Its input has {first[1]} channels: it works on an autoencoder's codes (latent diffusion), not on pixels."
    enlarger = drawn.shapes.get("conv_in.weight", ())
    if len(enlarger) == 4 and enlarger[1] == 6:
        return ("Its input has 6 channels: it is given a picture besides the noise, to enlarge it (most likely one of latent "
                "diffusion). Such models are read in OpenAI's layout and our own.")
    return None


def _beside(path: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The configurations that lie where the layouts put them."""
    found: dict[str, Any] = {"flags": flags}
    config = path.parent / "config.json"
    if config.is_file() and _of_unet(given := read_json(config)):
        found["config"] = {name: value for name, value in given.items() if not name.startswith("_")}
    for scheduler in (path.parent / "scheduler_config.json", path.parent.parent / "scheduler" / "scheduler_config.json"):
        if scheduler.is_file() and (scheduler.parent == path.parent or path.parent.name.startswith("unet")):
            found["scheduler"] = read_json(scheduler)
            break
    if (path.parent / "args.json").is_file():
        found["args"] = read_json(path.parent / "args.json")
    return found


def _of_unet(given: Mapping[str, Any]) -> bool:
    return "block_out_channels" in given or given.get("_class_name") == "UNet2DModel"
