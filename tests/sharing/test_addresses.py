"""S07, S08, S33 for the addresses of share links: forged, by the wrong method, by the wrong person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chat.models import Share
from tests.security.urls import all_patterns
from tests.sharing.conftest import Link

pytestmark = pytest.mark.django_db

#: Every address, and what it is: reads (GET), writes (POST), form (both), or for whoever has the address.
KINDS = {
    "share_new": "form", "share_list": "reads", "share_detail": "reads", "share_publish": "form",
    "share_revoke": "writes", "share_revoke_all": "writes",
    "share_page": "open", "share_copy": "open", "share_live": "open", "share_file": "open",
}  # fmt: skip
OWNED = sorted(name for name, kind in KINDS.items() if kind != "open")


def test_every_address_is_decided_upon() -> None:
    assert {name for name, _ in all_patterns() if name.startswith("share_")} == set(KINDS)


def address(name: str, link: Link) -> str:
    match name:
        case "share_new":
            return reverse(name, args=[link.row.conversation.public_id])
        case "share_list" | "share_revoke_all":
            return reverse(name)
    return reverse(name, args=[link.row.public_id])


def rows() -> list[Any]:
    return list(Share.objects.order_by("pk").values())


@pytest.mark.parametrize("name", [name for name in OWNED if KINDS[name] != "reads"])
@pytest.mark.parametrize("how", ["no token", "foreign origin", "null origin", "other person's token"])
def test_a_forged_request_changes_nothing(
    name: str, how: str, link: Link, client_of: Callable[..., Client], alice: Any
) -> None:
    client = client_of(alice, enforce_csrf_checks=True)
    client.get("/")
    token = client.cookies["stkweb_csrf"].value
    headers = {
        "no token": {},
        "foreign origin": {"X-CSRFToken": token, "Origin": "https://evil.example"},
        "null origin": {"X-CSRFToken": token, "Origin": "null"},
        "other person's token": {"X-CSRFToken": "A" * len(token)},
    }[how]
    before = rows()
    answer = client.post(address(name, link), {"action": "make", "audience": "anyone"}, headers=headers)
    assert answer.status_code == 403
    assert rows() == before


@pytest.mark.parametrize("name", OWNED)
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_nothing_but_a_post_changes_anything(
    name: str, method: str, link: Link, client_of: Callable[..., Client], alice: Any
) -> None:
    before = rows()
    answer = getattr(client_of(alice), method)(address(name, link))
    reads = method in ("get", "head") and KINDS[name] != "writes"
    # HEAD on a form is not worth a preview.
    assert answer.status_code in ((200, 405) if reads or method == "options" else (405,))
    assert rows() == before


@pytest.mark.parametrize("name", OWNED)
def test_strangers_are_sent_to_sign_in(name: str, link: Link, client_of: Callable[..., Client]) -> None:
    before = rows()
    client = client_of()
    answer = client.post(address(name, link)) if KINDS[name] == "writes" else client.get(address(name, link))
    assert answer.status_code in (302, 405)
    if answer.status_code == 302:
        assert answer["Location"].startswith("/accounts/login/")
    assert rows() == before


@pytest.mark.parametrize("who", ["bob", "charlie", "staff", "administrator"])
@pytest.mark.parametrize("name", ["share_new", "share_detail", "share_publish", "share_revoke"])
def test_somebody_else_s_link_is_not_there(
    name: str, who: str, link: Link, client_of: Callable[..., Client], request: pytest.FixtureRequest
) -> None:
    client, before = client_of(request.getfixturevalue(who)), rows()
    how = client.post if KINDS[name] == "writes" else client.get
    never = reverse(name, args=["01ARZ3NDEKTSV4RRFFQ69G5FAV"])
    assert how(address(name, link)).status_code == how(never).status_code == 404
    assert how(address(name, link)).content == how(never).content
    assert rows() == before
