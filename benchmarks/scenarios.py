"""What is measured: each scenario drives the byte proxy or the product once and returns its figures.

Figures are plain floats by name; latencies are in milliseconds. `trouble` in a product's figures is what no
run may have: lost or disordered chunks, inexact texts, refused sends, answers that never ended.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.client import Person, Refused, Sent
from benchmarks.product import Product
from benchmarks.reference import read_streams
from benchmarks.stamps import Shape, Track, percentile, steady_latencies_ms

RATE = 50.0  # new turns a second while streams are brought up
PACE_MS = 50  # 20 chunks a second
Figures = dict[str, float]


def ramp(count: int, rate: float = RATE, seed: int = 1) -> list[float]:
    """Start times in seconds, at random over `count / rate`: even spacing would put chunks in step."""
    dice = random.Random(seed)
    return [0.0] if count == 1 else sorted(dice.random() * count / rate for _ in range(count))


def paced(count: int, steady: float) -> Shape:
    """The shape that keeps `count` streams up for `steady` seconds after a ramp up to 2 s late."""
    return Shape(int((count / RATE + steady + 2) * 1000 / PACE_MS), PACE_MS)


@contextmanager
def collected() -> Iterator[None]:
    """No garbage collection in the load generator while it takes times."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass
class Run:
    """What came out of one drive of the product: a track for each tab of each person."""

    tracks: list[Track] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    unended: int = 0
    resyncs: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    frames: int = 0
    bytes_received: int = 0

    def trouble(self) -> Figures:
        return {
            "lost": sum(track.lost for track in self.tracks),
            "disorder": sum(track.disorder for track in self.tracks),
            "inexact": sum(not track.exact for track in self.tracks),
            "refused": len(self.refusals),
            "unended": self.unended,
            "resyncs": self.resyncs,
        }


async def gather_people(product: Product, count: int, tabs: int) -> list[Person]:
    """People with open pages and warm connections, a few at a time."""
    people = [product.person(number) for number in range(count)]
    gate = asyncio.Semaphore(20)

    async def arrive(person: Person) -> None:
        async with gate:
            await person.open_tabs(tabs)
            await person.http.connect()

    await asyncio.gather(*(arrive(person) for person in people))
    return people


async def ask_all(
    product: Product,
    people: Sequence[Person],
    shape: Shape,
    starts: Sequence[float],
    conversations: Sequence[str] | None = None,
) -> Run:
    """Each person asks once, at their start time, and all their tabs watch the answer to its end."""
    run, agent = Run(), product.agent(shape)
    deadline = shape.chunks * shape.interval_ms / 1000 + 60

    async def turn(number: int, person: Person) -> None:
        await asyncio.sleep(starts[number])
        known = conversations[number] if conversations else None
        try:
            sent = await person.ask("Conte uma história longa.", agent, known)
        except (Refused, OSError, TimeoutError) as error:
            run.refusals.append(repr(error))
            return
        run.sent.append(sent)
        for tab in person.tabs:
            if known is None:
                tab.subscribe(sent.conversation)
        ended = await asyncio.gather(*(tab.wait_for(sent.answer, deadline) for tab in person.tabs))
        run.unended += ended.count(False)
        asked[number] = sent

    asked: dict[int, Sent] = {}
    cpu, began = product.server.cpu_seconds(), time.monotonic()
    with collected():
        await asyncio.gather(*(turn(number, person) for number, person in enumerate(people)))
        run.wall = time.monotonic() - began
        await asyncio.sleep(0.5)  # what the server does after the last event belongs to its turns
        run.cpu = product.server.cpu_seconds() - cpu
    for number, sent in asked.items():
        for tab in people[number].tabs:
            run.tracks.append(tab.track(sent.answer, shape, sent.sent_ns))
            run.resyncs += tab.resyncs
            run.frames += tab.socket.frames
            run.bytes_received += tab.socket.bytes_received
    return run


def spread(values: Sequence[float], prefix: str = "") -> Figures:
    """p50, p95 and p99 by those names."""
    return {f"{prefix}p{share}": percentile(values, share / 100) for share in (50, 95, 99)}


def close_all(people: Sequence[Person]) -> None:
    for person in people:
        person.close()


async def proxy_latency(port: int, count: int, steady: float) -> Figures:
    """Added latency of paced streams through the proxy."""
    with collected():
        tracks = await read_streams(port, paced(count, steady), ramp(count))
    return spread(steady_latencies_ms(tracks))


async def product_latency(product: Product, count: int, steady: float, tabs: int = 1) -> Figures:
    """Added latency of paced streams through the product, `tabs` viewers each."""
    people = await gather_people(product, count, tabs)
    shape = paced(count, steady)
    run = await ask_all(product, people, shape, ramp(count))
    close_all(people)
    latencies = steady_latencies_ms(run.tracks)
    return spread(latencies) | run.trouble() | {"core": run.cpu / run.wall}


