"""The targets, and the Markdown table that sets the figures beside them.

A figure is the median of the rounds; behind a p95 stand the smallest and the largest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.scenarios import Figures

TROUBLE = ("lost", "disorder", "inexact", "refused", "unended", "resyncs")


class Results:
    """Figures of all rounds by scenario and side (``"proxy"`` or ``"stkweb"``)."""

    def __init__(self) -> None:
        self.rounds: dict[tuple[str, str], list[Figures]] = {}

    def add(self, scenario: str, side: str, figures: Figures) -> None:
        self.rounds.setdefault((scenario, side), []).append(figures)

    def has(self, scenario: str, side: str = "stkweb") -> bool:
        return (scenario, side) in self.rounds

    def all(self, scenario: str, side: str, name: str) -> list[float]:
        return [figures[name] for figures in self.rounds.get((scenario, side), []) if name in figures]

    def get(self, scenario: str, name: str, side: str = "stkweb") -> float:
        """Median of the rounds; NaN when it was not measured."""
        values = self.all(scenario, side, name)
        return median(values) if values else float("nan")

    def trouble(self, scenario: str) -> str:
        """What went wrong in any round, in words; empty when nothing did."""
        sums = {name: sum(self.all(scenario, "stkweb", name)) for name in TROUBLE}
        return ", ".join(f"{value:.0f} {name}" for name, value in sums.items() if value)


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is no target."""

    what: str
    proxy: str
    product: str
    target: str
    met: bool | None

    def __str__(self) -> str:
        word = {True: "yes", False: "**no**", None: ""}[self.met]
        return f"| {self.what} | {self.proxy} | {self.product} | {self.target} | {word} |"


def number(value: float) -> str:
    """Three figures, no exponent."""
    if value != value:
        return "not measured"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def latencies(results: Results, scenario: str, side: str, prefix: str = "") -> str:
    """``p50 / p95 [min-max] / p99`` of one side."""
    if not results.has(scenario, side):
        return ""
    p50, p95, p99 = (number(results.get(scenario, f"{prefix}p{share}", side)) for share in (50, 95, 99))
    rounds = results.all(scenario, side, f"{prefix}p95")
    return f"{p50} / {p95} [{number(min(rounds))}-{number(max(rounds))}] / {p99}"


def _latency_row(results: Results, scenario: str, what: str, target: str, ok: Callable[[], bool]) -> Row:
    trouble = results.trouble(scenario)
    product = latencies(results, scenario, "stkweb")
    product += f"; {number(results.get(scenario, 'core'))} core"
    if trouble:
        product += f"; {trouble}"
    return Row(what, latencies(results, scenario, "proxy"), product, target, ok() and not trouble)


def _streams(results: Results) -> Iterable[Row]:
    def under(scenario: str, limit: float) -> Callable[[], bool]:
        return lambda: results.get(scenario, "p95") <= limit

    def ratio() -> bool:
        ours, proxys = (results.get("latency-200", "p95", side) for side in ("stkweb", "proxy"))
        return ours <= 5 * proxys and ours <= 10

    targets: dict[str, tuple[str, Callable[[], bool]]] = {
        "latency-200": ("p95 at most 5 x the proxy's and 10 ms", ratio),
        "latency-1000": ("p95 at most 25 ms, none lost", under("latency-1000", 25)),
    }
    for count in (1, 50, 200, 500, 1000):
        name = f"latency-{count}"
        if results.has(name):
            target, ok = targets.get(name, ("none lost", lambda: True))
            yield _latency_row(
                results,
                name,
                f"Added latency, {count} {'stream' if count == 1 else 'streams'}, ms",
                target,
                ok,
            )
    if results.has("tabs-200"):
        ok = under("tabs-200", 25)
        what = "Added latency, 200 streams in 3 tabs each, ms"
        yield _latency_row(results, "tabs-200", what, "p95 at most 25 ms, none lost", ok)


