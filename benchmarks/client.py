"""The load: people with a browser each, who sign in, ask by POST and watch by WebSocket.

It follows the product's published protocol (docs/protocol.md) and nothing else of it: a send with an
idempotency key answered by ids, `subscribe`, a snapshot, numbered events, and on a gap a new subscribe.
Frames are kept with the time of their read and interpreted when the run is over, so that reading them costs
the measured time as little as possible.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.lean_http import Answer, Http
from benchmarks.lean_websocket import WebSocket
from benchmarks.stamps import Shape, Track, is_exact

SEQ = re.compile(rb'"seq": ?(\d+)')
FORM_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="([^"]+)"')
DELTA = "assistant_message.content_part.text_delta"
FINAL_STATES = {"completed", "stopped", "failed", "interrupted"}


class Refused(Exception):
    """The product answered a send with something else than 202."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status}: {answer.body[:300]!r}")
        self.status = answer.status


class Tab:
    """One open page: a socket that watches one conversation."""

    def __init__(self, port: int, cookies: Mapping[str, str], deflate: bool = True) -> None:
        self.port, self.cookies, self.deflate = port, cookies, deflate
        self.kept: list[tuple[int, bytes]] = []
        self.thread_id: str | None = None
        self.seq = 0
        self.resyncs = 0
        self.ended: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Event()

    async def open(self) -> None:
        """Connect and shake hands; ConnectionError with the status line when refused."""
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Origin": f"http://127.0.0.1:{self.port}",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }
        loop = asyncio.get_running_loop()
        _, self.socket = await loop.create_connection(
            lambda: WebSocket("/ws/", headers, self._take, self.deflate), "127.0.0.1", self.port
        )
        await self.socket.opened

    def subscribe(self, thread_id: str, after: int | None = None) -> None:
        """Watch a conversation, or go on with it after the number `after`."""
        self.thread_id, self.seq = thread_id, after or 0
        self.socket.send_text(json.dumps({"type": "subscribe", "thread_id": thread_id, "after": after}))

    def _take(self, now: int, payload: bytes) -> None:
        self.kept.append((now, payload))
        if b"text_delta" in payload:
            found = SEQ.search(payload)
            if found is not None:
                self._count(int(found[1]))
            return
        frame = json.loads(payload)
        if frame.get("thread_id") != self.thread_id:
            return
        if frame["type"] == "snapshot":
            self.seq = max(self.seq, frame["seq"])
            for item in frame["items"]:
                self._note(item)
        elif frame["type"] == "event":
            self._count(frame["seq"])
            if frame["event"]["type"] == "thread.item.done":
                self._note(frame["event"]["item"])

    def _count(self, seq: int) -> None:
        if seq > self.seq + 1 and self.thread_id is not None:
            self.resyncs += 1
            self.subscribe(self.thread_id, self.seq)
        elif seq == self.seq + 1:
            self.seq = seq

    def _note(self, item: dict[str, Any]) -> None:
        if item["type"] == "assistant_message" and item["stkweb"]["state"] in FINAL_STATES:
            self.ended[item["id"]] = item
            self.changed.set()

    async def wait_for(self, answer_id: str, deadline: float) -> bool:
        """Wait until the answer has ended in this tab; False when it did not within `deadline` seconds."""
        try:
            async with asyncio.timeout(deadline):
                while answer_id not in self.ended and not self.socket.closed.done():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return answer_id in self.ended

    def track(self, answer_id: str, shape: Shape, requested_ns: int) -> Track:
        """Replay the kept frames for an answer of the watched conversation, by the protocol's rules."""
        track, text, seq = Track(shape, requested_ns), "", 0
        for now, payload in self.kept:
            frame = json.loads(payload)
            if frame.get("thread_id") != self.thread_id:
                continue
            if frame["type"] == "snapshot":
                seq = max(seq, frame["seq"])
                whole = next((_text(item) for item in frame["items"] if item["id"] == answer_id), "")
                if len(whole) > len(text):
                    track.add(now, whole[len(text) :])
                    text = whole
            elif frame["type"] == "event" and frame["seq"] == seq + 1:
                seq += 1
                event = frame["event"]
                if event["type"] != "thread.item.updated" or event["item_id"] != answer_id:
                    continue
                if event["update"]["type"] == DELTA:
                    track.add(now, event["update"]["delta"])
                    text += event["update"]["delta"]
        final = _text(self.ended.get(answer_id, {}))
        track.exact = text == final and is_exact(final)
        return track

    def close(self) -> None:
        self.socket.close()


def _text(item: Mapping[str, Any]) -> str:
    return "".join(part["text"] for part in item.get("content", ()) if part["type"] == "output_text")


@dataclass(slots=True)
class Sent:
    """The ids of a send, and when its request left and its answer came (monotonic ns)."""

    conversation: str
    answer: str
    sent_ns: int
    accepted_ns: int


@dataclass
class Person:
    """One signed-in person with one keep-alive connection and any number of tabs."""

    port: int
    cookies: dict[str, str]
    csrf: str
    deflate: bool = True
    tabs: list[Tab] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = Http(self.port)

    def headers(self) -> dict[str, str]:
        return {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "X-CSRFToken": self.csrf,
            "Origin": f"http://127.0.0.1:{self.port}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    async def open_tabs(self, count: int) -> None:
        for _ in range(count):
            tab = Tab(self.port, self.cookies, self.deflate)
            await tab.open()
            self.tabs.append(tab)

    async def ask(self, text: str, agent: str, conversation: str | None = None) -> Sent:
        """Send a question, a new conversation's first or the next of one; Refused on another answer."""
        path = "/c/" if conversation is None else f"/c/{conversation}/messages/"
        body = json.dumps({"text": text, "agent": agent}).encode()
        headers = self.headers() | {"Idempotency-Key": str(uuid.uuid4())}
        answer = await self.http.request("POST", path, headers, body)
        if answer.status != 202:
            raise Refused(answer)
        ids = answer.json()
        return Sent(ids["conversation"], ids["answer"], answer.sent_ns, answer.received_ns)

    def close(self) -> None:
        for tab in self.tabs:
            tab.close()
        self.tabs.clear()
        self.http.close()


async def sign_in(port: int, username: str, password: str) -> Person:
    """Sign in through the login page as a browser does; ValueError when it does not let the person in."""
    http = Http(port)
    page = await http.request("GET", "/accounts/login/", {"Accept": "text/html"})
    token = FORM_TOKEN.search(page.body)
    if token is None:
        raise ValueError(f"no form on the login page: {page.status} {page.body[:200]!r}")
    cookies = page.cookies()
    form = f"csrfmiddlewaretoken={token[1].decode()}&username={username}&password={password}"
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://127.0.0.1:{port}",
        "Referer": f"http://127.0.0.1:{port}/accounts/login/",
    }
    answer = await http.request("POST", "/accounts/login/", headers, form.encode())
    http.close()
    if answer.status not in (302, 303):
        raise ValueError(f"sign-in answered {answer.status}")
    cookies |= answer.cookies()
    csrf = next(value for name, value in cookies.items() if "csrf" in name)
    return Person(port, cookies, csrf)
