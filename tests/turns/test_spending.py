"""Budgets hold: what is over one is refused before the call, however many ask at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import close_old_connections, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format

from chat import actions
from chat.actions import Refused, budgets
from chat.agents import AgentRequest
from chat.audit.allowances import allowances
from chat.audit.budgets import budget_span
from chat.models import (
    Agent,
    AuditEvent,
    Budget,
    BudgetConsent,
    BudgetGrant,
    BudgetHold,
    BudgetPeriod,
    Conversation,
    LedgerEntry,
    Membership,
    Message,
    Price,
    State,
    new_id,
)  # fmt: skip
from chat.turns import spending, warning
from chat.turns.reaper import Reaper
from tests.agent_server import AgentServer, gate, hang, say, usage
from tests.models.conftest import make_entry
from tests.serving import Recorder, Serving, wait_for
from tests.turns.test_runner import stop


def budget(**fields: Any) -> Budget:
    values = {"scope": "everyone", "measure": "tokens", "limit": 1, "period": "day", **fields}
    return Budget.objects.create(**values)


def period() -> BudgetPeriod:
    return BudgetPeriod.objects.get()


def enter(*entries: LedgerEntry) -> None:
    with transaction.atomic():
        spending.enter(entries)


# -- with an agent -----------------------------------------------------------------------------------


def test_parallel_sends_against_a_budget_of_one_make_one_call(
    serving: Serving, alice: Any, bob: Any, charlie: Any, agent: Agent, agent_server: AgentServer
) -> None:
    budget(limit=1, contact="Dora")
    agent_server.answer(say("one "), hang())
    answers: list[Any] = []
    begin = threading.Barrier(9)

    def send(person: Any) -> None:
        begin.wait()
        try:
            answers.append(serving.ask(person))
        except Refused as refused:
            answers.append(refused)
        finally:
            close_old_connections()

    threads = [threading.Thread(target=send, args=(p,)) for p in (alice, bob, charlie) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [answer for answer in answers if not isinstance(answer, Refused)]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert (len(sent), len(refused)) == (1, 8)
    assert {r.code for r in refused} == {"budget_spent"}
    assert (refused[0].params["limit"], refused[0].params["contact"]) == ("1 tokens", "Dora")
    serving.wait_text(sent[0], "one ")
    assert Message.objects.count() == 2, "a refused question leaves nothing"
    owner = Conversation.objects.get().owner
    stop(owner, sent[0].conversation)
    serving.ended(sent[0])
    assert BudgetHold.objects.count() == 0
    assert (period().reserved, period().used > 0) == (0, True)
    assert len(agent_server.chats) == 1
    with pytest.raises(Refused, match="budget_spent"):
        serving.ask(alice)


def test_a_stopped_call_that_is_read_to_its_end_stays_reserved_until_it_is_settled(
    serving: Serving, alice: Any, make_agent: Any, agent_server: AgentServer
) -> None:
    """Else who stops could ask again before anything was counted."""
    make_agent(on_stop=Agent.OnStop.DRAIN)
    budget(limit=2500)
    agent_server.answer(say("one "), gate("rest"), usage(300, None, 200))
    sent = serving.ask(alice)
    serving.wait_text(sent, "one ")
    stop(alice, sent.conversation)
    wait_for(lambda: Message.objects.get(public_id=sent.answer).state == State.STOPPED)
    assert (period().reserved > 2000, period().used) == (True, 0)
    with pytest.raises(Refused, match="budget_spent"):
        serving.ask(alice)
    agent_server.open("rest")
    wait_for(lambda: period().used == 500, what="the tokens")
    assert (period().reserved, BudgetHold.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_call_over_midnight_and_a_clock_that_jumps_count_for_the_period_they_end_in(
    alice: Any, demo_agent: Agent, monkeypatch: Any
) -> None:
    budget(limit=10_000)
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)

    def at(moment: datetime, **fields: Any) -> str:
        monkeypatch.setattr(timezone, "now", lambda: moment)
        key = new_id()
        assert spending.reserve(alice.pk, demo_agent, AgentRequest("x"), key) is None
        return key

    def ends(key: str, moment: datetime, tokens: int) -> None:
        monkeypatch.setattr(timezone, "now", lambda: moment)
        entry = make_entry(user_tokens=tokens, output_tokens=None, started_at=noon, ended_at=moment)
        with transaction.atomic():
            spending.enter([entry], [key])

    late = at(noon + timedelta(hours=11))
    ends(late, noon + timedelta(hours=13), 70)  # the next day, which nobody had asked in before
    back = at(noon)
    ends(back, noon - timedelta(days=1), 5)  # it went back a day while it was answered
    again = at(noon + timedelta(hours=14))
    ends(again, noon + timedelta(hours=15), 8)
    used = {row.start.date().day: (row.used, row.reserved) for row in BudgetPeriod.objects.all()}
    assert used == {4: (0, 0), 5: (78, 0)}
    at(noon - timedelta(days=1))
    assert BudgetPeriod.objects.get(start__day=3).used == 5
    assert BudgetHold.objects.count() == 1


def test_what_was_used_is_settled_and_what_was_reserved_is_given_back(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    budget(limit=10_000)
    agent_server.answer(say("hello"), usage(100, 20, 30))
    serving.ended(serving.ask(alice))
    assert (period().used, period().reserved) == (150, 0)
    agent_server.answer(say("hello"), usage(1, None, 2))
    serving.ended(serving.ask(alice))
    assert (period().used, period().reserved) == (153, 0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_waits_for_anothers_reservation_counts_it(alice: Any, bob: Any, agent: Agent) -> None:
    """Looking first and taking then would see room, wait, and take what is gone."""
    with transaction.atomic():
        spending.period_of(budget(limit=1), timezone.now())
    question = AgentRequest(prompt="one")
    found: list[Any] = []

    def second() -> None:
        try:
            with transaction.atomic():
                found.append(spending.reserve(bob.pk, agent, question, new_id()))
        finally:
            connection.close()

    waiting = threading.Thread(target=second)
    with transaction.atomic():
        assert spending.reserve(alice.pk, agent, question, new_id()) is None
        waiting.start()
        wait_for(waits_for_a_lock)
    waiting.join()
    assert [one.limit for one in found] == [1]


def waits_for_a_lock() -> bool:
    """Whether another connection of this database waits for a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_a_soft_budget_passes_once_confirmed_and_a_grant_makes_room(
    serving: Serving, alice: Any, agent: Agent, agent_server: AgentServer
) -> None:
    soft, hard = budget(limit=0, hard=False), budget(limit=0, scope="agent", agent=agent)
    with pytest.raises(Refused, match="budget_spent"):
        serving.ask(alice)
    BudgetGrant.objects.create(budget=hard, extra=5, until=timezone.now() + timedelta(hours=1))
    budgets.go_over(alice, budget=soft.public_id)
    serving.ended(serving.ask(alice))
    BudgetGrant.objects.update(until=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Refused, match="budget_spent"):
        serving.ask(alice)
    assert soft.periods.get().used > 0


