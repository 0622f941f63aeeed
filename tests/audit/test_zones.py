"""Days that begin at half and quarter hours: of the installation's zone and of one that a viewer chose."""

from __future__ import annotations

from dataclasses import replace
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
from chat.audit.periods import bounds
from chat.audit.spans import Wanted
from chat.models import LedgerEntry, Rollup, RollupState
from tests.audit.test_sums import ODD, WHOLE, ZONES, calls, closings, kinds, midnight_of, moments
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
KOLKATA, KATHMANDU, LORD_HOWE = (
    ZoneInfo(name) for name in ("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe")
)
#: On Lord Howe the clock goes back by half an hour in the night to 5 April 2026, forward on 4 October.
BACK, FORWARD = date(2026, 4, 5), date(2026, 10, 4)


def made_of(kept: str, closed: int = 0) -> None:
    """Calls from now on are added up in days of this zone, of which those before a second are closed."""
    state = {"zone": kept, "ready": True, "edition": 1, "closed": closed}
    RollupState.objects.update_or_create(pk=1, defaults=state)


def around(day: date, zone: ZoneInfo, days: int = 2) -> list[LedgerEntry]:
    """Calls every seventeen minutes of some days on both sides of a midnight, with the edges of quarters."""
    middle = audit.midnight(day, zone)
    every = [middle + timedelta(minutes=17 * n) for n in range(-85 * days, 85 * days)]
    quarters = [middle + timedelta(minutes=15 * n) for n in range(-8, 9)]
    ends = [*every, *quarters, *(at - timedelta(milliseconds=1) for at in quarters)]
    return [make_entry(ended_at=at, user_id=n % 3, user_tokens=n) for n, at in enumerate(ends)]


@pytest.mark.parametrize("zone", ODD)
def test_the_installations_days_begin_at_its_midnights(db: None, settings: Any, zone: str) -> None:
    settings.TIME_ZONE, here = zone, ZoneInfo(zone)
    entries = around(BACK, here)
    LedgerEntry.objects.append(entries)
    assert RollupState.objects.get().zone == zone
    begun = (audit.midnight(entry.ended_at.astimezone(here).date(), here) for entry in entries)
    midnights = {int(at.timestamp()) for at in begun}
    assert {*Rollup.objects.filter(grain="gd").values_list("start", flat=True)} == midnights
    assert list(compare()) == []


@pytest.mark.parametrize("zone", [*ODD, "Europe/Lisbon"])
def test_what_is_made_again_is_what_was_kept(db: None, settings: Any, zone: str) -> None:
    settings.TIME_ZONE = zone
    last = audit.midnight(BACK, ZoneInfo(zone)) + timedelta(days=2)
    LedgerEntry.objects.append(around(BACK, ZoneInfo(zone)))
    # The last hour before a midnight, and the last day before it.
    LedgerEntry.objects.append([make_entry(ended_at=last + timedelta(hours=23, minutes=50))])
    kept = {row[:3]: row[3:] for row in Rollup.objects.values_list()}
    rebuild()
    assert {row[:3]: row[3:] for row in Rollup.objects.values_list()} == kept
    Rollup.objects.all().delete()
    rebuild()
    assert {row[:3]: row[3:] for row in Rollup.objects.values_list()} == kept


@pytest.mark.parametrize("grain", ["gh", "fh", "gd", "fd", "fm"])
def test_a_sum_at_a_midnight_within_an_hour_is_compared_and_mended(
    db: None, settings: Any, grain: str
) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    midnight = audit.midnight(date(2026, 4, 1), KOLKATA)
    LedgerEntry.objects.append(
        [make_entry(ended_at=midnight + timedelta(minutes=n)) for n in (-20, -5, 5, 20)]
    )
    for start in Rollup.objects.filter(grain=grain).values_list("start", flat=True):
        Rollup.objects.filter(grain=grain, start=start).update(calls=9)
        assert (grain, start) in {(one.grain, one.start) for one in compare()}
        rebuild()
        assert list(compare()) == []


