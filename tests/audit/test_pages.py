"""The audit pages: who may see them, the same numbers everywhere, no content, and every look in the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from ulid import ULID

from chat import audit
from chat.admin.audit import chart
from chat.models import (
    AuditEvent,
    Budget,
    BudgetPeriod,
    Conversation,
    LedgerEntry,
)
from chat.models.append_only import protect, release
from tests.audit.conftest import cells
from tests.security.conftest import Owned, of_alice

__all__ = ["of_alice"]
pytestmark = pytest.mark.django_db
PAGES = ("", "reconcile/", "export.csv", "export.json", "export.zip", "exports/x/", "calls/x/")


@pytest.mark.parametrize("who", ["alice", "staff"])
@pytest.mark.parametrize("path", PAGES)
def test_nobody_without_the_permission_sees_anything(
    who: str, path: str, request: pytest.FixtureRequest, client_of: Callable[..., Client], known: Any
) -> None:
    answer = client_of(request.getfixturevalue(who)).get(f"/admin/audit/{path}")
    assert answer.status_code in (302, 403)
    assert "1,340" not in answer.content.decode()
    assert not AuditEvent.objects.filter(action__in=("audit.viewed", "export.begun")).exists()


def test_the_administration_offers_the_pages_to_those_who_may_see_them(
    page: Client, client_of: Callable[..., Client], make_person: Callable[..., Any]
) -> None:
    assert 'href="/admin/audit/"' in page.get("/admin/").content.decode()
    other = client_of(make_person("dora", is_staff=True))
    assert 'href="/admin/audit/"' not in other.get("/admin/").content.decode()


def test_it_shows_known_sums_and_tells_unknown_from_zero(page: Client, known: dict[str, int]) -> None:
    answer = page.get("/admin/audit/")
    total = answer.context["total"]
    assert (total.tokens, total.calls) == (known["tokens"], known["calls"])
    assert (total.user_tokens, total.enrichment_tokens, total.output_tokens) == (1340, 400, 159)
    assert total.certainties == {"reported": 3, "unknown": 1, "estimated": 1}
    assert total.outcomes == {"completed": 3, "failed": 1, "stopped": 1}
    lines = {line.label: line.sums for line, _address in answer.context["lines"]}
    assert (lines["alice"].tokens, lines["bob"].tokens) == (820, 1079)
    assert (lines["alice"].enrichment_tokens, lines["bob"].enrichment_tokens) == (400, 0)
    assert "1,899" in answer.content.decode()


@pytest.mark.parametrize("view", ["person", "team", "agent", "model", "day"])
def test_every_table_adds_up_to_the_same_total(view: str, page: Client, known: dict[str, int]) -> None:
    answer = page.get(f"/admin/audit/?view={view}")
    sums = [line.sums for line, _address in answer.context["lines"]]
    assert sum(one.tokens or 0 for one in sums) == known["tokens"]
    assert sum(one.calls for one in sums) == known["calls"]
    assert sum(total or 0 for total in answer.context["chart"].totals) == known["tokens"]


@pytest.mark.parametrize("stack", ["kind", "agent", "team", "person"])
def test_the_chart_adds_up_whatever_its_bars_are_made_of(
    stack: str, page: Client, known: dict[str, int]
) -> None:
    chart = page.get(f"/admin/audit/?stack={stack}").context["chart"]
    assert len(chart.spans) == 30
    assert sum(total or 0 for total in chart.totals) == known["tokens"]
    assert [running for _start, _label, running in chart.spans] == [False] * 29 + [True]
    today = page.get(f"/admin/audit/?stack={stack}&period=today").context["chart"]
    assert len(today.spans) in (23, 24, 25)


def test_more_than_eight_are_told_as_others(
    page: Client, book: Callable[..., LedgerEntry], known: dict[str, int]
) -> None:
    for n in range(10):
        book(f"command {n}", user=n, output=0)
    stacks = page.get("/admin/audit/?stack=person").context["chart"].stacks
    assert len(stacks) == 9
    assert stacks[-1][1] == "others"
    drawn = sum(value or 0 for _name, _colour, values in stacks for value in values)
    assert drawn == known["tokens"] + 45


def crowd(book: Callable[..., LedgerEntry], silent: int = 1) -> None:
    """Eleven people on three days; `silent` days ago nothing was reported of all but the largest eight."""
    now = timezone.now().replace(minute=0) - timedelta(hours=1)
    for n in range(11):
        for days in range(3):
            told = (
                {"user": None, "output": None} if days == silent and n < 3 else {"user": 100 * n, "output": n}
            )
            book(f"command {n}", at=now - timedelta(days=days), **told)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Asia/Kolkata"])
@pytest.mark.parametrize("silent", [1, 9])
@pytest.mark.parametrize("more", ["", "&outcome=completed", "&agent=7"])
def test_the_largest_and_the_others_are_the_same_as_everybody_told_apart(
    zone: str, silent: int, more: str, page: Client, book: Callable[..., LedgerEntry]
) -> None:
    crowd(book, silent)
    address = f"/admin/audit/?stack=person&period=7d&zone={zone}{more}"
    drawn = page.get(address).context["chart"]
    # The same from everybody by person, as it is read where they are few.
    query = page.get(address).context["query"]
    points = audit.series(query.filter, query.step, by="person", what="bar")
    starts = audit.starts(query.filter, query.step)
    assert drawn.stacks == chart._top(points, {start: at for at, start in enumerate(starts)})
    assert drawn.stacks[-1][1] == "others"
    assert None in drawn.stacks[-1][2]


def test_others_that_reported_nothing_have_not_used_0(page: Client, book: Callable[..., LedgerEntry]) -> None:
    crowd(book)
    others = page.get("/admin/audit/?stack=person&period=7d").context["chart"].stacks[-1][2]
    assert 0 not in others
    assert sum(value is not None for value in others) == 2


def test_a_call_leads_to_the_one_it_repeats(
    page: Client, alice: Any, book: Callable[..., LedgerEntry]
) -> None:
    """`retry_of` is a call's id, or that of the answer that was tried again."""
    conversation, first, other = (str(ULID()) for _ in range(3))
    of = {"conversation_id": conversation}
    refused = book(alice, **of, message_id=first, outcome="failed")
    old = book(alice, **of, message_id=first, retry_of=refused.public_id)
    again = book(alice, **of, message_id=other, purpose="again", retry_of=first)
    lost = book(alice, purpose="again", retry_of=str(ULID()))
    listed = page.get("/admin/audit/?view=calls").content.decode().split('id="table"')[1]
    for row, earlier in ((old, refused), (again, old)):
        address = f"/admin/audit/calls/{earlier.public_id}/"
        assert f'href="{address}">repeats' in listed
        assert f'href="{address}"' in page.get(f"/admin/audit/calls/{row.public_id}/").content.decode()
    assert listed.count("repeats") == 2
    shown = page.get(f"/admin/audit/calls/{lost.public_id}/").content.decode()
    assert lost.retry_of in shown and f"calls/{lost.retry_of}" not in shown


