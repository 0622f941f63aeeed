"""S35: guessing passwords is slowed down, on the page and in the administration, and tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client
from django.utils import timezone

from chat.views.accounts import ADDRESS_LIMIT
from tests.real_server import PASSWORD, Server

pytestmark = pytest.mark.django_db

DOORS = ["/accounts/login/", "/admin/login/"]


@pytest.fixture
def cast(alice: Any, bob: Any, administrator: Any) -> None:
    """People who exist."""


def attempt(
    door: str, username: str, password: str = "wrong", address: str = "198.51.100.1", **headers: str
) -> Any:
    fields = {"username": username, "password": password}
    return Client(REMOTE_ADDR=address).post(door, fields, headers=headers)


@pytest.mark.parametrize("door", DOORS)
def test_a_name_must_wait_after_five_wrong_passwords(door: str, cast: None) -> None:
    answers = [attempt(door, "administrator").status_code for _ in range(20)]
    assert answers[:4] == [200] * 4
    assert set(answers[5:]) == {429}
    assert attempt(door, "administrator", PASSWORD).status_code == 429, "not even with the right one"


@pytest.mark.parametrize("door", DOORS)
def test_the_doors_count_together(door: str, cast: None) -> None:
    for _ in range(3):
        for other in DOORS:
            attempt(other, "administrator")
    assert attempt(door, "administrator", PASSWORD).status_code == 429


@pytest.mark.parametrize("door", DOORS)
def test_an_address_must_wait_however_many_names_it_tries(door: str, cast: None) -> None:
    for n in range(ADDRESS_LIMIT):
        assert attempt(door, f"name-{n}").status_code == 200
    assert attempt(door, "bob", PASSWORD).status_code == 429
    assert attempt(door, "bob", PASSWORD, address="198.51.100.2").status_code in (200, 302)


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP"]
)
def test_a_made_up_address_does_not_help(header: str, cast: None) -> None:
    for n in range(6):
        answer = attempt("/accounts/login/", "alice", **{header: f"203.0.113.{n}"})
    assert answer.status_code == 429


def test_the_person_gets_in_from_elsewhere_and_after_the_wait(cast: None) -> None:
    for _ in range(6):
        attempt("/accounts/login/", "alice")
    assert attempt("/accounts/login/", "alice", PASSWORD, address="198.51.100.9").status_code == 302
    for _ in range(6):
        attempt("/accounts/login/", "bob")
    assert attempt("/accounts/login/", "bob", PASSWORD).status_code == 429
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=6))
    assert attempt("/accounts/login/", "bob", PASSWORD).status_code == 302


def test_waiting_is_not_prolonged_by_trying_on(cast: None) -> None:
    for n in range(ADDRESS_LIMIT + 20):
        attempt("/accounts/login/", f"name-{n}")
    failures = sum(AccessAttempt.objects.values_list("failures_since_start", flat=True))
    assert failures == ADDRESS_LIMIT


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_password_and_an_unknown_name_read_the_same(door: str, cast: None) -> None:
    def words(answer: Any) -> str:
        return answer.content.decode().replace("nobody-here", "NAME").replace("administrator", "NAME")

    strip = lambda text: __import__("re").sub(r'(value|nonce)="[^"]*"', "", text)  # noqa: E731
    known, unknown = attempt(door, "administrator"), attempt(door, "nobody-here", address="198.51.100.3")
    assert known.status_code == unknown.status_code == 200
    assert strip(words(known)) == strip(words(unknown))


def test_a_person_who_was_deactivated_reads_the_same_as_nobody(cast: None, alice: Any) -> None:
    alice.is_active = False
    alice.save()
    gone = attempt("/accounts/login/", "alice", PASSWORD)
    assert gone.status_code == 200
    assert gone.context["form"].errors == attempt("/accounts/login/", "nobody").context["form"].errors


def test_no_password_is_stored_with_an_attempt(cast: None) -> None:
    attempt("/accounts/login/", "alice", "planted-password")
    stored = str(list(AccessAttempt.objects.values()))
    assert "alice" in stored
    assert "planted-password" not in stored


def test_a_real_server_throttles_whoever_makes_addresses_up(make_server: Callable[..., Server]) -> None:
    import requests

    server = make_server()
    session = requests.Session()
    session.get(f"{server.base_url}/accounts/login/", timeout=20)
    fields = {"username": "bob", "password": "wrong", "csrfmiddlewaretoken": server.csrf(session)}
    statuses = [
        session.post(
            f"{server.base_url}/accounts/login/",
            data=fields,
            headers={"Origin": server.base_url, "X-Forwarded-For": f"203.0.113.{n}"},
            timeout=20,
        ).status_code
        for n in range(7)
    ]
    assert statuses[0] == 200
    assert statuses[-1] == 429
