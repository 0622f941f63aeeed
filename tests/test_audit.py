"""The sums: by the roll-ups, by the rows and by hand they are the same, whatever the period and the zone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chat import audit
from chat.audit import Filter
from chat.models import LedgerEntry
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
SAO_PAULO, KOLKATA, LISBON = (
    ZoneInfo(name) for name in ("America/Sao_Paulo", "Asia/Kolkata", "Europe/Lisbon")
)
DAY = datetime(2026, 3, 28, tzinfo=UTC)  # Lisbon's clock goes forward on the 29th


@pytest.fixture
def year() -> list[LedgerEntry]:
    """Three hundred calls of five days, some of which say nothing of their tokens."""
    seeded = random.Random(4)
    entries = []
    for _ in range(300):
        when = DAY + timedelta(seconds=seeded.randrange(5 * 86400), microseconds=seeded.randrange(10**6))
        user = seeded.choice([1, 2, 3, None])
        known = seeded.random() < 0.8
        entries.append(
            make_entry(
                user_id=user, username="root" if user is None else f"person {user}", ended_at=when,
                agent_id=seeded.choice([1, 2]), outcome=seeded.choice(["completed", "failed", "stopped"]),
                user_tokens=seeded.randrange(1000) if known else None,
                output_tokens=seeded.randrange(1000) if known else None,
                certainty="reported" if known else "unknown",
                first_delta_ms=seeded.choice([None, 10, 250, 251, 5000, 99999]),
            )
        )  # fmt: skip
    LedgerEntry.objects.append(entries)
    return entries


def by_hand(entries: list[LedgerEntry], filter: Filter) -> tuple[Any, ...]:
    within = [e for e in entries if filter.start <= e.ended_at < filter.end]
    known = [e.user_tokens for e in within if e.user_tokens is not None]
    return len(within), sum(known) if known else None, sum(e.outcome == "failed" for e in within)


def told(sums: audit.Sums) -> tuple[Any, ...]:
    return sums.calls, sums.user_tokens, sums.outcomes.get("failed", 0)


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (DAY, timedelta(days=5)),
        (DAY + timedelta(hours=3), timedelta(days=2, hours=5)),
        (DAY + timedelta(hours=3, minutes=17, microseconds=5), timedelta(days=1, minutes=3)),
        (DAY + timedelta(minutes=17), timedelta(minutes=30)),
        (DAY + timedelta(minutes=50), timedelta(minutes=30)),
        (DAY + timedelta(hours=30), timedelta()),
    ],
)
def test_rollups_rows_and_hand_agree(year: list[LedgerEntry], start: datetime, length: timedelta) -> None:
    asked = Filter(start, start + length)
    found, rows = audit.report(asked, purpose=True), audit.exact(asked)
    assert told(found.total) == told(rows.total) == by_hand(year, asked)
    assert found.total.first == rows.total.first
    for dimension in audit.BY:
        assert [(g.key, told(g.sums)) for g in found.by(dimension)] == [
            (g.key, told(g.sums)) for g in rows.by(dimension)
        ]


@pytest.mark.parametrize(
    "chosen",
    [
        {"persons": (1, "@root")}, {"agents": (2,)}, {"outcomes": ("failed", "stopped")}, {"teams": (0,)},
        {"certainties": ("unknown",)}, {"models": ("nothing",)}, {"persons": (2,), "agents": (1,)},
    ],
)  # fmt: skip
def test_a_filter_chooses_the_same_everywhere(year: list[LedgerEntry], chosen: dict[str, Any]) -> None:
    asked = Filter(DAY, DAY + timedelta(days=4, minutes=30), **chosen)
    found = audit.report(asked).total
    assert told(found) == told(audit.exact(asked).total)
    assert found.calls == audit.rows(asked).count()
    points = audit.series(asked, "day")
    assert sum(point.sums.calls for point in points) == found.calls


@pytest.mark.parametrize("zone", [UTC, SAO_PAULO, LISBON, KOLKATA])
@pytest.mark.parametrize("step", ["day", "hour"])
@pytest.mark.parametrize("by", [None, "agent", "person"])
def test_a_series_is_cut_in_the_zone_that_was_asked_for(
    year: list[LedgerEntry], zone: Any, step: Any, by: str | None
) -> None:
    start, end = audit.midnight(DAY.date(), zone), audit.midnight(DAY.date() + timedelta(days=4), zone)
    asked = Filter(start, end, zone=zone)
    points = audit.series(asked, step, by=by)
    assert sum(point.sums.calls for point in points) == by_hand(year, asked)[0]
    for point in points:
        local = point.start.astimezone(zone)
        assert local.minute == 0 and (step == "hour" or local.hour == 0)
        one = Filter(point.start, point.end, zone=zone)
        if by is None:
            assert told(point.sums) == by_hand(year, one)
        else:
            group = next(g for g in audit.exact(one).by(by) if g.key == point.key)
            assert told(point.sums) == told(group.sums)


def test_what_nobody_reported_stays_unknown(db: None) -> None:
    LedgerEntry.objects.append([make_entry(user_tokens=None, output_tokens=None, certainty="unknown")])
    asked = Filter(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    total = audit.report(asked).total
    assert (total.calls, total.user_tokens, total.tokens, total.amounts) == (1, None, None, {})


def test_a_renamed_person_is_one_person_under_the_latest_name(db: None) -> None:
    hour = timedelta(hours=1)
    LedgerEntry.objects.append([make_entry(username="Zoe", user_id=5, ended_at=DAY)])
    LedgerEntry.objects.append([make_entry(username="Ana", user_id=5, ended_at=DAY + 2 * hour)])
    groups = audit.report(Filter(DAY, DAY + 3 * hour)).by("person")
    assert [(group.key, group.label, group.sums.calls) for group in groups] == [(5, "Ana", 2)]


def test_the_period_before_is_as_long_in_days_or_months() -> None:
    march = Filter(
        *(audit.midnight(d, LISBON) for d in (datetime(2026, 3, 1), datetime(2026, 4, 1))), zone=LISBON
    )
    assert audit.before(march).start == datetime(2026, 2, 1, tzinfo=LISBON)
    week = Filter(*audit.period("7d", LISBON, DAY + timedelta(days=3)), zone=LISBON)
    assert (week.end - week.start) == timedelta(days=7), "in the zone's own days"
    assert audit.before(week).start == datetime(2026, 3, 18, tzinfo=LISBON)
    assert audit.before(week).end == week.start
    odd = Filter(DAY, DAY + timedelta(hours=5))
    assert audit.before(odd).start == DAY - timedelta(hours=5)


def test_the_median_is_a_bound_that_half_came_within() -> None:
    sums = audit.Sums(first=[3, 1, 0, 0, 0, 0, 0, 1])
    assert (sums.first_ms(0.5), sums.first_ms(0.8), sums.first_ms(0.95)) == (250, 500, None)
    assert audit.Sums().first_ms(0.5) is None


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("day", "2026-02-28", "2026-03-01"),
        ("week", "2026-02-23", "2026-03-02"),
        ("month", "2026-02-01", "2026-03-01"),
    ],
)
def test_a_budgets_period_is_cut_in_the_sites_zone_and_its_week_begins_on_monday(
    period: str, start: str, end: str, settings: Any
) -> None:
    settings.TIME_ZONE = "America/Sao_Paulo"
    late = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)  # Saturday, 28 February, there
    found = audit.budget_span(period, late)
    assert [f"{moment.astimezone(SAO_PAULO):%Y-%m-%d %H:%M}" for moment in found] == [
        f"{start} 00:00", f"{end} 00:00",
    ]  # fmt: skip
