"""The app's page without a browser: joins the queue, follows the ticks and pulls every frame, over HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from http.client import HTTPConnection
from typing import Any

import httpx


class Page:
    """One visitor. Settings are those the page starts with, but for what `run` is given by a control's
    elem_id.
    """

    def __init__(self, address: str) -> None:
        # a connection is not used again in the moment in which the server closes it (after 5 seconds)
        self.http = httpx.Client(
            base_url=f"{address}/gradio_api", timeout=120, limits=httpx.Limits(keepalive_expiry=3)
        )
        self.session = secrets.token_hex(8)
        config = httpx.get(f"{address}/config", timeout=60).json()
        parts = {one["id"]: one for one in config["components"]}
        named = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self.player = named["player"]
        events = config["dependencies"]
        (button,) = (one for one in events if [named["generate"], "click"] in one["targets"])
        self.press = _following(button, events)
        click = _following(self.press, events)
        self.event, self.inputs = click["id"], click["inputs"]
        self.values = {one: parts[one]["props"].get("value") for one in self.inputs}
        self.named = named
        self.error = ""  # the sentence of a run that failed
        self.digests: dict[int, str] = {}  # of the last run's frames, by place
        (load,) = (
            one
            for one in events
            if any(what == "load" for _, what in one["targets"]) and named["model"] in one["outputs"]
        )
        self._open(load)
        self._heart = HTTPConnection(address.removeprefix("http://"), timeout=120)
        self._heart.request("GET", f"/gradio_api/heartbeat/{self.session}")
        self.first: float | None = None  # when its first state was told, as time.perf_counter counts

    def _open(self, event: dict[str, Any]) -> None:
        """What a page asks when it opens; Gradio makes the visitor's state then."""
        about = {"session_hash": self.session, "event_data": None}
        self.http.post("/queue/join", json={"data": [], "fn_index": event["id"], **about})
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                if "process_completed" in line:
                    break

    def close(self) -> None:
        """As a page that is closed: its heartbeat ends, and the server frees what it kept for it."""
        self._heart.close()
        self.http.close()

    def run(self, **settings: Any) -> int:
        """Generate, pull every frame while it runs as the page does, and return how many there were."""
        (pressed,) = self.press["outputs"]
        values = {**self.values, **{self.named[name]: value for name, value in settings.items()}}
        values[pressed] = secrets.token_hex(8)
        self.error, self.first, self.digests = "", None, {}
        about = {"session_hash": self.session, "event_data": None}
        data = [values[one] for one in self.press["inputs"]]
        begin = {"data": data, "fn_index": self.press["id"], **about}
        self.http.post("/run/predict", json=begin).raise_for_status()
        joined = self.http.post(
            "/queue/join",
            json={"data": [values[one] for one in self.inputs], "fn_index": self.event, **about},
        )
        if joined.is_error:
            self.error = f"{joined.status_code} {joined.text}"
            return 0
        tick: dict[str, Any] = {}
        arrived, pulled = threading.Condition(), []
        puller = threading.Thread(target=self._pull, args=(tick, arrived, pulled))
        puller.start()
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                data = message.get("output", {}).get("data") or [None]
                with arrived:
                    tick.update(self._value(data[0]) if message.get("msg") == "process_generating" else {})
                    if message.get("msg") == "process_completed":
                        tick["over"] = True
                        self.error = "" if message["success"] else str(message["output"].get("error"))
                    if "run" in tick and self.first is None:
                        self.first = time.perf_counter()
                    arrived.notify()
                if tick.get("over"):
                    break
        puller.join()
        return len(pulled)

    @staticmethod
    def _value(given: Any) -> dict[str, Any]:
        """A whole tick, or the changes that Gradio sends after the first one."""
        if isinstance(given, dict):
            return {} if given.get("__type__") == "update" else given
        return {path[0]: value for kind, path, value in given or [] if kind in ("replace", "add") and path}

    def _pull(self, tick: dict[str, Any], arrived: threading.Condition, pulled: list[int]) -> None:
        while True:
            with arrived:
                arrived.wait_for(lambda: tick.get("over") or tick.get("kept", -1) >= len(pulled))
                places = list(range(len(pulled), tick.get("kept", -1) + 1))
                if not places:
                    return
            answer = self.http.post(
                "/component_server",
                json={
                    "data": [tick["run"], places],
                    "fn_name": "frames",
                    "component_id": self.player,
                    "session_hash": self.session,
                },
            ).json()
            pulled.extend(place for place, *_ in answer)
            for place, frame, *_ in answer:
                self.digests[place] = hashlib.sha256(frame.encode()).hexdigest()


def _following(event: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """The event that the page starts after another one: its `then`."""
    (found,) = (
        one
        for one in events
        if one.get("trigger_after") == event["id"] and not one.get("trigger_only_on_failure")
    )
    return found
