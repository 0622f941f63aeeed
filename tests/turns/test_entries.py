"""One ledger entry for each request that was really made of an agent, and what each says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from chat.actions.asking import retry
from chat.agents import AgentRequest, HistoryMessage
from chat.models import Agent, LedgerEntry, State
from chat.turns.entries import estimate, served_by
from tests.agent_server import AgentServer, hang, refuse, say, usage
from tests.serving import Serving
from tests.turns.test_runner import stop


def entries() -> list[LedgerEntry]:
    return list(LedgerEntry.objects.order_by("pk"))


def test_each_request_that_was_refused_and_made_again_has_an_entry(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(refuse(429, Retry_After="0"))
    agent_server.answer(refuse(503, Retry_After="0"))
    agent_server.answer(say("at last"), usage(3, None, 4))
    answer = serving.ended(serving.ask(alice))
    assert answer.state == State.COMPLETED
    first, second, last = entries()
    assert [row.outcome for row in (first, second, last)] == ["failed", "failed", "completed"]
    assert [row.error_code for row in (first, second)] == ["busy", "agent_unavailable"]
    assert [row.retry_of for row in (first, second, last)] == ["", first.public_id, second.public_id]
    assert (first.certainty, first.user_tokens, last.user_tokens) == ("unknown", None, 3)
    assert first.started_at <= first.ended_at <= second.started_at <= last.started_at
    assert {row.message_id for row in (first, second, last)} == {answer.public_id}
    assert len(agent_server.chats) == 3
    assert LedgerEntry.objects.first_broken() is None


def test_a_question_asked_again_says_which_answer_it_repeats(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    old = serving.ask(alice)
    serving.ended(old)
    serving.ended(retry(alice, conversation=old.conversation, answer=old.answer))
    first, second = entries()
    assert (first.purpose, first.retry_of) == ("answer", "")
    assert (second.purpose, second.retry_of) == ("again", old.answer)


def test_a_turn_that_made_no_request_leaves_no_entry(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    Agent.objects.update(concurrent_streams=1)
    agent_server.answer(say("one "), hang())
    running = serving.ask(alice)
    serving.wait_text(running, "one ")
    waiting = serving.ask(alice)
    assert stop(alice, waiting.conversation)
    assert serving.ended(waiting).state == State.STOPPED
    assert entries() == []
    stop(alice, running.conversation)
    serving.ended(running)
    assert [row.message_id for row in entries()] == [running.answer]
    assert len(agent_server.chats) == 1


def test_an_estimate_is_made_of_texts_alone() -> None:
    request = AgentRequest("12345678", history=(HistoryMessage("user", "1234"),))
    assert (estimate(request, "12345").user, estimate(request, "12345").output) == (3, 2)
    assert (estimate(request, "").output, estimate(request, "").enrichment) == (None, None)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, ("", "")),
        (Agent(kind="demo"), ("demo", "")),
        (Agent(kind="stackspot", options={"selected_model": "m"}), ("stackspot", "m")),
        (Agent(kind="openai", base_url="https://api.example/v1", agent_id="m1"), ("api.example", "m1")),
    ],
)
def test_it_names_provider_and_model(row: Agent | None, expected: tuple[str, str]) -> None:
    assert tuple(served_by(row).values()) == expected
