"""A browser tab as the server sees it: one socket that follows docs/protocol.md.

    tab = Tab(ws_url, cookie="stkweb_session=...", origin="http://127.0.0.1:8000")
    tab.subscribe(thread_id)                 # follows; a gap makes it subscribe again, as the page does
    wait_for(lambda: tab.text(answer_id) == "Hello")

Everything that came is in `frames`; `code` is the close code once the socket is closed.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.page import Gap, Page


class Tab:
    """See the module's docstring. It reads on a thread of its own."""

    def __init__(self, url: str, *, cookie: str, origin: str | None, **options: Any) -> None:
        self.frames: list[dict[str, Any]] = []
        self.pages: dict[str, Page] = {}
        self.subscriptions = 0
        self.code: int | None = None
        self.closed_at: float | None = None
        self.hello_at: float | None = None
        headers = [("Cookie", cookie)] if cookie else []
        self._stack = ExitStack()
        self.socket = self._stack.enter_context(
            connect(
                url,
                additional_headers=headers,
                origin=origin,
                compression=None,
                ping_interval=None,
                max_size=None,
                close_timeout=1,
                **options,
            )  # fmt: skip
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()
        self._reader.join(5)

    def _read(self) -> None:
        try:
            for data in self.socket:
                frame = json.loads(data)
                self.frames.append(frame)
                if frame["type"] in ("snapshot", "event"):
                    self._follow(frame)
        except ConnectionClosed:
            pass
        self.closed_at = time.monotonic()
        self.code = self.socket.close_code

    def _follow(self, frame: dict[str, Any]) -> None:
        page = self.pages.get(frame["thread_id"])
        if page is None:
            return
        try:
            page.take(frame)
        except Gap:
            self.subscribe(frame["thread_id"], page.seq)

    def send(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))

    def subscribe(self, thread_id: str, after: int | None = None) -> Page:
        self.subscriptions += 1
        page = self.pages.setdefault(thread_id, Page())
        self.send(type="subscribe", thread_id=thread_id, after=after)
        return page

    def stop(self, thread_id: str) -> None:
        self.send(type="stop", thread_id=thread_id)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in list(self.frames) if frame["type"] == kind]

    def item(self, item_id: str) -> dict[str, Any] | None:
        """An item as this tab shows it."""
        found = (item for page in self.pages.values() for item in list(page.items) if item["id"] == item_id)
        return next(found, None)

    def text(self, item_id: str) -> str | None:
        item = self.item(item_id)
        return item["content"][0]["text"] if item else None

    def state(self, item_id: str) -> str | None:
        item = self.item(item_id)
        return item["stkweb"]["state"] if item else None
