"""Files and folders that hold no U-Net that can be run: each a sentence that says what it is and what to
do.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.convert import convert
from diffusion_studio.errors import CheckpointError


def write(path: Path, *names_and_shapes) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in names_and_shapes}, path)
    return path


def test_no_reader_fits(tmp_path):
    path = write(
        tmp_path / "odd.safetensors",
        ("blocks.0.linear.weight", (4, 3)),
        ("blocks.0.linear.bias", (4,)),
        ("blocks.1.linear.weight", (4, 3)),
        ("blocks.1.linear.bias", (4,)),
        ("head", (2, 4)),
    )
    with pytest.raises(CheckpointError) as caught:
        ds.load(path)
    said = str(caught.value)
    for name, reader in checkpoint.READERS.items():
        assert (
            f"{name} ({reader.title}) looks for {', '.join(reader.sentinels)}; not there: "
            f"{', '.join(reader.sentinels)}" in said
        )
    assert (
        "blocks\n  0..1\n    linear: bias [4], weight [4, 3]" in said.replace("\t", "  ")
        and "head [2, 4]" in said
    )


@pytest.mark.parametrize(
    "names, said",
    [
        ([("unet.lora_down.weight", (4, 8))], "It is a LoRA"),
        (
            [("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", (4, 4))],
            "text-to-image U-Net of latent diffusion",
        ),
        ([("encoder.conv_in.weight", (8, 3, 3, 3)), ("quant_conv.weight", (8, 8, 1, 1))], "an autoencoder"),
        (
            [("conv_in.weight", (8, 4, 3, 3))],
            "Its input has 4 channels: it works on the latents of an autoencoder",
        ),
        ([("conv_in.weight", (8, 6, 3, 3))], "besides the noise it takes a picture"),
        ([("x_embedder.proj.weight", (8, 3, 2, 2))], "diffusion transformer"),
        (
            [("model.init_conv.weight", (8, 4, 7, 7))],
            "Its input has 4 channels: it works on the latents of an autoencoder",
        ),
        (
            [("init_conv.weight", (8, 1, 7)), ("time_mlp.1.weight", (8, 8))],
            "are for sequences, not for pictures",
        ),
        ([("net.conv_in.weight", (8, 1, 3, 3, 3))], "are for volumes or videos, not for pictures"),
        (
            [("denoise_fn.noise_level_mlp.1.weight", (8, 8)), ("denoise_fn.downs.0.weight", (8, 6, 3, 3))],
            "It is SR3's U-Net",
        ),
        (
            [("layer1.0.conv1.weight", (8, 8, 3, 3)), ("fc.weight", (10, 8))],
            "It is a ResNet, which classifies pictures",
        ),
    ],
)
def test_a_stranger_is_said_to_be_what_it_is(tmp_path, names, said):
    with pytest.raises(CheckpointError, match=said):
        checkpoint.inspect(write(tmp_path / "model.safetensors", *names))


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "Git LFS pointer.*git lfs pull",
        ),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b"PK\x03\x04" + b"\0" * 50, "zip archive"),
        (b"\x80\x02}q\x00X\x05\x00\x00\x00modelq\x01.", "it is a pickle"),
        (b"GGUF" + b"\0" * 50, "GGUF"),
        ((2_000_000_000).to_bytes(8, "little") + b'{"a":', "its header claims 2,000,000,000 bytes"),
        ((50).to_bytes(8, "little") + b'{"a":', "cut short"),
        (b"no weights at all", "not a whole safetensors file"),
    ],
    ids=["empty", "lfs", "html", "zip", "pickle", "gguf", "huge header", "cut", "text"],
)
def test_what_is_no_safetensors_file(tmp_path, content, said):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        ds.load(path)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is not a checkpoint: it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
            "Git LFS pointer.*git lfs pull",
        ),
        (b"<!doctype html><html>404</html>", "is not a checkpoint: it is an HTML page"),
        (b"\x89HDF\r\n", "HDF5"),
        (
            (60).to_bytes(8, "little") + b'{"a":',
            "a safetensors file with another name. Rename it to model.safetensors",
        ),
        (b"PK\x03\x04" + b"\0" * 50, "cannot be opened as a pickle of weights only"),
        (b"not a pickle", "cannot be opened as a pickle"),
    ],
    ids=["empty", "lfs", "html", "hdf5", "safetensors", "zip", "text"],
)
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt"])
def test_what_is_no_pickle(tmp_path, content, said, suffix):
    """A download that went wrong is said to be what it is by convert, which alone opens files of these
    names.
    """
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        convert(path, tmp_path / "out.safetensors")


def header(tensors: dict) -> bytes:
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "notes, behind, said",
    [
        ({"step": 5}, b"", r"breaks a rule of safetensors: its metadata .* say step = 5, and only texts"),
        ({"of": {"a": 1}}, b"", r'say of = \{"a": 1\}, and only texts are allowed'),
        ({"step": "5"}, b"\0" * 64, "64 bytes after its last tensor"),
        (None, None, r"it is cut short, 1\d\d of its 1\d\d bytes are there"),
    ],
    ids=["a number", "an object", "more bytes", "fewer bytes"],
)
def test_a_header_that_can_be_read_says_what_is_wrong_with_its_file(tmp_path, notes, behind, said):
    """safetensors/safetensors#278 (numbers among the notes) and Comfy-Org/ComfyUI#15602 (bytes at the end):
    both were taken for a file that is cut short."""
    path = tmp_path / "model.safetensors"
    save_file({"conv_in.weight": torch.zeros(4, 4)}, path)
    raw = path.read_bytes()
    if notes is None:
        path.write_bytes(raw[:-8])
    else:
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.dumps({"__metadata__": notes, **json.loads(raw[8 : 8 + length])}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + length :] + behind)
    with pytest.raises(CheckpointError, match=said):
        checkpoint.inspect(path)


@pytest.mark.parametrize("given", ["google/ddpm-cifar10-32", "https://huggingface.co/google/ddpm-cifar10-32"])
def test_the_name_of_a_repository_is_no_path(given, tmp_path, monkeypatch):
    """databrickslabs/dolly#118 the other way round. Nothing is fetched here, and the sentence says how to."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        CheckpointError, match="download it first.*: hf download google/ddpm-cifar10-32 --local"
    ):
        ds.load(given)
    with pytest.raises(CheckpointError, match="Give the path of a .safetensors file"):
        ds.load("models/mine.safetensors")


