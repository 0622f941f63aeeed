"""A question of our own page is taken without Django's middleware; whatever is odd about it goes that way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from chat.models import Agent, Conversation, Message, SendReceipt, new_id
from chat.sessions import SessionStore, signed_in
from chat.views import send_ready
from stkweb.senders import Senders
from tests.agent_server import AgentServer, hang
from tests.serving import Serving

Headers = dict[bytes, bytes]
BACKEND = "django.contrib.auth.backends.ModelBackend"
NEW = "/c/"


class Browser:
    """A signed-in person's browser, which sends by either way."""

    def __init__(self, person: Any) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(person, BACKEND)
        self.client.get("/")
        self.cookies = {name: morsel.value for name, morsel in self.client.cookies.items()}
        self.token = self.cookies["stkweb_csrf"]

    def headers(self, body: bytes, key: str) -> Headers:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            b"host": b"127.0.0.1:8000",
            b"origin": b"http://127.0.0.1:8000",
            b"cookie": cookies.encode(),
            b"x-csrftoken": self.token.encode(),
            b"idempotency-key": key.encode(),
            b"content-type": b"application/json",
            b"content-length": str(len(body)).encode(),
        }

    def send(
        self, path: str = NEW, key: str = "", change: Callable[[Headers], object] = len, **fields: Any
    ) -> dict[str, str] | None:
        """The ids by the way without the middleware; None where it is Django's."""
        body = json.dumps({"text": "Hi", **fields}).encode()
        headers = self.headers(body, key or new_id())
        change(headers)
        question = send_ready.question_of(path, b"", headers.items(), "http", "203.0.113.7")
        answer = send_ready.answer_to(question, body) if question is not None else None
        return None if answer is None else json.loads(answer)

    def send_by_django(self, path: str = NEW, key: str = "", **fields: Any) -> Any:
        return self.client.post(
            path, {"text": "Hi", **fields}, content_type="application/json",
            headers={"X-CSRFToken": self.token, "Idempotency-Key": key or new_id()},
        )  # fmt: skip


@pytest.fixture
def browser_of(serving: Serving, settings: Any) -> Callable[[Any], Browser]:
    """browser_of(person): their browser, at the address where the product is."""
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    return Browser


@pytest.fixture
def page(browser_of: Callable[[Any], Browser], alice: Any, agent: Agent) -> Browser:
    return browser_of(alice)


def test_a_question_is_taken_and_answered(page: Browser, serving: Serving, alice: Any) -> None:
    ids = page.send(text="What is a ULID?")
    assert ids is not None
    answer = serving.ended(ids["answer"])
    question = answer.parent
    assert question is not None
    assert (question.public_id, question.text, question.author) == (ids["question"], "What is a ULID?", alice)
    assert answer.conversation.public_id == ids["conversation"]
    assert answer.conversation.owner == alice


def test_the_next_question_follows_the_last_answer(page: Browser, serving: Serving) -> None:
    first = page.send()
    assert first is not None
    before = serving.ended(first["answer"])
    second = page.send(f"/c/{first['conversation']}/messages/", text="And then?")
    assert second is not None
    after = serving.ended(second["answer"])
    assert after.parent is not None
    assert after.parent.parent == before
    assert after.upstream_conversation == before.upstream_conversation, "the agent remembers it"


def test_one_key_makes_one_question_by_both_ways(page: Browser, serving: Serving) -> None:
    first = page.send(key="one key")
    again, by_django = page.send(key="one key"), page.send_by_django(key="one key")
    assert by_django.status_code == 202
    assert first == again == by_django.json()
    assert Message.objects.filter(role="user").count() == 1
    other = page.send_by_django(key="another key").json()
    assert page.send(key="another key") == other
    assert page.send(key="one key", text="something else") is None, "Django says what is wrong with it"


def left_out(name: bytes) -> Callable[[Headers], object]:
    return lambda headers: headers.pop(name)


