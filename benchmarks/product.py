"""The real product under load: `manage.py serve` on a fresh data folder with SQLite, and people to use it.

Nothing of it is replaced or bypassed, but two limits that hold a single person back are raised, because
here a few people stand for many.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.client import Person, sign_in
from benchmarks.processes import LOAD_CORE, REPOSITORY, SERVER_CORE, Process, module, pin, wait_for

MANAGE = [sys.executable, "manage.py"]


@dataclass
class Product:
    """A server and its database. `prepare` once, then `start` and `stop` as often as needed."""

    folder: Path
    port: int
    agent_port: int
    deflate: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    process: Process | None = None

    def __post_init__(self) -> None:
        self.environment = {
            "STKWEB_DATA_DIR": str(self.folder / "data"),
            "STKWEB_LISTEN": f"127.0.0.1:{self.port}",
            "STKWEB_TURNS_PER_USER": "1000",
            "STKWEB_SENDS_PER_MINUTE": "100000",
            "STKWEB_LOG_LEVEL": "WARNING",
            "STKWEB_AGENT_HOSTS": "127.0.0.1",
            **{name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if name in os.environ},
        }

    def _manage(self, argv: list[str]) -> str:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def prepare(self, people: int, shapes: list[str]) -> None:
        """Set up the data folder, `people` signed-in people, and one agent for each shape."""
        self._manage([*MANAGE, "setup"])
        url = f"http://127.0.0.1:{self.agent_port}"
        self.known = json.loads(self._manage(module("prepare", url, str(people), *shapes)).splitlines()[-1])

    def start(self) -> float:
        """Start the server on its core and wait until it is ready; seconds that took."""
        began = time.monotonic()
        command = [*MANAGE, "serve"]
        self.process = Process(command, SERVER_CORE, self.folder / "serve.log", self.environment)
        pin(LOAD_CORE)
        wait_for(f"http://127.0.0.1:{self.port}/readyz", self.process)
        return time.monotonic() - began

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    @property
    def server(self) -> Process:
        """The running server; RuntimeError when there is none any more."""
        if self.process is None or self.process.child.poll() is not None:
            raise RuntimeError("the server is not running")
        return self.process

    def agent(self, shape: object) -> str:
        """The id by which a send names the agent of this shape."""
        return str(self.known["agents"][str(shape)])

    def person(self, number: int) -> Person:
        """One of the prepared people, without a tab yet."""
        csrf = secrets.token_hex(16)  # 32 letters: the length that Django takes as an unmasked token
        cookies = {
            self.known["session_cookie"]: self.known["people"][number],
            self.known["csrf_cookie"]: csrf,
        }
        return Person(self.port, cookies, csrf, self.deflate)

    async def sign_in(self) -> Person:
        """The one person who comes in by the login page."""
        return await sign_in(self.port, self.known["username"], self.known["password"])
