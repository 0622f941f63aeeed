"""Saving running turns: everything soon, in few transactions, whatever happens to the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from chat.agents import AgentConfig, AgentRequest, TextDelta
from chat.models import Conversation, LedgerEntry, Message, State, new_id
from chat.turns.hub import Hub
from chat.turns.store import SHARE, Store, _End, _write_ends
from chat.turns.turn import Turn, TurnSpec
from tests.agent_server import AgentServer, gate, hang, say, usage
from tests.models.conftest import make_entry
from tests.serving import Serving, wait_for

OWNER = "01K6101856EC0MKJ8KN4S2B9CM"


def make_turn(user: Any, owner: str = OWNER) -> Turn:
    """A running turn and its rows."""
    conversation = Conversation.objects.create(owner=user, title="t", updated_at=timezone.now())
    answer = Message.objects.create(
        conversation=conversation, role=Message.Role.ASSISTANT, state=State.QUEUED, seq=2, owner=owner,
        agent_name="Scripted", created_at=timezone.now(), started_at=timezone.now(),
    )  # fmt: skip
    spec = TurnSpec(
        answer=Message.objects.select_related("agent").get(pk=answer.pk), thread_id=conversation.public_id,
        conversation_pk=conversation.pk, user_pk=user.pk, username=user.get_username(),
        agent=AgentConfig(kind="stackspot", name="Scripted"), request=AgentRequest(prompt="Hi"),
        parent=None, siblings=[answer.public_id],
    )  # fmt: skip
    return Turn(spec, Hub())


def saved(turn: Turn) -> str:
    return Message.objects.values_list("text", flat=True).get(pk=turn.answer.pk)


class Saving:
    """A store at work on the serving loop."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.store: Store = serving.call(self._start)

    def _start(self) -> Store:
        store = Store(OWNER)
        store.start()
        return store

    def take(self, turn: Turn, text: str) -> None:
        def taken() -> None:
            turn.take([TextDelta(text)])
            self.store.touch(turn)

        self.serving.call(taken)

    def stop(self) -> None:
        self.serving.run(self.store.stop())


@pytest.fixture
def saving(serving: Serving) -> Any:
    saving = Saving(serving)
    yield saving
    saving.stop()


def test_what_came_is_saved_within_the_interval(saving: Saving, alice: Any) -> None:
    turn = make_turn(alice)
    begun = time.monotonic()
    saving.take(turn, "Hello")
    wait_for(lambda: saved(turn) == "Hello")
    assert time.monotonic() - begun < 5
    row = Message.objects.get(pk=turn.answer.pk)
    assert (row.state, row.seq) == (State.STREAMING, turn.seq)


def test_what_is_saved_is_text_to_the_database_too(saving: Saving, alice: Any) -> None:
    turn = make_turn(alice)
    saving.take(turn, "ação 👩‍👩‍👧 \u2028 '")
    wait_for(lambda: saved(turn) == "ação 👩‍👩‍👧 \u2028 '")
    kind = "typeof" if connection.vendor == "sqlite" else "pg_typeof"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {kind}(text), upper(text) FROM chat_message WHERE id = %s", [turn.answer.pk])
        found = cursor.fetchone()
    assert found[0] == "text"
    assert found[1].startswith("A")


def test_much_text_is_saved_before_the_interval(saving: Saving, alice: Any, settings: Any) -> None:
    settings.LIMIT_SAVE_SECONDS = 60
    turn = make_turn(alice)
    saving.take(turn, "x" * settings.LIMIT_SAVE_BYTES)
    wait_for(lambda: len(saved(turn)) == settings.LIMIT_SAVE_BYTES, 5)


def test_many_turns_share_one_transaction(saving: Saving, alice: Any) -> None:
    turns = [make_turn(alice) for _ in range(30)]
    saving.serving.call(lambda: [saving.store.touch(turn) for turn in turns])

    def take_all() -> None:
        for turn in turns:
            turn.take([TextDelta("x")])
            saving.store.touch(turn)

    saving.serving.call(take_all)
    # They become visible together: a reader never sees some of one transaction.
    wait_for(lambda: Message.objects.filter(text="x").count() > 0)
    assert Message.objects.filter(text="x").count() == 30


@pytest.mark.parametrize(
    "now", [{"owner": "", "state": State.INTERRUPTED}, {"owner": "another"}], ids=["reaped", "another's"]
)
def test_a_row_that_is_not_ours_any_more_is_not_written(
    saving: Saving, alice: Any, now: dict[str, Any]
) -> None:
    turn, other = make_turn(alice), make_turn(alice)
    Message.objects.filter(pk=turn.answer.pk).update(text="what the reaper left", **now)
    saving.take(turn, "Hello")
    saving.take(other, "mine")
    wait_for(lambda: turn.lost)
    wait_for(lambda: saved(other) == "mine")
    assert saved(turn) == "what the reaper left"
    assert turn.cancelled
    assert not other.lost


def test_a_row_that_is_gone_takes_its_turn_along(saving: Saving, alice: Any) -> None:
    turn, other = make_turn(alice), make_turn(alice)
    Conversation.objects.filter(pk=turn.spec.conversation_pk).delete()
    saving.take(turn, "Hello")
    saving.take(other, "mine")
    wait_for(lambda: turn.lost)
    wait_for(lambda: saved(other) == "mine")


def test_one_row_that_cannot_be_written_does_not_hold_up_the_others(saving: Saving, alice: Any) -> None:
    poison, other, later = make_turn(alice), make_turn(alice), make_turn(alice)

    def take_all() -> None:
        for turn in (poison, other):
            turn.take([TextDelta("Hello")])
            saving.store.touch(turn)
        # What the store must never meet: neither database takes it.
        poison.answer.reasoning = "\x00\ud800"

    saving.serving.call(take_all)
    wait_for(lambda: saved(other) == "Hello")
    assert saved(poison) == ""
    saving.take(later, "later")
    wait_for(lambda: saved(later) == "later", what="the store lives on")


