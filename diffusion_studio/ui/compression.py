"""The page itself, compressed on its way: Gradio compresses its scripts and styles, and not the page, which
holds the configuration of every component.
"""

from __future__ import annotations

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

PAGES = ("/", "/config")  # nothing that streams


class CompressedPage:
    """ASGI middleware: gzip for `PAGES`, where the browser takes it; everything else passes unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.packed = GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", "")) or "/"
        whole = scope["type"] == "http" and path in PAGES
        await (self.packed if whole else self.app)(scope, receive, send)
