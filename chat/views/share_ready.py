"""Shared pages kept ready, with their headers, for readers who follow a plain address.

The first of them goes through all of Django, and what came out is kept. For each later one everything that
decides is looked up again: the session and its person, if there is a session, and the link. So what is
revoked, over or forbidden, and who signed out, was deactivated or left a group, is so at the next request of
any process; then the opening is counted and the page goes out, with a ticket of that reader where it holds
one. What it must not do: answer what needs a passphrase or a number of openings, change a session, or
refuse. All that is Django's, as is everything unusual.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.translation import get_language_from_request

from chat import limits
from chat.actions import share_reading as reading
from chat.bounded import Kept
from chat.models import Share
from chat.sessions import signed_in
from chat.sharing.network import coarse
from chat.views import share_tickets as tickets
from chat.views import share_tries as tries
from chat.views.context import THEME_COOKIE, theme_of
from chat.views.share_pieces import Pieces, takes_gzip

#: Bytes of pages that are kept; one of 200 messages takes 15 KB.
KEPT_BYTES = 8 * 1024 * 1024
_ADDRESS = re.compile(r"/s/([A-Za-z0-9_-]{43})/")
_coarse = lru_cache(maxsize=1024)(coarse)


class Answer(NamedTuple):
    """An answer as it is sent."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class Question(NamedTuple):
    """A GET of a shared page that may have an answer ready. `session` is the cookie's, None without one."""

    token: str
    network: str
    session: str | None
    language: str
    theme: str


class Look(NamedTuple):
    """What a page of a frozen version depends on beside the version: `offered`, whether it lists files."""

    language: str
    theme: str
    embedded: bool
    offered: bool
    may_copy: bool

    @classmethod
    def of(cls, language: str, theme: str, *, signed_in: bool, embedded: bool = False) -> Look:
        """That of a reader, by what the administrator allows now."""
        options = limits.of_sharing().options
        return cls(
            language, theme, embedded, "files" in options and not embedded,
            signed_in and "copy" in options and not embedded,
        )  # fmt: skip


class _Ready(NamedTuple):
    headers: list[tuple[bytes, bytes]]
    pieces: Pieces


_ready: Kept[_Ready] = Kept(KEPT_BYTES)


def key_of(share: Share, look: Look) -> tuple[str, int, Look]:
    """What a drawn page of a frozen link is kept under."""
    return share.token_hash, share.version_pk, look  # type: ignore[attr-defined]


def keep_ready(
    request: HttpRequest, response: HttpResponseBase, key: tuple[str, int, Look], pieces: Pieces
) -> None:
    """Have the answer's headers kept, once it is finished, for whoever asks for `pieces` in the same way."""
    plain = request.method != "GET" or request.META.get("QUERY_STRING")
    if not plain and response.headers.get("Content-Encoding") == "gzip":
        response.finished = partial(_keep, key, pieces)  # type: ignore[attr-defined]


def question_of(
    path: str, query: bytes, headers: Sequence[tuple[bytes, bytes]], address: str
) -> Question | None:
    """What a GET asks for, from its parts; None where an answer cannot be ready. Does not block."""
    found = _ADDRESS.fullmatch(path)
    named = dict(headers)
    if found is None or query or len(named) != len(headers):
        return None
    encodings = named.get(b"accept-encoding", b"").decode("latin-1")
    if not takes_gzip(encodings) or not _known_host(named.get(b"host", b"")):
        return None
    cookies = parse_cookie(named.get(b"cookie", b"").decode("latin-1"))
    language, theme = (cookies.get(name) for name in (settings.LANGUAGE_COOKIE_NAME, THEME_COOKIE))
    look = _look(language, theme, named.get(b"accept-language", b""))
    return Question(found[1], _coarse(address), cookies.get(settings.SESSION_COOKIE_NAME), *look)


def answer_to(question: Question) -> Answer | None:
    """The answer, counted as an opening; None where Django has to look at it. Blocks."""
    try:
        user = None if question.session is None else signed_in(question.session)
        if question.session is not None and user is None:
            return None
        reader = reading.Reader(user, question.network)
        if tries.over(reader):
            return None
        share = reading.find(question.token, reader)
        # A number of openings is counted in a transaction, which may wait: not before everybody else.
        if share is None or share.passphrase or share.max_openings is not None:
            return None
        look = Look.of(question.language, question.theme, signed_in=user is not None)
        ready = _ready.get(key_of(share, look))
        if ready is None:
            return None
        reading.count(share, reader)
    except (DatabaseError, InterfaceError):
        return None
    ticket = tickets.issue(share, user, question.session) if ready.pieces.wants_ticket else ""
    body = ready.pieces.zipped(ticket)
    length = str(len(body)).encode()
    return Answer([(name, value or length) for name, value in ready.headers], body)


def _keep(key: tuple[str, int, Look], pieces: Pieces, response: Any) -> None:
    if response.status_code != 200 or response.cookies:
        return
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    # The length is each answer's own: a ticket's differs with the numbers in it.
    headers = [(name, b"" if name == b"content-length" else value) for name, value in headers]
    _ready.put(key, _Ready(headers, pieces), pieces.size + 2000)


@lru_cache(maxsize=64)
def _known_host(host: bytes) -> bool:
    return validate_host(split_domain_port(host.decode("latin-1"))[0], settings.ALLOWED_HOSTS)


@lru_cache(maxsize=512)
def _look(language: str | None, theme: str | None, accepted: bytes) -> tuple[str, str]:
    """Language and theme for these two cookies and this Accept-Language."""
    cookies = {settings.LANGUAGE_COOKIE_NAME: language} if language is not None else {}
    request: Any = SimpleNamespace(COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": accepted.decode("latin-1")})
    return get_language_from_request(request), theme_of({} if theme is None else {THEME_COOKIE: theme})
