"""A person in Chromium, in front of the real server process.

house                      one server for all tests that leave it as it is; generous limits, short silences
visit("alice", "/")        a page of a browser context of its own, signed in and at work; with
                           `server=` at another server, with `page=` another tab of that page's context

At the end of each test every page must have been without script errors, violations of the
Content-Security-Policy and requests to other hosts. A test that provokes one clears `page.problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.acts import at_work
from tests.real_server import Server, Template, running

#: Nothing here depends on being fast; a shared machine is slow now and then.
TIMEOUT = 30_000
WIDE = {"width": 1280, "height": 800}


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="session")
def house(_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it is."""
    data = tmp_path_factory.mktemp("house") / "data"
    limits = {
        "STKWEB_SENDS_PER_MINUTE": "100000",
        "STKWEB_TURNS_PER_USER": "500",
        "STKWEB_FIRST_BYTE_SECONDS": "1.5",
        "STKWEB_IDLE_SECONDS": "1.5",
    }
    with running(Server(data, _template.copy_to(data), **limits)) as server:
        yield server


@pytest.fixture(scope="session")
def _keys() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Cookies of people who are signed in at `house`, so that each signs in once."""
    return {}


@pytest.fixture
def visit(
    house: Server, open_page: Callable[..., Any], _keys: dict[tuple[str, str], list[dict[str, Any]]]
) -> Iterator[Callable[..., Any]]:
    pages: list[Any] = []

    def make(
        who: str | None = "alice",
        path: str = "/",
        *,
        server: Server = house,
        page: Any = None,
        **options: Any,
    ) -> Any:
        problems = page.problems if page is not None else None
        if page is not None:
            page = page.context.new_page()
            page.problems = problems
            page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        else:
            page = open_page(
                server, None, **{"viewport": WIDE, "timezone_id": "America/Sao_Paulo", **options}
            )
            page.context.set_default_timeout(TIMEOUT)
            if who is not None:
                if (server.base_url, who) not in _keys:
                    _keys[server.base_url, who] = server.cookies(server.sign_in(who))
                page.context.add_cookies(_keys[server.base_url, who])
        pages.append(page)
        page.goto(path)
        if who is not None and options.get("java_script_enabled", True) and not path.startswith("/admin"):
            at_work(page)
        return page

    yield make
    assert [page.problems for page in pages if page.problems] == []
