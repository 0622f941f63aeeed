"""Tickets: signed proof that a page of a share link was opened, for what that page may ask for next.

They stand in for the CSRF cookie, which a shared page must not set, and for the passphrase, which
is not asked for again. A ticket is good for one link, one person (or nobody) and half a day.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.core import signing
from django.http import HttpRequest

from chat.models import Share

_SALT = "stkweb.share"
#: Seconds that a ticket is good for.
LIFE = 12 * 3600


def issue(share: Share, user: Any, session_key: str | None) -> str:
    """A ticket for the person (None: nobody) who opened `share` in this session."""
    return signing.dumps(
        [share.pk, user.pk if user else 0, _session(session_key) if user else ""], salt=_SALT
    )


def share_of(request: HttpRequest, ticket: str) -> int | None:
    """The key of the link that this very person holds a ticket for, else None."""
    try:
        share, user, session = signing.loads(ticket, salt=_SALT, max_age=LIFE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    named = request.user.is_authenticated
    if user != (request.user.pk or 0) or session != (_session(request.session.session_key) if named else ""):
        return None
    return int(share)


def _session(key: str | None) -> str:
    return hashlib.sha256((key or "").encode()).hexdigest()[:16]