def test_a_soft_budget_asks_each_person_once_a_period(
    serving: Serving, alice: Any, bob: Any, agent: Agent
) -> None:
    soft = budget(limit=0, hard=False, contact="Dora")
    with pytest.raises(Refused, match="budget_over") as refused:
        serving.ask(alice)
    assert (refused.value.status, refused.value.params["budget"]) == (409, soft.public_id)
    assert (refused.value.params["limit"], refused.value.params["contact"]) == ("0 tokens", "Dora")
    assert not Message.objects.exists() and not BudgetHold.objects.exists()
    for _ in range(2):
        budgets.go_over(alice, budget=soft.public_id)
    sent = serving.ask(alice)
    serving.ended(sent)
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    serving.ended(again)
    with pytest.raises(Refused, match="budget_over"):
        serving.ask(bob)
    event = AuditEvent.objects.get(action="budget.confirmed")
    assert (event.actor, event.target) == ("alice", f"budget:{soft.public_id}")
    assert (event.data["used"], event.data["limit"]) == (0, 0)
    BudgetPeriod.objects.update(start=F("start") - timedelta(days=1))
    with pytest.raises(Refused, match="budget_over"):
        serving.ask(alice)


def test_a_question_that_would_be_more_than_is_left_is_asked_about_while_others_run(
    serving: Serving, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer
) -> None:
    """What a hard budget would refuse, a soft one asks about."""
    budget(limit=2500, hard=False)
    agent_server.answer(say("one "), hang())
    sent = serving.ask(alice)
    serving.wait_text(sent, "one ")
    with pytest.raises(Refused, match="budget_over"):
        serving.ask(bob)
    stop(alice, sent.conversation)
    serving.ended(sent)
    serving.ended(serving.ask(bob))


