"""S29: a body over the limit is refused early, costs no memory and holds up nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from tests.real_server import Server

MIB = 1024 * 1024
SIZE = 100 * MIB
BLOCK = 64 * 1024
PATHS = ["/", "/no/such/page", "/accounts/login/", "/c/"]
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n',
    "multipart/form-data; boundary=x",
)


@pytest.fixture(scope="module")
def attacked(_template, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A server of this module's own, so that its memory is measured alone."""
    from tests.real_server import running

    data = tmp_path_factory.mktemp("attacked") / "data"
    with running(Server(data, _template.copy_to(data))) as server:
        requests.get(server.base_url, timeout=20)
        yield server


def ask_as_a_bystander(server: Server) -> None:
    """A page for somebody else; on a connection of its own. A busy machine may take its time."""
    assert requests.get(f"{server.base_url}/accounts/login/", timeout=30).status_code == 200


def send(server: Server, path: str, head: list[str], pieces: Iterator[bytes]) -> tuple[int, int]:
    """Send a huge body until the server has answered: (status, bytes that it took).

    After the first piece, and after each MiB, it goes on only when a bystander has been answered.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *head, "", ""]
        waiting = "\r\n".join(lines).encode()  # goes with the first piece, before a refusal can come
        sent = 0
        try:
            for number, piece in enumerate(pieces):
                line.sendall(waiting + piece)
                waiting = b""
                sent += len(piece)
                if number % (MIB // BLOCK) == 0:
                    ask_as_a_bystander(server)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it hung up while we were talking
        try:
            answer = line.recv(4096)
        except ConnectionResetError:
            answer = b""
        return (int(answer.split()[1]) if answer else 0), sent


def chunks(first: bytes, chunked: bool) -> Iterator[bytes]:
    block = b"x" * BLOCK
    for number in range(SIZE // len(block)):
        data = first if number == 0 else block
        yield b"%x\r\n%b\r\n" % (len(data), data) if chunked else data


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["declared", "chunked"])
@pytest.mark.parametrize(
    "kind", [MULTIPART, (b"x" * 1000, "application/octet-stream")], ids=["multipart", "raw"]
)
def test_a_huge_body_is_refused_early(
    attacked: Server, path: str, form: str, kind: tuple[bytes, str]
) -> None:
    first, content_type = kind
    before = attacked.rss
    length = f"Content-Length: {SIZE}" if form == "declared" else "Transfer-Encoding: chunked"
    status, sent = send(
        attacked, path, [f"Content-Type: {content_type}", length], chunks(first, form == "chunked")
    )
    peak = attacked.rss
    # The refusal may be lost in the reset that follows it while we still talk; it is never accepted.
    assert status in (413, 0)
    assert sent < SIZE / 2, "it did not take the whole body"
    assert peak - before < 50 * 1024 * 1024


def test_the_refusal_is_readable_for_who_stops_talking(attacked: Server) -> None:
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=10) as line:
        line.sendall(b"POST /c/ HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "99999999999999999999999"])
def test_a_nonsense_length_is_refused(attacked: Server, length: str) -> None:
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=10) as line:
        line.sendall(f"POST /c/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert line.recv(4096).split()[1] in (b"400", b"413")


def test_the_longest_question_still_passes(attacked: Server) -> None:
    alice = attacked.sign_in("alice")
    question = "/echo " + "ü" * (128 * 1024 - 8)
    assert attacked.post(alice, "/c/", {"text": question}).status_code == 202
    assert attacked.post(alice, "/c/", {"text": question + "xx" * 10}).status_code == 413
