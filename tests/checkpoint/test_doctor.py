"""inspect, convert, models from anywhere, and files made to do harm."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from fuzz import mutated
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.cli import main
from diffusion_studio.errors import CheckpointError, OptionError, StudioError

ROOT = Path(ds.__file__).resolve().parents[1]
FLAGS = "--image_size 8 --num_head_channels 16 --noise_schedule cosine"
LAYOUTS = [("diffusers", "consistency-like"), ("openai", "adm"), ("ddpm", "cifar-like")]


def file_in(folder: Path) -> Path:
    return folder / "diffusion_pytorch_model.safetensors"


def same(one, other) -> bool:
    """Bit-equal outputs at two timesteps."""
    x = torch.randn(3, *one.shape, generator=torch.Generator().manual_seed(0))
    label = 1 if one.spec.labels else None
    return all(
        torch.equal(
            one.denoiser(label)(x, one.schedule.level(t)).eps,
            other.denoiser(label)(x, other.schedule.level(t)).eps,
        )
        for t in (3, 700.5)
    )


# ---- inspect
# -------------------------------------------------------------------------------------------------------


def test_the_report_says_every_setting_and_its_source(saved, capsys):
    folder = saved("openai", "adm", configured=False)
    assert main(["inspect", str(folder), "--flags", "--image_size 8 --num_head_channels 16"]) == 0
    said = capsys.readouterr().out
    lines = {
        line.split()[0]: " ".join(line.split()[1:]) for line in said.splitlines() if line.startswith("  ")
    }
    assert (
        "OpenAI improved-diffusion and guided-diffusion" in said
        and "recognised because it has time_embed.0.weight" in said
    )
    assert lines["num_channels"] == "32 inferred from shapes" and lines["num_head_channels"] == "16 flag"
    assert (
        lines["use_new_attention_order"] == "False assumed"
        and lines["resblock_updown"] == "True inferred from shapes"
    )
    assert "--use_new_attention_order False" in lines["--flags"] and "num_channels" not in lines["--flags"]
    assert (
        "the file does not show the order of qkv's rows" in said
        and "complete: the file holds exactly" in said
    )


@pytest.mark.parametrize("layout, name", LAYOUTS)
def test_the_report_as_json_and_the_flags_that_it_prints_back(saved, capsys, layout, name):
    folder = saved(layout, name, configured=False)
    assert main(["inspect", str(folder), "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["layout"] == layout and given["missing"] == given["surplus"] == []
    assert given["parameters"] == sum(t.numel() for t in load_file(file_in(folder)).values())
    flags = {name: value for name, value in given["assumed"].items() if value is not None}
    again = checkpoint.inspect(folder, flags)
    assert json.loads(again.spec.to_json()) == given["spec"]
    assert main(["inspect", str(folder)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  --flags "))
    assert (
        main(["inspect", str(folder), "--json", "--flags", json.loads(line.removeprefix("  --flags "))]) == 0
    )
    assert json.loads(capsys.readouterr().out)["spec"] == given["spec"]


def test_the_native_file_is_inspected_too(tiny_checkpoint, capsys):
    assert main(["inspect", str(tiny_checkpoint), "--outline"]) == 0
    said = capsys.readouterr().out
    assert (
        "native" in said
        and "3 classes" in said
        and "nothing was assumed" in said
        and "conv_in: bias [8], weight [8, 1, 3, 3]" in said
    )
    with pytest.raises(OptionError, match="Leave the flags out"):
        checkpoint.inspect(tiny_checkpoint, {"num_heads": 4})


def test_what_is_missing_is_reported_and_not_an_error(saved, capsys):
    path = file_in(saved("diffusers", "default"))
    state = load_file(path)
    del state["mid_block.resnets.1.conv2.bias"]
    save_file({**state, "more.weight": torch.zeros(1)}, path)
    assert main(["inspect", str(path)]) == 0
    assert (
        "cannot be loaded: missing mid_block.resnets.1.conv2.bias; not in the network more.weight"
        in capsys.readouterr().out
    )


def test_inspect_reads_headers_only_and_loads_no_torch(saved, tmp_path):
    """A file of 2 GB (sparse) is reported as fast as a small one, in a fresh process."""
    folder = saved("ddpm", "cifar-like")
    path = file_in(folder)
    state = load_file(path)
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    end = max(one["data_offsets"][1] for name, one in header.items() if name != "__metadata__")
    header["optimizer.step"] = {
        "dtype": "F32",
        "shape": [500_000_000],
        "data_offsets": [end, end + 2_000_000_000],
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end + 2_000_000_000)
    code = (
        "import sys\nfrom diffusion_studio.cli import main\nmain(['inspect', sys.argv[1]])\n"
        "assert not {'torch', 'gradio'} & set(sys.modules)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )  # kB, Linux
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert f"{500_000_000 + sum(t.numel() for t in state.values()):,} parameters" in done.stdout
    assert "not in the network optimizer.step" in done.stdout and int(done.stderr) < 300_000


# ---- convert
# -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout, name", LAYOUTS)
def test_converting_gives_bit_equal_outputs(saved, tmp_path, capsys, layout, name):
    folder = saved(layout, name)
    out = tmp_path / "native.safetensors"
    assert main(["convert", str(folder), str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    one, other = ds.load(folder, "cpu", "fp32"), ds.load(out, "cpu", "fp32")
    assert same(one, other)
    provenance = other.spec.provenance
    assert (
        provenance["layout"] == layout
        and "(inferred from shapes)" in (said := " ".join(provenance["settings"].values()))
        or "(file's config)" in said
    )
    assert json.loads(other.spec.to_json())["network"] == json.loads(one.spec.to_json())["network"]
    with pytest.raises(CheckpointError, match="exists already.*--force"):
        ds_convert(folder, out)
    ds_convert(folder, out, force=True)


def ds_convert(*given, **options):
    from diffusion_studio.convert import convert

    return convert(*given, **options)


@pytest.mark.parametrize(
    "wrap, taken",
    [
        (lambda state: state, "whole file"),
        (lambda state: {"state_dict": state, "epoch": 3}, "state_dict"),
        (lambda state: {"model": {k: v + 1 for k, v in state.items()}, "ema": state, "step": 5}, "ema"),
        (lambda state: [{k: v + 1 for k, v in state.items()}, {"state": {}}, 1, 2, state], "4"),
        (lambda state: {f"module.{k}": v for k, v in state.items()}, "whole file"),
    ],
    ids=["bare", "state_dict", "ema", "ermongroup's list", "module."],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_are_converted(saved, tmp_path, wrap, taken, legacy):
    folder = saved("ddpm", "cifar-like")
    pickle = folder / "ckpt.pth"  # beside args.json
    torch.save(wrap(load_file(file_in(folder))), pickle, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        CheckpointError, match="is a pickle.*diffusion-studio convert ckpt.pth ckpt.safetensors"
    ):
        ds.load(pickle)
    out = ds_convert(pickle, tmp_path / "out.safetensors")
    other = ds.load(out, "cpu", "fp32")
    assert same(ds.load(folder, "cpu", "fp32"), other) and other.spec.provenance["taken"] == taken
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cifar-like", "out.safetensors"]


class Harmful:
    def __reduce__(self):
        import os

        return os.system, ("touch harm-was-done",)


def test_pickles_that_hold_more_than_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.zeros(1)}, "more": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(
        CheckpointError, match="cannot be opened as a pickle of weights only.*could run any code"
    ):
        ds_convert("bad.pt", "out.safetensors")
    assert not (tmp_path / "harm-was-done").exists()
    for content in (b"", b"hello", b"PK\x03\x04" + b"\0" * 99, b"\x80\x02}q\x00."):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match="bad.pt"):
            ds_convert("bad.pt", "out.safetensors")
    torch.save({"w": torch.zeros(1)}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="no state dict with convolutions"):
        ds_convert("bad.pt", "out.safetensors")
    assert [one.name for one in tmp_path.iterdir()] == ["bad.pt"]


class AttributeDict(dict):
    """As Lightning keeps hyperparameters: a dictionary of its own class."""


AttributeDict.__module__ = "lightning_fabric.utilities.data"


def test_hyperparameters_of_lightning_are_no_obstacle(saved, tmp_path, monkeypatch):
    """Its .ckpt has them beside state_dict, where the network lies under the name that its author gave it."""
    folder = saved("ddpm", "cifar-like")
    for name in ("lightning_fabric", "lightning_fabric.utilities", "lightning_fabric.utilities.data"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["lightning_fabric.utilities.data"].AttributeDict = AttributeDict
    torch.save(
        {
            "epoch": 3,
            "pytorch-lightning_version": "2.4.0",
            "hyper_parameters": AttributeDict(lr=1e-4, dims=[1, 2]),
            "state_dict": {f"unet.{key}": value for key, value in load_file(file_in(folder)).items()},
        },
        folder / "last.ckpt",
    )
    assert same(
        ds.load(folder, "cpu", "fp32"),
        ds.load(ds_convert(folder / "last.ckpt", tmp_path / "out.safetensors"), "cpu", "fp32"),
    )


def test_an_optimizers_state_is_said_to_be_one(tmp_path):
    """opt160000.pt, which improved-diffusion's training writes beside the weights (its issue 37)."""
    torch.save(
        {
            "state": {0: {"step": 1, "exp_avg": torch.zeros(4, 3, 3, 3)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        },
        tmp_path / "opt160000.pt",
    )
    with pytest.raises(
        CheckpointError,
        match="opt160000.pt holds the state of an optimizer .state, param_groups., not a network",
    ):
        ds_convert(tmp_path / "opt160000.pt", tmp_path / "out.safetensors")


class Fraction(torch.nn.Module):
    """A module saved whole, by reference to its class."""


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "more",
    [
        np.float64(0.25),
        np.int64(7),
        np.bool_(True),
        np.float32(1) * np.ones(3),
        Namespace(lr=1e-4),
        Path("runs"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_values_beside_the_weights_that_run_no_code_are_allowed(saved, tmp_path, more, legacy):
    """Trainers keep their best loss as a numpy scalar, their arguments, and paths."""
    folder = saved("ddpm", "cifar-like")
    torch.save(
        {"state_dict": load_file(file_in(folder)), "best": more, "all": [more]},
        folder / "last.pt",
        _use_new_zipfile_serialization=not legacy,
    )
    out = ds_convert(folder / "last.pt", tmp_path / "out.safetensors")
    assert same(ds.load(folder, "cpu", "fp32"), ds.load(out, "cpu", "fp32"))


def test_a_whole_module_is_refused_by_its_name(tmp_path, capsys):
    """torch's own text is cut off before the name, and coloured for a terminal."""
    torch.save(Fraction(), tmp_path / "whole.pt")
    assert main(["convert", str(tmp_path / "whole.pt"), str(tmp_path / "out.safetensors")]) == 2
    said = capsys.readouterr().err
    assert "it holds an object of" in said and "Fraction, which is not allowed" in said and "\x1b" not in said
    assert "torch.save(network.state_dict(), 'whole-weights.pt')" in said
    (tmp_path / "whole.pt").write_bytes(b"\x80\x02}q\x00\x95.")
    assert main(["convert", str(tmp_path / "whole.pt"), str(tmp_path / "out.safetensors")]) == 2
    assert "\x1b" not in (said := capsys.readouterr().err) and "weights_only" not in said


def test_convert_says_what_it_cannot_do(saved, tmp_path):
    folder = saved("diffusers", "default")
    with pytest.raises(CheckpointError, match="must end in .safetensors"):
        ds_convert(folder, tmp_path / "out.pt")
    with pytest.raises(CheckpointError, match="There is no file|no weight file at"):
        ds_convert(tmp_path / "absent.pt", tmp_path / "o.safetensors")
    state = load_file(file_in(folder))
    torch.save({"model": state, "ema": state}, tmp_path / "two.pt")
    with pytest.raises(OptionError, match="There is no state dict in two.pt 'emma'.*Did you mean 'ema'"):
        ds_convert(tmp_path / "two.pt", tmp_path / "o.safetensors", take="emma")


# ---- in the studio
# -------------------------------------------------------------------------------------------------


def test_foreign_folders_are_listed_and_run(saved, tmp_path, write_checkpoint):
    write_checkpoint("tiny")
    folder = tmp_path / "checkpoints"
    saved("diffusers", "google").rename(folder / "theirs")
    broken = folder / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"<html>")
    studio = ds.Studio(folder, "cpu", "fp32")
    assert [card.name for card in studio.models()] == ["theirs", "tiny"]
    assert "HTML page" in studio.problems()["broken"]
    recipe = studio.recipe("theirs", steps=2)
    assert recipe.sampler == ds.DDPM("large") and recipe.spacing == ds.SPACINGS["leading"]()
    assert studio.run(recipe).images.shape == (1, 8, 8, 3)


def test_generate_with_a_path_and_flags(saved, tmp_path):
    folder, out = saved("openai", "adm", configured=False), tmp_path / "run.png"
    assert (
        main(
            [
                "generate",
                "--model",
                str(file_in(folder)),
                "--flags",
                FLAGS,
                "--steps",
                "2",
                "--count",
                "2",
                "--device",
                "cpu",
                "--checkpoints",
                str(tmp_path / "none"),
                "--out",
                str(out),
                "--label",
                "class 3",
            ]
        )
        == 0
    )
    recipe = ds.Recipe.from_file(out)
    assert recipe.model == "adm" and recipe.label == "class 3"
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    name = studio.open(folder, {"image_size": 8, "num_head_channels": 16, "noise_schedule": "cosine"})
    assert name == "adm" and [card.name for card in studio.models()] == ["adm"]
    assert studio.run(studio.recipe(name, steps=2, seeds=(0, 1))).images.shape == (2, 8, 8, 3)


# ---- made to do harm
# -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("layout, name", LAYOUTS)
def test_mutated_headers_are_errors_of_ours_or_load(saved, layout, name):
    """No hang, no crash, no other error, whatever the header says."""
    folder = saved(layout, name)
    raw = file_in(folder).read_bytes()
    draw = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        file_in(folder).write_bytes(mutated(raw, draw))
        try:
            checkpoint.inspect(folder)
            outcomes.add("inspected")
        except StudioError as error:
            outcomes.add("refused")
            assert len(str(error)) < 8000
    assert outcomes == {"inspected", "refused"}


STRANGE = [
    None,
    True,
    -1,
    0,
    3,
    10**30,
    1e-300,
    float("nan"),
    "",
    "x",
    "9" * 5000,
    [],
    [1],
    ["x"],
    [[1]] * 3,
    {},
    {"a": 1},
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout, file",
    [
        ("diffusers", "config.json"),
        ("diffusers", "scheduler_config.json"),
        ("openai", "args.json"),
        ("ddpm", "args.json"),
    ],
)
def test_strange_configurations_are_errors_of_ours_or_load(saved, layout, file):
    folder = saved(
        layout, {"diffusers": "class-as-time", "openai": "improved", "ddpm": "without-convolutions"}[layout]
    )
    given = json.loads((folder / file).read_text())
    known = {fact.name for fact in checkpoint.inspect(folder).found.facts}
    for name in sorted(known | given.keys()):
        for value in STRANGE:
            (folder / file).write_text(json.dumps({**given, name: value}))
            try:
                checkpoint.inspect(folder)
            except CheckpointError as error:
                assert len(str(error)) < 2000, name
