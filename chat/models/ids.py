"""Public ids: ULIDs, opaque to everybody. Order comes from the database's own keys, never from these."""

from __future__ import annotations

from ulid import ULID


def new_id() -> str:
    """26 characters of Crockford base32; the same form StackSpot wants for a conversation."""
    return str(ULID())
