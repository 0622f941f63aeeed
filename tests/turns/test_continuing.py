"""Answers that the agent cut because they were long, and what it is told of the conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat import actions
from chat.actions import Refused
from chat.agents.continuing import CONTINUE
from chat.models import Agent, LedgerEntry, Message, State
from chat.models.branches import usage_of
from tests.agent_server import AgentServer, drop, gate, hang, refuse, say, usage
from tests.serving import Serving, wait_for

Make = Callable[..., Agent]


def calls_of(answer: Message) -> list[LedgerEntry]:
    return list(LedgerEntry.objects.filter(message_id=answer.public_id).order_by("pk"))


def messages_of(agent_server: AgentServer, number: int) -> list[tuple[str, str]]:
    """What the call of that number was told."""
    return [(m["role"], m["content"]) for m in agent_server.chats[number].json["messages"]]


# -- the history of a model that remembers nothing ---------------------------------------------------


def test_a_model_is_told_the_branch_as_messages(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    first = serving.ask(alice, "one")
    serving.ended(first)
    answer = serving.ended(serving.ask(alice, "two", first.conversation))
    assert messages_of(agent_server, 1) == [("user", "one"), ("assistant", "Hello, world"), ("user", "two")]
    assert (answer.trimmed, answer.upstream_conversation) == (0, "")


def test_a_history_beyond_the_budget_is_trimmed_from_the_oldest_and_the_person_is_told(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(history_bytes=1024)
    conversation = None
    for n in range(3):
        sent = serving.ask(alice, f"question {n} {'x' * 390}", conversation)
        conversation = sent.conversation
        serving.ended(sent)
    watcher = serving.watch(sent.conversation)
    sent = serving.ask(alice, "last", conversation)
    answer = serving.ended(sent)
    told = messages_of(agent_server, 3)
    assert [role for role, _ in told] == ["user", "assistant", "user", "assistant", "user"]
    assert told[0][1].startswith("question 1")
    assert answer.trimmed == 2
    (shown,) = [e["item"] for e in watcher.events if e["type"] == "thread.item.added"]
    assert shown["stkweb"]["trimmed"] == 2, "from the first moment"


def test_a_trimmed_history_begins_with_a_question(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(history_bytes=1024)
    first = serving.ask(alice, "x" * 1020)
    serving.ended(first)
    answer = serving.ended(serving.ask(alice, "two", first.conversation))
    assert messages_of(agent_server, 1) == [("user", "two")]
    assert answer.trimmed == 2


# -- answers cut by length -----------------------------------------------------------------------------


def cut_at(*texts: str, **counts: int) -> tuple[Any, ...]:
    return say(*texts), usage(stop="length", **counts)


def test_an_answer_goes_on_by_itself_and_each_call_is_in_the_ledger(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto", continue_times=3)
    agent_server.answer(*cut_at("one ", user=1, output=2))
    agent_server.answer(*cut_at("two ", user=10, output=20))
    agent_server.answer(say("three"), usage(user=100, output=200))
    sent = serving.ask(alice, "count")
    answer = serving.ended(sent)
    assert (answer.text, answer.state, answer.stop_reason) == ("one two three", State.COMPLETED, "stop")
    assert answer.continued == 2
    calls = calls_of(answer)
    assert [call.user_tokens for call in calls] == [1, 10, 100]
    assert [call.output_tokens for call in calls] == [2, 20, 200]
    assert all(call.outcome == State.COMPLETED and call.first_delta_ms is not None for call in calls)
    assert calls[0].started_at < calls[1].started_at < calls[2].started_at
    assert sum(call.duration_ms for call in calls) <= (answer.duration_ms or 0)
    assert usage_of(sent.conversation, [answer.public_id]) == {answer.public_id: (111, None, 222)}


def test_a_model_is_told_the_question_and_the_answer_so_far(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one "))
    agent_server.answer(*cut_at("two "))
    serving.ended(serving.ask(alice, "count"))
    assert messages_of(agent_server, 1) == [("user", "count"), ("assistant", "one "), ("user", CONTINUE)]
    assert messages_of(agent_server, 2)[1] == ("assistant", "one two ")


def test_an_agent_that_remembers_is_only_asked_to_go_on(
    serving: Serving, alice: Any, make_agent: Make, agent_server: AgentServer
) -> None:
    make_agent(on_length="auto")
    agent_server.answer(*cut_at("one "))
    first = serving.ask(alice, "count")
    answer = serving.ended(first)
    asked, again = (chat.json for chat in agent_server.chats)
    assert answer.text == "one Hello, world"
    assert again["user_prompt"] == CONTINUE
    assert again["conversation_id"] == asked["conversation_id"]
    serving.ended(serving.ask(alice, "more", first.conversation))
    assert agent_server.chats[2].json["user_prompt"] == "more", "it knows the whole branch"


def test_the_closing_event_sums_what_the_calls_used(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one ", user=1, output=2), gate("go"))
    agent_server.answer(say("two"), usage(user=10, output=20))
    sent = serving.ask(alice, "count")
    watcher = serving.watch(sent.conversation)
    agent_server.open("go")
    serving.ended(sent)
    done = [e["item"] for e in watcher.events if e["type"] == "thread.item.done"][-1]
    assert done["stkweb"]["usage"] == {"user": 11, "enrichment": None, "output": 22, "total": 33}
    assert done["stkweb"]["continued"] == 1


def test_it_goes_on_no_more_often_than_it_may(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto", continue_times=2)
    agent_server.always(*cut_at("more "))
    answer = serving.ended(serving.ask(alice, "count"))
    assert len(agent_server.chats) == 3
    assert (answer.text, answer.stop_reason, answer.continued) == ("more more more ", "length", 2)
    assert answer.state == State.COMPLETED


@pytest.mark.parametrize("on_length", ["off", "ask"])
def test_it_does_not_go_on_by_itself_where_nobody_said_so(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer, on_length: str
) -> None:
    make_model(on_length=on_length)
    agent_server.answer(*cut_at("one "))
    sent = serving.ask(alice, "count")
    assert serving.ended(sent).continued == 0
    assert len(agent_server.chats) == 1
    if on_length == "off":
        with pytest.raises(Refused, match="cannot_continue"):
            actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer)
    else:
        more = actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer)
        assert serving.ended(more).text == "Hello, world"
        assert messages_of(agent_server, 1)[-1] == ("user", CONTINUE)


def test_a_failure_while_it_goes_on_keeps_everything_and_is_a_call_of_its_own(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one ", user=1, output=2))
    agent_server.answer(say("tw"), drop())
    answer = serving.ended(serving.ask(alice, "count"))
    assert (answer.text, answer.state, answer.error_code) == ("one tw", State.FAILED, "connection_lost")
    assert [(c.outcome, c.user_tokens) for c in calls_of(answer)] == [("completed", 1), ("failed", None)]


def test_a_refusal_to_go_on_keeps_what_there_is(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one "))
    agent_server.answer(refuse(400, {"error": {"message": "no"}}))
    answer = serving.ended(serving.ask(alice, "count"))
    assert (answer.text, answer.error_code) == ("one ", "rejected")


def test_an_agent_with_nothing_more_to_say_has_answered(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one", user=1, output=2))
    agent_server.answer(usage(user=3, output=0))
    answer = serving.ended(serving.ask(alice, "count"))
    assert (answer.text, answer.state, answer.stop_reason) == ("one", State.COMPLETED, "length")
    assert [call.user_tokens for call in calls_of(answer)] == [1, 3]


def test_it_can_be_stopped_while_it_goes_on(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one "))
    agent_server.answer(say("two"), hang())
    sent = serving.ask(alice, "count")
    serving.wait_text(sent, "one two")
    actions.stop(alice, conversation=sent.conversation)
    answer = serving.ended(sent)
    assert (answer.text, answer.state) == ("one two", State.STOPPED)
    assert [call.outcome for call in calls_of(answer)] == ["completed", "stopped"]
    assert wait_for(lambda: agent_server.closed_by_client, what="the call was closed")


def test_all_calls_of_an_answer_share_the_turns_time(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer, settings: Any
) -> None:
    settings.LIMIT_TURN = 1.0
    make_model(on_length="auto")
    agent_server.answer(*cut_at("one "))
    agent_server.answer(say("two"), hang())
    answer = serving.ended(serving.ask(alice, "count"))
    assert (answer.text, answer.error_code) == ("one two", "too_long")
    assert (answer.duration_ms or 0) < 3000


# -- a history that the model refuses as too long ---------------------------------------------------


def too_long() -> Any:
    words = "Input tokens exceed the configured limit of 1000 tokens. Your messages resulted in 2000 tokens."
    return refuse(400, {"error": {"message": words}})


def test_a_refused_history_is_made_shorter_once_and_the_person_is_told(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    first = serving.ask(alice, "one " * 100)
    serving.ended(first)
    serving.ended(serving.ask(alice, "two " * 100, first.conversation))
    agent_server.answer(too_long())
    agent_server.answer(say("three"), usage(7, None, 8))
    answer = serving.ended(serving.ask(alice, "three?", first.conversation))
    assert (answer.text, answer.state, answer.trimmed) == ("three", State.COMPLETED, 4)
    assert messages_of(agent_server, 3) == [("user", "three?")]
    assert [(call.outcome, call.error_code, call.user_tokens) for call in calls_of(answer)] == [
        ("failed", "prompt_too_long", None), ("completed", "", 7),
    ]  # fmt: skip
    row = Message.objects.get(pk=answer.pk)
    assert row.trimmed == 4


def test_a_second_refusal_is_told_with_its_limit(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    first = serving.ask(alice, "one")
    serving.ended(first)
    agent_server.answer(too_long())
    agent_server.answer(too_long())
    answer = serving.ended(serving.ask(alice, "two", first.conversation))
    assert (answer.error_code, answer.error_params) == ("prompt_too_long", {"limit": 1000, "size": 2000})
    assert (len(agent_server.chats), len(calls_of(answer))) == (3, 2)


def test_a_question_that_is_too_long_by_itself_is_asked_once(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model()
    agent_server.answer(too_long())
    answer = serving.ended(serving.ask(alice, "one"))
    assert (answer.error_code, len(agent_server.chats)) == ("prompt_too_long", 1)
