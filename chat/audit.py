"""The sums: the only code that adds up usage, for pages, files and commands alike.

    filter = Filter(start, end, zone=ZoneInfo("America/Sao_Paulo"), teams=(3,), outcomes=("failed",))
    found = report(filter)                  one pass: all that a page's tables and numbers need
    found.total                             a Sums; report(before(filter)).total is the period before
    found.by("person")                      [Group(key, label, Sums)], most tokens first; also "team",
                                            "agent", "model", "provider", "purpose", "outcome", "certainty"
    series(filter, "day", by="agent")       [Point(start, end, key, label, Sums)], empty spans left out
    rows(filter)                            ledger entries, newest first, to page through or stream
    exact(filter)                           the same as `report`, from the rows alone

A period is [start, end) in aware datetimes, by the moment a call ended; days are cut in `zone`. Whole
UTC days and hours come from the roll-ups, the rest of an hour from rows, so every sum is exact to the
unit whatever the period. NULL is "nothing reported" and never 0. Amounts are in 10**-9 of a unit of
their currency. Writes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from chat.models import Budget, LedgerEntry, RollupKey
from chat.models.rollups import DAY, DIMENSIONS, FIRST, FIRST_BOUNDS, HOUR, NULLABLE, SUMS

#: What a report or series can be told apart by: the columns of its key, and of its label.
BY: Final = {
    "person": ("user_id", "username"),
    "team": ("team_id", "team"),
    "agent": ("agent_id", "agent_name"),
    "model": ("model", "model"),
    "provider": ("provider", "provider"),
    "purpose": ("purpose", "purpose"),
    "outcome": ("outcome", "outcome"),
    "certainty": ("certainty", "certainty"),
}
#: Stands for "no team" in a filter.
NO_TEAM: Final = 0
PERIODS: Final = ("today", "yesterday", "7d", "30d", "month", "last_month")

Step = Literal["hour", "day"]


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked at. An empty tuple is "all of them".

    persons: user ids, or names as "@name" for calls of somebody who is no user (commands). teams and
    agents: ids, teams also NO_TEAM. The others: values of the ledger's columns.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo | Any = UTC
    persons: tuple[int | str, ...] = ()
    teams: tuple[int, ...] = ()
    agents: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    certainties: tuple[str, ...] = ()

    def condition(self) -> Q:
        """All but the period, for ledger entries and for keys of roll-ups."""
        found = Q()
        if self.persons:
            ids = [person for person in self.persons if isinstance(person, int)]
            names = [person[1:] for person in self.persons if isinstance(person, str)]
            found &= Q(user_id__in=ids) | Q(user_id=None, username__in=names)
        if self.teams:
            none = Q(team_id=None) if NO_TEAM in self.teams else Q()
            found &= Q(team_id__in=self.teams) | none
        for column, values in (
            ("agent_id", self.agents), ("model", self.models), ("provider", self.providers),
            ("purpose", self.purposes), ("outcome", self.outcomes), ("certainty", self.certainties),
        ):  # fmt: skip
            if values:
                found &= Q(**{f"{column}__in": values})
        return found

    def holds(self, key: dict[str, Any]) -> bool:
        """The same as `condition`, for dimensions in hand."""
        if self.persons:
            own = f"@{key['username']}" if key["user_id"] is None else key["user_id"]
            if own not in self.persons:
                return False
        if self.teams and (key["team_id"] or NO_TEAM) not in self.teams:
            return False
        return all(
            not wanted or key[column] in wanted
            for column, wanted in (
                ("agent_id", self.agents), ("model", self.models), ("provider", self.providers),
                ("purpose", self.purposes), ("outcome", self.outcomes), ("certainty", self.certainties),
            )
        )  # fmt: skip


@dataclass(slots=True)
class Sums:
    """What calls add up to. A count of tokens is None when none of them reported it. `first` counts
    calls by the classes of FIRST_BOUNDS, `last` is when the last of them ended (to the hour or day).

    `priced` are the calls that have an amount; the others are no part of `amounts`.
    """

    calls: int = 0
    priced: int = 0
    user_tokens: int | None = None
    enrichment_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    amounts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    certainties: dict[str, int] = field(default_factory=dict)
    first: list[int] = field(default_factory=lambda: [0] * len(FIRST))
    last: int = 0

    @property
    def tokens(self) -> int | None:
        """User, enrichment and output together; None when nothing was reported."""
        known = [n for n in (self.user_tokens, self.enrichment_tokens, self.output_tokens) if n is not None]
        return sum(known) if known else None

    def first_ms(self, share: float) -> int | None:
        """The bound that `share` of the first deltas (0.5: the median) came within, in ms; None when
        none came, or not within the last bound."""
        wanted, seen = share * sum(self.first), 0
        for count, bound in zip(self.first, (*FIRST_BOUNDS, None), strict=True):
            seen += count
            if seen and seen >= wanted:
                return bound
        return None

    @property
    def first_p50(self) -> int | None:
        """The bound that half of the first deltas came within, in ms."""
        return self.first_ms(0.5)

    @property
    def first_p95(self) -> int | None:
        """The same for 19 of 20."""
        return self.first_ms(0.95)

    def add(self, key: dict[str, Any], sums: dict[str, Any]) -> None:
        """Add one row of sums (see chat/models/rollups.py) of the key with these dimensions."""
        calls = sums["calls"]
        self.calls += calls
        self.priced += sums["priced"]
        for name in NULLABLE[:-1]:
            if sums[name] is not None:
                setattr(self, name, (getattr(self, name) or 0) + sums[name])
        if sums["amount"] is not None:
            self.amounts[key["currency"]] = self.amounts.get(key["currency"], 0) + int(sums["amount"])
        for counts, name in ((self.outcomes, "outcome"), (self.certainties, "certainty")):
            if name in key:
                counts[key[name]] = counts.get(key[name], 0) + calls
        self.first = [a + (sums.get(name) or 0) for a, name in zip(self.first, FIRST, strict=True)]
        self.last = max(self.last, sums.get("last") or 0)

    def join(self, other: Sums) -> None:
        """Add what other calls add up to."""
        self.calls += other.calls
        self.priced += other.priced
        for name in NULLABLE[:-1]:
            if (more := getattr(other, name)) is not None:
                setattr(self, name, (getattr(self, name) or 0) + more)
        for mine, theirs in (
            (self.amounts, other.amounts), (self.outcomes, other.outcomes),
            (self.certainties, other.certainties),
        ):  # fmt: skip
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        self.first = [a + b for a, b in zip(self.first, other.first, strict=True)]
        self.last = max(self.last, other.last)


@dataclass(frozen=True, slots=True)
class Group:
    """The sums of one person, team, agent ... `key` fits into a Filter, `label` is its latest name."""

    key: Any
    label: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class Point:
    """The sums of one span of a series; `key` and `label` are None and "" when it is not told apart."""

    start: datetime
    end: datetime
    key: Any
    label: str
    sums: Sums


class Report:
    """All sums of a filter, by every dimension, read once."""

    def __init__(self, found: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        self._found = list(found)
        self.total = Sums()
        for key, sums in self._found:
            self.total.add(key, sums)

    def by(self, dimension: str) -> list[Group]:
        """Groups, those with most tokens first. `dimension` is one of BY."""
        groups: dict[Any, Sums] = {}
        labels: dict[Any, tuple[int, str]] = {}
        for key, sums in self._found:
            own, label = _own(dimension, key)
            groups.setdefault(own, Sums()).add(key, sums)
            labels[own] = max(labels.get(own, (-1, "")), (sums.get("last") or 0, label))
        found = [Group(own, labels[own][1], sums) for own, sums in groups.items()]
        return sorted(found, key=lambda group: (-(group.sums.tokens or 0), group.label))


def _own(dimension: str, key: dict[str, Any]) -> tuple[Any, str]:
    own, label = key[BY[dimension][0]], key[BY[dimension][1]]
    if dimension == "person" and own is None:
        return f"@{label}", label
    if dimension == "team" and own is None:
        return NO_TEAM, label
    return own, label


# -- periods ---------------------------------------------------------------------------------------


def period(name: str, zone: Any, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of one of PERIODS, in days of `zone`; a period that still runs ends with its day."""
    today = now.astimezone(zone).date()
    tomorrow = today + timedelta(days=1)
    first = today.replace(day=1)
    spans = {
        "today": (today, tomorrow),
        "yesterday": (today - timedelta(days=1), today),
        "7d": (today - timedelta(days=6), tomorrow),
        "30d": (today - timedelta(days=29), tomorrow),
        "month": (first, tomorrow),
        "last_month": ((first - timedelta(days=1)).replace(day=1), first),
    }
    start, end = spans[name]
    return midnight(start, zone), midnight(end, zone)


