"""Who is at the other end of a socket, and whether they still may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in person on one socket."""

    user: Any
    session_key: str


def person_of(cookies: dict[str, str]) -> Person | None:
    """The person whose session cookie this is; None for everybody else. Blocks."""
    key = cookies.get(settings.SESSION_COOKIE_NAME, "")
    if not key:
        return None
    session = SessionStore(key)
    user_id, auth_hash = session.get(SESSION_KEY), session.get(HASH_SESSION_KEY, "")
    if user_id is None or session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    if user is None or not constant_time_compare(auth_hash, user.get_session_auth_hash()):
        return None
    return Person(user, key)


def still_signed_in(people: Iterable[Person]) -> set[str]:
    """The session keys, of these people's, that are still good; two queries for all. Blocks."""
    asked = {person.session_key: person for person in people}
    live = Session.objects.filter(session_key__in=asked, expire_date__gt=timezone.now())
    keys = set(live.values_list("session_key", flat=True))
    users = get_user_model().objects.filter(is_active=True, pk__in={asked[key].user.pk for key in keys})
    # What a session's hash is made of: as long as it is the same, the hash is.
    passwords = dict(users.values_list("pk", "password"))
    return {key for key in keys if passwords.get(asked[key].user.pk) == asked[key].user.password}