def test_a_warning_reaches_open_pages_and_each_person_once_a_threshold(
    serving: Serving, alice: Any, bob: Any, charlie: Any, agent: Agent, agent_server: AgentServer
) -> None:
    team = Group.objects.create(name="Data")
    for person in (alice, bob):
        Membership.objects.create(user=person, team=team)
    one = budget(limit=10_000, scope="team", team=team)
    feeds = [serving.watch_feed(person) for person in (alice, bob, charlie)]
    agent_server.answer(say("hello"), usage(5000, None, 100))
    serving.ended(serving.ask(alice))

    def told(feed: Recorder) -> list[dict[str, Any]]:
        return [event["budget"] for event in feed.events if event["type"] == "budget.reached"]

    wait_for(lambda: told(feeds[0]) and told(feeds[1]), what="the warnings")
    assert told(feeds[2]) == []
    (facts,) = told(feeds[0])
    assert facts["resets_at"] > timezone.now().isoformat()
    assert {**facts, "resets_at": ""} == {
        "id": one.public_id, "scope": "team", "name": "Data", "percent": 50, "limit": 10_000,
        "currency": None, "resets_at": "", "hard": True,
    }  # fmt: skip
    assert budgets.notices(charlie) == []
    (said,) = budgets.notices(alice)
    assert said.startswith("50 % of the budget of Data, 10,000 tokens, is used.")
    assert budgets.notices(alice) == []
    agent_server.answer(say("hello"), usage(1, None, 1))
    serving.ended(serving.ask(alice))
    assert budgets.notices(alice) == [] and len(told(feeds[0])) == 1, "once a threshold"
    agent_server.answer(say("hello"), usage(3000, None, 1))
    serving.ended(serving.ask(bob))
    wait_for(lambda: len(told(feeds[0])) == 2, what="the next warning")
    budgets.mark_told(alice)
    assert budgets.notices(alice) == []
    assert [said[:4] for said in budgets.notices(bob)] == ["80 %"], "the highest alone"


