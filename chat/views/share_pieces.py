"""A shared page kept ready: drawn once for all its readers, compressed once, put together for each of them.

What differs from reader to reader is a ticket alone. It stands uncompressed between compressed pieces, so
that the length of an answer tells nothing about it. What it must not do: decide who may read.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")

#: Stands for the ticket while a page is drawn; no text can hold it, as nobody knows it.
TICKET = secrets.token_hex(24)
#: Bytes of pages that are kept.
KEPT_BYTES = 16 * 1024 * 1024

_HEAD = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"  # gzip, without a name, without a time
_LAST = b"\x03\x00"  # an empty block that is the last one


class Pieces:
    """One drawn page, cut where the ticket stands."""

    def __init__(self, body: bytes) -> None:
        self._plain = body.split(TICKET.encode())
        self._zipped = [_deflated(piece) for piece in self._plain]
        self._check = zlib.crc32(self._plain[0])

    @property
    def wants_ticket(self) -> bool:
        """Whether the page holds a ticket, and is one reader's own by that."""
        return len(self._plain) > 1

    @property
    def size(self) -> int:
        """Bytes that it takes to keep."""
        return sum(map(len, self._plain)) + sum(map(len, self._zipped))

    def plain(self, ticket: str) -> bytes:
        """The page with `ticket` in its places."""
        return ticket.encode().join(self._plain)

    def zipped(self, ticket: str) -> bytes:
        """The same as one gzip member; costs no compressing."""
        given = ticket.encode()
        check, size = self._check, len(self._plain[0])
        for piece in self._plain[1:]:
            check = zlib.crc32(piece, zlib.crc32(given, check))
            size += len(given) + len(piece)
        body = _stored(given).join(self._zipped)
        return b"".join((_HEAD, body, _LAST, struct.pack("<II", check, size & 0xFFFFFFFF)))


def _deflated(piece: bytes) -> bytes:
    """Blocks that end at a byte and refer to nothing before them."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)


def _stored(text: bytes) -> bytes:
    """A block that is not compressed; at most 65,535 bytes."""
    return b"\x00" + struct.pack("<HH", len(text), len(text) ^ 0xFFFF) + text


class Kept(Generic[V]):
    """Values, bounded by bytes: what was not used longest goes first. Safe to use from threads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.size = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> V | None:
        """What is kept under `key`; None for nothing."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep `value`, which takes `size` bytes."""
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._values[key] = (value, size)
            self.size += size - before
            while self.size > self.max_bytes:
                self.size -= self._values.popitem(last=False)[1][1]
