"""Whole answers kept ready for readers of a shared page who are not signed in.

The first of them goes through all of Django, and what came out is kept, headers and compressed bytes.
For each later one the link is looked up again, so what is revoked, over or forbidden is so at the next
request of any process; then the opening is counted and the same bytes go out. What it must not do:
answer what needs a name, a passphrase, a ticket or a number of openings, or refuse. All that is Django's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.translation import get_language, get_language_from_request

from chat import limits
from chat.actions import share_reading as reading
from chat.models import Share
from chat.sharing.network import coarse
from chat.views import share_tries
from chat.views.context import theme_of
from chat.views.share_pieces import Kept

#: Bytes of answers that are kept; one of 200 messages takes 12 KB.
KEPT_BYTES = 8 * 1024 * 1024
_ADDRESS = re.compile(r"/s/([A-Za-z0-9_-]{43})/")
_coarse = lru_cache(maxsize=1024)(coarse)


class Answer(NamedTuple):
    """An answer as it is sent."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class Question(NamedTuple):
    """A GET of a shared page that may have an answer ready."""

    token: str
    network: str
    language: str
    theme: str


_ready: Kept[Answer] = Kept(KEPT_BYTES)


def keep_ready(request: HttpRequest, response: HttpResponseBase, share: Share) -> None:
    """Have the answer kept, once it is finished, if others may get the very same."""
    plain = request.method != "GET" or request.META.get("QUERY_STRING")
    if plain or request.user.is_authenticated or response.headers.get("Content-Encoding") != "gzip":
        return
    key = _key(share, get_language() or "", theme_of(request.COOKIES))
    response.finished = partial(_keep, key)  # type: ignore[attr-defined]


def question_of(
    path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]], address: str
) -> Question | None:
    """What a GET asks for, from its parts; None where an answer cannot be ready. Does not block."""
    found = _ADDRESS.fullmatch(path)
    if found is None or query:
        return None
    named = dict(headers)
    if b"gzip" not in named.get(b"accept-encoding", b"") or not _known_host(named.get(b"host", b"")):
        return None
    look = _look(named.get(b"cookie", b""), named.get(b"accept-language", b""))
    return None if look is None else Question(found[1], _coarse(address), *look)


def answer_to(question: Question) -> Answer | None:
    """The answer, counted as an opening; None where Django has to look at it. Blocks."""
    reader = reading.Reader(None, question.network)
    if share_tries.over(reader):
        return None
    try:
        share = reading.find(question.token, reader)
        # A number of openings is counted in a transaction, which may wait: not before everybody else.
        if share is None or share.passphrase or share.max_openings is not None:
            return None
        answer = _ready.get(_key(share, question.language, question.theme))
        if answer is not None:
            reading.count(share, reader)
        return answer
    except (DatabaseError, InterfaceError):
        return None


def _keep(key: tuple[Any, ...], response: Any) -> None:
    if response.status_code != 200 or response.cookies:
        return
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    _ready.put(key, Answer(headers, response.content), len(response.content) + 2000)


def _key(share: Share, language: str, theme: str) -> tuple[Any, ...]:
    version = (share.token_hash, share.version_pk)  # type: ignore[attr-defined]
    return version, language, theme, "files" in limits.of_sharing().options


@lru_cache(maxsize=64)
def _known_host(host: bytes) -> bool:
    return validate_host(split_domain_port(host.decode("latin-1"))[0], settings.ALLOWED_HOSTS)


@lru_cache(maxsize=512)
def _look(cookie: bytes, languages: bytes) -> tuple[str, str] | None:
    """Language and theme for these two headers; None for somebody with a session."""
    cookies = parse_cookie(cookie.decode("latin-1"))
    if settings.SESSION_COOKIE_NAME in cookies:
        return None
    request: Any = SimpleNamespace(
        COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": languages.decode("latin-1")}
    )
    return get_language_from_request(request), theme_of(cookies)
