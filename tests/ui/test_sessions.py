"""What Gradio keeps of visitors is bounded, and calls that name no component are refused in a sentence."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
from anyio import to_thread
from anyio._backends._asyncio import WorkerThread
from gradio.context import LocalContext
from gradio.state_holder import StateHolder

from diffusion_studio.ui.sessions import (
    UNHEARD_SECONDS,
    ComponentCalls,
    JoinOnce,
    Listeners,
    end_idle_threads,
    free_session,
    limit_sessions,
)


def test_a_session_holds_no_copy_of_the_configuration():
    with gr.Blocks() as page:
        text = gr.Textbox("before")
        gr.Textbox("never touched")
    holder = StateHolder()
    holder.set_blocks(page)
    assert len(holder["before it was limited"].config_values) == len(page.blocks)
    limit_sessions(page)
    session = holder["visitor"]
    assert session.config_values == {} and session[text._id] is text
    session._update_value_in_config(text._id, "typed")  # as an event does
    assert session.config_values[text._id]["props"]["value"] == "typed"
    free_session(page, "visitor")
    free_session(page, "nobody")
    assert session.config_values == {} and "nobody" not in holder
    holder.capacity = 10
    for number in range(30):
        holder[f"visitor {number}"]
    assert len(holder.session_data) <= 10


@pytest.fixture(scope="module")
def post(run_async):
    """Factory: the answer to a POST, of an app that answers with what came to it."""
    with gr.Blocks() as page:
        page.text_id = gr.Textbox()._id

    async def echo(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def make(content: bytes, path="/gradio_api/component_server", **headers):
        async def ask():
            transport = httpx.ASGITransport(ComponentCalls(echo, page))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.post(path, content=content, headers=headers)

        return run_async(ask())

    make.text_id = page.text_id
    return make


def test_a_call_passes_unchanged(post):
    given = {"data": [1], "fn_name": "x", "component_id": post.text_id, "session_hash": "s"}
    answer = post(json.dumps(given).encode())
    assert answer.status_code == 200 and answer.json() == given
    assert post(b"no JSON", "/gradio_api/run/predict").content == b"no JSON"


@pytest.mark.parametrize(
    "given, said",
    [
        (b"{", "The body is not JSON."),
        (b"[" * 100_000, "The body is not JSON."),
        (b"5", "Send an object"),
        ({}, "Send an object"),
        ({"session_hash": 5}, "Send an object"),
        ({"session_hash": "s" * 500}, "at most 200 characters"),
        ({"session_hash": "s", "component_id": 99999, "fn_name": "x"}, "no such component"),
        ({"session_hash": "s", "component_id": [], "fn_name": "x"}, "no such component"),
        ({"session_hash": "s", "component_id": "ID", "fn_name": {}}, "name of a function"),
    ],
)
def test_what_cannot_be_called_is_refused_in_a_sentence(given, said, post):
    if isinstance(given, dict) and given.get("component_id") == "ID":
        given = {**given, "component_id": post.text_id}
    answer = post(given if isinstance(given, bytes) else json.dumps(given).encode())
    assert answer.status_code == 422 and said in answer.json()["detail"]


def test_a_call_that_is_too_large_is_refused(post, monkeypatch):
    monkeypatch.setattr("diffusion_studio.ui.sessions.MAX_BODY", 1 << 20)
    answer = post(b" " * (2 << 20))
    assert answer.status_code == 413 and "1 MB" in answer.json()["detail"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def counted(run_async, pending=None):
    """(listeners, clock, the number of open connections as `get(path)` sees it while it is answered)"""
    clock, page = Clock(), SimpleNamespace(_queue=SimpleNamespace(pending_event_ids_session=pending or {}))
    listeners, seen = Listeners(clock), []

    async def app(scope, receive, send):
        seen.append(sum(listeners._open.values()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    wrapped = listeners.middleware(app, page)

    def get(path, method="GET"):
        async def ask():
            transport = httpx.ASGITransport(wrapped)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                await client.request(method, path)

        run_async(ask())
        return seen[-1]

    return listeners, clock, get


def test_connections_are_counted_while_they_are_open(run_async):
    listeners, _, get = counted(run_async)
    assert get("/gradio_api/queue/data?session_hash=a") == get("/gradio_api/call/animate/event") == 1
    assert get("/gradio_api/queue/status") == get("/") == get("/gradio_api/call/animate", "POST") == 0
    assert not listeners._open


@contextmanager
def asked_by(session: str):
    """As Gradio calls the function of an event."""
    token = LocalContext.request.set(SimpleNamespace(session_hash=session))
    try:
        yield
    finally:
        LocalContext.request.reset(token)


def test_items_come_until_nobody_has_listened_for_a_while(run_async):
    listeners, clock, _ = counted(run_async, {"session of its own": {"event"}})
    closed = []

    def items():
        try:
            for number in range(1000):
                clock.now += UNHEARD_SECONDS / 4
                yield number
        finally:
            closed.append(True)

    with asked_by("gone"):
        assert list(listeners.while_heard(items())) == [0, 1, 2, 3] and closed == [True]
        assert len(list(Listeners(clock).while_heard(items()))) == 1000  # connections are not counted
    assert len(list(listeners.while_heard(items()))) == 1000  # no session: an assistant, a page's function
    listeners._open["event"] = 1  # its program waits for the event, not for its session
    with asked_by("session of its own"):
        assert len(list(listeners.while_heard(items()))) == 1000


def test_closing_what_is_heard_closes_the_run():
    closed = []

    def items():
        try:
            yield from range(5)
        finally:
            closed.append(True)

    heard = Listeners().while_heard(items())
    assert next(heard) == 0
    heard.close()
    assert closed == [True]


class Queue:
    """An app that answers each join with the number of events so far, once it may."""

    def __init__(self) -> None:
        self.events, self.status = 0, 200
        self.may = asyncio.Event()

    async def __call__(self, scope, receive, send):
        await receive()
        self.events += 1
        body = str(self.events).encode()
        await self.may.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


def test_a_join_that_is_sent_again_is_one_event(run_async):
    """The answer was lost, so the page asks again: its run would be computed twice."""

    async def asked():
        queue = Queue()
        transport = httpx.ASGITransport(JoinOnce(queue))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:

            async def join(name=None, path="/gradio_api/queue/join"):
                headers = {} if name is None else {"x-join": name}
                return (await client.post(path, headers=headers)).text

            waiting = [asyncio.create_task(join("a")) for _ in range(3)]  # also before it is answered
            while not queue.events:
                await asyncio.sleep(0)
            queue.may.set()
            first = [await one for one in waiting]
            found = [first, await join("a"), await join("b"), await join(), await join()]
            found += [await join("a", "/gradio_api/run/predict")]
            queue.status = 503  # nothing has begun, so the next one may
            return [*found, await join("c"), await join("c")]

    assert run_async(asked()) == [["1"] * 3, "1", "2", "3", "4", "5", "6", "7"]


def test_the_answers_of_joins_are_bounded(run_async, monkeypatch):
    monkeypatch.setattr("diffusion_studio.ui.sessions.MAX_JOINS", 3)

    async def asked():
        queue = Queue()
        queue.may.set()
        once = JoinOnce(queue)
        transport = httpx.ASGITransport(once)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            for number in range(10):
                await client.post("/gradio_api/queue/join", headers={"x-join": str(number)})
        return len(once._answers)

    assert run_async(asked()) == 3


def test_idle_threads_of_the_pool_end_though_nobody_asks(run_async, monkeypatch):
    """After 24 visitors 37 were left until the next request came."""
    monkeypatch.setattr("diffusion_studio.ui.sessions.POOL_SECONDS", 0.01)
    monkeypatch.setattr(WorkerThread, "MAX_IDLE_TIME", 0)
    together, used, left = threading.Barrier(8), set(), []

    def work() -> None:
        together.wait(60)  # so that each has a thread of its own
        used.add(threading.current_thread())

    async def app(scope, receive, send):
        await asyncio.gather(*(to_thread.run_sync(work) for _ in range(8)))
        until = time.monotonic() + 60
        while len(alive := [one for one in used if one.is_alive()]) > 1 and time.monotonic() < until:
            await asyncio.sleep(0.01)
        left.extend(alive)

    async def lived():
        await end_idle_threads(app)({"type": "lifespan"}, None, None)

    run_async(lived())
    assert len(used) == 8 and len(left) <= 1
