"""The native checkpoint: what is written is read, and what is wrong is refused before memory is taken."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tracemalloc

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError
from diffusion_studio.networks.unet import UNet


def header(given, **changes) -> dict[str, str]:
    return {"format": "diffusion-studio", "version": "1", "spec": given.to_json(), **changes}


def with_field(spec, *way_and_value) -> dict[str, str]:
    """The header with one field of the spec's JSON changed: with_field(spec, "network", "channels", 10)."""
    given = json.loads(spec.to_json())
    *way, last, value = way_and_value
    inner = given
    for key in way:
        inner = inner[key]
    inner[last] = value
    return header(spec, spec=json.dumps(given))


@pytest.fixture
def state(tiny_spec, random_unet):
    return random_unet(tiny_spec().network).state_dict()


@pytest.fixture
def resave(tmp_path, tiny_spec, state):
    """Factory: a checkpoint like `write` makes, with tensors or metadata replaced."""

    def make(tensors=None, metadata=None):
        path = tmp_path / "changed.safetensors"
        save_file(
            state if tensors is None else tensors,
            path,
            metadata=header(tiny_spec()) if metadata is None else metadata,
        )
        return path

    return make


def refused(path, message):
    """Both readers of the header, where the fault is there."""
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network": {"classes": None, "null_class": False}},
        {
            "defaults": {"steps": 20, "sampler": {"name": "ddim", "eta": 0.5}, "clip": False},
            "provenance": {"data": "none", "hours": 1.5, "names": ["a", "b"]},
        },
    ],
    ids=str,
)
def test_round_trip(tmp_path, tiny_spec, random_unet, dtype, changes):
    spec = tiny_spec(**changes)
    network = random_unet(spec.network)
    path = tmp_path / "model.safetensors"
    checkpoint.write(path, spec, network.state_dict(), dtype)
    found = checkpoint.read(path)
    assert found.spec == spec == checkpoint.read_spec(path)
    assert not found.network.training
    wanted = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    assert found.network.state_dict().keys() == wanted.keys()
    for name, tensor in found.network.state_dict().items():
        assert tensor.dtype == dtype and tensor.device.type == "cpu" and torch.equal(tensor, wanted[name]), (
            name
        )
    assert not any(p.requires_grad for p in found.network.parameters())


def test_a_float32_network_computes_as_before(tmp_path, tiny_spec, random_unet):
    spec = tiny_spec()
    network = random_unet(spec.network)
    checkpoint.write(tmp_path / "m.safetensors", spec, network.state_dict(), torch.float32)
    given = torch.randn(2, 1, 8, 8), torch.tensor([3, 70]), torch.tensor([0, 3])
    assert torch.equal(checkpoint.read(tmp_path / "m.safetensors").network(*given), network(*given))


