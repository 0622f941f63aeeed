"""Files through the real server: a connection cut inside a slice, two tabs, a form without JavaScript."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.files.conftest import SLICE, digest_of, png
from tests.real_server import Server, running, wait_for


@pytest.fixture(scope="module")
def served(_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("files") / "data"
    with running(Server(data, _template.copy_to(data))) as server:
        yield server


@pytest.fixture
def session(served: Server) -> requests.Session:
    return served.sign_in("alice")


def announce(server: Server, session: requests.Session, name: str, size: int) -> str:
    agent = session.get(f"{server.base_url}/", headers={"Accept": "application/json"}).json()["agent"]["id"]
    answer = server.post(session, "/files/", {"name": name, "size": size, "agent": agent})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def head(server: Server, session: requests.Session, file: str, offset: int, content: bytes) -> dict[str, str]:
    return {
        "Upload-Offset": str(offset), "Content-Digest": digest_of(content), "Accept": "application/json",
        "Content-Type": "application/octet-stream", "Content-Length": str(len(content)),
        "X-CSRFToken": session.cookies.get("stkweb_csrf") or "", "Origin": server.base_url,
    }  # fmt: skip


def put(server: Server, session: requests.Session, file: str, offset: int, content: bytes) -> Any:
    headers = head(server, session, file, offset, content)
    return session.put(f"{server.base_url}/files/{file}/", content, headers=headers)


def state(server: Server, session: requests.Session, file: str) -> dict[str, Any]:
    found: dict[str, Any] = session.get(f"{server.base_url}/files/{file}/").json()
    return found


def ready(server: Server, session: requests.Session, file: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(
        lambda: (s := state(server, session, file))["state"] not in ("uploading", "checking") and s, 20
    )
    return found


def test_a_connection_cut_at_60_percent_goes_on_at_the_server_s_offset(
    served: Server, session: requests.Session
) -> None:
    content = bytes(range(256)) * 40_000
    file = announce(served, session, "a.bin", len(content))
    assert put(served, session, file, 0, content[:SLICE]).json()["offset"] == SLICE
    piece = content[SLICE : 2 * SLICE]
    headers = {**head(served, session, file, SLICE, piece), "Host": f"127.0.0.1:{served.port}"}
    headers["Cookie"] = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall(f"PUT /files/{file}/ HTTP/1.1\r\n{lines}\r\n".encode() + piece[: len(piece) // 2])
    assert state(served, session, file)["offset"] == SLICE
    for offset in (SLICE, 2 * SLICE):
        assert put(served, session, file, offset, content[offset : offset + SLICE]).status_code == 200
    assert ready(served, session, file)["state"] == "ready"
    assert session.get(f"{served.base_url}/files/{file}/download/").content == content
    assert not list((served.data / "incoming").glob("*.part"))


def test_two_tabs_that_send_the_same_file_at_once_make_one_file(
    served: Server, session: requests.Session
) -> None:
    content = bytes(range(256)) * 32_000
    file = announce(served, session, "b.bin", len(content))

    def send(_: int) -> set[int]:
        offset, seen = 0, set()
        while offset < len(content):
            answer = put(served, session, file, offset, content[offset : offset + SLICE])
            seen.add(answer.status_code)
            offset = answer.json()["offset"] if answer.ok else answer.json()["error"]["offset"]
        return seen

    with ThreadPoolExecutor(2) as pool:
        codes = set().union(*pool.map(send, range(2)))
    assert codes <= {200, 409}
    assert ready(served, session, file)["state"] == "ready"
    assert session.get(f"{served.base_url}/files/{file}/download/").content == content


def test_a_slice_over_the_limit_is_refused_before_it_is_read(
    served: Server, session: requests.Session
) -> None:
    file = announce(served, session, "c.bin", 10 * 1024 * 1024)
    answer = put(served, session, file, 0, bytes(6 * 1024 * 1024))
    assert answer.status_code == 413
    assert state(served, session, file)["offset"] == 0


def form(server: Server, session: requests.Session, path: str, **fields: Any) -> requests.Response:
    token = session.cookies.get("stkweb_csrf") or ""
    data = {"csrfmiddlewaretoken": token, **fields.pop("data")}
    headers = {"Accept": "text/html", "Origin": server.base_url, "Referer": server.base_url + "/"}
    return session.post(server.base_url + path, data, headers=headers, allow_redirects=False, **fields)


def test_a_form_without_javascript_brings_its_files(served: Server, session: requests.Session) -> None:
    given = [
        ("upload", ("notes.txt", b"first words", "text/plain")), ("upload", ("a.png", png(), "image/png")),
    ]  # fmt: skip
    for _ in range(2):  # sent twice, it is one question with one set of files
        answer = form(
            served, session, "/c/", data={"text": "What is this?", "idempotency_key": "form-1"}, files=given
        )
        assert (answer.status_code, answer.headers["Location"][:3]) == (303, "/c/")
    page = session.get(served.base_url + answer.headers["Location"], headers={"Accept": "application/json"})
    (question, *_) = page.json()["items"]
    assert [a["name"] for a in question["attachments"]] == ["notes.txt", "a.png"]
    assert len([c for c in page.json()["conversations"] if c["title"] == "What is this?"]) == 1


def test_a_form_whose_file_lies_keeps_the_text(served: Server, session: requests.Session) -> None:
    given = [("upload", ("a.png", b"hello", "image/png"))]
    answer = form(served, session, "/c/", data={"text": "keep these words"}, files=given)
    assert answer.status_code == 303
    page = session.get(served.base_url + answer.headers["Location"]).text
    assert "keep these words" in page and "The content of this file is not what its name says." in page
