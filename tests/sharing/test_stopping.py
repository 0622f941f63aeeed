"""A server that stops: people who read a live link along do not keep it, and their pages come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from tests.real_server import Server
from tests.sharing.pages import Owner
from tests.sharing.test_live import Reader, until

pytestmark = pytest.mark.server

#: Seconds for which the server would wait for connections that do not end.
PATIENCE = 60


def test_readers_of_a_live_link_do_not_delay_a_clean_stop(make_server: Callable[..., Server]) -> None:
    """R02 for readers: their streams end whole, the answer is saved, and the link goes on afterwards."""
    server = make_server(STKWEB_SHUTDOWN_SECONDS=str(PATIENCE))
    owner = Owner(server, "alice")
    thread = owner.answered("/fast /echo First answer")
    address = owner.share(thread, live="on")
    colleague = Owner(server, "bob").session
    readers = [Reader(server, address, session) for session in (requests.Session(), colleague)]
    with ExitStack() as stack:
        streams = [stack.enter_context(reader.events()) for reader in readers]
        answer = owner.ask("/echo " + "a long answer " * 400, thread)["answer"]
        for events in streams:
            until(events, ">a long answer")
        began = time.monotonic()
        server.stop(seconds=PATIENCE * 2)
        assert time.monotonic() - began < PATIENCE / 2, "it did not wait for the readers"
        for events in streams:  # a stream that was cut raises instead of ending
            assert "end" not in {kind for kind, _ in events}, "the link has not ended"
    assert "Traceback" not in server.log
    ((state, text),) = server.rows("SELECT state, text FROM chat_message WHERE public_id = ?", answer)
    assert state == "interrupted"
    assert "a long answer" in text
    server.start()
    with readers[0].events() as events:
        until(events, ">a long answer")


@pytest.mark.browser
def test_a_live_page_comes_back_by_itself_after_a_restart(
    make_server: Callable[..., Server], open_page: Callable[..., Any]
) -> None:
    server = make_server()
    owner = Owner(server, "alice")
    thread = owner.answered("/fast /echo First answer")
    page = open_page(server)
    page.goto(owner.share(thread, live="on"))
    page.wait_for_selector("article.a")
    server.stop()
    page.wait_for_function("() => document.querySelector('#state').textContent.includes('Trying again')")
    assert page.locator("article.a").count() == 1, "what is there stays"
    server.start()
    owner.answered("/fast /echo After the *restart*", thread)
    page.wait_for_selector("article.a em", timeout=60_000)
    assert "Live copy" in page.inner_text("#state")


@pytest.fixture
def live_page(shared_server: Server, open_page: Callable[..., Any]) -> Any:
    """A page that has not gone to `address`, a live link, yet; with its `owner` and `thread`."""
    owner = Owner(shared_server, "alice")
    page = open_page(shared_server)
    page.owner, page.thread = owner, owner.answered("/fast /echo First answer")
    page.address = owner.share(page.thread, live="on")
    return page


@pytest.mark.browser
def test_a_live_page_waits_for_a_server_whose_proxy_says_502(live_page: Any) -> None:
    refused: list[str] = []

    def refuse_twice(route: Any) -> None:
        if len(refused) < 2:
            refused.append(route.request.method)
            route.fulfill(status=502)
        else:
            route.continue_()

    live_page.route("**/live/**", refuse_twice)
    live_page.goto(live_page.address)
    live_page.locator("#state", has_text="Trying again").wait_for(timeout=60_000)
    assert refused == ["GET", "HEAD"]
    assert live_page.locator("article.a").count() == 1, "what is there stays"
    live_page.owner.answered("/fast /echo After the *pause*", live_page.thread)
    live_page.wait_for_selector("article.a em", timeout=60_000)
    assert "Live copy" in live_page.inner_text("#state")


@pytest.mark.browser
def test_a_live_page_that_was_away_when_its_link_ended_is_emptied(live_page: Any) -> None:
    live_page.route("**/live/**", lambda route: route.fulfill(status=502))
    live_page.goto(live_page.address)
    live_page.locator("#state", has_text="Trying again").wait_for(timeout=60_000)
    live_page.owner.post("/shares/revoke-all/")
    live_page.unroute("**/live/**")
    live_page.locator("article").first.wait_for(state="detached", timeout=60_000)
    assert "This link has ended" in live_page.inner_text("main")


@pytest.mark.browser
def test_a_live_page_whose_ticket_is_too_old_asks_to_be_reloaded(live_page: Any) -> None:
    live_page.route("**/live/**", lambda route: route.continue_(url=f"{live_page.address}live/?ticket=old"))
    live_page.goto(live_page.address)
    live_page.locator("#state", has_text="Reload").wait_for(timeout=60_000)
    assert live_page.locator("article.a").count() == 1