def midnight(day: date, zone: Any) -> datetime:
    """When a day begins in `zone`."""
    return datetime.combine(day, time(), zone)


def before(filter: Filter) -> Filter:
    """The same for the period before: the month before for whole months, else as many days, or as long."""
    start, end = filter.start.astimezone(filter.zone), filter.end.astimezone(filter.zone)
    if start.time() != time() or end.time() != time():
        return replace(filter, start=filter.start - (filter.end - filter.start), end=filter.start)
    if start.day == end.day == 1:
        months = (end.year - start.year) * 12 + end.month - start.month
        number = start.year * 12 + start.month - 1 - months
        day = date(number // 12, number % 12 + 1, 1)
    else:
        day = start.date() - (end.date() - start.date())
    return replace(filter, start=midnight(day, filter.zone), end=filter.start)


def budget_span(period: str, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of a budget's day, week (from Monday) or month that holds `now`, in the site's zone."""
    zone = timezone.get_default_timezone()
    today = now.astimezone(zone).date()
    if period == Budget.Period.DAY:
        first, last = today, today + timedelta(days=1)
    elif period == Budget.Period.WEEK:
        first = today - timedelta(days=today.weekday())
        last = first + timedelta(days=7)
    else:
        first = today.replace(day=1)
        last = (first + timedelta(days=32)).replace(day=1)
    return midnight(first, zone), midnight(last, zone)


def used(budget: Budget, start: datetime, end: datetime) -> int:
    """What counts for a budget between two moments, in its measure. A team's calls are those that its
    members made while they were in it."""
    return measured(budget, report(of_budget(budget, start, end)).total)


def of_budget(budget: Budget, start: datetime, end: datetime) -> Filter:
    """The calls between two moments that count for a budget."""
    scope = Budget.Scope
    return Filter(
        start, end,
        persons=(budget.person_id,) if budget.scope == scope.PERSON and budget.person_id else (),
        teams=(budget.team_id,) if budget.scope == scope.TEAM and budget.team_id else (),
        agents=(budget.agent_id,) if budget.scope == scope.AGENT and budget.agent_id else (),
    )  # fmt: skip


def measured(budget: Budget, sums: Sums) -> int:
    """What sums are in a budget's measure."""
    if budget.measure == Budget.Measure.TOKENS:
        return sums.tokens or 0
    return sums.amounts.get(budget.currency, 0)


# -- sums ------------------------------------------------------------------------------------------


def rows(filter: Filter) -> QuerySet[LedgerEntry]:
    """The ledger entries themselves, newest first."""
    within = Q(ended_at__gte=filter.start, ended_at__lt=filter.end)
    return LedgerEntry.objects.filter(within & filter.condition()).order_by("-ended_at", "-pk")


Keys = list[dict[str, Any]]


def keys() -> Keys:
    """Every combination of dimensions there is, for a page that asks for several sums."""
    return [dict(key) for key in RollupKey.objects.values()]


def report(filter: Filter, known: Keys | None = None) -> Report:
    """All sums of `filter`, from the roll-ups where they reach. `known`: `keys()`, when they are in hand."""
    return reports([filter], known)[0]


def reports(filters: Sequence[Filter], known: Keys | None = None) -> list[Report]:
    """A report for each filter, in one statement as far as the roll-ups reach."""
    found: list[list[tuple[dict[str, Any], dict[str, Any]]]] = [[] for _ in filters]
    chosen: list[dict[int, dict[str, Any]]] = []
    statements = []
    for at, filter in enumerate(filters):
        days, hours, rest = _pieces(_seconds(filter.start), _seconds(filter.end))
        where = [f"(grain = '{grain}' AND start >= {a} AND start < {b})" for grain, a, b in (*days, *hours)]
        chosen.append({key["id"]: key for key in _chosen(filter, known)} if where else {})
        if chosen[at]:
            statements.append(_statement(at, " OR ".join(where), chosen[at] if filter.condition() else None))
        for start, end in rest:
            found[at] += _of_rows(replace(filter, start=start, end=end))
    for at, key, sums in _read(statements):
        if key in chosen[at]:
            found[at].append((chosen[at][key], sums))
    return [Report(one) for one in found]


def _chosen(filter: Filter, known: Keys | None) -> Iterable[dict[str, Any]]:
    if known is None:
        return RollupKey.objects.filter(filter.condition()).values()  # type: ignore[return-value]
    return [key for key in known if filter.holds(key)]


def exact(filter: Filter) -> Report:
    """The same sums from the rows alone: what the roll-ups are held against."""
    return Report(_of_rows(filter))


def series(
    filter: Filter, step: Step = "day", by: str | None = None, known: Keys | None = None
) -> list[Point]:
    """Sums by hour or by day of the filter's zone, in order of time, of all or by a dimension of BY."""
    bounds = _bounds(filter, step)
    own, label = BY[by] if by else ("''", "''")
    if all(_seconds(bound) % HOUR == 0 for bound in bounds):
        found = _spans_of_rollups(filter, bounds, own, label, known)
    else:
        found = _spans_of_rows(filter, step, bounds, by)
    points: dict[tuple[int, Any], Point] = {}
    for span, key, sums in found:
        ident, name = _own(by, key) if by else (None, "")
        point = Point(bounds[span], bounds[span + 1], ident, name, Sums())
        points.setdefault((span, ident), point).sums.add(key, sums)
    return sorted(points.values(), key=lambda point: (point.start, point.label))


def starts(filter: Filter, step: Step = "day") -> list[datetime]:
    """When the spans of a series begin, also those in which nothing was used."""
    return _bounds(filter, step)[:-1]


def days_of_people(start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """(user id, tokens) of every UTC day between `start` and `end` on which a person used any."""
    kinds = " + ".join(f"COALESCE(SUM(r.{name}), 0)" for name in NULLABLE[:3])
    first, last = int(-(-_seconds(start) // DAY) * DAY), int(_seconds(end) // DAY * DAY)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT k.user_id, {kinds} AS used FROM chat_rollup r JOIN chat_rollupkey k ON k.id = r.key"  # noqa: S608
            " WHERE r.grain = 'd' AND r.start >= %s AND r.start < %s AND k.user_id IS NOT NULL"
            f" GROUP BY k.user_id, r.start HAVING {kinds} > 0",
            [first, last],
        )
        yield from ((int(user), int(used)) for user, used in cursor.fetchall())


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def _pieces(
    start: float, end: float
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]], list[tuple[datetime, datetime]]]:
    """[start, end) as whole UTC days, whole hours beside them, and what is left of hours."""
    first, last = int(-(-start // HOUR) * HOUR), int(end // HOUR * HOUR)
    if first >= last:
        return [], [], [(_moment(start), _moment(end))] if start < end else []
    rest = [(_moment(a), _moment(b)) for a, b in ((start, first), (last, end)) if a < b]
    day, days_end = -(-first // DAY) * DAY, last // DAY * DAY
    if day >= days_end:
        return [], [("h", first, last)], rest
    hours = [("h", a, b) for a, b in ((first, day), (days_end, last)) if a < b]
    return [("d", day, days_end)], hours, rest


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _statement(at: int, where: str, keys: Iterable[int] | None) -> str:
    """The sums of each key and the number of their filter; names and whole numbers of our own alone."""
    sums = ", ".join(f"SUM({name})" for name in SUMS)
    among = "" if keys is None else f" AND key IN ({', '.join(map(str, keys))})"
    return f"SELECT {at}, key, MAX(start), {sums} FROM chat_rollup WHERE ({where}){among} GROUP BY key"  # noqa: S608


def _read(statements: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    if statements:
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(statements))
            for at, key, last, *values in cursor.fetchall():
                yield at, key, {"last": last, **dict(zip(SUMS, map(_whole, values), strict=True))}


def _whole(value: Any) -> int | None:
    """PostgreSQL sums BIGINT as NUMERIC."""
    return None if value is None else int(value)


def _row_sums() -> dict[str, Any]:
    first: dict[str, Any] = {}
    lower: int | None = None
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        condition = Q(first_delta_ms__isnull=False)
        condition &= Q(first_delta_ms__gt=lower) if lower is not None else Q()
        condition &= Q(first_delta_ms__lte=bound) if bound is not None else Q()
        first[name], lower = Count("pk", filter=condition), bound
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    return {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **sums, **first}


def _named(row: dict[str, Any]) -> dict[str, Any]:
    row.update({name: _whole(row.pop(f"sum_{name}")) for name in NULLABLE})
    row["last"] = int(row.pop("latest").timestamp())
    return row


def _of_rows(filter: Filter) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = rows(filter).order_by().values(*DIMENSIONS).annotate(**_row_sums())
    return [(row, _named(row)) for row in found]


def _bounds(filter: Filter, step: Step) -> list[datetime]:
    """Where the spans of a series begin, and the last one's end."""
    bounds, at = [filter.start], filter.start.astimezone(filter.zone)
    while True:
        if step == "day":
            at = midnight(at.date() + timedelta(days=1), filter.zone)
        else:
            whole = at.replace(minute=0, second=0, microsecond=0).astimezone(UTC) + timedelta(hours=1)
            at = whole.astimezone(filter.zone)
        if at >= filter.end:
            return [*bounds, filter.end]
        bounds.append(at)


_SERIES = ("calls", "priced", *NULLABLE)


def _spans_of_rollups(
    filter: Filter, bounds: list[datetime], own: str, label: str, known: Keys | None
) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """(index of the span, dimensions, sums), from hours: of whole teams unless persons are asked for."""
    edges = [int(_seconds(bound)) for bound in bounds]
    grain = "h" if filter.persons or own == "user_id" else "a"
    condition = filter.condition()
    chosen = ""
    if condition:
        ids = [key["id"] for key in _chosen(filter, known)]
        chosen = f" AND r.key IN ({', '.join(map(str, ids)) or 'NULL'})"
    columns = ["k.currency", "k.outcome", "k.certainty"]
    columns += [f"k.{name}" for name in dict.fromkeys((own, label)) if name != "''"]
    names = [column.removeprefix("k.") for column in columns]
    sums = ", ".join(f"SUM(r.{name})" for name in _SERIES)
    with connection.cursor() as cursor:
        # Names and whole numbers of our own alone.
        cursor.execute(
            f"SELECT {_span_of(edges)} AS span, {', '.join(columns)}, {sums}"  # noqa: S608
            " FROM chat_rollup r JOIN chat_rollupkey k ON k.id = r.key"
            f" WHERE r.grain = '{grain}' AND r.start >= {edges[0]} AND r.start < {edges[-1]}{chosen}"
            f" GROUP BY span, {', '.join(columns)}"
        )
        for span, *values in cursor.fetchall():
            key = dict(zip(names, values, strict=False))
            yield _index(span, edges), key, dict(zip(_SERIES, map(_whole, values[len(names) :]), strict=True))


def _span_of(edges: list[int]) -> str:
    """SQL for the second at which a roll-up's span begins: arithmetic between changes of the clock."""
    runs: list[tuple[int, int, int]] = []  # (until, origin, length)
    for a, b in zip(edges, edges[1:], strict=False):
        length = b - a
        if runs and runs[-1][2] == length:
            runs[-1] = (b, runs[-1][1], length)
        else:
            runs.append((b, a, length))
    cases = " ".join(
        f"WHEN r.start < {until} THEN {origin} + (r.start - {origin}) / {length} * {length}"
        for until, origin, length in runs
    )
    return f"CASE {cases} END"


def _index(start: int, edges: list[int]) -> int:
    return bisect_right(edges, start) - 1


def _spans_of_rows(
    filter: Filter, step: Step, bounds: list[datetime], by: str | None
) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """The same from rows: for zones that are not whole hours from UTC, and for odd periods."""
    edges = [int(_seconds(bound)) for bound in bounds]
    trunc: Any = TruncDay if step == "day" else TruncHour
    columns = ["currency", "outcome", "certainty", *dict.fromkeys(BY[by] if by else ())]
    found = rows(filter).order_by().annotate(span=trunc("ended_at", tzinfo=filter.zone))
    for row in found.values("span", *columns).annotate(**_row_sums()):
        span = max(int(row.pop("span").timestamp()), edges[0])
        yield _index(span, edges), row, _named(row)


__all__ = [
    "BY",
    "NO_TEAM",
    "PERIODS",
    "Filter",
    "Group",
    "Point",
    "Report",
    "Sums",
    "before",
    "budget_span",
    "days_of_people",
    "exact",
    "keys",
    "measured",
    "midnight",
    "of_budget",
    "period",
    "report",
    "reports",
    "rows",
    "series",
    "used",
    "starts",
]
