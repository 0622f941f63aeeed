"""Signing in and out, as the audit log tells it. Django and django-axes call these by their signals.

A name that is no account's is not kept: people type passwords there.
"""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from chat.actions.recording import record
from chat.threads import write_transaction

#: What stands for a name that is no account's.
UNKNOWN = "person:?"


def listen() -> None:
    """Begin to record; called once, when the app is ready."""
    user_logged_in.connect(signed_in, dispatch_uid="stkweb.signed_in")
    user_logged_out.connect(signed_out, dispatch_uid="stkweb.signed_out")
    user_login_failed.connect(sign_in_failed, dispatch_uid="stkweb.sign_in_failed")
    user_locked_out.connect(locked_out, dispatch_uid="stkweb.locked_out")


def signed_in(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """A person is signed in."""
    with write_transaction():
        record("person.signed_in", f"person:{user.get_username()}", actor=user)


def signed_out(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """A person signed out; nobody, when the session had ended before."""
    if user is not None:
        with write_transaction():
            record("person.signed_out", f"person:{user.get_username()}", actor=user)


def sign_in_failed(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """A password was wrong. While a name waits, tries are not counted, and not recorded either."""
    if request is not None and not _denied(request):
        with write_transaction():
            record("person.sign_in_failed", _named(credentials.get("username")))


def locked_out(sender: Any, request: HttpRequest, username: str | None = None, **kwargs: Any) -> None:
    """A name has to wait from here on; told once, by the try that was one too many."""
    if not _denied(request):
        with write_transaction():
            record("person.locked_out", _named(username))


def _denied(request: HttpRequest) -> bool:
    """True for a try that was not even looked at: axes counted no failure for it."""
    locked, failures = (
        getattr(request, f"axes_{name}", None) for name in ("locked_out", "failures_since_start")
    )
    return bool(locked) and failures is None


def _named(username: Any) -> str:
    known = get_user_model().objects.filter(username=str(username or "")[:150]).exists()
    return f"person:{username}" if known else UNKNOWN
