"""Counts addresses below /s/ that led nowhere, by person or coarse network, so that guessing is slow."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from chat.actions.share_reading import Reader
from chat.sharing.throttle import Throttle


def over(reader: Reader) -> bool:
    """True where so many addresses led nowhere that none is looked up any more for a minute."""
    return guesses().over(_trier(reader))


def note(reader: Reader) -> None:
    """One more that led nowhere."""
    guesses().note(_trier(reader))


@cache
def guesses() -> Throttle:
    """The process's counter."""
    return Throttle(settings.SHARE_GUESSES, 60.0)


def _trier(reader: Reader) -> str:
    return f"user {reader.user.pk}" if reader.user else reader.network
