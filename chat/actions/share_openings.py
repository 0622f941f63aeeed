"""Openings of links that may be opened as often as one likes: written together, beside the requests.

Readers come in crowds; a transaction each would stand in the way of those whose answers are saved. A
process that is killed loses what it noted in its last second. Links with a number of openings are
counted where they are opened, exactly.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest

from chat.models import Share, ShareOpening
from chat.threads import write_transaction
from chat.turns import runtime

#: Seconds between two writings.
INTERVAL = 1.0


class Opening(NamedTuple):
    """One opening: of which link, when, and a colleague's key or a coarse network."""

    share: int
    at: datetime
    reader: int | None
    network: str


_noted: list[Opening] = []
_noting = threading.Lock()


def note(opening: Opening) -> None:
    """Keep `opening` for the next writing; written at once in a process that serves nobody."""
    with _noting:
        _noted.append(opening)
    try:
        runtime.current()
    except runtime.NotServing:
        write()


def write() -> int:
    """Write what was noted; returns how many. Blocks. What a database does not take is kept."""
    with _noting:
        openings = _noted.copy()
        _noted.clear()
    try:
        if openings:
            with write_transaction():
                _write(openings)
    except BaseException:
        with _noting:
            _noted[:0] = openings
        raise
    return len(openings)


def _write(openings: list[Opening]) -> None:
    """What was deleted since is left out."""
    shares = set(Share.objects.filter(pk__in={o.share for o in openings}).values_list("pk", flat=True))
    people = {o.reader for o in openings if o.reader}
    known = (
        set(get_user_model().objects.filter(pk__in=people).values_list("pk", flat=True)) if people else set()
    )
    left = [o for o in openings if o.share in shares]
    ShareOpening.objects.bulk_create(
        ShareOpening(
            share_id=o.share, opened_at=o.at, reader_id=o.reader if o.reader in known else None,
            network=o.network,
        )
        for o in left
    )  # fmt: skip
    last = {o.share: o.at for o in left}
    for share, count in Counter(o.share for o in left).items():
        moment = Greatest(Coalesce(F("last_opened_at"), last[share]), last[share])
        Share.objects.filter(pk=share).update(openings=F("openings") + count, last_opened_at=moment)
