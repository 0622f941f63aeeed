"""What a page shows of a conversation: the smallest program that follows docs/protocol.md.

Tests use it as the browser's stand-in: a page that took a snapshot and the events after it must
show what a fresh snapshot shows.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any


class Gap(Exception):
    """A number is missing: subscribe again with `after` = the page's own."""


class Page:
    """Items in order and the number they are at; None before the first snapshot."""

    def __init__(self, seq: int | None = None) -> None:
        self.seq = seq
        self.items: list[dict[str, Any]] = []
        self.snapshots = 0

    def take(self, frame: dict[str, Any]) -> None:
        """A `snapshot` or an `event` frame. Raises Gap."""
        frame = deepcopy(frame)
        if frame["type"] == "snapshot":
            self._take_snapshot(frame)
        elif self.seq is None or frame["seq"] > self.seq + 1:
            raise Gap(f"at {self.seq}, got {frame['seq']}")
        elif frame["seq"] == self.seq + 1:
            self.seq = frame["seq"]
            self._take_event(frame["event"])

    def _take_snapshot(self, frame: dict[str, Any]) -> None:
        self.snapshots += 1
        self.seq = frame["seq"]
        if frame["complete"]:
            self.items = frame["items"]
        else:
            for item in frame["items"]:
                self._put(item)

    def _take_event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "thread.item.added" | "thread.item.done":
                self._put(event["item"])
                if event["type"] == "thread.item.added" and event["item"]["type"] == "workflow":
                    self._answering(event["item"]["id"].removesuffix(".r"))
            case "thread.item.updated":
                self._update(event["item_id"], event["update"])
            case "notice":
                pass
            case other:
                raise AssertionError(f"an event without a case: {other}")

    def _update(self, item_id: str, update: dict[str, Any]) -> None:
        item = self.item(item_id)
        if update["type"] == "assistant_message.content_part.text_delta":
            item["content"][update["content_index"]]["text"] += update["delta"]
            self._answering(item_id)
        elif update["type"] == "workflow.task.updated":
            item["workflow"]["tasks"][update["task_index"]] = update["task"]
        else:
            raise AssertionError(f"an update without a case: {update['type']}")

    def _answering(self, answer_id: str) -> None:
        facts = self.item(answer_id)["stkweb"]
        if facts["state"] == "queued":
            facts["state"] = "streaming"

    def _put(self, item: dict[str, Any]) -> None:
        ids = [known["id"] for known in self.items]
        if item["id"] in ids:
            self.items[ids.index(item["id"])] = item
        elif item["type"] == "workflow" and item["id"].removesuffix(".r") in ids:
            self.items.insert(ids.index(item["id"].removesuffix(".r")), item)
        else:
            self.items.append(item)

    def item(self, item_id: str) -> dict[str, Any]:
        return next(item for item in self.items if item["id"] == item_id)

    def text(self, item_id: str) -> str:
        return self.item(item_id)["content"][0]["text"]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """What a reader sees while an answer runs: (id, text) of every item."""
        return [(item["id"], _text_of(item)) for item in self.items]


def _text_of(item: dict[str, Any]) -> str:
    if item["type"] == "workflow":
        return item["workflow"]["tasks"][0]["content"]
    if item["type"] == "client_tool_call":
        return str(item.get("output", ""))
    return item["content"][0]["text"]
