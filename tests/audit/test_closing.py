"""Days that are over: sums made then, calls that come later, and processes that do it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat import audit
from chat.actions.rollup_check import compare
from chat.actions.rollups import close, rebuild
from chat.audit import Filter
from chat.models import LedgerEntry, Rollup, RollupState
from chat.models.rollups import BEFORE_CUTS, CUTS, MONTHS, today
from tests.audit.test_sums import START, ZONES, calls, midnight_of
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
FIRST = START + timedelta(days=39)
AFTERWARDS = (*MONTHS, *BEFORE_CUTS)


#: Calls of six days in which clocks change and a month ends: making all again takes time for each day.
near = calls.map(lambda one: one | {"ended_at": FIRST + (one["ended_at"] - START) % timedelta(days=6)})


def opened(zone: str = "UTC", closed: int = 0) -> None:
    """An installation of this zone that closed its last day some days after START."""
    RollupState.objects.update_or_create(
        pk=1, defaults={"zone": zone, "ready": True, "edition": 1, "closed": midnight_of(closed, zone)}
    )


def sums() -> dict[Any, Any]:
    """All roll-ups there are."""
    return {row[:3]: row[3:] for row in Rollup.objects.values_list()}


def every_hour(days: int) -> list[LedgerEntry]:
    """A call in both halves of each hour of some days from START."""
    moments = (START + timedelta(minutes=10 + 30 * n) for n in range(48 * days))
    return [make_entry(ended_at=at, user_id=n % 3) for n, at in enumerate(moments)]


def test_a_call_of_today_is_added_to_hours_and_days_alone(db: None) -> None:
    opened()
    LedgerEntry.objects.append(every_hour(2))
    assert {grain[1] for grain in Rollup.objects.values_list("grain", flat=True)} == {"h", "d"}
    assert list(compare()) == []


def test_a_day_that_is_over_gets_its_sums(db: None) -> None:
    opened()
    LedgerEntry.objects.append(every_hour(12))
    close()
    assert RollupState.objects.get().closed == today("UTC")
    assert {*Rollup.objects.values_list("grain", flat=True)} >= {*AFTERWARDS}
    starts = {*Rollup.objects.filter(grain="gc").values_list("start", flat=True)}
    assert {start % 86400 for start in starts} == CUTS and len(starts) == 12 * len(CUTS)
    assert list(compare()) == []


@pytest.mark.parametrize("grain", ["gc", "pc", "uc", "oc", "fc", "pm"])
def test_a_sum_that_was_made_afterwards_is_compared_and_mended(db: None, grain: str) -> None:
    LedgerEntry.objects.append(every_hour(1))
    place = Rollup.objects.filter(grain=grain).values_list("start", "key")[0]
    Rollup.objects.filter(grain=grain, start=place[0], key=place[1]).update(calls=9)
    assert {(grain, *place)} == {(one.grain, one.start, one.key) for one in compare()}
    rebuild()
    assert list(compare()) == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(near, max_size=15), late=st.lists(near, max_size=15), zone=st.sampled_from(ZONES),
    closed=st.sampled_from([0, 39, 40, 41, 44, 100]),
)  # fmt: skip
def test_whenever_a_day_is_closed_its_sums_are_the_same(
    db: None, settings: Any, made: list[Any], late: list[Any], zone: str, closed: int
) -> None:
    settings.TIME_ZONE = zone
    with transaction.atomic():
        opened(zone, closed)
        LedgerEntry.objects.append([make_entry(**fields) for fields in made])
        assert list(compare()) == []
        close()
        LedgerEntry.objects.append([make_entry(**fields) for fields in late])
        assert list(compare()) == []
        kept = sums()
        RollupState.objects.update(ready=False)
        Rollup.objects.all().delete()
        rebuild()
        assert sums() == kept
        transaction.set_rollback(True)


def test_a_cut_just_after_the_last_closed_day_has_the_calls_before_that(db: None) -> None:
    """In Nepal a day begins at 18:15 UTC; India's, at 18:30, has a cut in the same hour."""
    opened("Asia/Kathmandu", closed=3)
    midnight = datetime.fromtimestamp(midnight_of(3, "Asia/Kathmandu"), UTC)
    ends = [midnight - timedelta(minutes=5), midnight + timedelta(days=4)]
    LedgerEntry.objects.append([make_entry(ended_at=at) for at in ends])
    close()
    cut = int((midnight + timedelta(minutes=15)).timestamp())
    assert Rollup.objects.get(grain="gc", start=cut).calls == 1
    assert list(compare()) == []


