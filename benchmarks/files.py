"""Uploads: what they cost the server's memory, the streams beside them, and the disk alone.

One run: a hundred uploads of 10 MiB in a row and the growth of resident memory; 50 paced streams alone,
then the same beside four uploads at a time, then alone; and the time of an upload against writing the same
bytes to a file on the same disk with the same SHA-256, in turn.
Run: ``python -m benchmarks.files [--uploads N] [--streams N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.lean_http import Http
from benchmarks.processes import LOAD_CORE, Process, allow_many_files, module, pin, wait_for_port
from benchmarks.product import Product
from benchmarks.run import free_port
from benchmarks.scenarios import Figures, paced, product_latency

STEADY = 6.0
SIZE = 10 * 1024 * 1024
SLICE = 4 * 1024 * 1024
#: Seconds between two looks at the server's memory.
LOOK = 0.02


class Giver:
    """A person who gives files of 10 MiB, no two alike, and takes each away again."""

    def __init__(self, product: Product, number: int) -> None:
        self.person, self.agent = product.person(number), product.agent(paced(10, 1.0))
        self.http = Http(product.port)
        self.given = 0
        self.number = number

    def content(self) -> bytes:
        self.given += 1
        return (f"{self.number} {self.given} ".encode() + os.urandom(1024)) * 11_000

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, object]:
        """The JSON of an answer; RuntimeError when it is a refusal."""
        answer = await self.http.request(method, path, {**self.person.headers(), **headers}, body)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return dict(answer.json())

    async def give(self, content: bytes) -> float:
        """Upload until it is ready and remove it; seconds up to ready."""
        began = time.monotonic()
        announced = {"name": "a.bin", "size": SIZE, "agent": self.agent}
        file = (await self.ask("POST", "/files/", json.dumps(announced).encode()))["id"]
        for offset in range(0, SIZE, SLICE):
            piece = content[offset : min(offset + SLICE, SIZE)]
            digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
            await self.ask(
                "PUT", f"/files/{file}/", piece,
                **{"Upload-Offset": str(offset), "Content-Digest": f"sha-256=:{digest}:",
                   "Content-Type": "application/octet-stream"},
            )  # fmt: skip
        while (state := (await self.ask("GET", f"/files/{file}/"))["state"]) == "checking":
            await asyncio.sleep(0.005)
        took = time.monotonic() - began
        if state != "ready":
            raise RuntimeError(f"an upload ended as {state}")
        await self.ask("POST", f"/files/{file}/remove/", b"{}")
        return took


def written(folder: Path, content: bytes) -> float:
    """Seconds of writing the same bytes to a file and hashing them as often as an upload does."""
    began = time.monotonic()
    with (folder / "same").open("wb") as target:
        for offset in range(0, SIZE, SLICE):
            piece = content[offset : min(offset + SLICE, SIZE)]
            hashlib.sha256(piece).digest()
            target.write(piece)
    with (folder / "same").open("rb") as source:
        hashlib.file_digest(source, "sha256")
    (folder / "same").unlink()
    return time.monotonic() - began


def resident(product: Product) -> float:
    """MB of resident memory of the server's processes."""
    return product.server.memory_kb() / 1000


async def grown(product: Product, uploads: int) -> Figures:
    """Memory before and after `uploads` in a row, and the most in between, MB over the first."""
    giver = Giver(product, 0)
    for _ in range(3):  # what is made once: threads, connections, modules
        await giver.give(giver.content())
    before, peak = resident(product), 0.0

    async def look() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident(product) - before)
            await asyncio.sleep(LOOK)

    looking = asyncio.create_task(look())
    times, same = [], []
    for _ in range(uploads):
        content = giver.content()[:SIZE]
        same.append(written(product.folder, content))
        times.append(await giver.give(content))
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    return {
        "growth MB": resident(product) - before, "peak MB": peak, "upload ms": median(times) * 1000,
        "same bytes to disk ms": median(same) * 1000, "ratio": median(times) / median(same),
    }  # fmt: skip


async def measure(product: Product, options: argparse.Namespace) -> dict[str, Figures]:
    """The parts of one run."""
    found: dict[str, Figures] = {}
    found[f"{options.uploads} uploads in a row"] = await grown(product, options.uploads)
    await product_latency(product, 10, 1.0)  # warm
    found["streams alone, before"] = await product_latency(product, options.streams, STEADY)

    async def keep_giving(giver: Giver) -> None:
        while True:
            await giver.give(giver.content()[:SIZE])

    givers = [Giver(product, number) for number in range(1, 5)]
    giving = [asyncio.create_task(keep_giving(giver)) for giver in givers]
    await asyncio.sleep(1.0)
    found["streams beside four uploads at once"] = await product_latency(product, options.streams, STEADY)
    for task in giving:
        task.cancel()
    ended = await asyncio.gather(*giving, return_exceptions=True)
    found["uploads beside streams"] = {
        "given": sum(giver.given for giver in givers),
        "failed": sum(isinstance(end, Exception) for end in ended),
    }
    found["streams alone, after"] = await product_latency(product, options.streams, STEADY)
    return found


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description="Uploads: memory, disk, and streams beside them.")
    parser.add_argument("--uploads", type=int, default=100)
    parser.add_argument("--streams", type=int, default=50)
    options = parser.parse_args()
    allow_many_files()
    pin(LOAD_CORE)
    with tempfile.TemporaryDirectory(prefix="stkweb-bench-") as temporary:
        folder, agent_port = Path(temporary), free_port()
        product = Product(folder, free_port(), agent_port)
        shapes = {str(paced(count, steady)) for count, steady in ((options.streams, STEADY), (10, 1.0))}
        product.prepare(max(options.streams, 5), sorted(shapes))
        with Process(module("fake_agent", str(agent_port)), LOAD_CORE, folder / "agent.log") as agent:
            wait_for_port(agent_port, agent)
            product.start()
            try:
                found = uvloop.run(measure(product, options))
            finally:
                product.stop()
    for name, figures in found.items():
        print(name, json.dumps({key: round(value, 2) for key, value in figures.items()}))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
