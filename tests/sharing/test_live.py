"""Live links: what is written appears, what was not shared stays out, revoked is over within 5 s."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from django.utils import timezone

from chat.actions import keeping, sharing
from chat.actions.share_sources import source_of
from chat.models import AuditEvent, Conversation, Message, Share, ShareVersion, State
from chat.models.audit_log import checksum
from chat.sharing.snapshot import Shown, freeze
from tests.real_server import Server
from tests.sharing.conftest import Link, add_turn
from tests.sharing.pages import Owner

pytestmark = pytest.mark.server


class Reader:
    """A reader of a live link: a shared page, then its stream."""

    def __init__(self, server: Server, address: str, session: requests.Session | None = None) -> None:
        self.server, self.session = server, session or requests.Session()
        self.page = self.session.get(address, timeout=20)
        self.page.raise_for_status()
        found = re.search(r'data-live="([^"]+)"', self.page.text)
        assert found, "a live page names its stream"
        self.stream = urljoin(address, html.unescape(found[1]))

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        with self.session.get(self.stream, stream=True, timeout=30) as answer:
            assert answer.status_code == 200, answer.status_code
            yield self._events(answer)

    def _events(self, answer: requests.Response) -> Iterator[tuple[str, dict[str, Any]]]:
        kind = ""
        for line in answer.iter_lines(chunk_size=1):
            if line.startswith(b"event: "):
                kind = line[7:].decode()
            elif line.startswith(b"data: "):
                yield kind, json.loads(line[6:])


def until(events: Iterator[tuple[str, dict[str, Any]]], text: str, seconds: float = 15) -> str:
    """All HTML of the first `show` that holds `text`."""
    deadline = time.monotonic() + seconds
    for kind, data in events:
        html = "".join(data.get("items", {}).values())
        if kind == "show" and text in html:
            return html
        assert time.monotonic() < deadline, f"{text!r} did not come"
    raise AssertionError("the stream ended")


def test_a_live_page_streams_what_is_written_and_ends_when_it_is_revoked(shared_server: Server) -> None:
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo First answer")
    address = owner.share(thread, live="on")
    reader = Reader(shared_server, address)
    assert "First answer" in reader.page.text
    assert "script-src 'self'" in reader.page.headers["Content-Security-Policy"]
    with reader.events() as events:
        until(events, "First answer")
        owner.ask("/slow /echo Second answer, written while somebody reads along", thread)
        early = until(events, "Second answer")
        assert "This answer is not finished" in early, "it is shown while it is written"
        until(events, "reads along")
        owner.post("/shares/revoke-all/")
        began = time.monotonic()
        assert any(kind == "end" for kind, _ in events)
        assert time.monotonic() - began < 5
    assert requests.get(reader.stream, timeout=20).status_code == 404
    assert requests.get(address, timeout=20).status_code == 404


def test_what_was_not_shared_stays_out_of_the_stream(shared_server: Server) -> None:
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo An open answer")
    owner.answered("/fast /echo A hidden answer", thread)
    hidden = owner.ids(thread)[2:]
    address = owner.share(thread, live="on", hide=hidden)
    reader = Reader(shared_server, address)
    with reader.events() as events:
        html = until(events, "An open answer")
        owner.ask("/think /echo Ask joana@example.com with 4111 1111 1111 1111 today", thread)
        html += until(events, "today")
    html += reader.page.text
    assert "hidden answer" not in html
    assert "joana@example.com" not in html, "what looks like personal data is blanked in what comes later"
    assert "4111" not in html
    assert "Thoughts" not in html, "reasoning is off until it is switched on"
    assert not re.search(r"[0-9A-HJKMNP-TV-Z]{26}", html), "no ids"


@pytest.mark.parametrize("how", ["signs out", "is deactivated", "conversation deleted", "sharing ends"])
def test_a_reader_who_may_not_read_any_more_is_cut_off_within_five_seconds(
    how: str, shared_server: Server
) -> None:
    server = shared_server
    owner = Owner(server, "alice")
    thread = owner.answered("/fast /echo First answer")
    address = owner.share(thread, live="on", audience="colleagues")
    colleague = Owner(server, "bob")
    reader = Reader(server, address, colleague.session)
    with reader.events() as events:
        until(events, "First answer")
        began = time.monotonic()
        match how:
            case "signs out":
                server.rows("DELETE FROM django_session WHERE session_key = ?", colleague.session_key)
            case "is deactivated":
                server.rows("UPDATE auth_user SET is_active = ? WHERE username = 'bob'", False)
            case "conversation deleted":
                owner.post(f"/c/{thread}/delete/")
            case "sharing ends":
                server.rows(
                    "UPDATE chat_share SET audience = 'groups' WHERE id = (SELECT max(id) FROM chat_share)"
                )
        try:
            assert any(kind == "end" for kind, _ in events)
            assert time.monotonic() - began < 5
        finally:
            server.rows("UPDATE auth_user SET is_active = ? WHERE username = 'bob'", True)


def test_a_stream_wants_the_ticket_of_a_page_that_was_opened(shared_server: Server) -> None:
    owner = Owner(shared_server, "alice")
    address = owner.share(owner.answered("/fast /echo First"), live="on", passphrase="a sunny afternoon")
    for query in ("", "?ticket=", "?ticket=nonsense"):
        assert requests.get(f"{address}live/{query}", timeout=20).status_code == 404
    page = requests.post(address, {"passphrase": "a sunny afternoon"}, timeout=20)
    assert 'data-live="' in page.text


@pytest.mark.browser
def test_a_live_page_grows_in_the_browser_and_empties_when_it_is_over(
    shared_server: Server, open_page: Callable[..., Any]
) -> None:
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo First answer")
    page = open_page(shared_server)
    page.goto(owner.share(thread, live="on"))
    owner.ask("/echo Second *answer*", thread)
    page.wait_for_selector("article.a em")
    assert page.locator("article").count() == 4
    owner.post("/shares/revoke-all/")
    page.locator("article").first.wait_for(state="detached", timeout=20_000)
    assert page.locator("article").count() == 0
    assert "This link has ended" in page.inner_text("main")
    assert page.problems == []


# -- rows in this process --------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_running_answer_is_shown_up_to_what_is_settled(
    conversation: Conversation, alice: Any, demo_agent: Any
) -> None:
    begun = {"state": State.STREAMING, "reasoning": "Was it AKIAIOSFODNN7EX"}
    add_turn(conversation, alice, demo_agent, "The key?", "It is AKIAIOSFODNN7EX", **begun)
    source = source_of(conversation, growing=True)
    assert (source.parts[-1].text, source.parts[-1].reasoning) == ("It is", "Was it")
    assert len(source_of(conversation).parts) == 5, "a frozen text leaves the running answer out"
    Message.objects.filter(pk=conversation.leaf_id).update(text="It is AKIAIOSFODNN7EXAMPLE, keep it. ")
    conversation.refresh_from_db()
    text = freeze(source_of(conversation, growing=True), Shown()).content["messages"][-1]["text"]
    assert "AKIA" not in text


@pytest.mark.django_db
def test_a_live_page_tells_its_messages_apart_without_their_ids(
    conversation: Conversation, share: Callable[..., Link], client: Any
) -> None:
    page = client.get(share(conversation, live=True).path).content.decode()
    assert "expand and contract" in page
    assert not [pk for pk in conversation.messages.values_list("public_id", flat=True) if pk in page]


@pytest.mark.django_db
def test_what_a_live_link_showed_last_is_frozen_when_it_is_revoked(
    alice: Any, conversation: Conversation, share: Callable[..., Link], demo_agent: Any
) -> None:
    link = share(conversation, live=True)
    add_turn(conversation, alice, demo_agent, "And then?", "A later answer.")
    sharing.revoke(alice, share=link.row.public_id)
    first, last = Share.objects.get().versions.order_by("number")
    assert "A later answer." not in first.content
    assert "A later answer." in last.content


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["its own end", "the ceiling"])
def test_what_a_live_link_showed_last_is_frozen_once_when_it_has_ended_by_itself(
    alice: Any,
    conversation: Conversation,
    share: Callable[..., Link],
    demo_agent: Any,
    settings: Any,
    how: str,
) -> None:
    """S31: and not what came later; what was shown can be proved afterwards."""
    link = share(conversation, live=True)
    assert sharing.close_expired() == 0
    add_turn(conversation, alice, demo_agent, "And then?", "A later answer.")
    moment = timezone.now()
    if how == "its own end":
        Share.objects.update(expires_at=moment)
    else:
        settings.SHARE_MAX_DAYS = 7
        Share.objects.update(created_at=moment - timedelta(days=7))
    add_turn(conversation, alice, demo_agent, "Between us?", "After the end.")
    assert sharing.close_expired() == 1
    assert sharing.close_expired() == 0
    sharing.revoke(alice, share=link.row.public_id)
    first, last = Share.objects.get().versions.order_by("number")
    assert "A later answer." not in first.content
    assert "A later answer." in last.content and "After the end." not in last.content
    event = AuditEvent.objects.get(action="share.closed")
    assert event.data["checksum"] == last.checksum == checksum(last.content)
    assert not event.actor


@pytest.mark.django_db
def test_what_a_live_link_showed_last_is_frozen_when_its_conversation_is_deleted(
    alice: Any, conversation: Conversation, share: Callable[..., Link], demo_agent: Any
) -> None:
    share(conversation, live=True)
    add_turn(conversation, alice, demo_agent, "And then?", "A later answer.")
    keeping.delete(alice, conversation=conversation.public_id)
    last = ShareVersion.objects.order_by("-number").first()
    assert last is not None and "A later answer." in last.content
    assert AuditEvent.objects.get(action="share.closed").data["checksum"] == last.checksum
