"""The page itself, its theme and our own module, compressed on their way: Gradio compresses its own scripts
and styles alone. With the page goes a header that names the module, so that the browser loads it early.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .static_files import FOLDER, preload_header

PAGES = ("/", "/config", "/theme.css")  # nothing that streams


class CompressedPage:
    """ASGI middleware: gzip for `PAGES` and our own files, where the browser takes it; everything else
    passes unchanged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.packed = GZipMiddleware(app, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", "")) or "/"
        whole = scope["type"] == "http" and (path in PAGES or path.startswith(f"/{FOLDER}/"))

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["link"] = preload_header()
            await send(message)

        await (self.packed if whole else self.app)(
            scope, receive, send_page if whole and path == "/" else send
        )
