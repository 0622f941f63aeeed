"""Sums of the ledger by hour, day and month, kept in the transaction that adds its rows.

Five faces of the same calls, each with what its readers need told apart and no more (see Face). A face
is summed by hour, by day and by month as far as pages read it so. Hours begin with the hours of UTC,
days and months with those of one time zone of whole hours, which stands in `RollupState`. Anything here
can be made again from the ledger; chat/audit alone reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from django.db import connection, models
from django.utils import timezone

from chat.models.execution import change_each

#: What is told apart, in the order of a key's columns.
DIMENSIONS: Final = (
    "user_id", "username", "team_id", "team", "agent_id", "agent_name", "provider", "model", "purpose",
    "outcome", "certainty", "currency",
)  # fmt: skip
#: Sums in which NULL is "nothing known" and never 0.
NULLABLE: Final = (
    "user_tokens", "enrichment_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "amount",
)  # fmt: skip
#: Upper bounds, in ms, of the classes of times to the first delta; the last class has none.
FIRST_BOUNDS: Final = (250, 500, 1000, 2000, 4000, 8000, 16000)
FIRST: Final = tuple(f"first_{n}" for n in range(len(FIRST_BOUNDS) + 1))
#: Calls by how they ended and by how sure their numbers are: one column a value of the ledger's.
OUTCOMES: Final = ("completed", "stopped", "failed", "interrupted")
CERTAINTIES: Final = ("reported", "estimated", "unknown")
COUNTS: Final = (*OUTCOMES, *CERTAINTIES)
#: Added up; `last`, the moment at which the latest call ended in seconds since 1970, is the largest.
SUMS: Final = ("calls", "priced", *NULLABLE, *FIRST, *COUNTS, "last")

HOUR: Final = 3600
#: Every grain there is: a letter for the face, a letter for the span.
GRAINS: Final = ("fh", "fd", "fm", "sd", "sm", "pd", "nh", "nd", "gh", "gd")
HOURS, DAYS, MONTHS = (tuple(grain for grain in GRAINS if grain[1] == span) for span in "hdm")


class Face(models.TextChoices):
    """What a key tells apart. The others stand in its columns as NULL or nothing."""

    FULL = "f", "everything"
    SHORT = "s", "all but the purpose"
    PERSON = "p", "person and team"
    NOBODY = "n", "all but the person"
    GROSS = "g", "team, agent and model"


FACES: Final = "".join(Face.values)


class RollupKey(models.Model):
    """One combination of what a face tells apart. `id` follows from the others (see `key_of`); of a full
    key, `short`, `person`, `nobody` and `gross` are the ids of the same in the other faces. All tell the
    currency apart."""

    id = models.BigIntegerField(primary_key=True)
    face = models.CharField(max_length=1, choices=Face.choices)
    short = models.BigIntegerField(null=True)
    person = models.BigIntegerField(null=True)
    nobody = models.BigIntegerField(null=True)
    gross = models.BigIntegerField(null=True)
    user_id = models.BigIntegerField(null=True, db_index=True)
    username = models.CharField(max_length=150)
    team_id = models.BigIntegerField(null=True)
    team = models.CharField(max_length=150)
    agent_id = models.BigIntegerField(null=True)
    agent_name = models.CharField(max_length=80)
    provider = models.CharField(max_length=120)
    model = models.CharField(max_length=120)
    purpose = models.CharField(max_length=10)
    outcome = models.CharField(max_length=11)
    certainty = models.CharField(max_length=9)
    currency = models.CharField(max_length=3)

    def __str__(self) -> str:
        return f"key {self.pk}"


class Rollup(models.Model):
    """Sums of the calls of one key that ended in one span. `start` is in seconds since 1970, UTC.

    `grain` is one of GRAINS. `calls` counts calls, `priced` those with an amount, `first_*` those by time
    to the first delta, COUNTS those by outcome and certainty. `last` is when the latest of them ended.
    """

    pk = models.CompositePrimaryKey("grain", "start", "key")
    grain = models.CharField(max_length=2)
    start = models.BigIntegerField()
    key = models.BigIntegerField()
    calls = models.IntegerField()
    priced = models.IntegerField()
    user_tokens = models.BigIntegerField(null=True)
    enrichment_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    amount = models.BigIntegerField(null=True)
    first_0 = models.IntegerField()
    first_1 = models.IntegerField()
    first_2 = models.IntegerField()
    first_3 = models.IntegerField()
    first_4 = models.IntegerField()
    first_5 = models.IntegerField()
    first_6 = models.IntegerField()
    first_7 = models.IntegerField()
    completed = models.IntegerField()
    stopped = models.IntegerField()
    failed = models.IntegerField()
    interrupted = models.IntegerField()
    reported = models.IntegerField()
    estimated = models.IntegerField()
    unknown = models.IntegerField()
    last = models.BigIntegerField()

    class Meta:
        indexes = (models.Index(fields=("key", "grain", "start"), name="rollup_of_key"),)

    def __str__(self) -> str:
        return f"{self.grain} {self.start} {self.key}"


class RollupState(models.Model):
    """The one row that says in which time zone days and months are cut, and whether they are all there:
    while they are not, sums are read from hours."""

    zone = models.CharField(max_length=64)
    ready = models.BooleanField()

    def __str__(self) -> str:
        return self.zone


Dimensions = tuple[Any, ...]
Sums = list[int | None]
Keys = dict[int, tuple[Any, ...]]
Found = dict[tuple[str, int, int], Sums]


def begin(*, ready: bool) -> str:
    """Cut days in the configured zone from now on; its name. `ready`: nothing was added up before."""
    zone = zone_name()
    RollupState.objects.update_or_create(pk=1, defaults={"zone": zone, "ready": ready})
    return zone


# -- where a call belongs --------------------------------------------------------------------------


def zone_name() -> str:
    """The configured time zone, or UTC where that is ever not whole hours from it."""
    zone: Any = timezone.get_default_timezone()
    first = datetime(2020, 1, 1, tzinfo=UTC)
    moments = (first + timedelta(days=14 * n) for n in range(26 * 20))
    whole = all(
        (moment.astimezone(zone).utcoffset() or timedelta()).seconds % HOUR == 0 for moment in moments
    )
    return str(zone) if whole else "UTC"


@lru_cache(maxsize=4096)
def spans(hour: int, zone: str) -> tuple[int, int]:
    """When the day and the month of `zone` that hold an hour begin; all in seconds since 1970."""
    local = datetime.fromtimestamp(hour, ZoneInfo(zone))
    day = datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
    return int(day.timestamp()), int(day.replace(day=1).timestamp())


def key_of(face: str, dimensions: Dimensions) -> int:
    """The key's number: 63 bits of a hash, so that no process need ask the database for it."""
    spelled = orjson.dumps((face, *dimensions))
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest()) >> 1


