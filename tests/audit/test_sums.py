"""Whatever is asked, in whatever zone: months, days, hours and rows add up to what the rows alone do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat import audit
from chat.actions.rollup_check import compare
from chat.actions.rollups import rebuild
from chat.audit import Filter
from chat.models import LedgerEntry, Rollup, RollupKey, RollupState
from chat.models.rollups import DAYS, MONTHS, zone_name
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
#: Clocks change on 8 March in New York and St John's, on the 29th in Lisbon, on 5 April in Auckland and
#: Adelaide, and by half an hour on Lord Howe.
START = datetime(2026, 2, 20, tzinfo=UTC)
DAYS_LONG = 60
WHOLE = ["UTC", "America/Sao_Paulo", "Europe/Lisbon", "America/New_York", "Pacific/Auckland"]
ODD = ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide", "America/St_Johns", "Australia/Lord_Howe"]
ZONES = [*WHOLE, *ODD]

#: Anywhere, and within an hour of the midnights of ZONES on a few days: those on which clocks change.
moments = st.one_of(
    st.integers(0, DAYS_LONG * 24).map(lambda hours: timedelta(hours=hours)),
    st.integers(0, DAYS_LONG * 86400 * 1000).map(lambda ms: timedelta(milliseconds=ms)),
    st.builds(
        lambda day, hour, seconds: timedelta(days=day, hours=hour, seconds=seconds),
        st.sampled_from([15, 16, 36, 37, 43, 44, 45]), st.sampled_from([2, 3, 13, 14, 18]),
        st.one_of(st.integers(0, 7).map(lambda quarters: quarters * 900), st.integers(0, 7200)),
    ),
).map(lambda after: START + after)  # fmt: skip
maybe = st.one_of(st.none(), st.integers(0, 5000))
calls = st.builds(
    dict, ended_at=moments, user_id=st.sampled_from([1, 2, None]), username=st.sampled_from(["a", "b"]),
    agent_id=st.sampled_from([1, 2]), model=st.sampled_from(["", "small"]), user_tokens=maybe,
    purpose=st.sampled_from(["answer", "title"]), enrichment_tokens=maybe, output_tokens=maybe,
    outcome=st.sampled_from(["completed", "failed"]), certainty=st.sampled_from(["reported", "unknown"]),
    first_delta_ms=st.sampled_from([None, 250, 900]),
)  # fmt: skip
filters = st.builds(
    Filter, moments, moments,
    persons=st.sampled_from([(), (1,), (2, "@a"), ("@b",)]), agents=st.sampled_from([(), (1,), (1, 2)]),
    models=st.sampled_from([(), ("small",)]), teams=st.sampled_from([(), (0,), (5,)]),
    purposes=st.sampled_from([(), (), ("title",)]), outcomes=st.sampled_from([(), (), ("failed",)]),
    certainties=st.sampled_from([(), (), ("reported", "unknown")]),
)  # fmt: skip
by_rows = [name for name in audit.BY if name != "purpose"]


#: Days after START before which days are closed: none, some, all.
closings = st.sampled_from([-30, 0, 8, 9, 20, 37, 44, 100])


def midnight_of(days: int, zone: str) -> int:
    """When the day of a zone begins that is some days after START, in seconds since 1970."""
    return int(audit.midnight(START.date() + timedelta(days=days), ZoneInfo(zone)).timestamp())


def told(groups: list[audit.Group]) -> list[Any]:
    return [(group.key, group.label, group.people, group.sums) for group in groups]


def kinds(sums: audit.Sums) -> tuple[Any, ...]:
    return sums.calls, sums.user_tokens, sums.enrichment_tokens, sums.output_tokens


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(calls, max_size=25), asked=filters, kept=st.sampled_from(ZONES),
    zone=st.sampled_from(ZONES), ready=st.booleans(), whole=st.booleans(), closed=closings,
)  # fmt: skip
def test_every_sum_is_that_of_the_rows(
    db: None, made: list[Any], asked: Filter, kept: str, zone: str, ready: bool, whole: bool, closed: int
) -> None:
    here = ZoneInfo(zone)
    start, end = sorted((asked.start, asked.end))
    if whole:
        start, end = (audit.midnight(moment.astimezone(here).date(), here) for moment in (start, end))
    asked = replace(asked, start=start, end=end, zone=here)
    with transaction.atomic():
        RollupState.objects.create(pk=1, zone=kept, ready=ready, closed=midnight_of(closed, kept))
        LedgerEntry.objects.append([make_entry(**fields) for fields in made])
        found, rows = audit.report(asked), audit.exact(asked)
        assert found.total == rows.total
        for dimension in by_rows:
            assert told(found.by(dimension)) == told(rows.by(dimension))
        every = audit.report(asked, purpose=True)
        for dimension in audit.BY:
            assert told(every.by(dimension)) == told(rows.by(dimension))
        for by in (None, "agent", "person"):
            for point in audit.series(asked, "day", by=by):
                exact = audit.exact(replace(asked, start=point.start, end=point.end))
                group = {one.key: one.sums for one in exact.by(by)} if by else {None: exact.total}
                assert point.sums == group[point.key]
            all_of_it = {(point.start, point.key): point.sums for point in audit.series(asked, "day", by=by)}
            read = audit.series(asked, "day", by=by, what="table")
            table = {(point.start, point.key): replace(point.sums, last=0) for point in read}
            assert table == {place: replace(sums, last=0) for place, sums in all_of_it.items()}
            bars = {(p.start, p.key): kinds(p.sums) for p in audit.series(asked, "day", by=by, what="bar")}
            assert bars == {place: kinds(sums) for place, sums in all_of_it.items()}
        for dimension in audit.BY:
            narrow = audit.report(asked, by=("person", dimension)).by(dimension)
            assert told(narrow) == told(rows.by(dimension))
        assert sum(point.sums.calls for point in audit.series(asked, "day", by="team")) == rows.total.calls
        if whole:
            assert list(compare()) == []
        transaction.set_rollback(True)


def test_days_of_another_zone_are_made_by_rebuilding_and_numbers_stay(db: None, settings: Any) -> None:
    entries = [make_entry(ended_at=START + timedelta(hours=7 * n), user_id=n % 3) for n in range(150)]
    LedgerEntry.objects.append(entries)
    here = ZoneInfo("America/Sao_Paulo")
    asked = Filter(audit.midnight(START.date(), here), START + timedelta(days=50), zone=here)
    before = audit.report(asked).by("person"), audit.series(asked, "day", by="agent")
    settings.TIME_ZONE = "America/Sao_Paulo"
    assert zone_name() == "America/Sao_Paulo"
    assert (audit.report(asked).by("person"), audit.series(asked, "day", by="agent")) == before, (
        "changed setting"
    )
    rebuild()
    assert RollupState.objects.get().zone == "America/Sao_Paulo"
    assert list(compare()) == []
    assert (audit.report(asked).by("person"), audit.series(asked, "day", by="agent")) == before
    with CaptureQueriesContext(connection) as queries:
        audit.series(asked.__class__(asked.start, audit.midnight(datetime(2026, 4, 1), here), here), "day")
    assert any("'gd'" in one["sql"] for one in queries), "days of the configured zone are read as days"


@pytest.mark.parametrize(
    ("chosen", "by", "grain"),
    [
        ({}, None, "gd"), ({}, "person", "pd"), ({"agents": (1,)}, "person", "ad"),
        ({"outcomes": ("failed",)}, "person", "ed"), ({"purposes": ("title",)}, "person", "wd"),
        ({"outcomes": ("failed",)}, "agent", "od"), ({"purposes": ("title",)}, None, "ud"),
        ({"purposes": ("title",), "outcomes": ("failed",)}, None, "nd"),
        ({"persons": (1,), "agents": (1,), "outcomes": ("failed",)}, None, "sd"),
    ],
)  # fmt: skip
def test_a_series_is_read_from_the_face_with_the_fewest_sums(
    db: None, chosen: dict[str, Any], by: str | None, grain: str
) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START + timedelta(hours=7 * n)) for n in range(40)])
    with CaptureQueriesContext(connection) as queries:
        audit.series(Filter(START, START + timedelta(days=30), **chosen), "day", by=by)
    assert [one["sql"] for one in queries if f"'{grain}'" in one["sql"]]


@pytest.mark.parametrize("zone", ["Europe/Lisbon", "Asia/Tokyo", "America/Los_Angeles"])
def test_days_of_another_zone_are_days_and_the_hours_between_midnights(db: None, zone: str) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START + timedelta(hours=7 * n)) for n in range(150)])
    RollupState.objects.update(zone="America/Sao_Paulo", ready=False)
    rebuild()
    here = ZoneInfo(zone)
    asked = Filter(
        audit.midnight(START.date() + timedelta(days=3), here),
        audit.midnight(START.date() + timedelta(days=40), here),
        zone=here,
    )
    with CaptureQueriesContext(connection) as queries:
        points = audit.series(asked, "day", by="agent", what="table")
    grains = {grain for grain in ("gd", "gh") for one in queries if f"'{grain}'" in one["sql"]}
    assert grains == {"gd", "gh"}
    whole = audit.series(asked, "day", by="agent")
    assert [replace(point, sums=replace(point.sums, last=0)) for point in whole] == points


def test_what_is_left_of_a_day_may_be_nothing_reported(db: None) -> None:
    """Taking the evening away from a day leaves 0 tokens: those of a call that said nothing, or said 0."""
    days = [n for n in range(12) if n not in (6, 9)]
    LedgerEntry.objects.append([make_entry(ended_at=START + timedelta(days=n)) for n in days])
    for tokens, day in ((None, 5), (0, 8)):
        at = START + timedelta(days=day, hours=12)
        LedgerEntry.objects.append([make_entry(ended_at=at, user_tokens=tokens, output_tokens=tokens)])
    here = ZoneInfo("America/Sao_Paulo")  # its midnight is at 3 o'clock
    asked = Filter(START + timedelta(hours=3), START + timedelta(days=11, hours=3), zone=here)
    found = {point.start: point.sums for point in audit.series(asked, "day", what="bar")}
    for day, expected in ((5, None), (8, 0), (7, 11)):
        assert found[START + timedelta(days=day, hours=3)].user_tokens == expected
    for start, sums in found.items():
        exact = audit.exact(replace(asked, start=start, end=start + timedelta(days=1))).total
        assert kinds(sums) == kinds(exact)


@pytest.mark.parametrize("grain", [*DAYS, *MONTHS])
def test_each_grain_is_compared_and_mended(db: None, grain: str) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START + timedelta(hours=7 * n)) for n in range(40)])
    Rollup.objects.filter(grain=grain).update(output_tokens=1)
    assert grain in {one.grain for one in compare()}
    rebuild()
    assert list(compare()) == []


def test_sums_come_from_hours_while_days_are_being_made(db: None) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START + timedelta(hours=7 * n)) for n in range(40)])
    asked = Filter(START, START + timedelta(days=30))
    whole = audit.report(asked).total
    RollupState.objects.update(ready=False)
    Rollup.objects.filter(grain__in=(*DAYS, *MONTHS)).delete()
    assert audit.report(asked).total == whole
    rebuild()
    assert RollupState.objects.get().ready
    assert audit.report(asked).total == whole


def test_keys_of_nothing_are_taken_away(db: None) -> None:
    LedgerEntry.objects.append([make_entry()])
    used = RollupKey.objects.count()
    RollupKey.objects.create(id=5, face="f", username="x", team="", agent_name="y", provider="", model="",
                             purpose="", outcome="", certainty="", currency="")  # fmt: skip
    rebuild()
    assert RollupKey.objects.count() == used == 11


def test_a_period_of_less_than_a_second_has_its_calls(db: None) -> None:
    LedgerEntry.objects.append([make_entry(ended_at=START)])
    asked = Filter(START, START + timedelta(milliseconds=303))
    assert [point.sums.calls for point in audit.series(asked, "day")] == [1]
    assert [point.sums.calls for point in audit.series(asked, "hour")] == [1]
