"""The sums: the only code that adds up usage, for pages, files and commands alike.

    filter = Filter(start, end, zone=ZoneInfo("America/Sao_Paulo"), teams=(3,), outcomes=("failed",))
    found = report(filter)                  one pass: all that a page's tables and numbers need
    found.total                             a Sums; report(before(filter)).total is the period before
    found.by("person")                      [Group(key, label, Sums, people)], most tokens first; also
                                            "team", "agent", "model", "provider", "outcome",
                                            "certainty"; "purpose" with report(filter, purpose=True)
    series(filter, "day", by="agent")       [Point(start, end, key, label, Sums)], empty spans left out
    rows(filter)                            ledger entries, newest first, to page through or stream
    exact(filter)                           the same as `report`, from the rows alone

A period is [start, end) in aware datetimes, by the moment a call ended; days are cut in `zone`. Whole
months, days and hours come from the roll-ups, the rest of an hour from rows, so every sum is exact to the
unit whatever the period and the zone. NULL is "nothing reported" and never 0. Amounts are in 10**-9 of a
unit of their currency. Writes nothing.
"""

from __future__ import annotations

from chat.audit.budgets import budget_span, measured, of_budget, used
from chat.audit.entries import exact, rows
from chat.audit.filters import NO_TEAM, Filter, before
from chat.audit.periods import PERIODS, midnight, period
from chat.audit.reading import Known, days_of_people, keys, report, reports
from chat.audit.series import Step, What, series, starts
from chat.audit.sums import BY, Group, Point, Report, Sums

__all__ = [
    "BY",
    "NO_TEAM",
    "PERIODS",
    "Filter",
    "Group",
    "Known",
    "Point",
    "Report",
    "Step",
    "Sums",
    "What",
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
    "starts",
    "used",
]
