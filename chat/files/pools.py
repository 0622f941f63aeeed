"""Threads of the files' own, so that a slow disk, scanner or agent's storage holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from django.db import close_old_connections

T = TypeVar("T")

#: Looking into files costs a processor each; handing them over only waits.
CHECKS: Final = ThreadPoolExecutor(2, thread_name_prefix="stkweb-check")
HANDS: Final = ThreadPoolExecutor(8, thread_name_prefix="stkweb-hand")


def submit(pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> Future[T]:
    """Have `function` done in `pool`."""

    def called() -> T:
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()

    return pool.submit(called)


async def run(pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> T:
    """The result of `function`, done in `pool`. A cancelled caller waits no longer for it."""
    return await asyncio.wrap_future(submit(pool, function, *args))
