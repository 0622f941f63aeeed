"""Events of a stream that differ in their text alone, read without reading the rest of them again.

An agent repeats its ids and its empty lists around every piece of text. Where a piece stands between
the very same bytes as one that was read in full, it can only mean the same.
"""

from __future__ import annotations

import re
from typing import Final

import orjson

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Alike:
    """What stood around the last text that was read in full."""

    __slots__ = ("_after", "_before", "_end", "_start")

    def __init__(self) -> None:
        self._before = self._after = b""
        #: The same with what frames an event of one line.
        self._start = self._end = b""

    def learn(self, data: bytes, text: str) -> None:
        """`data` is a JSON object that says `text`, and nothing else."""
        self.forget()
        for found in _STRING.finditer(data):
            if _string(found[0]) == text:
                if self._after:
                    self.forget()  # it stands there twice: which of them is the text?
                    return
                self._before, self._after = data[: found.start()], data[found.end() :]
                self._start, self._end = b"data: " + self._before, self._after + b"\n\n"

    def forget(self) -> None:
        """The next event is read in full."""
        self._before = self._after = self._start = self._end = b""

    def text_in(self, block: bytes) -> str | None:
        """The same of a whole event with its framing: neither what was learnt nor a JSON string holds the end
        of a line, so there is nothing else in it."""
        end = self._end
        if not end or not block.endswith(end) or not block.startswith(self._start):
            return None
        try:
            value = orjson.loads(block[len(self._start) : -len(end)])
        except orjson.JSONDecodeError:
            return None
        return value or None if type(value) is str else None

    def text_of(self, data: bytes) -> str | None:
        """The text of an event that is like the one before; None for any other, and for one without text."""
        after = self._after
        if not after or not data.startswith(self._before) or not data.endswith(after):
            return None
        return _string(data[len(self._before) : -len(after)]) or None


def _string(literal: bytes) -> str | None:
    try:
        value = orjson.loads(literal)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, str) else None
