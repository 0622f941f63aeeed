"""Asks a ClamAV daemon about a file, by its INSTREAM command. The file goes over in pieces."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_PIECE: Final = 64 * 1024
_ANSWER: Final = 4096


class ScanFailed(Exception):
    """The daemon did not say whether the file is clean."""


def finding(url: str, path: Path, *, seconds: float = 60.0) -> str | None:
    """The name of what the daemon found in the file; None when it is clean. Raises ScanFailed.

    url: tcp://host:port or unix:///path.
    """
    try:
        with _connected(url, seconds) as line, path.open("rb") as content:
            line.sendall(b"zINSTREAM\0")
            while piece := content.read(_PIECE):
                line.sendall(struct.pack("!I", len(piece)) + piece)
            line.sendall(struct.pack("!I", 0))
            answer = _answer(line)
    except (OSError, ValueError) as error:
        raise ScanFailed(str(error)) from error
    if answer == "stream: OK":
        return None
    if answer.startswith("stream: ") and answer.endswith(" FOUND"):
        return answer.removeprefix("stream: ").removesuffix(" FOUND")
    raise ScanFailed(answer)


def _connected(url: str, seconds: float) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 3310), seconds)
    if parts.scheme != "unix":
        raise ValueError("CLAMAV_URL is neither tcp://host:port nor unix:///path")
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(seconds)
    try:
        line.connect(parts.path)
    except OSError:
        line.close()
        raise
    return line


def _answer(line: socket.socket) -> str:
    answer = b""
    while not answer.endswith(b"\0") and len(answer) < _ANSWER:
        piece = line.recv(_ANSWER)
        if not piece:
            break
        answer += piece
    return answer.rstrip(b"\0\n").decode("utf-8", "replace")
