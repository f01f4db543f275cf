"""Which files are a model's weights: shards, variants, caches, trainings' folders, wrapped names. Found in
public reports.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.cli import main
from diffusion_studio.errors import CheckpointError
from diffusion_studio.ui.dropped import UploadedCheckpoints, weight_files

from .conftest import STORED, outputs

NAME = "diffusion_pytorch_model"


def error_of(folder, name: str = "default") -> float:
    return outputs(ds.load(folder, "cpu", "fp32"), name, STORED["diffusers"])


def sharded(folder: Path, variant: str = "", parts: int = 3) -> Path:
    """The folder's one file as diffusers' save_pretrained(max_shard_size=...) writes it; the index's path."""
    state = load_file(folder / f"{NAME}.safetensors")
    (folder / f"{NAME}.safetensors").unlink()
    names, places = sorted(state), {}
    for k in range(parts):
        file = f"{NAME}{variant and '.' + variant}-{k + 1:05d}-of-{parts:05d}.safetensors"
        save_file({name: state[name] for name in names[k::parts]}, folder / file)
        places |= dict.fromkeys(names[k::parts], file)
    index = folder / f"{NAME}.safetensors.index{variant and '.' + variant}.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}), "utf-8")
    return index


# ---- several files that are one model
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_shards_with_an_index_are_one_model(saved, tmp_path, variant):
    folder = saved("diffusers", "default")
    index = sharded(folder, variant)
    assert checkpoint.weight_file(folder) == index
    for path in (folder, index, next(folder.glob("*-00002-of-*"))):  # a part means the whole
        assert error_of(path) < 1e-5
    assert checkpoint.inspect(folder).spec.name == "default"
    assert checkpoint.bytes_of(index) == sum(one.stat().st_size for one in folder.glob("*.safetensors"))
    out = tmp_path / "native.safetensors"
    assert main(["convert", str(folder), str(out)]) == 0 and error_of(out) < 1e-5


def test_a_change_to_a_shard_is_a_change_to_the_model(saved):
    index = sharded(saved("diffusers", "default"))
    before, part = checkpoint.modified_ns(index), next(index.parent.glob("*-00002-of-*"))
    os.utime(part, ns=(before + 10**9, before + 10**9))
    assert checkpoint.modified_ns(index) == before + 10**9


def _changed(index: Path, change) -> None:
    given = json.loads(index.read_text())
    change(given)
    index.write_text(json.dumps(given))


def _twice(index: Path) -> None:
    first, second, *_ = sorted(index.parent.glob("*.safetensors"))
    save_file(
        {**load_file(second), **{key: value for key, value in list(load_file(first).items())[:1]}}, second
    )


@pytest.mark.parametrize(
    "spoil, said",
    [
        (
            lambda index: next(index.parent.glob("*-00002-of-*")).unlink(),
            f"1 of the 3 files of this model are missing beside .*: {NAME}-00002-of-00003.safetensors. "
            "Download them too",
        ),
        (
            lambda index: _changed(
                index, lambda given: given["weight_map"].update({"conv_in.bias": "../other.safetensors"})
            ),
            "names '../other.safetensors' for weights; an index must name .safetensors files in its own folder",
        ),
        (
            lambda index: _changed(
                index, lambda given: given["weight_map"].update({"conv_in.bias": "/etc/passwd"})
            ),
            "names '/etc/passwd'",
        ),
        (
            lambda index: _changed(
                index, lambda given: given["weight_map"].update({"conv_in.bias": "weights.bin"})
            ),
            "names 'weights.bin'",
        ),
        (
            lambda index: _changed(index, lambda given: given.pop("weight_map")),
            "has no weight_map from tensors to files",
        ),
        (
            lambda index: _changed(index, lambda given: given["weight_map"].update({"conv_in.bias": 3})),
            "has no weight_map",
        ),
        (lambda index: index.write_text("[]"), "holds no JSON object"),
        (
            lambda index: _changed(
                index,
                lambda given: given["weight_map"].update({"more.bias": given["weight_map"]["conv_in.bias"]}),
            ),
            "holds the tensor more.bias, and it does not",
        ),
        (_twice, "is in two files"),
        (
            lambda index: next(index.parent.glob("*-00003-of-*")).write_bytes(b"<html>"),
            "-00003-of-00003.safetensors is not a whole",
        ),
        (
            lambda index: index.unlink(),
            "is one of the 3 parts of a model, and their index .* is missing in its folder",
        ),
    ],
    ids=[
        "missing",
        "parent",
        "absolute",
        "pickle",
        "no map",
        "number",
        "list",
        "not there",
        "twice",
        "html",
        "no index",
    ],
)
def test_shards_that_do_not_fit_are_errors_before_memory_is_taken(saved, spoil, said, monkeypatch):
    index = sharded(saved("diffusers", "default"))
    spoil(index)
    monkeypatch.setattr(
        "diffusion_studio.checkpoint.memory.TensorFile.__init__",
        lambda *given: pytest.fail("weights were read"),
    )
    with pytest.raises(CheckpointError, match=said):
        ds.load(index.parent)


