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

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        self._before = self._after = b""

    def learn(self, data: bytes, text: str) -> None:
        """`data` is a JSON object that says `text`, and nothing else."""
        self.forget()
        for found in _STRING.finditer(data):
            if _string(found[0]) == text:
                if self._after:
                    self.forget()  # it stands there twice: which of them is the text?
                    return
                self._before, self._after = data[: found.start()], data[found.end() :]

    def forget(self) -> None:
        """The next event is read in full."""
        self._before = self._after = b""

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
