"""What goes to an agent and what comes back: plain values.

They know nothing of HTTP, of rows or of Django, and they do nothing: a value is made, read and
thrown away. Identity and storage are somebody else's concern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

# No model has a context of a billion tokens; a count above this is a broken counter.
LARGEST_COUNT = 1_000_000_000_000


def count(value: object) -> int | None:
    """A token count as an upstream may send it: a number or a numeric string.

    Returns None for everything that is not a believable count (missing, negative, a boolean,
    not a number, above 10**12), so that what is unknown is never stored as 0.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 13):
            return None
        value = int(text)
    if isinstance(value, float):
        if not math.isfinite(value) or value != int(value):
            return None
        value = int(value)
    if not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        return None
    return value


@dataclass(frozen=True, slots=True)
class Usage:
    """The upstream's own token counts for one call. A member that is None was not reported.

    `user` are the tokens of the prompt, `enrichment` those of knowledge sources, `output` those of
    the answer. `cached` and `reasoning` are parts of the prompt and of the output, not additions.
    `raw` is the object as it came, since vendors rename its members.
    Whatever is not a believable count becomes None (see `count`).
    """

    user: int | None = None
    enrichment: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    raw: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("user", "enrichment", "output", "cached", "reasoning"):
            object.__setattr__(self, name, count(getattr(self, name)))

    @property
    def total(self) -> int | None:
        """The sum of what was reported; None when nothing was."""
        reported = [n for n in (self.user, self.enrichment, self.output) if n is not None]
        return sum(reported) if reported else None


@dataclass(frozen=True, slots=True)
class Source:
    """Something the answer rests on: a knowledge source or a document of one."""

    id: str
    title: str
    url: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function tool, whole. `id` is the upstream's, unique in its answer."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that came with a message. `ref` is what the caller knows it by; `size` is in bytes.

    `text` is what is known of its content, `cut` whether that is not all of it; `image` a picture of
    the type `media_type`. A part with neither is only named.
    """

    name: str
    media_type: str
    size: int
    ref: str = ""
    text: str | None = field(default=None, repr=False)
    cut: bool = False
    image: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One earlier message of the branch, with the files that came with it. An answer may have made
    `calls`; a `tool` message is the output of the one with the id `call_id`, and each of them has
    exactly one."""

    role: Literal["user", "assistant", "tool"]
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    files: tuple[FilePart, ...] = ()


@dataclass(slots=True)
class Attempt:
    """One request that was made of an agent's server. `code` says why it was refused, where another one
    followed it; `ended_at` is None for the one that was answered, or was the last."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    code: str = ""

    def refused(self, code: str) -> None:
        """It was refused, and is made again."""
        self.ended_at, self.code = datetime.now(UTC), code


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One question.

    `history` is the branch so far without the prompt; leave it empty when `conversation_id` names
    an upstream conversation that already knows the branch. `options` override, for this message
    alone, those of `AgentConfig.options`. The prompt is blank only where the history ends with the
    outputs of tools, for the answer to go on from there. `files` came with the prompt, or with the
    branch where the upstream knows its texts already. Whoever makes requests of the agent for it adds
    them to `attempts`, each before it is made.
    """

    prompt: str
    history: tuple[HistoryMessage, ...] = ()
    conversation_id: str | None = None
    upload_ids: tuple[str, ...] = ()
    files: tuple[FilePart, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list, compare=False, repr=False)


@dataclass(slots=True)  # not frozen: that doubles what it takes to make one, and there is one for every token
class TextDelta:
    """Text to add to the answer. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Text to add to the reasoning, which is no part of the answer. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """Sources not announced before, or known better than before: the same id replaces."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class ToolsCalled:
    """All calls of function tools that the answer makes, at its end."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The proper end of an answer; nothing follows it.

    `conversation_id` is the upstream's when it named one, else the one that was sent.
    `usage` is None when nothing was reported. `continued` is how often the length had cut the answer
    off and it was asked to go on; then `usage` is that of all its calls.
    """

    stop_reason: str | None = None
    usage: Usage | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    continued: int = 0


AgentEvent = TextDelta | ReasoningDelta | SourcesFound | ToolsCalled | Done


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call: seconds for times, UTF-8 bytes for sizes.

    `first_byte` counts from the request until the first byte of the answer's body, `idle` between
    any two reads after it, `total` the whole call with its retries. `bad_events` is how many
    unreadable events in a row are skipped before the stream is given up.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 900.0
    event_bytes: int = 1 << 20
    answer_bytes: int = 2 << 20
    bad_events: int = 20


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent as an administrator set it up.

    `ca_bundle` is the path of a PEM file that replaces the system's certificates, `proxy` the URL
    of an HTTP proxy. `options` are the agent's own (see docs/agents.md).
    """

    kind: Literal["stackspot", "demo", "openai"]
    name: str
    base_url: str = ""
    agent_id: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)
