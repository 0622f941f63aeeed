"""A question that one of our own pages sends, taken without Django's middleware.

Who asks is looked up as Django does it: the session, the active person, the session's hash of the password;
forgery is checked by Django's own code. What it must not do: refuse, or explain. Whatever is not simply taken
has changed nothing and goes through all of Django, which says why; the key under which every such question
comes keeps one that was taken after all from being asked twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.middleware.csrf import CsrfViewMiddleware

from chat.actions import Refused
from chat.sessions import signed_in
from chat.trail import serving
from chat.turns.runtime import NotServing
from chat.views.sending import ask_with, create, ids_of, named_files

#: Larger bodies take the other way, which keeps them off the heap.
LARGEST = 64 * 1024
_ADDRESS = re.compile(r"/c/(?:([0-9A-Z]{26})/messages/)?")
#: Once each and no other way: what a browser sends for our page's script. Django's names for them.
_NEEDED = {
    b"host": "HTTP_HOST",
    b"origin": "HTTP_ORIGIN",
    b"cookie": "HTTP_COOKIE",
    b"x-csrftoken": settings.CSRF_HEADER_NAME,
    b"idempotency-key": "HTTP_IDEMPOTENCY_KEY",
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
}
#: May be there: a proxy's, which says how the request came in, and in whose name.
_OPTIONAL = {b"x-forwarded-proto": "HTTP_X_FORWARDED_PROTO", b"x-request-id": "HTTP_X_REQUEST_ID"}
_NAMES = _NEEDED | _OPTIONAL


class Question(NamedTuple):
    """A POST that may be taken here. `thread_id` is None for a new conversation."""

    thread_id: str | None
    meta: dict[str, str]
    scheme: str


class _Forgery(CsrfViewMiddleware):
    """Django's check, without the page that it answers with."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        return HttpResponse(status=403)


_forgery = _Forgery(lambda request: HttpResponse())


def question_of(
    path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]], scheme: str, address: str
) -> Question | None:
    """What a POST asks for, from its parts; None where it has to be Django's. Does not block."""
    found = _ADDRESS.fullmatch(path)
    if found is None or query:
        return None
    meta = {"REMOTE_ADDR": address}
    for name, value in headers:
        known = _NAMES.get(name)
        if known is None:
            continue
        if known in meta:  # twice: which one counts is not for here to say
            return None
        meta[known] = value.decode("latin-1")
    if not all(name in meta for name in _NEEDED.values()):
        return None
    length = meta["CONTENT_LENGTH"]
    if meta["CONTENT_TYPE"] != "application/json" or not length.isdigit() or int(length) > LARGEST:
        return None
    return Question(found[1], meta, scheme)


def answer_to(question: Question, body: bytes) -> bytes | None:
    """The ids of the question that was taken, as JSON; None where Django has to look at it. Blocks."""
    request = _request(question)
    if _is_forged(request):
        return None
    try:
        user = signed_in(request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""))
        if user is None:
            return None
        request.user = user
        with serving(request):
            return _ask(request, question.thread_id, body)
    except (Refused, NotServing, DatabaseError, InterfaceError):
        return None


def _ask(request: HttpRequest, thread_id: str | None, body: bytes) -> bytes | None:
    try:
        fields: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    key = request.META["HTTP_IDEMPOTENCY_KEY"]
    if not isinstance(fields, dict) or not key:
        return None
    return json.dumps(ids_of(ask_with(request.user, fields, thread_id, key, named_files(fields)))).encode()


def _request(question: Question) -> HttpRequest:
    """As much of a request as forgery and the trail are told by."""
    request = _Request()
    request.method, request.META, request.arrived_by = "POST", question.meta, question.scheme
    request.COOKIES = parse_cookie(question.meta["HTTP_COOKIE"])
    return request


class _Request(HttpRequest):
    arrived_by: str

    def _get_scheme(self) -> str:
        return self.arrived_by


def _is_forged(request: HttpRequest) -> bool:
    """Whether Django would refuse it for its host, its origin or its token."""
    try:
        request.get_host()
    except DisallowedHost:
        return True
    _forgery.process_request(request)
    return _forgery.process_view(request, create, (), {}) is not None
