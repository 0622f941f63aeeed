"""Tools that an answer called: shown, filled in, told again, and in nobody's way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chat import actions
from chat.actions import Refused, Sent, Taken
from chat.actions.prompts import NO_OUTPUT
from chat.models import Agent, Conversation, LedgerEntry, Message, State
from chat.models.branches import read_branch
from chat.turns import items
from tests.agent_server import AgentServer, call, end, gate, hang, say, usage
from tests.serving import Serving, wait_for

Make = Callable[..., Agent]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOOLS = {"tools": [WEATHER]}


@pytest.fixture
def called(serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer) -> Sent:
    """An answer of alice's that waits for the weather of Olinda."""
    make_model(options=TOOLS)
    agent_server.answer(say("I look."), call("weather", {"place": "Olinda"}), usage(stop="tool_calls"))
    sent = serving.ask(alice, "How is it?")
    serving.ended(sent)
    return sent


def items_of(sent: Sent) -> list[dict[str, Any]]:
    row = Conversation.objects.get(public_id=sent.conversation)
    return items.of_branch(row, read_branch(row))


def call_of(sent: Sent, number: int = 1) -> dict[str, Any]:
    return next(item for item in items_of(sent) if item["id"] == f"{sent.answer}.c{number}")


def give(user: Any, sent: Sent, output: Any = "sunny", number: int = 1, **more: Any) -> Taken:
    return actions.add_tool_output(
        user, conversation=sent.conversation, call=f"{sent.answer}.c{number}", output=output, **more
    )


def refused(function: Callable[..., Any], *values: Any, **named: Any) -> str:
    with pytest.raises(Refused) as caught:
        function(*values, **named)
    return caught.value.code


