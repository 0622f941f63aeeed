"""Answers kept ready for signed-in people: Django's to the byte, in every state a session can be in."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from chat.actions import share_reading
from chat.models import Conversation, Share, ShareOpening, ShareVersion
from chat.sessions import SessionStore, signed_in
from chat.views import share_ready, share_tries
from tests.sharing.conftest import Link
from tests.sharing.test_ready import HOST, by_django, ready

pytestmark = pytest.mark.django_db

_TICKET = re.compile(r'name="ticket" value="([^"]+)"')


class Browser:
    """The cookies of a person's browser, which takes over what an answer sets."""

    def __init__(self, person: Any = None) -> None:
        self.cookies: dict[str, str] = {}
        if person is not None:
            self.sign_in(person)

    def sign_in(self, person: Any) -> None:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        self.cookies["stkweb_session"] = client.cookies["stkweb_session"].value

    @property
    def header(self) -> tuple[bytes, bytes]:
        return b"cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()

    def ready(self, path: str) -> share_ready.Answer | None:
        return ready(path, self.header)

    def by_django(self, path: str) -> Any:
        answer = by_django(path, self.header)
        for name, morsel in answer.cookies.items():
            self.cookies.pop(name, None)
            if morsel.value:
                self.cookies[name] = morsel.value
        return answer


def unsigned(page: bytes) -> str:
    """A page without the moment and the signature in its tickets: what may differ from second to second."""
    return re.sub(r"(ticket(?:=|\" value=\")[\w-]+)[:%][\w:%-]+", r"\1", gzip.decompress(page).decode())


def assert_same(browser: Browser, path: str) -> share_ready.Answer:
    """What is ready is what Django gives: every header, every letter, every length."""
    django, answer = browser.by_django(path), browser.ready(path)
    assert django.status_code == 200
    assert answer is not None
    assert unsigned(answer.body) == unsigned(django.content)
    assert answer.headers == [(k.lower().encode(), v.encode()) for k, v in django.items()]
    assert dict(answer.headers)[b"content-length"] == str(len(answer.body)).encode()
    assert b"set-cookie" not in dict(answer.headers)
    return answer


@pytest.fixture(autouse=True)
def _hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    share_ready._known_host.cache_clear()


@pytest.fixture
def group(alice: Any, bob: Any) -> Group:
    """Alice's and bob's."""
    group = Group.objects.create(name="Payments")
    alice.groups.add(group)
    bob.groups.add(group)
    return group


@pytest.fixture
def link(conversation: Conversation, share: Callable[..., Link], group: Group) -> Link:
    """For the group alone."""
    return share(conversation, audience="groups", groups=[group.pk])


def test_a_colleague_s_answer_is_django_s_to_the_byte_and_costs_three_statements(
    link: Link, bob: Any
) -> None:
    browser = Browser(bob)
    assert browser.ready(link.path) is None, "nobody has opened it yet"
    assert_same(browser, link.path)
    sessions = list(Session.objects.values())
    with CaptureQueriesContext(connection) as queries:
        answer = browser.ready(link.path)
    assert answer is not None
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    for table, sql in zip(("django_session", "auth_user", "chat_share"), asked, strict=False):
        assert f"FROM {table} " in sql.replace('"', "")
    assert all("chat_shareversion" not in sql.partition("FROM")[0] for sql in asked[3:]), "no text is read"
    assert list(Session.objects.values()) == sessions
    openings = ShareOpening.objects.values_list("reader__username", "network")
    assert set(openings) == {("bob", "")}


def test_its_ticket_is_good_for_that_person_and_session_alone(
    link: Link, alice: Any, bob: Any, charlie: Any
) -> None:
    browser = Browser(bob)
    page = gzip.decompress(assert_same(browser, link.path).body).decode()
    found = _TICKET.search(page)
    assert found, "a colleague may go on with a copy"
    for who, status in ((Browser(bob), 403), (Browser(alice), 403), (Browser(), 403), (browser, 303)):
        headers = {"cookie": who.header[1].decode(), "host": HOST[1].decode()}
        answer = Client(headers=headers).post(f"{link.path}copy/", {"ticket": found[1]})
        assert answer.status_code == status
    assert Conversation.objects.filter(owner=bob).count() == 1


