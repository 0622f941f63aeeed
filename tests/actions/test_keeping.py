"""Rename, delete, bring back, drafts, and that nobody reaches what is somebody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection

from chat import actions
from chat.actions import Refused
from chat.models import Agent, Conversation, Draft, LedgerEntry, Message, State, new_id
from tests.agent_server import AgentServer, hang, say
from tests.serving import Serving, wait_for


def refused(function: Callable[..., Any], *values: Any, **named: Any) -> tuple[str, int, dict[str, Any]]:
    with pytest.raises(Refused) as caught:
        function(*values, **named)
    return caught.value.code, caught.value.status, caught.value.params


@pytest.fixture
def conversation(serving: Serving, alice: Any, agent: Agent) -> str:
    """One of alice's, with a question and an answer."""
    sent = serving.ask(alice, "Hi")
    serving.ended(sent)
    return sent.conversation


# -- rename --------------------------------------------------------------------------------------


def test_a_conversation_is_renamed_and_the_list_hears_it(
    serving: Serving, alice: Any, conversation: str
) -> None:
    feed = serving.watch_feed(alice)
    actions.rename(alice, conversation=conversation, title="  A   better\ntitle ")
    assert Conversation.objects.get().title == "A better title"
    wait_for(lambda: feed.kinds == ["conversation.renamed"])
    assert feed.events[0]["conversation"]["title"] == "A better title"


@pytest.mark.parametrize("title", ["", "  ", "x" * 121, "a\x00b", "\ud800"])
def test_a_title_has_1_to_120_storable_characters(alice: Any, conversation: str, title: str) -> None:
    code, status, _ = refused(actions.rename, alice, conversation=conversation, title=title)
    assert (code, status) == ("title_invalid", 422)
    assert Conversation.objects.get().title == "Hi"


# -- delete and bring back -----------------------------------------------------------------------


def test_a_deleted_conversation_is_out_of_every_view_until_it_is_brought_back(
    serving: Serving, alice: Any, conversation: str
) -> None:
    feed = serving.watch_feed(alice)
    actions.delete(alice, conversation=conversation)
    assert not Conversation.objects.visible_to(alice).exists()
    assert refused(serving.ask, alice, "more", conversation)[0] == "not_found"
    assert refused(actions.rename, alice, conversation=conversation, title="x")[0] == "not_found"
    assert refused(actions.delete, alice, conversation=conversation)[0] == "not_found"
    actions.restore(alice, conversation=conversation)
    assert Conversation.objects.visible_to(alice).exists()
    assert refused(actions.restore, alice, conversation=conversation)[0] == "not_found"
    serving.ended(serving.ask(alice, "more", conversation))
    wait_for(lambda: len(feed.kinds) == 4)
    assert feed.kinds[:2] == ["conversation.deleted", "conversation.restored"]


