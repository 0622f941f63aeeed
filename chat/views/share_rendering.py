"""Frozen texts as what the templates of a shared page draw. What is not in the text is not drawn."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from chat import markdown

_TAG = re.compile(r"<[^>\"]*(?:\"[^\"]*\"[^>\"]*)*>")


def drawn_messages(content: dict[str, Any], keys: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Each message with the HTML of its texts, and its key where the page is live."""
    author = content.get("author", "")
    return [
        drawn_message(message, author, keys[index] if keys else "")
        for index, message in enumerate(content["messages"])
    ]


def drawn_message(message: dict[str, Any], author: str, key: str = "") -> dict[str, Any]:
    """One message of a frozen text."""
    drawn = {"role": message["role"], "key": key, "text": message["text"], "author": author}
    drawn["files"] = [file["name"] for file in message.get("files", ())]
    if message["role"] == "answer":
        drawn |= {
            "agent": message["agent"],
            "html": _html(message["text"]),
            "reasoning": _html(message["reasoning"]) if "reasoning" in message else "",
            "usage": message.get("usage"),
            "unfinished": message.get("unfinished", False),
        }
    return drawn


def message_html(message: dict[str, Any], author: str, key: str = "") -> str:
    """The very HTML that a shared page holds for one message."""
    return render_to_string("shared/_message.html", {"m": drawn_message(message, author, key)})


def highlighted(html: str, texts: Collection[str]) -> SafeString:
    """`html` (ours, sanitised) with every occurrence of `texts` between its tags marked."""
    wanted = sorted({escape(text) for text in texts if text}, key=len, reverse=True)
    if not wanted:
        return mark_safe(html)  # noqa: S308 (rendered by our template)
    pattern = re.compile("|".join(re.escape(text) for text in wanted))
    pieces, end = [], 0
    for tag in _TAG.finditer(html):
        pieces += [pattern.sub(r"<mark>\g<0></mark>", html[end : tag.start()]), tag[0]]
        end = tag.end()
    pieces.append(pattern.sub(r"<mark>\g<0></mark>", html[end:]))
    return mark_safe("".join(pieces))  # noqa: S308 (rendered by our template)


def moment(iso: str) -> datetime:
    """A frozen date."""
    return datetime.fromisoformat(iso)


def _html(text: str) -> SafeString:
    return mark_safe(markdown.render(text))  # noqa: S308 (render's output is an allow-list's)
