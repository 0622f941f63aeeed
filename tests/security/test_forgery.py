"""S07, S08: nothing changes by a forged request, nor by a GET; the list comes from the URL map."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chat.models import Agent
from tests.real_server import PASSWORD
from tests.security.conftest import Owned
from tests.security.urls import BODIES, KINDS, OF_A_CONVERSATION, admin_routes, patterns

WRITES = sorted(name for name, kind in KINDS.items() if kind == "writes")
CHANGING = sorted(name for name, kind in KINDS.items() if kind != "reads")


def test_every_address_is_decided_upon() -> None:
    found = dict(patterns())
    assert set(found) == set(KINDS), "a new address: decide in tests/security/urls.py what it may do"
    with_id = {name for name, route in found.items() if "<" in route}
    assert with_id == OF_A_CONVERSATION


def address(name: str, owned: Owned) -> str:
    return reverse(name, args=[owned.conversation] if name in OF_A_CONVERSATION else [])


def body(name: str, owned: Owned) -> dict[str, object]:
    return {key: str(value).format(**vars(owned)) for key, value in BODIES.get(name, {}).items()}


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize(
    "how", ["no token", "foreign origin", "null origin", "text/plain", "other person's token"]
)
def test_a_forged_request_changes_nothing(
    name: str, how: str, of_alice: Owned, alice: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(alice, enforce_csrf_checks=True)
    client.get("/")  # her browser has the token's cookie
    token = client.cookies["stkweb_csrf"].value
    before = everything()
    content = json.dumps(body(name, of_alice))
    headers = {
        "no token": {},
        "foreign origin": {"X-CSRFToken": token, "Origin": "https://evil.example"},
        "null origin": {"X-CSRFToken": token, "Origin": "null"},
        "text/plain": {},
        "other person's token": {"X-CSRFToken": "A" * len(token)},
    }[how]
    kind = "text/plain" if how == "text/plain" else "application/json"
    answer = client.post(address(name, of_alice), content, content_type=kind, headers=headers)
    assert answer.status_code == 403
    assert everything() == before
    assert "stkweb_theme" not in answer.cookies


def test_the_same_request_with_its_token_is_taken(
    of_alice: Owned, alice: Any, client_of: Callable[..., Client]
) -> None:
    """The refusals above are about forgery and nothing else."""
    client = client_of(alice, enforce_csrf_checks=True)
    client.get("/")
    headers = {"X-CSRFToken": client.cookies["stkweb_csrf"].value, "Origin": "http://127.0.0.1:8000"}
    answer = client.post(
        address("rename", of_alice), json.dumps({"title": "New"}), "application/json", headers=headers
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete"])
def test_only_a_post_changes_anything(
    name: str, method: str, of_alice: Owned, alice: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(alice)
    before = everything()
    assert getattr(client, method)(address(name, of_alice)).status_code == 405
    assert everything() == before


@pytest.mark.parametrize("name", WRITES)
def test_options_changes_nothing(
    name: str, of_alice: Owned, alice: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(alice)
    before = everything()
    answer = client.options(address(name, of_alice))
    assert answer.status_code in (200, 405)
    assert "Access-Control-Allow-Origin" not in answer
    assert everything() == before


@pytest.mark.parametrize("name", sorted(name for name, kind in KINDS.items() if kind == "reads"))
def test_what_only_reads_takes_no_post(
    name: str, of_alice: Owned, alice: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(alice)
    before = everything()
    answer = client.post(address(name, of_alice))
    # The page after a password change is Django's own and answers a POST as it answers a GET.
    assert answer.status_code == 405 or name == "password_change_done"
    assert everything() == before


@pytest.mark.parametrize("route", admin_routes())
def test_the_administration_takes_no_forged_post(
    route: str, administrator: Any, demo_agent: Agent, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(administrator, enforce_csrf_checks=True)
    path = "/" + re.sub(r"<[^>]*>", str(administrator.pk), route).replace("(?P", "").replace(".*)$", "")
    before = everything()
    answer = client.post(path, {"username": "administrator", "password": PASSWORD, "post": "yes"})
    assert answer.status_code in (403, 404, 405), f"{path} answered {answer.status_code}"
    assert everything() == before
