"""The page's configuration, which each visitor loads."""

from __future__ import annotations

import json
from pathlib import Path

import diffusion_studio as ds
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.shell import _slim, build

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


def test_the_configuration_leaves_out_what_no_page_reads():
    page = build(ds.Studio(CHECKPOINTS, "cpu", "fp32"), Compute())
    whole = len(json.dumps(page.get_config_file(), default=str))
    _slim(page)
    slim = page.get_config_file()
    assert all(one["component_class_id"] == one["type"] for one in slim["components"])
    assert not any("preserved_by_key" in one["props"] for one in slim["components"])
    assert any("api_info" in one for one in slim["components"] if one["type"] == "api")
    assert len(json.dumps(slim, default=str)) < whole - 60_000