def said(name: bytes, value: bytes) -> Callable[[Headers], object]:
    return lambda headers: headers.update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        *(left_out(name) for name in send_ready._NEEDED),
        said(b"host", b"evil.example"),
        said(b"origin", b"https://evil.example"),
        said(b"origin", b"null"),
        said(b"x-csrftoken", b"A" * 32),
        said(b"x-csrftoken", b"A" * 64),
        said(b"x-csrftoken", b""),
        said(b"cookie", b"stkweb_session=nobody"),
        said(b"cookie", b""),
        said(b"idempotency-key", b""),
        said(b"content-type", b"text/plain"),
        said(b"content-type", b"application/x-www-form-urlencoded"),
        said(b"content-length", b"65537"),
        said(b"content-length", b"-1"),
        said(b"x-forwarded-proto", b"https"),
    ],
)
def test_what_a_browser_would_not_send_for_our_page_is_not_taken(
    page: Browser, change: Callable[[Headers], object], settings: Any
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = []
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    send_ready._forgery.__dict__.pop("allowed_origins_exact", None)
    assert page.send(change=change) is None
    assert not Message.objects.exists()
    assert page.send() is not None, "it was not for something else"


def test_a_header_that_comes_twice_is_not_chosen_from(page: Browser) -> None:
    headers = page.headers(b"{}", "key")
    for name in headers:
        twice = [*headers.items(), (name, headers[name])]
        assert send_ready.question_of(NEW, b"", twice, "http", "") is None
    assert send_ready.question_of(NEW, b"", headers.items(), "http", "") is not None


@pytest.mark.parametrize(
    ("path", "query"),
    [(NEW, b"a=1"), ("/c/x/messages/", b""), ("/c/01JDGX0000000000000000000A/stop/", b""), ("/", b"")],
)
def test_other_addresses_are_django_s(page: Browser, path: str, query: bytes) -> None:
    assert send_ready.question_of(path, query, page.headers(b"{}", "key").items(), "http", "") is None


def signed_out(person: Any) -> None:
    Session.objects.all().delete()


def run_out(person: Any) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def deactivated(person: Any) -> None:
    type(person).objects.filter(pk=person.pk).update(is_active=False)


def another_password(person: Any) -> None:
    person.set_password("another one, long enough")
    person.save()


def another_backend(person: Any) -> None:
    row = Session.objects.get()
    store = SessionStore(row.session_key)
    store["_auth_user_backend"] = "somewhere.else.Backend"
    store.save()


def no_hash(person: Any) -> None:
    row = Session.objects.get()
    store = SessionStore(row.session_key)
    del store[HASH_SESSION_KEY]
    store.save()


@pytest.mark.parametrize(
    "change", [signed_out, run_out, deactivated, another_password, another_backend, no_hash]
)
def test_who_is_no_longer_signed_in_is_so_at_the_next_question(
    page: Browser, alice: Any, change: Callable[[Any], None]
) -> None:
    assert page.send() is not None
    before = Message.objects.count()
    change(alice)
    assert signed_in(page.cookies["stkweb_session"]) is None, "for sockets too"
    assert page.send() is None
    assert page.send_by_django().status_code == 401
    assert Message.objects.count() == before


def test_what_is_refused_is_django_s_and_changes_nothing(
    page: Browser, browser_of: Callable[[Any], Browser], bob: Any, agent_server: AgentServer, settings: Any
) -> None:
    agent_server.answer(hang())
    ids = page.send()
    assert ids is not None
    before = Message.objects.count(), SendReceipt.objects.count(), Conversation.objects.count()
    own = f"/c/{ids['conversation']}/messages/"
    assert browser_of(bob).send(own) is None, "somebody else's"
    assert page.send(own) is None, "it answers already"
    assert page.send(text=" ") is None
    assert page.send(text=["Hi"]) is None
    assert page.send(agent="01JDGX0000000000000000000A") is None
    assert page.send(files="x") is None
    assert page.send(files=[1]) is None
    settings.LIMIT_TURNS_PER_USER = 1
    assert page.send() is None, "one runs"
    assert page.send_by_django().json()["error"]["code"] == "too_many_turns"
    settings.LIMIT_TURNS_PER_USER = 3
    settings.LIMIT_SENDS_PER_MINUTE = 1
    assert page.send() is None, "one was sent"
    assert page.send_by_django().json()["error"]["code"] == "too_many_sends"
    assert before == (Message.objects.count(), SendReceipt.objects.count(), Conversation.objects.count())


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_django_s(page: Browser, body: bytes) -> None:
    question = send_ready.question_of(NEW, b"", page.headers(b"{}", "key").items(), "http", "")
    assert question is not None
    assert send_ready.answer_to(question, body) is None


# -- as the server calls it ------------------------------------------------------------------------


def post(
    page: Browser, serving: Serving, parts: list[bytes], **more: Any
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What is sent for a POST whose body comes in `parts`, and what the application behind read of it."""
    read: list[bytes] = []
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            read.append(message["body"])
            if not message["more_body"]:
                return

    async def called() -> None:
        body = b"".join(parts)
        messages = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        scope = {
            "type": "http", "method": "POST", "path": NEW, "query_string": b"", "scheme": "http",
            "headers": list(page.headers(body, new_id()).items()), "client": ("203.0.113.7", 1), **more,
        }  # fmt: skip

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)
            await asyncio.sleep(0)

        await Senders(behind)(scope, receive, send)

    serving.run(called())
    return sent, read


def test_the_server_sends_the_ids_and_django_is_not_asked(page: Browser, serving: Serving) -> None:
    (start, body), read = post(page, serving, [b'{"te', b'xt": "Hi"}'])
    assert (start["status"], read) == (202, [])
    ids = json.loads(body["body"])
    assert set(ids) == {"conversation", "question", "answer"}
    assert serving.ended(ids["answer"]).state == "completed"


@pytest.mark.parametrize("more", [{}, {"method": "PUT"}, {"root_path": "/below"}])
def test_django_reads_the_whole_body_of_what_was_not_taken(
    page: Browser, serving: Serving, more: dict[str, Any]
) -> None:
    parts = [b'{"text": ', b'" "}'] if not more else [b'{"text": ', b'"Hi"}']
    assert post(page, serving, parts, **more) == ([], parts)
    assert not Message.objects.exists()
