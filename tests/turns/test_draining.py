"""Stop's other mode: the person sees it stopped at once, the call is read on for its exact tokens."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from chat.models import Agent, LedgerEntry, Message, PendingCall, State, new_id
from chat.turns.reaper import Reaper
from tests.agent_server import AgentServer, gate, hang, say, usage
from tests.models.conftest import make_entry
from tests.serving import Recorder, Serving, wait_for
from tests.turns.test_runner import endings_in, stop


def stopped(serving: Serving, alice: Any) -> tuple[Any, Message, Recorder]:
    """What was sent, the answer as it ended, and somebody who watched from before the stop."""
    sent = serving.ask(alice)
    serving.wait_text(sent, "one ")
    watcher = serving.watch(sent.conversation)
    assert stop(alice, sent.conversation)
    wait_for(lambda: Message.objects.filter(public_id=sent.answer, state=State.STOPPED), what="the end")
    answer = Message.objects.get(public_id=sent.answer)
    wait_for(lambda: endings_in(watcher, answer), what="its announcement")
    return sent, answer, watcher


@pytest.fixture
def draining(agent: Agent) -> Agent:
    agent.on_stop = Agent.OnStop.DRAIN
    agent.save()
    return agent


def test_a_stopped_call_is_read_to_its_end_for_its_exact_tokens(
    serving: Serving, alice: Any, draining: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("one "), gate("go"), say("two "), usage(5, 6, 7))
    sent, answer, watcher = stopped(serving, alice)
    assert (answer.state, answer.text) == (State.STOPPED, "one ")
    assert (LedgerEntry.objects.count(), PendingCall.objects.count()) == (0, 1)
    serving.ended(serving.ask(alice, conversation=sent.conversation))  # nobody waits for it
    feed = serving.watch_feed(alice)
    agent_server.open("go")
    wait_for(lambda: "conversation.settled" in feed.kinds, what="the exact tokens in open pages")
    assert [event["conversation"] for event in feed.events if event["type"] == "conversation.settled"] == [
        {
            "id": sent.conversation, "answer": sent.answer, "estimated": None,
            "usage": {"user": 5, "enrichment": 6, "output": 7, "total": 18},
        }
    ]  # fmt: skip
    assert not PendingCall.objects.exists()
    entry = LedgerEntry.objects.get(message_id=sent.answer)
    assert (entry.certainty, entry.outcome) == ("reported", "stopped")
    assert (entry.user_tokens, entry.enrichment_tokens, entry.output_tokens) == (5, 6, 7)
    assert Message.objects.get(public_id=sent.answer).text == "one "
    assert len(endings_in(watcher, answer)) == 1


def test_it_is_not_read_for_longer_than_the_limit(
    serving: Serving, alice: Any, draining: Agent, agent_server: AgentServer, monkeypatch: Any
) -> None:
    monkeypatch.setattr(settings, "LIMIT_DRAIN", 0.2)
    agent_server.answer(say("one "), hang())
    sent, _answer, _watcher = stopped(serving, alice)
    wait_for(lambda: LedgerEntry.objects.exists(), what="the entry")
    entry = LedgerEntry.objects.get(message_id=sent.answer)
    assert (entry.certainty, entry.outcome, entry.output_tokens) == ("estimated", "stopped", 1)
    assert not PendingCall.objects.exists()
    wait_for(lambda: agent_server.chats[0].connection.closed_by == "client", what="the connection closes")


@pytest.mark.django_db
def test_what_a_dead_process_was_reading_is_entered_as_estimated() -> None:
    now = timezone.now()
    entry = make_entry(certainty="estimated", started_at=now, ended_at=now, message_id="m1")
    PendingCall.of("m1", new_id(), [entry]).save()
    mine = Reaper(new_id())
    mine.reap(alone=True)
    mine.reap(alone=True)
    row = LedgerEntry.objects.get()
    assert (row.message_id, row.certainty, row.user_tokens, row.ended_at) == ("m1", "estimated", 11, now)
    assert LedgerEntry.objects.first_broken() is None
