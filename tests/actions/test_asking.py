"""Asking: one question and one answer, however often and from wherever it is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from chat import actions
from chat.actions import Refused, Sent
from chat.actions.asking import look_before
from chat.models import Agent, Conversation, Draft, LedgerEntry, Message, SendReceipt, State, new_id
from tests.agent_server import AgentServer, gate, hang, say, usage
from tests.serving import Serving, wait_for


def refusal(function: Callable[..., Any], *values: Any, **named: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        function(*values, **named)
    return caught.value


def at_once(count: int, function: Callable[[int], Any]) -> list[Any]:
    """Results and refusals of `count` calls that begin together, each on a thread of its own."""
    import threading

    barrier = threading.Barrier(count)

    def call(n: int) -> Any:
        barrier.wait()
        try:
            return function(n)
        except Refused as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


# -- the rows ------------------------------------------------------------------------------------


def test_a_question_makes_two_rows_and_names_them(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(hang())
    sent = serving.ask(alice, "What is a ULID?\r\nIn short.")
    conversation = Conversation.objects.get(public_id=sent.conversation)
    question, answer = conversation.messages.order_by("pk")
    assert (question.public_id, answer.public_id) == (sent.question, sent.answer)
    assert (question.role, question.text, question.author) == ("user", "What is a ULID?\nIn short.", alice)
    assert (answer.role, answer.state, answer.parent) == ("assistant", State.QUEUED, question)
    assert (answer.agent, answer.agent_name, answer.owner) == (agent, "Scripted", serving.runtime.worker_id)
    assert (conversation.owner, conversation.leaf, conversation.agent) == (alice, answer, agent)
    assert conversation.title == "What is a ULID? In short."
    assert sent.repeated is False


def test_an_acknowledged_question_is_there_before_its_turn_begins(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    sent = serving.ask(alice)
    assert Message.objects.filter(public_id=sent.question).exists()
    serving.ended(sent)


def test_the_next_question_follows_the_last_answer(serving: Serving, alice: Any, agent: Agent) -> None:
    first = serving.ask(alice, "one")
    serving.ended(first)
    second = serving.ask(alice, "two", first.conversation)
    serving.ended(second)
    assert second.conversation == first.conversation
    question = Message.objects.select_related("parent").get(public_id=second.question)
    assert question.parent is not None and question.parent.public_id == first.answer


def test_the_order_of_messages_is_the_databases_and_not_the_clocks(
    serving: Serving, alice: Any, agent: Agent
) -> None:
    """R40."""
    conversation = None
    texts = []
    for n in range(4):
        sent = serving.ask(alice, f"question {n}", conversation)
        conversation = sent.conversation
        serving.ended(sent)
        texts.append(f"question {n}")
    for n, message in enumerate(Message.objects.order_by("-pk")):
        Message.objects.filter(pk=message.pk).update(created_at=timezone.now() + timedelta(days=n - 400))
    from chat.models.branches import read_branch

    branch = read_branch(Conversation.objects.get())
    assert [m.text for m in branch.messages if m.role == "user"] == texts


def test_sending_clears_the_draft_in_the_same_transaction(
    serving: Serving, alice: Any, bob: Any, agent: Agent
) -> None:
    actions.save_draft(alice, conversation=None, text="half a thou")
    actions.save_draft(bob, conversation=None, text="bob's")
    refusal(serving.ask, alice, "")
    assert Draft.objects.count() == 2
    sent = serving.ask(alice, "half a thought")
    assert list(Draft.objects.values_list("text", flat=True)) == ["bob's"]
    serving.ended(sent)
    actions.save_draft(alice, conversation=sent.conversation, text="and")
    actions.save_draft(alice, conversation=None, text="another")
    serving.ended(serving.ask(alice, "and another", sent.conversation))
    assert set(Draft.objects.values_list("text", flat=True)) == {"bob's", "another"}


# -- twice ---------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_rows(serving: Serving, alice: Any, agent: Agent) -> None:
    """R27."""
    first = serving.ask(alice, "Hi", key="k")
    again = serving.ask(alice, "Hi", key="k")
    serving.ended(first)
    later = serving.ask(alice, "Hi", key="k")
    assert (again.conversation, again.question, again.answer) == (
        first.conversation, first.question, first.answer,
    )  # fmt: skip
    assert again == later
    assert again.repeated and later.repeated
    assert Message.objects.count() == 2
    assert LedgerEntry.objects.count() == 1


def test_twenty_sends_at_once_with_one_key_are_one(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    """R27."""
    sent = at_once(20, lambda n: serving.ask(alice, "Hi", key="k"))
    assert all(isinstance(one, Sent) for one in sent), sent
    assert len({(one.conversation, one.question, one.answer) for one in sent}) == 1
    assert Counter(one.repeated for one in sent) == {True: 19, False: 1}
    assert Conversation.objects.count() == 1
    assert Message.objects.count() == 2
    serving.ended(sent[0])
    assert len(agent_server.chats) == 1
    assert LedgerEntry.objects.count() == 1


def test_twenty_sends_at_once_with_one_key_into_a_conversation_are_one(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    """R27."""
    first = serving.ask(alice)
    serving.ended(first)
    sent = at_once(20, lambda n: serving.ask(alice, "more", first.conversation, key="k"))
    assert all(isinstance(one, Sent) for one in sent), sent
    assert len({one.answer for one in sent}) == 1
    assert Message.objects.count() == 4
    serving.ended(sent[0])
    assert len(agent_server.chats) == 2


@pytest.mark.parametrize("changed", [{"text": "Bye"}, {"parent": "x"}, {"agent": "y"}])
def test_the_same_key_for_another_send_is_refused(
    serving: Serving, alice: Any, agent: Agent, changed: dict[str, str]
) -> None:
    """R28."""
    serving.ended(serving.ask(alice, "Hi", key="k"))
    refused = refusal(serving.ask, alice, **{"text": "Hi", "key": "k", **changed})
    assert (refused.code, refused.status) == ("key_reused", 422)
    assert Message.objects.count() == 2


def test_another_persons_key_is_another_key(serving: Serving, alice: Any, bob: Any, agent: Agent) -> None:
    """R28."""
    hers = serving.ask(alice, "Hi", key="k")
    his = serving.ask(bob, "Something else", key="k")
    assert hers.conversation != his.conversation
    serving.ended(hers)
    serving.ended(his)


def test_a_key_is_forgotten_after_a_day(serving: Serving, alice: Any, agent: Agent) -> None:
    """R28: 25 hours later."""
    first = serving.ask(alice, "Hi", key="k")
    serving.ended(first)
    SendReceipt.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert serving.ask(alice, "Hi", key="k").answer == first.answer
    SendReceipt.objects.update(created_at=timezone.now() - timedelta(hours=25))
    again = serving.ask(alice, "Something else", key="k")
    assert again.conversation != first.conversation
    assert SendReceipt.objects.count() == 1
    serving.ended(again)


def test_a_refused_send_does_not_use_up_its_key(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(hang())
    first = serving.ask(alice)
    assert refusal(serving.ask, alice, "more", first.conversation, key="k").code == "conversation_busy"
    wait_for(lambda: agent_server.chats)
    actions.stop(alice, conversation=first.conversation)
    serving.ended(first)
    second = serving.ask(alice, "more", first.conversation, key="k")
    assert second.repeated is False
    serving.ended(second)


@pytest.mark.parametrize("key", ["", "k" * 1000, "é\u202e🙂", "\x00", "\ud800"])
def test_any_key_is_taken(serving: Serving, alice: Any, agent: Agent, key: str) -> None:
    first = serving.ask(alice, "Hi", key=key)
    serving.ended(first)
    assert serving.ask(alice, "Hi", key=key).repeated is (key != "")
    assert key == "" or refusal(serving.ask, alice, "Bye", key=key).code == "key_reused"
    serving.ended(serving.ask(alice, "Bye", key=f"{key}2"))


# -- limits --------------------------------------------------------------------------------------


def test_one_answer_runs_in_a_conversation(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    """R29."""
    agent_server.answer(hang())
    sent = serving.ask(alice)
    refused = refusal(serving.ask, alice, "more", sent.conversation)
    assert (refused.code, refused.status) == ("conversation_busy", 409)
    assert Message.objects.count() == 2


def test_of_two_sends_at_once_into_a_conversation_one_runs(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    """R29."""
    first = serving.ask(alice)
    serving.ended(first)
    agent_server.always(gate("end"), say("a"), usage())
    sent = at_once(8, lambda n: serving.ask(alice, f"question {n}", first.conversation))
    (won,) = [one for one in sent if isinstance(one, Sent)]
    assert {one.code for one in sent if one is not won} == {"conversation_busy"}
    assert Message.objects.count() == 4
    agent_server.open("end")
    serving.ended(won)


def test_a_person_has_so_many_answers_running_and_no_more(
    serving: Serving, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    agent_server.always(hang())
    for _ in range(settings.LIMIT_TURNS_PER_USER):
        serving.ask(alice)
    refused = refusal(serving.ask, alice)
    assert (refused.code, refused.status) == ("too_many_turns", 429)
    assert refused.params == {"limit": settings.LIMIT_TURNS_PER_USER}
    serving.ask(bob)


def test_the_limit_of_running_answers_holds_for_sends_at_once(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer, settings: Any
) -> None:
    agent_server.always(hang())
    results = at_once(12, lambda n: serving.ask(alice, f"question {n}"))
    running = [one for one in results if isinstance(one, Sent)]
    assert len(running) == settings.LIMIT_TURNS_PER_USER
    assert Message.objects.running().count() == settings.LIMIT_TURNS_PER_USER
    assert {one.code for one in results if isinstance(one, Refused)} == {"too_many_turns"}


def test_an_answer_that_still_runs_counts_wherever_its_conversation_is(
    serving: Serving, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(hang())
    sent = serving.ask(alice)
    now = timezone.now()
    running = lambda person: look_before(person, "", None, now).running  # noqa: E731
    assert (running(alice), running(bob)) == (1, 0)
    Conversation.objects.update(deleted_at=now)
    assert running(alice) == 1, "it is being stopped, and still an answer"
    Conversation.objects.update(deleted_at=None, updated_at=now - timedelta(hours=1))
    assert running(alice) == 1
    Message.objects.filter(public_id=sent.answer).update(state=State.INTERRUPTED, owner="")
    assert running(alice) == 0


def test_a_minute_has_so_many_questions(
    serving: Serving, alice: Any, bob: Any, agent: Agent, settings: Any
) -> None:
    settings.LIMIT_SENDS_PER_MINUTE = 3
    sent = None
    for n in range(3):
        sent = serving.ask(alice, str(n), sent and sent.conversation)
        serving.ended(sent)
    refused = refusal(serving.ask, alice)
    assert (refused.code, refused.status, refused.params["limit"]) == ("too_many_sends", 429, 3)
    assert 1 <= refused.params["retry_after"] <= 60
    assert refusal(actions.retry, alice, conversation=sent.conversation, answer=sent.answer).status == 429
    serving.ended(serving.ask(bob))
    oldest = Message.objects.filter(author=alice).order_by("pk").first()
    Message.objects.filter(pk=oldest.pk).update(created_at=timezone.now() - timedelta(seconds=61))
    serving.ended(serving.ask(alice))


# -- the text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n\t ", "\r\n"])
def test_nothing_is_not_sent(serving: Serving, alice: Any, agent: Agent, text: str) -> None:
    refused = refusal(serving.ask, alice, text)
    assert (refused.code, refused.status) == ("empty_text", 422)


@pytest.mark.parametrize(
    ("text", "position"),
    [("\x00", 0), ("ab\x00", 2), ("\r\nab\ud800", 3), ("👩\udfff", 1), ("a\ud83d\x00", 1)],
)
def test_what_one_database_could_not_store_is_refused_on_both(
    serving: Serving, alice: Any, agent: Agent, text: str, position: int
) -> None:
    """R33."""
    refused = refusal(serving.ask, alice, text)
    assert (refused.code, refused.status, refused.params) == (
        "unstorable_text", 422, {"position": position},
    )  # fmt: skip
    assert Conversation.objects.count() == Message.objects.count() == 0


@pytest.mark.parametrize(
    "text",
    ["".join(map(chr, range(1, 32))).replace("\r", "") + "x", "a" + "\u0301" * 10_000, "\u202eevil\u202c",
     "👩‍👩‍👧", "\u2028\u2029\x85x", "\ufeff\ufffe\uffff", "ש\u05b8לום عربى"],
)  # fmt: skip
def test_every_other_text_is_kept_as_it_is(serving: Serving, alice: Any, agent: Agent, text: str) -> None:
    """R33."""
    sent = serving.ask(alice, text)
    assert Message.objects.get(public_id=sent.question).text == text
    assert serving.ended(sent).state == State.COMPLETED


def test_a_question_has_a_size_and_the_refusal_says_it(
    serving: Serving, alice: Any, agent: Agent, settings: Any
) -> None:
    """R32: bytes of UTF-8, not characters."""
    settings.LIMIT_PROMPT_BYTES = 2000
    serving.ended(serving.ask(alice, "é" * 1000))
    refused = refusal(serving.ask, alice, "é" * 1000 + "x")
    assert (refused.code, refused.status) == ("text_too_long", 413)
    assert refused.params == {"limit": 2000, "size": 2001}


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is a ULID?", "What is a ULID?"),
        ("# Heading\n\n- point", "Heading - point"),
        ("```\ncode\n```", "code ```"),
        ("***", "***"),
        ("x" * 100, "x" * 59 + "…"),
        ("word " * 30, "word " * 10 + "word…"),
        ("a " + "b" * 100, "a " + "b" * 57 + "…"),
        ("one, two, three, four, five, six, seven, eight, nine, ten, eleven",
         "one, two, three, four, five, six, seven, eight, nine, ten…"),
    ],
)  # fmt: skip
def test_a_title_is_made_of_the_first_words(
    serving: Serving, alice: Any, agent: Agent, question: str, title: str
) -> None:
    sent = serving.ask(alice, question)
    assert Conversation.objects.get().title == title
    assert len(title) <= 60
    serving.ended(sent)


# -- agents and parents --------------------------------------------------------------------------


def test_the_agent_is_the_named_one_or_the_conversations_or_the_first(
    serving: Serving, alice: Any, make_agent: Callable[..., Agent]
) -> None:
    first, second = make_agent("First", position=1), make_agent("Second", position=2)
    sent = serving.ask(alice)
    assert serving.ended(sent).agent == first
    named = serving.ask(alice, "two", sent.conversation, agent=second.public_id)
    assert serving.ended(named).agent == second
    again = serving.ask(alice, "three", sent.conversation)
    assert serving.ended(again).agent == second


def test_an_agent_that_is_switched_off_or_missing_cannot_be_asked(
    serving: Serving, alice: Any, agent: Agent
) -> None:
    assert refusal(serving.ask, alice, agent=new_id()).code == "agent_unusable"
    sent = serving.ask(alice)
    serving.ended(sent)
    Agent.objects.update(enabled=False)
    for conversation in (None, sent.conversation):
        refused = refusal(serving.ask, alice, "more", conversation)
        assert (refused.code, refused.status) == ("agent_unusable", 422)
    assert refusal(actions.retry, alice, conversation=sent.conversation, answer=sent.answer).status == 422


def test_an_agent_whose_secret_cannot_be_read_cannot_be_asked(
    serving: Serving, alice: Any, agent: Agent, settings: Any
) -> None:
    from cryptography.fernet import Fernet

    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert refusal(serving.ask, alice).code == "agent_unusable"
    assert Message.objects.count() == 0


def test_a_parent_is_an_answer_of_this_conversation(serving: Serving, alice: Any, agent: Agent) -> None:
    first, other = serving.ask(alice), serving.ask(alice)
    serving.ended(first)
    serving.ended(other)
    for parent in (first.question, other.answer, new_id(), "\x00", "x" * 500):
        refused = refusal(serving.ask, alice, "more", first.conversation, parent=parent)
        assert (refused.code, refused.status) == ("not_found", 404)


def test_nothing_is_asked_of_an_agent_when_the_rows_cannot_be_written(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    from django.db import DatabaseError, transaction

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        serving.ask(alice)
        raise ZeroDivisionError
    assert Message.objects.count() == 0
    assert not issubclass(ZeroDivisionError, DatabaseError)
    serving.ended(serving.ask(alice))
    wait_for(lambda: len(agent_server.chats) == 1)
