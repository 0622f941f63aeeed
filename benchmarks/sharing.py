"""Shared pages under load: what 200 readers of a link cost the people whose answers stream.

One run: 50 paced streams alone, then the same again while 200 readers open a shared conversation of
200 messages over and over, then alone once more. Printed: p50, p95 and p99 of the added latency in each,
their ratio, and the readers' own times.
Run: ``python -m benchmarks.sharing [--readers N] [--streams N] [--pause S]``.
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
from pathlib import Path

import uvloop

from benchmarks.lean_http import Http
from benchmarks.processes import LOAD_CORE, Process, allow_many_files, module, pin, wait_for_port
from benchmarks.product import Product
from benchmarks.run import free_port
from benchmarks.scenarios import Figures, paced, product_latency, spread

STEADY = 6.0

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
    """People who open the page, read for a while, and open it again."""

    def __init__(self, port: int, path: str, count: int, pause: float) -> None:
        self.port, self.path, self.count, self.pause = port, path, count, pause
        self.times: list[float] = []
        self.failed: list[int] = []
        self.weight = 0

    async def read(self) -> None:
        """Read until cancelled."""
        await asyncio.gather(*(self._one(number) for number in range(self.count)))

    async def _one(self, number: int) -> None:
        dice = random.Random(number)
        http = Http(self.port)
        await asyncio.sleep(dice.random() * self.pause)
        try:
            while True:
                began = time.monotonic()
                answer = await http.request(
                    "GET", self.path, {"Accept": "text/html", "Accept-Encoding": "gzip"}
                )
                self.times.append((time.monotonic() - began) * 1000)
                self.weight = len(answer.body)
                if answer.status != 200:
                    self.failed.append(answer.status)
                await asyncio.sleep(self.pause * (0.5 + dice.random()))
        finally:
            http.close()


async def measure(product: Product, token: str, options: argparse.Namespace) -> dict[str, Figures]:
    """The three parts of one run."""
    found: dict[str, Figures] = {}
    await product_latency(product, 10, 1.0)  # warm
    found["alone, before"] = await product_latency(product, options.streams, STEADY)
    readers = Readers(product.port, f"/s/{token}/", options.readers, options.pause)
    reading = asyncio.create_task(readers.read())
    await asyncio.sleep(1.0)
    found["with readers"] = await product_latency(product, options.streams, STEADY)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    found["alone, after"] = await product_latency(product, options.streams, STEADY)
    found["readers"] = spread(readers.times) | {
        "pages": len(readers.times), "failed": len(readers.failed), "KB": readers.weight / 1000,
    }  # fmt: skip
    found["p95 with readers over"] = {
        name: found["with readers"]["p95"] / found[name]["p95"] for name in ("alone, before", "alone, after")
    }
    return found


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description="Readers of a shared page beside streams.")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument(
        "--pause", type=float, default=10.0, help="seconds between two openings of one reader"
    )
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
                found = uvloop.run(measure(product, token, options))
            finally:
                product.stop()
    for name, figures in found.items():
        print(name, json.dumps({key: round(value, 2) for key, value in figures.items()}))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
