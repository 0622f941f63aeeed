"""Try again, continue, show another branch: nothing is overwritten, and the agent knows what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat import actions
from chat.actions import Refused
from chat.actions.prompts import CONTINUE
from chat.models import Agent, Conversation, Message, State
from chat.models.branches import read_branch
from chat.turns import items
from tests.agent_server import AgentServer, cut, end, gate, hang, refuse, say, usage
from tests.serving import Serving


def texts_of(conversation: str) -> list[str]:
    """What the shown branch says."""
    row = Conversation.objects.get(public_id=conversation)
    return [message.text for message in read_branch(row).messages]


def shown(conversation: str) -> dict[str, dict[str, Any]]:
    row = Conversation.objects.get(public_id=conversation)
    return {item["id"]: item for item in items.of_branch(row, read_branch(row))}


def refused(function: Callable[..., Any], *values: Any, **named: Any) -> str:
    with pytest.raises(Refused) as caught:
        function(*values, **named)
    return caught.value.code


def asked(agent_server: AgentServer, n: int) -> dict[str, Any]:
    return agent_server.chats[n].json


# -- what the agent is told ----------------------------------------------------------------------


def test_the_next_question_goes_on_in_the_same_upstream_conversation(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    first = serving.ask(alice, "one")
    serving.ended(first)
    serving.ended(serving.ask(alice, "two", first.conversation))
    one, two = asked(agent_server, 0), asked(agent_server, 1)
    assert one["user_prompt"] == "one"
    assert two["user_prompt"] == "two", "the upstream remembers the rest"
    assert one["conversation_id"] == two["conversation_id"]
    assert len(one["conversation_id"]) == 26


def test_the_upstreams_own_id_is_used_when_it_names_one(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    theirs = "01K6101856EC0MKJ8KN4S2B9CM"
    agent_server.answer(say("a"), usage(conversation_id=theirs))
    first = serving.ask(alice, "one")
    assert serving.ended(first).upstream_conversation == theirs
    serving.ended(serving.ask(alice, "two", first.conversation))
    assert asked(agent_server, 1)["conversation_id"] == theirs


@pytest.mark.parametrize(
    "script",
    [(say("half"), cut()), (say("half"),), (refuse(500),)],
    ids=["cut off", "ended early", "refused"],
)
def test_after_an_answer_that_did_not_end_well_a_new_one_begins_with_the_transcript(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, script: Any
) -> None:
    agent_server.answer(*script)
    first = serving.ask(alice, "one")
    before = serving.ended(first)
    serving.ended(serving.ask(alice, "two", first.conversation))
    one, two = asked(agent_server, 0), asked(agent_server, 1)
    assert one["conversation_id"] != two["conversation_id"]
    assert "one" in two["user_prompt"] and before.text in two["user_prompt"]
    assert two["user_prompt"].rstrip().endswith("two")


def test_another_agent_is_told_the_transcript(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, make_agent: Any
) -> None:
    other = make_agent("Other", position=200)
    first = serving.ask(alice, "one")
    serving.ended(first)
    serving.ended(serving.ask(alice, "two", first.conversation, agent=other.public_id))
    two = asked(agent_server, 1)
    assert two["conversation_id"] != asked(agent_server, 0)["conversation_id"]
    assert "Hello, world" in two["user_prompt"] and "one" in two["user_prompt"]


def test_a_branch_does_not_go_on_where_another_branch_went(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("first answer"), usage())
    agent_server.answer(say("discarded answer"), usage())
    first = serving.ask(alice, "one")
    serving.ended(first)
    serving.ended(serving.ask(alice, "discarded question", first.conversation))
    serving.ended(serving.ask(alice, "kept question", first.conversation, parent=first.answer))
    third = asked(agent_server, 2)
    assert third["conversation_id"] not in {asked(agent_server, n)["conversation_id"] for n in (0, 1)}
    assert "first answer" in third["user_prompt"] and "kept question" in third["user_prompt"]
    assert "discarded" not in third["user_prompt"]
    assert texts_of(first.conversation) == ["one", "first answer", "kept question", "Hello, world"]


def test_a_transcript_keeps_the_newest_that_fits(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    settings.LIMIT_PROMPT_BYTES = 3000
    conversation = None
    for n in range(4):
        agent_server.answer(say(f"answer {n} " + "y" * 500), usage())
        sent = serving.ask(alice, f"question {n} " + "x" * 500, conversation)
        conversation = sent.conversation
        serving.ended(sent)
    assert conversation is not None
    serving.ended(actions.retry(alice, conversation=conversation, answer=sent.answer))
    prompt = asked(agent_server, 4)["user_prompt"]
    assert "question 3" in prompt and "answer 2" in prompt
    assert "question 0" not in prompt and "answer 3" not in prompt


# -- try again -----------------------------------------------------------------------------------


def test_trying_again_makes_a_sibling_and_overwrites_nothing(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("first"), usage())
    agent_server.answer(say("second"), usage())
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    serving.ended(again)
    assert (again.conversation, again.question) == (sent.conversation, sent.question)
    assert again.answer != sent.answer
    assert texts_of(sent.conversation) == ["one", "second"]
    assert shown(sent.conversation)[again.answer]["stkweb"]["siblings"] == [sent.answer, again.answer]
    assert Message.objects.get(public_id=sent.answer).text == "first"
    assert asked(agent_server, 1)["user_prompt"] == "one"
    assert asked(agent_server, 1)["conversation_id"] != asked(agent_server, 0)["conversation_id"]


def test_watchers_learn_of_another_branch_through_a_gap(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    sent = serving.ask(alice, "one")
    before = serving.ended(sent)
    watcher = serving.watch(sent.conversation)
    serving.ended(actions.retry(alice, conversation=sent.conversation, answer=sent.answer))
    assert watcher.seqs[0] > before.seq + 1
    assert watcher.seqs == list(range(watcher.seqs[0], watcher.seqs[-1] + 1))
    assert Conversation.objects.get().branch_seq == watcher.seqs[0]


def test_only_an_answer_that_has_ended_can_be_tried_again(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(hang())
    sent = serving.ask(alice, "one")
    for verb in (actions.retry, actions.continue_answer):
        assert refused(verb, alice, conversation=sent.conversation, answer=sent.answer) == "conversation_busy"
        assert refused(verb, alice, conversation=sent.conversation, answer=sent.question) == "not_found"


def test_another_answer_cannot_be_tried_again_while_one_runs(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    first = serving.ask(alice, "one")
    serving.ended(first)
    agent_server.answer(hang())
    serving.ask(alice, "two", first.conversation)
    code = refused(actions.retry, alice, conversation=first.conversation, answer=first.answer)
    assert code == "conversation_busy"
    assert Message.objects.count() == 4


# -- continue ------------------------------------------------------------------------------------


def test_a_partial_answer_is_continued_below_it(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("half of "), cut())
    agent_server.answer(say("it"), usage())
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    more = actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer)
    answer = serving.ended(more)
    assert answer.continues is True
    assert texts_of(sent.conversation) == ["one", "half of ", "it"]
    assert shown(sent.conversation)[more.answer]["stkweb"]["continues"] == sent.answer
    prompt = asked(agent_server, 1)["user_prompt"]
    assert CONTINUE in prompt and "half of " in prompt and "one" in prompt


def test_an_answer_cut_by_its_length_can_be_continued(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("half"), end("length"))
    sent = serving.ask(alice, "one")
    assert serving.ended(sent).stop_reason == "length"
    serving.ended(actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer))


@pytest.mark.parametrize("script", [(say("all"), usage()), (refuse(500),)])
def test_what_is_whole_or_empty_cannot_be_continued(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, script: Any
) -> None:
    agent_server.answer(*script)
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    code = refused(actions.continue_answer, alice, conversation=sent.conversation, answer=sent.answer)
    assert code == "cannot_continue"


def test_a_question_after_a_continued_answer_carries_both_parts(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("part one "), cut())
    agent_server.answer(say("part two"), cut())
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    serving.ended(actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer))
    serving.ended(serving.ask(alice, "two", sent.conversation))
    prompt = asked(agent_server, 2)["user_prompt"]
    assert "part one " in prompt and "part two" in prompt


def test_trying_a_continuation_again_continues_again(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("half "), cut())
    agent_server.answer(say("wrong"), cut())
    agent_server.answer(say("right"), usage())
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    wrong = actions.continue_answer(alice, conversation=sent.conversation, answer=sent.answer)
    serving.ended(wrong)
    right = actions.retry(alice, conversation=sent.conversation, answer=wrong.answer)
    answer = serving.ended(right)
    assert answer.continues is True
    assert texts_of(sent.conversation) == ["one", "half ", "right"]
    prompt = asked(agent_server, 2)["user_prompt"]
    assert CONTINUE in prompt and "wrong" not in prompt


# -- show ----------------------------------------------------------------------------------------


def test_every_branch_can_be_shown_again(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    for text in ("first", "second", "third"):
        agent_server.answer(say(text), usage())
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    follow = serving.ask(alice, "two", sent.conversation)
    serving.ended(follow)
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    serving.ended(again)
    assert texts_of(sent.conversation) == ["one", "third"]
    actions.show(alice, conversation=sent.conversation, message=sent.answer)
    assert texts_of(sent.conversation) == ["one", "first", "two", "second"], "down to the newest leaf"
    actions.show(alice, conversation=sent.conversation, message=again.answer)
    assert texts_of(sent.conversation) == ["one", "third"]


def test_a_page_that_saw_another_branch_is_shown_all_of_this_one(
    serving: Serving, alice: Any, agent: Agent
) -> None:
    sent = serving.ask(alice, "one")
    before = serving.ended(sent)
    serving.ended(actions.retry(alice, conversation=sent.conversation, answer=sent.answer))
    row = actions.show(alice, conversation=sent.conversation, message=sent.answer)
    assert row.branch_seq == row.seq > before.seq


def test_no_other_branch_is_shown_while_one_runs(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    sent = serving.ask(alice, "one")
    serving.ended(sent)
    agent_server.answer(gate("end"), say("a"), usage())
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    code = refused(actions.show, alice, conversation=sent.conversation, message=sent.answer)
    assert code == "conversation_busy"
    agent_server.open("end")
    assert serving.ended(again).state == State.COMPLETED