@lru_cache(maxsize=16384)
def rows_of(dimensions: Dimensions) -> tuple[tuple[Any, ...], ...]:
    """The rows of RollupKey for what an entry tells apart: one of each face, in their order."""
    who, team, agent = dimensions[:2], dimensions[2:4], dimensions[4:8]
    purpose, end, currency = dimensions[8:9], dimensions[9:11], dimensions[11:]
    nobody, nothing = (None, ""), ("",)
    no_agent, no_end = (None, "", "", ""), ("", "")
    faces = {
        "s": (*who, *team, *agent, *nothing, *end, *currency),
        "p": (*who, *team, *no_agent, *nothing, *no_end, *currency),
        "n": (*nobody, *team, *agent, *purpose, *end, *currency),
        "g": (*nobody, *team, *agent, *nothing, *no_end, *currency),
    }
    ids = {face: key_of(face, told) for face, told in faces.items()}
    full = (key_of("f", dimensions), "f", *ids.values(), *dimensions)
    return full, *((ids[face], face, *(None,) * 4, *told) for face, told in faces.items())


# -- adding up -------------------------------------------------------------------------------------


def sums_of(entry: Any) -> Sums:
    """One entry as a row of SUMS."""
    first = [0] * len(FIRST)
    if entry.first_delta_ms is not None:
        first[sum(entry.first_delta_ms > bound for bound in FIRST_BOUNDS)] = 1
    return [
        1, int(entry.amount is not None), *(getattr(entry, name) for name in NULLABLE), *first,
        *counted(entry.outcome, entry.certainty, 1), int(entry.ended_at.timestamp()),
    ]  # fmt: skip


def counted(outcome: str, certainty: str, calls: int) -> list[int]:
    """COUNTS of calls that all ended in one way and are equally sure."""
    return [calls if name in (outcome, certainty) else 0 for name in COUNTS]


