"""A lean WebSocket client: raw protocol, frames by hand, permessage-deflate as browsers offer it.

It knows nothing of the product's frames: text goes to a callback with the time of the read it came in.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import cast

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
DEFLATE = "permessage-deflate; client_max_window_bits"


class WebSocket(asyncio.Protocol):
    """One socket. `opened` is done after the handshake, `closed` holds the close code at the end."""

    def __init__(
        self, path: str, headers: Mapping[str, str], on_text: Callable[[int, bytes], None], deflate: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Extensions: {DEFLATE}"] if deflate else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.request = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self.on_text = on_text
        self.buffer = bytearray()
        self.parts: list[bytes] = []
        self.compressed = False
        self.inflater: zlib._Decompress | None = None
        self.keep_context = True
        self.bytes_received = 0
        self.frames = 0
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()
        self.code = 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before the handshake"))
        if not self.closed.done():
            self.closed.set_result(self.code)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.bytes_received += len(data)
        self.buffer += data
        if not self.opened.done() and not self._handshake():
            return
        self._read_frames(now)

    def _handshake(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.buffer[:end]).decode("latin-1")
        del self.buffer[: end + 4]
        if " 101 " not in head.split("\r\n", 1)[0]:
            self.opened.set_exception(ConnectionError(head.split("\r\n", 1)[0]))
            self.transport.close()
            return False
        if "permessage-deflate" in head.lower():
            self.inflater = zlib.decompressobj(-15)
            self.keep_context = "server_no_context_takeover" not in head.lower()
        self.opened.set_result(None)
        return True

    def _read_frames(self, now: int) -> None:
        buffer, at, size = self.buffer, 0, len(self.buffer)
        while size - at >= 2:
            length, start = buffer[at + 1] & 0x7F, at + 2
            if length == 126:
                length, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if size < start + length:
                break
            self._frame(now, buffer[at], bytes(buffer[start : start + length]))
            at = start + length
        if at:
            del buffer[:at]

    def _frame(self, now: int, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == PING:
            self._send(PONG, payload)
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._send(CLOSE, payload[:2])
            self.transport.close()
        elif opcode in (0, TEXT, 2):
            if opcode:
                self.compressed = bool(first & 0x40)
            self.parts.append(payload)
            if first & 0x80:
                self.frames += 1
                whole = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
                self.parts.clear()
                self.on_text(now, self._inflate(whole) if self.compressed else whole)

    def _inflate(self, data: bytes) -> bytes:
        assert self.inflater is not None
        out = self.inflater.decompress(data + b"\x00\x00\xff\xff")
        if not self.keep_context:
            self.inflater = zlib.decompressobj(-15)
        return out

    def send_text(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        head = bytearray((0x80 | opcode,))
        head += bytes((0x80 | length,)) if length < 126 else bytes((0x80 | 126,)) + length.to_bytes(2, "big")
        mask = os.urandom(4)
        repeated = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(payload, "big") ^ repeated).to_bytes(length, "big") if length else b""
        self.transport.write(bytes(head) + mask + masked)

    def close(self) -> None:
        """Say good-bye and close, without waiting for the other side's answer."""
        if not self.transport.is_closing():
            self._send(CLOSE, (1000).to_bytes(2, "big"))
            self.transport.close()
