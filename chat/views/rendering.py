"""Items of the wire as what the templates draw: the same facts, with HTML and sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils.safestring import mark_safe

from chat import faults, markdown
from chat.models import State
from chat.strings import strings

_ENDED_PARTIAL = (State.STOPPED, State.FAILED, State.INTERRUPTED)


def drawn(items: Iterable[dict[str, Any]], leaf: str | None) -> list[dict[str, Any]]:
    """What chat/_item.html draws, one for each question and each answer; reasoning and calls of
    tools join their answer. `leaf` is the id of the message that ends the branch: it may be continued."""
    found: list[dict[str, Any]] = []
    thoughts: dict[str, str] = {}
    for item in items:
        if item["type"] == "workflow":
            thoughts[item["id"].removesuffix(".r")] = item["workflow"]["tasks"][0]["content"]
        elif item["type"] == "user_message":
            found.append(_question(item))
        elif item["type"] == "client_tool_call":
            found[-1]["calls"].append(_call(item))
        else:
            found.append(_answer(item, thoughts.get(item["id"], ""), is_leaf=item["id"] == leaf))
    return found


def _question(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "question",
        "id": item["id"],
        "text": item["content"][0]["text"],
        "created_at": datetime.fromisoformat(item["created_at"]),
        "author": item["stkweb"]["author"],
        "attachments": [_attachment(one) for one in item.get("attachments", [])],
        **_place(item),
    }


def _attachment(one: dict[str, Any]) -> dict[str, Any]:
    facts = one.get("stkweb", {})
    there = not facts.get("gone")
    return {
        "name": one["name"],
        "size": facts.get("size") or 0,
        "url": facts.get("download_url") if there else None,
        "preview": one.get("preview_url") if there else None,
    }


def _place(item: dict[str, Any]) -> dict[str, Any]:
    """Where it stands among its siblings, counted from 1, and who is beside it."""
    siblings = item["stkweb"]["siblings"]
    index = siblings.index(item["id"])
    return {
        "sibling_index": index + 1,
        "sibling_count": len(siblings),
        "sibling_previous": siblings[index - 1] if index else None,
        "sibling_next": siblings[index + 1] if index + 1 < len(siblings) else None,
    }


def _html(text: str) -> str:
    return mark_safe(markdown.render(text))  # noqa: S308 (render's output is an allow-list's)


def _answer(item: dict[str, Any], thoughts: str, *, is_leaf: bool) -> dict[str, Any]:
    facts, text = item["stkweb"], item["content"][0]["text"]
    ended = facts["state"] not in (State.QUEUED, State.STREAMING)
    long = facts["stop_reason"] == "length" and facts["on_length"] != "off"
    cut = long or facts["state"] in _ENDED_PARTIAL
    onward = ended and cut and bool(text) and is_leaf
    return {
        "kind": "answer",
        "id": item["id"],
        "html": _html(text),
        "bare": not text,
        "created_at": datetime.fromisoformat(item["created_at"]),
        "agent_name": facts["agent"]["name"],
        "state": facts["state"],
        "error": _error(facts["error"], bare=not text, onward=onward),
        "usage": facts["usage"],
        "estimated": facts.get("estimated"),
        "duration_ms": facts["duration_ms"],
        "reasoning_html": _html(thoughts) if thoughts else "",
        "reasoning_seconds": round(facts["reasoning_ms"] / 1000) if facts["reasoning_ms"] else None,
        "sources": facts["sources"],
        "continues": facts["continues"],
        "told": _told(facts),
        "calls": [],
        **_place(item),
        "can_retry": ended,
        "can_continue": onward,
    }


def _call(item: dict[str, Any]) -> dict[str, Any]:
    state = "over" if item["stkweb"]["over"] else item["status"]
    output = item.get("output")
    return {
        "id": item["id"],
        "name": item["name"],
        "arguments": json.dumps(item["arguments"], indent=2, ensure_ascii=False),
        "state": state,
        "output": output if isinstance(output, str) else json.dumps(output, indent=2, ensure_ascii=False),
    }


def _told(facts: dict[str, Any]) -> list[str]:
    """What a person should know of how the answer came about, in the words of the page's modules."""
    names = [name for name in ("trimmed", "continued") if facts[name]]
    texts = strings() if names else {}
    forms = {name: f"{name}_{'one' if facts[name] == 1 else 'other'}" for name in names}
    return [texts[forms[name]].replace("{count}", str(facts[name])) for name in names]


def _error(error: dict[str, Any] | None, *, bare: bool, onward: bool) -> dict[str, Any] | None:
    return {**faults.text_of(error["code"], bare=bare, onward=onward), **error} if error else None
