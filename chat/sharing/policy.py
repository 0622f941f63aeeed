"""What the administrator allows of sharing, as typed values; read from the settings by chat/limits.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class SharingPolicy(NamedTuple):
    """`audiences` empty: no sharing at all. `passphrase` "required" is about links for anyone.

    days: what the form proposes; max_days: the ceiling, also for links that exist already.
    """

    audiences: Sequence[str]
    days: int
    max_days: int
    passphrase: str
    options: Sequence[str]
    embed_origins: Sequence[str]

    @property
    def allowed(self) -> bool:
        """Whether anything may be shared."""
        return bool(self.audiences)

    def allows(self, audience: str, *, has_passphrase: bool, live: bool) -> bool:
        """Whether a link like this may be made, and may still be read."""
        if audience not in self.audiences or (live and "live" not in self.options):
            return False
        return has_passphrase or self.passphrase != "required" or audience != "anyone"  # noqa: S105
