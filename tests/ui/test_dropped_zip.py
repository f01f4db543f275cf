"""A zip of a model's folder that is dropped on Models: what is taken of it, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.errors import CheckpointError
from diffusion_studio.ui.dropped import UploadedCheckpoints

UNET, SCHEDULER = "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"


@pytest.fixture
def dropped(tmp_path, write_checkpoint):
    write_checkpoint("here")
    made = UploadedCheckpoints(ds.Studio(tmp_path / "checkpoints", "cpu", "fp32"), 10**6)
    yield made
    made.close()


@pytest.fixture
def zipped(tmp_path):
    """Factory: a zip with these files, as Gradio leaves it after an upload."""

    def make(files: dict[str, bytes], name: str = "mine.zip") -> str:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for inside, data in files.items():
                out.writestr(inside, data)
        return str(path)

    return make


@pytest.fixture
def pipeline(tmp_path, write_checkpoint):
    """The files of a pipeline's folder, whose network is the native one of the tests."""
    weights = (tmp_path / "checkpoints" / "here" / "model.safetensors").read_bytes()
    return {
        UNET: weights,
        "unet/config.json": json.dumps({"_class_name": "UNet2DModel"}).encode(),
        SCHEDULER: json.dumps({"_class_name": "DDIMScheduler"}).encode(),
        "README.md": b"words",
        "vae/secret.py": b"print()",
    }


@pytest.mark.parametrize("around", ["", "ddpm-tiny/", "a/b/"])
def test_a_folder_is_found_however_deep_it_lies(dropped, zipped, pipeline, around):
    path = zipped({around + name: data for name, data in pipeline.items()})
    chosen = dropped.take("ann", [path])
    folder = chosen.path.parents[1]
    assert not Path(path).exists() and chosen.own and chosen.path.name == Path(UNET).name
    kept = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    assert kept == {UNET, "unet/config.json", SCHEDULER}  # nothing else of the zip
    assert dropped.open("ann", chosen, secret=False) == "mine"  # and not the name that all programs give
    dropped.forget("ann")
    assert not folder.exists()


def test_what_stands_beside_the_weights_is_read(dropped, zipped, tmp_path):
    """The scheduler of a real folder of diffusers decides the sampler, as the report says."""
    from diffusion_studio.checkpoint.folders import configurations

    path = zipped({f"pipe/{UNET}": b"x" * 10, f"pipe/{SCHEDULER}": b'{"_class_name": "PNDMScheduler"}'})
    chosen = dropped.take("ann", [path])
    assert configurations(chosen.path, {})["scheduler"] == {"_class_name": "PNDMScheduler"}
    assert checkpoint.name_of(chosen.path) == "mine"


@pytest.mark.parametrize(
    "files, said",
    [
        ({"../out.safetensors": b"x"}, "leads elsewhere"),
        ({"/etc/out.safetensors": b"x"}, "leads elsewhere"),
        ({"a/model.bin": b"x", "config.json": b"{}"}, "holds no .safetensors"),
        ({"model.safetensors": b"x" * (10**6 + 1)}, "at most 1 MB are taken"),
        (
            {"model.safetensors": b"x", "config.json": b" " * 900_000, "args.json": b" " * 200_000},
            "at most 1 MB",
        ),
    ],
    ids=["up", "root", "pickle", "weights", "all together"],
)
def test_what_is_hostile_or_too_large_is_refused(dropped, zipped, files, said):
    with pytest.raises(CheckpointError, match=said):
        dropped.take("ann", [zipped(files)])
    assert dropped._of == {}


def test_a_zip_that_lies_about_its_sizes_is_stopped(dropped, zipped):
    path = Path(zipped({"model.safetensors": b"\0" * 3_000_000}))
    data = bytearray(path.read_bytes())
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (1000).to_bytes(4, "little")  # it says 1000 bytes
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="larger than it states|cannot be unpacked"):
        dropped.take("ann", [str(path)])
    assert dropped._of == {}


def test_a_zip_comes_alone(dropped, zipped, tmp_path):
    other = tmp_path / "config.json"
    other.write_text("{}")
    with pytest.raises(CheckpointError, match="Drop the zip alone"):
        dropped.take("ann", [zipped({UNET: b"x"}), str(other)])


def test_no_zip_at_all(dropped, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match="cannot be unpacked"):
        dropped.take("ann", [str(tmp_path / "x.zip")])
