"""The process's few threads that wait: for the database, for templates, for password hashes.

They are bounded and live as long as the process, so a database connection belongs to one of them
and is used again. Measured against Django's own way (a new thread and connection a request) this
is what keeps 200 questions at the same instant from opening 200 connections. Nothing here knows
what the work is; nothing in here may wait for an agent.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

_pool = ThreadPoolExecutor(settings.THREADS, thread_name_prefix="stkweb")


def _call(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    finally:
        close_old_connections()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking `function` in one of the threads, in a context of its own; returns its result."""
    context = contextvars.Context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool, context.run, _call, lambda: function(*args, **kwargs))
