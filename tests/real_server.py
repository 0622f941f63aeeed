"""The product as its users meet it: `manage.py serve` as a process of its own, on a free port.

    server.base_url, server.ws_url      where it listens
    server.sign_in("alice")             a requests.Session, through the real form
    server.post(session, "/c/", {...})  a POST as the page sends it: JSON, CSRF token, origin
    server.stop()                       SIGTERM; the exit code (-15: uvicorn ends by the signal it was sent)
    server.kill()                       SIGKILL
    server.start(), server.restart()    again, on the same data and port
    server.manage("agent", "list")      a management command on the same data
    server.rows("SELECT ...")           straight from its database
    server.log                          everything it has written

Each has a data folder of its own, copied from a template that `manage.py setup` made once for the
run, whatever the number of its workers: SQLite, or with DATABASE_URL a database of its own on that
server. Accounts: alice, bob, charlie; newcomer (never asks anything at a shared server); staff (may
enter the administration, has no permission); admin. All with PASSWORD.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from ulid import ULID

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = ("alice", "bob", "charlie", "newcomer")
PASSWORD = "correct-horse-battery-7"
#: Seconds for a start on a machine that several people use at once.
START = 60.0

_MAKE_PEOPLE = f"""
from django.contrib.auth import get_user_model
users = get_user_model().objects
for name in {PEOPLE!r}:
    users.create_user(name, password={PASSWORD!r})
users.create_user("staff", password={PASSWORD!r}, is_staff=True)
admin = users.get(username="admin")
admin.set_password({PASSWORD!r})
admin.save()
"""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Any, seconds: float = 10.0, what: str = "") -> Any:
    """The first true value of `condition()`; fails loudly when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)
    return value


def own_environment(data: Path, **more: str) -> dict[str, str]:
    """What a started process sees: nothing of the developer's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "default",
        "STKWEB_DATA_DIR": str(data),
        "STKWEB_AGENT_HOSTS": "127.0.0.1,localhost",
        **more,
    }


class Database:
    """Databases on the PostgreSQL server that DATABASE_URL names; without it there is nothing to do."""

    def __init__(self) -> None:
        self.url = os.environ.get("DATABASE_URL", "")
        self.made: list[str] = []

    def create(self, template: str = "") -> str:
        """The URL of a new database, a copy of the one that the URL `template` names; "" for SQLite."""
        if not self.url.startswith("postgres"):
            return ""
        name = f"stkweb_test_{ULID()}".lower()
        copied = f' TEMPLATE "{urlsplit(template).path[1:]}"' if template else ""
        self._execute(f'CREATE DATABASE "{name}"{copied}')
        self.made.append(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_all(self) -> None:
        for name in self.made:
            self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


class Template:
    """A data folder that is set up once, by the first worker of the run, and copied for every server."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder / "template"
        self.database = database
        made = folder / "template.database"  # holds the address of its database
        with (folder / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                self.database_url = Database().create()  # dropped at the end of the run, by `drop_template`
                made.write_text(self.database_url)
                self._set_up()
                (self.folder / "ready").touch()
        self.database_url = made.read_text()
        assert (self.folder / "ready").exists(), "another worker could not set the template up"

    def _set_up(self) -> None:
        env = own_environment(self.folder, **self.settings(self.database_url))
        for arguments, code in ((["setup"], ""), (["shell"], _MAKE_PEOPLE)):
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=env, input=code, text=True, capture_output=True,
            )  # fmt: skip
            if done.returncode:
                raise AssertionError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")

    def settings(self, database_url: str) -> dict[str, str]:
        redis = os.environ.get("REDIS_URL", "")
        found = {"DATABASE_URL": database_url, "REDIS_URL": redis}
        return {name: value for name, value in found.items() if value}

    def copy_to(self, data: Path) -> dict[str, str]:
        """Make `data` a copy; returns the settings that reach its database."""
        shutil.copytree(self.folder, data, copy_function=_link_static)
        # Servers of one key are one installation to Redis: they would hear each other's news.
        (data / "secrets" / "secret_key").write_text(secrets.token_urlsafe(50), encoding="utf-8")
        return self.settings(self.database.create(self.database_url) if self.database_url else "")


def drop_template(folder: Path) -> None:
    """Drop the database of the template that the run made in `folder`, if it made one."""
    made = folder / "template.database"
    if made.exists() and (url := made.read_text()):
        database = Database()
        database.made.append(urlsplit(url).path[1:])
        database.drop_all()


def _link_static(source: str, target: str) -> None:
    if f"{os.sep}static{os.sep}" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


