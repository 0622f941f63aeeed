"""The rows of every table of the audit, once for screen and file: columns, values, order.

A value is what a machine wants (whole numbers, text, moments); templates and files write it in their own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Q

from chat import audit
from chat.admin.audit.query import OUTCOMES, PEOPLED, Query
from chat.models import LedgerEntry
from chat.models.prices import AMOUNT_UNIT

#: Rows read at a time for a file: a page of keys, so that memory stays flat and no cursor stays open
#: while a slow reader takes them.
CHUNK: Final = 2000
#: Columns of a call, as the ledger has them; content has no column.
CALL: Final = (
    "id", "public_id", "started_at", "ended_at", "user_id", "username", "team_id", "team", "agent_id",
    "agent_name", "provider", "model", "purpose", "conversation_id", "message_id", "retry_of", "user_tokens",
    "enrichment_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "certainty", "outcome",
    "error_code", "upstream_id", "first_delta_ms", "duration_ms", "price_id", "currency", "amount", "digest",
)  # fmt: skip


#: Where a page of calls begins: behind the call of that moment and number.
Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table of groups. `people`: how many asked. `share` is its part of all tokens, `change`
    against the period before (1.0: twice as much); None where there is nothing to compare."""

    key: Any
    label: str
    sums: audit.Sums
    people: int = 0
    share: float | None = None
    change: float | None = None
    start: datetime | None = None

    @property
    def failed(self) -> float | None:
        """The part of its calls that failed or were cut off."""
        bad = sum(self.sums.outcomes.get(name, 0) for name in ("failed", "interrupted"))
        return bad / self.sums.calls if self.sums.calls else None

    @property
    def knowledge(self) -> float | None:
        """The part of its tokens that came from knowledge sources; None where nothing was reported."""
        return knowledge(self.sums)


def lines(
    query: Query,
    found: audit.Report,
    past: audit.Report | None = None,
    points: Iterable[audit.Point] | None = None,
) -> list[Line]:
    """The rows of a table of groups, in the order asked for; days take a query of their own, unless their
    `points` are in hand."""
    if query.view == "day":
        if points is None:
            points = audit.series(query.filter, "day", known=query.known, what="table")
        made = _days(points, query.filter.zone)
        earlier: dict[Any, audit.Sums] = {}
    else:
        made = [Line(group.key, group.label, group.sums, group.people) for group in found.by(query.view)]
        earlier = {group.key: group.sums for group in past.by(query.view)} if past else {}
    whole = found.total.tokens or 0
    made = [
        replace(
            line,
            share=(line.sums.tokens or 0) / whole if whole else None,
            change=change(line.sums.tokens, earlier[line.key].tokens) if line.key in earlier else None,
        )
        for line in made
    ]
    return sorted(made, key=lambda line: _order(line, query.sort, query.descending))


def _days(points: Iterable[audit.Point], zone: Any) -> list[Line]:
    days: dict[str, Line] = {}
    for point in points:
        day = f"{point.start.astimezone(zone):%Y-%m-%d}"
        line = days.setdefault(day, Line(day, day, audit.Sums(), start=point.start))
        line.sums.join(point.sums)
    return list(days.values())


def change(now: int | None, then: int | None) -> float | None:
    """How much more there is now, as a part of what there was; None where that says nothing."""
    return now / then - 1 if now is not None and then else None


def knowledge(sums: audit.Sums) -> float | None:
    """The part of tokens that came from knowledge sources; None where nothing was reported of them."""
    known = sums.enrichment_tokens is not None and sums.tokens
    return (sums.enrichment_tokens or 0) / sums.tokens if known and sums.tokens else None


def _order(line: Line, sort: str, descending: bool) -> tuple[Any, ...]:
    sums = line.sums
    values: dict[str, Any] = {
        "tokens": sums.tokens, "user": sums.user_tokens, "enrichment": sums.enrichment_tokens,
        "output": sums.output_tokens, "cost": max(sums.amounts.values(), default=None), "calls": sums.calls,
        "failed": line.failed, "people": line.people, "last": sums.last, "first": sums.first_ms(0.5),
    }  # fmt: skip
    if line.start is not None and sort == "label":
        values["label"] = line.start.timestamp()
    elif sort == "label":
        # Text has no negative: descending is turned round character by character.
        folded = line.label.casefold()
        return (0, [-ord(char) for char in folded] if descending else folded, str(line.key))
    value = values[sort]
    if value is None:
        return (1, 0, line.label)
    return (0, -value if descending else value, line.label)


