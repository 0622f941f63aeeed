"""What calls add up to, and how it is told apart. Reads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from chat.audit.filters import NO_TEAM
from chat.models.rollups import CERTAINTIES, FIRST, FIRST_BOUNDS, NULLABLE, OUTCOMES

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


@dataclass(slots=True)
class Sums:
    """What calls add up to. A count of tokens is None when none of them reported it. `first` counts
    calls by the classes of FIRST_BOUNDS, `last` is when the last of them ended, in seconds since 1970.

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
        self.calls += sums["calls"]
        self.priced += sums["priced"]
        for name in NULLABLE[:-1]:
            if sums[name] is not None:
                setattr(self, name, (getattr(self, name) or 0) + sums[name])
        if sums["amount"] is not None:
            self.amounts[key["currency"]] = self.amounts.get(key["currency"], 0) + sums["amount"]
        for counts, names in ((self.outcomes, OUTCOMES), (self.certainties, CERTAINTIES)):
            for name in names:
                if sums[name]:
                    counts[name] = counts.get(name, 0) + sums[name]
        if FIRST[0] in sums:
            self.first = [a + sums[name] for a, name in zip(self.first, FIRST, strict=True)]
        self.last = max(self.last, sums["last"])

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
    """The sums of one person, team, agent ... `key` fits into a Filter, `label` is its latest name.
    `people`: how many asked."""

    key: Any
    label: str
    sums: Sums
    people: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """The sums of one span of a series; `key` and `label` are None and "" when it is not told apart."""

    start: datetime
    end: datetime
    key: Any
    label: str
    sums: Sums


Part = tuple[dict[str, Any], dict[str, Any]]


class Report:
    """All sums of a filter, by every dimension that was read, read once."""

    def __init__(self, found: Iterable[Part]) -> None:
        self._found = list(found)
        self.total = Sums()
        for key, sums in self._found:
            self.total.add(key, sums)

    def by(self, dimension: str) -> list[Group]:
        """Groups, those with most tokens first. `dimension` is one of BY."""
        groups: dict[Any, Sums] = {}
        labels: dict[Any, tuple[int, str]] = {}
        people: dict[Any, set[Any]] = {}
        for key, sums in self._found:
            own, label = own_of(dimension, key)
            groups.setdefault(own, Sums()).add(key, sums)
            labels[own] = max(labels.get(own, (-1, "")), (sums["last"], label))
            people.setdefault(own, set()).add(own_of("person", key)[0])
        found = [Group(own, labels[own][1], sums, len(people[own])) for own, sums in groups.items()]
        return sorted(found, key=lambda group: (-(group.sums.tokens or 0), group.label, str(group.key)))


def own_of(dimension: str, key: dict[str, Any]) -> tuple[Any, str]:
    """What a key is in a dimension, as a filter spells it, and its name."""
    own, label = key[BY[dimension][0]], key[BY[dimension][1]]
    if dimension == "person" and own is None:
        return f"@{label}", label
    if dimension == "team" and own is None:
        return NO_TEAM, label
    return own, label


__all__ = ["BY", "Group", "Part", "Point", "Report", "Sums", "own_of"]
