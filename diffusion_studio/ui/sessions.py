"""What Gradio keeps of each visitor's page, bounded.

Gradio keeps a session for every name of a session that it is sent, up to 10,000 of them, also after the
page has closed, and in each a copy of the configuration of every component: 1 MB for this page. Only its
deep links need that copy, and there are none here.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import parse_qs

import gradio as gr
from anyio import to_thread
from gradio.context import LocalContext
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
MAX_SESSIONS = 1000  # the one that was used longest ago goes first
MAX_BODY = 40 << 20  # bytes of a call of a component's function; an uploaded picture may have 24 MB
MAX_NAME = 200  # characters of a session's name
MAX_JOINS = 1000  # whose answers are kept for a page that asks again
POOL_SECONDS = 30.0  # between two looks at idle threads
UNHEARD_SECONDS = 20.0  # without a listener, after which a run ends
_CALL = re.compile(r"/call/[^/]+/([^/]+)$")  # an event of a program, which is its session, too
_CALLS = "/component_server"
_JOIN, _JOIN_NAME = "/queue/join", b"x-join"  # server_link.mjs sends the header


def limit_sessions(page: gr.Blocks) -> None:
    """Have new sessions of a launched page begin without the copy of the configuration.

    A session fills in the components whose value or properties change.
    """
    holder: Any = page.state_holder
    holder.blocks = SimpleNamespace(default_config=page.default_config, blocks={})


def free_session(page: gr.Blocks, visitor: str) -> None:
    """Free the values that a closed page's session holds.

    What the session knows of the components stays, because a page whose connection broke comes back to it.
    """
    holder: Any = getattr(page, "state_holder", None)  # None before the launch
    session = holder.session_data.get(visitor) if holder is not None else None
    if session is not None:
        session.config_values.clear()


class Listeners:
    """Which sessions have a connection open, on which they are sent what they asked for.

    Gradio computes what was asked for also where nobody ever comes for the answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._open: Counter[str] = Counter()
        self._clock = clock
        self._page: gr.Blocks | None = None  # None where the connections are not counted

    def middleware(self, app: ASGIApp, page: gr.Blocks) -> ASGIApp:
        """The app of a page, with its connections counted."""
        self._page = page

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            name = _listening(scope)
            if not name:
                await app(scope, receive, send)
                return
            self._open[name] += 1
            try:
                await app(scope, receive, send)
            finally:
                self._open[name] -= 1
                if not self._open[name]:
                    del self._open[name]

        return counted

    def hears(self, visitor: str) -> bool:
        """Whether a session listens, or a program that waits for one of its events."""
        queue: Any = self._page._queue if self._page is not None else None
        events = queue.pending_event_ids_session.get(visitor, set()).copy() if queue is not None else ()
        return any(self._open[name] for name in (visitor, *events))

    def while_heard(self, items: Iterator[T]) -> Generator[T]:
        """The items, until nobody has listened for `UNHEARD_SECONDS` seconds. It looks between two items.

        Then their generator is closed, as by a connection that ends. Who listens is the session of the event
        that is being answered. All items where there is none, as with assistants and the page's own
        functions, and where connections are not counted.
        """
        visitor = getattr(LocalContext.request.get(None), "session_hash", None)
        last = self._clock()
        try:
            for item in items:
                if self._page is None or not visitor or self.hears(visitor):
                    last = self._clock()
                elif self._clock() - last > UNHEARD_SECONDS:
                    return
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()


def _listening(scope: Scope) -> str:
    """The session, or the event, of a request for answers; empty for any other request."""
    if scope["type"] != "http" or scope.get("method") != "GET":
        return ""
    path = scope.get("path", "").rstrip("/")
    if path.endswith("/queue/data"):
        return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [""])[0]
    found = _CALL.search(path)
    return found[1] if found else ""


class ComponentCalls:
    """ASGI middleware: refuses calls of components' functions that name no component of the page.

    Gradio would answer with an internal error, and a traceback in the log.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self.app, self.page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/")
        if scope["type"] != "http" or scope.get("method") != "POST" or not path.endswith(_CALLS):
            await self.app(scope, receive, send)
            return
        body, whole = await _body(receive)
        if not whole:
            answer = JSONResponse({"detail": f"A call may have {MAX_BODY >> 20} MB."}, 413)
        elif error := self._error(body, dict(scope["headers"]).get(b"content-type", b"")):
            answer = JSONResponse({"detail": error}, 422)
        else:
            await self.app(scope, _again(body, receive), send)
            return
        await answer(scope, receive, send)

    def _error(self, body: bytes, kind: bytes) -> str:
        """Why the call cannot be made, or nothing."""
        if kind.startswith(b"multipart/form-data"):
            return "Calls with files are not taken here. Send JSON."
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return "The body is not JSON."
        session = given.get("session_hash") if isinstance(given, dict) else None
        if not isinstance(session, str) or len(session) > MAX_NAME:
            return f"Send an object with a session_hash of at most {MAX_NAME} characters."
        if given.get("component_id") not in [*self.page.blocks]:
            return "The page has no such component. Load it again."
        if not isinstance(given.get("fn_name"), str):
            return "fn_name is the name of a function."
        return ""


class JoinOnce:
    """ASGI middleware: a page that sends a join of the queue again, as no answer came, gets the first answer.

    Its event would run twice. The page names each of its joins in a header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._answers: OrderedDict[str, asyncio.Future[list[Message]]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/")
        joins = scope["type"] == "http" and scope.get("method") == "POST" and path.endswith(_JOIN)
        name = dict(scope["headers"]).get(_JOIN_NAME, b"").decode("latin-1") if joins else ""
        if not name or len(name) > MAX_NAME:
            await self.app(scope, receive, send)
            return
        while (first := self._answers.get(name)) is not None:
            if messages := await asyncio.shield(first):
                for message in messages:
                    await send(message)
                return
        await self._first(name, scope, receive, send)

    async def _first(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and keep the answer unless it is an error."""
        answer = self._answers[name] = asyncio.get_running_loop().create_future()
        while len(self._answers) > MAX_JOINS:
            self._answers.popitem(last=False)
        messages: list[Message] = []

        async def kept(message: Message) -> None:
            messages.append(message)
            await send(message)

        try:
            await self.app(scope, receive, kept)
        finally:
            whole = bool(messages) and messages[-1]["type"] == "http.response.body"
            good = whole and messages[0].get("status") == 200 and not messages[-1].get("more_body")
            if not good and self._answers.get(name) is answer:
                del self._answers[name]
            answer.set_result(messages if good else [])


def end_idle_threads(app: ASGIApp) -> ASGIApp:
    """ASGI middleware: idle threads of the server's pool end within a minute.

    anyio ends them when another one is used, so all that a crowd needed would stay until the next visitor.
    """

    async def looking() -> None:
        while True:
            await asyncio.sleep(POOL_SECONDS)
            await to_thread.run_sync(int)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        task = asyncio.create_task(looking())
        try:
            await app(scope, receive, send)
        finally:
            task.cancel()

    return watched


async def _body(receive: Receive) -> tuple[bytes, bool]:
    """The request's body, and whether it is whole and not too large."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"", False
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return b"", False
        if not message.get("more_body"):
            return b"".join(parts), True


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