def columns(query: Query, found: audit.Report) -> list[str]:
    """The columns of a file of groups; money has one for each currency."""
    currencies = sorted(found.total.amounts)
    people = ["people"] if query.view in PEOPLED else []
    return [
        "key", query.view, *people, "calls", *OUTCOMES, *LedgerEntry.Certainty.values, "user_tokens",
        "enrichment_tokens", "output_tokens", "tokens", "cached_tokens", "reasoning_tokens", "priced_calls",
        *(f"amount_{currency}" for currency in currencies), "first_delta_ms_p50", "first_delta_ms_p95",
    ]  # fmt: skip


def values(query: Query, line: Line, found: audit.Report) -> list[Any]:
    """The values of one row of groups, under `columns`."""
    sums = line.sums
    people = [line.people] if query.view in PEOPLED else []
    return [
        line.key, line.label, *people, sums.calls, *(sums.outcomes.get(name, 0) for name in OUTCOMES),
        *(sums.certainties.get(name, 0) for name in LedgerEntry.Certainty.values), sums.user_tokens,
        sums.enrichment_tokens, sums.output_tokens, sums.tokens, sums.cached_tokens, sums.reasoning_tokens,
        sums.priced, *(money(sums.amounts.get(currency)) for currency in sorted(found.total.amounts)),
        sums.first_ms(0.5), sums.first_ms(0.95),
    ]  # fmt: skip


def calls(query: Query, until: int) -> Iterator[list[tuple[Any, ...]]]:
    """All calls of a filter up to the ledger's row `until`, newest first, some at a time.

    The ledger only grows, so what is read page by page is what was there when `until` was its last row.
    Days without such a call are not looked through.
    """
    for start, end in runs(audit.series(query.filter, query.step, known=query.known, what="bar")):
        rows = audit.rows(replace(query.filter, start=start, end=end)).filter(pk__lte=until)
        after: Place | None = None
        while found := list(behind(rows, after).values_list(*CALL)[:CHUNK]):
            yield found
            after = found[-1][CALL.index("ended_at")], found[-1][0]
            if len(found) < CHUNK:
                break


def runs(points: Iterable[audit.Point]) -> list[tuple[datetime, datetime]]:
    """[start, end) of the spans in which there are calls, joined where they touch, newest first."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted({(point.start, point.end) for point in points}, reverse=True):
        if found and found[-1][0] == end:
            found[-1] = (start, found[-1][1])
        else:
            found.append((start, end))
    return found


def latest(query: Query, points: Iterable[audit.Point], after: Place | None, most: int) -> Any:
    """The newest `most` calls of a filter behind a place. `points`, its series, say how far down they
    reach: however rare its calls are, nothing else is looked through."""
    until = after[0] if after else query.filter.end
    spans: dict[tuple[datetime, datetime], int] = {}
    for point in points:
        spans[point.start, point.end] = spans.get((point.start, point.end), 0) + point.sums.calls
    start, end, count = until, query.filter.start, 0
    for (first, last), calls in sorted(spans.items(), reverse=True):
        if first > until:
            continue
        # A span that is cut by the place counts for nothing: nobody knows how many are before it.
        start, end = first, max(end, last)
        count += calls if last <= until else 0
        if count >= most:
            break
    if end <= start:
        return LedgerEntry.objects.none()
    return behind(audit.rows(replace(query.filter, start=start, end=end)), after)[:most]


def behind(rows: Any, after: Place | None) -> Any:
    """Those of `rows`, newest first, that come after the row of that moment and number."""
    if after is None:
        return rows
    moment, number = after
    return rows.filter(Q(ended_at__lte=moment) & ~Q(ended_at=moment, pk__gte=number))


def repeated(calls: Iterable[LedgerEntry]) -> dict[str, str]:
    """Which call stands behind each `retry_of` of `calls`, where there is one: the call of that public id, or
    the last one of the answer that was tried again."""
    again = [(call.conversation_id, call.retry_of) for call in calls if call.retry_of]
    if not again:
        return {}
    conversations, ids = zip(*again, strict=True)
    of_answers = Q(conversation_id__in=conversations, message_id__in=ids)
    found: dict[str, str] = {}
    rows = LedgerEntry.objects.filter(Q(public_id__in=ids) | of_answers).order_by("pk")
    for public_id, message_id in rows.values_list("public_id", "message_id"):
        found[public_id] = found[message_id] = public_id
    return found


def call_values(row: Sequence[Any]) -> list[Any]:
    """One call under CALL, with its amount in units of its currency."""
    made = list(row)
    made[CALL.index("amount")] = money(made[CALL.index("amount")])
    return made


def money(amount: int | None) -> Decimal | None:
    """An amount of the ledger in units of its currency, exactly."""
    return None if amount is None else (Decimal(amount) / AMOUNT_UNIT).normalize() + Decimal(0)


def written(value: Any) -> Any:
    """A value as a file has it: moments in UTC, money in digits."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value
