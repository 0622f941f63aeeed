"""The chart's numbers: stacked bars per day or hour, for uPlot and for the table beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from chat import audit
from chat.admin.audit.query import Query

#: Parts of a bar that are told apart; the others are one.
TOP: Final = 8


Stack = tuple[str, str, list[int | None]]


@dataclass(frozen=True, slots=True)
class Chart:
    """`spans` are (start, label, running) in order of time; `stacks` (name, colour class, values).

    A value is None where nothing was reported. `points` is a series of all that is in them, told apart
    or not.
    """

    spans: list[tuple[datetime, str, bool]]
    stacks: list[Stack]
    points: list[audit.Point]

    @property
    def totals(self) -> list[int | None]:
        """Each span's sum; None where nothing was reported."""
        found = []
        for at in range(len(self.spans)):
            known = [values[at] for _name, _colour, values in self.stacks if values[at] is not None]
            found.append(sum(known) if known else None)  # type: ignore[arg-type]
        return found

    @property
    def rows(self) -> list[tuple[str, bool, list[int | None], int | None]]:
        """The table beneath: (label, whether it runs, values, sum), newest first, empty ones left out."""
        totals = self.totals
        found = [
            (label, running, [values[at] for _name, _colour, values in self.stacks], totals[at])
            for at, (_start, label, running) in enumerate(self.spans)
            if totals[at] is not None
        ]
        return found[::-1]

    def data(self) -> dict[str, Any]:
        """What the script draws."""
        return {
            "starts": [int(start.timestamp()) for start, _label, _running in self.spans],
            "labels": [label for _start, label, _running in self.spans],
            "running": [running for _start, _label, running in self.spans],
            "stacks": [
                {"name": name, "colour": colour, "values": [value or 0 for value in values]}
                for name, colour, values in self.stacks
            ],
        }


def chart(query: Query, people: Sequence[audit.Group]) -> Chart:
    """The bars of a query: one a day or hour of its zone, also where nothing was used. `people` are all
    who used any, those with most tokens first."""
    by = None if query.stack == "kind" else query.stack
    starts = audit.starts(query.filter, query.step)
    place = {start: at for at, start in enumerate(starts)}
    now = timezone.now()
    ends = [*starts[1:], query.filter.end]
    spans = [
        (start, _label(start, query), start <= now < end) for start, end in zip(starts, ends, strict=True)
    ]
    if by == "person" and len(people) > TOP and not query.filter.of_rows:
        found = _largest(query, people[:TOP], place)
        if found is not None:
            return Chart(spans, *found)
    # The same days make a table beneath: they are read once, with what that needs.
    what: audit.What = "table" if by is None and query.view == "day" else "bar"
    points = audit.series(query.filter, query.step, by=by, known=query.known, what=what)
    stacks = _kinds(points, place) if by is None else _top(points, place)
    return Chart(spans, stacks, points)


def _kinds(points: list[audit.Point], place: dict[datetime, int]) -> list[Stack]:
    names = {"user": _("Asked"), "enrichment": _("Knowledge"), "output": _("Answered")}
    stacks: list[Stack] = [(names[kind], kind, [None] * len(place)) for kind in names]
    for point in points:
        for _name, kind, values in stacks:
            values[place[point.start]] = getattr(point.sums, f"{kind}_tokens")
    return stacks


def _largest(
    query: Query, first: Sequence[audit.Group], place: dict[datetime, int]
) -> tuple[list[Stack], list[audit.Point]] | None:
    """The largest by person, the others as what these leave of all: telling everybody apart takes twice as
    long for a year in a zone far off. None where the others may have used 0 or have reported nothing."""
    filter = replace(query.filter, persons=tuple(group.key for group in first))
    own = audit.series(filter, query.step, by="person", known=query.known, what="bar")
    points = audit.series(query.filter, query.step, known=query.known, what="bar")
    stacks: dict[Any, Stack] = {
        group.key: (group.label or _("(none)"), f"c{at}", [None] * len(place))
        for at, group in enumerate(first)
    }
    taken: dict[datetime, audit.Sums] = {}
    for point in own:
        stacks[point.key][2][place[point.start]] = point.sums.tokens
        taken.setdefault(point.start, audit.Sums()).join(point.sums)
    others: list[int | None] = [None] * len(place)
    for point in points:
        largest = taken.get(point.start, audit.Sums())
        if point.sums.calls == largest.calls or point.sums.tokens is None:
            continue
        left = point.sums.tokens - (largest.tokens or 0)
        if not left:
            return None
        others[place[point.start]] = left
    return [*stacks.values(), *_if_any(others)], points


def _if_any(others: list[int | None]) -> list[Stack]:
    return [(_("Others"), "others", others)] if any(others) else []


def _top(points: list[audit.Point], place: dict[datetime, int]) -> list[Stack]:
    sums: dict[Any, int] = {}
    labels: dict[Any, str] = {}
    for point in points:
        sums[point.key] = sums.get(point.key, 0) + (point.sums.tokens or 0)
        labels[point.key] = point.label or _("(none)")
    first = sorted(sums, key=lambda key: (-sums[key], labels[key]))[:TOP]
    stacks: dict[Any, Stack] = {
        key: (labels[key], f"c{at}", [None] * len(place)) for at, key in enumerate(first)
    }
    others: list[int | None] = [None] * len(place)
    for point in points:
        values = stacks[point.key][2] if point.key in stacks else others
        at, tokens = place[point.start], point.sums.tokens
        if tokens is not None:
            values[at] = (values[at] or 0) + tokens
    return [*stacks.values(), *_if_any(others)]


def _label(start: datetime, query: Query) -> str:
    local = start.astimezone(query.filter.zone)
    if query.step == "hour":
        return f"{formats.date_format(local, 'j M')} {local:%H:%M}"
    return formats.date_format(local, "j M")
