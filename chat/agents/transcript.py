"""The branch so far as text in front of a prompt, for agents that take nothing but a prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .values import HistoryMessage


def transcript(history: Sequence[HistoryMessage], prompt: str) -> str:
    """`history` and `prompt` as one prompt.

    The marks around each message get a number that occurs in none of them, so that a message which
    contains such marks cannot pass for another.
    """
    texts = [_told(message) for message in history]
    number = 1
    while any(f"conversation-{number}" in text for text in (*texts, prompt)):
        number += 1
    mark = f"conversation-{number}"
    lines = [f"<{mark}>"]
    for message, text in zip(history, texts, strict=True):
        lines += [f"<{mark}-{message.role}>", text, f"</{mark}-{message.role}>"]
    lines += [f"</{mark}>", "", prompt]
    return "\n".join(lines)


def _told(message: HistoryMessage) -> str:
    """A message's text, with the calls that it made: this agent knows no tools."""
    calls = [f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in message.calls]
    return "\n".join([message.text, *calls] if message.text else calls) if calls else message.text
