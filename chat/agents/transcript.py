"""The branch so far as text in front of a prompt, for agents that take nothing but a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from .values import HistoryMessage


def transcript(history: Sequence[HistoryMessage], prompt: str) -> str:
    """`history` and `prompt` as one prompt.

    The marks around each message get a number that occurs in none of them, so that a message which
    contains such marks cannot pass for another.
    """
    texts = [message.text for message in history]
    number = 1
    while any(f"conversation-{number}" in text for text in (*texts, prompt)):
        number += 1
    mark = f"conversation-{number}"
    lines = [f"<{mark}>"]
    for message in history:
        lines += [f"<{mark}-{message.role}>", message.text, f"</{mark}-{message.role}>"]
    lines += [f"</{mark}>", "", prompt]
    return "\n".join(lines)