class Server:
    """A server process and its data. See the module's docstring."""

    def __init__(self, data: Path, settings: dict[str, str], **more: str) -> None:
        self.data = data
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws/"
        self.env = own_environment(
            data,
            **settings,
            STKWEB_LISTEN=f"127.0.0.1:{self.port}",
            STKWEB_ORIGINS=self.base_url,
        )
        self.env.update(more)
        self.database_url = self.env.get("DATABASE_URL", "")
        self.process: subprocess.Popen[bytes] | None = None
        self._log = data / f"server-{self.port}.log"
        self._kept: Any = None

    # -- the process -----------------------------------------------------------------------------

    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, "manage.py", "serve"]

    def start(self, *, wait: bool = True) -> Server:
        """Start it; with `wait`, until it is ready to take questions."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=ROOT, env=self.env, stdout=log, stderr=log)
        if wait:
            wait_for(self._ready, START, f"{self.base_url}/readyz answers 200")
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
        with socket.socket() as probe:  # a request that is refused costs milliseconds
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            return requests.get(f"{self.base_url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> int:
        """SIGKILL, as a crash or the kernel would."""
        return self._end(signal.SIGKILL, 10.0)

    def _end(self, number: int, seconds: float) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def restart(self) -> Server:
        """A clean stop and another start."""
        self.stop()
        return self.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def rss(self) -> int:
        """Resident memory of the process in bytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    # -- its data --------------------------------------------------------------------------------

    def manage(
        self, *arguments: str, text: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command on the same data; `text` is its standard input."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env={**self.env, **(env or {})}, text=True, capture_output=True, timeout=120, **given,
        )  # fmt: skip

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query with ? for values; changes are committed."""
        if self.database_url:
            cursor = self._connection().execute(query.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.data / "stkweb.sqlite3", timeout=20)) as lite, lite:
            return lite.execute(query, values).fetchall()

    def _connection(self) -> Any:
        """One while the server lives: those who wait look every 20 ms, too often for a connection each."""
        import psycopg

        if self._kept is None or self._kept.closed:
            self._kept = psycopg.connect(self.database_url, autocommit=True)
        return self._kept

    def close(self) -> None:
        """Close what `rows` keeps open."""
        if self._kept is not None:
            self._kept.close()

    # -- its people ------------------------------------------------------------------------------

    def sign_in(self, username: str, password: str = PASSWORD) -> requests.Session:
        """A session that is signed in through the form."""
        session = requests.Session()
        session.get(f"{self.base_url}/accounts/login/", timeout=20).raise_for_status()
        answer = session.post(
            f"{self.base_url}/accounts/login/",
            data={"username": username, "password": password, "csrfmiddlewaretoken": self.csrf(session)},
            headers={"Origin": self.base_url, "Referer": f"{self.base_url}/accounts/login/"},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code == 302, f"{username} was not signed in: {answer.status_code}"
        return session

    def csrf(self, session: requests.Session) -> str:
        """The CSRF token of a session."""
        return session.cookies.get("stkweb_csrf") or session.cookies.get("__Host-csrf") or ""

    def post(
        self, session: requests.Session, path: str, fields: dict[str, Any] | None = None, **headers: str
    ) -> requests.Response:
        """A POST of JSON as the page's script sends it; a header's name is written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return session.post(
            self.base_url + path,
            json=fields or {},
            headers={"X-CSRFToken": self.csrf(session), "Origin": self.base_url, **sent},
            allow_redirects=False,
            timeout=30,
        )

    def ask(self, session: requests.Session, text: str, conversation: str | None = None) -> dict[str, str]:
        """Send a question; the ids of conversation, question and answer."""
        path = f"/c/{conversation}/messages/" if conversation else "/c/"
        answer = self.post(session, path, {"text": text}, Idempotency_Key=str(ULID()))
        assert answer.status_code == 202, f"{answer.status_code}: {answer.text}"
        return answer.json()

    def cookies(self, session: requests.Session) -> list[dict[str, Any]]:
        """The session's cookies as Playwright takes them."""
        return [{"name": c.name, "value": c.value, "url": self.base_url} for c in session.cookies]


class DaphneServer(Server):
    """The same application under Daphne, which speaks no lifespan."""

    def command(self) -> list[str]:
        address = ["-b", "127.0.0.1", "-p", str(self.port)]
        return [sys.executable, "-m", "daphne", "-v", "0", *address, "stkweb.asgi:application"]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """`server`, started, and ended at the end whatever happens; its log is shown with a failure."""
    try:
        yield server.start()
    finally:
        if server.running:
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.kill()
        server.close()
        print(f"--- log of {server.base_url}\n{server.log[-8000:]}")