def test_an_end_that_cannot_be_written_is_told_and_the_others_are_written(saving: Saving, alice: Any) -> None:
    turn, other = make_turn(alice), make_turn(alice)

    def unwritable(ledger: list[LedgerEntry]) -> bool:
        return bool(Message.objects.filter(pk=turn.answer.pk).update(state="no such state"))

    def writable(ledger: list[LedgerEntry]) -> bool:
        return bool(Message.objects.filter(pk=other.answer.pk).update(text="ended"))

    async def both() -> list[Any]:
        ends = [saving.store.end(turn, unwritable), saving.store.end(other, writable)]
        return await asyncio.gather(*ends, return_exceptions=True)

    first, second = saving.serving.run(both())
    assert isinstance(first, DatabaseError)
    assert second is True
    assert saved(other) == "ended"


@pytest.fixture
def database_away() -> Any:
    """database_away(), database_back(): the messages' table is out of reach, as in an outage."""

    def rename(source: str, target: str) -> Callable[[], None]:
        def renamed() -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE {source} RENAME TO {target}")

        return renamed

    away, back = rename("chat_message", "gone_message"), rename("gone_message", "chat_message")
    yield away, back
    if "chat_message" not in connection.introspection.table_names():
        back()


def test_text_is_kept_while_the_database_is_away_and_saved_when_it_is_back(
    serving: Serving, alice: Any, agent: Any, agent_server: AgentServer, database_away: Any
) -> None:
    away, back = database_away
    agent_server.answer(gate("go"), say("during "), gate("end"), say("the outage"), usage(1, 2, 3))
    sent = serving.ask(alice)
    watcher = serving.watch(sent.conversation)
    wait_for(lambda: agent_server.chats)
    away()
    try:
        agent_server.open("go")
        wait_for(lambda: watcher.text == "during ", what="viewers see it all the same")
        agent_server.open("end")
        wait_for(lambda: watcher.text == "during the outage")
        (turn,) = serving.runtime.turns.values()
        wait_for(lambda: turn.ending, what="its end waits for the database")
        assert "thread.item.done" not in watcher.kinds, "nothing is shown as ended that is not in the rows"
        assert serving.call(turn.snapshot)[-1]["stkweb"]["state"] == State.STREAMING
    finally:
        back()
    answer = serving.ended(sent, 20)
    assert (answer.state, answer.text) == (State.COMPLETED, "during the outage")
    assert LedgerEntry.objects.count() == 1
    assert watcher.kinds[-1] == "thread.item.done"
    assert watcher.events[-1]["item"]["content"][0]["text"] == "during the outage"
    assert watcher.events[-1]["item"]["stkweb"]["state"] == State.COMPLETED


def test_a_server_ends_in_time_though_the_database_is_away(
    serving: Serving, alice: Any, agent: Any, agent_server: AgentServer, database_away: Any, settings: Any
) -> None:
    settings.LIMIT_SHUTDOWN = 1
    away, back = database_away
    agent_server.answer(say("kept"), hang())
    sent = serving.ask(alice)
    serving.wait_text(sent, "kept")
    away()
    try:
        begun = time.monotonic()
        serving.shut()
        assert time.monotonic() - begun < 5
    finally:
        back()
    assert Message.objects.get(public_id=sent.answer).text == "kept"


def test_an_answer_longer_than_a_save_is_worth_is_saved_in_the_end(
    serving: Serving, alice: Any, agent: Any, agent_server: AgentServer
) -> None:
    text = "0123456789" * 20_000
    agent_server.answer(*[say(text[n : n + 5000]) for n in range(0, len(text), 5000)], usage())
    answer = serving.ended(serving.ask(alice))
    assert answer.text == text


def test_a_transaction_takes_its_share_of_long_answers_in_turn_and_the_last_takes_all(
    serving: Serving, alice: Any
) -> None:
    turns = [make_turn(alice) for _ in range(5)]

    def due() -> list[list[int]]:
        store, found = Store(OWNER), []
        for turn in turns:
            turn.take([TextDelta("x" * (SHARE // 2))])
            store.touch(turn)
        for touched in (turns[0], None, None):
            found.append([turns.index(turn) for turn in store._take_due(everything=True)])
            if touched is not None:
                store.touch(touched)
        for turn in turns:
            store.touch(turn)
        store._closing = True
        return [*found, [turns.index(turn) for turn in store._take_due(everything=True)]]

    assert serving.call(due) == [[0, 1], [2, 3], [4, 0], [0, 1, 2, 3, 4]]


def test_what_a_share_left_over_is_saved_soon(saving: Saving, alice: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("chat.turns.store.SHARE", 1)
    turns = [make_turn(alice) for _ in range(4)]

    def take_all() -> None:
        for turn in turns:
            turn.take([TextDelta("x")])
            saving.store.touch(turn)

    saving.serving.call(take_all)
    wait_for(lambda: all(saved(turn) == "x" for turn in turns))


def test_ids_stay_unique_ten_thousand_times_in_a_moment() -> None:
    """R40."""
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.django_db
def test_an_end_and_its_ledger_entry_are_of_one_transaction() -> None:
    """Nothing waits for the commit: this test's transaction never has one."""

    def write(ledger: list[LedgerEntry]) -> bool:
        ledger.append(make_entry())
        return True

    loop = asyncio.new_event_loop()
    assert _write_ends([_End(write, new_id(), loop.create_future())]) == [True]
    loop.close()
    assert LedgerEntry.objects.count() == 1
