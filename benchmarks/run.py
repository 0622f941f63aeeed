"""Measures the product beside the byte proxy and prints the table.

Starts the fake agent, the proxy and `manage.py serve` on a fresh folder, keeps the measured server on one
core and everything else on another, and takes proxy and product in turn, so that a busy neighbour meets both.
Run: ``python -m benchmarks.run [--quick] [--rounds N] [--only SCENARIO ...]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import scenarios
from benchmarks.page import weigh
from benchmarks.processes import LOAD_CORE, SERVER_CORE, Process, allow_many_files, module, pin, wait_for_port
from benchmarks.product import Product
from benchmarks.scenarios import PACE_MS, Figures, paced
from benchmarks.stamps import Shape
from benchmarks.table import Results, render

STREAMS = (1, 50, 200, 500, 1000)
UNPACED_CHUNKS = 50_000  # about 1.7 MB of text, below the limit of an answer
SCENARIOS = (
    *(f"latency-{count}" for count in STREAMS),
    "tabs-200",
    "first-50",
    "burst-200",
    "unpaced-1",
    "unpaced-3",
    "cpu-200",
    "memory",
    "page",
)


@dataclass
class Bench:
    """What is running, and how long to measure."""

    proxy: Process
    proxy_port: int
    product: Product
    steady: float
    memory_counts: tuple[int, ...]

    async def measure(self, name: str) -> list[tuple[str, str, Figures]]:
        """One round of one scenario: ``(scenario, side, figures)`` for each thing measured."""
        kind, _, size = name.partition("-")
        return await {
            "latency": self._latency,
            "tabs": self._latency,
            "first": self._first,
            "burst": self._first,
            "unpaced": self._unpaced,
            "cpu": self._cpu,
            "memory": self._memory,
            "page": self._page,
        }[kind](name, int(size or 0))

    async def _both(
        self, name: str, proxy: Awaitable[Figures], product: Callable[[], Awaitable[Figures]]
    ) -> list[tuple[str, str, Figures]]:
        reference = await proxy
        await asyncio.sleep(0.5)
        return [(name, "proxy", reference), (name, "stkweb", await product())]

    async def _latency(self, name: str, count: int) -> list[tuple[str, str, Figures]]:
        tabs = 3 if name.startswith("tabs") else 1
        return await self._both(
            name,
            scenarios.proxy_latency(self.proxy_port, count, self.steady),
            lambda: scenarios.product_latency(self.product, count, self.steady, tabs),
        )

    async def _first(self, name: str, size: int) -> list[tuple[str, str, Figures]]:
        burst = name.startswith("burst")
        count, rate = (size, float("inf")) if burst else (int(size * (self.steady + 1)), float(size))
        return await self._both(
            name,
            scenarios.proxy_first(self.proxy_port, count, rate),
            lambda: scenarios.product_first(self.product, count, rate),
        )

    async def _unpaced(self, name: str, tabs: int) -> list[tuple[str, str, Figures]]:
        return await self._both(
            name,
            scenarios.proxy_unpaced(self.proxy_port, UNPACED_CHUNKS),
            lambda: scenarios.product_unpaced(self.product, UNPACED_CHUNKS, tabs),
        )

    async def _cpu(self, name: str, count: int) -> list[tuple[str, str, Figures]]:
        return await self._both(
            name,
            scenarios.proxy_cpu(self.proxy_port, self.proxy.cpu_seconds, count),
            lambda: scenarios.product_cpu(self.product, count),
        )

    async def _memory(self, name: str, _: int) -> list[tuple[str, str, Figures]]:
        figures = await scenarios.product_memory(self.product, self.memory_counts, self.steady)
        return [(name, "stkweb", figures)]

    async def _page(self, name: str, _: int) -> list[tuple[str, str, Figures]]:
        person = await self.product.sign_in()
        await person.open_tabs(1)
        run = await scenarios.ask_all(self.product, [person], Shape(60, PACE_MS), [0.0])
        person.close()
        home = await weigh(person, "/")
        there = await weigh(person, f"/c/{run.sent[0].conversation}/")
        return [(f"{name}-home", "stkweb", home), (f"{name}-conversation", "stkweb", there)]


def shapes(steady: float, memory_counts: tuple[int, ...]) -> list[str]:
    """Every shape that the scenarios ask for."""
    streams = {str(paced(count, steady)) for count in (*STREAMS, *memory_counts)}
    return sorted(streams | {f"n60-i{PACE_MS}", f"n{UNPACED_CHUNKS}-i0"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def everything(folder: Path, quick: bool, deflate: bool) -> Iterator[Bench]:
    """Start the fake agent, the proxy and the product; stop them at the end."""
    steady, memory_counts = (2.0, (200,)) if quick else (5.0, (200, 1000))
    agent_port, proxy_port = free_port(), free_port()
    product = Product(folder, free_port(), agent_port, deflate)
    relay = module("byte_proxy", str(proxy_port), str(agent_port))
    product.prepare(max(STREAMS), shapes(steady, memory_counts))
    with (
        Process(module("fake_agent", str(agent_port)), LOAD_CORE, folder / "agent.log") as agent,
        Process(relay, SERVER_CORE, folder / "proxy.log") as proxy,
    ):
        wait_for_port(agent_port, agent)
        wait_for_port(proxy_port, proxy)
        product.start()
        try:
            yield Bench(proxy, proxy_port, product, steady, memory_counts)
        finally:
            product.stop()


def note(line: str) -> None:
    """Progress, apart from the table."""
    print(line, file=sys.stderr, flush=True)


async def measure_all(bench: Bench, names: list[str], rounds: int, results: Results) -> None:
    """All scenarios, round after round."""
    (await bench.product.sign_in()).close()  # the login page works, or nothing below means anything
    for number in range(rounds):
        for name in names:
            began = time.monotonic()
            for scenario, side, figures in await bench.measure(name):
                results.add(scenario, side, figures)
                short = {key: round(value, 3) for key, value in figures.items() if value}
                note(f"round {number + 1} {scenario} {side} {json.dumps(short)}")
            note(f"  {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measures the product beside a bare byte proxy.")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round: a check, not a measurement")
    parser.add_argument("--no-deflate", action="store_true", help="do not offer compression, as browsers do")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it (logs, database)")
    options = parser.parse_args()
    allow_many_files()
    pin(LOAD_CORE)
    results = Results()
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="stkweb-bench-")
        folder = options.keep or Path(stack.enter_context(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        bench = stack.enter_context(everything(folder, options.quick, not options.no_deflate))
        names = options.only or list(SCENARIOS)
        rounds = 1 if options.quick else options.rounds
        try:
            uvloop.run(measure_all(bench, names, rounds, results))
        finally:
            print(render(results))


if __name__ == "__main__":
    main()
