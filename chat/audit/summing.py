"""SQL that adds up roll-ups, and the ledger's rows under the same names. Knows no filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection

from chat.models.rollups import CERTAINTIES, FIRST, FIRST_BOUNDS, NULLABLE, OUTCOMES

Statement = tuple[str, list[Any]]
#: (number, from, until): of roll-ups in seconds since 1970, of rows as `stored`.
Range = tuple[int, Any, Any]


def of_rollups(names: Iterable[str]) -> str:
    """SQL that adds these of SUMS up from roll-ups `r`."""
    return ", ".join(f"{'MAX' if name == 'last' else 'SUM'}(r.{name}) AS {name}" for name in names)


def of_rows(names: Iterable[str]) -> str:
    """SQL that adds the same up from rows `e` of the ledger."""
    return ", ".join(f"{_of_row(name)} AS {name}" for name in names)


def _of_row(name: str) -> str:
    if name == "calls":
        return "COUNT(*)"
    if name == "priced":
        return "COUNT(e.amount)"
    if name == "last":
        return second("MAX(e.ended_at)")
    if name in NULLABLE:
        return f"SUM(e.{name})"
    return f"COUNT(CASE WHEN {_COUNTED[name]} THEN 1 END)"


def _classes() -> Iterator[tuple[str, str]]:
    lower = "e.first_delta_ms IS NOT NULL"
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        yield name, lower if bound is None else f"{lower} AND e.first_delta_ms <= {bound}"
        lower = f"e.first_delta_ms > {bound}"


#: Which rows each of the other sums counts.
_COUNTED: Final = {
    **dict(_classes()),
    **{name: f"e.outcome = '{name}'" for name in OUTCOMES},
    **{name: f"e.certainty = '{name}'" for name in CERTAINTIES},
}


def second(moment: str) -> str:
    """SQL for the whole seconds since 1970 of a moment."""
    if connection.vendor == "postgresql":
        return f"CAST(FLOOR(EXTRACT(EPOCH FROM {moment})) AS BIGINT)"
    # SQLite would round up what is less than half a millisecond before the next second.
    return f"CAST(strftime('%%s', substr({moment}, 1, 19)) AS INTEGER)"


def stored(moment: datetime) -> Any:
    """A moment as the database holds it against the ledger's."""
    return connection.ops.adapt_datetimefield_value(moment)


def apart(
    ranges: Sequence[Range],
    told: Sequence[str],
    sums: str,
    source: tuple[str, str],
    among: str,
    chosen: Statement,
    joined: str = "",
) -> Statement:
    """(range's number, told, sums) of what lies in each of some ranges of a column of a table. `source`: the
    table with its alias, and that column; `among`: a condition on this table alone; `chosen`: one that
    narrows this down, also by what is `joined`, a JOIN. Conditions begin with AND.

    The ranges are looked up one by one, whatever a planner thinks: none can tell beforehand how small a part
    of a table they are.
    """
    (table, moment), where = source, chosen[0]
    values = ", ".join(["(%s, %s, %s)"] * len(ranges))
    within = f"{moment} >= v.column2 AND {moment} < v.column3{among}"
    columns = "".join(f"{column}, " for column in told)
    parameters = [value for one in ranges for value in one] + chosen[1]
    head = f"SELECT v.column1 AS number, {columns}{sums} FROM (VALUES {values}) v CROSS JOIN"  # noqa: S608 (our own names)
    by = f"GROUP BY v.column1{''.join(f', {column}' for column in told)}"
    if connection.vendor == "postgresql":
        # OFFSET: else each key or person that is chosen is looked for in each range.
        lateral = f"LATERAL (SELECT * FROM {table} WHERE {within} OFFSET 0) {table.split()[-1]}"  # noqa: S608
        return f"{head} {lateral}{joined} WHERE true{where} {by}", parameters
    return f"{head} {table}{joined.replace(' JOIN', ' CROSS JOIN')} WHERE {within}{where} {by}", parameters


def whole(value: Any) -> int | None:
    """PostgreSQL sums BIGINT as NUMERIC."""
    return None if value is None else int(value)


__all__ = ["Range", "Statement", "apart", "of_rollups", "of_rows", "second", "stored", "whole"]