def test_an_installation_that_kept_utc_stays_right_until_it_is_made_again(db: None, settings: Any) -> None:
    LedgerEntry.objects.append(around(BACK, KOLKATA, 4))
    asked = Filter(
        audit.midnight(BACK - timedelta(days=3), KOLKATA),
        audit.midnight(BACK + timedelta(days=3), KOLKATA),
        zone=KOLKATA,
    )
    settings.TIME_ZONE = "Asia/Kolkata"
    before = audit.report(asked).by("person"), audit.series(asked, by="agent", what="table")
    assert RollupState.objects.get().zone == "UTC"
    rebuild()
    assert RollupState.objects.get().zone == "Asia/Kolkata"
    with CaptureQueriesContext(connection) as queries:
        after = audit.report(asked).by("person"), audit.series(asked, by="agent", what="table")
    assert after == before
    assert not [one["sql"] for one in queries if "chat_ledgerentry" in one["sql"] or "'gh'" in one["sql"]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(calls, max_size=25), kept=st.sampled_from(ZONES), zone=st.sampled_from(ZONES),
    first=st.sampled_from([date(2026, 3, 5), date(2026, 3, 27), date(2026, 4, 3)]), days=st.integers(1, 12),
    chosen=st.sampled_from([{}, {"persons": (1, "@a")}, {"outcomes": ("failed",)}, {"models": ("small",)}]),
    closed=closings,
)  # fmt: skip
def test_days_of_any_zone_are_those_of_the_rows(
    db: None,
    made: list[Any],
    kept: str,
    zone: str,
    first: date,
    days: int,
    chosen: dict[str, Any],
    closed: int,
) -> None:
    here = ZoneInfo(zone)
    edges = [audit.midnight(first + timedelta(days=n), here) for n in range(days + 1)]
    asked = Filter(edges[0], edges[-1], zone=here, **chosen)
    with transaction.atomic():
        made_of(kept, midnight_of(closed, kept))
        LedgerEntry.objects.append([make_entry(**fields) for fields in made])
        for by in (None, "agent", "person"):
            read = audit.series(asked, "day", by=by, what="bar")
            bars = {(p.start, p.key): kinds(p.sums) for p in read}
            read = audit.series(asked, "day", by=by, what="table")
            table = {(p.start, p.key): replace(p.sums, last=0) for p in read}
            for start, end in zip(edges, edges[1:], strict=False):
                exact = audit.exact(replace(asked, start=start, end=end))
                groups = {one.key: one.sums for one in exact.by(by)} if by else {None: exact.total}
                found = {key: sums for key, sums in groups.items() if sums.calls}
                assert {key: sums for (at, key), sums in bars.items() if at == start} == {
                    key: kinds(sums) for key, sums in found.items()
                }
                assert {key: sums for (at, key), sums in table.items() if at == start} == {
                    key: replace(sums, last=0) for key, sums in found.items()
                }
        transaction.set_rollback(True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(calls, max_size=25), zone=st.sampled_from(ZONES), start=moments,
    length=st.integers(0, 48 * 4).map(lambda quarters: timedelta(minutes=15 * quarters)),
)  # fmt: skip
def test_hours_of_any_zone_are_those_of_the_rows(
    db: None, made: list[Any], zone: str, start: datetime, length: timedelta
) -> None:
    asked = Filter(start, start + length, zone=ZoneInfo(zone))
    with transaction.atomic():
        LedgerEntry.objects.append([make_entry(**fields) for fields in made])
        points = audit.series(asked, "hour", by="person")
        for point in points:
            groups = audit.exact(replace(asked, start=point.start, end=point.end)).by("person")
            assert point.sums == {one.key: one.sums for one in groups}[point.key]
        assert sum(point.sums.calls for point in points) == audit.exact(asked).total.calls
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("day", "expected"),
    [(BACK, ["00:00", "01:00", "01:30", "02:00"]), (FORWARD, ["00:00", "01:00", "02:30", "03:00"])],
)
def test_a_clock_that_changes_by_half_an_hour_cuts_one_hour_short(day: date, expected: list[str]) -> None:
    start, end = (audit.midnight(day + timedelta(days=n), LORD_HOWE) for n in (0, 1))
    found = bounds(start, end, LORD_HOWE, "hour")
    assert [f"{at.astimezone(LORD_HOWE):%H:%M}" for at in found[:4]] == expected
    assert (found[0], found[-1], len(found)) == (start, end, 26 if day == BACK else 25)


