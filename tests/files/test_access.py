"""S25, S26: who reaches a file, through which door, and how its bytes leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat import actions
from chat.actions.refusals import Refused
from chat.models import Agent, Attachment, ContextFile, Conversation, Message, new_id
from tests.files.conftest import Giver, pdf, png
from tests.files.test_looking import HTML, SVG
from tests.security.urls import all_patterns

pytestmark = pytest.mark.django_db

#: (method, address's name): everything that can be done with one file.
DOORS = [
    ("get", "file"), ("put", "file"), ("post", "file_remove"), ("post", "file_renew"),
    ("get", "file_download"), ("get", "file_thumbnail"),
]  # fmt: skip


@pytest.fixture
def carried(giver: Giver, alice: Any, demo_agent: Agent) -> dict[str, Any]:
    """A picture of alice's that a message of hers carries."""
    state = giver.give("a.png", png())
    now = timezone.now()
    thread = Conversation.objects.create(
        owner=alice, title="t", agent=demo_agent, updated_at=now, has_files=True
    )
    message = Message.objects.create(conversation=thread, role="user", text="q", author=alice, created_at=now)
    row = ContextFile.objects.get(public_id=state["id"])
    Attachment.objects.create(message=message, file=row, position=0)
    row.conversation = thread
    row.save()
    return {**state, "thread": thread.public_id}


def call(client: Client, method: str, name: str, file: str) -> Any:
    headers = {"Accept": "application/json", "Upload-Offset": "0"}
    body = {} if method == "get" else {"data": b"x", "content_type": "application/octet-stream"}
    return getattr(client, method)(reverse(name, args=[file]), headers=headers, **body)


def test_every_address_of_files_is_tried_here() -> None:
    named = {name for name, _ in all_patterns() if name.startswith("file")}
    assert named == {name for _, name in DOORS} | {"file_new", "file_tray"}


@pytest.mark.parametrize(("method", "name"), DOORS)
@pytest.mark.parametrize("other", ["bob", "charlie", "staff", "administrator"])
def test_another_person_s_file_is_not_there(
    carried: dict[str, Any], request: pytest.FixtureRequest, other: str, method: str, name: str,
    client_of: Callable[..., Client],
) -> None:  # fmt: skip
    client = client_of(request.getfixturevalue(other))
    foreign, missing = (call(client, method, name, file) for file in (carried["id"], new_id()))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content
    assert ContextFile.objects.get(public_id=carried["id"]).state == "ready"


@pytest.mark.parametrize(("method", "name"), [*DOORS, ("get", "file_tray"), ("post", "file_new")])
def test_nobody_gets_in_without_signing_in(
    carried: dict[str, Any], client_of: Callable[..., Client], method: str, name: str
) -> None:
    path = "/files/" if name == "file_new" else reverse(name, args=[carried["id"]])
    answer = getattr(client_of(), method)(path, headers={"Accept": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["file", "file_download", "file_thumbnail"])
def test_a_file_goes_with_its_conversation(
    carried: dict[str, Any], giver: Giver, alice: Any, name: str
) -> None:
    def status() -> int:
        return int(giver.fetch(reverse(name, args=[carried["id"]]))[0].status_code)

    assert status() == 200
    actions.delete(alice, conversation=carried["thread"])
    assert status() == 404
    actions.restore(alice, conversation=carried["thread"])
    assert status() == 200


def test_the_tray_of_somebody_else_is_not_there(
    carried: dict[str, Any], bob: Any, client_of: Callable[..., Client]
) -> None:
    answer = client_of(bob).get(f"/c/{carried['thread']}/files/", headers={"Accept": "application/json"})
    assert answer.status_code == 404


def test_a_message_carries_nobody_else_s_file(
    serving: Any, alice: Any, bob: Any, make_agent: Callable[..., Agent], client_of: Callable[..., Client]
) -> None:
    """Nor one of another conversation of one's own: sharing it would show more than was meant."""
    agent = make_agent()
    theirs = Giver(client_of(bob), agent).announce("a.txt", 5).json()["id"]
    first = serving.ask(alice, "one")
    serving.ended(first)
    mine = Giver(client_of(alice), agent).announce("b.txt", 5).json()["id"]
    ContextFile.objects.filter(public_id=mine).update(
        conversation=Conversation.objects.get(public_id=first.conversation)
    )
    for file in (theirs, mine, new_id(), "", "../x", "\x00"):
        with pytest.raises(Refused) as refused:
            serving.ask(alice, "two", files=[file])
        assert refused.value.code == "not_found"
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "content", "type_"),
    [
        ("a.html", HTML, "text/plain; charset=utf-8"),
        ("a.svg", SVG, "text/plain; charset=utf-8"),
        ("a.xml", b"<?xml version='1.0'?><x/>", "text/plain; charset=utf-8"),
        ("a.txt", "é".encode("latin-1"), "application/octet-stream"),
        (".htaccess", b"Options +ExecCGI", "text/plain; charset=utf-8"),
        ("a.pdf", pdf("x"), "application/pdf"),
        ("a.png", png(), "image/png"),
        ("a.bin", b"\x00\x01", "application/octet-stream"),
    ],
)
def test_bytes_leave_as_an_attachment_that_runs_nothing(
    giver: Giver, name: str, content: bytes, type_: str
) -> None:
    answer, got = giver.fetch(giver.give(name, content)["download_url"])
    assert got == content and answer["Content-Type"] == type_
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(("name", "content"), [("a.html", HTML), ("a.svg", SVG), ("a.pdf", pdf("x"))])
def test_only_pictures_have_a_preview(giver: Giver, name: str, content: bytes) -> None:
    state = giver.give(name, content)
    assert state["has_thumbnail"] is False and state["preview_url"] is None
    assert giver.client.get(f"/files/{state['id']}/thumbnail/").status_code == 404


def test_a_file_that_is_not_ready_has_no_bytes_to_give(giver: Giver) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    assert giver.client.get(f"/files/{file}/download/").status_code == 404


def test_a_slice_without_the_token_is_refused(giver: Giver, alice: Any) -> None:
    file = giver.announce("a.txt", 5).json()["id"]
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    answer = strict.put(
        f"/files/{file}/", b"hello", headers={"Upload-Offset": "0", "Accept": "application/json"}
    )
    assert answer.status_code == 403
    assert giver.state(file)["offset"] == 0
