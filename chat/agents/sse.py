"""Bytes of a text/event-stream, in pieces of any size, to events. No I/O, no meaning.

Written after the WHATWG algorithm, on bytes: a line ends at LF, CRLF or CR and nowhere else, so
U+2028, U+0085, VT and FF stay inside their line, and a character cut in two by the network is whole
again before anybody decodes it. It never raises and never holds more than one event's bound.
What an event says is the business of `dialects`.
"""

from __future__ import annotations

from typing import Final

# The event's name ("" when it has none) and its data lines joined by LF, not decoded yet.
RawEvent = tuple[str, bytes]

_BOM: Final = b"\xef\xbb\xbf"


class EventSplitter:
    """Cuts a stream into events, whatever the network did to it.

    After `feed` has met an event above `limit` bytes, `too_large` is set and everything later is
    ignored; events before it are returned as usual.
    """

    __slots__ = ("_after_cr", "_begun", "_head", "_limit", "_pending", "strange_lines", "too_large")

    def __init__(self, limit: int = 1 << 20) -> None:
        self.too_large = False
        # Lines that are no field of the format: the sign of a body that is not a stream at all.
        self.strange_lines = 0
        self._limit = limit
        self._pending = bytearray()
        self._head = b""
        self._begun = False
        self._after_cr = False

    def begins_with(self, chunk: bytes) -> bool:
        """Whether `chunk` begins an event, and is short enough to be one. The caller may then read it without
        this, if it is exactly one."""
        idle = self._begun and not self._pending and not self._after_cr and not self.too_large
        return idle and len(chunk) <= self._limit

    def feed(self, chunk: bytes) -> list[RawEvent]:
        """The events completed by `chunk`, in order."""
        if self.too_large or not chunk:
            return []
        if not self._begun:
            chunk = self._without_bom(chunk)
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf_only(chunk)
        pending = self._pending
        if pending:
            # Only the seam and the new bytes are searched, else tiny reads would cost quadratic time.
            seam = len(pending) - 1
            pending += chunk
            if pending.find(b"\n\n", seam) < 0:
                if len(pending) > self._limit:
                    self._check_pending()
                return []
            chunk = bytes(pending)
        elif chunk.startswith(b"data: {") and chunk.endswith(b"\n\n") and self._is_one(chunk):
            return [("", chunk[6:-2])]
        return self._split(chunk)

    def _is_one(self, chunk: bytes) -> bool:
        """One whole event a read, all in one line, is what a paced agent sends."""
        return chunk.find(b"\n") == len(chunk) - 2 <= self._limit

    def _split(self, chunk: bytes) -> list[RawEvent]:
        blocks = chunk.split(b"\n\n")
        self._pending = bytearray(blocks.pop())
        events: list[RawEvent] = []
        for block in blocks:
            if len(block) > self._limit:
                self.too_large = True
                self._pending.clear()
                return events
            if block.startswith(b"data: {") and b"\n" not in block:  # nearly every event
                events.append(("", block[6:]))
            elif (event := self._read_block(block)) is not None:
                events.append(event)
        if len(self._pending) > self._limit:
            self._check_pending()
        return events

    def finish(self) -> RawEvent | None:
        """What stood at the end of the body without its blank line, if it had data.

        The format says to discard it; a caller may look whether it is an end marker.
        """
        if self.too_large:
            return None
        block, self._pending = bytes(self._head + self._pending), bytearray()
        return self._read_block(block.rstrip(b"\n"))

    def _without_bom(self, chunk: bytes) -> bytes:
        head = self._head + chunk
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._begun, self._head = True, b""
        return head.removeprefix(_BOM)

    def _with_lf_only(self, chunk: bytes) -> bytes:
        # A CR ends its line at once, or an event of a CR-only server would wait for the next one;
        # the LF that may follow in the next read is then the second half of the same line end.
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _check_pending(self) -> None:
        # The LF that may be the first half of a blank line is no part of the event.
        if len(self._pending) - self._pending.endswith(b"\n") > self._limit:
            self.too_large = True
            self._pending.clear()

    def _read_block(self, block: bytes) -> RawEvent | None:
        name = b""
        data: list[bytes] = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value[1:] if value[:1] == b" " else value
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            elif field and field not in (b"id", b"retry"):
                self.strange_lines += 1
        if not data:
            return None
        return name.decode("utf-8", "replace"), b"\n".join(data)