def test_write_replaces_in_one_piece_and_leaves_nothing_behind(tmp_path, tiny_spec, state):
    path = tmp_path / "model.safetensors"
    checkpoint.write(path, tiny_spec(name="old"), state, torch.float32)
    before = os.stat(path).st_ino
    checkpoint.write(path, tiny_spec(name="new"), state, torch.float16)
    assert checkpoint.read_spec(path).name == "new"
    assert os.stat(path).st_ino != before and [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_failed_write_keeps_the_old_file(tmp_path, tiny_spec, state):
    path = tmp_path / "model.safetensors"
    checkpoint.write(path, tiny_spec(name="old"), state, torch.float32)
    with pytest.raises(TypeError):
        checkpoint.write(path, tiny_spec(provenance={"bad": object()}), state, torch.float32)
    assert checkpoint.read_spec(path).name == "old"


def test_others_may_read_what_is_written(tmp_path, tiny_spec, state):
    plain = tmp_path / "plain"
    plain.touch()
    checkpoint.write(tmp_path / "m.safetensors", tiny_spec(), state, torch.float16)
    assert os.stat(tmp_path / "m.safetensors").st_mode == os.stat(plain).st_mode


def test_a_folder_that_cannot_be_written(tmp_path, tiny_spec, state):
    with pytest.raises(
        CheckpointError, match="cannot be written .No such file or directory.. Make the folder first, or"
    ):
        checkpoint.write(tmp_path / "none" / "m.safetensors", tiny_spec(), state, torch.float16)
    if os.path.isdir("/sys/kernel"):  # where even root cannot write
        with pytest.raises(
            CheckpointError, match="cannot be written .*. Choose a folder that you may write to"
        ):
            checkpoint.write("/sys/kernel/m.safetensors", tiny_spec(), state, torch.float16)


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path, tiny_spec, state):
    """As a full disk does, a limit on file size stops the write in its middle."""
    path = tmp_path / "m.safetensors"
    checkpoint.write(path, tiny_spec(name="old"), state, torch.float32)
    code = (
        "import resource, signal, sys, diffusion_studio.checkpoint as c, torch\nw = "
        "c.read(sys.argv[1])\nsignal.signal(signal.SIGXFSZ, "
        "signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\nc.write(sys.argv[1], "
        "w.spec, w.network.state_dict(), torch.float32)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=600)
    assert (
        "CheckpointError" in done.stderr
        and "cannot be written" in done.stderr
        and "Free space there" in done.stderr
    )
    assert checkpoint.read_spec(path).name == "old" and [p.name for p in tmp_path.iterdir()] == [
        "m.safetensors"
    ]


def test_write_leaves_the_callers_tensors_alone(tmp_path, tiny_spec, state):
    kept = {name: tensor.clone() for name, tensor in state.items()}
    checkpoint.write(tmp_path / "m.safetensors", tiny_spec(), state, torch.float16)
    assert all(torch.equal(state[name], kept[name]) and state[name].dtype == torch.float32 for name in kept)


def test_the_file_is_plain_safetensors(tmp_path, tiny_checkpoint, state):
    assert load_file(tiny_checkpoint).keys() == state.keys()
    with safe_open(tiny_checkpoint, "pt") as file:
        assert file.metadata()["format"] == "diffusion-studio" and file.metadata()["version"] == "1"


# --- files that are not what they claim


def test_no_file(tmp_path):
    refused(tmp_path / "absent.safetensors", "There is no weight file at .*absent.safetensors. Give the path")
    refused(tmp_path, "is a folder, not a file")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl", ".PT"])
def test_pickles_are_not_opened(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    torch.save({"a": torch.zeros(1)}, path)
    refused(path, f"model{suffix} is a pickle, which can run any code when opened; only safetensors")


def test_a_pickle_under_a_safe_name_is_not_opened_either(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    refused(path, "is not a whole safetensors file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"a text that says hello, and more of it\n" * 10,
        b"<html>Not found</html>",
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 2**33) + b"{}",
        struct.pack("<Q", 2) + b"{}" + b"\0" * 4,
        struct.pack("<Q", 8) + b"\xff" * 8,
    ],
    ids=[
        "empty",
        "one byte",
        "text",
        "html",
        "header of exabytes",
        "header of 8 gigabytes",
        "bytes behind",
        "not utf-8",
    ],
)
def test_files_of_another_kind(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    for reader in (checkpoint.read, checkpoint.read_spec):
        with pytest.raises(
            CheckpointError,
            match=r"model.safetensors is (not a whole safetensors file|a safetensors file without)",
        ):
            reader(path)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.1])
def test_a_file_cut_short(tiny_checkpoint, kept):
    whole = tiny_checkpoint.read_bytes()
    tiny_checkpoint.write_bytes(whole[: int(len(whole) * kept)])
    refused(tiny_checkpoint, r"is not a whole safetensors file.* cut short")


def test_a_tensor_that_claims_gigabytes(tmp_path, tiny_spec):
    """A header of tensors that the file does not hold: refused by its size, nothing allocated."""
    text = json.dumps(
        {
            "__metadata__": header(tiny_spec()),
            "conv_in.weight": {"dtype": "F32", "shape": [2**20, 2**12], "data_offsets": [0, 2**34]},
        }
    ).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    refused(path, "is not a whole safetensors file")


def test_no_header(resave):
    path = resave(metadata={"format": "pt"})
    refused(path, "without a diffusion-studio header, so it does not say what network")
    with pytest.raises(CheckpointError, match="without a diffusion-studio header"):
        checkpoint.read_spec(path)


def test_no_metadata_at_all(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "m.safetensors")
    refused(tmp_path / "m.safetensors", "without a diffusion-studio header")


