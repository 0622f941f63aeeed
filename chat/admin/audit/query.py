"""What a page of the audit is asked for, read from its address; the same for the screen and for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, available_timezones

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from chat import audit
from chat.models import LedgerEntry, State
from chat.models.ids import may_be_id

#: The tables, by the word in the address.
VIEWS: Final = {
    "person": _("People"),
    "team": _("Teams"),
    "agent": _("Agents"),
    "model": _("Models"),
    "day": _("Days"),
    "calls": _("Calls"),
}
#: What the chart's bars are made of.
STACKS: Final = {
    "kind": _("kinds of tokens"),
    "agent": _("agents"),
    "team": _("teams"),
    "person": _("people"),
}
PERIODS: Final = {
    "today": _("Today"),
    "yesterday": _("Yesterday"),
    "7d": _("7 days"),
    "30d": _("30 days"),
    "month": _("This month"),
    "last_month": _("Last month"),
    "custom": _("From … to"),
}
#: Fields of which several values may be chosen.
FIELDS: Final = {
    "person": _("Person"), "team": _("Team"), "agent": _("Agent"), "provider": _("Provider"),
    "model": _("Model"), "purpose": _("Purpose"), "certainty": _("Certainty"), "outcome": _("Ended"),
    "conversation": _("Conversation"),
}  # fmt: skip
#: Time zones that are offered beside the configured one.
ZONES: Final = (
    "UTC", "America/Sao_Paulo", "America/Manaus", "America/New_York", "America/Los_Angeles",
    "America/Mexico_City", "America/Bogota", "America/Argentina/Buenos_Aires", "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid", "Europe/Berlin", "Africa/Johannesburg", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore",
    "Asia/Tokyo", "Australia/Sydney",
)  # fmt: skip
OUTCOMES: Final = (State.COMPLETED, State.STOPPED, State.FAILED, State.INTERRUPTED)
#: Columns a table of groups can be ordered by.
ORDERS: Final = (
    "label",
    "tokens",
    "user",
    "enrichment",
    "output",
    "cost",
    "calls",
    "people",
    "failed",
    "last",
    "first",
)
#: Tables whose rows say how many people they are made of.
PEOPLED: Final = ("team", "agent", "model")
#: The longest period of one's own choice, in days: three years.
LONGEST: Final = 1096


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a field of the filter bar."""

    value: str
    label: Any
    selected: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that is chosen: of which field, its name, and the address without it."""

    field: Any
    label: Any
    address: str


@dataclass(frozen=True)
class Query:
    """An address, understood. What cannot be understood counts as not given."""

    filter: audit.Filter
    period: str
    view: str
    stack: str
    sort: str
    descending: bool
    page: int
    given: dict[str, str | list[str]]

    @classmethod
    def read(cls, get: QueryDict, now: datetime | None = None) -> Query:
        """Understand an address's query."""
        zone = _zone(get.get("zone", ""))
        now = now or timezone.now()
        period = _one_of(get.get("period"), PERIODS, "30d")
        start, end, period = _span(period, get, zone, now)
        sort = get.get("sort", "")
        wanted = audit.Filter(
            start, end, zone,
            persons=tuple(_person(value) for value in _texts(get, "person")),
            teams=tuple(int(value) for value in get.getlist("team") if _is_number(value)),
            agents=tuple(int(value) for value in get.getlist("agent") if _is_number(value)),
            models=_texts(get, "model"),
            providers=_texts(get, "provider"),
            purposes=_known(get.getlist("purpose"), LedgerEntry.Purpose.values),
            outcomes=_known(get.getlist("outcome"), OUTCOMES),
            certainties=_known(get.getlist("certainty"), LedgerEntry.Certainty.values),
            conversations=tuple(filter(may_be_id, map(_id, _texts(get, "conversation")))),
        )  # fmt: skip
        page = get.get("page", "1")
        return cls(
            wanted, period,
            view=_one_of(get.get("view"), VIEWS, "person"),
            stack=_one_of(get.get("stack"), STACKS, "kind"),
            sort=_one_of(sort.removeprefix("-"), ORDERS, "tokens"),
            descending=sort.startswith("-") or not sort,
            page=max(1, int(page)) if _is_number(page) else 1,
            given=_given(wanted, period, get),
        )  # fmt: skip

    def address(self, **changes: Any) -> str:
        """The query of this page with something else; None takes a part away, a list gives several."""
        parts = {**self.given, "view": self.view, "stack": self.stack, **changes}
        if "sort" not in changes and (self.sort, self.descending) != ("tokens", True):
            parts["sort"] = f"{'-' if self.descending else ''}{self.sort}"
        defaults = {"period": "30d", "view": "person", "stack": "kind"}
        kept = {name: value for name, value in parts.items() if value and value != defaults.get(name)}
        return "?" + urlencode(kept, doseq=True)

    def values(self, name: str) -> list[str]:
        """What is chosen of a field of the filter bar."""
        given = self.given.get(name, [])
        return given if isinstance(given, list) else [given]

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What the filter bar's form gives again: its fields add to what is chosen."""
        return [(name, value) for name in FIELDS for value in self.values(name)]

    @cached_property
    def chips(self) -> list[Chip]:
        """Everything that is chosen, each with the address without it."""
        names = {
            name: {choice.value: choice.label for choice in choices} for name, choices in self.choices.items()
        }
        return [
            Chip(label, names.get(name, {}).get(value, value), self.address(**{name: others}))
            for name, label in FIELDS.items()
            for value in self.values(name)
            for others in [[other for other in self.values(name) if other != value]]
        ]

    @property
    def step(self) -> audit.Step:
        """Hours for periods of up to two days, else days."""
        return "hour" if self.filter.end - self.filter.start <= timedelta(days=2) else "day"

    @property
    def last_day(self) -> date:
        """The last day of the period."""
        return (self.filter.end - timedelta(microseconds=1)).astimezone(self.filter.zone).date()

    @property
    def first_day(self) -> date:
        """The first day of the period."""
        return self.filter.start.astimezone(self.filter.zone).date()

    @property
    def complete(self) -> bool:
        """Whether the period is over: nothing can be added to it any more."""
        return self.filter.end <= timezone.now()

    @cached_property
    def known(self) -> audit.Known:
        """All that can be chosen; one query, for every sum of the page."""
        return audit.keys()

    @cached_property
    def choices(self) -> dict[str, list[Choice]]:
        """The filter bar's fields."""
        names = ("user_id", "username", "team_id", "team", "agent_id", "agent_name", "provider", "model")
        rows = {tuple(key[name] for name in names) for key in self.known.keys.values()}
        found: dict[str, dict[str, str]] = {
            name: {} for name in ("person", "team", "agent", "provider", "model")
        }
        for user_id, username, team_id, team, agent_id, agent_name, provider, model in rows:
            if user_id is not None or username:
                found["person"][f"@{username}" if user_id is None else str(user_id)] = username
            found["team"][str(team_id or audit.NO_TEAM)] = team or str(_("(no team)"))
            found["agent"][str(agent_id or 0)] = agent_name
            for field, value in (("provider", provider), ("model", model)):
                if value:
                    found[field][value] = value
        fields = {
            name: [
                Choice(value, label, value in self.values(name))
                for value, label in sorted(values.items(), key=lambda pair: pair[1].casefold())
            ]
            for name, values in found.items()
        }
        fixed: dict[str, Sequence[tuple[str, Any]]] = {
            "period": list(PERIODS.items()),
            "purpose": LedgerEntry.Purpose.choices,
            "outcome": [(state.value, state.label) for state in OUTCOMES],
            "certainty": LedgerEntry.Certainty.choices,
            "zone": [(name, name.replace("_", " ")) for name in self.zones],
        }
        for name, pairs in fixed.items():
            chosen = {"period": [self.period], "zone": [str(self.filter.zone)]}.get(name, self.values(name))
            fields[name] = [Choice(value, label, value in chosen) for value, label in pairs]
        return fields

    @property
    def zones(self) -> list[str]:
        """Time zones to choose from; an address may name any other."""
        return sorted({str(timezone.get_default_timezone()), str(self.filter.zone), *ZONES})

    def before(self) -> audit.Filter:
        """The period before, cut where this one is so far: half a month is compared with half a month."""
        past = audit.before(self.filter)
        if self.complete:
            return past
        # Whole hours, so that the roll-ups have it.
        elapsed = (timezone.now() - self.filter.start) // timedelta(hours=1) * timedelta(hours=1)
        return replace(past, end=min(past.end, past.start + elapsed))


