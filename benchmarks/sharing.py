"""Shared pages under load: what 200 readers of a link cost the people whose answers stream.

One run of 50 paced streams: alone; beside 200 readers of a shared conversation of 200 messages, who have no
account; alone; beside 200 colleagues who are signed in; alone; beside 200 connections that ask again the
moment they have the page; and alone. A reader opens the page, reads for 5 to 15 s, 10 on average, and opens
it once more, without end: fast for 200 messages, and 20 pages a second in all. The connections that never
pause are no readers; they show what is left to the streams when somebody takes all the pages there are.

Printed: p50, p95 and p99 of the added latency in each part; each part's p95 over that of the streams alone
just before and just after it; the readers' own times.
Run: ``python -m benchmarks.sharing [--readers N] [--streams N] [--pause S] [--rounds N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks.lean_http import Http
from benchmarks.processes import LOAD_CORE, Process, allow_many_files, module, pin, wait_for_port
from benchmarks.product import Product
from benchmarks.run import free_port
from benchmarks.scenarios import Figures, paced, product_latency, spread

STEADY = 6.0
TROUBLE = ("lost", "disorder", "inexact", "refused", "unended", "resyncs")

#: Runs in a process of its own with the server's environment; prints the token.
_MAKE = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
import django; django.setup()
import random
from django.contrib.auth import get_user_model
from django.utils import timezone
from chat.actions import sharing
from chat.models import Conversation, Message
from chat.sharing.snapshot import Shown
dice = random.Random(1)
words = "uma resposta longa com acentos e reações the quick brown fox jumps over".split()
owner = get_user_model().objects.order_by("pk").first()
row = Conversation.objects.create(owner=owner, title="Shared", updated_at=timezone.now())
for number in range(200):
    role = "user" if number % 2 == 0 else "assistant"
    text = " ".join(dice.choice(words) for _ in range(15 if role == "user" else 110))
    text += "\\n\\n- one\\n- **two**\\n"
    row.leaf = Message.objects.create(conversation=row, role=role, text=text, parent=row.leaf,
        agent_name="" if role == "user" else "Demo", created_at=timezone.now(), seq=number + 1)
row.seq = 200; row.save()
ready = sharing.preview(owner, conversation=row.public_id, shown=Shown())
_, token = sharing.make(owner, conversation=row.public_id, until=ready.until, digest=ready.digest,
    shown=Shown(), terms=sharing.Terms(audience="anyone"))
print("TOKEN", token)
"""


class Readers:
    """People who open the page, read for `pause` seconds on average, and open it again; with 0 they never
    stop asking. `sessions` are the cookies of signed-in people, who take turns."""

    def __init__(self, port: int, path: str, count: int, pause: float, sessions: Sequence[str] = ()) -> None:
        self.port, self.path, self.count, self.pause = port, path, count, pause
        self.sessions = sessions
        self.times: list[float] = []
        self.failed: list[int] = []
        self.weight = 0

    async def read(self) -> None:
        """Read until cancelled."""
        await asyncio.gather(*(self._one(number) for number in range(self.count)))

    async def _one(self, number: int) -> None:
        dice = random.Random(number)
        http = Http(self.port)
        headers = {"Accept": "text/html", "Accept-Encoding": "gzip"}
        if self.sessions:
            headers["Cookie"] = self.sessions[number % len(self.sessions)]
        await asyncio.sleep(dice.random() * self.pause)
        try:
            while True:
                began = time.monotonic()
                answer = await http.request("GET", self.path, headers)
                self.times.append((time.monotonic() - began) * 1000)
                self.weight = len(answer.body)
                if answer.status != 200:
                    self.failed.append(answer.status)
                await asyncio.sleep(self.pause * (0.5 + dice.random()))
        finally:
            http.close()

    def figures(self, seconds: float) -> Figures:
        return spread(self.times) | {
            "pages": len(self.times), "pages a second": len(self.times) / seconds,
            "failed": len(self.failed), "KB": self.weight / 1000,
        }  # fmt: skip


async def beside(product: Product, readers: Readers, streams: int) -> tuple[Figures, Figures]:
    """The streams' figures beside these readers, and the readers' own."""
    reading, began = asyncio.create_task(readers.read()), time.monotonic()
    await asyncio.sleep(1.0)
    found = await product_latency(product, streams, STEADY)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    return found, readers.figures(time.monotonic() - began)


async def measure(product: Product, token: str, options: argparse.Namespace) -> dict[str, Figures]:
    """All parts of one run."""
    path = f"/s/{token}/"
    found: dict[str, Figures] = {}
    cookie = product.known["session_cookie"]
    sessions = [f"{cookie}={key}" for key in product.known["people"]]
    crowds = {
        "readers": Readers(product.port, path, options.readers, options.pause),
        "colleagues": Readers(product.port, path, options.readers, options.pause, sessions),
        "without a pause": Readers(product.port, path, options.readers, 0.0),
    }
    await product_latency(product, 10, 1.0)  # warm
    before = found["alone"] = await product_latency(product, options.streams, STEADY)
    for name, readers in crowds.items():
        found[f"beside {name}"], found[name] = await beside(product, readers, options.streams)
        after = found[f"alone after {name}"] = await product_latency(product, options.streams, STEADY)
        found[f"p95 beside {name} over"] = {
            "before": found[f"beside {name}"]["p95"] / before["p95"],
            "after": found[f"beside {name}"]["p95"] / after["p95"],
        }
        before = after
    return found


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description="Readers of a shared page beside streams.")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument(
        "--pause", type=float, default=10.0, help="seconds between two openings of one reader"
    )
    parser.add_argument("--rounds", type=int, default=1, help="runs on the same server")
    options = parser.parse_args()
    allow_many_files()
    pin(LOAD_CORE)
    with tempfile.TemporaryDirectory(prefix="stkweb-bench-") as temporary:
        folder, agent_port = Path(temporary), free_port()
        product = Product(folder, free_port(), agent_port)
        shapes = {str(paced(count, steady)) for count, steady in ((options.streams, STEADY), (10, 1.0))}
        product.prepare(options.streams, sorted(shapes))
        made = product._manage([sys.executable, "-c", _MAKE])
        token = made.split("TOKEN ")[1].strip()
        with Process(module("fake_agent", str(agent_port)), LOAD_CORE, folder / "agent.log") as agent:
            wait_for_port(agent_port, agent)
            product.start()
            try:
                for _ in range(options.rounds):
                    show(uvloop.run(measure(product, token, options)))
            finally:
                product.stop()


def show(found: dict[str, Figures]) -> None:
    """One line a part; trouble is there only where there was any."""
    for name, figures in found.items():
        told = {key: round(value, 2) for key, value in figures.items() if value or key not in TROUBLE}
        print(name, json.dumps(told))
    print(f"load {os.getloadavg()[0]:.1f}\n", flush=True)


if __name__ == "__main__":
    main()
