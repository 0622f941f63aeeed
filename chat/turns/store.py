"""Saves running turns: all of the process's in one transaction, every 250 ms or 4 KiB.

One thread, one connection. A save rewrites the whole text of an answer, so a transaction takes 1 MiB of
it at most, whoever waited longest first: what hundreds of long answers leave over goes with the next.
A save is conditional on still owning the row, so an answer that was reaped or whose conversation is
gone is not written again. A database that is away is waited for: the text stays in memory and on the
screens, and is saved when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    close_old_connections,
    connection,
)

from chat import metrics
from chat.models import LedgerEntry, Message
from chat.threads import write_transaction
from chat.turns import spending
from chat.turns.turn import Turn

log = logging.getLogger(__name__)

#: A save is brought forward by size where at least this part of what it rewrites is new.
NEW = 1 / 4
#: Bytes that one transaction rewrites at most, but for a single answer: saving 1,000 answers of 20 KB
#: four times a second took a fifth of the core away from their streams.
SHARE = 1024 * 1024
#: Seconds between two transactions: ends that come together share one, and one look at the ledger's chain.
APART = 0.02
#: Seconds between two attempts while the database is away, doubled up to the last.
RETRY, RETRY_MAX = 0.25, 5.0

#: What one row alone may raise, whatever the state of the database: SQLite's driver says ValueError.
UNWRITABLE = (DataError, IntegrityError, ValueError, OverflowError)

_SAVE = (
    "UPDATE chat_message SET text = {text}, reasoning = %s, state = %s, seq = %s"
    " WHERE id = %s AND owner = %s AND state IN ('queued', 'streaming')"
)
#: The text goes as the bytes that the turn holds, without a string of it and the copy that a driver makes of
#: that.
_TEXT = {"sqlite": "CAST(%s AS TEXT)", "postgresql": "convert_from(%s, 'UTF8')"}


@dataclass(slots=True)
class _Save:
    turn: Turn
    seq: int
    row: tuple[bytes, str, str, int, int, str]


#: Writes one end and puts its calls into the list, which is appended to the ledger in the same transaction.
#: False when the row was no longer ours.
Write = Callable[[list[LedgerEntry]], bool]


@dataclass(slots=True)
class _End:
    write: Write
    answer: str
    future: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Store:
    """See the module's docstring. Methods belong to the event loop's thread."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._dirty: dict[int, Turn] = {}
        self._ends: list[_End] = []
        self._urgent = asyncio.Event()
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stkweb-store")
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._flushed = 0.0
        self._save_bytes = settings.LIMIT_SAVE_BYTES

    def start(self) -> None:
        """Begin to save."""
        self._task = asyncio.create_task(self._work())

    async def stop(self, seconds: float = 10.0) -> None:
        """Save everything that is left, then end; a database that is away is not waited for longer."""
        self._closing = True
        self._news.set()
        self._urgent.set()
        if self._task:
            try:
                await asyncio.wait_for(self._task, seconds)
            except TimeoutError:
                log.error("%d answers could not be saved", len(self._dirty) + len(self._ends))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, lambda: connection.close())
        self._thread.shutdown()

    def touch(self, turn: Turn) -> None:
        """`turn` has something new; it is saved soon."""
        if turn.key not in self._dirty:
            self._dirty[turn.key] = turn
            self._news.set()
        if turn.unsaved_bytes >= self._save_bytes and self._early(turn):
            self._urgent.set()

    def _early(self, turn: Turn) -> bool:
        return turn.unsaved_bytes >= max(self._save_bytes, turn.size * NEW)

    async def end(self, turn: Turn, write: Write) -> bool:
        """Run `write` in the next transaction, at once; False when the row was no longer ours.

        Returns when it is committed, however long the database takes to come back. Raises one of
        UNWRITABLE when this row cannot be written as it is.
        """
        self._dirty.pop(turn.key, None)
        end = _End(write, turn.answer.public_id)
        self._ends.append(end)
        self._news.set()
        self._urgent.set()
        return await end.future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        delay, due = RETRY, None
        while True:
            await self._news.wait()
            due = due or loop.time() + settings.LIMIT_SAVE_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._urgent.wait()
            await asyncio.sleep(self._flushed + APART - loop.time())
            self._urgent.clear()
            if self._closing or loop.time() >= due:
                self._news.clear()
                due = None
            if await self._flush(everything=due is None):
                delay = RETRY
            else:
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX)
            if self._closing and not self._dirty and not self._ends:
                return

    async def _flush(self, *, everything: bool) -> bool:
        """Save what is due: ends and long additions at once, the rest when its time has come. False
        when the database is away and all of it stays."""
        turns = self._take_due(everything)
        if everything and self._dirty:
            self._news.set()
        saves = [self._save_of(turn) for turn in turns]
        ends, self._ends = self._ends, []
        if not saves and not ends:
            return True
        loop = asyncio.get_running_loop()
        self._flushed = loop.time()
        try:
            with metrics.SAVE_SECONDS.time():
                lost, results = await loop.run_in_executor(self._thread, self._write, saves, ends)
        except (DatabaseError, InterfaceError) as exc:
            metrics.SAVE_FAILURES.inc()
            log.warning("the database does not take %d saves: %s", len(saves) + len(ends), type(exc).__name__)
            for save in saves:
                self._dirty.setdefault(save.turn.key, save.turn)
            self._ends = ends + self._ends
            self._news.set()
            self._urgent.set()
            return False
        for save in saves:
            save.turn.saved_seq = max(save.turn.saved_seq, save.seq)
            if save.turn.key in lost:
                save.turn.lost = True
                save.turn.cancel()
        for end, result in zip(ends, results, strict=True):
            if end.future.done():
                continue
            if isinstance(result, Exception):
                end.future.set_exception(result)
            else:
                end.future.set_result(result)
        return True

    def _take_due(self, everything: bool) -> list[Turn]:
        turns: list[Turn] = []
        size = 0
        for turn in self._dirty.values():
            if size >= SHARE and not self._closing:
                break
            if everything or self._early(turn):
                turns.append(turn)
                size += turn.size
        for turn in turns:
            del self._dirty[turn.key]
        return turns

    def _save_of(self, turn: Turn) -> _Save:
        answer = turn.answer
        turn.unsaved_bytes = 0
        turn.count()
        return _Save(
            turn,
            turn.seq,
            (turn.encoded, answer.reasoning, answer.state, turn.seq, turn.key, self._worker_id),
        )

    def _write(self, saves: list[_Save], ends: list[_End]) -> tuple[set[int], Sequence[bool | Exception]]:
        close_old_connections()
        try:
            with write_transaction():
                lost = self._write_saves(saves)
                return lost, _write_ends(ends)
        except UNWRITABLE:
            # One row that cannot be written must not hold up the others of its transaction.
            return self._write_apart(saves, ends)
        finally:
            close_old_connections()

    def _write_apart(self, saves: list[_Save], ends: list[_End]) -> tuple[set[int], list[bool | Exception]]:
        lost: set[int] = set()
        for save in saves:
            try:
                with write_transaction():
                    lost |= self._write_saves([save])
            except UNWRITABLE as exc:
                log.error("turn %s cannot be saved: %s", save.turn.answer.public_id, type(exc).__name__)
        results: list[bool | Exception] = []
        for end in ends:
            try:
                with write_transaction():
                    results += _write_ends([end])
            except UNWRITABLE as exc:
                results.append(exc)
        return lost, results

    def _write_saves(self, saves: list[_Save]) -> set[int]:
        if not saves:
            return set()
        with connection.cursor() as cursor:
            cursor.executemany(_SAVE.format(text=_TEXT[connection.vendor]), [save.row for save in saves])
            if cursor.rowcount == len(saves):
                return set()
        return self._not_ours(save.turn.key for save in saves)

    def _not_ours(self, keys: Iterable[int]) -> set[int]:
        asked = set(keys)
        ours = Message.objects.running().filter(pk__in=asked, owner=self._worker_id)
        return asked - set(ours.values_list("pk", flat=True))


def _write_ends(ends: list[_End]) -> list[bool]:
    ledger: list[LedgerEntry] = []
    results = [end.write(ledger) for end in ends]
    spending.enter(ledger, [end.answer for end in ends])
    return results
