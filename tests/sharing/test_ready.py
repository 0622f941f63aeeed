"""Answers that are kept ready: the same as Django's, counted alike, and gone the moment the link is."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.actions import sharing
from chat.models import Conversation, Share, ShareOpening
from chat.sharing.snapshot import Shown
from chat.views import share_ready, share_tries
from chat.views.share_pieces import TICKET, Pieces
from stkweb.readers import Readers
from tests.real_server import Server, wait_for
from tests.sharing.conftest import PASSPHRASE, Link, add_turn
from tests.sharing.pages import Owner
from tests.sharing.test_opening import ENDS, end_by, unknown

HOST = (b"host", b"127.0.0.1:8000")
ADDRESS = "203.0.113.7"


def ready(path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> share_ready.Answer | None:
    """What is ready for a GET with these headers."""
    given = dict([HOST, (b"accept-encoding", b"gzip, br"), *headers])
    question = share_ready.question_of(path, query, list(given.items()), ADDRESS)
    return None if question is None else share_ready.answer_to(question)


def by_django(path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> Any:
    """The answer to the same GET when nothing is ready, handed on as the server's handler does it."""
    given = dict([HOST, (b"accept-encoding", b"gzip, br"), *headers])
    answer = Client(REMOTE_ADDR=ADDRESS).get(
        f"{path}?{query.decode()}".rstrip("?"),
        headers={name.decode(): value.decode() for name, value in given.items()},
    )  # fmt: skip
    finished: Any = getattr(answer, "finished", None)
    if finished is not None:
        finished(answer)
    return answer


@pytest.fixture
def opened(link: Link, settings: Any) -> Link:
    """A link for anyone that somebody has opened."""
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    share_ready._known_host.cache_clear()
    assert ready(link.path) is None, "nobody has opened it yet"
    assert by_django(link.path).status_code == 200
    return link


@pytest.mark.django_db
def test_a_ready_answer_is_django_s_to_the_byte_and_costs_one_query(opened: Link) -> None:
    django = by_django(opened.path)
    with CaptureQueriesContext(connection) as queries:
        answer = ready(opened.path)
    assert answer is not None
    assert answer.body == django.content
    assert answer.headers == [(k.lower().encode(), v.encode()) for k, v in django.items()]
    assert b"set-cookie" not in dict(answer.headers)
    assert "expand and contract" in gzip.decompress(answer.body).decode()
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert "token_hash" in asked[0]
    assert all("chat_shareversion" not in sql.partition("FROM")[0] for sql in asked[1:]), "no text is read"


@pytest.mark.django_db
def test_a_ready_answer_is_counted_as_every_opening(opened: Link) -> None:
    assert [ready(opened.path) is not None for _ in range(3)] == [True] * 3
    row = Share.objects.get()
    assert row.openings == 4
    assert set(ShareOpening.objects.values_list("reader", "network")) == {(None, "203.0.113.0/24")}


@pytest.mark.django_db
@pytest.mark.parametrize("how", [*ENDS, "not counted any more"])
def test_it_is_gone_the_moment_the_link_is(how: str, opened: Link, settings: Any) -> None:
    assert ready(opened.path) is not None
    if how in ("revoked", "expired", "used up", "deleted"):
        end_by(how, opened)
    elif how == "for colleagues":
        Share.objects.update(audience="colleagues")
    elif how == "forbidden":
        settings.SHARE_WITH = ["colleagues"]
    elif how == "sharing off":
        settings.SHARE_WITH = []
    elif how == "ceiling":
        settings.SHARE_MAX_DAYS = 0
    else:
        Share.objects.update(max_openings=3)
        assert ready(opened.path) is None, "they are counted one by one"
        assert by_django(opened.path).status_code == 200, "the third"
    assert ready(opened.path) is None
    assert by_django(opened.path).status_code == 404


@pytest.mark.django_db
def test_a_passphrase_that_is_set_is_asked_for(opened: Link) -> None:
    Share.objects.update(passphrase="set meanwhile")
    assert ready(opened.path) is None


@pytest.mark.django_db
def test_the_next_version_is_shown_at_once(
    opened: Link, conversation: Conversation, alice: Any, demo_agent: Any
) -> None:
    add_turn(conversation, alice, demo_agent, "And then?", "A later answer.")
    assert b"later answer" not in gzip.decompress(ready(opened.path).body)  # type: ignore[union-attr]
    shown = Shown()
    new = sharing.preview(alice, conversation=conversation.public_id, shown=shown)
    sharing.publish(alice, share=opened.row.public_id, until=new.until, digest=new.digest, shown=shown)
    assert ready(opened.path) is None
    assert b"later answer" in gzip.decompress(by_django(opened.path).content)
    assert b"later answer" in gzip.decompress(ready(opened.path).body)  # type: ignore[union-attr]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("header", "query"),
    [
        ((b"cookie", b"stkweb_session=abc"), b""),
        ((b"cookie", b"stkweb_session="), b""),
        ((b"accept-encoding", b"br"), b""),
        ((b"host", b"evil.example"), b""),
        ((b"cookie", b""), b"embed=1"),
        ((b"cookie", b""), b"signin"),
    ],
)
def test_what_is_not_for_everybody_goes_to_django(
    header: tuple[bytes, bytes], query: bytes, opened: Link
) -> None:
    assert ready(opened.path) is not None
    assert ready(opened.path, header, query=query) is None