async def proxy_first(port: int, count: int, rate: float) -> Figures:
    """Time to the first chunk through the proxy, `rate` new streams a second."""
    with collected():
        tracks = await read_streams(port, Shape(60, PACE_MS), ramp(count, rate))
    return spread([track.first_ms for track in tracks])


async def product_first(product: Product, count: int, rate: float) -> Figures:
    """Time to the first delta: in new conversations, then for the next question of watched ones.

    `way` is the part from the question until the agent sent its first chunk, `accepted` until the ids came.
    """
    shape = Shape(60, PACE_MS)
    people = await gather_people(product, count, 1)
    first = await ask_all(product, people, shape, ramp(count, rate))
    known = {sent.conversation: number for number, sent in enumerate(first.sent)}
    figures = spread([track.first_ms for track in first.tracks]) | first.trouble()
    figures |= spread([track.upstream_ms for track in first.tracks], "way ")
    figures |= spread([(sent.accepted_ns - sent.sent_ns) / 1e6 for sent in first.sent], "accepted ")
    if rate < float("inf") and len(known) == count and all(person.tabs[0].thread_id for person in people):
        conversations = [str(person.tabs[0].thread_id) for person in people]
        again = await ask_all(product, people, shape, ramp(count, rate, seed=2), conversations)
        figures |= spread([track.first_ms for track in again.tracks], "next ")
        for name, value in again.trouble().items():
            figures[name] += value
    close_all(people)
    return figures


async def proxy_unpaced(port: int, chunks: int) -> Figures:
    """Chunks a second of one unpaced stream through the proxy."""
    with collected():
        (track,) = await read_streams(port, Shape(chunks, 0), [0.0])
    return {"rate": track.chunks_per_second, "first": track.first_ms}


async def product_unpaced(product: Product, chunks: int, tabs: int) -> Figures:
    """The same through the product; every viewer and one who comes later must hold the exact text."""
    people = await gather_people(product, 1, tabs)
    run = await ask_all(product, people, Shape(chunks, 0), [0.0])
    figures: Figures = run.trouble()
    if run.sent:
        late = people[0]
        await late.open_tabs(1)
        late.tabs[-1].subscribe(run.sent[0].conversation)
        await late.tabs[-1].wait_for(run.sent[0].answer, 30)
        figures["inexact"] += not late.tabs[-1].track(run.sent[0].answer, Shape(chunks, 0), 0).exact
    close_all(people)
    figures["rate"] = min((track.chunks_per_second for track in run.tracks), default=0.0)
    figures["first"] = max((track.first_ms for track in run.tracks), default=float("inf"))
    figures["frames"] = run.frames / max(tabs, 1)
    return figures


async def product_cpu(product: Product, count: int = 200, chunks: int = 60) -> Figures:
    """CPU seconds per 1,000 deltas, set-up of the turns included, that of the sockets apart."""
    before = product.server.cpu_seconds()
    people = await gather_people(product, count, 1)
    sockets = product.server.cpu_seconds() - before
    run = await ask_all(product, people, Shape(chunks, PACE_MS), ramp(count))
    close_all(people)
    return run.trouble() | {
        "cpu": run.cpu / (count * chunks / 1000),
        "socket ms": sockets * 1000 / count,
        "bytes per delta": run.bytes_received / (count * chunks),
    }


async def proxy_cpu(port: int, cpu_seconds: object, count: int = 200, chunks: int = 60) -> Figures:
    """The same of the proxy; `cpu_seconds` reads its clock."""
    assert callable(cpu_seconds)
    before = cpu_seconds()
    with collected():
        await read_streams(port, Shape(chunks, PACE_MS), ramp(count))
    return {"cpu": (cpu_seconds() - before) / (count * chunks / 1000)}


async def product_memory(product: Product, counts: Sequence[int], steady: float) -> Figures:
    """Memory of a server started anew: at rest, warm, and what each running stream adds (KB, 1,000 bytes).

    A stream is an open page with its socket, its keep-alive connection and a running answer.
    """
    product.stop()
    figures: Figures = {"start s": product.start(), "fresh MB": product.server.memory_kb() / 1000}
    person = await product.sign_in()
    await person.http.request("GET", "/", person.headers() | {"Accept": "text/html"})
    person.close()
    # Enough at once that every thread has worked and has its database connection: those belong to rest.
    people = await gather_people(product, 40, 1)
    await ask_all(product, people, Shape(60, PACE_MS), [0.0] * len(people))
    close_all(people)
    await asyncio.sleep(1)
    rest = product.server.memory_kb()
    figures["rest MB"] = rest / 1000
    for count in counts:
        people = await gather_people(product, count, 1)
        peak = 0

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, product.server.memory_kb())
                await asyncio.sleep(0.5)

        watching = asyncio.create_task(watch())
        run = await ask_all(product, people, paced(count, steady), ramp(count))
        watching.cancel()
        close_all(people)
        figures[f"KB/stream {count}"] = (peak - rest) / count
        for name, value in run.trouble().items():
            figures[name] = figures.get(name, 0) + value
    return figures
