"""A stage for the page: its real template and modules, and a server that says what a test has it say.

stage.page                  Playwright's page
stage.sent                  requests of the page: (method, path, JSON body, headers)
stage.said                  frames of the page
stage.replies["/path/"]     (status, JSON) for a POST; "lost" cuts the connection
stage.event(**event)        a thread event under the next number
stage.frame(**frame)        any frame
"""

from __future__ import annotations

import json
from typing import Any

from django.template.loader import render_to_string

from chat import faults
from chat.strings import strings
from chat.views.rendering import drawn

THREAD = "01THREAD"
TAKES = {
    "takes": True, "reason": None, "max_bytes": 20_000, "max_files": 3, "types": [".txt", ".md", ".png"],
    "images": True,
}  # fmt: skip
AGENT = {
    "id": "01AGENT", "name": "Guide", "description": "Knows.", "examples": ["Why?"], "usable": True,
    "problem": "", "files": TAKES,
}  # fmt: skip
BORN = "2026-03-01T12:00:00+00:00"
#: As the product sends it, with the nonce of these tests.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-n'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws:; form-action 'self'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types stkweb dompurify"
)


def question(id: str, text: str, parent: str | None = None) -> dict[str, Any]:
    """The item of a question."""
    return {
        "id": id, "thread_id": THREAD, "created_at": BORN, "type": "user_message",
        "content": [{"type": "input_text", "text": text}], "attachments": [], "inference_options": {},
        "stkweb": {"parent": parent, "author": "alice", "siblings": [id]},
    }  # fmt: skip


def answer(id: str, text: str, parent: str, state: str = "completed", **more: Any) -> dict[str, Any]:
    """The item of an answer."""
    facts = {
        "parent": parent, "state": state, "error": None, "agent": {"id": AGENT["id"], "name": AGENT["name"]},
        "stop_reason": None, "duration_ms": 1200, "usage": None, "sources": [], "continues": None,
        "siblings": [id], "reasoning_ms": None, "trimmed": 0, "continued": 0, "place": None, "waited": None,
        "on_length": "ask",
    }  # fmt: skip
    return {
        "id": id, "thread_id": THREAD, "created_at": BORN, "type": "assistant_message",
        "content": [{"type": "output_text", "text": text, "annotations": []}], "stkweb": {**facts, **more},
    }  # fmt: skip


class _Request:
    csp_nonce = "n"
    path = "/"

    def get_full_path(self) -> str:
        return "/"


class _User:
    username = "alice"
    is_staff = False

    def get_full_name(self) -> str:
        return ""


class Stage:
    """One page and what is behind it."""

    def __init__(self, context: Any, origin: str, items: list[dict[str, Any]] | None) -> None:
        self.origin, self.context = origin, context
        self.items = items or []
        self.thread = THREAD if items is not None else None
        self.sent: list[tuple[str, str, Any, dict[str, str]]] = []
        self.said: list[dict[str, Any]] = []
        self.replies: dict[str, Any] = {}
        self.problems: list[str] = []
        self.seq = 7
        self.agent = AGENT
        self.socket: Any = None
        context.route(f"{origin}/**", self._answer)
        context.set_default_timeout(20_000)  # a shared machine is slow now and then
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console", lambda m: self.problems.append(m.text) if "Security Policy" in m.text else None
        )
        self.page.route_web_socket("**/ws/", self._opened)

    def open(self) -> Any:
        """Go there, and wait until the page is at work."""
        self.page.goto(f"{self.origin}/c/{THREAD}/" if self.thread else f"{self.origin}/")
        self.page.wait_for_selector("#keys:not(:empty)", state="attached")
        return self.page

    def frame(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))

    def event(self, **event: Any) -> None:
        self.seq += 1
        self.frame(type="event", thread_id=THREAD, seq=self.seq, event=event)

    def tell_list(self, kind: str, conversation: dict[str, Any]) -> None:
        """News of the list of conversations."""
        self.frame(type="feed", event={"type": f"conversation.{kind}", "conversation": conversation})

    def delta(self, answer_id: str, text: str) -> None:
        update = {"type": "assistant_message.content_part.text_delta", "content_index": 0, "delta": text}
        self.event(type="thread.item.updated", item_id=answer_id, update=update)

    def posts(self, path: str) -> list[tuple[Any, dict[str, str]]]:
        """Bodies and headers of what was posted to a path."""
        return [(body, headers) for method, at, body, headers in self.sent if method == "POST" and at == path]

    def _opened(self, socket: Any) -> None:
        self.socket = socket

        def heard(text: str) -> None:
            frame = json.loads(text)
            self.said.append(frame)
            if frame["type"] == "ping":
                socket.send('{"type":"pong"}')
            if frame["type"] == "subscribe":
                whole = frame["after"] is None
                items = self.items if whole else []
                self.frame(
                    type="snapshot", thread_id=frame["thread_id"], seq=self.seq, complete=whole, items=items
                )

        socket.on_message(heard)
        self.frame(type="hello", version="1", user="alice")

    def _answer(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(self.origin).partition("?")[0]
        body = (
            request.post_data_json if "json" in request.headers.get("content-type", "") else request.post_data
        )
        self.sent.append((request.method, path, body, dict(request.headers)))
        reply = self.replies.get(path)
        if reply == "lost":
            route.abort()
        elif reply is not None:
            route.fulfill(status=reply[0], body=json.dumps(reply[1]), content_type="application/json")
        elif request.method == "POST":
            route.fulfill(status=200, body="{}", content_type="application/json")
        else:
            html = self._html()
            headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
            route.fulfill(status=200, body=html, headers=headers)

    def _html(self) -> str:
        conversation = (
            {"id": THREAD, "title": "A title", "seq": self.seq, "url": f"/c/{THREAD}/"}
            if self.thread
            else None
        )
        leaf = self.items[-1]["id"] if self.items else None
        boot = {
            "user": "alice", "version": "1", "conversation": conversation, "agents": [self.agent],
            "agent": self.agent, "items": self.items, "send_key": "enter",
            "limits": {"prompt_bytes": 4096, "first_byte_seconds": 120},
        }  # fmt: skip
        context = {
            "user": _User(), "request": _Request(), "csrf_token": "token", "theme": "light",
            "conversation": conversation, "items": drawn(self.items, leaf), "groups": [], "running": False,
            "agents": [self.agent], "agent": self.agent, "draft": "", "idempotency_key": "k",
            "boot": boot, "strings": {**strings(), "faults": faults.all_texts()},
        }  # fmt: skip
        return render_to_string("chat/page.html", context)
