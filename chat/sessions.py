"""Django's sessions in the database, read with a statement that is built once: every request reads one.

What it must not do: keep anything in memory. Who signs out is out at the next request.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat.models.execution import fetch
from chat.models.statements import find


class SessionStore(db.SessionStore):
    """The store that SESSION_ENGINE names."""

    def _get_session_from_db(self) -> Session | None:
        row = find(Session, {"session_key": self.session_key})
        if row is not None and row.expire_date > timezone.now():
            return row
        self._session_key = None
        return None


_STORED = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


def signed_in(key: str) -> Any | None:
    """The active person whose session this is; None for everybody else, and for one whose session Django
    would renew. Blocks.

    Django's own rules (`django.contrib.auth.get_user`), with two statements that are built once: sockets,
    sends and shared pages that are ready ask here, all other requests there.
    """
    now = connections[DEFAULT_DB_ALIAS].ops.adapt_datetimefield_value(timezone.now())
    stored = fetch(_STORED, [key, now])
    session = SessionStore().decode(stored[0]) if stored else {}
    user_id, given = session.get(SESSION_KEY), session.get(HASH_SESSION_KEY, "")
    if user_id is None or session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = find(get_user_model(), {"id": user_id}, also="is_active")
    if user is None or not constant_time_compare(given, user.get_session_auth_hash()):
        return None
    return user
