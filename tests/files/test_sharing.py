"""Files on shared pages: off until switched on, through the link's own door, dead with the link."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chat.actions import sharing
from chat.models import Conversation
from chat.sharing.snapshot import Shown
from chat.views import share_tickets
from tests.files.conftest import Giver
from tests.files.test_keeping import carry
from tests.sharing.conftest import PASSPHRASE, Link, _fresh_counters, share

__all__ = ["_fresh_counters", "share"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def thread(giver: Giver, alice: Any) -> Conversation:
    """A conversation of alice's with one file."""
    found = carry(giver.give("plan.html", b"<script>alert(1)</script>")["id"], alice)
    found.leaf = found.messages.get()
    found.save()
    return found


def address(page: str, link: Link) -> str:
    """The file's address; the page names it from its own."""
    (found,) = re.findall(r'href="(files/\d+/\?ticket=[^"]+)"', page)
    return f"{link.path}{found}"


def test_files_are_off_until_they_are_switched_on(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client]
) -> None:
    page = client_of().get(share(thread, audience="anyone").path).content.decode()
    assert "plan.html" not in page and "files/1/" not in page


@pytest.mark.parametrize("state", ["checking", "refused", "gone"])
def test_a_file_that_is_not_there_is_not_offered(
    state: str, thread: Conversation, share: Callable[..., Link]
) -> None:
    thread.files.update(state=state)
    link = share(thread, Shown(["files"]), audience="anyone")
    assert "plan.html" not in link.row.versions.get().content


def test_a_reader_downloads_them_through_the_link_until_it_is_revoked(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], alice: Any
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone")
    reader = client_of()
    page = reader.get(link.path).content.decode()
    assert "plan.html" in page and thread.files.get().public_id not in page
    answer = reader.get(address(page, link))
    assert b"".join(answer) == b"<script>alert(1)</script>"  # type: ignore[call-overload]
    assert answer["Content-Disposition"] == 'attachment; filename="plan.html"'
    assert answer["Content-Security-Policy"].startswith("sandbox;")
    assert (answer["X-Content-Type-Options"], answer["Cache-Control"]) == ("nosniff", "private, no-store")
    assert "noindex" in answer["X-Robots-Tag"] and answer["Referrer-Policy"] == "no-referrer"
    assert link.row.openings == 0 and type(link.row).objects.get().openings == 1, "a file is no opening"
    sharing.revoke(alice, share=link.row.public_id)
    assert reader.get(address(page, link)).status_code == 404


@pytest.mark.parametrize("ticket", ["", "forged", None])
def test_nobody_gets_a_file_without_opening_the_page(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], ticket: str | None
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone", passphrase=PASSPHRASE)
    query = "" if ticket is None else f"?ticket={ticket}"
    assert client_of().get(f"{link.path}files/1/{query}").status_code == 404


def test_a_ticket_of_one_link_opens_no_other(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client]
) -> None:
    one, other = (share(thread, Shown(["files"]), audience="anyone") for _ in range(2))
    found = address(client_of().get(one.path).content.decode(), one)
    assert client_of().get(found.replace(one.token, other.token)).status_code == 404


def test_a_ticket_is_good_for_half_a_day(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], monkeypatch: Any
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone")
    found = address(client_of().get(link.path).content.decode(), link)
    assert share_tickets.LIFE == 12 * 3600
    monkeypatch.setattr(share_tickets, "LIFE", -1)
    assert client_of().get(found).status_code == 404


@pytest.mark.parametrize("number", [0, 2, 99])
def test_only_what_the_page_shows_is_there(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], number: int
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone")
    found = address(client_of().get(link.path).content.decode(), link)
    assert client_of().get(found.replace("/files/1/", f"/files/{number}/")).status_code == 404


def test_the_administrator_can_forbid_them(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], settings: Any
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone")
    found = address(client_of().get(link.path).content.decode(), link)
    settings.SHARE_OPTIONS = ["names"]
    assert "files/1/" not in client_of().get(link.path).content.decode()
    assert client_of().get(found).status_code == 404


def test_a_file_that_was_removed_is_gone_from_the_link_too(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], giver: Giver
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone")
    found = address(client_of().get(link.path).content.decode(), link)
    giver.remove(thread.files.get().public_id)
    assert client_of().get(found).status_code == 404


def test_a_live_link_offers_them_too(
    thread: Conversation, share: Callable[..., Link], client_of: Callable[..., Client]
) -> None:
    link = share(thread, Shown(["files"]), audience="anyone", live=True)
    reader = client_of()
    answer = reader.get(address(reader.get(link.path).content.decode(), link))
    assert b"".join(answer) == b"<script>alert(1)</script>"  # type: ignore[call-overload]