def test_one_reader_s_ticket_is_never_another_s(link: Link, alice: Any, bob: Any) -> None:
    browsers = [Browser(alice), Browser(bob), Browser(bob)]
    pages = [assert_same(browser, link.path).body for browser in browsers for _ in range(2)]
    tickets = [_TICKET.search(gzip.decompress(page).decode())[1].split(":")[0] for page in pages]  # type: ignore[index]
    assert [tickets.index(ticket) for ticket in tickets] == [0, 0, 2, 2, 4, 4]


def test_a_page_with_files_is_ready_for_a_stranger_too(
    conversation: Conversation, share: Callable[..., Link], bob: Any
) -> None:
    link = share(conversation)
    version = link.row.versions.get()
    content = json.loads(version.content)
    content["messages"][0]["files"] = [{"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "name": "plan.txt", "size": 7}]
    ShareVersion.objects.filter(pk=version.pk).update(content=json.dumps(content))
    for browser in (Browser(), Browser(bob)):
        page = gzip.decompress(assert_same(browser, link.path).body).decode()
        assert 'href="files/1/?ticket=' in page
        assert ("copy/" in page) == bool(browser.cookies)


@pytest.mark.parametrize("header", [b"cookie", b"accept-language", b"host", b"x-forwarded-for"])
def test_a_header_that_comes_twice_goes_to_django(header: bytes, link: Link, bob: Any) -> None:
    browser = Browser(bob)
    assert_same(browser, link.path)
    given = [HOST, (b"accept-encoding", b"gzip"), browser.header]
    assert share_ready.question_of(link.path, b"", given, "203.0.113.7") is not None
    twice = [*given, (header, b"x"), (header, b"x")]
    assert share_ready.question_of(link.path, b"", twice, "203.0.113.7") is None


def test_no_page_gives_a_new_cookie_for_one_that_cannot_be_read(link: Link, bob: Any) -> None:
    browser = Browser(bob)
    browser.cookies["stkweb_csrf"] = "not a token"
    assert_same(browser, link.path)


# -- every state -----------------------------------------------------------------------------------


class World:
    """Bob's browser, his account, a link and what the administrator allows; each verb changes one of them."""

    def __init__(self, link: Link, bob: Any, group: Group, settings: Any) -> None:
        self.link, self.bob, self.group, self.settings = link, bob, group, settings
        self.browser = Browser(bob)

    def sign_out(self) -> None:
        """As the account's page does it; the cookie is still sent, by a browser that kept it."""
        SessionStore(self.browser.cookies.get("stkweb_session")).flush()

    def sign_in(self) -> None:
        self.bob.refresh_from_db()
        self.browser.sign_in(self.bob)

    def forget_cookies(self) -> None:
        self.browser.cookies.clear()

    def another_session(self) -> None:
        self.browser.cookies["stkweb_session"] = "0123456789abcdefghijklmnopqrstuv"

    def forge(self) -> None:
        Session.objects.update(session_data="eyJfYXV0aF91c2VyX2lkIjoiMSJ9:1vTTTT:forged")

    def wait_out(self) -> None:
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    def deactivate(self) -> None:
        type(self.bob).objects.filter(pk=self.bob.pk).update(is_active=False)

    def activate(self) -> None:
        type(self.bob).objects.filter(pk=self.bob.pk).update(is_active=True)

    def new_password(self) -> None:
        self.bob.refresh_from_db()
        self.bob.set_password("another long password")
        self.bob.save()

    def new_secret(self) -> None:
        self.settings.SECRET_KEY_FALLBACKS = [self.settings.SECRET_KEY]
        self.settings.SECRET_KEY = self.settings.SECRET_KEY + "+"

    def drop_old_secrets(self) -> None:
        self.settings.SECRET_KEY_FALLBACKS = []

    def leave(self) -> None:
        self.bob.groups.remove(self.group)

    def join(self) -> None:
        self.bob.groups.add(self.group)

    def change(self, **values: Any) -> None:
        Share.objects.filter(pk=self.link.row.pk).update(**values)

    def for_colleagues(self) -> None:
        self.change(audience="colleagues")

    def for_anyone(self) -> None:
        self.change(audience="anyone")

    def for_groups(self) -> None:
        self.change(audience="groups")

    def revoke(self) -> None:
        self.change(revoked_at=timezone.now())

    def expire(self) -> None:
        self.change(expires_at=timezone.now() - timedelta(seconds=1))

    def revive(self) -> None:
        self.change(
            revoked_at=None, expires_at=timezone.now() + timedelta(days=3), max_openings=None, passphrase=""
        )
        Conversation.objects.update(deleted_at=None)

    def limit_openings(self) -> None:
        self.change(max_openings=10_000)

    def use_up(self) -> None:
        self.change(max_openings=1, openings=1)

    def set_passphrase(self) -> None:
        self.change(passphrase="a hash")

    def delete(self) -> None:
        Conversation.objects.update(deleted_at=timezone.now())

    def publish(self) -> None:
        last = self.link.row.versions.order_by("-number").first()
        assert last is not None
        content = json.loads(last.content) | {"title": f"Edition {last.number + 1}"}
        ShareVersion.objects.create(
            share=self.link.row, number=last.number + 1, content=json.dumps(content),
            checksum=last.checksum, created_at=timezone.now(),
        )  # fmt: skip

    def forbid_copies(self) -> None:
        self.settings.SHARE_OPTIONS = ["names"]

    def forbid_groups(self) -> None:
        self.settings.SHARE_WITH = ["colleagues", "anyone"]

    def forbid_sharing(self) -> None:
        self.settings.SHARE_WITH = []

    def allow(self) -> None:
        self.settings.SHARE_WITH = ["colleagues", "groups", "anyone"]
        self.settings.SHARE_OPTIONS = ["names", "copy", "files"]

    def guess(self) -> None:
        for _ in range(self.settings.SHARE_GUESSES):
            share_tries.note(share_reading.Reader(self.bob, ""))

    def go_dark(self) -> None:
        self.browser.cookies["stkweb_theme"] = "dark"

    def speak_portuguese(self) -> None:
        self.browser.cookies["stkweb_language"] = "pt-br"


VERBS = sorted(name for name, value in vars(World).items() if callable(value) and name[0] != "_")
VERBS.remove("change")


def look(world: World) -> bool:
    """Both ways agree about the state of `world`; True when it was answered from what is kept."""
    path, browser = world.link.path, world.browser
    share, told = Share.objects.get(pk=world.link.row.pk), browser.ready(path)
    cookies = dict(browser.cookies)
    django = browser.by_django(path)
    if told is not None:
        assert django.status_code == 200, "what Django refuses is not ready"
        assert cookies == browser.cookies, "nor where it changes the session"
    if django.status_code != 200 or share.passphrase or share.max_openings is not None:
        assert told is None
        return False
    session = browser.cookies.get("stkweb_session")
    if session is None or signed_in(session) is not None:
        assert_same(browser, path)
    return told is not None


@pytest.mark.parametrize("verb", VERBS)
def test_every_change_is_seen_at_the_next_request(
    verb: str, link: Link, bob: Any, group: Group, settings: Any
) -> None:
    world = World(link, bob, group, settings)
    world.allow()
    assert [look(world), look(world)] == [False, True]
    openings = Share.objects.get().openings
    getattr(world, verb)()
    look(world)
    assert ShareOpening.objects.exclude(reader=bob).count() == 0
    assert openings > 0
    still = {
        "activate", "allow", "drop_old_secrets", "for_colleagues", "for_groups", "join", "revive", "sign_in",
        "for_anyone",
    }  # fmt: skip
    new_page = {"forbid_copies", "go_dark", "limit_openings", "publish", "speak_portuguese", "new_secret"}
    passphrase = {"set_passphrase"}
    status = world.browser.by_django(link.path).status_code
    assert (status == 200) == (verb in still | new_page | passphrase), status
    assert (world.browser.ready(link.path) is not None) == (verb in (still | new_page) - {"limit_openings"})


@hypothesis(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # what differs is undone by hand
@given(verbs=st.lists(st.sampled_from(VERBS), min_size=1, max_size=8))
@example(verbs=["for_anyone", "new_password", "sign_in", "wait_out", "forget_cookies"])
@example(verbs=["new_secret", "drop_old_secrets", "leave", "for_colleagues", "deactivate", "activate"])
def test_both_ways_agree_whatever_happens_one_after_the_other(
    verbs: list[str], link: Link, bob: Any, group: Group, settings: Any
) -> None:
    before = settings.SECRET_KEY
    share_tries.guesses.cache_clear()
    try:
        with transaction.atomic():
            world = World(link, bob, group, settings)
            world.allow()
            look(world)
            for verb in verbs:
                getattr(world, verb)()
                look(world)
            transaction.set_rollback(True)
    finally:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = before, []
