"""Numbers of the audit pages are rounded, not cut off, and say what changed in words that can be read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone, translation

from chat.models import Budget, LedgerEntry
from chat.models.prices import Price
from chat.templatetags.audit import bound, changed, milliseconds, money, part
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0 %"), (0.5219, "52.2 %"), (0.99949, "99.9 %"), (0.9996, "100.0 %"),
     (12.345678, "1,234.6 %"), (1e-9, "0.0 %")],
)  # fmt: skip
def test_a_part_of_a_whole_is_rounded_to_one_digit(value: float | None, text: str) -> None:
    with translation.override("en"):
        assert part(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "±0.0 %"), (0.0219, "+2.2 %"), (0.0996, "+10 %"), (0.0994, "+9.9 %"),
     (-0.219, "−22 %"), (1.4351, "+144 %"), (9.99, "+999 %"), (9.999, "× 11"), (98.4, "× 99"),
     (99.0, "over × 100"), (10.0**7, "over × 100")],
)  # fmt: skip
def test_a_change_is_told_in_per_cent_then_times_then_as_next_to_nothing_before(
    value: float | None, text: str
) -> None:
    with translation.override("en"):
        assert changed(value) == text


def test_money_is_the_same_on_every_page(alice: Any) -> None:
    """Two digits, rounded half up; more where it would be nothing."""
    budget = Budget(measure="money", currency="USD")
    for amount, text in (
        (0, "0.00 USD"), (5_000_000, "0.005000 USD"), (25_000_000, "0.03 USD"), (1_999_000_000, "2.00 USD"),
    ):  # fmt: skip
        assert money(amount, "USD") == budget.shown(amount) == text
    now = timezone.now()
    entry = make_entry(user_id=alice.pk, username="alice", started_at=now, ended_at=now, user_tokens=10**6,
                       enrichment_tokens=0, output_tokens=0)  # fmt: skip
    Price.objects.create(
        currency="USD", user=1_999_000, output=1, valid_from=now - timedelta(days=2), created_at=now
    )
    with transaction.atomic():
        LedgerEntry.objects.append([entry])
    client = Client()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert "2.00 USD" in client.get("/usage/").content.decode()


def test_the_separators_are_those_of_the_language() -> None:
    with translation.override("pt-br"):
        assert part(0.5219) == "52,2 %"
        assert milliseconds(1960) == "2,0 s"
        assert money(1_234_567_890_000, "BRL") == "1.234,57 BRL"
        assert bound(500) == "≤ 0,5"
