"""What taking one question costs in the thread that takes it: by the short way, and through all of Django.

The product's own parts on a fresh SQLite database, one question at a time, answered by the built-in agent.
CPU of that thread alone: what its turn costs the loop and the store is not in it. Prints milliseconds, the
median of the questions. Run: ``python -m benchmarks.send [PEOPLE]`` with STKWEB_DATA_DIR naming a new folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import uvloop

CSRF = "a" * 32


def headers_of(session: str, body: bytes, cookies: tuple[str, str], host: str) -> list[tuple[bytes, bytes]]:
    """What a browser sends with a question."""
    named = {
        "host": host,
        "origin": f"http://{host}",
        "cookie": f"{cookies[0]}={session}; {cookies[1]}={CSRF}",
        "x-csrftoken": CSRF,
        "idempotency-key": str(uuid.uuid4()),
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    return [(name.encode(), value.encode()) for name, value in named.items()]


def timed(function: Callable[..., Any], *values: Any) -> tuple[float, Any]:
    """CPU milliseconds of this thread, and the result."""
    began = time.thread_time()
    result = function(*values)
    return (time.thread_time() - began) * 1000, result


async def main(people: int) -> None:
    """Ask a first and a next question as each of `people`, half of them by each way."""
    from django.conf import settings
    from django.core.management import call_command

    from benchmarks.prepare import make_people
    from chat import threads
    from chat.models import Agent
    from chat.turns import runtime
    from chat.views import send_ready
    from stkweb.handler import PooledHandler

    def prepare() -> tuple[list[str], str]:
        call_command("setup", stdout=StringIO())
        agent = Agent.objects.create(name="send", kind="demo", options={"pace": 0})
        return make_people(people), agent.public_id

    sessions, agent = await threads.run(prepare)
    await runtime.start()
    handler, host = PooledHandler(), settings.ORIGINS[0].partition("//")[2]
    cookies = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)

    def short(path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
        question = send_ready.question_of(path, b"", headers, "http", "127.0.0.1")
        assert question is not None
        return send_ready.answer_to(question, body) or b""

    def whole(path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
            "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1),
        }  # fmt: skip
        return handler._respond(scope, BytesIO(body)).content  # type: ignore[attr-defined]

    found: dict[str, list[float]] = {}
    for number, session in enumerate(sessions):
        name, way = (("short", short), ("whole", whole))[number % 2]
        path, body = "/c/", json.dumps({"text": "Conte uma história.", "agent": agent}).encode()
        for which in ("new", "next"):
            headers = headers_of(session, body, cookies, host)
            took, answer = await threads.run(timed, way, path, headers, body)
            found.setdefault(f"{name}, {which}", []).append(took)
            path = f"/c/{json.loads(answer)['conversation']}/messages/"
            while runtime.current().turns:
                await asyncio.sleep(0.001)
    await runtime.stop()
    for name, times in sorted(found.items()):
        print(f"{name} conversation's question: {statistics.median(times[len(times) // 10 :]):.2f} ms")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
    import django

    django.setup(set_prefix=False)
    uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 200))
