"""The stamped answer that every part of the benchmark agrees on, and what is read from it.

A shape such as ``n60-i50`` asks the fake agent for 60 chunks, one each 50 ms (``i0``: as fast as the
reader takes them). Each chunk is ``@<monotonic ns>| <index> <word> ``, and the last one closes with the
CRC-32 of all text before it, so a reader can tell how late, how complete and how exact its copy is
without being told anything else. Times are `time.monotonic_ns()`, one clock for all processes of a machine.

This module does no I/O.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SHAPE = re.compile(r"n(\d+)-i(\d+)")
STAMP = re.compile(r"@(\d+)\| (\d+) ")
CHECKSUM = re.compile(r"=([0-9a-f]{8})$")

# Accents and line breaks are in it because a relay that counts bytes as characters, or splits on the
# wrong line ends, must fail the exact-text check.
WORDS = ("uma", "resposta", "longa,", "ação", "e", "reação:", "não", "para.\n\n", "the", "quick", "fox")


@dataclass(frozen=True, slots=True)
class Shape:
    """How long an answer is and how it is paced: `chunks` pieces, `interval_ms` apart (0: unpaced)."""

    chunks: int
    interval_ms: int

    @classmethod
    def parse(cls, name: str) -> Shape:
        """Read a shape out of an agent id or model name; ValueError when there is none in it."""
        found = SHAPE.search(name)
        if found is None:
            raise ValueError(f"no shape like n60-i50 in {name!r}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"n{self.chunks}-i{self.interval_ms}"


def chunk_text(index: int, shape: Shape, stamp_ns: int, crc: int) -> str:
    """The text of chunk `index`; `crc` is the CRC-32 of the text before it, used by the last one."""
    head = f"@{stamp_ns}| {index} "
    if index == shape.chunks - 1:
        return f"{head}={zlib.crc32(head.encode(), crc):08x}"
    return f"{head}{WORDS[index % len(WORDS)]} "


def is_exact(text: str) -> bool:
    """Whether `text` closes with the right checksum of everything before it."""
    found = CHECKSUM.search(text)
    if found is None:
        return False
    return zlib.crc32(text[: found.start()].encode()) == int(found[1], 16)


@dataclass(slots=True)
class Track:
    """What one reader saw of one answer: `(received ns, stamp ns)` in the order of arrival.

    `lost` counts indexes that never came in their place, `disorder` those that came twice or too late.
    """

    shape: Shape
    requested_ns: int
    times: list[tuple[int, int]] = field(default_factory=list)
    disorder: int = 0
    exact: bool = False
    _next: int = 0
    _rest: str = ""

    def add(self, received_ns: int, text: str) -> None:
        """Take text as it arrived; a stamp cut in two by a boundary is read when its end arrives."""
        text = self._rest + text
        end = 0
        for found in STAMP.finditer(text):
            end = found.end()
            index = int(found[2])
            if index < self._next:
                self.disorder += 1
                continue
            self._next = index + 1
            self.times.append((received_ns, int(found[1])))
        cut = text.rfind("@", end)
        self._rest = text[cut:] if cut >= 0 else ""

    @property
    def lost(self) -> int:
        return self.shape.chunks - len(self.times)

    @property
    def first_ms(self) -> float:
        """Milliseconds from the question to the first text; infinite when none came."""
        return (self.times[0][0] - self.requested_ns) / 1e6 if self.times else float("inf")

    @property
    def upstream_ms(self) -> float:
        """Milliseconds from the question until the agent sent its first chunk: the way there."""
        return (self.times[0][1] - self.requested_ns) / 1e6 if self.times else float("inf")

    @property
    def chunks_per_second(self) -> float:
        """Chunks over the time from the question to the last text."""
        if not self.times:
            return 0.0
        return len(self.times) * 1e9 / (self.times[-1][0] - self.requested_ns)


def steady_latencies_ms(tracks: Sequence[Track]) -> list[float]:
    """Added latency of every chunk sent while all answers were running, in milliseconds."""
    running = [track for track in tracks if track.times]
    if not running:
        return []
    begin = max(track.times[0][0] for track in running)
    end = min(track.times[-1][1] for track in running)
    return [(got - sent) / 1e6 for track in running for got, sent in track.times if begin <= sent <= end]


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
