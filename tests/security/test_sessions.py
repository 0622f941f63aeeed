"""S09, S10: sessions are renewed when they must be, and their cookies travel as narrowly as they can."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
import requests
from django.contrib.sessions.models import Session
from django.test import Client

from tests.real_server import PASSWORD, Server

HTTPS = {
    "STKWEB_ORIGINS": "https://chat.example",
    "STKWEB_ALLOWED_HOSTS": "chat.example,127.0.0.1",
    "STKWEB_TRUST_PROXY": "1",
}
FROM_PROXY = {"Host": "chat.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


def sign_in(client: Client, password: str = PASSWORD) -> Any:
    return client.post("/accounts/login/", {"username": "alice", "password": password})


def test_signing_in_makes_a_new_session(alice: Any, client: Client) -> None:
    planted = "a" * 32
    client.cookies["stkweb_session"] = planted
    assert sign_in(client).status_code == 302
    assert client.cookies["stkweb_session"].value != planted
    assert not Session.objects.filter(session_key=planted).exists()


@pytest.mark.parametrize("door", ["/accounts/login/", "/admin/login/"])
def test_signing_in_again_leaves_the_former_session_dead(
    door: str, administrator: Any, client: Client
) -> None:
    fields = {"username": "administrator", "password": PASSWORD}
    assert client.post(door, fields).status_code == 302
    former = client.cookies["stkweb_session"].value
    assert client.post(door, fields).status_code == 302
    thief = Client()
    thief.cookies["stkweb_session"] = former
    assert thief.get("/session/").status_code == 401


def test_signing_out_ends_the_session(alice: Any, client: Client) -> None:
    sign_in(client)
    former = client.cookies["stkweb_session"].value
    answer = client.post("/accounts/logout/")
    assert answer["Clear-Site-Data"] == '"storage"'
    thief = Client()
    thief.cookies["stkweb_session"] = former
    assert thief.get("/session/").status_code == 401


def test_a_new_password_ends_all_other_sessions(alice: Any, client: Client) -> None:
    elsewhere = Client()
    sign_in(elsewhere)
    sign_in(client)
    former = client.cookies["stkweb_session"].value
    new = "another-horse-battery-9"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/accounts/password_change/", fields).status_code == 302
    assert client.get("/session/").status_code == 200
    assert client.cookies["stkweb_session"].value != former
    assert elsewhere.get("/session/").status_code == 401


@pytest.mark.parametrize("password", ["short", "593817264053", "administrator", "alice"])
def test_a_weak_password_is_refused(alice: Any, client: Client, password: str) -> None:
    sign_in(client)
    fields = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
    assert client.post("/accounts/password_change/", fields).status_code == 200
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_pages_of_a_person_are_not_kept_by_caches(shared_server: Server) -> None:
    alice = shared_server.sign_in("alice")
    for path in ("/", "/session/", "/accounts/password_change/", "/no/such/page", "/accounts/login/"):
        assert "no-store" in alice.get(shared_server.base_url + path, timeout=20).headers["Cache-Control"], (
            path
        )


@pytest.fixture
def behind_proxy(make_server: Callable[..., Server]) -> Server:
    """A server as it runs behind a proxy that ends TLS."""
    return make_server(**HTTPS)


def cookies_of(answer: requests.Response) -> SimpleCookie:
    cookies = SimpleCookie()
    for line in answer.raw.headers.getlist("Set-Cookie"):
        cookies.load(line)
    return cookies


def test_cookies_behind_https_are_bound_to_host_and_transport(behind_proxy: Server) -> None:
    url = f"{behind_proxy.base_url}/accounts/login/"
    form = requests.get(url, headers=FROM_PROXY, timeout=20)
    token = cookies_of(form)["__Host-csrf"].value
    answer = requests.post(
        url,
        data={"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": token},
        headers={**FROM_PROXY, "Cookie": f"__Host-csrf={token}", "Origin": "https://chat.example"},
        allow_redirects=False,
        timeout=20,
    )
    assert answer.status_code == 302
    cookies = cookies_of(answer)
    assert set(cookies) == {"__Host-csrf", "__Host-session"}
    for cookie in cookies.values():
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
    assert cookies["__Host-session"]["httponly"]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_static_files_and_health_pages_set_no_cookie(shared_server: Server) -> None:
    for path in ("/livez", "/readyz", "/static/chat/admin-policy.js"):
        answer = requests.get(shared_server.base_url + path, timeout=20)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
