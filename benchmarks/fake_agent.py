"""A fake agent that is not the bottleneck: paced or unpaced SSE answers in two dialects.

StackSpot: ``POST /v1/agent/{shape}/chat`` with the token door ``POST /oidc/oauth/token``.
OpenAI-compatible: ``POST /v1/chat/completions`` with the shape as the model name.

It reads nothing of a request but its path, its length and the model, and it knows no failure modes; those
belong to the tests. Run: ``python -m benchmarks.fake_agent PORT``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from collections.abc import Callable
from typing import cast

import uvloop

from benchmarks.stamps import Shape, chunk_text

# Chunks in one write when unpaced. One is what an agent does, but then half of this process is system
# calls; 64 triples the rate and measures memory copies. Two keeps agent and proxy at 100,000 to 300,000 a
# second, where the targets were set.
BURST = 2

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
TOKEN = b'{"access_token":"benchmark","token_type":"Bearer","expires_in":1199}'

NATIVE = (
    b'data: {"upload_ids":{},"knowledge_source_id":[],"source":[],"cross_account_source":[],'
    b'"tools_id":[],"agent_info":[],"message":'
)
OPENAI = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fake",'
    b'"choices":[{"index":0,"delta":{"content":'
)


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _quoted(text: str) -> bytes:
    # The words need no other escape, and json.dumps would cost as much as the rest of a chunk.
    return b'"' + text.replace("\n", "\\n").encode() + b'"'


def native_event(text: str) -> bytes:
    """A StackSpot delta, with the empty lists that every real one repeats."""
    return NATIVE + _quoted(text) + b"}\n\n"


def openai_event(text: str) -> bytes:
    """A chat.completion.chunk with one delta."""
    return OPENAI + _quoted(text) + b'},"finish_reason":null}]}\n\n'


def native_end(chunks: int, number: int) -> bytes:
    """The closing StackSpot event: stop reason, usage, ids."""
    end = {
        "stop_reason": "stop",
        "tokens": {"user": 12, "enrichment": 34, "input": None, "output": chunks},
        "message_id": f"01K{number:023d}",
        "conversation_id": f"01J{number:023d}",
    }
    return NATIVE + b'"",' + json.dumps(end)[1:].encode() + b"\n\n"


def openai_end(chunks: int, number: int) -> bytes:
    """Finish reason, then usage in an event of its own, then the end marker."""
    last = {"id": f"chatcmpl-{number}", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": 12, "completion_tokens": chunks, "total_tokens": 12 + chunks}
    tail = json.dumps({"choices": [], "usage": usage})
    return b"data: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (json.dumps(last).encode(), tail.encode())


class Answer:
    """One answer on its way out: a chunk a timer tick, or a chunk whenever the socket takes one."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        shape: Shape,
        event: Callable[[str], bytes],
        end: Callable[[int, int], bytes],
        number: int,
        on_end: Callable[[], None],
    ) -> None:
        self.transport, self.shape, self.event, self.end = transport, shape, event, end
        self.number, self.on_end = number, on_end
        self.loop = asyncio.get_running_loop()
        self.index = self.crc = 0
        self.began = self.loop.time()
        self.handle: asyncio.Handle | None = None
        self.waiting = False

    def start(self) -> None:
        self.transport.write(HEAD)
        self._step()

    def cancel(self) -> None:
        if self.handle is not None:
            self.handle.cancel()

    def resume(self) -> None:
        if self.waiting:
            self.waiting = False
            self._step()

    def pause(self) -> None:
        self.waiting = self.shape.interval_ms == 0

    def _chunk(self) -> bytes:
        text = chunk_text(self.index, self.shape, time.monotonic_ns(), self.crc)
        self.crc = zlib.crc32(text.encode(), self.crc)
        self.index += 1
        return _chunked(self.event(text))

    def _step(self) -> None:
        shape = self.shape
        count = 1 if shape.interval_ms else min(BURST, shape.chunks - self.index)
        self.transport.write(b"".join([self._chunk() for _ in range(count)]))
        if self.index >= shape.chunks:
            self.transport.write(_chunked(self.end(shape.chunks, self.number)) + b"0\r\n\r\n")
            self.on_end()
        elif shape.interval_ms:
            due = self.began + self.index * shape.interval_ms / 1000
            self.handle = self.loop.call_at(due, self._step)
        elif not self.waiting:
            self.handle = self.loop.call_soon(self._step)


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection, one request at a time."""

    count = 0

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.answer: Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None:
            self.answer.cancel()

    def pause_writing(self) -> None:
        if self.answer is not None:
            self.answer.pause()

    def resume_writing(self) -> None:
        if self.answer is not None:
            self.answer.resume()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if self.answer is not None or head_end < 0:
            return
        head = bytes(self.buffer[:head_end])
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(self.buffer) < head_end + 4 + length:
            return
        body = bytes(self.buffer[head_end + 4 : head_end + 4 + length])
        del self.buffer[: head_end + 4 + length]
        self.respond(head.split(b" ", 2)[1].decode(), body)

    def respond(self, path: str, body: bytes) -> None:
        """Send the token, start an answer, or say 404."""
        try:
            if path.endswith("/oidc/oauth/token"):
                self._whole(b"200 OK", TOKEN)
            elif path.startswith("/v1/agent/") and path.endswith("/chat"):
                self._stream(Shape.parse(path), native_event, native_end)
            elif path == "/v1/chat/completions":
                self._stream(Shape.parse(json.loads(body)["model"]), openai_event, openai_end)
            else:
                self._whole(b"404 Not Found", b"{}")
        except (ValueError, KeyError):
            self._whole(b"404 Not Found", b'{"message":"no such shape"}')

    def _whole(self, status: bytes, body: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )

    def _stream(self, shape: Shape, event: Callable[[str], bytes], end: Callable[[int, int], bytes]) -> None:
        Connection.count += 1
        self.answer = Answer(self.transport, shape, event, end, Connection.count, self._ended)
        self.answer.start()

    def _ended(self) -> None:
        self.answer = None


async def main(port: int) -> None:
    """Serve on 127.0.0.1 until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
