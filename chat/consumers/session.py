"""Who is at the other end of a socket, and whether they still may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from chat.sessions import signed_in


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in person on one socket."""

    user: Any
    session_key: str


def person_of(cookies: dict[str, str]) -> Person | None:
    """The person whose session cookie this is; None for everybody else. Blocks."""
    key = cookies.get(settings.SESSION_COOKIE_NAME, "")
    user = signed_in(key)
    return None if user is None else Person(user, key)


def still_signed_in(people: Iterable[Person]) -> set[str]:
    """The session keys, of these people's, that are still good; two queries for all. Blocks."""
    asked = {person.session_key: person for person in people}
    live = Session.objects.filter(session_key__in=asked, expire_date__gt=timezone.now())
    keys = set(live.values_list("session_key", flat=True))
    users = get_user_model().objects.filter(is_active=True, pk__in={asked[key].user.pk for key in keys})
    # What a session's hash is made of: as long as it is the same, the hash is.
    passwords = dict(users.values_list("pk", "password"))
    return {key for key in keys if passwords.get(asked[key].user.pk) == asked[key].user.password}
