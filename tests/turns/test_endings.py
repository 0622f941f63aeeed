"""The end of a turn in the rows: all of it or nothing, and for the owner alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from chat.agents import Usage
from chat.models import Conversation, LedgerEntry, Message, State
from chat.turns.endings import Ending, write_ending

OWNER = "01K6101856EC0MKJ8KN4S2B9CM"
pytestmark = pytest.mark.django_db


@pytest.fixture
def answer(alice: Any) -> Message:
    conversation = Conversation.objects.create(owner=alice, title="t", seq=2, updated_at=timezone.now())
    row = Message.objects.create(
        conversation=conversation, role=Message.Role.ASSISTANT, state=State.STREAMING, seq=5, owner=OWNER,
        agent_name="Scripted", stop_requested=True, created_at=timezone.now(), started_at=timezone.now(),
    )  # fmt: skip
    row.text, row.seq = "Hello", 9
    return row


def end(answer: Message, ending: Ending, owner: str = OWNER) -> bool:
    with transaction.atomic():
        ledger: list[LedgerEntry] = []
        written = write_ending(
            answer, ending, owner=owner, thread_id=answer.conversation.public_id,
            user=(answer.conversation.owner_id, "alice"), agent=None, unread=True, ledger=ledger,
        )  # fmt: skip
        LedgerEntry.objects.append(ledger)
        return written


def test_it_writes_answer_conversation_and_ledger_together(answer: Message) -> None:
    ending = Ending(State.COMPLETED, usage=Usage(1, None, 3, cached=1), stop_reason="stop", duration_ms=17)
    assert end(answer, ending) is True
    row = Message.objects.get(pk=answer.pk)
    assert (row.text, row.state, row.seq, row.owner) == ("Hello", State.COMPLETED, 9, "")
    assert (row.stop_requested, row.stop_reason, row.duration_ms) == (False, "stop", 17)
    conversation = Conversation.objects.get()
    assert (conversation.seq, conversation.unread) == (9, True)
    assert conversation.updated_at == row.ended_at
    entry = LedgerEntry.objects.get()
    assert (entry.user_tokens, entry.enrichment_tokens, entry.output_tokens) == (1, None, 3)
    assert (entry.cached_tokens, entry.reasoning_tokens) == (1, None)
    assert (entry.message_id, entry.conversation_id) == (row.public_id, conversation.public_id)


@pytest.mark.parametrize("changed", [{"owner": "somebody else"}, {"owner": "", "state": State.INTERRUPTED}])
def test_it_writes_nothing_for_one_who_has_lost_the_row(answer: Message, changed: dict[str, Any]) -> None:
    Message.objects.filter(pk=answer.pk).update(**changed)
    assert end(answer, Ending(State.COMPLETED, usage=Usage(1, 2, 3))) is False
    assert Message.objects.get(pk=answer.pk).text == ""
    assert Conversation.objects.get().seq == 2
    assert LedgerEntry.objects.count() == 0


def test_an_end_is_written_once(answer: Message) -> None:
    assert end(answer, Ending(State.COMPLETED)) is True
    assert end(answer, Ending(State.STOPPED)) is False
    assert Message.objects.get(pk=answer.pk).state == State.COMPLETED
    assert LedgerEntry.objects.count() == 1


def test_the_row_in_memory_changes_only_when_it_is_told_to(answer: Message) -> None:
    ending = Ending(State.FAILED, error_code="busy", error_id="01K6101856EC0MKJ8KN4S2B9CM")
    end(answer, ending)
    assert (answer.state, answer.error_code) == (State.STREAMING, "")
    ending.apply_to(answer)
    assert (answer.state, answer.error_code, answer.error_id) == ("failed", "busy", ending.error_id)


def test_what_an_upstream_names_is_made_to_fit(answer: Message) -> None:
    long = "\x00é\ud800" * 200
    ending = Ending(State.COMPLETED, stop_reason=long, upstream_conversation=long, upstream_message=long)
    ending.usage = Usage(1, raw={"note": "\x00\ud800"})
    end(answer, ending)
    row = Message.objects.get(pk=answer.pk)
    assert row.stop_reason.startswith("\ufffdé\ufffd") and len(row.stop_reason) == 40
    assert len(row.upstream_conversation) == 64
    entry = LedgerEntry.objects.get()
    assert len(entry.upstream_id) == 120
    assert json.loads(entry.raw_usage or "") == {"note": "\ufffd\ufffd"}


def test_the_ledger_keeps_what_was_reported_as_it_came(answer: Message) -> None:
    raw = {"prompt_tokens": 1, "renamed_by_its_vendor": {"audio": 2}}
    end(answer, Ending(State.FAILED, error_code="busy", usage=Usage(1, raw=raw)))
    assert json.loads(LedgerEntry.objects.get().raw_usage or "null") == raw


def test_the_ledger_outlives_conversation_and_person(answer: Message, alice: Any) -> None:
    end(answer, Ending(State.COMPLETED, usage=Usage(1, 2, 3)))
    alice.delete()
    assert Conversation.objects.count() == Message.objects.count() == 0
    entry = LedgerEntry.objects.get()
    assert (entry.username, entry.agent_name, entry.output_tokens) == ("alice", "Scripted", 3)


def test_the_database_holds_one_running_turn_a_conversation(answer: Message) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            conversation=answer.conversation, role=Message.Role.ASSISTANT, state=State.QUEUED,
            created_at=timezone.now(),
        )  # fmt: skip


def test_the_database_knows_no_other_states(answer: Message) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(pk=answer.pk).update(state="lost")
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            conversation=answer.conversation, role=Message.Role.USER, state=State.STREAMING,
            created_at=timezone.now(),
        )  # fmt: skip
