"""Prices hold from their day on, for what they name, and never for the past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.models import LedgerEntry, Price
from chat.models.prices import amount_of
from tests.models.conftest import NOON, make_entry

pytestmark = pytest.mark.django_db
Write = Callable[..., LedgerEntry]
TODAY = NOON.date()


def price(day: date = TODAY, **fields: Any) -> Price:
    values = {"currency": "USD", "user": 3_000_000, "output": 12_000_000, "created_at": NOON, **fields}
    return Price.objects.create(valid_from=day, **values)


def test_without_a_price_a_call_has_no_amount(write: Write) -> None:
    assert (write().amount, write().currency) == (None, "")


def test_a_call_is_worth_its_tokens_at_the_price_of_its_day(write: Write) -> None:
    row = price()
    entry = write(user_tokens=1000, enrichment_tokens=10, output_tokens=1, started_at=NOON)
    assert (entry.price_id, entry.currency) == (row.pk, "USD")
    assert entry.amount == (1010 * 3 + 12) * 1000, "10**-9 of a unit"
    assert (entry.price_user, entry.price_enrichment, entry.price_cached) == (3_000_000,) * 3


def test_a_price_from_tomorrow_does_not_hold_today(write: Write) -> None:
    price(NOON.date() + timedelta(days=1))
    assert write(started_at=NOON).amount is None
    assert write(started_at=NOON + timedelta(days=1)).amount is not None


def test_a_day_begins_by_the_sites_clock(write: Write, settings: Any) -> None:
    settings.TIME_ZONE = "America/Sao_Paulo"
    price(date(2026, 3, 5))
    assert write(started_at=datetime(2026, 3, 5, 2, 59, tzinfo=UTC)).amount is None
    assert write(started_at=datetime(2026, 3, 5, 3, 0, tzinfo=UTC)).amount is not None


def test_a_new_price_leaves_past_rows_as_they_are(write: Write) -> None:
    price()
    before = write(started_at=NOON)
    later = price(user=9_000_000)
    assert write(started_at=NOON).price_id == later.pk, "the one written last, of the same day"
    assert LedgerEntry.objects.get(pk=before.pk).amount == before.amount
    assert LedgerEntry.objects.first_broken() is None


def test_the_narrowest_price_holds(write: Write) -> None:
    day = NOON.date() - timedelta(days=9)
    everything, model = price(), price(day, model="large")
    agent, both = price(day, agent_id=1), price(day, agent_id=1, model="large")
    price(day, agent_id=2)
    assert write(agent_id=7).price_id == everything.pk
    assert write(agent_id=7, model="large").price_id == model.pk
    assert write(agent_id=1).price_id == agent.pk
    assert write(agent_id=1, model="large").price_id == both.pk


def test_what_nobody_reported_is_worth_nothing_known(write: Write) -> None:
    price()
    entry = write(user_tokens=None, output_tokens=None)
    assert (entry.amount, entry.currency) == (None, "USD")


counts = st.none() | st.integers(0, 10**9)


@given(counts, counts, counts, counts, counts)
def test_each_token_is_paid_once(
    user: int | None, enrichment: int | None, output: int | None, cached: int | None, reasoning: int | None
) -> None:
    entry = make_entry(
        user_tokens=user, enrichment_tokens=enrichment, output_tokens=output, cached_tokens=cached,
        reasoning_tokens=reasoning,
    )  # fmt: skip
    amount = amount_of((1_000_000,) * 5, entry)
    known = [n for n in (user, enrichment, output) if n is not None]
    assert amount == (sum(known) * 1000 if known else None), "at one price for all, the parts change nothing"