def test_an_hour_that_comes_twice_is_two_spans(db: None) -> None:
    here = ZoneInfo("Europe/Lisbon")
    twice = datetime(2026, 10, 25, 0, 10, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert {f"{at.astimezone(here):%H:%M}" for at in twice} == {"01:10"}
    LedgerEntry.objects.append([make_entry(ended_at=at) for at in twice])
    start = audit.midnight(date(2026, 10, 25), here)
    asked = Filter(start, audit.midnight(date(2026, 10, 26), here), zone=here)
    for filter in (asked, replace(asked, conversations=("c",))):
        found = {point.start: point.sums.calls for point in audit.series(filter, "hour")}
        assert found == {twice[0] - timedelta(minutes=10): 1, twice[1] - timedelta(minutes=10): 1}
        assert {*found} <= {*audit.starts(filter, "hour")}


@pytest.mark.parametrize(("zone", "most"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)])
def test_only_what_is_left_of_an_hour_at_each_midnight_is_read_from_rows(
    db: None, monkeypatch: pytest.MonkeyPatch, zone: str, most: int
) -> None:
    LedgerEntry.objects.append(around(BACK, ZoneInfo(zone), 6))
    made_of("America/Sao_Paulo")  # nothing is closed
    read: list[Any] = []
    rows = Wanted.rows

    def looked(self: Wanted, ranges: Any) -> Any:
        read.extend(ranges)
        return rows(self, read)

    monkeypatch.setattr(Wanted, "rows", looked)
    start, end = (audit.midnight(BACK + timedelta(days=n), ZoneInfo(zone)) for n in (-4, 4))
    with CaptureQueriesContext(connection) as queries:
        audit.series(Filter(start, end, zone=ZoneInfo(zone)), by="agent", what="bar", known=audit.keys())
    assert [one["sql"].count("chat_ledgerentry") for one in queries] == [0, 1]
    assert [high - low for _n, low, high in read] == [timedelta(minutes=most)] * 9


@pytest.mark.skipif("connection.vendor == 'postgresql'", reason="PostgreSQL reads all of a small table")
def test_rows_at_midnights_are_looked_up_by_their_moment(db: None) -> None:
    start = audit.midnight(BACK, KATHMANDU)
    ranges = [(n, start + timedelta(days=n), start + timedelta(days=n, minutes=15)) for n in range(3)]
    sql, parameters = Wanted(Filter(start, start), set(), ("username",), ("calls",)).rows(ranges)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        plan = [row[3] for row in cursor.fetchall()]
    assert any(
        line.startswith("SEARCH e USING INDEX") and "ended_at>? AND ended_at<?" in line for line in plan
    )


@pytest.mark.parametrize("kept", [*ODD, *WHOLE])
def test_a_call_of_a_new_day_is_in_no_sum_of_the_day_before(db: None, kept: str) -> None:
    made_of(kept)
    here = ZoneInfo(kept)
    midnight = audit.midnight(date(2026, 4, 1), here)
    LedgerEntry.objects.append(
        [make_entry(ended_at=midnight - timedelta(milliseconds=1)), make_entry(ended_at=midnight)]
    )
    for grain in ("pd", "pm"):
        assert Rollup.objects.filter(grain=grain).exists() == (grain == "pd"), (
            "a month is made when it is over"
        )
    close()
    for grain in ("pd", "pm"):
        found = {*Rollup.objects.filter(grain=grain).values_list("start", "calls")}
        begun = audit.midnight(date(2026, 3, 31 if grain == "pd" else 1), here)
        assert found == {(int(begun.timestamp()), 1), (int(midnight.timestamp()), 1)}
