"""Equal refusals, on the whole way: what is kept ready, then Django. The same bytes for the same work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.actions import share_reading
from chat.models import Conversation
from chat.views import share_ready, share_tries
from tests.sharing.conftest import PASSPHRASE, Link
from tests.sharing.test_opening import end_by, unknown
from tests.sharing.test_ready import ADDRESS, HOST, by_django, ready
from tests.sharing.test_ready_colleagues import Browser

pytestmark = pytest.mark.django_db


class CountedHasher(PBKDF2PasswordHasher):
    """Counts the hashes that are computed, and how much work each is."""

    iterations = 3
    computed: list[int] = []

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        self.computed.append(iterations or self.iterations)
        return super().encode(password, salt, iterations)


@pytest.fixture
def refused(
    conversation: Conversation, make_conversation: Callable[..., Conversation],
    share: Callable[..., Link], settings: Any, bob: Any,
) -> dict[str, str]:  # fmt: skip
    """Addresses that lead nowhere, for every reason there is; each of the others would have opened."""
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.PASSWORD_HASHERS = ["tests.sharing.test_refusals.CountedHasher"]
    settings.SHARE_MAX_DAYS = 90
    share_ready._known_host.cache_clear()
    share_reading._some_hash.cache_clear()
    share_reading._some_hash()
    strangers = Group.objects.create(name="Strangers")
    conversation.owner.groups.add(strangers)
    ended = ("revoked", "expired", "used up")
    links = {how: share(conversation) for how in (*ended, "opened before")}
    links |= {f"{how}, with a passphrase": share(conversation, passphrase=PASSPHRASE) for how in ended}
    links["for others"] = share(conversation, audience="groups", groups=[strangers.pk])
    links["wrong passphrase, over the limit"] = over = share(conversation, passphrase=PASSPHRASE)
    links["deleted"] = deleted = share(make_conversation(conversation.owner, [("Q", "A")]))
    end_by("deleted", deleted)
    for who in ("203.0.113.0/24", str(bob.pk)):
        for _ in range(settings.SHARE_PASSPHRASE_TRIES):
            share_reading._wrong_passphrases().note(f"{over.row.pk} {who}")
    for browser in (Browser(), Browser(bob)):  # their pages are kept when they end
        assert browser.by_django(links["opened before"].path).status_code == 200
        assert browser.ready(links["opened before"].path) is not None
    end_by("revoked", links["opened before"])
    for name, link in links.items():
        if name.startswith(ended):
            end_by(name.split(",")[0], link)
    return {name: link.path for name, link in links.items()} | {"unknown": unknown()}


def work_of(ask: Callable[[], Any]) -> tuple[Any, tuple[list[str], list[int]]]:
    """What `ask` gives, the statements it took without their values, and the hashes it computed."""
    CountedHasher.computed.clear()
    with CaptureQueriesContext(connection) as queries:
        answer = ask()
    statements = [re.sub(r"'[^']*'|\b\d+\b", "?", query["sql"]) for query in queries]
    return answer, (statements, list(CountedHasher.computed))


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_refusal_is_the_same_bytes_for_the_same_work(
    method: str, signed_in: bool, refused: dict[str, str], bob: Any
) -> None:
    header = Browser(bob if signed_in else None).header

    def ask(path: str) -> Any:
        if method == "GET":
            assert ready(path, header) is None
            return by_django(path, header)
        given = dict([HOST, (b"accept-encoding", b"gzip, br"), header])
        headers = {name.decode(): value.decode() for name, value in given.items()}
        return Client(REMOTE_ADDR=ADDRESS, headers=headers).post(path, {"passphrase": PASSPHRASE})

    found = {name: work_of(lambda path=path: ask(path)) for name, path in refused.items()}
    never, work = found["unknown"]
    assert never.status_code == 404
    assert len(work[1]) == (0 if method == "GET" else 1)
    assert len(work[0]) == (2 if method == "GET" else 1) * (3 if signed_in else 1), work[0]
    for name, (answer, done) in found.items():
        assert answer.status_code == 404, name
        assert answer.content == never.content, name
        assert list(answer.items()) == list(never.items()), name
        assert not answer.cookies, name
        assert done == work, name


def test_a_network_over_the_limit_is_refused_before_anything_is_looked_up(
    refused: dict[str, str], link: Link, settings: Any
) -> None:
    for _ in range(settings.SHARE_GUESSES):
        share_tries.guesses().note("203.0.113.0/24")
    answers = []
    for path in (*refused.values(), link.path):
        assert ready(path) is None
        answer, work = work_of(lambda path=path: by_django(path))
        answers.append((answer.status_code, answer.content, list(answer.items()), work))
    assert answers[0][0] == 429
    assert answers[0][3] == ([], [])
    assert all(answer == answers[0] for answer in answers)
