"""S33: every address by everybody. What is somebody else's answers exactly as what does not exist."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from chat.models import Agent, new_id
from tests.security.conftest import Owned
from tests.security.urls import BODIES, KINDS, OF_A_CONVERSATION

#: Addresses that anybody may use; all others want a signed-in person.
PUBLIC = {"login", "logout", "preferences", "session", "livez", "readyz", "metrics"}
#: What alice's own requests are answered with; without a server no turn can begin (503).
OWN = {
    "conversation": 200, "older": 200, "send": 503, "stop": 200, "retry": 503, "continue": 503, "show": 200,
    "rename": 200, "delete": 200, "restore": 404, "tool_output": 200,
}  # fmt: skip
OTHERS = ("bob", "charlie", "staff", "administrator")


def ask(client: Client, name: str, owned: Owned, thread_id: str) -> HttpResponse:
    """The request a script would send for the conversation `thread_id`."""
    path = reverse(name, args=[thread_id] if name in OF_A_CONVERSATION else [])
    accept = {"Accept": "application/json"}
    if KINDS[name] == "reads":
        return client.get(path, headers=accept)
    ids = {**vars(owned), "conversation": thread_id}
    fields = {key: str(value).format(**ids) for key, value in BODIES.get(name, {}).items()}
    return client.post(path, json.dumps(fields), content_type="application/json", headers=accept)


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("name", sorted(OF_A_CONVERSATION))
def test_the_owner_gets_in(name: str, of_alice: Owned, alice: Any, client_of: Callable[..., Client]) -> None:
    """Or the refusals below would prove nothing."""
    assert ask(client_of(alice), name, of_alice, of_alice.conversation).status_code == OWN[name]


@pytest.mark.parametrize("name", sorted(OF_A_CONVERSATION))
def test_nobody_else_learns_that_it_exists(
    name: str, of_alice: Owned, other: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(other)
    before = everything()
    foreign = ask(client, name, of_alice, of_alice.conversation)
    missing = ask(client, name, of_alice, new_id())
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content
    assert set(foreign.headers) == set(missing.headers)
    assert everything() == before


@pytest.mark.parametrize("name", sorted({"conversation", "older"}))
def test_the_page_of_somebody_else_is_the_page_of_nothing(
    name: str, of_alice: Owned, bob: Any, client_of: Callable[..., Client]
) -> None:
    client = client_of(bob)
    pages = [client.get(reverse(name, args=[thread_id])) for thread_id in (of_alice.conversation, new_id())]
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].content == pages[1].content


@pytest.mark.parametrize("name", sorted({"home", "conversation"}))
def test_no_page_shows_what_somebody_else_wrote(
    name: str, of_alice: Owned, other: Any, client_of: Callable[..., Client]
) -> None:
    page = ask(client_of(other), name, of_alice, of_alice.conversation).content.decode()
    for theirs in ("Of Alice", "secret question", "secret answer", of_alice.conversation, of_alice.answer):
        assert theirs not in page


@pytest.mark.parametrize("name", sorted({"retry", "continue", "show", "tool_output"}))
def test_a_message_of_another_conversation_cannot_be_named(
    name: str, of_alice: Owned, bob: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    """Through bob's own conversation, with the id of alice's answer."""
    from django.utils import timezone

    from chat.models import Conversation

    own = Conversation.objects.create(owner=bob, title="Of Bob", updated_at=timezone.now())
    client = client_of(bob)
    before = everything()
    answer = ask(client, name, of_alice, own.public_id)
    assert answer.status_code in (404, 409)
    assert everything() == before


def test_a_draft_is_not_put_into_somebody_else_s_conversation(
    of_alice: Owned, bob: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(bob)
    before = everything()
    assert ask(client, "draft", of_alice, of_alice.conversation).status_code == 404
    assert everything() == before


def test_a_question_cannot_hang_below_somebody_else_s_message(
    of_alice: Owned, bob: Any, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of(bob)
    before = everything()
    fields = json.dumps({"text": "x", "parent": of_alice.answer})
    answer = client.post("/c/", fields, content_type="application/json")
    assert answer.status_code in (404, 409, 422)
    assert everything() == before


@pytest.mark.parametrize("name", sorted(set(KINDS) - PUBLIC))
def test_strangers_are_sent_to_sign_in(
    name: str, of_alice: Owned, client_of: Callable[..., Client], everything: Any
) -> None:
    client = client_of()
    before = everything()
    thread_id = of_alice.conversation
    answer = ask(client, name, of_alice, thread_id)
    if answer.status_code == 302:  # Django's own views
        assert answer["Location"].startswith("/accounts/login/")
    else:
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "not_signed_in"
    missing = ask(client, name, of_alice, new_id())
    assert missing.content == answer.content
    path = reverse(name, args=[thread_id] if name in OF_A_CONVERSATION else [])
    page = client.get(path) if KINDS[name] == "reads" else client.post(path)
    assert page.status_code == 302
    assert page["Location"].startswith("/accounts/login/")
    assert everything() == before


def test_a_person_who_was_deactivated_is_a_stranger(
    of_alice: Owned, alice: Any, client_of: Callable[..., Client]
) -> None:
    client = client_of(alice)
    alice.is_active = False
    alice.save()
    assert ask(client, "conversation", of_alice, of_alice.conversation).status_code == 401


ADMIN = (
    "",
    "chat/agent/",
    "chat/agent/add/",
    "chat/agent/{agent}/change/",
    "audit/",
    "auth/user/",
    "auth/user/add/",
    "auth/user/{user}/change/",
    "auth/user/{user}/password/",
    "auth/group/",
)


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize(
    ("who", "status"), [("alice", 302), ("charlie", 302), ("staff", 403), ("administrator", 200), (None, 302)]
)
def test_the_administration_is_for_those_with_the_permission(
    path: str, who: str | None, status: int, demo_agent: Agent, request: pytest.FixtureRequest,
    client_of: Callable[..., Client], administrator: Any,
) -> None:  # fmt: skip
    person = request.getfixturevalue(who) if who else None
    url = "/admin/" + path.format(agent=demo_agent.pk, user=administrator.pk)
    answer = client_of(person).get(url)
    expected = 200 if who == "staff" and not path else status  # staff sees an empty front page
    assert answer.status_code == expected
    if expected == 302:
        assert answer["Location"].startswith("/admin/login/")
