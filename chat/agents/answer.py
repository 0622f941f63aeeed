"""One answer as it arrives: bytes in, `AgentEvent`s out, under limits. No I/O, never raises.

It holds what the dialects cannot know: which dialect the body is in, when the answer has ended and
how, what was said twice, and how much is too much. Errors wait in `fault` for the caller to raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .alike import Alike
from .decoding import UNREADABLE, decode
from .dialects import MARKERS, Piece, interpret, plain_text
from .errors import AgentError
from .sse import EventSplitter
from .tools import CallJoiner, CallPart
from .values import (
    AgentEvent,
    Done,
    Limits,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolsCalled,
    Usage,
)

MOST_SOURCES: Final = 200
_FILTERS: Final = frozenset({"content_filter", "content_filtered", "safety", "guardrail", "filtered"})
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"


class AnswerReader:
    """Reads one answer. Feed it every read of the body, then call `finish`.

    closed      nothing more will be taken: read no further
    stopped     the answer may end here: it said so, or gave its token counts
    text_ended  no more text will come, only counts, an end marker or the end of the body
    fault       why the answer failed; what `feed` returned before is still good
    ignored     pieces that came after the end
    bad         unreadable events altogether
    """

    def __init__(self, limits: Limits, *, cumulative: bool = False) -> None:
        self.closed = False
        self.stopped = False
        self.fault: AgentError | None = None
        self.ignored = 0
        self.bad = 0
        self.usage: Usage | None = None
        self.stop_reason: str | None = None
        self._limits = limits
        self._splitter = EventSplitter(limits.event_bytes)
        self._body: bytearray | None = None
        self._begun = False
        self._cumulative = cumulative
        self._so_far = ""
        self._bytes = 0
        self._bad_in_a_row = 0
        self._plain: bool | None = None
        self._recognised = False
        self._withheld = False
        self._has_text = False
        self.text_ended = False
        self._native_usage = False
        self._usage_settled = False
        self._conversation_id: str | None = None
        self._message_id: str | None = None
        self._sources: dict[str, Source] = {}
        self._joiner = CallJoiner()
        self._alike = Alike()
        self._calls: tuple[ToolCall, ...] = ()

    def feed(self, chunk: bytes) -> list[AgentEvent]:
        """The events of one read of the body, in order; often none."""
        events: list[AgentEvent] = []
        if self.closed:
            return events
        # One event a read, like the one before it, is what a paced agent sends.
        if self._splitter.begins_with(chunk) and (text := self._alike.text_in(chunk)) is not None:
            if self._cumulative or self.text_ended:
                self._add_text(text, "", events)
            elif self._fits(text):
                events.append(TextDelta(text))
            return events
        if not self._begun:
            start = chunk.lstrip(_BLANK)
            if start:
                self._begun = True
                if start.startswith(b"{"):
                    self._body, chunk = bytearray(), start
        if self._body is None:
            self._take_events(chunk, events)
        else:
            self._body += chunk
            if len(self._body) > self._limits.answer_bytes + self._limits.event_bytes:
                self._fail(AgentError("answer_too_large"))
                self._body.clear()
        return events

    def finish(self) -> list[AgentEvent]:
        """What the end of the body still gives: the last events, the calls of tools, then `Done`, unless
        it failed."""
        events: list[AgentEvent] = []
        if not self.closed:
            if self._body is not None:
                self._take_body(events)
            else:
                self._take_rest(events)
        if self.fault is None:
            self.fault = self._verdict()
        if self.fault is None:
            if self._calls:
                events.append(ToolsCalled(self._calls))
            events.append(Done(self.stop_reason, self.usage, self._conversation_id, self._message_id))
        elif self.fault.usage is None:
            self.fault.usage = self.usage
        self.closed = True
        return events

    def _verdict(self) -> AgentError | None:
        if not (self.stopped or self.closed):
            strange = self.bad or self._splitter.strange_lines or self._body is not None
            return AgentError("protocol" if strange and not self._recognised else "ended_early")
        if self._joiner:
            calls = self._joiner.finish(cut=self.stop_reason == "length")
            if calls is None:
                return AgentError("protocol", detail="the arguments of a tool call are no JSON object")
            self._calls = calls
        if self._has_text or self._calls:
            return None
        output = self.usage.output if self.usage is not None else None
        if self.stop_reason in _FILTERS or (self._withheld and output):
            return AgentError("filtered")
        return AgentError("empty_answer")

    def _fail(self, error: AgentError) -> None:
        error.usage = error.usage or self.usage
        self.fault, self.closed = error, True

    def _take_events(self, chunk: bytes, events: list[AgentEvent]) -> None:
        for name, data in self._splitter.feed(chunk):
            self._take(name, data, events)
            if self.closed:
                return
        if self._splitter.too_large:
            self._fail(AgentError("event_too_large"))

    def _take(self, name: str, data: bytes, events: list[AgentEvent]) -> None:
        # The usual event first: an object of a stream of objects, like the one before it.
        text = None if name else self._alike.text_of(data)
        if text is not None:
            self._add_text(text, "", events)
            return
        value = decode(data)
        if isinstance(value, dict):
            text = None if name else plain_text(value)
            if text is not None:
                self._recognised, self._plain, self._bad_in_a_row = True, False, 0
                if text:
                    self._alike.learn(data, text)
                    self._add_text(text, "", events)
                return
            self._alike.forget()
            piece = interpret(name, value)
            if piece is None:
                self._take_bad()
            else:
                self._plain = False
                self._add(piece, events)
        elif data.strip() == b"[DONE]":
            self._recognised = self.stopped = self.closed = True
        elif name == "error":
            words = data.decode("utf-8", "replace")
            self._add(interpret(name, {"message": words}) or Piece(), events)
        elif name in MARKERS:
            self._add(interpret(name, {}) or Piece(), events)
        elif data:
            self._take_plain(value is UNREADABLE, data, events)

    def _take_plain(self, unreadable: bool, data: bytes, events: list[AgentEvent]) -> None:
        # A body is plain text when it begins so. Among objects, whatever is no object is noise
        # and is never shown.
        if self._plain is None and unreadable and not data.lstrip().startswith((b"{", b"[", b'"')):
            self._plain = True
        if self._plain:
            self._add(interpret("", {"text": data.decode("utf-8", "replace")}) or Piece(), events)
        else:
            self._take_bad()

    def _take_bad(self) -> None:
        self.bad += 1
        self._bad_in_a_row += 1
        self._alike.forget()
        if self._bad_in_a_row > self._limits.bad_events:
            self._fail(AgentError("protocol", detail=f"{self._bad_in_a_row} unreadable events in a row"))

    def _take_rest(self, events: list[AgentEvent]) -> None:
        """An event without its blank line counts only when it says how the answer ended."""
        rest = self._splitter.finish()
        if rest is None:
            return
        name, data = rest
        value = decode(data)
        piece = interpret(name, value) if isinstance(value, dict) else None
        marker = data.strip() == b"[DONE]" or name in MARKERS or name == "error"
        if marker or (piece is not None and (piece.end or piece.fault is not None)):
            self._take(name, data, events)

    def _take_body(self, events: list[AgentEvent]) -> None:
        """A body that is one JSON object, and no stream at all, is the whole answer."""
        value = decode(bytes(self._body or b""))
        piece = interpret("", value) if isinstance(value, Mapping) else None
        if piece is None:
            self._fail(AgentError("protocol", detail="neither a stream nor a JSON answer"))
            return
        piece.end = True
        self._add(piece, events)

    def _add(self, piece: Piece, events: list[AgentEvent]) -> None:
        self._recognised = True
        self._bad_in_a_row = 0
        if piece.fault is not None:
            if self.text_ended:
                self.ignored += 1  # it had ended properly before
            else:
                self._fail(piece.fault)
            return
        if piece.marker and self._has_text:
            piece.text = ""  # a marker may repeat the whole answer
        if piece.reasoning or piece.text:
            self._add_text(piece.text, piece.reasoning, events)
            if self.closed:
                return
        if piece.calls:
            self._add_calls(piece.calls)
            if self.closed:
                return
        if piece.sources:
            self._add_sources(piece.sources, events)
        self._remember(piece)
        if piece.end:
            if self.stop_reason is None:
                self.stop_reason = piece.stop_reason
            # Token counts alone may come in the middle; a reason or a marker ends the text.
            self.stopped = True
            self.text_ended = self.text_ended or piece.marker or piece.stop_reason is not None
            self.closed = self.closed or piece.marker

    def _remember(self, piece: Piece) -> None:
        if piece.withheld:
            self._withheld = True
        if piece.conversation_id:
            self._conversation_id = piece.conversation_id
        if piece.message_id:
            self._message_id = piece.message_id
        if piece.usage is not None:
            self._add_usage(piece)

    def _add_text(self, text: str, reasoning: str, events: list[AgentEvent]) -> None:
        if self.text_ended:
            self.ignored += 1
            return
        if self._cumulative:
            text = self._new_part(text)
        if not self._fits(text + reasoning if reasoning else text):
            return
        if reasoning:
            events.append(ReasoningDelta(reasoning))
        if text:
            self._has_text = True
            events.append(TextDelta(text))

    def _add_calls(self, parts: tuple[CallPart, ...]) -> None:
        if self.text_ended:
            self.ignored += 1
            return
        for part in parts:
            if not self._fits(part.arguments):
                return
            if not self._joiner.add(part):
                self._fail(AgentError("answer_too_large"))

    def _fits(self, added: str) -> bool:
        """Counts what is added; False, and the answer has failed, when it is too much."""
        self._bytes += len(added) if added.isascii() else len(added.encode("utf-8", "replace"))
        if self._bytes > self._limits.answer_bytes:
            self._fail(AgentError("answer_too_large"))
        return not self.closed

    def _new_part(self, text: str) -> str:
        """The part of a cumulative text that was not there before."""
        if text.startswith(self._so_far):
            new, self._so_far = text[len(self._so_far) :], text
            return new
        if self._so_far.startswith(text):
            return ""
        self._so_far += text
        return text

    def _add_sources(self, sources: tuple[Source, ...], events: list[AgentEvent]) -> None:
        new = []
        for source in sources:
            known = self._sources.get(source.id)
            bare = source.title == source.id
            if known == source or (known is not None and bare) or len(self._sources) >= MOST_SOURCES:
                continue
            self._sources[source.id] = source
            new.append(source)
        if new:
            events.append(SourcesFound(tuple(new)))

    def _add_usage(self, piece: Piece) -> None:
        """The last report before or with the end wins; native counts win over others."""
        if self._usage_settled or (self._native_usage and not piece.native_usage):
            return
        self.usage, self._native_usage = piece.usage, piece.native_usage
        self._usage_settled = self.text_ended or piece.stop_reason is not None