def test_groups_say_how_many_people_they_are_made_of_and_what_knowledge_took(
    page: Client, known: Any
) -> None:
    answer = page.get("/admin/audit/?view=agent")
    (line, _address), people = answer.context["lines"][0], answer.context["people"]
    assert (line.people, people) == (2, 2)
    assert line.knowledge == pytest.approx(400 / 1899)
    text = answer.content.decode()
    assert "21.1 %" in text.split('id="table"')[1], "in the agent's row"
    assert "21.1 %" in text.split('class="numbers"')[1].split("</article>")[0], "at the head"
    rows = cells(page.get("/admin/audit/export.csv?view=agent"))
    assert [row["people"] for row in rows] == ["2"]
    assert "people" not in cells(page.get("/admin/audit/export.csv?view=person"))[0]


def test_what_knowledge_took_is_not_told_where_nothing_was_reported(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    book(alice, user=10, enrichment=None, output=5)
    line, _address = page.get("/admin/audit/?view=agent").context["lines"][0]
    assert line.knowledge is None


def test_a_person_with_a_budget_has_what_is_used_of_it_in_the_table(
    page: Client, known: Any, alice: Any
) -> None:
    assert "Of the budget" not in page.get("/admin/audit/").content.decode()
    Budget.objects.create(scope="person", person=alice, measure="tokens", limit=10**6, period="month")
    budget = Budget.objects.create(scope="person", person=alice, measure="tokens", limit=1000, period="day")
    start, _end = audit.budget_span("day", timezone.now())
    BudgetPeriod.objects.create(budget=budget, start=start, used=550)
    answer = page.get("/admin/audit/")
    assert "Of the budget" in answer.content.decode()
    assert answer.context["limits"][alice.pk].part == 0.55, "the one that is used most"
    assert page.get("/admin/audit/?view=agent").context["limits"] == {}


def test_tables_are_ordered_by_the_server(page: Client, known: Any) -> None:
    def labels(sort: str) -> list[str]:
        return [line.label for line, _ in page.get(f"/admin/audit/?sort={sort}").context["lines"]]

    assert labels("-tokens") == ["bob", "alice"]
    assert labels("tokens") == ["alice", "bob"]
    assert labels("label") == ["alice", "bob"]
    assert labels("-label") == ["bob", "alice"]
    assert labels("enrichment") == ["bob", "alice"]


def test_calls_are_paged_without_a_gap_or_a_repeat(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    same = timezone.now() - timedelta(hours=1)
    made = {book(alice, at=same if n % 2 else None).public_id for n in range(120)}
    seen: list[str] = []
    address = "?view=calls"
    while address:
        answer = page.get(f"/admin/audit/{address}")
        seen += [call.public_id for call in answer.context["calls"]]
        address = answer.context["older"]
    assert len(seen) == 120
    assert set(seen) == made


def test_a_call_is_shown_without_what_was_said(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, of_alice: Owned
) -> None:
    row = book(
        alice, conversation_id=of_alice.conversation, message_id=of_alice.answer, raw_usage='{"user": 10}'
    )
    for path in (f"calls/{row.public_id}/", "?view=calls"):
        text = page.get(f"/admin/audit/{path}").content.decode()
        assert "alice" in text
        for secret in ("secret question", "secret answer", "Of Alice"):
            assert secret not in text
    shown = page.get(f"/admin/audit/calls/{row.public_id}/").content.decode()
    assert row.digest in shown
    assert "unbroken" in shown
    assert "Read it, for a reason" not in shown
    assert page.get("/admin/audit/calls/01ARZ3NDEKTSV4RRFFQ69G5FAV/").status_code == 404
    assert page.get("/admin/audit/calls/%00/").status_code == 404


def test_totals_stay_after_conversations_and_people_are_gone(
    page: Client, known: dict[str, int], alice: Any, bob: Any
) -> None:
    Conversation.objects.all().delete()
    alice.delete()
    bob.delete()
    answer = page.get("/admin/audit/")
    assert answer.context["total"].tokens == known["tokens"]
    assert {line.label for line, _ in answer.context["lines"]} == {"alice", "bob"}


def test_each_look_is_in_the_log_once_in_a_while(page: Client, known: Any) -> None:
    for _ in range(3):
        page.get("/admin/audit/?period=7d")
    page.get("/admin/audit/?period=7d&view=calls")
    events = AuditEvent.objects.filter(action="audit.viewed").order_by("pk")
    assert [(event.actor, event.target) for event in events] == [
        ("staff", "audit:person"), ("staff", "audit:calls"),
    ]  # fmt: skip
    assert events[0].data["filter"] == {"period": "7d"}
    for row in LedgerEntry.objects.order_by("pk")[:2]:
        for _ in range(3):
            page.get(f"/admin/audit/calls/{row.public_id}/")
    assert AuditEvent.objects.filter(target__startswith="call:").count() == 2
    assert "audit:calls" in page.get("/admin/audit/").content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?view=calls",
        "?view=day&stack=agent&outcome=failed",
        "?person=1&team=0",
        "?view=day&stack=person&conversation=01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_a_page_takes_at_most_15_queries(query: str, page: Client, known: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert page.get(f"/admin/audit/{query}").status_code == 200
    spent = [
        one["sql"] for one in queries if not one["sql"].startswith(("BEGIN", "COMMIT", "SAVE", "RELEASE"))
    ]
    assert len(spent) <= 15, "\n".join(spent)


def test_the_chains_are_verified_and_the_first_broken_row_is_named(page: Client, known: Any) -> None:
    def verified() -> str:
        assert page.post("/admin/audit/verify/").status_code == 302
        return page.get("/admin/audit/").content.decode().split('id="integrity"')[1]

    assert page.get("/admin/audit/verify/").status_code == 405
    assert verified().count("unbroken") == 2
    second = LedgerEntry.objects.order_by("pk")[1]
    table = LedgerEntry._meta.db_table
    with connection.cursor() as cursor:
        for statement in release(connection.vendor, table):
            cursor.execute(statement)
        cursor.execute(f"UPDATE {table} SET user_tokens = 1 WHERE id = %s", [second.pk])
        for statement in protect(connection.vendor, table):
            cursor.execute(statement)
    assert f"first at row {second.pk}" in verified()
    assert "is not as it was written" in page.get(f"/admin/audit/calls/{second.public_id}/").content.decode()
