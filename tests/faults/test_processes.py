"""Two server processes on one database and one Redis: whoever watches elsewhere sees the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.agent_server import gate, hang, pause, refuse, say, usage
from tests.faults.conftest import IMPATIENT, House, elapsed
from tests.real_server import Server, wait_for
from tests.tab import Tab

pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.redis]
WORDS = [f"word{n} " for n in range(120)]
TEXT = "".join(WORDS)


def slowly(seconds: float) -> list[Any]:
    return [step for word in WORDS for step in (say(word), pause(seconds))]


@pytest.fixture
def two(own_house: Callable[..., House], make_server: Callable[..., Server]) -> tuple[House, Server]:
    """A house, and another server process on its data."""
    settings = {**IMPATIENT, "STKWEB_LEASE_SECONDS": "2"}
    house = own_house(**settings)
    return house, make_server(beside=house.server, **settings)


def test_one_who_watches_at_another_process_sees_the_text_come(two: tuple[House, Server]) -> None:
    """R25."""
    house, other = two
    house.agent_server.answer(*slowly(0.02), usage(1, 2, 3))
    sent = house.ask()
    near, far = house.tab(sent), house.tab(sent, other)
    wait_for(lambda: "word10 " in (far.text(sent["answer"]) or ""))
    assert far.state(sent["answer"]) == "streaming"
    behind = len(near.text(sent["answer"]) or "") - len(far.text(sent["answer"]) or "")
    assert behind < len(TEXT) // 2
    wait_for(lambda: far.state(sent["answer"]) == "completed")
    wait_for(lambda: near.state(sent["answer"]) == "completed")
    thread = sent["conversation"]
    assert far.text(sent["answer"]) == TEXT
    assert far.pages[thread].items == near.pages[thread].items
    deltas = [f for f in far.of_type("event") if f["event"]["type"] == "thread.item.updated"]
    assert len(deltas) > 10, "live, not by reading again"
    assert house.shown(sent)["content"][0]["text"] == TEXT


def test_a_429_that_asks_for_a_pause_holds_the_other_process_too(two: tuple[House, Server]) -> None:
    """The credential is refused, not the process: nobody begins before the time that was asked for."""
    house, other = two
    house.server.rows("UPDATE chat_agent SET concurrent_streams = 5")
    house.agent_server.answer(refuse(429, {"code": "X"}, Retry_After="3"))
    first = house.ask()
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    wait_for(lambda: list(client.scan_iter("*.allowance.*.paused")), what="the pause")
    client.close()
    bob = other.sign_in("bob")
    sent = other.post(bob, "/c/", {"text": "a question of alice", "agent": house.agent}).json()
    assert house.ended(first)["state"] == house.ended(sent)["state"] == "completed"
    refused, *served = house.agent_server.chats
    assert len(served) == 2
    assert all(chat.at - refused.at >= 3.0 for chat in served)


def test_a_stop_at_another_process_ends_it_within_a_second(two: tuple[House, Server]) -> None:
    """R25."""
    house, other = two
    house.agent_server.answer(say("so far"), hang())
    sent = house.ask()
    near, far = house.tab(sent), house.tab(sent, other)
    wait_for(lambda: near.text(sent["answer"]) == far.text(sent["answer"]) == "so far")
    begun = time.monotonic()
    far.stop(sent["conversation"])
    wait_for(lambda: near.state(sent["answer"]) == far.state(sent["answer"]) == "stopped", 3)
    assert elapsed(begun) <= 1.0
    assert house.agent_server.chats[0].connection.closed_by == "client"


def test_what_is_lost_between_processes_is_read_again(two: tuple[House, Server]) -> None:
    """R25: the subscriptions of both processes are cut in the middle, and frames with them."""
    house, other = two
    house.agent_server.answer(*slowly(0.03), usage(1, 2, 3))
    sent = house.ask()
    far = house.tab(sent, other)
    wait_for(lambda: "word10 " in (far.text(sent["answer"]) or ""))
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    database = str(client.connection_pool.connection_kwargs.get("db", 0))
    cut = [c for c in client.client_list(_type="pubsub") if c["db"] == database]
    assert cut
    for one in cut:
        client.client_kill_filter(_id=one["id"])
    client.close()
    wait_for(lambda: far.state(sent["answer"]) == "completed", 20)
    assert far.text(sent["answer"]) == TEXT
    assert far.code is None


def test_what_is_watched_at_another_process_is_not_unread(two: tuple[House, Server]) -> None:
    house, other = two
    house.agent_server.answer(say("so far"), gate("go"), say("."), usage(1, 2, 3))
    sent = house.ask()
    feed, far = house.tab(), house.tab(sent, other)
    wait_for(lambda: feed.of_type("hello") and far.text(sent["answer"]) == "so far")
    house.agent_server.open("go")
    house.ended(sent)

    def news() -> list[str]:
        return [frame["event"]["type"] for frame in feed.of_type("feed")]

    wait_for(lambda: "conversation.read" in news())
    unread = "SELECT unread FROM chat_conversation WHERE public_id = ?"
    assert not house.server.rows(unread, sent["conversation"])[0][0]


def test_a_process_that_is_killed_loses_no_answer_that_others_watch(two: tuple[House, Server]) -> None:
    """R03: interrupted within lease and reaper, by the other process, and asked only once."""
    house, other = two
    house.agent_server.answer(say("so far"), hang())
    sent = house.ask()
    far = house.tab(sent, other)
    wait_for(lambda: far.text(sent["answer"]) == "so far" and house.row(sent)["text"] == "so far")
    house.server.kill()
    wait_for(lambda: far.state(sent["answer"]) == "interrupted", 15)
    assert far.text(sent["answer"]) == "so far"
    assert len(house.agent_server.chats) == 1
    house.server.start()


def test_two_installations_on_one_redis_do_not_hear_each_other(
    two: tuple[House, Server], make_server: Callable[..., Server]
) -> None:
    house, _ = two
    stranger = make_server(STKWEB_SECRET_KEY="of another installation, long enough to be one")
    session = stranger.sign_in("alice")
    cookie = f"stkweb_session={session.cookies['stkweb_session']}"
    with Tab(stranger.ws_url, cookie=cookie, origin=stranger.base_url) as tab:
        wait_for(lambda: tab.of_type("hello"))
        own = house.tab(server=house.server)
        sent = house.ask()
        house.ended(sent)
        wait_for(lambda: len(own.of_type("feed")) == 2)
        stranger.ask(session, "of the stranger")
        wait_for(lambda: tab.of_type("feed"))
        ids = {frame["event"]["conversation"]["id"] for frame in tab.of_type("feed")}
        assert sent["conversation"] not in ids