@pytest.mark.parametrize("make", [close, rebuild])
def test_today_stays_open(db: None, make: Callable[[], object]) -> None:
    opened(closed=0)
    begun = datetime.fromtimestamp(today("UTC"), UTC)
    LedgerEntry.objects.append(
        [make_entry(ended_at=begun + timedelta(minutes=10 + 30 * n)) for n in range(48)]
    )
    make()
    assert RollupState.objects.get().closed == today("UTC")
    assert not Rollup.objects.filter(grain__in=AFTERWARDS, start__gt=today("UTC")).exists()
    assert list(compare()) == []


def test_nothing_is_closed_while_all_is_being_made(db: None) -> None:
    opened()
    LedgerEntry.objects.append(every_hour(1))
    RollupState.objects.update(ready=False)
    close()
    assert RollupState.objects.get().closed == midnight_of(0, "UTC")
    assert not Rollup.objects.filter(grain__in=AFTERWARDS).exists()


def test_a_clock_that_went_back_opens_no_day_again(db: None) -> None:
    ahead = today("UTC") + 40 * 86400
    opened()
    RollupState.objects.update(closed=ahead)
    now = datetime.now(UTC).replace(minute=10)
    LedgerEntry.objects.append([make_entry(ended_at=now + timedelta(hours=n)) for n in range(48)])
    close()
    assert RollupState.objects.get().closed == ahead
    assert {*Rollup.objects.values_list("grain", flat=True)} >= {"gc", "fm"}
    assert list(compare()) == []
    rebuild()
    assert list(compare()) == []


def test_a_year_without_calls_is_closed_at_once(db: None) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START - timedelta(days=400))])
    RollupState.objects.update(closed=midnight_of(-390, "UTC"))
    with CaptureQueriesContext(connection) as queries:
        close()
    assert RollupState.objects.get().closed == today("UTC")
    assert len(queries) < 60


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide", "America/St_Johns"])
def test_of_closed_days_no_row_is_read_whatever_the_zone(db: None, zone: str) -> None:
    LedgerEntry.objects.append(every_hour(12))
    here = ZoneInfo(zone)
    start, end = (audit.midnight(date(2026, 2, n), here) for n in (21, 28))
    for by in (None, "agent", "person"):
        with CaptureQueriesContext(connection) as queries:
            points = audit.series(Filter(start, end, zone=here), by=by, what="table")
        assert not [one for one in queries if "chat_ledgerentry" in one["sql"]]
        assert sum(point.sums.calls for point in points) == 7 * 48


def test_a_month_of_which_a_day_is_open_is_read_by_its_days(db: None) -> None:
    opened(closed=8)  # 28 February
    LedgerEntry.objects.append(every_hour(12))
    asked = Filter(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    whole = audit.report(asked).total
    assert whole == audit.exact(asked).total
    close()
    with CaptureQueriesContext(connection) as queries:
        assert audit.report(asked).total == whole
    assert any("m'" in one["sql"] for one in queries)


@pytest.mark.django_db(transaction=True)
def test_several_processes_close_the_same_day_once() -> None:
    opened()
    LedgerEntry.objects.append(every_hour(3))
    together = threading.Barrier(3)

    def work() -> None:
        together.wait()
        try:
            close()
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert RollupState.objects.get().closed == today("UTC")
    assert list(compare()) == []
