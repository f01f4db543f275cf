"""The page's module and pictures on the server: where they are, and how the page asks for the module early.

A name holds the hash of what the file holds, so a browser may keep the file for ever.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .page_script import studio_module

FOLDER = "page-files"  # no name that a proxy would give the app
_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {"js": "text/javascript", "png": "image/png"}
_files: dict[str, bytes] = {}


def static_address(content: bytes, end: str) -> str:
    """The address of a file that is served from now on, relative to the page."""
    name = f"{sha256(content).hexdigest()[:16]}.{end}"
    _files[name] = content
    return f"{FOLDER}/{name}"


def module_head() -> str:
    """The element for the page's head that imports the module; `studio` is its promise."""
    return f"<script>window.studio = import('./{_module_address()}');</script>"


def preload_header() -> str:
    """The value of the header `Link`: the browser begins to load the module with the page."""
    return f"<{_module_address()}>; rel=modulepreload"


def routes() -> list[Route]:
    """The routes of the files."""
    return [Route(f"/{FOLDER}/{{name}}", _file)]


@lru_cache(maxsize=1)
def _module_address() -> str:
    return static_address(studio_module().encode(), "js")


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _files:
        return PlainTextResponse(f"There is no file {name!r}. Load the page anew.", 404)
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(_files[name], media_type=kind, headers={"cache-control": _FOR_EVER})
