"""Fixtures for everybody. People: alice owns what there is, bob is a colleague, charlie is to see nothing.

In this process:  alice, bob, charlie, staff, administrator (rows); demo_agent (a row)
Real processes:   server (one of its own for the test), shared_server (one for the session: neither
                  stop it nor change its settings), make_server(**environment)
                  See tests/real_server.py.
Agents:           agent_server (tests/agent_server.py)
Browser:          browser (Chromium, one for the session), open_page(server, "alice", **context options)

Browser tests use Playwright's synchronous interface and run after all others: while it is open, no
event loop can run in this thread.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from tests import untouched
from tests.agent_server import agent_server  # noqa: F401 (a fixture)
from tests.contexts import Contexts
from tests.real_server import PASSWORD, Database, Server, Template, drop_template, running

CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
#: Two hidden pages of the address bar come with each context, at 1 to 2 s of CPU. The rest is what Playwright
#: switches off itself: of two such arguments the last one counts.
NO_FEATURES = (
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,OmniboxPopupWebUI,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,TcpPortRandomizationWin,OptimizationHints,NetworkTimeServiceQuerying,"
    "AimEnabled,PreconnectToSearch"
)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-extensions",
    f"--disable-features={NO_FEATURES}",
]  # fmt: skip
NO_CHROMIUM = f"no Chromium at {CHROMIUM}: install it, or set CHROMIUM to its path"


# -- the run -------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """A data folder of the run's own, plain static names, and cheap password hashes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="stkweb-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    settings.DATA_DIR = folder
    settings.STATIC_ROOT = folder / "static"
    settings.STATIC_ROOT.mkdir()
    settings.MEDIA_ROOT = folder / "files"
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.AGENT_HOSTS = ["127.0.0.1", "localhost"]  # where the agents of tests are
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        settings.DATABASES["default"]["TEST"]["NAME"] = str(folder / "test.sqlite3")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests last; what needs a service that was not given is left out."""
    for item in items:
        untouched.mark(item)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        for marker, reason in _missing_services().items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def _missing_services() -> dict[str, str]:
    missing = {}
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        missing["postgres"] = "PostgreSQL: DATABASE_URL names none"
    if not os.environ.get("REDIS_URL"):
        missing["redis"] = "Redis: REDIS_URL is not set"
    if not os.environ.get("STKWEB_TEST_LITELLM"):
        missing["litellm"] = "LiteLLM's proxy, which is installed first: STKWEB_TEST_LITELLM is not set"
    return missing


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say plainly what this run did not look at."""
    left_out = list(_missing_services().values())
    if not Path(CHROMIUM).exists():
        left_out.append(f"browser tests: {NO_CHROMIUM}")
    if left_out:
        terminalreporter.section("left out")
        for line in left_out:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _untouched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the rooms that need neither database nor Redis, none can be reached."""
    if request.node.get_closest_marker(untouched.MARKER):
        untouched.close_ways(monkeypatch)


# -- rows in this process ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """SQLite tests run in WAL, as the product does; emptied tables cost little on both databases."""
    from django.db import connection

    from tests import emptying

    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
        emptying.install()
    yield
    if connection.vendor == "postgresql":
        # PostgreSQL drops no database to which a thread that is just ending is still connected.
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def _undone_last(request: pytest.FixtureRequest) -> None:
    """Real transactions are undone after everything that might still write is gone."""
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")


@pytest.fixture
def make_person(db: None) -> Callable[..., Any]:
    """make_person(name, **fields): a user with PASSWORD."""
    from django.contrib.auth import get_user_model

    return lambda name, **fields: get_user_model().objects.create_user(name, password=PASSWORD, **fields)


@pytest.fixture
def alice(make_person: Callable[..., Any]) -> Any:
    """She owns what there is."""
    return make_person("alice")


@pytest.fixture
def bob(make_person: Callable[..., Any]) -> Any:
    """A colleague."""
    return make_person("bob")


@pytest.fixture
def charlie(make_person: Callable[..., Any]) -> Any:
    """Is to see nothing of theirs."""
    return make_person("charlie")


@pytest.fixture
def staff(make_person: Callable[..., Any]) -> Any:
    """May enter the administration, without a single permission."""
    return make_person("staff", is_staff=True)


@pytest.fixture
def administrator(make_person: Callable[..., Any]) -> Any:
    """May do everything that the administration offers."""
    return make_person("administrator", is_staff=True, is_superuser=True)


@pytest.fixture
def demo_agent(db: None) -> Any:
    """The row of the built-in agent."""
    from chat.models import Agent

    return Agent.objects.create(name="Demo", kind=Agent.Kind.DEMO)


# -- real processes ------------------------------------------------------------------------------


def _folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """One for all workers of the run."""
    own = factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What the workers shared is dropped by the one who waits for them."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and not hasattr(session.config, "workerinput"):
        drop_template(factory.getbasetemp())


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    database = Database()
    try:
        yield Template(_folder_of_the_run(tmp_path_factory), database)
    finally:
        database.drop_all()


@pytest.fixture
def make_server(_template: Template, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """make_server(**environment): a started server with data of its own.

    `beside=other` shares the data of another one (several processes: PostgreSQL and Redis).
    """
    from contextlib import ExitStack

    with ExitStack() as stack:
        count = 0

        def make(*, beside: Server | None = None, **environment: str) -> Server:
            nonlocal count
            count += 1
            if beside is not None:
                found = _template.settings(beside.database_url)
                server = Server(beside.data, found, **environment)
            else:
                data = tmp_path / f"data-{count}"
                server = Server(data, _template.copy_to(data), **environment)
            return stack.enter_context(running(server))

        yield make


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server process of this test's own: stop it, kill it, restart it."""
    return make_server()


@pytest.fixture(scope="session")
def shared_server(_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    data = tmp_path_factory.mktemp("shared") / "data"
    with running(Server(data, _template.copy_to(data), STKWEB_SENDS_PER_MINUTE="10000")) as server:
        yield server


# -- the browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium through Playwright's synchronous interface."""
    if not Path(CHROMIUM).exists():
        pytest.skip(NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def _contexts(browser: Any) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def open_page(_contexts: Contexts) -> Iterator[Callable[..., Any]]:
    """open_page(server, "alice", **context options): a page of a context that nobody else uses, signed in.

    `page.problems` collects what should not be: CSP violations, script errors, requests to other
    hosts. Nobody is signed in when the name is None.
    """
    taken = []

    def make(server: Server, username: str | None = None, **options: Any) -> Any:
        options = {"base_url": server.base_url, "locale": "en-GB", **options}
        problems: list[str] = []
        taken.append(_contexts.take(options, problems))
        context = taken[-1].browser
        if username is not None:
            context.add_cookies(server.cookies(server.sign_in(username)))
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("request", lambda request: _note_foreign(server, request.url, problems))
        page.problems = problems
        return page

    yield make
    for context in taken:
        _contexts.give_back(context)


def _note_foreign(server: Server, url: str, problems: list[str]) -> None:
    ours = (server.base_url, server.base_url.replace("http", "ws", 1), "data:", "blob:", "about:")
    if not url.startswith(ours):
        problems.append(f"request to {url}")
