"""Thread items as JSON-ready dicts. A key that would be null is left out, as ChatKit does.

Only `stkweb` and what is inside it keep their nulls: there, null means "not reported".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Item = dict[str, Any]


def attachment(
    *, id: str, name: str, mime_type: str, preview_url: str | None, extra: Mapping[str, Any]
) -> Item:
    """A file that came with a question; an image when there is a preview of it."""
    found = {"type": "image" if preview_url else "file", "id": id, "name": name, "mime_type": mime_type}
    return {**found, **({"preview_url": preview_url} if preview_url else {}), "stkweb": dict(extra)}


def user_message(
    *, id: str, thread_id: str, created_at: str, text: str, extra: Mapping[str, Any],
    attachments: Sequence[Item] = (),
) -> Item:  # fmt: skip
    """A question. `created_at` is ISO 8601 with its zone; `extra` = {parent, author}."""
    return {
        "id": id,
        "thread_id": thread_id,
        "created_at": created_at,
        "type": "user_message",
        "content": [{"type": "input_text", "text": text}],
        "attachments": list(attachments),
        "inference_options": {},
        "stkweb": dict(extra),
    }


def assistant_message(
    *, id: str, thread_id: str, created_at: str, text: str, extra: Mapping[str, Any]
) -> Item:
    """An answer, as far as it goes. `extra` is described in docs/protocol.md."""
    return {
        "id": id,
        "thread_id": thread_id,
        "created_at": created_at,
        "type": "assistant_message",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
        "stkweb": dict(extra),
    }


def reasoning_id(answer_id: str) -> str:
    """The id of the workflow item that holds an answer's reasoning."""
    return f"{answer_id}.r"


def thought(content: str) -> Item:
    """The one task of a reasoning workflow."""
    return {"type": "thought", "content": content}


def reasoning(*, answer_id: str, thread_id: str, created_at: str, content: str) -> Item:
    """What the agent thought before it answered; it comes before its answer."""
    return {
        "id": reasoning_id(answer_id),
        "thread_id": thread_id,
        "created_at": created_at,
        "type": "workflow",
        "workflow": {"type": "reasoning", "tasks": [thought(content)], "expanded": False},
    }


def client_tool_call(
    *, id: str, thread_id: str, created_at: str, call: Mapping[str, Any], extra: Mapping[str, Any]
) -> Item:
    """A call of a function tool, {call_id, name, arguments, status, output?}; it comes after its answer."""
    found = {
        "id": id,
        "thread_id": thread_id,
        "created_at": created_at,
        "type": "client_tool_call",
        **call,
        "stkweb": dict(extra),
    }
    return {key: value for key, value in found.items() if value is not None}


def tool_call_id(answer_id: str, number: int) -> str:
    """The id of the item of an answer's call; `number` counts from 1."""
    return f"{answer_id}.c{number}"


def thread(*, id: str, created_at: str, title: str, items: Sequence[Item] = ()) -> Item:
    """A conversation; `items` is a page that may be empty."""
    return {
        "id": id,
        "title": title,
        "created_at": created_at,
        "status": {"type": "active"},
        "metadata": {},
        "items": {"data": list(items), "has_more": False},
    }