@pytest.mark.parametrize("version", ["2", "", "1.0"])
def test_another_version(resave, tiny_spec, version):
    refused(
        resave(metadata=header(tiny_spec(), version=version)),
        f"header version '{version}'; this program reads version 1. Update",
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (("surprise", 1), "There is no field of the model's description 'surprise'"),
        (("network", "surprise", 1), "There is no field of the network's configuration 'surprise'"),
        (("network", "channels", 10**9), "network.channels must be a whole number from 8 to 2048"),
        (("network", "channels", 10**400), "network.channels must be"),
        (("network", "classes", 10**9), "network.classes must be"),
        (("network", "multipliers", [1e6, 1e6]), "multipliers must be"),
        (("network", "multipliers", "many"), "multipliers must be a list"),
        (
            ("network", "name", "transformer"),
            "There is no kind of network 'transformer'; this version knows 'unet'",
        ),
        (("network", None), "not an object with a network"),
        (("schedule", "name", "sine"), "There is no noise schedule 'sine'. Choose one of: linear, cosine"),
        (("schedule", "name", ["linear"]), "There is no noise schedule"),
        (("schedule", "timesteps", 10**9), "schedule.timesteps must be"),
        (("schedule", None), "A noise schedule is a name or an object"),
        (("image_size", 9), "multiples of 2; the pictures are 9 wide"),
        (("channels", 2), "Pictures have 1 or 3 channels"),
        (("labels", ["a"]), "The network has 3 classes and 1 label names"),
        (("labels", "abc"), "labels must be a list of texts"),
        (("defaults", {"stpes": 3}), "There is no recipe default 'stpes'.*Did you mean 'steps'"),
        (("defaults", []), "defaults and provenance must be objects"),
        (("parametrization", "score"), "There is no parametrization 'score'"),
        (("learned_variance", True), "takes 1 and gives 2 channels; this one takes 1 and gives 1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_spec_that_cannot_be(resave, tiny_spec, change, message):
    path = resave(metadata=with_field(tiny_spec(), *change))
    for reader in (checkpoint.read, checkpoint.read_spec):
        with pytest.raises(CheckpointError, match=f"The header of changed.safetensors is wrong: .*{message}"):
            reader(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "[" * 100_000, '{"network": 1' + "0" * 5000 + "}"],
    ids=["nothing", "half", "list", "null", "deep", "long number"],
)
def test_a_spec_that_is_not_json(resave, tiny_spec, text):
    path = resave(metadata=header(tiny_spec(), spec=text))
    for reader in (checkpoint.read, checkpoint.read_spec):
        with pytest.raises(
            CheckpointError,
            match="The header of changed.safetensors is wrong: The model's description is not",
        ):
            reader(path)


# --- weights that do not fit


def test_a_missing_tensor(resave, state):
    del state["conv_in.weight"], state["middle.0.conv1.bias"]
    refused(
        resave(state),
        "do not fit the network in its header: missing conv_in.weight, middle.0.conv1.bias. Export",
    )


def test_many_missing_tensors_are_counted(resave, state):
    refused(
        resave({"conv_in.weight": state["conv_in.weight"]}),
        rf"missing (\S+, ){{4}}\S+ and {len(state) - 6} more",
    )


def test_a_surplus_tensor(resave, state):
    refused(resave({**state, "extra.weight": torch.zeros(2)}), "not in the network extra.weight")


def test_a_misshapen_tensor(resave, state):
    state["conv_in.weight"] = torch.zeros(8, 3, 3, 3)
    refused(resave(state), r"conv_in.weight is \(8, 3, 3, 3\), should be \(8, 1, 3, 3\)")


@pytest.mark.parametrize(
    "dtype, code", [(torch.float64, "F64"), (torch.int8, "I8"), (torch.int64, "I64"), (torch.bool, "BOOL")]
)
def test_a_tensor_of_another_kind(resave, state, dtype, code):
    state["norm_out.bias"] = state["norm_out.bias"].to(dtype)
    refused(resave(state), rf"norm_out.bias is {code} \(allowed: F16, F32, BF16\)")


def test_the_spec_of_another_network(tmp_path, tiny_spec, state):
    path = tmp_path / "m.safetensors"
    save_file(state, path, metadata=header(tiny_spec(network={"blocks": 2})))
    refused(path, "do not fit the network in its header: missing")


def test_a_refused_file_takes_no_memory(tmp_path, tiny_spec, state, monkeypatch):
    """A spec of 60 GB of weights on a file of kilobytes: compared by shape. Were it built with memory
    behind it, the process would be killed; what Python itself allocates stays small.
    """
    giant = tiny_spec(network={"channels": 2048, "multipliers": (8, 8), "blocks": 2})
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet(giant.network).parameters()) * 4 > 60e9
    path = tmp_path / "m.safetensors"
    save_file(state, path, metadata=header(giant))
    tracemalloc.start()
    refused(path, "do not fit the network")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
