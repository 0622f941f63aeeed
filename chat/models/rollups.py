"""Sums of the ledger by hour, day and month: hours and days kept in the transaction that adds its rows, the
others made when their day is over.

Several faces of the same calls, each with what its readers need told apart and no more (see Face). A face
is summed by the spans that pages read of it. Hours begin with the hours of UTC, days and months with those
of one time zone, which stands in `RollupState`: a midnight may lie within an hour. Anything here can be
made again from the ledger; chat/models/adding.py adds to it, chat/audit alone reads it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from django.db import models
from django.utils import timezone

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
DAY: Final = 24 * HOUR
#: Every zone's days have begun with a quarter of an hour of UTC since 1972.
QUARTER: Final = 900
#: When days of other zones begin within an hour, as (hour, minute) of UTC: in Newfoundland, the middle of
#: Australia, Myanmar, Nepal, India and Sri Lanka, Afghanistan, Iran. What ended from the hour's beginning
#: until then has a sum; midnights of smaller places are read from the ledger's rows.
_CUTS: Final = (
    (2, 30), (3, 30), (13, 30), (14, 30), (17, 30), (18, 15), (18, 30), (19, 30), (20, 30),
)  # fmt: skip
CUTS: Final = frozenset(hour * HOUR + minute * 60 for hour, minute in _CUTS)

#: What is told apart together, as columns of DIMENSIONS. All faces tell the currency apart.
PARTS: Final = {
    "who": ("user_id", "username"), "team": ("team_id", "team"),
    "agent": ("agent_id", "agent_name", "provider", "model"), "purpose": ("purpose",),
    "end": ("outcome", "certainty"),
}  # fmt: skip


class Face(models.TextChoices):
    """What a key tells apart. The others stand in its columns as NULL or nothing."""

    GROSS = "g", "team and agent"
    PERSON = "p", "person"
    USE = "u", "team, agent and purpose"
    OUTCOME = "o", "team, agent and end"
    WISH = "w", "person and purpose"
    AGENT = "a", "person and agent"
    END = "e", "person and end"
    NOBODY = "n", "all but the person"
    BEGUN = "b", "all but the end"
    SHORT = "s", "all but the purpose"
    FULL = "f", "everything"


#: The parts of each face beside the team, and the spans it is summed by: hours, days, months, and what is
#: before a cut in an hour. A day of a busy year has some 30 sums of the first and 5,000 of the last: whoever
#: reads takes the first that tells enough.
FACES: Final = {
    "g": (("agent",), "hdc"), "p": (("who",), "hdmc"), "u": (("agent", "purpose"), "hdc"),
    "o": (("agent", "end"), "hdc"), "w": (("who", "purpose"), "dm"), "a": (("who", "agent"), "dm"),
    "e": (("who", "end"), "dm"), "n": (("agent", "purpose", "end"), "d"),
    "b": (("who", "agent", "purpose"), "dm"), "s": (("who", "agent", "end"), "dm"),
    "f": (("who", "agent", "purpose", "end"), "hdmc"),
}  # fmt: skip
#: The columns that a face tells apart.
TOLD: Final = {
    face: tuple(
        name for name in DIMENSIONS
        if name in {"currency", *PARTS["team"], *(column for part in parts for column in PARTS[part])}
    )
    for face, (parts, _spans) in FACES.items()
}  # fmt: skip
#: Every grain there is: a letter for the face, a letter for the span.
GRAINS: Final = tuple(face + span for face, (_parts, spans) in FACES.items() for span in spans)
HOURS, DAYS, MONTHS, BEFORE_CUTS = (tuple(grain for grain in GRAINS if grain[1] == span) for span in "hdmc")
#: The columns in which a full key names the same in the other faces.
IN_FACE: Final = {face: f"face_{face}" for face in FACES if face != "f"}


def face_of(told: Iterable[str], spans: str) -> str:
    """The face with the fewest sums that tells these columns apart and is summed by all these spans."""
    wanted = set(told)
    return next(
        face for face, (_parts, has) in FACES.items() if wanted <= {*TOLD[face]} and {*spans} <= {*has}
    )


# -- time ------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def day_and_month(quarter: int, zone: str) -> tuple[int, int]:
    """When the day and the month of `zone` that hold a quarter of an hour begin; all in seconds since
    1970."""
    local = datetime.fromtimestamp(quarter, ZoneInfo(zone))
    day = datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
    return int(day.timestamp()), int(day.replace(day=1).timestamp())


def month_of(closed: int, zone: str) -> int:
    """When the month begins before which all have sums, where days are closed before a second."""
    return day_and_month(closed - closed % QUARTER, zone)[1]


def cuts_between(start: int, end: int) -> list[int]:
    """The cuts after `start`, up to and with `end`."""
    first = start - start % QUARTER + QUARTER
    return [at for at in range(first, end + 1, QUARTER) if at % DAY in CUTS]


def cuts_after(quarter: int) -> list[int]:
    """The cuts that a quarter of an hour and the beginning of its hour are before."""
    return cuts_between(quarter, quarter - quarter % HOUR + HOUR - QUARTER)


# -- rows ------------------------------------------------------------------------------------------


class RollupKey(models.Model):
    """One combination of what a face tells apart. `id` follows from the others (see `adding.key_of`); of a
    full key, `face_*` are the ids of the same in the other faces."""

    id = models.BigIntegerField(primary_key=True)
    face = models.CharField(max_length=1, choices=Face.choices)
    face_g = models.BigIntegerField(null=True)
    face_p = models.BigIntegerField(null=True)
    face_u = models.BigIntegerField(null=True)
    face_o = models.BigIntegerField(null=True)
    face_w = models.BigIntegerField(null=True)
    face_a = models.BigIntegerField(null=True)
    face_e = models.BigIntegerField(null=True)
    face_n = models.BigIntegerField(null=True)
    face_b = models.BigIntegerField(null=True)
    face_s = models.BigIntegerField(null=True)
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


def new_edition() -> int:
    """A number that no edition had."""
    return secrets.randbits(62)


class RollupState(models.Model):
    """The one row that says in which time zone days and months are cut, and whether they are all there:
    while they are not, sums are read from hours.

    `closed` is when a day begins, in seconds since 1970: what is before cuts until then has its sums, and
    so has every month that ended by then. Whoever enters a call of an earlier day adds to these too; those
    of later days are made when their day is closed. `edition` is another number whenever keys were taken
    away, so that processes may remember which there are.
    """

    zone = models.CharField(max_length=64)
    ready = models.BooleanField()
    closed = models.BigIntegerField(default=0)
    edition = models.BigIntegerField(default=new_edition)

    def __str__(self) -> str:
        return self.zone


def begin(*, ready: bool) -> RollupState:
    """Cut days in the configured zone from now on, and close those before today. `ready`: nothing was added
    up before."""
    closed = today(zone_name())
    fields = {"zone": zone_name(), "ready": ready, "closed": closed, "edition": new_edition()}
    return RollupState.objects.update_or_create(pk=1, defaults=fields)[0]


def zone_name() -> str:
    """The configured time zone."""
    return str(timezone.get_default_timezone())


def today(zone: str) -> int:
    """When today begins in `zone`, in seconds since 1970."""
    now = int(timezone.now().timestamp())
    return day_and_month(now - now % QUARTER, zone)[0]


__all__ = [
    "BEFORE_CUTS",
    "CERTAINTIES",
    "COUNTS",
    "CUTS",
    "DAY",
    "DAYS",
    "DIMENSIONS",
    "FACES",
    "FIRST",
    "FIRST_BOUNDS",
    "GRAINS",
    "HOUR",
    "HOURS",
    "IN_FACE",
    "MONTHS",
    "NULLABLE",
    "OUTCOMES",
    "QUARTER",
    "SUMS",
    "TOLD",
    "Face",
    "Rollup",
    "RollupKey",
    "RollupState",
    "begin",
    "cuts_after",
    "cuts_between",
    "day_and_month",
    "face_of",
    "month_of",
    "new_edition",
    "today",
    "zone_name",
]
