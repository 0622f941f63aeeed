"""S11, S12: the security headers stand on every answer there is, the policy is B3's on every page."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest
import requests
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest
from django.urls import path

from stkweb.edge import Edge
from stkweb.handler import PooledHandler
from stkweb.urls import handler400, handler403, handler404, handler500, urlpatterns
from tests.real_server import Server

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: B3's policy; the nonce and the socket's address are put in.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'nonce-N'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self' WS",
    "manifest-src": "'self'",
    "worker-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "stkweb dompurify",
}
ANONYMOUS = ["/accounts/login/", "/admin/login/", "/no/such/page", "/accounts/logout/", "/%00", "/c/x/"]
SIGNED_IN = ["/", "/c/01ARZ3NDEKTSV4RRFFQ69G5FAV/", "/accounts/password_change/", "/session/"]
OTHER = ["/livez", "/readyz", "/metrics", "/static/chat/admin-policy.js", "/static/none.js", "/static/../x"]
ADMIN = [
    "/admin/",
    "/admin/chat/agent/",
    "/admin/chat/agent/add/",
    "/admin/chat/ledgerentry/",
    "/admin/auth/user/add/",
    "/admin/jsi18n/",
    "/admin/no/such/page/",
]


def check_headers(answer: requests.Response) -> None:
    for name, value in EXPECTED.items():
        assert answer.headers.get(name) == value, f"{answer.url}: {name}"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert "Content-Security-Policy" in answer.headers
    assert "Server" not in answer.headers
    assert "X-Powered-By" not in answer.headers


def policy_of(answer: requests.Response, server: Server) -> dict[str, str]:
    text = answer.headers["Content-Security-Policy"].replace(server.base_url.replace("http", "ws", 1), "WS")
    text = re.sub(r"'nonce-[^']+'", "'nonce-N'", text)
    parts = (part.strip().partition(" ") for part in text.split(";"))
    return {name: value for name, _, value in parts if name}


@pytest.fixture(scope="module")
def sessions(shared_server: Server) -> dict[str, requests.Session]:
    return {
        "nobody": requests.Session(),
        "alice": shared_server.sign_in("alice"),
        "admin": shared_server.sign_in("admin"),
    }


CASES = [
    *(("nobody", path) for path in ANONYMOUS + OTHER),
    *(("alice", path) for path in SIGNED_IN),
    *(("admin", path) for path in ADMIN),
]


@pytest.mark.parametrize(("who", "path"), CASES)
def test_every_answer_has_the_headers(
    shared_server: Server, sessions: dict[str, requests.Session], who: str, path: str
) -> None:
    answer = sessions[who].get(shared_server.base_url + path, timeout=20, allow_redirects=False)
    check_headers(answer)
    found = policy_of(answer, shared_server)
    assert (found["default-src"], found["frame-ancestors"]) == ("'none'", "'none'")
    if "text/html" not in answer.headers.get("Content-Type", "") or not answer.text:
        return
    expected = dict(POLICY)
    if path.startswith("/admin/") and answer.status_code == 200:
        expected["trusted-types"] += " default"
    if "'nonce-N'" not in found["script-src"]:  # a page without a script of its own needs none
        expected["script-src"] = "'self'"
    assert found == expected


def test_no_page_holds_a_script_or_a_style_of_its_own_without_the_nonce(
    shared_server: Server, sessions: dict[str, requests.Session]
) -> None:
    for who, paths in (("alice", SIGNED_IN), ("admin", ADMIN), ("nobody", ANONYMOUS)):
        for path_ in paths:
            answer = sessions[who].get(shared_server.base_url + path_, timeout=20)
            if "html" not in answer.headers.get("Content-Type", ""):
                continue
            nonce = re.search(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])
            for tag in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", answer.text):
                executed = "application/json" not in tag
                assert not executed or (nonce and f'nonce="{nonce[1]}"' in tag), f"{path_}: {tag}"
            assert "<style" not in answer.text
            assert not re.search(r"<[^>]+\son\w+=", answer.text), path_
            assert not re.search(r"<[^>]+\sstyle=", answer.text), path_


def test_the_nonce_is_another_one_each_time(
    shared_server: Server, sessions: dict[str, requests.Session]
) -> None:
    found = set()
    for _ in range(3):
        answer = sessions["alice"].get(f"{shared_server.base_url}/", timeout=20)
        found |= set(re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"]))
    assert len(found) == 3
    assert all(len(nonce) >= 22 for nonce in found), "128 bits"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_refused_methods_have_the_headers(shared_server: Server, method: str) -> None:
    check_headers(requests.request(method, f"{shared_server.base_url}/no/such/page", timeout=20))


def test_a_body_that_is_refused_has_the_headers(shared_server: Server) -> None:
    answer = requests.post(f"{shared_server.base_url}/c/", data=b"x" * (5 * 1024 * 1024 + 1), timeout=20)
    assert answer.status_code == 413
    check_headers(answer)


def test_a_foreign_host_name_is_refused(shared_server: Server) -> None:
    answer = requests.get(f"{shared_server.base_url}/", headers={"Host": "evil.example"}, timeout=20)
    assert answer.status_code == 400
    assert "evil" not in answer.text
    check_headers(answer)


def test_what_is_no_http_is_answered_without_a_version(shared_server: Server) -> None:
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=10) as line:
        line.sendall(b"\x00\x01 nonsense\r\n\r\n")
        said = line.recv(4096)
    assert b"uvicorn" not in said.lower()
    assert b"Traceback" not in said


# -- an error of our own ---------------------------------------------------------------------------


def _broken(request: HttpRequest) -> Any:
    raise RuntimeError("planted detail")


class _Urls:
    """The product's addresses and one that fails."""

    urlpatterns = [path("broken/", _broken), *urlpatterns]
    handler400, handler403, handler404, handler500 = handler400, handler403, handler404, handler500


@pytest.mark.django_db(transaction=True)
async def test_an_error_of_ours_has_the_headers_and_tells_nothing(settings: Any) -> None:
    settings.ROOT_URLCONF = _Urls
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/broken/", "raw_path": b"/broken/",
        "query_string": b"", "root_path": "", "scheme": "http", "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"127.0.0.1:8000"), (b"accept", b"text/html")],
    }  # fmt: skip
    communicator = ApplicationCommunicator(Edge(PooledHandler()), scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    start = await communicator.receive_output(10)
    headers = {name.decode().title(): value.decode() for name, value in start["headers"]}
    body = (await communicator.receive_output(10))["body"].decode()
    await asyncio.wait_for(communicator.future, 10)
    assert start["status"] == 500
    for name, value in EXPECTED.items():
        assert headers[name] == value
    assert "require-trusted-types-for 'script'" in headers["Content-Security-Policy"]
    assert "planted" not in body
    assert "Traceback" not in body
