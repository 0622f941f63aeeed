"""An agent for tests: a real HTTP server on loopback that follows a script, byte by byte.

    with AgentServer() as server:
        server.answer(say("Hel", "lo"), usage(user=3, output=2))   # the next chat request
        config = server.config("stackspot")                        # or "openai"

A test that has nothing to say gets `DEFAULT` (a short answer with usage). Scripts are taken in the
order of the requests; `server.always(...)` replaces the default. A script is a sequence of steps:

    say("a", "b")            one delta each, in the dialect of the endpoint that was called
    think("hm")              reasoning (OpenAI endpoint)
    call("f", {...})         a call of a function tool (OpenAI endpoint), its arguments in two parts
    usage(user=1, ...)       the proper end, with token counts, counted in `server.reported`
    reports(1, 2, 3)         counts there what raw bytes of this answer report
    end("stop")              the proper end without counts (OpenAI: no marker; see `done`)
    done()                   the marker data: [DONE]
    failure({...})           an error object inside the stream
    pause(0.2)               seconds of silence
    gate("name")             silence until `server.open("name")`
    hang()                   silence until the client leaves
    raw(b"...")              exact bytes of the body, as one segment
    pieces(b"...", size=1)   the same in segments of `size` bytes
    part(b"...", of=100)     the beginning of a JSON body of a certain length
    wire(b"...")             exact bytes outside the framing of HTTP
    drop()                   reset the connection (RST)
    cut()                    close it in the middle of the body (FIN)

or, as the first step, a whole answer: `refuse(429, {...}, headers)`, `whole({...})`, `page("<h1>")`,
`redirect(url)`; or `headers(Content_Type="...")` before other steps, or `before_headers(step)`.

Everything the server saw is in `requests`, `token_calls`, `connections`, `uploads`. It runs on a
thread of its own, so that tests, servers under test and browsers may all use it. Fixture:
`from tests.agent_server import agent_server`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest

from chat.agents.values import AgentConfig

AGENT_ID = "01K6101856EC0MKJ8KN4S2B9CM"
CLIENT_SECRET = "test-secret-b7f1"
API_KEY = "test-key-90ac"
_numbers = itertools.count(1)
REASONS = {200: "OK", 201: "Created", 204: "No Content", 302: "Found", 401: "Unauthorized"}


class ClientGone(Exception):
    """The client closed the connection while the script was running."""


@dataclass(eq=False)
class Connection:
    """One connection from a client. `closed_by` is "client" or "server"; times are monotonic."""

    opened_at: float
    closed_at: float | None = None
    closed_by: str | None = None


@dataclass(eq=False)
class Recorded:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: Connection
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Stream:
    """The answer being written; what steps work with."""

    def __init__(self, server: AgentServer, request: Recorded, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.request = request
        self.openai = request.path.endswith("/chat/completions")
        self.extra_headers: dict[str, str] = {"Content-Type": "text/event-stream"}
        self.gone = asyncio.Event()
        self.complete = True  # the connection may serve another request
        self.is_whole = False  # framed by its length, not by chunks
        self._writer = writer
        self._begun = False

    async def begin(self, status: int = 200, length: int | None = None) -> None:
        if self._begun:
            return
        self._begun = True
        self.is_whole = length is not None
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", framing]
        lines += [f"{name}: {value}" for name, value in self.extra_headers.items()]
        await self.wire(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def wire(self, data: bytes) -> None:
        if self.gone.is_set():
            raise ClientGone
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientGone from error

    async def body(self, data: bytes) -> None:
        await self.begin()
        if data:
            await self.wire(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, value: Any) -> None:
        await self.body(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")

    async def finish(self) -> None:
        await self.begin()
        await self.wire(b"0\r\n\r\n")

    async def silence(self, seconds: float | None, event: asyncio.Event | None = None) -> None:
        waits = [asyncio.ensure_future(self.gone.wait())]
        if event is not None:
            waits.append(asyncio.ensure_future(event.wait()))
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.gone.is_set():
            raise ClientGone

    def note_gone(self, watch: asyncio.Future[bytes]) -> None:
        if watch.cancelled() or watch.exception() is not None or not watch.result():
            self.gone.set()

    def reset(self) -> None:
        """RST: linger of zero seconds."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.complete = False
        self._writer.transport.abort()


