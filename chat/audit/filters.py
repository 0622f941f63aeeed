"""What is looked at: a period and what its calls have in common, for the ledger's rows and for roll-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Q

from chat.audit.periods import period_before

#: Stands for "no team" in a filter.
NO_TEAM: Final = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked at. An empty tuple is "all of them".

    persons: user ids, or names as "@name" for calls of somebody who is no user (commands). teams and
    agents: ids, teams also NO_TEAM. The others: values of the ledger's columns. Roll-ups know nothing of
    conversations: their sums come from rows.
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
    conversations: tuple[str, ...] = ()

    @property
    def of_rows(self) -> bool:
        """Whether the rows alone can tell."""
        return bool(self.conversations)

    @property
    def columns(self) -> tuple[tuple[str, Sequence[Any]], ...]:
        """The ledger's columns that are chosen by their values alone."""
        pairs: tuple[tuple[str, Sequence[Any]], ...] = (
            ("agent_id", self.agents), ("model", self.models), ("provider", self.providers),
            ("purpose", self.purposes), ("outcome", self.outcomes), ("certainty", self.certainties),
            ("conversation_id", self.conversations),
        )  # fmt: skip
        return tuple((column, values) for column, values in pairs if values)

    @property
    def chosen(self) -> set[str]:
        """The columns of dimensions that calls are chosen by."""
        people = ("user_id", self.persons), ("team_id", self.teams)
        return {column for column, values in (*people, *self.columns) if values}

    def condition(self) -> Q:
        """All but the period, for ledger entries and for keys of roll-ups."""
        found = Q()
        if self.persons:
            ids, names = self._people()
            found &= Q(user_id__in=ids) | Q(user_id=None, username__in=names)
        if self.teams:
            none = Q(team_id=None) if NO_TEAM in self.teams else Q()
            found &= Q(team_id__in=self.teams) | none
        for column, values in self.columns:
            found &= Q(**{f"{column}__in": values})
        return found

    def sql(self, table: str) -> tuple[str, list[Any]]:
        """The same as SQL on columns of `table` that begins with AND, and its parameters."""
        parts: list[str] = []
        parameters: list[Any] = []

        def among(column: str, values: Sequence[Any]) -> str:
            parameters.extend(values)
            return f"{table}.{column} IN ({', '.join(['%s'] * len(values))})"

        if self.persons:
            ids, names = self._people()
            either = [among("user_id", ids)] if ids else []
            if names:
                either.append(f"{table}.user_id IS NULL AND {among('username', names)}")
            parts.append(f"({' OR '.join(either)})")
        if self.teams:
            none = f" OR {table}.team_id IS NULL" if NO_TEAM in self.teams else ""
            parts.append(f"({among('team_id', self.teams)}{none})")
        parts += [among(column, values) for column, values in self.columns]
        return "".join(f" AND {part}" for part in parts), parameters

    def _people(self) -> tuple[list[int], list[str]]:
        ids = [person for person in self.persons if isinstance(person, int)]
        return ids, [person[1:] for person in self.persons if isinstance(person, str)]


def before(filter: Filter) -> Filter:
    """The same for the period before: the month before for whole months, else as many days, or as long."""
    return replace(filter, start=period_before(filter.start, filter.end, filter.zone), end=filter.start)


__all__ = ["NO_TEAM", "Filter", "before"]