# -- rows alone --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_turn_whose_process_died_gives_back_its_reservation(alice: Any, demo_agent: Agent) -> None:
    budget(limit=10_000)
    row = Conversation.objects.create(owner=alice, title="t", updated_at=timezone.now())
    answer = Message.objects.create(
        conversation=row, role="assistant", state=State.STREAMING, owner=new_id(), agent=demo_agent,
        agent_name="Demo", created_at=timezone.now(),
    )  # fmt: skip
    assert spending.reserve(alice.pk, demo_agent, AgentRequest("x" * 400), answer.public_id) is None
    assert period().reserved == 2100
    assert len(Reaper(new_id()).reap(alone=True)) == 1
    assert (period().reserved, BudgetHold.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_reservation_that_belongs_to_nothing_is_given_back(alice: Any, demo_agent: Agent) -> None:
    budget(limit=10_000)
    spending.reserve(alice.pk, demo_agent, AgentRequest("x"), new_id())
    spending.release_stale()
    assert period().reserved == 2001
    BudgetHold.objects.update(created_at=timezone.now() - timedelta(days=1))
    spending.release_stale()
    assert period().reserved == 0


@pytest.mark.django_db
def test_each_scope_counts_its_own_and_what_came_before_it_was_made(
    alice: Any, bob: Any, demo_agent: Agent
) -> None:
    team = Group.objects.create(name="Data")
    Membership.objects.create(user=alice, team=team)
    now = timezone.now()
    moments = {"started_at": now, "ended_at": now, "agent_id": demo_agent.pk}
    LedgerEntry.objects.append(
        [make_entry(user_id=alice.pk, **moments), make_entry(user_id=bob.pk, **moments)]
    )
    made = [
        budget(limit=10**6), budget(limit=10**6, scope="team", team=team),
        budget(limit=10**6, scope="person", person=bob), budget(limit=10**6, scope="agent", agent=demo_agent),
    ]  # fmt: skip
    for person in (alice, bob):
        spending.reserve(person.pk, demo_agent, AgentRequest("x"), new_id())
    assert [one.periods.get().used for one in made] == [36, 18, 18, 36]
    enter(make_entry(user_id=bob.pk, **moments))
    assert [one.periods.get().used for one in made] == [54, 18, 36, 54]


@pytest.mark.django_db
def test_money_counts_what_calls_are_worth(alice: Any, demo_agent: Agent) -> None:
    now = timezone.now()
    Price.objects.create(
        currency="USD", user=2_000_000, output=10_000_000, valid_from=now - timedelta(days=2), created_at=now
    )
    one = budget(measure="money", currency="USD", limit=25_000_000)
    assert spending.reserve(alice.pk, demo_agent, AgentRequest("x" * 400), new_id()) is None
    assert period().reserved == 100 * 2000 + 2000 * 10_000
    shortage = spending.reserve(alice.pk, demo_agent, AgentRequest("x" * 400), new_id())
    assert shortage is not None and shortage.budget == one
    enter(make_entry(user_id=alice.pk, user_tokens=100, output_tokens=10, started_at=now, ended_at=now))
    assert period().used == 100 * 2000 + 10 * 10_000
    Price.objects.create(
        agent_id=9,
        currency="BRL",
        user=10**6,
        output=10**6,
        valid_from=now - timedelta(days=2),
        created_at=now,
    )
    enter(make_entry(user_id=alice.pk, agent_id=9, started_at=now, ended_at=now))
    assert period().used == 100 * 2000 + 10 * 10_000, "of its own currency alone"


@pytest.mark.django_db
def test_each_warning_is_given_once(alice: Any, demo_agent: Agent) -> None:
    budget(limit=100)
    now = timezone.now()
    spending.reserve(alice.pk, demo_agent, AgentRequest("x"), new_id())
    for tokens in (49, 1, 10, 25, 9, 20):
        enter(make_entry(user_tokens=tokens, output_tokens=None, started_at=now, ended_at=now))
    events = AuditEvent.objects.filter(action="budget.reached").order_by("pk")
    assert [event.data["percent"] for event in events] == [50, 80, 100]


@pytest.mark.django_db
def test_a_raised_limit_is_warned_of_anew(alice: Any, demo_agent: Agent) -> None:
    one = budget(limit=100)
    now = timezone.now()
    spending.reserve(alice.pk, demo_agent, AgentRequest("x"), new_id())
    enter(make_entry(user_tokens=95, output_tokens=None, started_at=now, ended_at=now))
    assert [said[:4] for said in budgets.notices(alice)] == ["95 %"]
    BudgetGrant.objects.create(budget=one, extra=100, until=now + timedelta(hours=1))
    with transaction.atomic():
        spending.limit_changed(one)
    assert budgets.notices(alice) == []
    enter(make_entry(user_tokens=10, output_tokens=None, started_at=now, ended_at=now))
    assert [said[:4] for said in budgets.notices(alice)] == ["50 %"], "of another limit"
    enter(make_entry(user_tokens=60, output_tokens=None, started_at=now, ended_at=now))
    assert [said[:4] for said in budgets.notices(alice)] == ["80 %"]


@pytest.mark.django_db
def test_what_was_granted_since_is_no_longer_said(alice: Any, demo_agent: Agent) -> None:
    one = budget(limit=100, scope="person", person=alice)
    now = timezone.now()
    spending.reserve(alice.pk, demo_agent, AgentRequest("x"), new_id())
    enter(make_entry(user_id=alice.pk, user_tokens=80, output_tokens=None, started_at=now, ended_at=now))
    BudgetGrant.objects.create(budget=one, extra=900, until=now + timedelta(hours=1))
    assert budgets.notices(alice) == []


@pytest.mark.django_db
def test_a_send_asks_nothing_more_than_whether_there_is_a_budget(
    django_assert_num_queries: Any, alice: Any
) -> None:
    with django_assert_num_queries(1):
        assert spending.in_force() is False


def test_a_refusal_says_limit_reset_and_whom_to_ask(
    serving: Serving, alice: Any, agent: Agent, client: Any
) -> None:
    budget(limit=0, contact="Dora, room 4", period="month")
    resets = date_format(timezone.localtime(budget_span("month", timezone.now())[1]), "SHORT_DATETIME_FORMAT")
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post("/c/", {"text": "hi"}, content_type="application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (429, "budget_spent")
    assert error["message"] == f"The budget of 0 tokens is used up until {resets}."
    assert "Dora, room 4" in error["next"]
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.django_db
def test_what_was_granted_ends(alice: Any) -> None:
    one, now = budget(limit=10), timezone.now()
    BudgetGrant.objects.create(budget=one, extra=5, until=now + timedelta(hours=1))
    BudgetGrant.objects.create(budget=one, extra=70, until=now - timedelta(seconds=1))
    assert spending.limit_of(one, now) == 15
    assert [reach.limit for reach in allowances(Budget.objects.all())] == [15]


@pytest.mark.django_db
def test_a_budget_of_one_person_is_told_to_that_person_alone(alice: Any, bob: Any) -> None:
    mine = budget(scope="person", person=alice)
    assert warning.concerned(mine) == [alice.pk]
    assert sorted(warning.concerned(budget())) == sorted([alice.pk, bob.pk])
    alice.is_active = False
    alice.save()
    assert warning.concerned(mine) == []


@pytest.mark.django_db
def test_a_hard_budget_cannot_be_confirmed(alice: Any) -> None:
    with pytest.raises(Refused, match="not_found"):
        budgets.go_over(alice, budget=budget(hard=True).public_id)
    assert not BudgetConsent.objects.exists()
