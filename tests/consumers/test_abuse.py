"""What a socket does to one that sends too much, nonsense, or never reads."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from websockets.exceptions import ConnectionClosed

from chat.consumers import guard
from chat.models import Agent, State, new_id
from tests.agent_server import AgentServer, gate, hang, pause, say, usage
from tests.consumers.conftest import Site
from tests.real_server import wait_for
from tests.tab import Tab

OpenTab = Callable[..., Tab]
PING = '{"type":"ping"}'


def send_all(tab: Tab, *messages: str | bytes) -> None:
    """Send as much of it as the socket takes."""
    try:
        for message in messages:
            tab.socket.send(message)
    except ConnectionClosed:
        pass


ABUSES: dict[str, tuple[tuple[str | bytes, ...], set[int]]] = {
    "a frame above 1 MiB": (("x" * (1024 * 1024 + 1),), {1009}),
    "a frame above the limit": ((json.dumps({"type": "ping", "x": "x" * 65_536}),), {1009}),
    "five hundred frames at once": ((PING,) * 500, {1008}),
    "a binary frame": ((b"\x00\x01",), {1008}),
    "an empty binary frame": ((b"",), {1008}),
    "nonsense, again and again": (("junk",) * 7, {1008}),
    "a hundred subscriptions": (
        tuple(json.dumps({"type": "subscribe", "thread_id": new_id(), "after": None}) for _ in range(300)),
        {1008},
    ),
}


@pytest.mark.parametrize("abuse", ABUSES)
def test_abuse_closes_the_socket_and_disturbs_nobody(
    site: Site, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab,
    caplog: pytest.LogCaptureFixture, abuse: str,
) -> None:  # fmt: skip
    """S06."""
    messages, codes = ABUSES[abuse]
    agent_server.answer(say("so "), gate("go"), say("far"), usage())
    his = site.ask(bob)
    bystander = open_tab(bob)
    bystander.subscribe(his.conversation)
    wait_for(lambda: bystander.text(his.answer) == "so ")
    tab = open_tab(alice)
    wait_for(lambda: tab.of_type("hello"))
    send_all(tab, *messages)
    wait_for(lambda: tab.code is not None)
    assert tab.code in codes
    agent_server.open("go")
    wait_for(lambda: bystander.state(his.answer) == State.COMPLETED)
    assert bystander.text(his.answer) == "so far"
    assert bystander.code is None
    wait_for(lambda: len(guard._sockets) == 1, what="nothing is left of it")
    assert "Traceback" not in caplog.text and "never retrieved" not in caplog.text


NONSENSE = [
    "", "null", "[]", "1", "{", '"ping"', "{}", '{"type":"what"}', '{"type":null}', '{"type":["ping"]}',
    '{"type":"subscribe"}', '{"type":"subscribe","thread_id":1}', '{"type":"subscribe","thread_id":""}',
    json.dumps({"type": "subscribe", "thread_id": "x" * 65}),
    '{"type":"subscribe","thread_id":"x","after":-1}', '{"type":"subscribe","thread_id":"x","after":1e99}',
    '{"type":"subscribe","thread_id":"x","after":"many"}', '{"type":"stop"}', '{"type":"unsubscribe"}',
    '{"type":"ping"' + ',"a":' + "[" * 10_000 + "]" * 10_000 + "}", "[" * 10_000, '{"type":"\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_a_frame_that_cannot_be_read_is_refused_and_the_socket_stays(
    site: Site, alice: Any, open_tab: OpenTab, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    tab = open_tab(alice)
    send_all(tab, text, PING)
    wait_for(lambda: tab.of_type("pong"))
    assert tab.of_type("error") == [{"type": "error", "code": "bad_frame", "thread_id": None}]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("thread_id", ["\x00", "a\x00b", "' OR 1=1 --", "%00", "é", "../..", "x" * 64])
def test_a_strange_id_is_one_that_is_not_there(
    site: Site, alice: Any, open_tab: OpenTab, thread_id: str
) -> None:
    tab = open_tab(alice)
    for kind in ("subscribe", "unsubscribe", "stop"):
        tab.send(type=kind, thread_id=thread_id)
    tab.send(type="ping")
    wait_for(lambda: tab.of_type("pong"))
    error = {"type": "error", "code": "not_found", "thread_id": thread_id}
    assert tab.of_type("error") == [error, error]


def test_fields_nobody_knows_are_ignored(site: Site, alice: Any, open_tab: OpenTab) -> None:
    tab = open_tab(alice)
    tab.send(type="ping", later="perhaps")
    wait_for(lambda: tab.of_type("pong"))


def test_an_ordinary_reader_is_never_taken_for_an_abuser(
    site: Site, alice: Any, agent: Agent, open_tab: OpenTab
) -> None:
    sent = site.ask(alice)
    site.ended(sent)
    tab = open_tab(alice)
    for _ in range(40):
        tab.subscribe(sent.conversation)
        tab.send(type="unsubscribe", thread_id=sent.conversation)
    tab.send(type="ping")
    wait_for(lambda: tab.of_type("pong"))
    assert tab.code is None


def test_a_reader_that_does_not_read_is_dropped_and_may_resume(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab, settings: Any
) -> None:
    """R23: 4008 once too much is unsent; the answer goes on, and another socket has all of it."""
    settings.LIMIT_ANSWER_BYTES, settings.LIMIT_UNSENT_BYTES = 64 << 20, 1 << 20
    piece = "0123456789abcdef" * 4096
    count = 200
    agent_server.answer(say("begin"), gate("go"), *[say(piece), pause(0.01)] * count, usage())
    sent = site.ask(alice)
    slow = SlowReader(site, alice, sent.conversation)
    wait_for(lambda: any(s.watched() for s in list(guard._sockets)), what="it watches")
    agent_server.open("go")
    answer = site.ended(sent, 60)
    assert answer.state == State.COMPLETED, "a turn never waits for a reader"
    assert answer.text == "begin" + piece * count
    assert slow.read_to_the_end() == 4008
    again = open_tab(alice)
    again.subscribe(sent.conversation, slow.seq)
    wait_for(lambda: again.text(sent.answer) == answer.text, 30)


def test_a_snapshot_larger_than_may_wait_reaches_a_reader_that_keeps_up(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab, settings: Any
) -> None:
    settings.LIMIT_UNSENT_BYTES = 64 * 1024
    agent_server.answer(say("x" * 500_000), usage())
    sent = site.ask(alice)
    site.ended(sent)
    tab = open_tab(alice)
    tab.subscribe(sent.conversation)
    wait_for(lambda: tab.text(sent.answer) == "x" * 500_000)
    assert tab.code is None


class SlowReader:
    """A socket whose owner stops reading after the handshake."""

    def __init__(self, site: Site, user: Any, thread_id: str) -> None:
        self.raw = socket.socket()
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.raw.connect(("127.0.0.1", site.port))
        lines = [
            "GET /ws/ HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13",
            f"Origin: {django_settings.ORIGINS[0]}", f"Cookie: {site.cookie(site.sign_in(user))}", "", "",
        ]  # fmt: skip
        self.raw.sendall("\r\n".join(lines).encode())
        self.seq = 0
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.raw.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        self._send(json.dumps({"type": "subscribe", "thread_id": thread_id, "after": None}))

    def _send(self, text: str) -> None:
        data = text.encode()
        mask = b"\x00\x00\x00\x00"
        self.raw.sendall(bytes([0x81, 0x80 | len(data)]) + mask + data)

    def read_to_the_end(self) -> int | None:
        """The close code, after everything that was still on its way."""
        self.raw.settimeout(20)
        stream = self.raw.makefile("rb")
        with self.raw, stream:
            while head := stream.read(2):
                length = head[1] & 127
                if length >= 126:
                    length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
                data = stream.read(length)
                if head[0] & 15 == 8:
                    return int.from_bytes(data[:2], "big")
                frame = json.loads(data)
                self.seq = frame.get("seq", self.seq)
        return None


def test_a_reader_that_takes_nothing_for_long_is_dropped(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    """R23: by time, though little waits."""
    settings.LIMIT_ANSWER_BYTES, settings.LIMIT_UNSENT_SECONDS = 64 << 20, 1.0
    settings.LIMIT_UNSENT_BYTES, settings.LIMIT_FRAMES = 1 << 30, 1000
    piece = "0123456789abcdef" * 4096
    slow_steps = [step for _ in range(60) for step in (say("x"), pause(0.05))]
    agent_server.answer(say("begin"), gate("go"), *[say(piece)] * 150, *slow_steps, hang())
    sent = site.ask(alice)
    slow = SlowReader(site, alice, sent.conversation)
    wait_for(lambda: len(guard._sockets) == 1)
    begun = time.monotonic()
    agent_server.open("go")
    wait_for(lambda: any(s.outbox.closed for s in list(guard._sockets)), 15, "its outbox is shut")
    assert time.monotonic() - begun < 15
    assert slow.read_to_the_end() == 4008


def test_a_reader_that_never_reads_again_keeps_no_connection(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """R23: what the reader did not take is let go of."""
    monkeypatch.setattr("stkweb.sockets.GRACE", 0.3)
    settings.LIMIT_ANSWER_BYTES, settings.LIMIT_UNSENT_BYTES = 64 << 20, 1 << 20
    agent_server.answer(
        say("begin"), gate("go"), *[say("0123456789abcdef" * 4096), pause(0.01)] * 60, usage()
    )
    sent = site.ask(alice)
    slow = SlowReader(site, alice, sent.conversation)
    wait_for(lambda: any(s.watched() for s in list(guard._sockets)), what="it watches")
    agent_server.open("go")
    site.ended(sent, 60)
    wait_for(lambda: not site.server.server_state.connections, 10, "its connection is cut")
    slow.raw.close()