@cache
def _zones() -> set[str]:
    return available_timezones()


def _zone(name: str) -> Any:
    """A time zone by its name, else the configured one."""
    return ZoneInfo(name) if name in _zones() else timezone.get_default_timezone()


def _given(wanted: audit.Filter, period: str, get: QueryDict) -> dict[str, str | list[str]]:
    """The parts of an address that choose rows, in one spelling: a field's one value, or its list."""
    given: dict[str, str | list[str]] = {"period": period}
    if str(wanted.zone) != str(timezone.get_default_timezone()):
        given["zone"] = str(wanted.zone)
    if period == "custom":
        last = (wanted.end - timedelta(microseconds=1)).astimezone(wanted.zone)
        first = wanted.start.astimezone(wanted.zone)
        given |= {"from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}"}
    for name, values in (
        ("person", wanted.persons), ("team", wanted.teams), ("agent", wanted.agents),
        ("provider", wanted.providers), ("model", wanted.models), ("purpose", wanted.purposes),
        ("outcome", wanted.outcomes), ("certainty", wanted.certainties),
        ("conversation", wanted.conversations),
    ):  # fmt: skip
        if values:
            texts = list(dict.fromkeys(map(str, values)))
            given[name] = texts if len(texts) > 1 else texts[0]
    return given


def _span(period: str, get: QueryDict, zone: Any, now: datetime) -> tuple[datetime, datetime, str]:
    if period == "custom":
        first, last = _day(get.get("from")), _day(get.get("to"))
        if first and last and timedelta(0) <= last - first < timedelta(days=LONGEST):
            end = audit.midnight(last + timedelta(days=1), zone)
            return audit.midnight(first, zone), end, "custom"
        period = "30d"
    return *audit.period(period, zone, now), period


def _day(text: str | None) -> date | None:
    try:
        day = parse_date(text or "")
    except ValueError:
        return None
    return day if day and 1970 < day.year < 9000 else None


def _one_of(value: str | None, known: Any, default: str) -> str:
    return value if value in known else default  # type: ignore[return-value]


def _known(values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(value for value in values if value in known)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _texts(get: QueryDict, name: str) -> tuple[str, ...]:
    """What is there and can be in a database: PostgreSQL knows no NUL."""
    return tuple(value for value in get.getlist(name) if value and "\x00" not in value)


def _id(text: str) -> str:
    """As it was pasted."""
    return text.strip().upper()


def _person(value: str) -> int | str:
    return int(value) if _is_number(value) else value
