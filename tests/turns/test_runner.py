"""Whole turns against an agent on real HTTP: every way one can end, and what is left of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chat import actions
from chat.agents import AgentError, AgentRequest, Take, TextDelta
from chat.agents.errors import CODES
from chat.faults import FAULTS
from chat.models import Agent, LedgerEntry, Message, State
from chat.models.branches import read_branch
from chat.turns import items
from chat.turns.endings import Ending
from tests.agent_server import (
    AgentServer,
    Step,
    before_headers,
    cut,
    drop,
    end,
    failure,
    gate,
    hang,
    page,
    pause,
    raw,
    refuse,
    say,
    think,
    usage,
    whole,
)
from tests.real_server import free_port
from tests.serving import Recorder, Serving, wait_for

TERMINAL = {State.COMPLETED, State.STOPPED, State.FAILED, State.INTERRUPTED}


def ledger_of(answer: Message) -> LedgerEntry:
    """The last one, where a request that was refused was made again."""
    return LedgerEntry.objects.filter(message_id=answer.public_id).latest("pk")


def counts(entry: LedgerEntry) -> tuple[int | None, int | None, int | None]:
    return entry.user_tokens, entry.enrichment_tokens, entry.output_tokens


def endings_in(watcher: Recorder, answer: Message) -> list[dict[str, Any]]:
    """The closing events of an answer."""
    return [
        event["item"] for event in watcher.events
        if event["type"] == "thread.item.done" and event["item"]["id"] == answer.public_id
    ]  # fmt: skip


def test_a_completed_answer_is_kept_with_its_usage(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("Hel", "lo", " 👩‍👩‍👧"), usage(12, 3, 5))
    answer = serving.ended(serving.ask(alice, "Hi"))
    assert (answer.state, answer.text) == (State.COMPLETED, "Hello 👩‍👩‍👧")
    assert (answer.error_code, answer.owner, answer.stop_reason) == ("", "", "stop")
    assert answer.started_at and answer.ended_at and answer.duration_ms is not None
    entry = ledger_of(answer)
    assert counts(entry) == (12, 3, 5) == agent_server.usage_total
    assert (entry.certainty, entry.outcome, entry.username) == ("reported", "completed", "alice")
    assert json.loads(entry.raw_usage or "null") == {"user": 12, "enrichment": 3, "output": 5}
    assert (entry.agent_name, entry.provider) == ("Scripted", "stackspot")
    assert entry.upstream_id == "01KJJB4T9SP5V1SYDEYHTZ5N6Y"
    assert entry.conversation_id == answer.conversation.public_id
    assert entry.first_delta_ms is not None and entry.first_delta_ms <= entry.duration_ms
    assert agent_server.chats[0].json["user_prompt"] == "Hi"


def test_watchers_see_what_the_rows_hold(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(gate("go"), think("hm"), say("Hel"), pause(0.05), say("lo"), usage(12, 3, 5))
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    agent_server.open("go")
    answer = serving.ended(sent)
    assert watcher.text == answer.text == "Hello"
    assert watcher.seqs == list(range(watcher.seqs[0], watcher.seqs[-1] + 1))
    assert watcher.seqs[-1] == answer.seq == answer.conversation.seq
    from chat.models.branches import read_branch

    branch = read_branch(answer.conversation)
    assert endings_in(watcher, answer) == [items.of_branch(answer.conversation, branch)[-1]]
    assert answer.reasoning == "hm"


def test_the_list_hears_when_a_turn_begins_and_ends(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    feed = serving.watch_feed(alice)
    sent = serving.ask(alice, "What is a ULID?")
    serving.ended(sent)
    assert feed.kinds == ["conversation.created", "conversation.finished"]
    begun, ended = (event["conversation"] for event in feed.events)
    assert (begun["id"], begun["title"], begun["state"]) == (sent.conversation, "What is a ULID?", "running")
    assert (ended["id"], ended["state"], ended["outcome"], ended["unread"]) == (
        sent.conversation, "idle", "completed", True,
    )  # fmt: skip


def test_an_answer_somebody_watches_is_not_unread(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(gate("go"), say("a"), usage())
    sent = serving.ask(alice)
    serving.watch(sent.conversation)
    agent_server.open("go")
    assert serving.ended(sent).conversation.unread is False


def test_text_is_in_the_rows_while_the_agent_still_writes(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("so far"), hang())
    sent = serving.ask(alice)
    answer = serving.wait_text(sent, "so far")
    assert answer.state == State.STREAMING
    assert answer.owner == serving.runtime.worker_id


def test_text_held_back_by_the_rate_is_in_the_rows_too(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    settings.LIMIT_FRAMES, settings.LIMIT_SAVE_BYTES = 1, 1
    deltas = [step for n in range(12) for step in (say(f"{n},"), pause(0.01))]
    agent_server.answer(*deltas, hang())
    sent = serving.ask(alice)
    serving.wait_text(sent, "".join(f"{n}," for n in range(12)))


# -- stopping ------------------------------------------------------------------------------------


def stop(user: Any, conversation: str) -> bool:
    return actions.stop(user, conversation=conversation)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param((before_headers(),), "", id="before the headers"),
        pytest.param((hang(),), "", id="before the first byte"),
        pytest.param((say("one ", "two "), hang()), "one two ", id="in the middle"),
    ],
)
def test_a_stop_ends_the_turn_and_the_upstream_call_within_a_second(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, script: Any, text: str
) -> None:
    agent_server.answer(*script)
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    wait_for(lambda: agent_server.chats, what="the call")
    if text:
        serving.wait_text(sent, text)
    call = agent_server.chats[0].connection
    begun = time.monotonic()
    assert stop(alice, sent.conversation) is True
    answer = serving.ended(sent)
    wait_for(lambda: call.closed_at is not None, 2.0, "the upstream connection closes")
    assert time.monotonic() - begun < 5
    assert call.closed_by == "client"
    assert (answer.state, answer.text, answer.error_code) == (State.STOPPED, text, "")
    assert len(endings_in(watcher, answer)) == 1
    shown = endings_in(watcher, answer)[0]["stkweb"]
    entry = ledger_of(answer)
    assert (entry.certainty, entry.outcome) == ("estimated", "stopped")
    about = (entry.user_tokens or 0) + (entry.output_tokens or 0)
    assert (shown["usage"], shown["estimated"]) == (None, about)
    drawn = items.of_branch(answer.conversation, read_branch(answer.conversation))[-1]["stkweb"]
    assert (drawn["usage"], drawn["estimated"]) == (None, about), "by the ledger too"
    assert counts(entry) == (1, None, -(-len(text) // 4) or None)


def test_a_stop_at_the_last_byte_leaves_one_end(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    conversation = None
    for n in range(12):
        agent_server.answer(say("all of it"), gate(f"last{n}"), usage(1, None, 2))
        sent = serving.ask(alice, conversation=conversation, text="again")
        conversation = sent.conversation
        watcher = serving.watch(conversation)
        serving.wait_text(sent, "all of it")
        opener = threading.Timer(n * 0.0005, agent_server.open, [f"last{n}"])
        opener.start()
        stop(alice, conversation)
        answer = serving.ended(sent)
        opener.join()
        assert answer.state in (State.COMPLETED, State.STOPPED)
        assert answer.text == "all of it"
        assert len(endings_in(watcher, answer)) == 1
        assert ledger_of(answer).outcome == answer.state
    assert LedgerEntry.objects.count() == 12


def test_a_stop_after_the_end_changes_nothing(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    sent = serving.ask(alice)
    before = serving.ended(sent)
    assert stop(alice, sent.conversation) is False
    assert stop(alice, sent.conversation) is False
    after = serving.ended(sent)
    assert (after.state, after.seq, after.stop_requested) == (State.COMPLETED, before.seq, False)
    assert LedgerEntry.objects.count() == 1


def test_stopping_twice_is_stopping_once(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("a"), hang())
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    serving.wait_text(sent, "a")
    threads = [threading.Thread(target=_stop_and_close, args=(alice, sent.conversation)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer = serving.ended(sent)
    assert answer.state == State.STOPPED
    assert len(endings_in(watcher, answer)) == 1
    assert LedgerEntry.objects.count() == 1


def _stop_and_close(user: Any, conversation: str) -> None:
    from django.db import connection

    try:
        stop(user, conversation)
    finally:
        connection.close()


def test_a_stop_does_not_reach_the_turn_that_came_after(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    first = serving.ask(alice)
    ended = serving.ended(first)
    agent_server.answer(say("b"), hang())
    second = serving.ask(alice, conversation=first.conversation)
    serving.wait_text(second, "b")
    runtime = serving.runtime
    assert serving.call(runtime.stop_turn, ended.conversation_id, ended.pk) is False
    running = Message.objects.get(public_id=second.answer)
    assert running.is_running
    assert serving.call(runtime.stop_turn, running.conversation_id, running.pk) is True
    assert serving.ended(second).state == State.STOPPED


def test_a_wait_the_agent_asked_for_can_be_stopped(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(refuse(429, Retry_After="15"))
    sent = serving.ask(alice)
    wait_for(lambda: agent_server.chats)
    begun = time.monotonic()
    stop(alice, sent.conversation)
    assert serving.ended(sent).state == State.STOPPED
    assert time.monotonic() - begun < 5
    assert len(agent_server.chats) == 1


# -- failing -------------------------------------------------------------------------------------

LONG = "x" * 5000
FAILURES: dict[str, tuple[tuple[Step, ...], dict[str, Any], str]] = {
    # code: (script, settings, text that is kept)
    "no_answer": ((hang(),), {"LIMIT_FIRST_BYTE": 0.3}, ""),
    "stalled": ((say("kept"), hang()), {"LIMIT_IDLE": 0.3}, "kept"),
    "too_long": ((say("kept"), hang()), {"LIMIT_TURN": 0.5}, "kept"),
    "connection_lost": ((say("kept"), raw(b'data: {"message": "ha'), drop()), {}, "kept"),
    "ended_early": ((say("kept"),), {}, "kept"),
    "event_too_large": ((say("kept"), pause(0.05), say(LONG)), {"LIMIT_EVENT_BYTES": 2048}, "kept"),
    "answer_too_large": (
        (say("kept"), pause(0.05), *[say("x" * 500), pause(0.01)] * 4, hang()),
        {"LIMIT_ANSWER_BYTES": 1024}, "kept" + "x" * 1000,
    ),
    "protocol": ((page("<h1>Sign in</h1>"),), {}, ""),
    "agent_failed": ((say("kept"), pause(0.05), failure({"error": {"message": "boom"}})), {}, "kept"),
    "agent_unavailable": ((refuse(500),), {}, ""),
    "busy": ((refuse(429),), {}, ""),
    "credit": ((refuse(429, {"code": "INFERENCE_CREDIT_LIMIT", "details": "Credit limit reached"}),), {}, ""),
    "credentials": ((refuse(401),), {}, ""),
    "forbidden": ((refuse(403),), {}, ""),
    "agent_not_found": ((refuse(404),), {}, ""),
    "prompt_too_long": (
        (refuse(400, {"message": "limit of 4096 tokens, you requested 5000 tokens"}),), {}, "",
    ),
    "rejected": ((refuse(418),), {}, ""),
    "filtered": ((end("content_filter"),), {}, ""),
    "empty_answer": ((usage(7, None, 0),), {}, ""),
}  # fmt: skip
#: Tested apart: they happen before a request is made.
WITHOUT_A_REQUEST = {"unreachable", "agent_misconfigured"}
#: Of handing files over, before the agent is asked: tests/files/test_handing.py.
OF_FILES = {"upload_forbidden", "upload_failed", "file_lost"}


def test_every_code_of_an_agents_error_is_tried_here() -> None:
    assert set(FAILURES) | WITHOUT_A_REQUEST | OF_FILES == set(CODES)


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_keeps_the_text_and_says_why(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any, code: str
) -> None:
    script, limits, text = FAILURES[code]
    for name, value in limits.items():
        setattr(settings, name, value)
    agent_server.always(*script)
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    answer = serving.ended(sent)
    assert answer.error_code == code
    assert answer.state == (State.INTERRUPTED if code == "ended_early" else State.FAILED)
    assert answer.text == text
    assert len(answer.error_id) == 26
    assert LedgerEntry.objects.latest("pk").error_code == code
    shown = endings_in(watcher, answer)[0]["stkweb"]["error"]
    assert (shown["code"], shown["id"]) == (code, answer.error_id)
    assert code in FAULTS
    calls = 2 if code == "credentials" else 1
    assert len(agent_server.chats) == calls, "nobody asks again on their own"


def test_a_prompt_that_is_too_long_comes_with_the_numbers(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(*FAILURES["prompt_too_long"][0])
    assert serving.ended(serving.ask(alice)).error_params == {"limit": 4096, "size": 5000}


def test_an_agent_nobody_listens_at_is_unreachable(
    serving: Serving, alice: Any, make_agent: Callable[..., Agent]
) -> None:
    agent = make_agent()
    Agent.objects.update(base_url=f"http://127.0.0.1:{free_port()}")
    answer = serving.ended(serving.ask(alice, agent=agent.public_id))
    assert (answer.state, answer.error_code) == (State.FAILED, "unreachable")


def test_an_agent_that_is_set_up_wrongly_fails_the_turn_alone(
    serving: Serving, alice: Any, agent: Agent
) -> None:
    Agent.objects.update(base_url="ftp://agent.example")
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.error_code) == (State.FAILED, "agent_misconfigured")


def test_usage_reported_before_a_failure_is_in_the_ledger(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    counts_only = {"tokens": {"user": 10, "enrichment": 4, "output": 2}}
    agent_server.answer(say("kept", **counts_only), failure({"error": {"message": "boom"}}))
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.text) == (State.FAILED, "kept")
    assert counts(ledger_of(answer)) == (10, 4, 2)


@pytest.mark.parametrize(
    ("tokens", "stored"),
    [
        (None, (None, None, None)),
        ({}, (None, None, None)),
        ({"user": -1, "enrichment": 1e18, "output": "7"}, (None, None, 7)),
        ({"user": 0, "enrichment": None, "output": True}, (0, None, None)),
        ({"user": "many", "enrichment": [], "output": {}}, (None, None, None)),
        ({"user": 1, "\\u0000": "\\u0000\x00\ud800"}, (1, None, None)),
    ],
)
def test_what_was_not_reported_is_unknown_and_never_nought(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, tokens: Any, stored: Any
) -> None:
    """R18."""
    import json

    ending = json.dumps({"message": "", "stop_reason": "stop", "tokens": tokens}).encode()
    agent_server.answer(say("a"), raw(b"data: " + ending + b"\n\n"))
    answer = serving.ended(serving.ask(alice))
    assert answer.state == State.COMPLETED
    assert counts(ledger_of(answer)) == stored
    reported = any(count is not None for count in stored)
    assert ledger_of(answer).certainty == ("reported" if reported else "unknown")


@pytest.mark.parametrize("last", [drop(), cut()])
def test_a_cut_after_text_is_never_asked_again(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, last: Step
) -> None:
    agent_server.answer(say("kept"), last)
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.error_code, answer.text) == (State.FAILED, "connection_lost", "kept")
    assert len(agent_server.chats) == 1


def test_an_answer_that_is_one_json_object_is_an_answer(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(whole({"message": "whole", "tokens": {"user": 1, "enrichment": 2, "output": 3}}))
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.text) == (State.COMPLETED, "whole")
    assert counts(ledger_of(answer)) == (1, 2, 3)


class BrokenClient:
    """A client with a bug."""

    async def answer(self, request: AgentRequest, take: Take) -> None:
        take([TextDelta("kept")])
        raise ZeroDivisionError("secret-9f2 of a person")

    async def aclose(self) -> None:
        """Nothing is open."""


class Broken:
    """Gives every turn the client with the bug."""

    def client_of(self, turn: Any) -> BrokenClient:
        return BrokenClient()


def test_a_bug_ends_the_turn_and_keeps_its_text(
    serving: Serving, alice: Any, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    serving.runtime.runner._clients = Broken()
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.error_code, answer.text) == (State.FAILED, "internal", "kept")
    assert answer.error_id in caplog.text, "the id a person is shown finds the log's entry"


# -- interrupted ---------------------------------------------------------------------------------


def test_a_clean_stop_of_the_server_saves_everything_first(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    settings.LIMIT_SAVE_SECONDS = 60
    agent_server.always(say("all ", "that ", "came"), hang())
    sent = [serving.ask(alice, f"{n}") for n in range(3)]
    watchers = [serving.watch(one.conversation) for one in sent]
    wait_for(lambda: all(w.text == "all that came" for w in watchers) or len(agent_server.chats) == 3)
    wait_for(lambda: all(turn.text == "all that came" for turn in serving.runtime.turns.values()))
    begun = time.monotonic()
    serving.shut()
    assert time.monotonic() - begun < 5
    for one in sent:
        answer = Message.objects.get(public_id=one.answer)
        assert (answer.state, answer.error_code) == (State.INTERRUPTED, "interrupted_shutdown")
        assert (answer.text, answer.owner) == ("all that came", "")
        assert len(answer.error_id) == 26
    assert LedgerEntry.objects.count() == 3
    wait_for(lambda: all(chat.connection.closed_at for chat in agent_server.chats))


def test_a_server_that_ends_takes_no_question(serving: Serving, alice: Any, agent: Agent) -> None:
    serving.shut()
    with pytest.raises(actions.Refused) as refused:
        serving.ask(alice)
    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert Message.objects.count() == 0


def test_a_client_is_kept_for_an_agent_until_its_row_changes(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    serving.ended(serving.ask(alice))
    serving.ended(serving.ask(alice))
    assert len(agent_server.token_calls) == 1, "one token for both"
    agent.set_secret("another")
    agent.save()
    assert serving.ended(serving.ask(alice)).error_code == "credentials"


def test_an_error_without_a_client_ends_the_turn(serving: Serving, alice: Any, agent: Agent) -> None:
    class Refusing:
        def client_of(self, turn: Any) -> Any:
            raise AgentError("agent_misconfigured")

    serving.runtime.runner._clients = Refusing()
    assert serving.ended(serving.ask(alice)).error_code == "agent_misconfigured"


def test_the_states_an_ending_can_have_are_the_terminal_ones() -> None:
    assert set(State.values) - {State.QUEUED, State.STREAMING} == TERMINAL
    assert Ending(State.STOPPED).usage is None


def test_an_agent_that_is_not_set_up_is_never_called_and_has_no_row_in_the_ledger(
    serving: Serving, alice: Any, make_agent: Callable[..., Agent], agent_server: AgentServer
) -> None:
    make_agent(options={"selected_model": 1})
    answer = serving.ended(serving.ask(alice))
    assert (answer.state, answer.error_code) == (State.FAILED, "agent_misconfigured")
    assert (len(agent_server.chats), LedgerEntry.objects.count()) == (0, 0)
