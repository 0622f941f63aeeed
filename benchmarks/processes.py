"""The processes of a run: started on a core of their own, and read through /proc.

Linux only. CPU and memory are those of a process with all its descendants, so a server may be one process
or a family.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 1, 0


def pin(core: int) -> None:
    """Keep this process on one core, where the machine has it; children inherit."""
    if core in range(os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: 1,000 streams are 4,000 sockets."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Process:
    """One child on one core, its output in a file; killed with its children's group at the end."""

    def __init__(self, argv: list[str], core: int, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        before = os.sched_getaffinity(0)
        pin(core)
        try:
            with log.open("ab") as output:
                self.child = subprocess.Popen(
                    argv,
                    cwd=REPOSITORY,
                    env={**os.environ, **(env or {})},
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        finally:
            os.sched_setaffinity(0, before)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it politely, and after 15 s not."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, 9)
                self.child.wait()

    def family(self) -> list[int]:
        """Its process id and those of all its living descendants."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                after_name = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
        found = [self.child.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the family, children that ended included; resolution 10 ms."""
        ticks = 0
        for pid in self.family():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))
        return ticks / TICK

    def memory_kb(self) -> float:
        """Resident memory of the family in KB (1,000 bytes); pages that forks share are counted once each."""
        total = 0
        for pid in self.family():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kind = "Pss:" if len(self.family()) > 1 else "Rss:"
            total += sum(int(line.split()[1]) for line in lines if line.startswith(kind))
        return total * 1.024


def wait_for(url: str, process: Process, deadline: float = 60.0) -> None:
    """Poll until `url` answers 200; RuntimeError with the end of the log when it does not."""
    end = time.monotonic() + deadline
    while time.monotonic() < end and process.child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not come up:\n{process.log.read_text()[-3000:]}")


def wait_for_port(port: int, process: Process, deadline: float = 10.0) -> None:
    """Poll until something listens on `port`; RuntimeError with the log when nothing does."""
    end = time.monotonic() + deadline
    while time.monotonic() < end and process.child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}:\n{process.log.read_text()[-3000:]}")


def module(name: str, *arguments: str) -> list[str]:
    """The command line of a module of this package."""
    return [sys.executable, "-m", f"benchmarks.{name}", *arguments]
