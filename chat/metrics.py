"""What /metrics shows: counts and times of this product, about nobody in particular.

A leaf: turns and consumers count here, one call a fact. No label may name a person, a conversation
or an agent. With several processes `manage.py serve` sets PROMETHEUS_MULTIPROC_DIR, and the page
adds them all up.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

#: Where processes leave their counts for each other; empty with one process.
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")

_own = CollectorRegistry()

TURNS_RUNNING = Gauge(
    "stkweb_turns_running", "Turns that run now.", registry=_own, multiprocess_mode="livesum"
)
SOCKETS = Gauge("stkweb_sockets", "Sockets that are open now.", registry=_own, multiprocess_mode="livesum")
TURNS = Counter("stkweb_turns", "Turns by how they ended.", ("outcome", "error"), registry=_own)
TURNS_REAPED = Counter("stkweb_turns_reaped", "Turns ended for a process that was gone.", registry=_own)
DELTAS = Counter("stkweb_deltas", "Deltas of text that agents sent.", registry=_own)
FRAMES_JOINED = Counter("stkweb_frames_joined", "Deltas shown with others in one frame.", registry=_own)
SLOW_SOCKETS = Counter("stkweb_sockets_too_slow", "Sockets closed because they took too long.", registry=_own)
SAVE_FAILURES = Counter(
    "stkweb_save_failures", "Saves the database did not take; tried again.", registry=_own
)
SAVE_SECONDS = Histogram(
    "stkweb_save_seconds",
    "Seconds of one save of all running turns.",
    registry=_own,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
FIRST_DELTA_SECONDS = Histogram(
    "stkweb_first_delta_seconds",
    "Seconds from the question to the first delta.",
    registry=_own,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120),
)

if not FOLDER:
    ProcessCollector(namespace="stkweb", registry=_own)


def exposition() -> bytes:
    """Everything in Prometheus' text format."""
    if not FOLDER:
        return generate_latest(_own)
    for pid in _dead():
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _dead() -> set[int]:
    """Processes that left counts of what they did at the time and are gone."""
    pids = {int(path.stem.rpartition("_")[2]) for path in Path(FOLDER).glob("gauge_live*_*.db")}
    return {pid for pid in pids if not Path(f"/proc/{pid}").exists()}
