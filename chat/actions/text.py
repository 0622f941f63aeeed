"""What a person may write: checked once, for every door."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from django.conf import settings

from chat.actions.refusals import Refused
from chat.agents.tools import portable
from chat.turns import storable

#: PostgreSQL stores no NUL and UTF-8 no half of a pair; SQLite must not differ.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

#: Characters of a key that are stored as they are.
KEY = 255

#: Characters of a title made from a question.
TITLE = 60


def checked_question(text: str) -> str:
    """`text` as it will be stored: line ends are LF, nothing else is changed. Raises Refused."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Refused("empty_text")
    found = _UNSTORABLE.search(text)
    if found:
        raise Refused("unstorable_text", position=found.start())
    size = len(text.encode())
    if size > settings.LIMIT_PROMPT_BYTES:
        raise Refused("text_too_long", limit=settings.LIMIT_PROMPT_BYTES, size=size)
    return text


def checked_output(output: Any) -> Any:
    """A tool's output as it will be stored: any JSON value. Raises Refused."""
    if isinstance(output, str):
        output = output.replace("\r\n", "\n").replace("\r", "\n")
    stored = storable.json_value(output, None)
    if not portable(stored) or (stored is None) != (output is None):
        raise Refused("bad_request")
    if stored != output:
        found = _UNSTORABLE.search(output) if isinstance(output, str) else None
        raise Refused("unstorable_text", position=found.start() if found else 0)
    size = len(json.dumps(output, ensure_ascii=False).encode())
    if size > settings.LIMIT_PROMPT_BYTES:
        raise Refused("output_too_long", limit=settings.LIMIT_PROMPT_BYTES, size=size)
    return output


def checked_key(key: str) -> str:
    """An Idempotency-Key as it is stored: one that is too long or cannot be stored goes by its hash."""
    if len(key) <= KEY and not _UNSTORABLE.search(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def checked_title(title: str) -> str:
    """A title of 1 to 120 characters on one line. Raises Refused."""
    title = " ".join(title.split())
    if not 1 <= len(title) <= 120 or _UNSTORABLE.search(title):
        raise Refused("title_invalid")
    return title


def title_from(question: str) -> str:
    """The first words of a question, at most 60 characters, cut between words."""
    line = " ".join(question.split())
    line = re.sub(r"^[#>*`\-\s]+", "", line) or line
    if len(line) <= TITLE:
        return line
    cut = line[: TITLE - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > TITLE // 2 else cut).rstrip(" ,.;:") + "…"
