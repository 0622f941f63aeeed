"""Streams for tests: what the dialects look like on the wire, and reading them in any pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable

from chat.agents.answer import AnswerReader
from chat.agents.values import AgentEvent, Done, Limits, ReasoningDelta, TextDelta

EMPTY = {"upload_ids": {}, "knowledge_source_id": [], "source": [], "cross_account_source": [],
         "tools_id": [], "agent_info": []}  # fmt: skip


def data(value: object, *, event: str = "") -> bytes:
    """One event; a dict or list as JSON, a string as it is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {text}\n\n".encode()


def native(text: str, **members: object) -> bytes:
    return data({**EMPTY, "message": text, **members})


def native_end(**members: object) -> bytes:
    tokens = {"user": None, "enrichment": None, "input": 749, "output": 5}
    return data({**EMPTY, "message": "", "stop_reason": "stop", "tokens": tokens,
                 "message_id": "01KJJB4T9SP5V1SYDEYHTZ5N6Y", **members})  # fmt: skip


def openai(text: str | None = None, finish: str | None = None, **members: object) -> bytes:
    delta = {} if text is None else {"content": text}
    return data({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **members})


DONE = b"data: [DONE]\n\n"


class Read:
    """What a reader made of a body."""

    def __init__(self, pieces: Iterable[bytes], limits: Limits | None = None, **options: bool) -> None:
        self.reader = AnswerReader(limits or Limits(), **options)
        self.events: list[AgentEvent] = []
        for piece in pieces:
            self.events += self.reader.feed(piece)
            if self.reader.closed:
                break
        self.events += self.reader.finish()
        self.text = "".join(e.text for e in self.events if isinstance(e, TextDelta))
        self.reasoning = "".join(e.text for e in self.events if isinstance(e, ReasoningDelta))
        self.done = next((e for e in self.events if isinstance(e, Done)), None)
        self.code = self.reader.fault.code if self.reader.fault else None

    @property
    def deltas(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, TextDelta)]

    @property
    def usage(self) -> tuple[int | None, int | None, int | None]:
        usage = self.reader.usage
        return (usage.user, usage.enrichment, usage.output) if usage else (None, None, None)


def read(*pieces: bytes, limits: Limits | None = None, **options: bool) -> Read:
    return Read(pieces, limits, **options)


def read_bytewise(body: bytes, limits: Limits | None = None) -> Read:
    return Read((body[i : i + 1] for i in range(len(body))), limits)
