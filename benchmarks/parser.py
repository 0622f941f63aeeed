"""How fast streams are read: our reader beside httpx-sse with json, and json.loads of bare lines.

    python -m benchmarks.parser

Each row is the best of fifteen passes over the same stream, cut into reads of the same size. Ours does
more in its time: dialect, usage, sources, limits. httpx-sse comes with the development tools.
"""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from chat.agents.answer import AnswerReader
from chat.agents.values import Limits

EVENTS = 20_000
LIMITS = Limits(answer_bytes=1 << 30)
EMPTY = {"upload_ids": {}, "knowledge_source_id": [], "source": [], "cross_account_source": [],
         "tools_id": [], "agent_info": []}  # fmt: skip


def stream(dialect: str) -> bytes:
    """A stream of words that ends properly."""
    lines = []
    for number in range(EVENTS):
        text = f"palavra {number} "
        openai = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        lines.append(json.dumps(openai if dialect == "openai" else EMPTY | {"message": text}))
    end = {"stop_reason": "stop", "tokens": {"user": 3, "enrichment": 0, "output": 4}}
    return "".join(f"data: {line}\n\n" for line in [*lines, json.dumps(end)]).encode()


def ours(chunks: list[bytes]) -> int:
    reader = AnswerReader(LIMITS)
    return sum(len(reader.feed(chunk)) for chunk in chunks) + len(reader.finish())


def httpx_sse(chunks: list[bytes]) -> int:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    lines, events, found = SSELineDecoder(), SSEDecoder(), 0
    for chunk in chunks:
        for line in lines.decode(decode(chunk)):
            event = events.decode(line.rstrip("\n"))
            if event is not None:
                json.loads(event.data)
                found += 1
    return found


def bare_json(chunks: list[bytes]) -> int:
    found = 0
    for line in b"".join(chunks).split(b"\n"):
        if line:
            json.loads(line[6:])
            found += 1
    return found


def best(readers: tuple[Callable[[list[bytes]], int], ...], chunks: list[bytes]) -> list[float]:
    """Seconds of each reader's fastest pass of fifteen. They take turns, so that what else runs on the
    machine falls on all of them."""
    times = [float("inf")] * len(readers)
    for _ in range(15):
        for index, read in enumerate(readers):
            begun = time.perf_counter()
            found = read(chunks)
            times[index] = min(times[index], time.perf_counter() - begun)
            assert found == EVENTS + 1, found
    return times


def main() -> None:
    print(f"{'dialect':<10}{'read size':>10}{'reader':>12}{'events/s':>12}{'MB/s':>8}")
    for dialect in ("stackspot", "openai"):
        body = stream(dialect)
        one_event = len(body) // (EVENTS + 1)
        for size in (one_event, 1_024, 65_536):
            chunks = [body[start : start + size] for start in range(0, len(body), size)]
            readers = (ours, httpx_sse, bare_json)
            for read, seconds in zip(readers, best(readers, chunks), strict=True):
                events, megabytes = (EVENTS + 1) / seconds, len(body) / seconds / 1e6
                print(f"{dialect:<10}{size:>10}{read.__name__:>12}{events:>12,.0f}{megabytes:>8.1f}")


if __name__ == "__main__":
    main()