def test_a_dropped_index_with_its_parts_is_one_model(saved, tmp_path):
    index = sharded(saved("diffusers", "default"))
    dropped = UploadedCheckpoints(ds.Studio(tmp_path / "none"), 10**9)
    for names, fine in (
        (sorted(one.name for one in index.parent.iterdir()), True),
        ([index.name, "a.safetensors"], False),
    ):
        (tmp_path / "up").mkdir(exist_ok=True)
        for name in names:
            shutil.copy(
                index.parent / name if (index.parent / name).is_file() else index, tmp_path / "up" / name
            )
        if fine:
            chosen = dropped.take("visitor", [tmp_path / "up" / name for name in names])
            assert chosen.path.name == index.name and error_of(chosen.path) < 1e-5
        else:
            with pytest.raises(CheckpointError, match="or the index and all parts of one model"):
                dropped.take("visitor", [tmp_path / "up" / name for name in names])
    dropped.close()


# ---- names that are in no list
# -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        f"{NAME}.bf16.safetensors",
        f"{NAME}.non_ema.safetensors",
        "my-ddpm.safetensors",
        "unet/anything.at-all.safetensors",
        "unet_ema/weights.safetensors",
        "prior/model.safetensors",
    ],
)
def test_the_only_candidate_is_taken(saved, tmp_path, file):
    folder = saved("diffusers", "default")
    at = tmp_path / "models" / "mine"
    (at / file).parent.mkdir(parents=True)
    for name in ("config.json", "scheduler_config.json"):
        shutil.copy(folder / name, (at / file).parent / name)
    shutil.copy(folder / f"{NAME}.safetensors", at / file)
    assert (
        checkpoint.weight_file(at) == at / file
        and error_of(at) < 1e-5
        and not checkpoint.inspect(at).found.notes
    )
    studio = ds.Studio(tmp_path / "models", "cpu", "fp32")
    assert [card.name for card in studio.models()] == (["mine"] if "prior" not in file else [])


@pytest.mark.parametrize(
    "variants, taken",
    [
        (["", "fp16"], ""),
        (["fp16", "bf16"], "bf16"),
        (["non_ema", "fp16"], "fp16"),
        (["non_ema", "", "fp16"], ""),
        (["ema", ""], "ema"),
        (["fp16.non_ema", "non_ema"], "non_ema"),
    ],
)
def test_of_several_variants_the_best_is_taken_and_said(saved, variants, taken):
    folder = saved("diffusers", "default")
    weights = (folder / f"{NAME}.safetensors").read_bytes()
    (folder / f"{NAME}.safetensors").unlink()
    name = {one: f"{NAME}{one and '.' + one}.safetensors" for one in variants}
    for one in variants:
        (folder / name[one]).write_bytes(weights)
    assert checkpoint.weight_file(folder).name == name[taken]
    (note,) = checkpoint.inspect(folder).found.notes
    assert f"variants of this model: {name[taken]} is used" in note and all(
        name[one] in note for one in variants
    )