@pytest.mark.django_db
def test_language_and_theme_are_the_reader_s(opened: Link) -> None:
    looks = [
        (b"accept-language", b"pt-BR,pt;q=0.9"),
        (b"cookie", b"stkweb_language=pt-br"),
        (b"cookie", b"stkweb_theme=dark"),
        (b"cookie", b"stkweb_theme=nonsense"),
    ]
    for look in looks:
        django = by_django(opened.path, look)
        answer = ready(opened.path, look)
        assert answer is not None and answer.body == django.content, look
        assert dict(answer.headers)[b"content-language"].decode() == django["Content-Language"]
    pages = [gzip.decompress(ready(opened.path, look).body).decode() for look in looks]  # type: ignore[union-attr]
    assert ['lang="pt-br"' in page for page in pages] == [True, True, False, False]
    assert ['data-theme="dark"' in page for page in pages] == [False, False, True, False]


@pytest.mark.django_db
def test_nothing_that_is_one_reader_s_own_is_kept(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any,
    settings: Any,
) -> None:  # fmt: skip
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    share_ready._known_host.cache_clear()
    group = Group.objects.create(name="Payments")
    conversation.owner.groups.add(group)
    bob.groups.add(group)
    session = client_of(bob).cookies["stkweb_session"].value.encode()
    links = {
        "passphrase": share(conversation, passphrase=PASSPHRASE),
        "live": share(conversation, live=True),
        "colleagues": share(conversation, audience="colleagues"),
        "groups": share(conversation, audience="groups", groups=[group.pk]),
        "anyone": share(conversation),
    }
    for name, link in links.items():
        answer = by_django(link.path, (b"cookie", b"stkweb_session=" + session))
        assert answer.status_code == 200, name
        by_django(link.path, (b"cookie", b""), query=b"embed=1")
        if name != "anyone":
            by_django(link.path)
        assert ready(link.path) is None, name


@pytest.mark.django_db
def test_a_network_that_guesses_waits_for_ready_answers_too(opened: Link, settings: Any) -> None:
    assert ready(opened.path) is not None
    for _ in range(settings.SHARE_GUESSES):
        share_tries.guesses().note("203.0.113.0/24")
    assert ready(opened.path) is None
    assert by_django(opened.path).status_code == 429


@pytest.mark.django_db
def test_what_is_unknown_is_not_ready(opened: Link) -> None:
    assert ready(unknown()) is None
    assert ready(opened.path + "x/") is None
    assert ready("/s/short/") is None


# -- the pieces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [0, 1, 3])
def test_a_page_in_pieces_is_the_page_with_the_ticket_in_its_places(places: int) -> None:
    body = TICKET.join(["ação " * 5000, *["<p>next</p>"] * places])
    pieces = Pieces(body.encode())
    assert pieces.wants_ticket == (places > 0)
    for ticket in ("", "t", "x:y:z" * 40):
        wanted = body.replace(TICKET, ticket).encode()
        assert pieces.plain(ticket) == wanted
        zipped = pieces.zipped(ticket)
        assert gzip.decompress(zipped) == wanted
        assert len(zipped) < len(wanted) / 20 + 400 * (places + 1)


def test_the_length_of_an_answer_tells_nothing_about_the_ticket() -> None:
    pieces = Pieces(f"<p>aaaaaaaaaa bbbbbbbbbb</p>{TICKET}<p>aaaaaaaaaa</p>".encode())
    assert len(pieces.zipped("aaaaaaaaaa")) == len(pieces.zipped("q8Zk2-xPz9"))


# -- the server's edge -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_takes_nothing_holds_up_nobody_else(opened: Link) -> None:
    scope = {
        "type": "http", "method": "GET", "path": opened.path, "query_string": b"", "client": (ADDRESS, 1),
        "headers": [HOST, (b"accept-encoding", b"gzip")],
    }  # fmt: skip

    async def read() -> list[str]:
        taken: list[str] = []

        async def never(message: Any) -> None:
            taken.append("begun")
            await asyncio.Event().wait()

        async def gladly(message: Any) -> None:
            taken.append(message["type"])

        async def unasked(*_: Any) -> None:
            raise AssertionError("the answer was ready")

        readers = Readers(unasked)
        stuck = asyncio.create_task(readers(scope, unasked, never))
        while not taken:
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await readers(scope, unasked, gladly)
        stuck.cancel()
        return taken

    assert asyncio.run(read()) == ["begun", "http.response.start", "http.response.body"]


@pytest.mark.server
def test_on_a_server_a_ready_page_is_the_same_and_dead_at_the_next_request(shared_server: Server) -> None:
    """S31, S32: revoked by whatever process; here straight in the database."""
    owner = Owner(shared_server, "alice")
    address = owner.share(owner.answered("/fast /echo First answer"))
    asked = {"Accept-Encoding": "gzip", "Accept-Language": "en"}
    answers = [requests.get(address, headers=asked, timeout=20) for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    heads = [{k: v for k, v in answer.headers.items() if k.lower() != "date"} for answer in answers]
    assert all(head == heads[0] for head in heads)
    assert answers[-1].headers["Cache-Control"] == "private, no-store"
    assert answers[-1].headers["Permissions-Policy"]
    assert not any(answer.cookies for answer in answers)
    counted = "SELECT openings FROM chat_share WHERE id = (SELECT max(id) FROM chat_share)"
    wait_for(lambda: shared_server.rows(counted) == [(4,)], 20, "four openings")
    shared_server.rows("UPDATE chat_share SET revoked_at = ? WHERE revoked_at IS NULL", str(timezone.now()))
    assert requests.get(address, headers=asked, timeout=20).status_code == 404
