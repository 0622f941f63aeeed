"""Turns that wait for a place: what a person sees, and that they may leave."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chat import actions
from chat.actions.beginning import config_of
from chat.models import Agent, LedgerEntry, State
from chat.turns.allowance import open_allowance
from chat.turns.places import Rule, Ticket, key_of
from tests.agent_server import AgentServer, gate, refuse, say, usage
from tests.serving import Recorder, Serving, wait_for

Make = Callable[..., Agent]


def places_in(watcher: Recorder) -> list[dict[str, Any] | None]:
    return [event["stkweb"]["place"] for event in watcher.events if event["type"] == "progress_update"]


def test_who_waits_sees_the_place_and_an_estimate_and_then_gets_the_answer(
    serving: Serving, alice: Any, bob: Any, make_agent: Make, agent_server: AgentServer
) -> None:
    make_agent(concurrent_streams=1)
    agent_server.answer(say("one"), gate("go"), usage())
    first = serving.ask(alice)
    serving.wait_text(first, "one")
    second = serving.ask(bob)
    watcher = serving.watch(second.conversation)
    turn = wait_for(
        lambda: next((t for t in serving.runtime.turns.values() if t.place), None), what="one that waits"
    )
    shown = serving.call(turn.snapshot)[-1]
    assert shown["stkweb"]["state"] == "queued"
    assert shown["stkweb"]["place"]["before"] == 0
    assert shown["stkweb"]["place"]["seconds"] >= 1
    assert len(agent_server.chats) == 1, "nothing is asked while it waits"
    agent_server.open("go")
    answer = serving.ended(second)
    assert answer.text == "Hello, world"
    assert places_in(watcher)[-1] is None, "the waiting is over"
    entry = LedgerEntry.objects.get(message_id=answer.public_id)
    assert entry.duration_ms <= (answer.duration_ms or 0)
    assert entry.started_at > (answer.started_at or entry.started_at), "waiting is no part of the call"


def test_who_waits_may_leave(
    serving: Serving, alice: Any, bob: Any, make_agent: Make, agent_server: AgentServer
) -> None:
    make_agent(concurrent_streams=1)
    agent_server.always(say("one"), gate("go"), usage())
    first = serving.ask(alice)
    serving.wait_text(first, "one")
    second = serving.ask(bob)
    wait_for(lambda: any(turn.place for turn in serving.runtime.turns.values()), what="one that waits")
    actions.stop(bob, conversation=second.conversation)
    assert serving.ended(second).state == State.STOPPED
    assert not LedgerEntry.objects.filter(message_id=second.answer).exists(), "nothing was asked"
    assert serving.ended(second).state == State.STOPPED
    third = serving.ask(bob)
    agent_server.open("go")
    assert serving.ended(first).state == State.COMPLETED
    assert serving.ended(third).state == State.COMPLETED
    assert len(agent_server.chats) == 2


def test_agents_of_the_same_credential_share_it(
    serving: Serving, alice: Any, make_agent: Make, agent_server: AgentServer
) -> None:
    one, two = make_agent("One", concurrent_streams=1), make_agent("Two", concurrent_streams=1)
    agent_server.answer(say("one"), gate("go"), usage())
    first = serving.ask(alice, agent=one.public_id)
    serving.wait_text(first, "one")
    second = serving.ask(alice, agent=two.public_id)
    wait_for(lambda: any(turn.place for turn in serving.runtime.turns.values()), what="one that waits")
    agent_server.open("go")
    assert serving.ended(second).state == State.COMPLETED


def test_an_agent_without_limits_waits_for_nobody(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    serving.ended(sent)
    assert places_in(watcher) == []


def test_nobody_waits_for_ever(
    serving: Serving, alice: Any, make_agent: Make, agent_server: AgentServer, settings: Any
) -> None:
    make_agent(requests_per_minute=1)
    serving.ended(serving.ask(alice))
    settings.LIMIT_TURN = 0.5
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.error_code) == (State.FAILED, "busy")
    assert len(agent_server.chats) == LedgerEntry.objects.count() == 1


def test_each_call_of_an_answer_that_goes_on_takes_a_place(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer, settings: Any
) -> None:
    settings.LIMIT_TURN = 1.0
    make_model(requests_per_minute=1, on_length="auto")
    agent_server.answer(say("one"), usage(stop="length"))
    answer = serving.ended(serving.ask(alice))
    assert (answer.text, answer.error_code) == ("one", "too_long")
    assert len(agent_server.chats) == 1


def test_a_429_that_asks_for_a_pause_holds_everybody_with_that_credential(
    serving: Serving, alice: Any, bob: Any, make_agent: Make, agent_server: AgentServer
) -> None:
    key = key_of(config_of(make_agent(concurrent_streams=5)))
    places = serving.runtime.allowance._places

    def paused() -> bool:
        probe = Ticket(key, "probe", Rule(at_once=5))
        waits = places.ask(probe) is not None
        places.leave(probe)
        return waits

    agent_server.answer(refuse(429, {"code": "X"}, Retry_After="1"))
    first = serving.ask(alice)
    wait_for(paused, what="the pause")
    refused_at = agent_server.chats[0].at
    second = serving.ask(bob)
    watcher = serving.watch(second.conversation)
    serving.ended(first)
    assert serving.ended(second).state == State.COMPLETED
    assert all(chat.at - refused_at >= 1.0 for chat in agent_server.chats[1:])
    assert len(agent_server.chats) == 3
    shown = places_in(watcher)
    assert not shown or shown[-1] is None


@pytest.mark.redis
def test_two_processes_share_one_allowance() -> None:
    """Two allowances over one Redis are what two processes have."""
    one, two = (open_allowance(os.environ["REDIS_URL"]) for _ in range(2))
    key = f"test-{os.getpid()}-{id(one)}"
    began = threading.Event()

    def hold() -> None:
        with two.hold(Ticket(key, "bob", Rule(at_once=1))):
            began.set()

    with one.hold(Ticket(key, "alice", Rule(at_once=1))):
        thread = threading.Thread(target=hold)
        thread.start()
        assert not began.wait(0.6)
    assert began.wait(5)
    thread.join()
    one.close()
    two.close()
