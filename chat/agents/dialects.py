"""What one event of a stream says, in every dialect agents are known to speak.

One function a dialect, each of which takes a JSON object and fills a `Piece`. They know nothing of
what came before: order, endings and limits are the business of `answer`. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .errors import AgentError
from .refusals import error_text, refusal
from .sources import LONGEST_WORD, sources_of
from .tools import CallPart, parts_of
from .usage import native_usage, openai_usage
from .values import Source, Usage

MARKERS: Final = frozenset({"done", "end", "complete", "completed"})
_SIGNS_OF_LIFE: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
_NATIVE_KEYS: Final = frozenset({
    "message", "tokens", "stop_reason", "conversation_id", "message_id", "knowledge_source_id",
    "source", "cross_account_source", "upload_ids", "tools_id", "agent_info",
})  # fmt: skip
_REASONING_KEYS: Final = frozenset({
    "reasoning_content", "reasoning", "thinking", "thinking_blocks", "reasoning_details",
})  # fmt: skip


class Piece:
    """What one event adds to the answer. `end` is a proper end, `marker` one that closes for good.

    The defaults live in the class: one is made for every event, and filling twelve members of an
    instance costs as much as parsing the JSON.
    """

    text: str = ""
    reasoning: str = ""
    stop_reason: str | None = None
    usage: Usage | None = None
    native_usage: bool = False
    conversation_id: str | None = None
    message_id: str | None = None
    sources: tuple[Source, ...] = ()
    calls: tuple[CallPart, ...] = ()
    withheld: bool = False
    end: bool = False
    marker: bool = False
    fault: AgentError | None = None


def plain_text(chunk: dict[str, Any]) -> str | None:
    """The text of the usual event: one that adds text and says nothing else. None for all others.

    It says what `interpret` says, in half the time, for all but a few events of a stream.
    """
    get = chunk.get
    if get("usage") or "error" in chunk or "code" in chunk or "type" in chunk:
        return None
    text = get("message")
    if text.__class__ is str:
        if get("stop_reason") or get("tokens") or get("conversation_id") or get("message_id"):
            return None
        if get("knowledge_source_id") or get("source") or get("cross_account_source"):
            return None
        found: str = text
        return found
    choices = get("choices")
    if choices.__class__ is not list or len(choices) != 1 or not _NATIVE_KEYS.isdisjoint(chunk):
        return None
    choice = choices[0]
    if choice.__class__ is not dict or choice.get("finish_reason") or choice.get("index"):
        return None
    delta = choice.get("delta")
    if delta.__class__ is not dict or len(delta) != 1:
        return None
    text = delta.get("content")
    return text if text.__class__ is str else None


def interpret(name: str, chunk: Mapping[str, Any]) -> Piece | None:
    """What the object `chunk` of an event called `name` says; None when it is of no known dialect."""
    piece = Piece()
    kind = chunk.get("type", "")
    if kind.__class__ is not str:
        kind = ""
    suspect = "error" in chunk or "code" in chunk
    if name == "error" or kind == "error" or (suspect and _is_error(chunk)):
        piece.fault = refusal(None, error_text(chunk) or "error without a word")
        return piece
    known = native(chunk, piece) or openai(chunk, piece) or flat(chunk, piece)
    if not (name or kind):
        return piece if known else None
    if name in MARKERS or kind in MARKERS:
        piece.end = piece.marker = known = True
    elif not known and (name in _SIGNS_OF_LIFE or kind in _SIGNS_OF_LIFE):
        known = True
    return piece if known else None


def native(chunk: Mapping[str, Any], piece: Piece) -> bool:
    """StackSpot: flat objects; the end is a `stop_reason` or a `tokens` object."""
    if _NATIVE_KEYS.isdisjoint(chunk):
        return False
    text = chunk.get("message")
    if isinstance(text, str):
        piece.text = text
        usage = chunk.get("usage")
        if usage and isinstance(usage, dict):
            piece.usage = openai_usage(usage)
    elif openai(chunk, piece) or flat(chunk, piece):
        pass
    elif "message" in chunk and text is None:
        piece.withheld = True
    _read_identity(chunk, piece)
    stop = chunk.get("stop_reason")
    if stop and isinstance(stop, str):
        piece.stop_reason, piece.end = stop, True
    tokens = chunk.get("tokens")
    if tokens and isinstance(tokens, dict):
        piece.end = True
        counts = native_usage(tokens)
        if counts is not None:
            piece.usage, piece.native_usage = counts, True
    return True


def openai(chunk: Mapping[str, Any], piece: Piece) -> bool:
    """OpenAI and LiteLLM: `choices` with a delta (or a whole message), usage beside or after them."""
    choices = chunk.get("choices")
    usage = chunk.get("usage")
    if not isinstance(choices, list):
        if not isinstance(usage, dict):
            return False
        choices = []
    if isinstance(usage, dict):
        piece.usage = openai_usage(usage)
    for choice in choices:
        if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
            _read_choice(choice, piece)
            break
    return True


def _read_choice(choice: Mapping[str, Any], piece: Piece) -> None:
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice.get("message")
    if isinstance(delta, dict):
        content = delta.get("content")
        if isinstance(content, str):
            piece.text = content
        elif isinstance(content, list):
            piece.text = _join(content, "text")
        elif isinstance(delta.get("refusal"), str):
            piece.text = delta["refusal"]
        if not _REASONING_KEYS.isdisjoint(delta) or content.__class__ is list:
            piece.reasoning = reasoning_of(delta)
        if "tool_calls" in delta or "function_call" in delta:
            piece.calls = parts_of(delta)
    elif isinstance(choice.get("text"), str):
        piece.text = choice["text"]
    finish = choice.get("finish_reason")
    if isinstance(finish, str) and finish:
        piece.stop_reason, piece.end = finish, True


def reasoning_of(delta: Mapping[str, Any]) -> str:
    """The reasoning in a delta, in the field its provider uses; a second copy is left out."""
    for key in ("reasoning_content", "reasoning", "thinking"):
        value = delta.get(key)
        if isinstance(value, str) and value:
            return value
    for key in ("thinking_blocks", "reasoning_details", "content"):
        value = delta.get(key)
        if isinstance(value, list):
            text = _join(value, "thinking")
            if not text and key == "reasoning_details":
                text = _join(value, "text") or _join(value, "summary")
            if text:
                return text
    return ""


def _join(blocks: list[Any], key: str, *, nested: bool = False) -> str:
    parts: list[str] = []
    for block in blocks:
        value = block.get(key) if isinstance(block, dict) else None
        if isinstance(value, list) and not nested:  # Mistral nests text blocks in a thinking block
            value = _join(value, "text", nested=True)
        if isinstance(value, str):
            parts.append(value)
    return "".join(parts)


def flat(chunk: Mapping[str, Any], piece: Piece) -> bool:
    """Servers that send the text under one plain name."""
    for key in ("content", "text", "delta", "answer"):
        value = chunk.get(key)
        if isinstance(value, str):
            piece.text = value
            return True
    return False


def _is_error(chunk: Mapping[str, Any]) -> bool:
    if chunk.get("error"):
        return True
    code = chunk.get("code")
    if isinstance(code, str) and code:
        return "details" in chunk or "detail" in chunk or code.startswith("INFERENCE_")
    return isinstance(code, int) and "details" in chunk


def _read_identity(chunk: Mapping[str, Any], piece: Piece) -> None:
    value = chunk.get("conversation_id")
    if value and isinstance(value, str):
        piece.conversation_id = value[:LONGEST_WORD]
    value = chunk.get("message_id")
    if value and isinstance(value, str):
        piece.message_id = value[:LONGEST_WORD]
    if chunk.get("source") or chunk.get("cross_account_source") or chunk.get("knowledge_source_id"):
        piece.sources = sources_of(chunk)
