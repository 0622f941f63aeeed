"""Ending the turns of processes that are gone, and never those of one that lives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from chat.models import Conversation, LedgerEntry, Message, State, Worker, new_id
from chat.turns.endings import REAPED_JUMP
from chat.turns.reaper import Reaper
from tests.agent_server import AgentServer, hang, say
from tests.serving import Serving, wait_for

pytestmark = pytest.mark.django_db


def running_answer(user: Any, owner: str, **fields: Any) -> Message:
    now = fields.pop("now", timezone.now())
    conversation = Conversation.objects.create(owner=user, title="t", seq=40, updated_at=now)
    fields = {"text": "so far", "seq": 44, "state": State.STREAMING, **fields}
    return Message.objects.create(
        conversation=conversation, role=Message.Role.ASSISTANT, owner=owner, agent_name="Scripted",
        created_at=now, started_at=now, **fields,
    )  # fmt: skip


def registered(worker_id: str | None = None) -> tuple[str, Reaper]:
    worker_id = worker_id or new_id()
    reaper = Reaper(worker_id)
    reaper.register()
    return worker_id, reaper


def test_a_process_alone_ends_what_the_dead_one_left(alice: Any) -> None:
    dead, _ = registered()
    answer = running_answer(alice, dead)
    me, reaper = registered()
    (reaped,) = reaper.reap(alone=True)
    row = Message.objects.select_related("conversation").get(pk=answer.pk)
    assert (row.state, row.error_code) == (State.INTERRUPTED, "interrupted_restart")
    assert (row.text, row.owner) == ("so far", "")
    assert len(row.error_id) == 26
    assert row.conversation.unread is True
    assert (reaped.thread_id, reaped.user_pk) == (row.conversation.public_id, alice.pk)
    assert list(Worker.objects.values_list("public_id", flat=True)) == [me]
    assert LedgerEntry.objects.get().outcome == "interrupted"


def test_its_number_is_above_everything_a_viewer_can_have_seen(alice: Any, settings: Any) -> None:
    assert REAPED_JUMP > 20 * settings.LIMIT_FRAMES, "frames of 20 s that were shown and never saved"
    answer = running_answer(alice, "gone")
    _, reaper = registered()
    reaper.reap(alone=True)
    row = Message.objects.select_related("conversation").get(pk=answer.pk)
    assert row.seq == row.conversation.seq == 44 + REAPED_JUMP


def test_its_own_turns_are_left_alone(alice: Any) -> None:
    me, reaper = registered()
    running_answer(alice, me)
    assert reaper.reap(alone=True) == []
    assert reaper.reap() == []


def test_a_turn_whose_owner_was_never_registered_is_ended_at_once(alice: Any) -> None:
    running_answer(alice, "")
    _, reaper = registered()
    assert len(reaper.reap()) == 1


def test_a_process_is_gone_when_its_beats_stop(alice: Any, settings: Any) -> None:
    settings.LIMIT_LEASE = 0.6
    silent, _ = registered()
    living, heart = registered()
    lost, kept = running_answer(alice, silent), running_answer(alice, living)
    _, reaper = registered()
    begun = time.monotonic()
    reaped = []
    while not reaped:
        assert time.monotonic() - begun < 5
        assert heart.beat() is True
        reaped = reaper.reap()
    assert time.monotonic() - begun >= 0.6, "not before its lease was over"
    assert [one.answer.pk for one in reaped] == [lost.pk]
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        heart.beat()
        assert reaper.reap() == []
    assert Message.objects.get(pk=kept.pk).state == State.STREAMING


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        timezone.now() - timedelta(hours=2),
        timezone.now() + timedelta(days=1),
        datetime(2999, 1, 1, tzinfo=UTC),
    ],
)
def test_no_wall_clock_takes_part(alice: Any, settings: Any, moment: datetime) -> None:
    """R40: rows of a process whose clock is wrong."""
    settings.LIMIT_LEASE = 0.2
    silent, _ = registered()
    living, heart = registered()
    Worker.objects.update(started_at=moment)
    lost, kept = running_answer(alice, silent, now=moment), running_answer(alice, living, now=moment)
    _, reaper = registered()
    assert reaper.reap() == [], "nobody is gone at first sight"
    deadline = time.monotonic() + 5
    while Message.objects.get(pk=lost.pk).state != State.INTERRUPTED:
        assert time.monotonic() < deadline
        heart.beat()
        reaper.reap()
    assert Message.objects.get(pk=kept.pk).state == State.STREAMING
    duration = Message.objects.get(pk=lost.pk).duration_ms
    assert duration is not None and 0 <= duration <= settings.LIMIT_TURN * 1000


def test_a_process_that_was_taken_for_gone_finds_out(alice: Any, settings: Any) -> None:
    settings.LIMIT_LEASE = 0.05
    _, heart = registered()
    _, reaper = registered()
    wait_for(lambda: reaper.reap() or Worker.objects.count() == 1)
    assert heart.beat() is False
    heart.register()
    assert heart.beat() is True


def test_two_reapers_end_a_turn_once(alice: Any) -> None:
    running_answer(alice, "gone")
    reapers = [registered()[1] for _ in range(3)]
    assert sum(len(reaper.reap()) for reaper in reapers) == 1
    assert LedgerEntry.objects.count() == 1


def test_leaving_lets_the_others_end_what_was_left(alice: Any) -> None:
    leaving, gone = registered()
    running_answer(alice, leaving)
    _, reaper = registered()
    assert reaper.reap() == []
    gone.unregister()
    assert len(reaper.reap()) == 1


def test_a_turn_that_was_reaped_is_given_up_by_its_process(
    serving: Serving, alice: Any, agent: Any, agent_server: AgentServer
) -> None:
    agent_server.answer(say("so far"), *[say(".") for _ in range(3)], hang())
    sent = serving.ask(alice)
    answer = serving.wait_text(sent, "so far...")
    watcher = serving.watch(sent.conversation)
    worker_id = serving.runtime.worker_id
    Worker.objects.filter(public_id=worker_id).delete()
    other = Reaper(new_id())
    other.register()
    (reaped,) = other.reap()
    assert reaped.answer.pk == answer.pk
    (turn,) = serving.runtime.turns.values()
    serving.call(serving.runtime.store.touch, turn)
    wait_for(lambda: not serving.runtime.turns, what="the owner lets go")
    wait_for(lambda: agent_server.chats[0].connection.closed_at, what="and hangs up")
    row = Message.objects.get(pk=answer.pk)
    assert (row.state, row.text) == (State.INTERRUPTED, "so far...")
    assert LedgerEntry.objects.count() == 1
    assert "thread.item.done" not in watcher.kinds


def test_a_start_ends_what_the_last_process_left(alice: Any, serving: Serving, settings: Any) -> None:
    settings.REDIS_URL = ""
    serving.shut()
    answer = running_answer(alice, "gone")
    serving.open()
    assert Message.objects.get(pk=answer.pk).state == State.INTERRUPTED
    again = Message.objects.get(pk=answer.pk)
    serving.shut()
    serving.open()
    assert Message.objects.get(pk=answer.pk).seq == again.seq