def told(agent_server: AgentServer, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = agent_server.chats[number].json["messages"]
    return found


# -- a call, shown -------------------------------------------------------------------------------------


def test_a_call_becomes_an_item_of_the_conversation(called: Sent) -> None:
    answer, item = items_of(called)[1:]
    assert (answer["content"][0]["text"], answer["stkweb"]["state"]) == ("I look.", "completed")
    assert {name: item[name] for name in ("type", "status", "call_id", "name", "arguments", "stkweb")} == {
        "type": "client_tool_call", "status": "pending", "call_id": "call_a", "name": "weather",
        "arguments": {"place": "Olinda"}, "stkweb": {"answer": called.answer, "over": False},
    }  # fmt: skip
    assert "output" not in item


def test_a_watcher_is_shown_the_call_with_the_end_and_what_a_fresh_page_shows(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(options=TOOLS)
    agent_server.answer(
        gate("go"), call("weather", {"place": "X"}, "a"), call("weather", {"place": "Y"}, "b", 1),
        usage(stop="tool_calls"),
    )  # fmt: skip
    sent = serving.ask(alice, "How is it?")
    watcher = serving.watch(sent.conversation)
    agent_server.open("go")
    answer = serving.ended(sent)
    kinds = [event["item"]["type"] for event in watcher.events if event["type"] == "thread.item.done"]
    assert kinds == ["assistant_message", "client_tool_call", "client_tool_call"]
    assert (answer.seq, answer.text) == (watcher.seqs[-1], "")
    shown = {item["id"]: item for item in watcher.page().items}
    assert all(shown[item["id"]] == item for item in items_of(sent)[1:])


def test_a_server_that_was_killed_leaves_the_call_pending(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    serving.shut()
    serving.open()
    assert call_of(called)["status"] == "pending"
    taken = give(alice, called)
    assert taken.answer is not None
    assert serving.ended(taken.answer).state == State.COMPLETED


# -- its output, given ----------------------------------------------------------------------------------


def test_the_output_goes_back_and_the_answer_continues(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("Sunny."), usage(user=20, output=3))
    taken = give(alice, called, {"sky": "clear", "degrees": 29})
    assert (taken.conversation, taken.pending) == (called.conversation, 0)
    answer = serving.ended(taken.answer or "")
    assert (answer.text, answer.state, answer.parent and answer.parent.public_id) == (
        "Sunny.", State.COMPLETED, called.answer,
    )  # fmt: skip
    function = {"name": "weather", "arguments": '{"place":"Olinda"}'}
    assert told(agent_server, 1) == [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": "I look.",
         "tool_calls": [{"id": "call_a", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_a", "content": '{"sky": "clear", "degrees": 29}'},
    ]  # fmt: skip
    item = call_of(called)
    assert (item["status"], item["output"]) == ("completed", {"sky": "clear", "degrees": 29})
    calls = LedgerEntry.objects.order_by("pk").values_list("message_id", "user_tokens", "output_tokens")
    assert list(calls) == [(called.answer, 10, 5), (answer.public_id, 20, 3)]


def test_the_upstreams_own_id_names_the_call_too(serving: Serving, alice: Any, called: Sent) -> None:
    taken = actions.add_tool_output(alice, conversation=called.conversation, call="call_a", output="x")
    assert taken.answer


def test_the_answer_goes_on_when_the_last_of_several_outputs_is_there(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(options=TOOLS)
    agent_server.answer(call("weather", {}, "a"), call("weather", {}, "b", 1), usage(stop="tool_calls"))
    sent = serving.ask(alice, "Two?")
    serving.ended(sent)
    watcher = serving.watch(sent.conversation)
    assert give(alice, sent, "second", 2) == Taken(sent.conversation, None, 1)
    wait_for(lambda: watcher.events, what="the event of the output")
    (event,) = watcher.events
    assert (event["type"], event["item"]["status"], event["item"]["output"]) == (
        "thread.item.done", "completed", "second",
    )  # fmt: skip
    assert watcher.seqs == [Conversation.objects.get(public_id=sent.conversation).seq]
    taken = give(alice, sent, "first", 1)
    serving.ended(taken.answer or "")
    assert [message["content"] for message in told(agent_server, 1)[2:]] == ["first", "second"]


def test_a_model_may_call_again_and_again(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    agent_server.answer(call("weather", {"place": "Recife"}, "call_b"), usage(stop="tool_calls"))
    second = give(alice, called).answer or ""
    serving.ended(second)
    agent_server.answer(say("Both sunny."), usage())
    sent = Sent(called.conversation, "", second)
    last = serving.ended(give(alice, sent, "hot").answer or "")
    assert last.text == "Both sunny."
    assert [message["role"] for message in told(agent_server, 2)] == [
        "user", "assistant", "tool", "assistant", "tool",
    ]  # fmt: skip


def test_the_same_output_twice_is_answered_the_same_and_another_one_is_refused(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    first = give(alice, called, key="k")
    assert give(alice, called, key="k") == first
    assert give(alice, called) == first
    serving.ended(first.answer or "")
    assert give(alice, called, key="k") == first
    assert refused(give, alice, called, "rainy", key="k") == "key_reused"
    assert refused(give, alice, called, "rainy") == "tool_output_given"
    assert len(agent_server.chats) == 2


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("x" * 300_000, "output_too_long"),
        (["x" * 300_000], "output_too_long"),
        ("a\x00b", "unstorable_text"),
        ({"a": "\ud800"}, "unstorable_text"),
        (float("nan"), "bad_request"),
        (10**30, "bad_request"),
    ],
)
def test_an_output_that_cannot_be_kept_is_refused_and_the_call_waits_on(
    alice: Any, called: Sent, output: Any, code: str
) -> None:
    assert refused(give, alice, called, output) == code
    assert call_of(called)["status"] == "pending"


@pytest.mark.parametrize("output", ["", "0", 0, None, False, [], {"a": [1, None]}, "\\u0000"])
def test_any_json_is_an_output(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer, output: Any
) -> None:
    serving.ended(give(alice, called, output).answer or "")
    sent = told(agent_server, 1)[-1]["content"]
    assert sent == output if isinstance(output, str) else json.loads(sent) == output


def test_only_who_may_send_may_give_an_output(alice: Any, bob: Any, called: Sent) -> None:
    assert refused(give, bob, called) == "not_found"
    for name in ("", "nothing", f"{called.answer}.c2", f"{called.answer}.c0", f"{called.question}.c1"):
        found = refused(
            actions.add_tool_output, alice, conversation=called.conversation, call=name, output="x"
        )
        assert found == "not_found"


# -- it blocks nothing ------------------------------------------------------------------------------------


def test_a_person_may_simply_write_on_and_the_call_is_told_as_cancelled(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    serving.ended(serving.ask(alice, "Never mind.", called.conversation))
    assert [(m["role"], m["content"]) for m in told(agent_server, 1)] == [
        ("user", "How is it?"), ("assistant", "I look."), ("tool", NO_OUTPUT), ("user", "Never mind."),
    ]  # fmt: skip
    item = call_of(called)
    assert (item["status"], item["stkweb"]["over"]) == ("pending", True)
    assert refused(give, alice, called) == "tool_call_over"


def test_try_again_of_either_answer_makes_a_sibling(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    second = give(alice, called).answer or ""
    serving.ended(second)
    agent_server.answer(say("Again."), usage())
    again = actions.retry(alice, conversation=called.conversation, answer=second)
    assert serving.ended(again).text == "Again."
    assert told(agent_server, 2) == told(agent_server, 1), "the call and its output, told again"
    agent_server.answer(call("weather", {"place": "Rio"}, "call_z"), usage(stop="tool_calls"))
    other = actions.retry(alice, conversation=called.conversation, answer=called.answer)
    serving.ended(other)
    assert call_of(other)["arguments"] == {"place": "Rio"}
    actions.show(alice, conversation=called.conversation, message=called.answer)
    assert call_of(called)["status"] == "completed"


def test_a_call_of_another_branch_still_takes_its_output(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    serving.ended(actions.retry(alice, conversation=called.conversation, answer=called.answer))
    taken = give(alice, called)
    assert serving.ended(taken.answer or "").parent_id == Message.objects.get(public_id=called.answer).pk
    assert call_of(called)["status"] == "completed", "and its branch is shown"


def test_no_output_is_taken_while_an_answer_is_written(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("Wait"), hang())
    running = actions.retry(alice, conversation=called.conversation, answer=called.answer)
    serving.wait_text(running, "Wait")
    assert refused(give, alice, called) == "conversation_busy"
    actions.stop(alice, conversation=called.conversation)
    serving.ended(running)


def test_an_answer_that_was_stopped_calls_nothing(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(options=TOOLS)
    agent_server.answer(say("I"), call("weather", {}), hang())
    sent = serving.ask(alice, "How is it?")
    serving.wait_text(sent, "I")
    actions.stop(alice, conversation=sent.conversation)
    answer = serving.ended(sent)
    assert (answer.state, answer.tool_calls) == (State.STOPPED, [])


def test_an_answer_with_calls_is_not_continued_by_its_length(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(options=TOOLS, on_length="auto")
    agent_server.answer(say("I look."), call("weather", {}), end("length"))
    sent = serving.ask(alice, "How is it?")
    answer = serving.ended(sent)
    assert (answer.continued, len(agent_server.chats), len(answer.tool_calls)) == (0, 1, 1)
    named = {"conversation": sent.conversation, "answer": sent.answer}
    assert refused(actions.continue_answer, alice, **named) == "cannot_continue"


def test_what_belongs_to_a_call_goes_along_whatever_the_budget(
    serving: Serving, alice: Any, make_model: Make, agent_server: AgentServer
) -> None:
    make_model(options=TOOLS, history_bytes=1024)
    first = serving.ask(alice, "old")
    serving.ended(first)
    agent_server.answer(call("weather", {}), usage(stop="tool_calls"))
    sent = serving.ask(alice, "How is it?", first.conversation)
    serving.ended(sent)
    answer = serving.ended(give(alice, sent, "x" * 5000).answer or "")
    assert [message["role"] for message in told(agent_server, 2)] == ["user", "assistant", "tool"]
    assert answer.trimmed == 2


# -- the door -----------------------------------------------------------------------------------------------


def test_a_script_gives_an_output_as_json(serving: Serving, alice: Any, called: Sent) -> None:
    client = Client()
    client.force_login(alice)
    url = f"/c/{called.conversation}/tool-output/"
    body = {"call": f"{called.answer}.c1", "output": {"sky": "clear"}}
    reply = client.post(url, body, content_type="application/json", headers={"Idempotency-Key": "k"})
    assert reply.status_code == 202
    again = client.post(url, body, content_type="application/json", headers={"Idempotency-Key": "k"})
    assert again.json() == reply.json()
    assert reply.json() == {
        "conversation": called.conversation,
        "answer": reply.json()["answer"],
        "pending": 0,
    }
    missing = client.post(url, {"call": "call_a"}, content_type="application/json")
    assert (missing.status_code, missing.json()["error"]["code"]) == (400, "bad_request")
    serving.ended(reply.json()["answer"])


def test_a_person_gives_one_by_hand_on_a_page_without_scripts(
    serving: Serving, alice: Any, called: Sent, agent_server: AgentServer
) -> None:
    client = Client()
    client.force_login(alice)
    page = client.get(f"/c/{called.conversation}/").content.decode()
    assert "weather" in page and f'action="/c/{called.conversation}/tool-output/"' in page
    reply = client.post(
        f"/c/{called.conversation}/tool-output/", {"call": f"{called.answer}.c1", "output": "two\r\nlines"}
    )
    assert (reply.status_code, reply["Location"]) == (303, f"/c/{called.conversation}/")
    wait_for(lambda: len(agent_server.chats) == 2, what="the next call")
    assert told(agent_server, 1)[-1]["content"] == "two\nlines"
    page = client.get(f"/c/{called.conversation}/").content.decode()
    assert "two\nlines" in page and "tool-output/" not in page
