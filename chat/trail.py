"""Whose request is being served, for the audit log: its person, its id, its coarse network.

Set for each request by `TrailMiddleware`; empty for commands and turns. What it must not do: decide anything,
or keep a full address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ulid import ULID

from chat.sharing.network import coarse

_request: ContextVar[HttpRequest | None] = ContextVar("stkweb_request", default=None)
_GIVEN = re.compile(r"[A-Za-z0-9._:-]{8,64}")


@contextmanager
def serving(request: HttpRequest) -> Iterator[None]:
    """What is recorded in here was done by `request`; for what is written after its answer began, too."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


class TrailMiddleware:
    """Remembers the request while it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with serving(request):
            return self.get_response(request)


def request_id() -> str:
    """The id of the request that is being served: a trusted proxy's X-Request-Id, or one of ours."""
    request: Any = _request.get()
    if request is None:
        return ""
    if not hasattr(request, "trail_id"):
        given = request.headers.get("X-Request-Id", "") if settings.TRUST_PROXY else ""
        request.trail_id = given if _GIVEN.fullmatch(given) else str(ULID())
    return str(request.trail_id)


def network() -> str:
    """The coarse network the request came from; empty outside one."""
    request = _request.get()
    return coarse(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


def person() -> Any:
    """The signed-in person of the request; None for nobody and outside a request."""
    user: Any = getattr(_request.get(), "user", None)
    return user if user is not None and user.is_authenticated else None
