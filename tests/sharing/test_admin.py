"""The administrator's list of all live links: who left, bulk revoke; no text, no token, no change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from chat.models import AuditEvent, Conversation, Share
from tests.sharing.conftest import Link

pytestmark = pytest.mark.django_db
LIST = "/admin/chat/share/"


@pytest.fixture
def links(
    alice: Any, bob: Any, make_conversation: Callable[..., Conversation], share: Callable[..., Link]
) -> dict[str, Link]:
    """One of alice, one of bob, who left, and one of alice that expired."""
    found = {
        "alice": share(make_conversation(alice, [("Q", "planted text")])),
        "bob": share(make_conversation(bob, [("Q", "planted text")])),
        "expired": share(make_conversation(alice, [("Q", "planted text")])),
    }
    Share.objects.filter(pk=found["expired"].row.pk).update(expires_at=timezone.now() - timedelta(days=1))
    bob.is_active = False
    bob.save()
    return found


@pytest.fixture
def admin(administrator: Any, client_of: Callable[..., Client]) -> Client:
    return client_of(administrator)


def listed(answer: Any) -> set[str]:
    return {share.public_id for share in answer.context["cl"].result_list}


def ids(links: dict[str, Link], *names: str) -> set[str]:
    return {links[name].row.public_id for name in names}


def test_it_lists_all_live_links_first(links: dict[str, Link], admin: Client) -> None:
    assert listed(admin.get(LIST)) == ids(links, "alice", "bob")
    assert listed(admin.get(f"{LIST}?state=over")) == ids(links, "expired")
    assert listed(admin.get(f"{LIST}?state=all")) == ids(links, "alice", "bob", "expired")


def test_it_finds_those_of_people_who_left(links: dict[str, Link], admin: Client) -> None:
    assert listed(admin.get(f"{LIST}?owner=left")) == ids(links, "bob")
    assert listed(admin.get(f"{LIST}?owner=here")) == ids(links, "alice")


def test_it_revokes_many_at_once_and_says_so_in_the_log(
    links: dict[str, Link], admin: Client, client: Client
) -> None:
    chosen = [links[name].row.pk for name in ("alice", "bob")]
    answer = admin.post(LIST, {"action": "revoke", "_selected_action": chosen})
    assert answer.status_code == 302
    assert [client.get(links[name].path).status_code for name in ("alice", "bob")] == [404, 404]
    events = AuditEvent.objects.filter(action="share.revoked")
    assert [event.actor for event in events] == ["administrator"] * 2


def test_it_shows_no_text_and_no_token_and_takes_no_change(links: dict[str, Link], admin: Client) -> None:
    row = links["alice"].row
    for path in (LIST, f"{LIST}{row.pk}/change/", "/admin/chat/auditevent/"):
        page = admin.get(path)
        assert page.status_code == 200
        for secret in ("planted text", links["alice"].token, row.token_hash):
            assert secret not in page.content.decode()
    assert row.versions.get().checksum in admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{row.pk}/change/", {"owner": 1}).status_code == 403
    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_revoking_asks_for_the_permission(
    links: dict[str, Link], staff: Any, client_of: Callable[..., Client], client: Client
) -> None:
    page = client_of(staff)
    assert page.get(LIST).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_share"))
    assert page.get(LIST).status_code == 200
    page.post(LIST, {"action": "revoke", "_selected_action": [links["alice"].row.pk]})
    assert client.get(links["alice"].path).status_code == 200
    staff.user_permissions.add(Permission.objects.get(codename="change_share"))
    page.post(LIST, {"action": "revoke", "_selected_action": [links["alice"].row.pk]})
    assert client.get(links["alice"].path).status_code == 404
