"""A person who shares on a real server, through the forms as they are on the pages."""

from __future__ import annotations

import html
import re
from typing import Any

import requests

from tests.real_server import Server, wait_for


def fields_of(page: str) -> dict[str, list[str]]:
    """The hidden fields and ticked boxes of the form that makes a link."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input\b[^>]*>", page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        kind, name = attributes.get("type", "text"), attributes.get("name")
        if not name or (kind in ("checkbox", "radio") and " checked" not in tag):
            continue
        found.setdefault(name, []).append(
            html.unescape(attributes.get("value", "on" if kind == "checkbox" else ""))
        )
    return found


class Owner:
    """Somebody who is signed in on `server`."""

    def __init__(self, server: Server, username: str) -> None:
        self.server, self.session = server, server.sign_in(username)

    @property
    def session_key(self) -> str:
        return str(self.session.cookies.get("stkweb_session"))

    def ask(self, text: str, thread: str | None = None) -> dict[str, str]:
        return self.server.ask(self.session, text, thread)

    def answered(self, text: str, thread: str | None = None) -> str:
        """Ask and wait for the end of the answer; the conversation's id."""
        sent = self.ask(text, thread)
        query = "SELECT 1 FROM chat_message WHERE public_id = ? AND state = 'completed'"
        wait_for(lambda: self.server.rows(query, sent["answer"]), 20, "the answer")
        return sent["conversation"]

    def ids(self, thread: str) -> list[str]:
        """Ids of the conversation's messages, oldest first."""
        query = (
            "SELECT m.public_id FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id"
            " WHERE c.public_id = ? ORDER BY m.id"
        )
        return [row[0] for row in self.server.rows(query, thread)]

    def post(self, path: str, fields: dict[str, Any] | None = None) -> requests.Response:
        """A form's POST."""
        return self.session.post(
            self.server.base_url + path,
            data={"csrfmiddlewaretoken": self.server.csrf(self.session), **(fields or {})},
            headers={"Origin": self.server.base_url}, allow_redirects=False, timeout=30,
        )  # fmt: skip

    def share(self, thread: str, **fields: Any) -> str:
        """Look at the preview with these fields, then make the link; its address."""
        path = f"/c/{thread}/share/"
        fields = {"audience": "anyone", **fields}
        page = self.session.get(self.server.base_url + path, timeout=30).text
        page = self.post(path, {**fields_of(page), **fields, "action": "preview"}).text
        made = self.post(path, {**fields_of(page), **fields, "action": "make"})
        found = re.search(r'id="address" readonly value="([^"]+)"', made.text)
        assert found, f"{made.status_code}: no address in the answer"
        return found[1]
