"""The process's few threads that wait: for the database, for templates, for password hashes.

They are bounded and live as long as the process, so a database connection belongs to one of them
and is used again. Measured against Django's own way (a new thread and connection a request) this
is what keeps 200 questions at the same instant from opening 200 connections. Nothing here knows
what the work is; nothing in here may wait for an agent.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections, connection, transaction

P = ParamSpec("P")
T = TypeVar("T")

_pool = ThreadPoolExecutor(settings.THREADS, thread_name_prefix="stkweb")
#: Those who read shared pages, whoever and however many they are, wait for each other and for nobody else.
READERS = 2
_readers = ThreadPoolExecutor(READERS, thread_name_prefix="stkweb-readers")


def _call(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        close_old_connections()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking `function` in one of the threads, in a context of its own; returns its result."""
    return await _run(_pool, lambda: function(*args, **kwargs))


async def run_reader(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same in one of the readers' threads."""
    return await _run(_readers, lambda: function(*args, **kwargs))


async def _run(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    context = contextvars.Context()
    return await asyncio.get_running_loop().run_in_executor(pool, context.run, _call, function)


_writing = threading.RLock()


@contextmanager
def write_transaction() -> Iterator[None]:
    """A transaction that writes.

    SQLite has one writer; those of this process wait for each other here, in order, and not in
    SQLite's busy handler, which sleeps up to 100 ms at a time and is not fair.
    """
    with _writing if connection.vendor == "sqlite" else nullcontext(), transaction.atomic():
        yield