def plus(left: Sums, right: Sums) -> Sums:
    """Both together; NULL and a number are the number."""
    found = [b if a is None else a if b is None else a + b for a, b in zip(left, right, strict=True)]
    found[-1] = max(left[-1] or 0, right[-1] or 0)
    return found


def gather(entries: Iterable[Any], zone: str) -> tuple[Keys, Found]:
    """The keys of these entries, and what is to be added to which (grain, start, key)."""
    return fold(
        (
            (tuple(getattr(entry, name) for name in DIMENSIONS), entry.ended_at, sums_of(entry))
            for entry in entries
        ),
        zone,
    )


def fold(
    parts: Iterable[tuple[Dimensions, datetime, Sums]], zone: str, grains: Sequence[str] = GRAINS
) -> tuple[Keys, Found]:
    """The same of sums that were made already, each of one hour or less."""
    keys: Keys = {}
    found: Found = {}
    for dimensions, moment, added in parts:
        rows = rows_of(dimensions)
        keys.update((row[0], row) for row in rows)
        seconds = int(moment.timestamp())
        hour = seconds - seconds % HOUR
        day, month = spans(hour, zone)
        starts = {"h": hour, "d": day, "m": month}
        ids = dict(zip(FACES, (row[0] for row in rows), strict=True))
        for grain in grains:
            place = (grain, starts[grain[1]], ids[grain[0]])
            found[place] = plus(found[place], added) if place in found else added
    return keys, found


KEY_COLUMNS: Final = ("id", "face", "short", "person", "nobody", "gross", *DIMENSIONS)
_KEY = (
    f"INSERT INTO chat_rollupkey ({', '.join(KEY_COLUMNS)}) VALUES ",  # noqa: S608 (names of our own)
    " ON CONFLICT DO NOTHING",
)


def _added(name: str) -> str:
    mine, new = f"chat_rollup.{name}", f"excluded.{name}"
    if name == "last":
        return f"last = CASE WHEN {new} > {mine} THEN {new} ELSE {mine} END"
    if name in NULLABLE:
        return f"{name} = CASE WHEN {new} IS NULL THEN {mine} ELSE COALESCE({mine}, 0) + {new} END"
    return f"{name} = {mine} + {new}"


_ROW = (
    f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)}) VALUES ",  # noqa: S608 (as above)
    f" ON CONFLICT (grain, start, key) DO UPDATE SET {', '.join(map(_added, SUMS))}",
)
#: Rows of one statement.
MOST = 500


def insert(cursor: Any, statement: tuple[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Run an INSERT of many rows, given as what is before and after its values.

    Numbers are written into the statement on PostgreSQL, whose driver takes 4 µs for each parameter;
    SQLite rather meets the statement of one row again and again.
    """
    before, after = statement
    if connection.vendor != "postgresql":
        if rows:
            change_each(_of_one(before, after, len(rows[0])), rows)
        return
    for start in range(0, len(rows), MOST):
        values, parameters = [], []
        for row in rows[start : start + MOST]:
            marks = []
            for value in row:
                if value is None or value.__class__ is int:
                    marks.append("NULL" if value is None else str(value))
                else:
                    marks.append("%s")
                    parameters.append(value)
            values.append(f"({', '.join(marks)})")
        cursor.execute(f"{before}{', '.join(values)}{after}", parameters)


@lru_cache(maxsize=16)
def _of_one(before: str, after: str, width: int) -> str:
    return f"{before}({', '.join(['%s'] * width)}){after}"


def add(entries: Iterable[Any], zone: str) -> None:
    """Add entries that were just written. Inside their transaction; `zone` is that of the state."""
    write(*gather(entries, zone))


def write(keys: Keys, found: Found) -> None:
    """Add sums to what is there."""
    with connection.cursor() as cursor:
        insert(cursor, _KEY, list(keys.values()))
        insert(cursor, _ROW, [(*place, *sums) for place, sums in sorted(found.items())])


__all__ = [
    "CERTAINTIES",
    "COUNTS",
    "DAYS",
    "DIMENSIONS",
    "FIRST",
    "FIRST_BOUNDS",
    "GRAINS",
    "HOUR",
    "HOURS",
    "MONTHS",
    "NULLABLE",
    "OUTCOMES",
    "SUMS",
    "Face",
    "Found",
    "Keys",
    "Rollup",
    "RollupKey",
    "RollupState",
    "Sums",
    "add",
    "begin",
    "counted",
    "fold",
    "gather",
    "insert",
    "rows_of",
    "spans",
    "write",
    "zone_name",
]
