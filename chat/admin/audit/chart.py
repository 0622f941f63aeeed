"""The chart's numbers: stacked bars per day or hour, for uPlot and for the table beneath it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from chat import audit
from chat.admin.audit.query import Query

#: Parts of a bar that are told apart; the others are one.
TOP: Final = 8


@dataclass(frozen=True, slots=True)
class Chart:
    """`spans` are (start, label, running) in order of time; `stacks` (name, colour class, values).

    A value is None where nothing was reported. `points` is the series they are made of.
    """

    spans: list[tuple[datetime, str, bool]]
    stacks: list[tuple[str, str, list[int | None]]]
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


def chart(query: Query) -> Chart:
    """The bars of a query: one a day or hour of its zone, also where nothing was used."""
    by = None if query.stack == "kind" else query.stack
    points = audit.series(query.filter, query.step, by=by, known=query.known, what="bar")
    starts = audit.starts(query.filter, query.step)
    place = {start: at for at, start in enumerate(starts)}
    now = timezone.now()
    ends = [*starts[1:], query.filter.end]
    spans = [
        (start, _label(start, query), start <= now < end) for start, end in zip(starts, ends, strict=True)
    ]
    if by is None:
        names = {"user": _("Asked"), "enrichment": _("Knowledge"), "output": _("Answered")}
        stacks: list[tuple[str, str, list[int | None]]] = [
            (names[kind], kind, [None] * len(starts)) for kind in names
        ]
        for point in points:
            for _name, kind, values in stacks:
                values[place[point.start]] = getattr(point.sums, f"{kind}_tokens")
        return Chart(spans, stacks, points)
    return Chart(spans, _top(points, place, len(starts)), points)


def _top(
    points: list[audit.Point], place: dict[datetime, int], width: int
) -> list[tuple[str, str, list[int | None]]]:
    sums: dict[Any, int] = {}
    labels: dict[Any, str] = {}
    for point in points:
        sums[point.key] = sums.get(point.key, 0) + (point.sums.tokens or 0)
        labels[point.key] = point.label or _("(none)")
    first = sorted(sums, key=lambda key: (-sums[key], labels[key]))[:TOP]
    stacks: dict[Any, tuple[str, str, list[int | None]]] = {
        key: (labels[key], f"c{at}", [None] * width) for at, key in enumerate(first)
    }
    others: tuple[str, str, list[int | None]] = (_("Others"), "others", [None] * width)
    for point in points:
        values = stacks.get(point.key, others)[2]
        at, tokens = place[point.start], point.sums.tokens
        if tokens is not None:
            values[at] = (values[at] or 0) + tokens
    return [*stacks.values(), *([others] if any(others[2]) else [])]


def _label(start: datetime, query: Query) -> str:
    local = start.astimezone(query.filter.zone)
    if query.step == "hour":
        return f"{formats.date_format(local, 'j M')} {local:%H:%M}"
    return formats.date_format(local, "j M")