def test_deleting_stops_the_answer_and_keeps_its_ledger_entry(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    agent_server.answer(say("kept"), hang())
    sent = serving.ask(alice)
    serving.wait_text(sent, "kept")
    actions.delete(alice, conversation=sent.conversation)
    answer = serving.ended(sent)
    assert (answer.state, answer.text) == (State.STOPPED, "kept")
    wait_for(lambda: agent_server.chats[0].connection.closed_at)
    assert LedgerEntry.objects.count() == 1


# -- drafts --------------------------------------------------------------------------------------


def test_drafts_are_kept_for_each_conversation_and_for_a_new_one(alice: Any, conversation: str) -> None:
    actions.save_draft(alice, conversation=None, text="new")
    actions.save_draft(alice, conversation=conversation, text="follow")
    actions.save_draft(alice, conversation=conversation, text="follow up")
    assert set(Draft.objects.values_list("conversation__public_id", "text")) == {
        (None, "new"), (conversation, "follow up"),
    }  # fmt: skip
    actions.save_draft(alice, conversation=conversation, text=" \n")
    actions.save_draft(alice, conversation=None, text="")
    assert not Draft.objects.exists()


def test_a_draft_may_hold_what_a_question_may_not(alice: Any, conversation: str) -> None:
    actions.save_draft(alice, conversation=None, text="a\x00b\ud800c" + "x" * 400_000)
    draft = Draft.objects.get()
    assert draft.text.startswith("ab?c")
    assert len(draft.text) == 300_000


@pytest.mark.parametrize("new", [True, False])
def test_two_tabs_may_save_a_draft_at_the_same_moment(alice: Any, conversation: str, new: bool) -> None:
    errors: list[DatabaseError] = []
    barrier = threading.Barrier(8)

    def save(n: int) -> None:
        barrier.wait()
        try:
            actions.save_draft(alice, conversation=None if new else conversation, text=f"draft {n}")
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Draft.objects.count() == 1


# -- reading -------------------------------------------------------------------------------------


def test_reading_marks_a_conversation_read_and_says_so_once(
    serving: Serving, alice: Any, conversation: str
) -> None:
    assert Conversation.objects.get().unread is True
    feed = serving.watch_feed(alice)
    for _ in range(3):
        actions.mark_read(alice, Conversation.objects.get())
    assert Conversation.objects.get().unread is False
    wait_for(lambda: feed.kinds == ["conversation.read"])


def test_reading_what_is_read_writes_nothing(
    serving: Serving, alice: Any, conversation: str, django_assert_num_queries: Any
) -> None:
    Conversation.objects.update(unread=False)
    row = Conversation.objects.get()
    with django_assert_num_queries(0):
        actions.mark_read(alice, row)


# -- whose it is ---------------------------------------------------------------------------------

VERBS: dict[str, Callable[[Any, str, str, str], Any]] = {
    "ask": lambda user, thread, question, answer: actions.ask(user, text="x", key="k", conversation=thread),
    "retry": lambda user, thread, q, answer: actions.retry(user, conversation=thread, answer=answer),
    "continue": lambda user, thread, q, a: actions.continue_answer(user, conversation=thread, answer=a),
    "show": lambda user, thread, question, answer: actions.show(user, conversation=thread, message=answer),
    "stop": lambda user, thread, question, answer: actions.stop(user, conversation=thread),
    "rename": lambda user, thread, question, answer: actions.rename(user, conversation=thread, title="x"),
    "delete": lambda user, thread, question, answer: actions.delete(user, conversation=thread),
    "restore": lambda user, thread, question, answer: actions.restore(user, conversation=thread),
    "draft": lambda user, thread, question, a: actions.save_draft(user, conversation=thread, text="x"),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_foreign_conversation_answers_exactly_as_a_missing_one(
    serving: Serving, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer, verb: str
) -> None:
    agent_server.answer(say("bob's"), hang())
    sent = serving.ask(bob, "private")
    serving.wait_text(sent, "bob's")
    before = list(Message.objects.order_by("pk").values()), list(Conversation.objects.values())
    call = VERBS[verb]
    foreign = refused(call, alice, sent.conversation, sent.question, sent.answer)
    missing = refused(call, alice, new_id(), new_id(), new_id())
    strange = refused(call, alice, "\x00\ud800", "x", "x")
    assert foreign == missing == strange == ("not_found", 404, {})
    assert list(Message.objects.order_by("pk").values()) == before[0]
    assert list(Conversation.objects.filter(owner=bob).values()) == before[1]
    assert Draft.objects.count() == 0


@pytest.mark.parametrize("verb", ["retry", "continue", "show"])
def test_a_foreign_message_is_not_reached_through_an_own_conversation(
    serving: Serving, alice: Any, bob: Any, agent: Agent, verb: str
) -> None:
    his, hers = serving.ask(bob), serving.ask(alice)
    serving.ended(his)
    serving.ended(hers)
    assert refused(VERBS[verb], alice, hers.conversation, his.question, his.answer)[0] == "not_found"


def test_nobody_and_the_deactivated_see_nothing(serving: Serving, alice: Any, conversation: str) -> None:
    assert not Conversation.objects.visible_to(AnonymousUser()).exists()
    assert not Agent.objects.visible_to(AnonymousUser()).exists()
    alice.is_active = False
    for verb, call in VERBS.items():
        assert refused(call, alice, conversation, "x", "x")[1] == 404, verb
    assert not Agent.objects.visible_to(alice).exists()
