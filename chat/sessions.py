"""Django's sessions in the database, read with a statement that is built once: every request reads one.

What it must not do: keep anything in memory. Who signs out is out at the next request.
"""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from chat.models.statements import find


class SessionStore(db.SessionStore):
    """The store that SESSION_ENGINE names."""

    def _get_session_from_db(self) -> Session | None:
        row = find(Session, {"session_key": self.session_key})
        if row is not None and row.expire_date > timezone.now():
            return row
        self._session_key = None
        return None
