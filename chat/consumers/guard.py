"""Looks every few seconds whether those at the sockets may still be there.

One look for fifty sockets at most: two queries for the sessions, one for the conversations.
Signing out, a new password, deactivation or a deleted conversation take effect within 5 s.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from itertools import islice
from typing import Protocol

from django.db import DatabaseError, InterfaceError

from chat import threads
from chat.consumers.session import Person, still_signed_in
from chat.models import Conversation
from chat.models.conversations import Position

log = logging.getLogger(__name__)

#: Seconds between two looks at a socket; the promise is 5.
INTERVAL = 3.0
#: Sockets that one look takes. All of a thousand at once would hold up every stream.
SHARE = 50


class Guarded(Protocol):
    """A socket as it is looked at here."""

    person: Person | None

    def watched(self) -> list[int]: ...

    def sign_off(self) -> None: ...

    def check(self, asked: set[int], positions: dict[int, Position]) -> None: ...


#: Who was looked at longest ago is first.
_sockets: dict[Guarded, None] = {}
_task: asyncio.Task[None] | None = None


def guard(socket: Guarded) -> None:
    """Look after `socket` from now on."""
    global _task
    _sockets[socket] = None
    if _task is None or _task.done():
        _task = asyncio.create_task(_watch(), context=contextvars.Context())


def release(socket: Guarded) -> None:
    """It is gone."""
    _sockets.pop(socket, None)


async def _watch() -> None:
    while _sockets:
        looks = -(-len(_sockets) // SHARE)
        await asyncio.sleep(INTERVAL / looks)
        share = list(islice(_sockets, -(-len(_sockets) // looks)))
        for socket in share:
            _sockets[socket] = _sockets.pop(socket)
        try:
            await _look(share)
        except (DatabaseError, InterfaceError) as exc:
            log.warning("the database does not answer: %s", type(exc).__name__)


async def _look(sockets: list[Guarded]) -> None:
    people = [socket.person for socket in sockets if socket.person is not None]
    watched = {pk for socket in sockets for pk in socket.watched()}
    live, positions = await threads.run(_ask, people, watched)
    for socket in sockets:
        if socket.person is None or socket.person.session_key not in live:
            socket.sign_off()
        else:
            socket.check(watched, positions)


def _ask(people: list[Person], watched: set[int]) -> tuple[set[str], dict[int, Position]]:
    live = still_signed_in(people)
    return live, Conversation.objects.all().positions(watched)
