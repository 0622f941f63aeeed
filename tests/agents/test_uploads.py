"""Uploads in two steps, after the SDK's cases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from chat.agents import AgentConfig, AgentError
from chat.agents.retry import RetryPolicy
from chat.agents.uploads import Upload, UploadClient
from tests.agent_server import (
    AgentServer,
    Recorded,
    Step,
    before_headers,
    cut,
    drop,
    multipart,
    page,
    part,
    pause,
    refuse,
    whole,
)

FORM_SECRETS = ("cG9saWN5LXNlY3JldA==", "51gn47ur3")


def config(server: AgentServer) -> AgentConfig:
    return server.config(options={"upload_base_url": server.url})


@pytest.fixture
def client(agent_server: AgentServer) -> UploadClient:
    policy = RetryPolicy(max_retries=3, initial_delay=0.01, harmless=True)
    return UploadClient(config(agent_server), policy=policy, form_timeout=0.5, transfer_timeout=0.5)


def calls(server: AgentServer, part: str) -> list[Recorded]:
    return [request for request in server.requests if part in request.path]


def test_upload_success(agent_server: AgentServer, client: UploadClient) -> None:
    upload_id = client.upload(Upload("manual.pdf", b"%PDF-1.7"))
    (form,) = calls(agent_server, "/v2/file-upload/form")
    assert form.json == {"file_name": "manual.pdf", "target_type": "CONTEXT", "expiration": 60}
    assert form.headers["authorization"] == "Bearer test-token-1"
    stored = agent_server.uploads[upload_id]
    assert (stored["file"], stored["name"], stored["type"]) == (b"%PDF-1.7", "manual.pdf", "application/pdf")


def test_the_storage_gets_the_fields_unchanged_the_file_last_and_no_authorization(
    agent_server: AgentServer, client: UploadClient
) -> None:
    upload_id = client.upload(Upload("a.txt", b"x"))
    (request,) = calls(agent_server, "/storage/")
    assert "authorization" not in request.headers
    assert [part[0] for part in multipart(request)] == ["key", "policy", "x-amz-signature", "file"]
    assert agent_server.uploads[upload_id]["fields"][1] == ("policy", FORM_SECRETS[0])


def test_upload_form_request_payload(agent_server: AgentServer, client: UploadClient) -> None:
    client.upload(Upload("a.txt", b"x", "KNOWLEDGE_SOURCE", "my-ks", 120))
    assert calls(agent_server, "form")[0].json == {
        "file_name": "a.txt",
        "target_type": "KNOWLEDGE_SOURCE",
        "target_id": "my-ks",
        "expiration": 120,
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("relatório ✓.txt", "relatório ✓.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        ('a"b\r\nX: y.txt', 'a"bX: y.txt'),
        ("nul\x00.txt", "nul.txt"),
    ],
)
def test_a_name_is_the_last_part_of_a_path_and_breaks_no_header(
    agent_server: AgentServer, client: UploadClient, given: str, sent: str
) -> None:
    upload_id = client.upload(Upload(given, b"x"))
    assert calls(agent_server, "form")[0].json["file_name"] == sent
    assert agent_server.uploads[upload_id]["name"] == sent.replace('"', "%22")
    assert agent_server.uploads[upload_id]["type"].startswith(("text/plain", "application/octet-stream"))


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "a/"} | {"name": "///"},
        {"name": "\r\n"},
        {"content": b""},
        {"target_type": "OTHER"},
        {"target_type": "KNOWLEDGE_SOURCE"},
        {"target_type": "KNOWLEDGE_SOURCE", "target_id": " "},
        {"expiration": 0},
        {"expiration": -1},
    ],
)
def test_what_cannot_be_uploaded_is_told_before_any_request(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="."):
        Upload(**({"name": "a.txt", "content": b"x"} | values))  # type: ignore[arg-type]


def test_a_path_must_be_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    for path in (tmp_path, tmp_path / "missing.txt", tmp_path / "empty.txt"):
        with pytest.raises(ValueError, match=path.name):
            Upload.of(path)


def test_an_upload_is_frozen_and_does_not_show_its_content() -> None:
    upload = Upload("a.txt", b"private")
    assert "private" not in repr(upload)
    with pytest.raises(dataclasses.FrozenInstanceError):
        upload.name = "b"  # type: ignore[misc]


def test_upload_file_deleted_between_creation_and_upload(
    agent_server: AgentServer, client: UploadClient, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    upload = Upload.of(path)
    path.unlink()
    with pytest.raises(AgentError, match=r"a\.txt"):
        client.upload(upload)
    assert agent_server.requests == []


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [
        (400, "rejected", 1),
        (403, "upload_forbidden", 1),
        (404, "agent_not_found", 1),
        (429, "busy", 4),
        (500, "agent_unavailable", 4),
        (503, "agent_unavailable", 4),
    ],
)
def test_upload_step1_http_error(
    agent_server: AgentServer, client: UploadClient, status: int, code: str, number: int
) -> None:
    for _ in range(number):
        agent_server.answer_form(refuse(status))
    with pytest.raises(AgentError) as caught:
        client.upload(Upload("a.txt", b"x"))
    assert (caught.value.code, caught.value.status) == (code, status)
    assert len(calls(agent_server, "form")) == number
    assert calls(agent_server, "/storage/") == []


@pytest.mark.parametrize(
    "body",
    [
        [],
        "{",
        {"id": "1"},
        {"id": "1", "url": "ftp://h", "form": {}},
        {"url": "http://h", "form": {"a": "b"}},
        {"id": 1, "url": "http://h", "form": {}},
    ],
)
def test_a_form_that_is_none_is_a_protocol_error(
    agent_server: AgentServer, client: UploadClient, body: object
) -> None:
    agent_server.answer_form(whole(body))
    with pytest.raises(AgentError, match="protocol"):
        client.upload(Upload("a.txt", b"x"))


def test_a_form_may_have_other_names(agent_server: AgentServer, client: UploadClient) -> None:
    known = client.upload(Upload("a.txt", b"x"))
    url = f"{agent_server.url}/storage/{known}"
    agent_server.answer_form(whole({"upload_id": "U", "upload_url": url, "fields": {"key": "k"}}))
    assert client.upload(Upload("b.txt", b"y")) == "U"
    assert agent_server.uploads[known]["name"] == "b.txt"


def test_each_step_is_repeated_by_itself(agent_server: AgentServer, client: UploadClient) -> None:
    agent_server.answer_form(refuse(503))
    agent_server.answer_form(before_headers())
    agent_server.answer_storage(page("<h1>bad</h1>", 500))
    agent_server.answer_storage(drop())
    upload_id = client.upload(Upload("a.txt", b"x"))
    assert agent_server.uploads[upload_id]["file"] == b"x"
    assert (len(calls(agent_server, "form")), len(calls(agent_server, "/storage/"))) == (3, 3)


def test_an_expired_form_is_asked_for_again_once(agent_server: AgentServer, client: UploadClient) -> None:
    denied = whole("<Error><Code>AccessDenied</Code></Error>", 403, "application/xml")
    agent_server.answer_storage(denied)
    assert agent_server.uploads[client.upload(Upload("a.txt", b"x"))]["file"] == b"x"
    assert len(calls(agent_server, "form")) == 2
    agent_server.answer_storage(denied)
    agent_server.answer_storage(denied)
    with pytest.raises(AgentError) as caught:
        client.upload(Upload("a.txt", b"x"))
    assert (caught.value.code, caught.value.detail) == ("forbidden", "AccessDenied")
    assert len(calls(agent_server, "form")) == 4


def test_upload_step2_http_error_shows_nothing_of_the_form(
    agent_server: AgentServer, client: UploadClient, caplog: pytest.LogCaptureFixture
) -> None:
    echo = f"<Error><Code>EntityTooLarge</Code><Policy>{FORM_SECRETS[0]}</Policy>{FORM_SECRETS[1]}</Error>"
    agent_server.answer_storage(whole(echo, 400, "application/xml"))
    caplog.set_level(0)
    with pytest.raises(AgentError) as caught:
        client.upload(Upload("a.txt", b"x"))
    assert "EntityTooLarge" in caught.value.detail
    shown = f"{caught.value.detail} {caught.value!r} {caplog.text}"
    assert not any(secret in shown for secret in FORM_SECRETS)


def test_a_refused_token_is_renewed_once(agent_server: AgentServer, client: UploadClient) -> None:
    client.upload(Upload("a.txt", b"x"))
    agent_server.expire_tokens()
    client.upload(Upload("b.txt", b"x"))
    assert len(agent_server.token_calls) == 2


def test_a_redirect_is_not_followed(agent_server: AgentServer, client: UploadClient) -> None:
    agent_server.answer_storage(whole("", 302, Location="http://127.0.0.1:9/"))
    with pytest.raises(AgentError, match="agent_misconfigured"):
        client.upload(Upload("a.txt", b"x"))


def test_upload_many_keeps_the_order_and_isolates_failures(
    agent_server: AgentServer, client: UploadClient, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.txt"
    gone.write_bytes(b"x")
    uploads = [Upload("1.txt", b"1"), Upload.of(gone), Upload("3.txt", b"3"), Upload("4.txt", b"4")]
    gone.unlink()
    results = client.upload_many(uploads, workers=3)
    assert [result.upload for result in results] == uploads
    stored = [agent_server.uploads[r.upload_id]["file"] if r.upload_id else None for r in results]
    assert stored == [b"1", None, b"3", b"4"]
    assert results[1].error is not None and results[1].error.code == "rejected"


@pytest.mark.parametrize("end", [cut(), drop(), pause(1.0)])
def test_half_a_form_is_asked_for_again(agent_server: AgentServer, client: UploadClient, end: Step) -> None:
    agent_server.answer_form(part(b'{"id', of=100), end)
    assert client.upload(Upload("a.txt", b"x")) in agent_server.uploads
    for _ in range(4):
        agent_server.answer_form(part(b'{"id', of=100), end)
    with pytest.raises(AgentError) as caught:
        client.upload(Upload("a.txt", b"x"))
    assert caught.value.code in ("connection_lost", "no_answer")


def test_upload_many_empty_list(agent_server: AgentServer, client: UploadClient) -> None:
    assert client.upload_many([]) == []
    assert agent_server.requests == []
