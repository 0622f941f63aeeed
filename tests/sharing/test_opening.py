"""Opening a link: who may, how long, what is recorded, and that every refusal looks the same."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.models import Conversation, Share, ShareOpening
from chat.models.shares import new_token
from chat.sharing.network import coarse
from tests.serving import Serving
from tests.sharing.conftest import PASSPHRASE, Link

pytestmark = pytest.mark.django_db

SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def unknown() -> str:
    return f"/s/{new_token()}/"


def test_anyone_with_the_link_reads_it_without_signing_in(link: Link, client: Client) -> None:
    answer = client.get(link.path)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "Moving orders" in page
    assert "<strong>expand and contract</strong>" in page
    assert "How long?" in page


def test_a_link_is_for_colleagues_unless_something_else_is_chosen(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any
) -> None:
    from chat.actions.sharing import Terms

    assert Terms().audience == "colleagues"
    link = share(conversation, audience="colleagues")
    assert client_of(bob).get(link.path).status_code == 200
    assert client_of().get(link.path).status_code == 404


def test_a_link_for_groups_is_for_their_members_alone(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client],
    alice: Any, bob: Any, charlie: Any,
) -> None:  # fmt: skip
    group = Group.objects.create(name="Payments")
    alice.groups.add(group)
    bob.groups.add(group)
    link = share(conversation, audience="groups", groups=[group.pk])
    assert client_of(bob).get(link.path).status_code == 200
    assert client_of(charlie).get(link.path).status_code == 404
    bob.groups.remove(group)
    assert client_of(bob).get(link.path).status_code == 404


def test_a_colleague_who_was_deactivated_reads_nothing(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any
) -> None:
    link, client = share(conversation, audience="colleagues"), client_of(bob)
    bob.is_active = False
    bob.save()
    assert client.get(link.path).status_code == 404


def end_by(how: str, link: Link) -> None:
    now = timezone.now()
    rows = Share.objects.filter(pk=link.row.pk)
    match how:
        case "revoked":
            rows.update(revoked_at=now)
        case "expired":
            rows.update(expires_at=now - timedelta(seconds=1))
        case "used up":
            rows.update(max_openings=1, openings=1)
        case "deleted":
            Conversation.objects.filter(pk=link.row.conversation_id).update(deleted_at=now)


ENDS = ("revoked", "expired", "used up", "deleted", "for colleagues", "forbidden", "sharing off", "ceiling")


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_it_answers_exactly_as_for_a_link_that_never_was(
    how: str, method: str, link: Link, client: Client, settings: Any
) -> None:
    assert client.get(link.path).status_code == 200
    end_by(how, link)
    if how == "for colleagues":
        Share.objects.filter(pk=link.row.pk).update(audience="colleagues")
    elif how == "forbidden":
        settings.SHARE_WITH = ["colleagues"]
    elif how == "sharing off":
        settings.SHARE_WITH = []
    elif how == "ceiling":
        settings.SHARE_MAX_DAYS = 1
        Share.objects.filter(pk=link.row.pk).update(created_at=timezone.now() - timedelta(days=2))
    gone, never = getattr(client, method)(link.path), getattr(client, method)(unknown())
    assert gone.status_code == never.status_code == 404
    assert gone.content == never.content
    assert dict(gone.headers) == dict(never.headers)
    assert not gone.cookies


def test_a_wrong_passphrase_over_the_limit_answers_as_a_link_that_never_was(
    conversation: Conversation, share: Callable[..., Link], client: Client
) -> None:
    link = share(conversation, passphrase=PASSPHRASE)
    asked = client.get(link.path)
    assert asked.status_code == 200
    assert "Moving orders" not in asked.content.decode()
    for _ in range(5):
        wrong = client.post(link.path, {"passphrase": "a rainy afternoon"})
        assert wrong.status_code == 200
        assert "Moving orders" not in wrong.content.decode()
    never = client.post(unknown(), {"passphrase": PASSPHRASE})
    for answer in (client.post(link.path, {"passphrase": PASSPHRASE}), client.get(link.path)):
        assert answer.status_code == never.status_code == 404
        assert answer.content == never.content


def test_wrong_passphrases_from_one_network_shut_nobody_else_out(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any
) -> None:
    link = share(conversation, passphrase=PASSPHRASE)
    for _ in range(6):
        client_of(REMOTE_ADDR="203.0.113.9").post(link.path, {"passphrase": "a rainy afternoon"})
    right = {"passphrase": PASSPHRASE}
    assert client_of(REMOTE_ADDR="203.0.113.200").post(link.path, right).status_code == 404
    assert client_of(REMOTE_ADDR="198.51.100.9").post(link.path, right).status_code == 200
    assert client_of(bob, REMOTE_ADDR="203.0.113.9").post(link.path, right).status_code == 200


def test_the_right_passphrase_opens_and_is_stored_as_a_hash(
    conversation: Conversation, share: Callable[..., Link], client: Client
) -> None:
    link = share(conversation, passphrase=PASSPHRASE)
    answer = client.post(link.path, {"passphrase": PASSPHRASE})
    assert "expand and contract" in answer.content.decode()
    assert not answer.cookies
    assert PASSPHRASE not in Share.objects.get().passphrase
    assert Share.objects.get().openings == 1, "the form is no opening"


def test_guessing_addresses_is_throttled_alike_for_good_and_bad_ones(
    link: Link, client_of: Callable[..., Client], bob: Any, settings: Any
) -> None:
    guesser = client_of(REMOTE_ADDR="203.0.113.9")
    answers = [guesser.get(unknown()).status_code for _ in range(settings.SHARE_GUESSES)]
    assert set(answers) == {404}
    bad, good = guesser.get(unknown()), guesser.get(link.path)
    assert bad.status_code == good.status_code == 429
    assert bad.content == good.content
    assert bad["Retry-After"] == "60"
    assert client_of(REMOTE_ADDR="198.51.100.1").get(link.path).status_code == 200
    assert client_of(bob, REMOTE_ADDR="203.0.113.9").get(link.path).status_code == 200


def test_ten_thousand_tokens_have_256_bits_and_no_pattern() -> None:
    tokens = [new_token() for _ in range(10_000)]
    assert len(set(tokens)) == len(tokens)
    assert all(SHAPE.fullmatch(token) for token in tokens), "43 characters of 6 bits hold 256"
    for place in range(42):
        assert len({token[place] for token in tokens}) == 64, f"place {place} takes every value"
    assert len({token[:8] for token in tokens}) == len(tokens), "no common beginning"


def test_the_database_holds_no_token(link: Link, client: Client) -> None:
    from django.db import connection

    client.get(link.path)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert link.token not in str(cursor.fetchall()), table


class CostlyHasher(PBKDF2PasswordHasher):
    """Takes several times as long as everything else of a request, and no longer than that."""

    iterations = 60_000


@pytest.mark.parametrize("method", ["get", "post"])
def test_it_takes_the_same_time_to_refuse_whatever_the_reason(
    method: str, conversation: Conversation, share: Callable[..., Link], client: Client, settings: Any
) -> None:
    settings.SHARE_GUESSES = 1_000_000
    settings.PASSWORD_HASHERS = ["tests.sharing.test_opening.CostlyHasher"]
    from chat.actions import share_reading
    from chat.views import share_tries

    share_tries.guesses.cache_clear()
    share_reading._some_hash.cache_clear()
    links = {how: share(conversation, passphrase=PASSPHRASE) for how in ("revoked", "expired", "used up")}
    for how, link in links.items():
        end_by(how, link)
    over = share(conversation, passphrase=PASSPHRASE)
    for _ in range(settings.SHARE_PASSPHRASE_TRIES):
        share_reading._wrong_passphrases().note(f"{over.row.pk} 127.0.0.0/24")
    times: dict[str, list[float]] = {}
    rounds = 15 if method == "post" else 60
    for _ in range(rounds + 1):  # CPU time of each, taken in turn: a busy neighbour meets all alike
        paths = {how: link.path for how, link in links.items()} | {"unknown": unknown(), "over": over.path}
        for how, path in paths.items():
            began = time.thread_time()
            answer = getattr(client, method)(path, {"passphrase": "x" * 12} if method == "post" else {})
            times.setdefault(how, []).append(time.thread_time() - began)
            assert answer.status_code == 404
    medians = {how: statistics.median(found[1:]) for how, found in times.items()}
    share_reading._some_hash.cache_clear()
    assert max(medians.values()) < 1.6 * min(medians.values()), medians


def test_an_opening_records_a_colleague_or_a_coarse_network_and_no_more(
    link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    client_of(bob, REMOTE_ADDR="198.51.100.7").get(link.path)
    client_of(REMOTE_ADDR="203.0.113.77").get(link.path, headers={"User-Agent": "planted-agent"})
    client_of(REMOTE_ADDR="2001:db8:1:2:3::4").get(link.path)
    found = list(ShareOpening.objects.order_by("pk").values_list("reader__username", "network"))
    assert found == [("bob", ""), (None, "203.0.113.0/24"), (None, "2001:db8:1::/48")]
    fields = {field.name for field in ShareOpening._meta.get_fields()}
    assert fields == {"id", "share", "opened_at", "reader", "network"}
    row = Share.objects.with_readers().get()
    assert (row.openings, row.readers) == (3, 3)
    assert row.last_opened_at is not None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_an_address_is_made_coarse(address: str, network: str) -> None:
    assert coarse(address) == network


def test_a_get_changes_the_counter_and_nothing_else(
    link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    from django.db import connection

    def everything() -> dict[str, Any]:
        found = {}
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f'SELECT * FROM "{table}" ORDER BY 1')
                found[table] = cursor.fetchall()
        return found

    client = client_of(bob)
    before, row = everything(), Share.objects.values().get()
    client.get(link.path)
    after = everything()
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {"chat_share", "chat_shareopening"}
    now = Share.objects.values().get()
    assert {name for name in row if row[name] != now[name]} == {"openings", "last_opened_at"}


@pytest.mark.parametrize("method", ["head", "options", "put", "patch", "delete"])
def test_no_other_method_opens_it(method: str, link: Link, client: Client) -> None:
    answer = getattr(client, method)(link.path)
    assert answer.status_code == (200 if method == "head" else 405)
    assert answer.content == b""
    assert Share.objects.get().openings == 0


def test_it_opens_no_oftener_than_the_owner_said(
    conversation: Conversation, share: Callable[..., Link], client: Client
) -> None:
    link = share(conversation, max_openings=2)
    assert [client.get(link.path).status_code for _ in range(4)] == [200, 200, 404, 404]
    assert Share.objects.get().openings == 2


def test_a_stranger_who_signs_in_comes_back_to_the_address(link: Link, client: Client) -> None:
    for path in (link.path, unknown()):
        answer = client.get(f"{path}?signin")
        assert answer.status_code == 302
        assert answer["Location"] == f"/accounts/login/?next={path}"
    assert 'href="?signin"' in client.get(unknown()).content.decode()


def test_the_headers_keep_it_out_of_indexes_caches_and_referrers(
    link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    for client in (client_of(), client_of(bob)):
        for path in (link.path, unknown()):
            answer = client.get(path)
            assert answer["X-Robots-Tag"] == "noindex, nofollow, noarchive"
            assert answer["Referrer-Policy"] == "no-referrer"
            assert answer["Cache-Control"] == "private, no-store"
            assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
            assert "script-src 'none'" in answer["Content-Security-Policy"]
            assert not answer.cookies
            page = answer.content.decode()
            assert '<meta name="robots" content="noindex, nofollow, noarchive">' in page
            assert '<meta name="referrer" content="no-referrer">' in page
            assert "<script" not in page


@pytest.mark.parametrize(
    ("languages", "lang", "word"), [("pt-BR,pt;q=0.9", "pt-br", ""), ("en", "en", "Shared copy")]
)
def test_it_speaks_the_reader_s_language(
    languages: str, lang: str, word: str, link: Link, client: Client
) -> None:
    page = client.get(link.path, headers={"Accept-Language": languages}).content.decode()
    assert f'<html lang="{lang}"' in page
    assert word in page


# -- openings beside the requests --------------------------------------------------------------------


def test_openings_are_written_together_while_the_process_serves(
    serving: Serving, conversation: Conversation, share: Callable[..., Link], client: Client,
    client_of: Callable[..., Client], bob: Any,
) -> None:  # fmt: skip
    links = [share(conversation, audience="anyone") for _ in range(3)]
    for number, link in enumerate(links):
        for _ in range(number + 1):
            assert client.get(link.path).status_code == 200
    client_of(bob).get(links[2].path)
    links[1].row.delete()
    serving.shut()
    assert [row.openings for row in Share.objects.order_by("pk")] == [1, 4]
    assert Share.objects.order_by("pk").last().last_opened_at is not None  # type: ignore[union-attr]
    readers = ShareOpening.objects.filter(share=links[2].row.pk).values_list("reader__username", flat=True)
    assert sorted(map(str, readers)) == ["None", "None", "None", "bob"]
    serving.open()


def test_a_link_with_a_number_of_openings_is_counted_at_once(
    serving: Serving, conversation: Conversation, share: Callable[..., Link], client: Client
) -> None:
    link = share(conversation, audience="anyone", max_openings=2)
    assert [client.get(link.path).status_code for _ in range(3)] == [200, 200, 404]
    assert ShareOpening.objects.count() == 2