def test_several_models_in_one_folder_are_a_question_and_a_problem_to_the_studio(saved, tmp_path):
    weights = (saved("diffusers", "default") / f"{NAME}.safetensors").read_bytes()
    folder = tmp_path / "models" / "two"
    folder.mkdir(parents=True)
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(weights)
    with pytest.raises(
        CheckpointError,
        match="2 weight files .a.safetensors, b.safetensors.. Give the path of the one that is meant",
    ):
        ds.load(folder)
    studio = ds.Studio(tmp_path / "models")
    assert not studio.models() and "Give the path of the one that is meant" in studio.problems()["two"]


# ---- huggingface_hub's cache
# ----------------------------------------------------------------------------------------


@pytest.fixture(params=["links", "their text"])
def cache(saved, tmp_path, request):
    """A repository in the cache: files that are called by hashes, and links to them; git leaves a link's
    text on Windows.
    """
    folder = saved("diffusers", "default")
    at = tmp_path / "hub" / "models--me--ddpm-8"
    for k, (name, place) in enumerate(
        ((f"{NAME}.safetensors", "unet"), ("config.json", "unet"), ("scheduler_config.json", "scheduler"))
    ):
        blob, link = at / "blobs" / f"0{k}abc", at / "snapshots" / "0123abcd" / place / name
        for one in (blob, link):
            one.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, blob)
        target = os.path.relpath(blob, link.parent)
        link.symlink_to(target) if request.param == "links" else link.write_text(target)
    (at / "refs").mkdir()
    (at / "refs" / "main").write_text("0123abcd")
    return at


def test_a_cache_folder_is_its_repository(cache):
    wanted = checkpoint.inspect(cache)
    for path in (
        cache,
        cache / "snapshots" / "0123abcd",
        cache / "snapshots" / "0123abcd" / "unet" / f"{NAME}.safetensors",
    ):
        assert error_of(path) < 1e-5
        seen = checkpoint.inspect(path)
        assert seen.spec == wanted.spec and seen.spec.name == "ddpm-8" == ds.Studio(
            cache.parent / "none"
        ).open(path)
    assert {fact.name: fact.source for fact in wanted.found.facts}["beta_schedule"].startswith(
        "file's config"
    )
    assert [card.name for card in ds.Studio(cache.parent).models()] == ["ddpm-8"]
    assert list(weight_files([cache.parent])) == [
        f"hub/models--me--ddpm-8/snapshots/0123abcd/unet/{NAME}.safetensors"
    ]


def test_the_whole_cache_is_its_only_repository(cache):
    assert checkpoint.inspect(cache.parent).spec == checkpoint.inspect(cache).spec
    shutil.copytree(cache, cache.with_name("models--you--other"), symlinks=True)
    with pytest.raises(
        CheckpointError, match="cache of 2 repositories .models--me--ddpm-8, models--you--other.. Give"
    ):
        checkpoint.weight_file(cache.parent)


def test_of_several_revisions_main_is_taken(cache):
    shutil.copytree(cache / "snapshots" / "0123abcd", cache / "snapshots" / "ffff", symlinks=True)
    assert "0123abcd" in str(checkpoint.weight_file(cache))
    (cache / "refs" / "main").write_text("../../elsewhere")
    with pytest.raises(
        CheckpointError, match="holds 2 revisions of its repository .0123abcd, ffff.. Give the folder"
    ):
        checkpoint.weight_file(cache)


# ---- a training's folder
# -------------------------------------------------------------------------------------------


def training(folder: Path, at: Path, *places: str) -> Path:
    """What accelerate leaves: checkpoint-500/unet with its config, the scheduler beside checkpoint-500."""
    for place in places:
        (at / place).mkdir(parents=True)
        for name in ("config.json", f"{NAME}.safetensors"):
            shutil.copy(folder / name, at / place / name)
    (at / "scheduler").mkdir()
    shutil.copy(folder / "scheduler_config.json", at / "scheduler" / "scheduler_config.json")
    return at


