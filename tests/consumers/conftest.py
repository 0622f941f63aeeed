"""The whole application on uvicorn, in this process: real sockets, and the test's own rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.test import Client

from tests.real_server import free_port, wait_for
from tests.serving import Serving, agent, make_agent
from tests.tab import Tab

__all__ = ["agent", "make_agent", "open_tab", "site"]


class Site(Serving):
    """Serves HTTP and sockets as `manage.py serve` does."""

    def open(self) -> None:
        self.port = free_port()
        config = uvicorn.Config(
            "stkweb.asgi:application", port=self.port, log_config=None, lifespan="on", http="httptools",
            ws="stkweb.sockets:Connection", ws_max_size=settings.LIMIT_FRAME_BYTES,
            ws_per_message_deflate=False,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self._serving = asyncio.run_coroutine_threadsafe(self.server.serve(), self.loop)
        wait_for(lambda: self.server.started or self._serving.done(), what="uvicorn has started")
        if self._serving.done():
            self._serving.result()

    def shut(self) -> None:
        self.server.should_exit = True
        self._serving.result(20)

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/"

    def sign_in(self, user: Any) -> Client:
        """A session of this person's."""
        client = Client()
        client.force_login(user, settings.AUTHENTICATION_BACKENDS[-1])
        return client

    def cookie(self, client: Client) -> str:
        return f"{settings.SESSION_COOKIE_NAME}={client.session.session_key}"

    def tab(self, user: Any, **options: Any) -> Tab:
        """A socket of this person's, signed in anew."""
        options.setdefault("cookie", self.cookie(self.sign_in(user)) if user else "")
        options.setdefault("origin", settings.ORIGINS[0])
        return Tab(self.ws_url, **options)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    served = Site()
    try:
        served.open()
        yield served
    finally:
        served.close()


@pytest.fixture
def open_tab(site: Site) -> Iterator[Callable[..., Tab]]:
    """open_tab(user): a socket that is closed with the test."""
    tabs: list[Tab] = []

    def opened(user: Any, **options: Any) -> Tab:
        tabs.append(site.tab(user, **options))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.close()
