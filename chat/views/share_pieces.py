"""A shared page kept ready: drawn once for all its readers, compressed once, put together for each of them.

What differs from reader to reader is a ticket alone. It stands uncompressed between compressed pieces, so
that the length of an answer tells nothing about it. What it must not do: decide who may read.
"""

from __future__ import annotations

import gzip
import re
import secrets
import struct
import zlib

#: Stands for the ticket while a page is drawn; no text can hold it, as nobody knows it.
TICKET = secrets.token_hex(24)
#: Bytes of pages that are kept.
KEPT_BYTES = 16 * 1024 * 1024

_GZIP = re.compile(r"\bgzip\b")
_HEAD = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"  # gzip, without a name, without a time
_LAST = b"\x03\x00"  # an empty block that is the last one


def takes_gzip(accepted: str) -> bool:
    """Whether a request with this Accept-Encoding gets the compressed page."""
    return _GZIP.search(accepted) is not None


class Pieces:
    """One drawn page, cut where the ticket stands. Compressed alone is it kept: few ask for it plain."""

    def __init__(self, body: bytes) -> None:
        first, *self._rest = body.split(TICKET.encode())
        self._zipped = [_deflated(piece) for piece in (first, *self._rest)]
        self._check, self._length = zlib.crc32(first), len(first)

    @property
    def wants_ticket(self) -> bool:
        """Whether the page holds a ticket, and is one reader's own by that."""
        return bool(self._rest)

    @property
    def size(self) -> int:
        """Bytes that it takes to keep."""
        return sum(map(len, self._rest)) + sum(map(len, self._zipped))

    def plain(self, ticket: str) -> bytes:
        """The page with `ticket` in its places."""
        return gzip.decompress(self.zipped(ticket))

    def zipped(self, ticket: str) -> bytes:
        """The same as one gzip member; costs no compressing."""
        given = ticket.encode()
        check, length = self._check, self._length
        for piece in self._rest:
            check = zlib.crc32(piece, zlib.crc32(given, check))
            length += len(given) + len(piece)
        body = _stored(given).join(self._zipped)
        return b"".join((_HEAD, body, _LAST, struct.pack("<II", check, length & 0xFFFFFFFF)))


def _deflated(piece: bytes) -> bytes:
    """Blocks that end at a byte and refer to nothing before them."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)


def _stored(text: bytes) -> bytes:
    """A block that is not compressed; at most 65,535 bytes."""
    return b"\x00" + struct.pack("<HH", len(text), len(text) ^ 0xFFFF) + text
