"""A folder of diffusers in a zip, as it is dropped on the page: its report names the sampler of its scheduler."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest

import diffusion_studio as ds
from diffusion_studio import checkpoint
from diffusion_studio.ui.dropped import UploadedCheckpoints
from diffusion_studio.ui.report import report

NAME = "google"


@pytest.fixture
def pipeline(saved, tmp_path):
    """The folder of a whole pipeline: unet/ and scheduler/, in a zip with a folder around them."""
    flat = saved("diffusers", NAME)
    config = json.loads((flat / "scheduler_config.json").read_text())
    (tmp_path / "zips").mkdir()
    path = tmp_path / "zips" / "tiny-pipeline.zip"
    with zipfile.ZipFile(path, "w") as out:
        for name in ("diffusion_pytorch_model.safetensors", "config.json"):
            out.write(flat / name, f"tiny-pipeline/unet/{name}")
        out.writestr(
            "tiny-pipeline/scheduler/scheduler_config.json",
            json.dumps({**config, "_class_name": "PNDMScheduler"}),
        )
        out.writestr("tiny-pipeline/model_index.json", "{}")
    return path


def test_a_zip_of_diffusers_is_read_with_its_scheduler(pipeline, tmp_path):
    studio = ds.Studio(tmp_path / "none", "cpu", "fp32")
    dropped = UploadedCheckpoints(studio, 10**8)
    try:
        chosen = dropped.take("ann", [shutil.copy(pipeline, tmp_path / "copy-of-it.zip")])
        text = report(checkpoint.inspect(chosen.path))
        assert "<dt>Sampler</dt><dd>PNDM, 50 steps</dd>" in text
        name = dropped.open("ann", chosen, secret=False)
        assert name == "copy-of-it" and type(studio.recipe(name).sampler).__name__ == "PNDM"
    finally:
        dropped.close()
