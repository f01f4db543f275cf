"""The page's configuration, which each visitor loads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import diffusion_studio as ds
from diffusion_studio.ui.compression import CompressedPage
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


def test_the_page_alone_is_compressed_and_only_where_the_browser_takes_it():
    text = "a page of many components " * 200
    routes = [Route(path, lambda _: PlainTextResponse(text)) for path in ("/", "/config", "/queue/data")]
    client = TestClient(CompressedPage(Starlette(routes=routes)))
    for path, asked, packed in (
        ("/", "gzip, br", True),
        ("/config", "gzip", True),
        ("/", "identity", False),
        ("/queue/data", "gzip", False),
    ):
        with client.stream("GET", path, headers={"accept-encoding": asked}) as answer:
            raw = b"".join(answer.iter_raw())
            assert (answer.headers.get("content-encoding") == "gzip") is packed, (path, asked)
        assert (gzip.decompress(raw) if packed else raw).decode() == text
