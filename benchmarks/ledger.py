"""What the ledger's rows cost a turn: the same turns by the same server with and without writing them.

    python -m benchmarks.ledger [ROUNDS]

Each round drives 200 turns of 60 deltas, a delta each 50 ms, through two servers in turn: one that takes the
CPU time of every append (row, digest, prices, roll-ups, in the thread that does it, SQLite included), and one
whose ledger writes nothing. CPU seconds are the server's, from the first question to half a second after the
last end. The part that the appends took is read within one run; the difference of the two servers is the
same end to end, and says something only on a machine that does nothing else.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks import product as served
from benchmarks.processes import LOAD_CORE, Process, allow_many_files, module, pin, wait_for_port
from benchmarks.product import Product
from benchmarks.run import free_port, note
from benchmarks.scenarios import product_cpu

TURNS, CHUNKS = 200, 60


async def _cpu(product: Product) -> float:
    """CPU seconds of all the turns; RuntimeError when one of them was not whole."""
    figures = await product_cpu(product, TURNS, CHUNKS)
    trouble = {name: figures[name] for name in ("lost", "inexact", "refused", "unended") if figures[name]}
    if trouble:
        raise RuntimeError(f"turns were not whole: {trouble}")
    return figures["cpu"] * TURNS * CHUNKS / 1000


def drive(product: Product, how: str) -> float:
    """Start a server with that ledger, warm it, and take the CPU of its turns."""
    product.environment["BENCH_LEDGER"] = how
    product.start()
    try:
        uvloop.run(_cpu(product))
        if how != "none":
            Path(how).write_text("")
        return uvloop.run(_cpu(product))
    finally:
        product.stop()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    allow_many_files()
    pin(LOAD_CORE)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stkweb-ledger-")))
        agent_port = free_port()
        product = Product(folder, free_port(), agent_port)
        product.prepare(TURNS, [f"n{CHUNKS}-i50"])
        agent = stack.enter_context(
            Process(module("fake_agent", str(agent_port)), LOAD_CORE, folder / "agent.log")
        )
        wait_for_port(agent_port, agent)
        served.MANAGE[:] = module("other_ledger")
        wholes, withouts, shares, each = [], [], [], []
        for number in range(rounds):
            file = folder / f"appends-{number}"
            order = [str(file), "none"] if number % 2 else ["none", str(file)]
            cpu = {how: drive(product, how) for how in order}
            took = [line.split() for line in file.read_text().splitlines()]
            spent, rows = sum(float(s) for s, _ in took), sum(int(n) for _, n in took)
            wholes.append(cpu[str(file)])
            withouts.append(cpu["none"])
            shares.append(spent / cpu[str(file)])
            each.append(spent / rows * 1000)
            note(
                f"round {number + 1}: {cpu[str(file)]:.2f} s of CPU with the ledger, {spent:.3f} s of it for"
                f" {rows} rows in {len(took)} transactions; {cpu['none']:.2f} s without"
            )
    print(f"CPU ms of a turn, median: {statistics.median(wholes) / TURNS * 1000:.2f} with the ledger,"
          f" {statistics.median(withouts) / TURNS * 1000:.2f} without")  # fmt: skip
    print(f"CPU ms of a row, median: {statistics.median(each):.3f}")
    print(f"Part of a turn, median: {statistics.median(shares):.1%}; rounds "
          + ", ".join(f"{share:.1%}" for share in shares))  # fmt: skip


if __name__ == "__main__":
    main()
