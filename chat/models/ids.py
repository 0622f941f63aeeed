"""Public ids: ULIDs, opaque to everybody. Order comes from the database's own keys, never from these."""

from __future__ import annotations

import re
from typing import Self, TypeVar

from django.db import models
from ulid import ULID

_ID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")
M = TypeVar("M", bound=models.Model)


def new_id() -> str:
    """26 characters of Crockford base32; the same form StackSpot wants for a conversation."""
    return str(ULID())


def may_be_id(public_id: str) -> bool:
    """Whether `public_id` has the form of one. What has not never reaches the database, which may not even
    be able to take it (PostgreSQL refuses NUL)."""
    return _ID.fullmatch(public_id) is not None


class NamedQuerySet(models.QuerySet[M]):
    """Rows that the outside names by their public id."""

    def named(self, public_id: str) -> Self:
        """The row with this id, or nothing."""
        return self.filter(public_id=public_id) if may_be_id(public_id) else self.none()
