"""The page's configuration, which each visitor loads."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from gradio.context import Context
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import diffusion_studio as ds
from diffusion_studio.ui.compression import CompressedPage
from diffusion_studio.ui.compute import Compute
from diffusion_studio.ui.configuration import slim
from diffusion_studio.ui.page_script import studio_module
from diffusion_studio.ui.shell import START, build
from diffusion_studio.ui.static_files import FOLDER, module_head, preload_header, routes

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


MAX_CONFIGURATION = 204_800  # bytes of the page's configuration


@pytest.fixture(scope="module")
def configuration():
    """As of a process that builds one page: Gradio numbers on from one page to the next."""
    before, Context.id = Context.id, 0
    try:
        page = build(ds.Studio(CHECKPOINTS, "cpu", "fp32"), Compute())
    finally:
        Context.id = max(before, Context.id)
    slim(page)
    return page.get_config_file()


def size(part) -> int:
    """In bytes as Gradio writes it."""
    return len(json.dumps(part, default=str, separators=(",", ":"), ensure_ascii=False).encode())


def test_the_configuration_is_small(configuration):
    """The scripts, styles and the head that `serve` adds are a line each: the rest are files."""
    added = size([module_head(), START])
    assert added < 300
    assert size(configuration) + added <= MAX_CONFIGURATION, {k: size(v) for k, v in configuration.items()}


def test_the_configuration_leaves_out_what_no_page_reads(configuration):
    for one in configuration["components"]:
        assert "component_class_id" not in one and "preserved_by_key" not in one["props"]
        assert ("api_info" in one) is (one["type"] == "api")
        assert one["props"].get("visible") is not True  # the page shows what is not told otherwise
    for one in configuration["dependencies"]:
        assert {"id", "targets", "inputs", "outputs", "backend_fn", "trigger_mode", "cancels"} <= {*one}
        assert one["api_visibility"] == "private" or one["api_name"]
    no_queue = [one for one in configuration["dependencies"] if one.get("queue") is False]
    assert no_queue  # False is said; nothing means the queue


def test_the_page_imports_a_module_that_a_browser_keeps():
    client = TestClient(Starlette(routes=routes()))
    address = re.fullmatch(r"<script>window.studio = import\('\./(.+)'\);</script>", module_head())[1]
    assert preload_header() == f"<{address}>; rel=modulepreload"
    answer = client.get(address)
    assert answer.text == studio_module() and "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert client.get(f"{FOLDER}/0123456789abcdef.js").status_code == 404


def test_the_page_alone_is_compressed_and_only_where_the_browser_takes_it():
    text = "a page of many components " * 200
    routes = [
        Route(path, lambda _: PlainTextResponse(text))
        for path in ("/", "/config", "/queue/data", f"/{FOLDER}/a.js")
    ]
    client = TestClient(CompressedPage(Starlette(routes=routes)))
    for path, asked, packed in (
        ("/", "gzip, br", True),
        ("/config", "gzip", True),
        (f"/{FOLDER}/a.js", "gzip", True),
        ("/", "identity", False),
        ("/queue/data", "gzip", False),
    ):
        with client.stream("GET", path, headers={"accept-encoding": asked}) as answer:
            raw = b"".join(answer.iter_raw())
            assert (answer.headers.get("content-encoding") == "gzip") is packed, (path, asked)
            assert ("link" in answer.headers) is (path == "/")
        assert (gzip.decompress(raw) if packed else raw).decode() == text


def test_the_module_is_found_below_a_sub_path_of_any_name():
    """Starlette takes a sub-path off the address, also where the proxy did before."""
    for path in ("/studio", "/diffusion-studio", "/app"):
        client = TestClient(Starlette(routes=routes()), root_path=path)
        assert client.get(f"/{module_head().split('./')[1].split(chr(39))[0]}").status_code == 200


def test_what_follows_the_event_of_number_0_still_does(configuration):
    """0 is equal to False, which is left out."""
    assert 0 in [one.get("trigger_after") for one in configuration["dependencies"]]