Step = Callable[[Stream], Awaitable[None]]


def say(*texts: str, **members: Any) -> Step:
    async def step(stream: Stream) -> None:
        for text in texts:
            if stream.openai:
                choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
                await stream.event({"object": "chat.completion.chunk", "choices": [choice], **members})
            else:
                await stream.event(native(message=text, **members))

    return step


def think(*texts: str, key: str = "reasoning_content") -> Step:
    async def step(stream: Stream) -> None:
        for text in texts:
            delta = {"content": None, key: text}
            await stream.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    return step


def call(name: str, arguments: Mapping[str, Any], id: str = "call_a", index: int = 0) -> Step:
    text = json.dumps(arguments)

    async def step(stream: Stream) -> None:
        for part in (
            {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": text[:4]}},
            {"index": index, "function": {"arguments": text[4:]}},
        ):
            delta = {"tool_calls": [part]}
            await stream.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    return step


def native(**members: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"upload_ids": {}, "knowledge_source_id": [], "source": [],
                             "cross_account_source": [], "tools_id": [], "agent_info": []}  # fmt: skip
    return {**empty, **members}


def usage(
    user: int | None = 10,
    enrichment: int | None = None,
    output: int | None = 5,
    *,
    stop: str = "stop",
    counted: bool = True,
    **members: Any,
) -> Step:
    """`counted` False: it comes after the end, where it is no report any more."""

    async def step(stream: Stream) -> None:
        if stream.openai:
            counts = {"prompt_tokens": user, "completion_tokens": output, "total_tokens": None}
            await stream.event({"choices": [{"index": 0, "delta": {}, "finish_reason": stop}]})
            await stream.event({"choices": [], "usage": {**counts, **members}})
            await stream.body(b"data: [DONE]\n\n")
        else:
            counts = {"user": user, "enrichment": enrichment, "output": output}
            end = native(message="", stop_reason=stop, tokens=counts, message_id="01KJJB4T9SP5V1SYDEYHTZ5N6Y")
            await stream.event({**end, **members})
        if counted:
            stream.server.reported.append((user, enrichment, output))

    return step


def reports(user: int | None, enrichment: int | None, output: int | None) -> Step:
    """Notes what the other steps of this answer report in bytes of their own."""

    async def step(stream: Stream) -> None:
        stream.server.reported.append((user, enrichment, output))

    return step


def end(stop: str = "stop") -> Step:
    async def step(stream: Stream) -> None:
        if stream.openai:
            await stream.event({"choices": [{"index": 0, "delta": {}, "finish_reason": stop}]})
        else:
            await stream.event(native(message="", stop_reason=stop))

    return step


def done() -> Step:
    return raw(b"data: [DONE]\n\n")


def failure(value: Mapping[str, Any]) -> Step:
    return lambda stream: stream.event(dict(value))


def pause(seconds: float) -> Step:
    return lambda stream: _after_headers(stream, stream.silence, seconds)


def hang() -> Step:
    return lambda stream: _after_headers(stream, stream.silence, None)


def gate(name: str) -> Step:
    async def step(stream: Stream) -> None:
        await stream.begin()
        await stream.silence(None, stream.server.gate(name))

    return step


async def _after_headers(stream: Stream, wait: Callable[..., Awaitable[None]], *values: Any) -> None:
    await stream.begin()
    await wait(*values)


def raw(data: bytes) -> Step:
    return lambda stream: stream.body(data)


def pieces(data: bytes, size: int = 1) -> Step:
    async def step(stream: Stream) -> None:
        for start in range(0, len(data), size):
            await stream.body(data[start : start + size])
            await asyncio.sleep(0)

    return step


def wire(data: bytes) -> Step:
    return lambda stream: stream.wire(data)


def part(data: bytes, of: int) -> Step:
    """The beginning of a body that was promised to have `of` bytes."""

    async def step(stream: Stream) -> None:
        stream.extra_headers["Content-Type"] = "application/json"
        await stream.begin(length=of)
        await stream.wire(data)

    return step


def drop() -> Step:
    async def step(stream: Stream) -> None:
        # What was said before must be on its way, or the reset would take it along.
        await asyncio.sleep(0.05)
        stream.reset()

    return step


def cut() -> Step:
    async def step(stream: Stream) -> None:
        stream.complete = False

    return step


def headers(**values: str) -> Step:
    async def step(stream: Stream) -> None:
        stream.extra_headers.update({name.replace("_", "-"): value for name, value in values.items()})

    return step


def before_headers(seconds: float | None = None) -> Step:
    """Silence before the status line; without a number until the client leaves."""
    return lambda stream: stream.silence(seconds)


def whole(value: Any, status: int = 200, content_type: str = "application/json", **more: str) -> Step:
    """A complete answer instead of a stream: JSON, or text and bytes as they are."""
    body = value.encode() if isinstance(value, str) else value
    body = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def step(stream: Stream) -> None:
        stream.extra_headers["Content-Type"] = content_type
        stream.extra_headers.update({name.replace("_", "-"): text for name, text in more.items()})
        await stream.begin(status, 0 if status == 204 else len(body))
        await stream.wire(b"" if status == 204 else body)

    return step


def refuse(status: int, value: Any = None, **more: str) -> Step:
    """An error answer; `more` are headers, as in refuse(429, Retry_After="3")."""
    bodies = {
        429: {"type": "TooManyRequests", "code": "INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED",
              "details": "Maximum number of requests reached."},
        401: {"message": "expired"},
    }  # fmt: skip
    return whole(
        bodies.get(status, {"message": f"status {status}"}) if value is None else value, status, **more
    )


def page(html: str, status: int = 200) -> Step:
    return whole(html, status, content_type="text/html; charset=utf-8")


def redirect(url: str) -> Step:
    return whole("", 302, Location=url)


DEFAULT: tuple[Step, ...] = (say("Hello", ", ", "world"), usage(10, None, 5))


class AgentServer:
    """The server. Use it as a context manager, or call `start` and `stop`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self.token_calls: list[Recorded] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.connections: list[Connection] = []
        self.reported: list[tuple[int | None, int | None, int | None]] = []
        self.errors: list[BaseException] = []
        self.token_lifetime: Any = 1199
        self.token_delay = 0.0
        self.agents: set[str] = {AGENT_ID}
        self.choose: Callable[[Recorded], tuple[Step, ...] | None] | None = None
        # Its own for each server: a process keeps tokens by credential, and ports come again.
        self.client_id = f"test-client-{next(_numbers)}"
        self.port = 0
        self._tls = tls
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._token_scripts: deque[tuple[Step, ...]] = deque()
        self._storage_scripts: deque[tuple[Step, ...]] = deque()
        self._form_scripts: deque[tuple[Step, ...]] = deque()
        self._default = DEFAULT
        self._valid_tokens: set[str] = set()
        self._gates: dict[str, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="agent-server", daemon=True)
        self._ready = threading.Event()

    # --- for tests -------------------------------------------------------------------------------

    def answer(self, *steps: Step) -> None:
        """Scripts the next chat request that has no script yet."""
        self._scripts.append(steps)

    def always(self, *steps: Step) -> None:
        """Scripts every chat request that has no script of its own."""
        self._default = steps

    def answer_token(self, *steps: Step) -> None:
        self._token_scripts.append(steps)

    def answer_form(self, *steps: Step) -> None:
        self._form_scripts.append(steps)

    def answer_storage(self, *steps: Step) -> None:
        self._storage_scripts.append(steps)

    def open(self, name: str) -> None:
        """Lets every answer that waits at the gate `name`, or will, go on."""
        self._loop.call_soon_threadsafe(lambda: self.gate(name).set())

    def expire_tokens(self) -> None:
        """Every token issued so far is answered with 401 from now on."""
        self._valid_tokens.clear()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def config(self, kind: str = "stackspot", **changes: Any) -> AgentConfig:
        """A configuration that talks to this server."""
        values: dict[str, Any] = {"kind": kind, "name": "Test agent"}
        if kind == "stackspot":
            values |= {
                "base_url": self.url,
                "agent_id": AGENT_ID,
                "client_id": self.client_id,
                "client_secret": CLIENT_SECRET,
                "token_url": f"{self.url}/oidc/oauth/token",
            }
        elif kind == "openai":
            values |= {"base_url": f"{self.url}/v1", "agent_id": "test-model", "client_secret": API_KEY}
        return AgentConfig(**(values | changes))

    @property
    def usage_total(self) -> tuple[int, int, int]:
        """The sum of every usage it reported: user, enrichment, output."""
        user, enrichment, output = zip(*self.reported, strict=True) if self.reported else ((), (), ())
        return (sum(n or 0 for n in user), sum(n or 0 for n in enrichment), sum(n or 0 for n in output))

    @property
    def chats(self) -> list[Recorded]:
        return [r for r in self.requests if "/chat" in r.path]

    @property
    def closed_by_client(self) -> list[Connection]:
        return [connection for connection in self.connections if connection.closed_by == "client"]

    @property
    def open_connections(self) -> int:
        return sum(connection.closed_at is None for connection in self.connections)

    @staticmethod
    def wait(condition: Callable[[], object], timeout: float = 5.0) -> None:
        """Polls `condition` until it holds; AssertionError after `timeout` seconds. Not for coroutines."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.005)

    # --- running ---------------------------------------------------------------------------------

    def __enter__(self) -> AgentServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> AgentServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        """Stops the server; raises what went wrong inside a script."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            assert not self._thread.is_alive(), "the server did not stop"
        if self.errors:
            raise self.errors[0]

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listener = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        )
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            # Accept no more, but let what was accepted become a connection: a listener that is closed
            # in between leaves its socket open.
            for sock in listener.sockets:
                self._loop.remove_reader(sock.fileno())
            self._loop.run_until_complete(asyncio.sleep(0.01))
            listener.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(asyncio.sleep(0.01))  # transports close in later turns
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(time.monotonic())
        self.connections.append(connection)
        first = b""
        try:
            while (request := await self._read(reader, first, connection)) is not None:
                stream = Stream(self, request, writer)
                first = await self._follow(stream, reader, self._steps(request))
                if not stream.complete:
                    connection.closed_by = connection.closed_by or "server"
                    break
            else:
                connection.closed_by = "client"
        except (ClientGone, ConnectionError, asyncio.IncompleteReadError):
            connection.closed_by = connection.closed_by or "client"
        except asyncio.CancelledError:
            connection.closed_by = "server"  # stopping
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            self.errors.append(error)
        finally:
            connection.closed_at = time.monotonic()
            if self._tls is not None and connection.closed_by != "client":
                writer.transport.abort()  # a client that keeps its connection never says goodbye
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _follow(self, stream: Stream, reader: asyncio.StreamReader, steps: tuple[Step, ...]) -> bytes:
        """Runs the script while watching for the client to leave; the first byte of a next request."""
        watch = asyncio.ensure_future(reader.read(1))
        watch.add_done_callback(stream.note_gone)
        try:
            for step in steps:
                await step(stream)
                if not stream.complete:
                    return b""
            if not stream.is_whole:
                await stream.finish()
            return await watch
        finally:
            if not watch.done():
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await watch

    async def _read(
        self, reader: asyncio.StreamReader, first: bytes, connection: Connection
    ) -> Recorded | None:
        try:
            head = first + await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        named = {name.lower(): value for name, value in fields.items()}
        body = b""
        if "content-length" in named:
            body = await reader.readexactly(int(named["content-length"]))
        elif named.get("transfer-encoding") == "chunked":
            while size := int((await reader.readline()).split(b";")[0], 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        request = Recorded(method, path, named, body, connection)
        self.requests.append(request)
        return request

    # --- what is served --------------------------------------------------------------------------

    def _steps(self, request: Recorded) -> tuple[Step, ...]:
        path = request.path.partition("?")[0]
        if path == "/oidc/oauth/token":
            self.token_calls.append(request)
            return self._token(request)
        if path == "/v2/file-upload/form":
            return self._upload_form(request)
        if path.startswith("/storage/"):
            return self._store(request, path.removeprefix("/storage/"))
        agent = re.fullmatch(r"/v1/agent/([^/]+)/chat", path)
        if agent is None and path != "/v1/chat/completions":
            return (refuse(404, {"message": f"no such path: {path}"}),)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in (self._valid_tokens if agent else {API_KEY}):
            return (refuse(401),)
        if agent and agent[1] not in self.agents:
            return (refuse(404, {"message": "agent not found"}),)
        chosen = self.choose(request) if self.choose else None
        if chosen is not None:
            return chosen
        return self._scripts.popleft() if self._scripts else self._default

    def _token(self, request: Recorded) -> tuple[Step, ...]:
        if self._token_scripts:
            return self._token_scripts.popleft()
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        expected = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": CLIENT_SECRET,
        }
        if form != expected:
            return (refuse(401, {"error": "invalid_client", "error_description": f"no: {form}"}),)
        token = f"test-token-{len(self.token_calls)}"
        self._valid_tokens.add(token)
        answer = {"access_token": token, "token_type": "Bearer"}
        if self.token_lifetime is not None:
            answer["expires_in"] = self.token_lifetime
        return before_headers(self.token_delay), whole(answer)

    def _upload_form(self, request: Recorded) -> tuple[Step, ...]:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._valid_tokens:
            return (refuse(401),)
        if self._form_scripts:
            return self._form_scripts.popleft()
        upload = f"01JFAKE{len(self.uploads):019d}"
        self.uploads[upload] = {"asked": request.json, "file": None, "fields": None}
        form = {"key": f"uploads/{upload}", "policy": "cG9saWN5LXNlY3JldA==", "x-amz-signature": "51gn47ur3"}
        return (whole({"id": upload, "url": f"{self.url}/storage/{upload}", "form": form}, 201),)

    def _store(self, request: Recorded, upload: str) -> tuple[Step, ...]:
        if self._storage_scripts:
            return self._storage_scripts.popleft()
        if "authorization" in request.headers:
            return (whole("<Error><Code>InvalidArgument</Code></Error>", 400, "application/xml"),)
        parts = multipart(request)
        name, filename, content_type, content = parts.pop()
        if upload not in self.uploads or name != "file":
            return (whole("<Error><Code>AccessDenied</Code></Error>", 403, "application/xml"),)
        fields = [(part[0], part[3].decode()) for part in parts]
        self.uploads[upload] |= {"file": content, "name": filename, "type": content_type, "fields": fields}
        return (whole("", 204),)


def multipart(request: Recorded) -> list[tuple[str, str | None, str | None, bytes]]:
    """The parts of a form in order: name, file name, content type, content."""
    boundary = request.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    parts = []
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        name = re.search(r'[; ]name="([^"]*)"', text)
        filename = re.search(r'filename="([^"]*)"', text)
        kind = re.search(r"(?im)^content-type: *(\S+)", text)
        assert name is not None
        parts.append((name[1], filename and filename[1], kind and kind[1], content))
    return parts  # type: ignore[return-value]


@pytest.fixture
def agent_server() -> Iterator[AgentServer]:
    with AgentServer() as server:
        yield server
