"""Kept in hand: publish again with the difference seen, my links, revoking, copies, embedding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from chat.actions import Refused, sharing
from chat.models import AuditEvent, Conversation, Message, Share
from chat.models.audit_log import canonical
from chat.sharing.snapshot import CHOICES, Part, Shown, Source, difference, freeze
from tests.sharing.conftest import PASSPHRASE, Link, add_turn
from tests.sharing.pages import fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client_of: Callable[..., Client], alice: Any) -> Client:
    return client_of(alice)


# -- publish again ---------------------------------------------------------------------------------


def test_later_turns_never_appear_by_themselves_and_version_two_keeps_the_address(
    link: Link, conversation: Conversation, owner: Client, client: Client, alice: Any, demo_agent: Any
) -> None:
    add_turn(conversation, alice, demo_agent, "Later?", "A later answer.")
    assert "later answer" not in client.get(link.path).content.decode()
    path = f"/shares/{link.row.public_id}/publish/"
    page = owner.get(path).content.decode()
    assert "2 messages are new." in page
    assert "later answer" not in client.get(link.path).content.decode(), "seeing it publishes nothing"
    answer = owner.post(path, {**fields_of(page), "action": "make"})
    assert answer.status_code == 303
    shown = client.get(link.path).content.decode()
    assert "A later answer." in shown
    assert "Version 2" in shown
    assert [v.number for v in link.row.versions.all()] == [2, 1]
    event = AuditEvent.objects.get(action="share.published")
    assert (event.actor, event.target, event.data["version"]) == ("alice", f"share:{link.row.public_id}", 2)


def test_the_owner_sees_what_would_go(link: Link, conversation: Conversation, owner: Client) -> None:
    first = conversation.messages.order_by("pk")[0].public_id
    path = f"/shares/{link.row.public_id}/publish/"
    page = owner.post(
        path, {**fields_of(owner.get(path).content.decode()), "hide": first, "action": "preview"}
    )
    assert "No longer shown:" in page.content.decode()
    assert "How do we move the orders?" in page.content.decode()


def test_decisions_are_kept_for_the_next_version(
    conversation: Conversation, share: Callable[..., Link], owner: Client, client: Client, alice: Any,
    demo_agent: Any,
) -> None:  # fmt: skip
    ids = list(conversation.messages.order_by("pk").values_list("public_id", flat=True))
    link = share(conversation, Shown(("names",), hidden=[ids[1]]))
    add_turn(conversation, alice, demo_agent, "Later?", "A later answer.")
    path = f"/shares/{link.row.public_id}/publish/"
    owner.post(path, {**fields_of(owner.get(path).content.decode()), "action": "make"})
    page = client.get(link.path).content.decode()
    assert "expand and contract" not in page
    assert "A later answer." in page
    assert "shared by alice" in page


def test_a_revoked_link_is_not_published_again(link: Link, owner: Client, alice: Any) -> None:
    page = fields_of(owner.get(f"/shares/{link.row.public_id}/publish/").content.decode())
    sharing.revoke(alice, share=link.row.public_id)
    answer = owner.post(f"/shares/{link.row.public_id}/publish/", {**page, "action": "make"})
    assert answer.status_code == 404
    assert link.row.versions.count() == 1


def test_what_was_frozen_with_counts_and_files_is_no_difference_to_itself() -> None:
    usage: dict[str, int | None] = {"user": 11, "enrichment": 0, "output": 361, "total": 372}
    files = ({"id": "01F", "name": "plan.pdf", "size": 48},)
    parts = [Part("1", "question", "Q", files=files), Part("2", "answer", "A", "Demo", "hm", usage)]
    content = freeze(Source("t", "2026-11-21T10:31+00:00", "alice", parts), Shown(CHOICES)).content
    assert not difference(json.loads(canonical(content)), content)


MESSAGES = st.lists(st.sampled_from("abcde"), max_size=8)


@given(MESSAGES, MESSAGES)
def test_a_difference_accounts_for_every_message(old: list[str], new: list[str]) -> None:
    before, after = ({"title": "t", "messages": [{"text": t} for t in texts]} for texts in (old, new))
    found = difference(before, after)
    assert bool(found) == (old != new)
    same = len(new) - len(found.added) - len(found.changed)
    assert same + len(found.changed) + len(found.removed) == len(old)


# -- my links --------------------------------------------------------------------------------------


def test_my_links_show_age_readers_and_the_last_opening(
    conversation: Conversation,
    share: Callable[..., Link],
    owner: Client,
    client_of: Callable[..., Client],
    bob: Any,
) -> None:
    link = share(conversation, passphrase=PASSPHRASE, max_openings=1000)
    Share.objects.update(created_at=timezone.now() - timedelta(days=3))
    for client in (client_of(bob), client_of(bob), client_of()):
        client.post(link.path, {"passphrase": PASSPHRASE})
    page = " ".join(owner.get("/shares/").content.decode().split())
    for words in (
        "made 3 days ago", "2 readers", "opened 3 of 1,000 times", "opened just now",
        "Anyone with the link", "with a passphrase", "Moving orders",
    ):  # fmt: skip
        assert words in page.replace("\xa0", " "), words
    detail = owner.get(f"/shares/{link.row.public_id}/").content.decode()
    assert detail.count("bob") == 2
    assert "somebody in 127.0.0.0/24" in detail
    assert link.row.versions.get().checksum in detail
    assert link.token not in page + detail


def test_my_links_are_listed_newest_first(
    conversation: Conversation, share: Callable[..., Link], owner: Client
) -> None:
    made = [share(conversation).row.public_id for _ in range(4)]
    page = owner.get("/shares/").content.decode()
    places = [page.index(f'href="/shares/{public_id}/"') for public_id in made]
    assert places == sorted(places, reverse=True)


def test_revoking_one_leaves_the_others(
    conversation: Conversation, share: Callable[..., Link], owner: Client, client: Client
) -> None:
    first, second = share(conversation), share(conversation)
    answer = owner.post(f"/shares/{first.row.public_id}/revoke/")
    assert answer.status_code == 303
    assert [client.get(link.path).status_code for link in (first, second)] == [404, 200]


def test_revoking_all_ends_mine_and_nobody_else_s(
    conversation: Conversation, make_conversation: Callable[..., Conversation], share: Callable[..., Link],
    owner: Client, client: Client, bob: Any,
) -> None:  # fmt: skip
    mine = [share(conversation), share(conversation)]
    theirs = share(make_conversation(bob, [("Q", "A")]))
    owner.post("/shares/revoke-all/")
    assert [client.get(link.path).status_code for link in (*mine, theirs)] == [404, 404, 200]


def test_a_link_cannot_be_revoked_by_somebody_else(
    link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    stranger = client_of(bob)
    for path in ("", "publish/", "revoke/"):
        there, never = f"/shares/{link.row.public_id}/{path}", f"/shares/01ARZ3NDEKTSV4RRFFQ69G5FAV/{path}"
        how = stranger.post if path == "revoke/" else stranger.get
        assert how(there).status_code == how(never).status_code == 404
        assert how(there).content == how(never).content
    assert link.token not in stranger.get("/shares/").content.decode()
    with pytest.raises(Refused):
        sharing.revoke(bob, share=link.row.public_id)
    assert client_of().get(link.path).status_code == 200


def test_deleting_the_conversation_ends_its_links(
    link: Link, owner: Client, client: Client, conversation: Conversation
) -> None:
    owner.post(f"/c/{conversation.public_id}/delete/")
    assert client.get(link.path).status_code == 404
    assert "Moving orders" not in owner.get("/shares/").content.decode()


# -- a copy of mine --------------------------------------------------------------------------------


def ticket_in(page: str) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page)
    assert found, "the page offers a copy"
    return found[1]


def test_a_colleague_goes_on_with_a_copy_of_what_was_shared(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any
) -> None:
    hidden = conversation.messages.order_by("pk")[0].public_id
    link, client = share(conversation, Shown(hidden=[hidden])), client_of(bob, enforce_csrf_checks=True)
    ticket = ticket_in(client.get(link.path).content.decode())
    answer = client.post(f"{link.path}copy/", {"ticket": ticket}, headers={"Origin": "null"})
    assert answer.status_code == 303
    copy = Conversation.objects.get(owner=bob)
    assert answer["Location"] == f"/c/{copy.public_id}/"
    texts = list(copy.messages.order_by("pk").values_list("role", "text", "author__username"))
    assert texts == [
        ("assistant", "Use **expand and contract**.", None), ("user", "How long?", "bob"),
        ("assistant", "About *two* hours.", None),
    ]  # fmt: skip
    assert copy.title == "Moving orders"
    page = client.get(answer["Location"]).content.decode()
    assert "expand and contract" in page
    assert Conversation.objects.get(pk=conversation.pk).messages.count() == 4, "alice's stays as it was"
    assert AuditEvent.objects.filter(action="share.copied", actor="bob").exists()


def test_a_copy_can_be_asked_further(
    serving: Any, link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    client = client_of(bob)
    ticket = ticket_in(client.get(link.path).content.decode())
    client.post(f"{link.path}copy/", {"ticket": ticket})
    copy = Conversation.objects.get(owner=bob)
    sent = serving.ask(bob, "/fast /echo Going on", copy.public_id)
    assert serving.ended(sent).text == "Going on"
    assert Message.objects.filter(conversation=copy).count() == 6


def test_a_copy_is_made_by_post_alone_and_by_whom_the_page_was_opened(
    link: Link, client_of: Callable[..., Client], bob: Any, charlie: Any
) -> None:
    client = client_of(bob)
    ticket = ticket_in(client.get(link.path).content.decode())
    for method in ("get", "head", "put", "delete"):
        assert getattr(client, method)(f"{link.path}copy/?ticket={ticket}").status_code == 405
    refused = [
        client.post(f"{link.path}copy/"),
        client.post(f"{link.path}copy/", {"ticket": "nonsense"}),
        client.post(f"{link.path}copy/", {"ticket": ticket}, headers={"Origin": "https://evil.example"}),
        client_of(charlie).post(f"{link.path}copy/", {"ticket": ticket}),
        client_of().post(f"{link.path}copy/", {"ticket": ticket}),
        client_of(bob).post(f"{link.path}copy/", {"ticket": ticket}),  # another session of his
    ]
    assert [answer.status_code for answer in refused] == [403] * 6
    assert "Continue with a copy" not in client_of().get(link.path).content.decode()
    assert Conversation.objects.count() == 1


def test_no_copy_of_a_link_that_was_revoked_meanwhile(
    link: Link, client_of: Callable[..., Client], alice: Any, bob: Any, settings: Any
) -> None:
    client = client_of(bob)
    ticket = ticket_in(client.get(link.path).content.decode())
    settings.SHARE_OPTIONS = ["live"]
    assert client.post(f"{link.path}copy/", {"ticket": ticket}).status_code == 404
    settings.SHARE_OPTIONS = ["copy"]
    sharing.revoke(alice, share=link.row.public_id)
    assert client.post(f"{link.path}copy/", {"ticket": ticket}).status_code == 404
    assert Conversation.objects.count() == 1


# -- embedding -------------------------------------------------------------------------------------


def framers(answer: Any) -> str:
    found = re.search(r"frame-ancestors ([^;]+)", answer["Content-Security-Policy"])
    assert found
    return found[1]


def test_a_link_is_embedded_only_where_the_administrator_lists_the_page(
    conversation: Conversation, share: Callable[..., Link], client: Client, settings: Any
) -> None:
    settings.SHARE_EMBED_ORIGINS = ["https://wiki.example", "https://bad.example; script-src *"]
    link, plain = share(conversation, embed=True), share(conversation)
    assert framers(client.get(f"{link.path}?embed=1")) == "https://wiki.example"
    assert framers(client.get(link.path)) == "'none'"
    assert framers(client.get(f"{plain.path}?embed=1")) == "'none'", "its owner did not allow it"
    settings.SHARE_EMBED_ORIGINS = []
    assert framers(client.get(f"{link.path}?embed=1")) == "'none'"


# -- what was shown can be proved ------------------------------------------------------------------


def test_the_checksum_stays_in_the_audit_log_after_revocation_and_deletion(
    link: Link, alice: Any, conversation: Conversation
) -> None:
    version = link.row.versions.get()
    import hashlib

    assert version.checksum == hashlib.sha256(version.content.encode()).hexdigest()
    assert (
        json.dumps(json.loads(version.content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        == version.content
    )
    sharing.revoke(alice, share=link.row.public_id)
    conversation.delete()
    assert not Share.objects.exists()
    events = AuditEvent.objects.filter(target=f"share:{link.row.public_id}").order_by("pk")
    assert [event.action for event in events] == ["share.made", "share.revoked"]
    assert events[0].data["checksum"] == version.checksum
    assert events[0].actor == "alice"
    assert "contract" not in json.dumps([event.data for event in events]), "the log holds no text"
    assert AuditEvent.objects.all().first_broken() is None


def test_a_line_of_the_log_masks_the_address_of_a_link(link: Link) -> None:
    import logging

    from stkweb.logs import LineFormatter

    record = logging.LogRecord(
        "x", logging.ERROR, "", 0, "Internal Server Error: %s", (f"{link.path}copy/",), None
    )
    assert link.token not in LineFormatter().format(record)


def test_a_link_leaves_no_token_in_the_log_lines(link: Link, client: Client, caplog: Any, alice: Any) -> None:
    sharing.revoke(alice, share=link.row.public_id)
    client.get(link.path)
    client.get(f"{link.path}?signin")
    client.put(link.path)
    assert link.token not in caplog.text
