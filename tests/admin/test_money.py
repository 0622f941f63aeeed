"""Prices are written once; budgets, grants with an end, and requests that are answered once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.models import Agent, AuditEvent, Membership
from chat.models.budgets import Budget, BudgetGrant, BudgetRequest
from chat.models.prices import Price

pytestmark = pytest.mark.django_db
ADD = "/admin/chat/budget/add/"
PRICE = {
    "agent": "", "model": "gpt-5", "currency": "brl", "user": "12.5", "output": "48",
    "valid_from": "2026-03-01",
}  # fmt: skip
BUDGET = {
    "scope": "everyone", "measure": "tokens", "currency": "", "amount": "1000000", "period": "month",
    "hard": "on", "contact": "ana", "enabled": "on", "grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0",
}  # fmt: skip


@pytest.fixture
def admin(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


def last(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("pk")


def test_a_price_is_written_in_whole_numbers_and_recorded(admin: Client, demo_agent: Agent) -> None:
    answer = admin.post("/admin/chat/price/add/", {**PRICE, "agent": demo_agent.pk})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row = Price.objects.get()
    assert (row.user, row.output, row.enrichment, row.currency) == (12_500_000, 48_000_000, None, "BRL")
    assert (row.agent_id, row.agent_name, row.created_by) == (demo_agent.pk, "Demo", "administrator")
    assert last("price.created").data["after"]["user"] == 12_500_000
    assert "12.5" in admin.get("/admin/chat/price/").content.decode()


def test_a_written_price_is_neither_changed_nor_deleted(admin: Client) -> None:
    admin.post("/admin/chat/price/add/", PRICE)
    row = Price.objects.get()
    assert admin.get(f"/admin/chat/price/{row.pk}/change/").status_code == 200
    assert admin.post(f"/admin/chat/price/{row.pk}/change/", {**PRICE, "user": "1"}).status_code == 403
    assert admin.post(f"/admin/chat/price/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Price.objects.get().user == 12_500_000


@pytest.mark.parametrize(
    ("field", "value"), [("currency", "R$"), ("user", "-1"), ("output", ""), ("user", "x")]
)
def test_a_wrong_price_is_refused_beside_its_field(admin: Client, field: str, value: str) -> None:
    answer = admin.post("/admin/chat/price/add/", {**PRICE, field: value})
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]


def test_a_budget_is_for_one_of_them_and_recorded_before_and_after(admin: Client, alice: Any) -> None:
    team = Group.objects.create(name="Payments")
    assert admin.post(ADD, {**BUDGET, "scope": "team"}).status_code == 200
    assert admin.post(ADD, {**BUDGET, "measure": "money"}).status_code == 200
    fields = {**BUDGET, "scope": "team", "team": team.pk, "person": alice.pk, "measure": "money",
              "currency": "brl", "amount": "1500.50"}  # fmt: skip
    answer = admin.post(ADD, fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    row = Budget.objects.get()
    assert (row.limit, row.currency, row.team, row.person) == (1_500_500_000_000, "BRL", team, None)
    assert "1500.5" in admin.get(f"/admin/chat/budget/{row.pk}/change/").content.decode()
    admin.post(f"/admin/chat/budget/{row.pk}/change/", {**fields, "amount": "2000"})
    event = last("budget.changed")
    assert event.data == {"before": {"limit": 1_500_500_000_000}, "after": {"limit": 2_000_000_000_000}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"measure": "money", "currency": "brl", "amount": "9999999999999999"},
            "At most 1,000,000,000.00 BRL.",
        ),
        ({"amount": "9999999999999999999"}, "no more than 18 digits"),
        ({"amount": "0.5"}, "Tokens are counted whole."),
        ({"amount": "-1"}, "greater than or equal to 0"),
        ({"amount": "NaN"}, "Enter a number."),
        ({"measure": "money", "currency": "ÇÇÇ"}, "A currency is three letters"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_beside_its_field(
    admin: Client, fields: dict[str, str], said: str
) -> None:
    answer = admin.post(ADD, {**BUDGET, **fields})
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Budget.objects.exists()


def test_what_a_budget_counts_and_for_whom_stays(admin: Client, alice: Any) -> None:
    """Its period has used tokens: as money of them it would say what nobody used."""
    admin.post(ADD, BUDGET)
    row = Budget.objects.get()
    other = {"scope": "person", "person": alice.pk, "measure": "money", "currency": "brl", "period": "day"}
    path = f"/admin/chat/budget/{row.pk}/change/"
    assert admin.post(path, {**BUDGET, **other, "amount": "7"}).status_code == 302
    row.refresh_from_db()
    assert (row.scope, row.person, row.measure, row.currency) == ("everyone", None, "tokens", "")
    assert (row.limit, row.period) == (7, "day")
    assert last("budget.changed").data["after"] == {"limit": 7, "period": "day"}


def test_a_grant_that_cannot_be_is_refused_beside_its_field(admin: Client, alice: Any) -> None:
    row = Budget.objects.create(measure="money", currency="BRL", scope="everyone", limit=1, period="day")
    path = f"/admin/chat/budget/{row.pk}/change/"
    grant = {
        "grants-TOTAL_FORMS": "1", "grants-0-amount": "9999999999", "grants-0-budget": row.pk,
        "grants-0-until_0": "2100-01-01", "grants-0-until_1": "00:00",
    }  # fmt: skip
    assert "At most 1,000,000,000.00 BRL." in admin.post(path, {**BUDGET, **grant}).content.decode()
    asked = BudgetRequest.objects.create(budget=row, person=alice, reason="x", created_at=timezone.now())
    path = f"/admin/chat/budgetrequest/{asked.pk}/change/"
    answer = admin.post(path, {"amount": "9999999999", "until_0": "2100-01-01", "until_1": "12:00"})
    assert "At most 1,000,000,000.00 BRL." in answer.content.decode()
    assert not BudgetGrant.objects.exists()


def test_a_grant_has_an_end_and_is_recorded(admin: Client) -> None:
    admin.post(ADD, BUDGET)
    row = Budget.objects.get()
    tomorrow = timezone.now() + timedelta(days=1)
    inline = {
        "grants-TOTAL_FORMS": "1", "grants-0-amount": "5000", "grants-0-note": "quarter's end",
        "grants-0-budget": row.pk, "grants-0-until_0": "2020-01-01", "grants-0-until_1": "00:00",
    }  # fmt: skip
    path = f"/admin/chat/budget/{row.pk}/change/"
    assert admin.post(path, {**BUDGET, **inline}).status_code == 200
    assert not BudgetGrant.objects.exists()
    assert (
        admin.post(path, {**BUDGET, **inline, "grants-0-until_0": f"{tomorrow:%Y-%m-%d}"}).status_code == 302
    )
    grant = BudgetGrant.objects.get()
    assert (grant.extra, grant.granted_by, grant.note) == (5000, "administrator", "quarter's end")
    assert last("budget.granted").data["after"]["extra"] == 5000


@pytest.mark.parametrize("granted", [True, False])
def test_a_request_is_answered_once(admin: Client, alice: Any, granted: bool) -> None:
    budget = Budget.objects.create(scope="person", person=alice, measure="tokens", limit=1000, period="day")
    row = BudgetRequest.objects.create(
        budget=budget, person=alice, reason="<b>Release</b>", created_at=timezone.now()
    )
    path = f"/admin/chat/budgetrequest/{row.pk}/change/"
    assert "&lt;b&gt;Release&lt;/b&gt;" in admin.get(path).content.decode()
    tomorrow = timezone.now() + timedelta(days=1)
    fields = {
        "amount": "500" if granted else "",
        "until_0": f"{tomorrow:%Y-%m-%d}",
        "until_1": "12:00",
        "note": "ok",
    }
    if granted:
        assert admin.post(path, {**fields, "until_0": "2020-01-01"}).status_code == 200
    assert admin.post(path, fields).status_code == 302
    row.refresh_from_db()
    if granted:
        assert row.grant is not None
        assert (row.grant.extra, row.grant.budget) == (500, budget)
        assert last("budget.granted").data["person"] == "alice"
    else:
        assert row.declined_at is not None
        assert last("budget.declined").data["reason"] == "<b>Release</b>"
    assert admin.post(path, fields).status_code == 403


def test_a_persons_team_is_recorded(admin: Client, alice: Any) -> None:
    team = Group.objects.create(name="Payments")
    assert admin.post("/admin/chat/membership/add/", {"user": alice.pk, "team": team.pk}).status_code == 302
    assert Membership.objects.get().team == team
    assert last("team.created").data["after"] == {"user": "alice", "team": "Payments"}


@pytest.mark.parametrize("model", ["price", "budget", "budgetrequest", "membership", "reading"])
def test_staff_without_permissions_sees_none_of_it(staff: Any, model: str) -> None:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"/admin/chat/{model}/").status_code == 403
    assert client.post(f"/admin/chat/{model}/add/", PRICE).status_code == 403


def test_a_budget_that_goes_with_its_person_team_or_agent_is_recorded(
    admin: Client, alice: Any, demo_agent: Agent
) -> None:
    team = Group.objects.create(name="Data")
    common: dict[str, Any] = {"measure": "tokens", "limit": 7, "period": "day"}
    for scope, of, address in (
        ("person", {"person": alice}, f"auth/user/{alice.pk}"),
        ("team", {"team": team}, f"auth/group/{team.pk}"),
        ("agent", {"agent": demo_agent}, f"chat/agent/{demo_agent.pk}"),
    ):
        budget = Budget.objects.create(scope=scope, **of, **common)
        admin.post(f"/admin/{address}/delete/", {"post": "yes"})
        assert not Budget.objects.exists(), scope
        event = last("budget.deleted")
        assert (event.actor, event.target) == ("administrator", f"budget:{budget.public_id}")
        assert (event.data["before"]["limit"], event.data["before"]["scope"]) == (7, scope)


def test_a_raised_limit_is_warned_of_anew(admin: Client, administrator: Any) -> None:
    from chat.actions.budgets import notices
    from chat.turns import spending

    admin.post(ADD, {**BUDGET, "amount": "100"})
    budget = Budget.objects.get()
    period = spending.period_of(budget, timezone.now())
    type(period).objects.update(used=85, warned=80)
    assert [said[:4] for said in notices(administrator)] == ["80 %"]
    admin.post(f"/admin/chat/budget/{budget.pk}/change/", {**BUDGET, "amount": "150"})
    period.refresh_from_db()
    assert period.warned == 50
    type(period).objects.update(used=130, warned=80)
    assert [said[:4] for said in notices(administrator)] == ["80 %"]
