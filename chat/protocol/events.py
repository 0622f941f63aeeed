"""ChatKit thread events as JSON-ready dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chat.protocol.items import Item, reasoning_id, thought

Event = dict[str, Any]


def item_added(item: Item) -> Event:
    """An item has begun; more about it follows."""
    return {"type": "thread.item.added", "item": item}


def item_done(item: Item) -> Event:
    """An item in its final form; replaces whatever was shown under its id."""
    return {"type": "thread.item.done", "item": item}


def text_delta(item_id: str, delta: str) -> Event:
    """`delta` is added to the answer's text."""
    return {
        "type": "thread.item.updated",
        "item_id": item_id,
        "update": {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": delta},
    }


def reasoning_updated(answer_id: str, content: str) -> Event:
    """The reasoning so far, whole: ChatKit has no delta for a task."""
    return {
        "type": "thread.item.updated",
        "item_id": reasoning_id(answer_id),
        "update": {"type": "workflow.task.updated", "task_index": 0, "task": thought(content)},
    }


def place(answer_id: str, place: Mapping[str, int] | None) -> Event:
    """An answer waits for a place of its agent's allowance: {before, seconds}; null when it waits no
    longer. The text is for readers that know nothing of `stkweb`."""
    text = f"Waiting: {place['before']} before, about {place['seconds']} s." if place else "Answering."
    return {"type": "progress_update", "text": text, "stkweb": {"item_id": answer_id, "place": place}}


def waiting(answer_id: str, waited: int) -> Event:
    """A sign of life: `waited` seconds after the agent was asked the answer has not begun."""
    text = f"No answer yet after {waited} s."
    return {"type": "progress_update", "text": text, "stkweb": {"item_id": answer_id, "waited": waited}}