def _first(results: Results) -> Iterable[Row]:
    for prefix, what in (("", "a new conversation"), ("next ", "the next question")):
        if results.has("first-50"):
            over = results.get("first-50", f"{prefix}p50") - results.get("first-50", "p50", "proxy")
            trouble = results.trouble("first-50")
            cell = latencies(results, "first-50", "stkweb", prefix) + f"; p50 over the proxy's {number(over)}"
            yield Row(
                f"First delta, 50 new turns a second, {what}, ms",
                latencies(results, "first-50", "proxy"),
                f"{cell}; {trouble}" if trouble else cell,
                "p50 at most 10 ms over the upstream's",
                over <= 10 and not trouble,
            )
    if results.has("burst-200"):
        trouble = results.trouble("burst-200")
        cell = latencies(results, "burst-200", "stkweb")
        yield Row(
            "First delta, 200 questions at the same instant, ms",
            latencies(results, "burst-200", "proxy"),
            f"{cell}; {trouble}" if trouble else cell,
            "p95 at most 1,500 ms",
            results.get("burst-200", "p95") <= 1500 and not trouble,
        )


def _unpaced(results: Results) -> Iterable[Row]:
    for tabs, what in ((1, "one viewer"), (3, "three viewers, the slowest")):
        name = f"unpaced-{tabs}"
        if not results.has(name):
            continue
        rate, first = results.get(name, "rate"), results.get(name, "first")
        reference = results.get("unpaced-1", "rate", "proxy")
        trouble = results.trouble(name)
        frames = number(results.get(name, "frames"))
        cell = f"{number(rate)} chunks/s, first {number(first)} ms, {frames} frames"
        met = None if tabs > 1 else rate >= reference / 2 and first <= 15
        first_proxy = number(results.get("unpaced-1", "first", "proxy"))
        yield Row(
            f"Unpaced, one stream, {what}",
            f"{number(reference)} chunks/s, first {first_proxy} ms",
            f"{cell}; {trouble or 'all texts exact'}",
            "half the proxy's chunks/s, first within 15 ms, exact" if tabs == 1 else "exact",
            False if trouble else True if met is None else met,
        )


def _cost(results: Results) -> Iterable[Row]:
    if results.has("cpu-200"):
        cpu, trouble = results.get("cpu-200", "cpu"), results.trouble("cpu-200")
        yield Row(
            "CPU s per 1,000 deltas, 200 streams x 60, set-up of turns included",
            number(results.get("cpu-200", "cpu", "proxy")),
            f"{cpu:.3f}; {trouble}" if trouble else f"{cpu:.3f}",
            "at most 0.25",
            cpu <= 0.25 and not trouble,
        )
        yield Row("CPU ms to open a page's socket", "", number(results.get("cpu-200", "socket ms")), "", None)
        yield Row(
            "Bytes on the socket per delta", "", number(results.get("cpu-200", "bytes per delta")), "", None
        )
    if results.has("memory"):
        rest = results.get("memory", "rest MB")
        yield Row("Seconds from start to ready", "", number(results.get("memory", "start s")), "", None)
        fresh = f"{number(rest)} (fresh {number(results.get('memory', 'fresh MB'))})"
        yield Row("Memory at rest, MB", "", fresh, "at most 130", rest <= 130)
        for count in (200, 1000):
            value = results.get("memory", f"KB/stream {count}")
            if value == value:
                what = f"Memory per stream, {count} streams, KB"
                yield Row(what, "", number(value), "at most 60", value <= 60)
    for name, what in (("page-home", "Empty chat page"), ("page-conversation", "Page of a conversation")):
        if results.has(name) and results.all(name, "stkweb", "KB"):
            weight, requests, hosts = (results.get(name, key) for key in ("KB", "requests", "other hosts"))
            cell = f"{number(weight)} KB, {requests:.0f} requests, {hosts:.0f} other hosts"
            ok = weight <= 150 and requests <= 15 and not hosts
            yield Row(f"{what}, cold", "", cell, "at most 150 KB, 15 requests, no other host", ok)


def rows(results: Results) -> list[Row]:
    """Every row whose scenario was run."""
    return [*_streams(results), *_first(results), *_unpaced(results), *_cost(results)]


def render(results: Results) -> str:
    """The table as Markdown."""
    head = "| measure | byte proxy | stkweb | target | met |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *map(str, rows(results))])
