"""What a reader gets: title, date, agent and messages in either language, and S11 on every answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import requests
from django.test import Client
from django.utils import timezone

from chat.models.shares import new_token
from tests.real_server import Server
from tests.security.test_headers import EXPECTED
from tests.sharing.conftest import PASSPHRASE, Link
from tests.sharing.pages import Owner


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("languages", "lang", "words", "date"),
    [
        ("pt-BR,pt;q=0.9", "pt-br", ("Pergunta", "Cópia compartilhada, congelada em"), "{day} de "),
        ("en", "en", ("Question", "Shared copy, frozen"), "{day}, {year}"),
    ],
)
def test_the_page_shows_title_date_agent_and_the_messages_in_the_reader_s_language(
    languages: str, lang: str, words: tuple[str, ...], date: str, link: Link, client: Client
) -> None:
    page = client.get(link.path, headers={"Accept-Language": languages}).content.decode()
    assert f'<html lang="{lang}"' in page
    assert "<h1" in page and re.search(r"<h1[^>]*>Moving orders</h1>", page)
    now = timezone.localtime(link.row.created_at)
    head = page[page.index("<header") : page.index("</header>")]
    assert date.format(day=now.day, year=now.year) in head
    assert "Demo" in head
    for word in words:
        assert word in page
    texts = ["How do we move the orders?", "expand and contract", "How long?", "two</em> hours"]
    places = [page.index(text) for text in texts]
    assert places == sorted(places)
    other = {"pt-br": "Shared copy", "en": "Cópia"}[lang]
    assert other not in page


@pytest.mark.server
def test_every_answer_to_a_reader_carries_the_headers_and_no_cookie(shared_server: Server) -> None:
    """S11, S32: the page by Django and kept ready, asked for a passphrase, refused, wrong in method."""
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo Headers")
    address = owner.share(thread)
    asked = {"Accept-Encoding": "gzip"}
    given = {"": 200, "?embed=1": 200, "copy/": 405, "live/": 404, "files/1/": 404}
    found = [(requests.get(address + tail, headers=asked, timeout=20), code) for tail, code in given.items()]
    found += [
        (requests.get(address, headers=asked, timeout=20), 200),
        (requests.head(address, timeout=20), 200),
        (requests.put(address, timeout=20), 405),
        (requests.post(f"{address}copy/", timeout=20), 403),
        (requests.get(f"{shared_server.base_url}/s/{new_token()}/", timeout=20), 404),
        (requests.get(owner.share(thread, passphrase=PASSPHRASE), timeout=20), 200),
        (requests.get(address, headers={**asked, "Cookie": "stkweb_csrf=x"}, timeout=20), 200),
    ]
    for answer, status in found:
        assert answer.status_code == status, answer.url
        for name, value in (EXPECTED | {"Referrer-Policy": "no-referrer"}).items():
            assert answer.headers.get(name) == value, f"{answer.request.method} {answer.url}: {name}"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
        assert "script-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Set-Cookie" not in answer.headers


#: A session that is over, as a browser keeps it that was signed out elsewhere.
ENDED = "stkweb_session=0123456789abcdefghijklmnopqrstuv"


@pytest.mark.django_db
def test_a_page_by_django_sets_no_cookie_whatever_the_browser_brings(
    link: Link, client_of: Callable[..., Client]
) -> None:
    brought = "stkweb_csrf=not a token", "stkweb_language=xx; stkweb_theme=<b>", "messages=forged", ENDED
    for cookies in brought:
        for path, status in ((link.path, 200), (f"/s/{new_token()}/", 404)):
            answer = client_of(headers={"cookie": cookies}).get(path)
            assert answer.status_code == status
            assert not answer.cookies, cookies