def test_of_the_networks_that_accelerate_numbers_the_first_is_taken_and_it_is_said(saved):
    """`save_state` of accelerate writes model.safetensors, model_1.safetensors, ...; the second one may be
    the average (EMA)."""
    folder = saved("diffusers", "default")
    (folder / f"{NAME}.safetensors").rename(folder / "model.safetensors")
    assert not any("accelerate" in one for one in checkpoint.inspect(folder).found.notes)
    save_file({"a": torch.zeros(1)}, folder / "model_1.safetensors")
    assert error_of(folder) < 1e-5
    (note,) = (one for one in checkpoint.inspect(folder).found.notes if "accelerate" in one)
    assert note.startswith("model.safetensors is used, and not model_1.safetensors")


def test_a_training_step_in_a_folder_of_checkpoints_has_the_scheduler_above_that(saved, tmp_path):
    at = training(saved("diffusers", "everywhere"), tmp_path / "run", "checkpoints/checkpoint-500/unet")
    assert checkpoint.inspect(at / "checkpoints" / "checkpoint-500").spec.parametrization == "v"


def test_a_training_step_has_the_scheduler_of_the_folder_above(saved, tmp_path):
    at = training(
        saved("diffusers", "everywhere"), tmp_path / "run", "checkpoint-500/unet", "checkpoint-500/unet_ema"
    )
    wanted = checkpoint.inspect(saved("diffusers", "everywhere")).spec
    for path in (
        at / "checkpoint-500",
        at / "checkpoint-500" / "unet",
        at,
    ):  # of one step alone, the run is that
        spec = checkpoint.inspect(path).spec
        assert spec.parametrization == wanted.parametrization == "v" and spec.schedule == wanted.schedule
        assert spec.defaults == wanted.defaults
    assert checkpoint.inspect(at / "checkpoint-500").path.parent.name == "unet_ema"
    assert any(
        "unet_ema, with the EMA weights, is used" in note
        for note in checkpoint.inspect(at / "checkpoint-500").found.notes
    )
    shutil.copytree(at / "checkpoint-500", at / "checkpoint-1000")
    with pytest.raises(
        CheckpointError,
        match="weights in 2 folders .checkpoint-1000/unet_ema, checkpoint-500/unet_ema.. Give",
    ):
        checkpoint.inspect(at)


def test_a_scheduler_above_a_folder_that_is_no_step_is_not_taken(saved, tmp_path):
    at = training(saved("diffusers", "everywhere"), tmp_path / "models", "someone/unet")
    assert checkpoint.inspect(at / "someone").spec.parametrization == "eps"


# ---- wrapped names
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["denoiser.", "_forward_module.", "diffusion_model.", "trainer.inner-net.0.", "a.b.c.d.e."]
)
def test_any_common_prefix_is_a_wrapper(saved, prefix):
    assert error_of(saved("diffusers", "default", rename=lambda key: prefix + key)) < 1e-5


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
def test_wrappers_of_single_modules_are_taken_away(saved, wrapper):
    assert (
        error_of(
            saved(
                "diffusers",
                "default",
                rename=lambda key: key.replace(".resnets.", f".{wrapper}resnets.").replace(
                    "resnets.0.", f"resnets.0.{wrapper}"
                ),
            )
        )
        < 1e-5
    )


@pytest.mark.parametrize("ema", ["ema.", "model_ema.", "averaged.module.", "net.shadow."])
def test_an_average_is_preferred_and_what_else_is_there_is_said(saved, ema):
    folder = saved("diffusers", "default")
    path = folder / f"{NAME}.safetensors"
    state = load_file(path)
    save_file(
        {
            **{f"student.{key}": value + 1 for key, value in state.items()},
            **{ema + key: value.clone() for key, value in state.items()},
            "lossfn.weight": torch.zeros(2, 2),
        },
        path,
    )
    assert error_of(folder) < 1e-5
    said = " ".join(checkpoint.inspect(folder).found.notes)
    assert (
        f"the file holds 2 networks of this layout: the one under {ema!r} is used, and not 'student.'" in said
    )
    assert "1 tensors around the network are left out: lossfn.weight" in said


def test_a_name_that_only_ends_like_a_key_is_no_prefix(saved, tmp_path):
    with pytest.raises(CheckpointError, match="in no layout that is known"):
        checkpoint.inspect(saved("diffusers", "default", rename=lambda key: f"my{key}"))
