"""The built-in agent: no network, no account, the pace of a real one, and every way to fail.

For newcomers it answers with samples; for tests it obeys commands inside the question, described in
docs/agents.md. Its faults are the same `AgentError`s, within the same limits, that a real one has.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from .demo_answers import SOURCES, WELCOME, language_of, subject_of, text
from .errors import CODES, FAMILY_OF, AgentError
from .pulling import Take
from .values import (
    AgentConfig,
    AgentEvent,
    AgentRequest,
    Attempt,
    Done,
    FilePart,
    Limits,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    Usage,
)

DELTAS_PER_SECOND: Final = 25.0
FIRST_DELTA_AFTER: Final = 0.4
# Of an answer that is to fail in its middle.
DELTAS_BEFORE_A_FAULT: Final = 12
MOST_PARAGRAPHS: Final = 20_000
BURST: Final = 40

_COMMAND = re.compile(
    r"(?:^|(?<=\s))/(slow|fail|cut|long|silent|stall|fast|think|nousage|echo|empty)(?=\s|$)"
)
# Faults an agent can only have before it says anything.
_BEFORE_TEXT: Final = frozenset({
    *(code for code, family in FAMILY_OF.items() if family in ("refused", "files", "setup")),
    "unreachable", "no_answer", "agent_unavailable", "filtered", "empty_answer",
})  # fmt: skip


@dataclass(slots=True)
class Orders:
    """The commands of a question, and the question without them."""

    question: str
    words: set[str] = field(default_factory=set)
    fault: str | None = None
    paragraphs: int = 0
    echo: str | None = None


def orders_of(prompt: str) -> Orders:
    """Reads the commands. Everything after /echo is text, whatever it looks like."""
    orders = Orders("")
    rest: list[str] = []
    position = 0
    while (found := _COMMAND.search(prompt, position)) is not None:
        rest.append(prompt[position : found.start()])
        word, position = found[1], found.end()
        orders.words.add(word)
        if word == "echo":
            orders.echo = prompt[position + 1 :]
            position = len(prompt)
        elif word == "fail":
            orders.fault = "agent_failed"
            code = re.match(r"\s+(\w+)", prompt[position:])
            if code is not None and code[1] in CODES:
                orders.fault, position = code[1], position + code.end()
        elif word == "long":
            number = re.match(r"\s+(\d{1,6})(?!\w)", prompt[position:])
            orders.paragraphs = min(int(number[1]), MOST_PARAGRAPHS) if number else 40
            position += number.end() if number else 0
    orders.question = "".join((*rest, prompt[position:])).strip()
    if "cut" in orders.words:
        orders.fault = "ended_early"
    elif "stall" in orders.words:
        orders.fault = "stalled"
    elif "silent" in orders.words:
        orders.fault = "no_answer"
    elif "empty" in orders.words:
        orders.fault = "empty_answer"
    return orders


class DemoClient:
    """Answers by itself. The options `pace` (deltas a second, 0 for no waiting) and `first_after`
    (seconds) change its rhythm.
    """

    def __init__(self, config: AgentConfig, limits: Limits) -> None:
        self._config = config
        self._limits = limits

    async def answer(self, request: AgentRequest, take: Take) -> None:
        """Gives the events of `stream` to `take`."""
        async with aclosing(self.stream(request)) as stream:
            async for events in stream:
                take(events)

    async def stream(self, request: AgentRequest) -> AsyncGenerator[list[AgentEvent], None]:
        """The events of one answer. Ends after one `Done`; raises AgentError when told to."""
        if not request.prompt.strip():
            raise AgentError("rejected", detail="the prompt is blank")
        request.attempts.append(Attempt())
        orders = orders_of(request.prompt)
        answer = _Answer(request, orders)
        usage = None if "nousage" in orders.words else answer.usage
        pace = _Pace({**self._config.options, **request.options}, orders, self._limits)
        if orders.fault in _BEFORE_TEXT:
            await pace.wait_for(orders.fault)
            raise _fault(orders.fault, usage)
        await pace.first()
        sent = deltas = 0
        for batch in _batches(answer.events(), 1 if pace.step else BURST):
            sent += sum(len(e.text.encode("utf-8", "replace")) for e in batch if hasattr(e, "text"))
            if sent > self._limits.answer_bytes:
                raise AgentError("answer_too_large")
            yield batch
            deltas += len(batch)
            if orders.fault is not None and (deltas >= DELTAS_BEFORE_A_FAULT or deltas >= answer.size):
                await pace.wait_for(orders.fault)
                raise _fault(orders.fault, None)
            await pace.next()
        yield [Done("stop", usage, request.conversation_id, None)]

    async def aclose(self) -> None:
        """Nothing to close: it has no connection."""


class _Answer:
    """What is going to be said."""

    def __init__(self, request: AgentRequest, orders: Orders) -> None:
        language = language_of(orders.question or request.prompt)
        subject = subject_of(orders.question)
        reasoning, self.source = "", None
        if orders.echo is not None:
            # Short and uneven, so that marks are cut in two in every possible way.
            self.pieces = list(_uneven(orders.echo))
        elif orders.paragraphs:
            self.pieces = _words(_long(orders.paragraphs, language))
        else:
            # Said after every sample, so that nobody takes it for knowledge about their own data.
            footnote = text("footnote", language) if subject != WELCOME else ""
            self.pieces = _words(_seen(request.files, language) + text(subject, language) + footnote)
            reasoning = text(f"{subject}-thinking", language)
            self.source = SOURCES.get(subject, {}).get(language)
        if "think" in orders.words:
            reasoning = reasoning or text("thinking", language)
        self.reasoning = _words(reasoning)
        self.size = len(self.pieces) + len(self.reasoning) + (self.source is not None)
        asked = request.prompt + "".join(message.text for message in request.history)
        self.usage = Usage(
            user=max(len(asked) // 4, 1),
            enrichment=128 if self.source else 0,
            output=len(self.pieces) + len(self.reasoning),
        )

    def events(self) -> Iterator[AgentEvent]:
        yield from (ReasoningDelta(piece) for piece in self.reasoning)
        if self.source is not None:
            yield SourcesFound((Source("demo-handbook", self.source, kind="knowledge_source"),))
        yield from (TextDelta(piece) for piece in self.pieces)


_SEEN: Final = {
    "en": "I was given **{name}** ({size} bytes){words}.",
    "pt": "Recebi **{name}** ({size} bytes){words}.",
}


def _seen(files: tuple[FilePart, ...], language: str) -> str:
    """That the files of the question arrived: a line each, with the first words of a text."""
    lines = []
    for part in files:
        first = " ".join((part.text or "").split()[:12])
        words = f": \u201c{first}\u2026\u201d" if first else ""
        name = re.sub(r"([\\`*_\[\]<>!])", r"\\\1", part.name)
        words = re.sub(r"([\\`*_\[\]<>!])", r"\\\1", words)
        lines.append(_SEEN[language].format(name=name, size=part.size, words=words))
    return "\n\n".join(lines) + "\n\n" if lines else ""


class _Pace:
    """When the next delta comes, and how long a silence lasts."""

    def __init__(self, options: dict[str, Any], orders: Orders, limits: Limits) -> None:
        pace = float(options.get("pace", DELTAS_PER_SECOND))
        self._first = float(options.get("first_after", FIRST_DELTA_AFTER))
        self.step = 1 / pace if pace > 0 else 0.0
        if "fast" in orders.words:
            self._first = self.step = 0.0
        elif "slow" in orders.words:
            self._first, self.step = 2.0, 0.5
        self._limits = limits
        self._ends_at = time.monotonic() + limits.total

    async def first(self) -> None:
        await self._wait(self._first)

    async def next(self) -> None:
        await self._wait(self.step)

    async def wait_for(self, fault: str) -> None:
        """The silence after which a caller gives up, for the faults that are silences."""
        silences = {"no_answer": self._limits.first_byte, "stalled": self._limits.idle,
                    "too_long": self._ends_at - time.monotonic()}  # fmt: skip
        await self._wait(silences.get(fault, self._first))

    async def _wait(self, seconds: float) -> None:
        left = self._ends_at - time.monotonic()
        if seconds > left >= 0:
            await asyncio.sleep(left)
            raise AgentError("too_long")
        await asyncio.sleep(seconds)


def _batches(events: Iterator[AgentEvent], size: int) -> Iterator[list[AgentEvent]]:
    batch: list[AgentEvent] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _words(words: str) -> list[str]:
    """The text in pieces about as long as a model's tokens."""
    return re.findall(r"\s*\S{1,8}|\s+", words)


def _long(paragraphs: int, language: str) -> str:
    texts = text("long", language).strip().split("\n\n")
    return "\n\n".join(f"{n + 1}. {texts[n % len(texts)]}" for n in range(paragraphs))


def _uneven(words: str) -> Iterator[str]:
    position = 0
    while position < len(words):
        length = 1 + position * 7 % 5
        yield words[position : position + length]
        position += length


def _fault(code: str, usage: Usage | None) -> AgentError:
    return AgentError(
        code,
        detail="the demo agent was asked to fail",
        retry_after=30.0 if code == "busy" else None,
        usage=usage if code in ("empty_answer", "filtered") else None,
        params={"limit": 272_000, "size": 340_000} if code == "prompt_too_long" else None,
    )