def test_overlapping_tensors_and_too_many_are_refused(tmp_path):
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    path = tmp_path / "model.safetensors"
    path.write_bytes(header({"a": one, "b": one}) + b"\0" * 8)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        ds.load(path)
    path.write_bytes(
        header({f"t{k}": {"dtype": "U8", "shape": [1], "data_offsets": [k, k + 1]} for k in range(100_000)})
        + b"\0" * 100_000
    )
    with pytest.raises(CheckpointError, match="holds 100,000 tensors"):
        ds.load(path)


def test_names_with_path_parts_are_only_names(tmp_path):
    with pytest.raises(CheckpointError, match="in no layout that is known"):
        checkpoint.inspect(write(tmp_path / "m.safetensors", ("../../etc/passwd", (1,)), ("a/b", (1,))))


def test_folders_that_hold_none_several_or_pickles(tmp_path):
    with pytest.raises(CheckpointError, match="There is no weight file in .*A model.s folder holds"):
        ds.load(tmp_path)
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(
        CheckpointError, match="only a pickle, diffusion_pytorch_model.bin.*diffusion-studio convert"
    ):
        ds.load(tmp_path)
    (tmp_path / "other.pt").write_bytes(b"x")
    with pytest.raises(
        CheckpointError,
        match="only pickles: diffusion_pytorch_model.bin, other.pt. Make a .* of the one that is meant",
    ):
        ds.load(tmp_path)
    for name in "abc":
        write(tmp_path / f"{name}.safetensors", ("w", (1,)))
    with pytest.raises(
        CheckpointError,
        match="3 weight files .a.safetensors, b.safetensors, c.safetensors.. Give the path of the one",
    ):
        ds.load(tmp_path)


@pytest.mark.parametrize(
    "layout, name", [("diffusers", "default"), ("openai", "adm"), ("ddpm", "cifar-like")]
)
def test_a_missing_a_surplus_and_a_misshapen_tensor(saved, layout, name):
    folder = saved(layout, name)
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    key = next(key for key in state if key.endswith(("norm2.weight", "out_layers.0.weight")))
    for changed, said in (
        ({**state, "extra.weight": torch.zeros(2)}, "not in the network extra.weight"),
        ({k: v for k, v in state.items() if k != key}, f"missing .*{key}"),
        ({**state, key: torch.zeros(3)}, f"{key} is .3,.; the network"),
        ({**state, key: state[key].to(torch.int8)}, f"{key} is I8"),
    ):
        save_file(changed, path)
        if "; the network" not in said:  # shapes are compared when it is loaded, and `inspect` says so
            named = said.replace("not in the network", "besides the network,").replace("missing", "lacks")
            assert re.search(named, checkpoint.inspect(folder).problem)
        with pytest.raises(CheckpointError, match=said):
            ds.load(folder)


@pytest.mark.parametrize("count", [-3, 10**9])
def test_a_number_of_classes_that_no_tensor_tells(saved, count):
    """Found by the fuzzer: a name was made for each."""
    folder = saved("diffusers", "class-as-time")
    given = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**given, "num_class_embeds": count}))
    with pytest.raises(CheckpointError, match="num_class_embeds must be from 1 to 100,000, got"):
        checkpoint.inspect(folder)
