"""The ledger: one row per upstream call, written in the transaction that ends it, never changed.

It names people, teams, agents and conversations as text and numbers, without foreign keys, because
it outlives all of them. NULL is "not reported" and never 0. Each row carries the digest of the one
before; triggers refuse UPDATE and DELETE. chat/audit/ alone adds rows up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from chat.models import adding, rollups
from chat.models.execution import Statement, change_all, fetch
from chat.models.prices import Prices, Value
from chat.models.teams import teams_of

#: PostgreSQL's name for the lock that puts writers of the chain in a row; any constant does.
CHAIN_LOCK = 7305804402

#: What a digest covers, in this order: every column but the digest itself.
DIGESTED: Final = (
    "id", "public_id", "user_id", "username", "team_id", "team", "agent_id", "agent_name", "provider",
    "model", "purpose", "conversation_id", "message_id", "retry_of", "user_tokens", "enrichment_tokens",
    "output_tokens", "cached_tokens", "reasoning_tokens", "raw_usage", "certainty", "outcome",
    "error_code", "upstream_id", "started_at", "ended_at", "first_delta_ms", "duration_ms", "price_id",
    "price_user", "price_enrichment", "price_output", "price_cached", "price_reasoning", "currency",
    "amount", "previous",
)  # fmt: skip

#: One statement for all that an append must know: each costs 0.1 ms of CPU, most of it the driver's.
_HEAD = """
SELECT l.id, l.digest, s.zone, s.edition, s.closed, t.team_id, t.name, p.*
FROM (SELECT 1 AS one) o
LEFT JOIN (SELECT id, digest FROM chat_ledgerentry ORDER BY id DESC LIMIT 1) l ON true
LEFT JOIN (SELECT zone, edition, closed FROM chat_rollupstate WHERE id = 1) s ON true
LEFT JOIN (SELECT m.team_id, g.name FROM chat_membership m JOIN auth_group g ON g.id = m.team_id
           WHERE m.user_id = {user}) t ON true
LEFT JOIN (SELECT * FROM chat_price ORDER BY id DESC LIMIT 1) p ON true
"""


_HEAD_OF_SQLITE = _HEAD.format(user="%s")
#: By hand: the ORM takes several times as long for rows of this width. PostgreSQL takes all rows as one
#: value, because its driver takes long for each.
_COLUMNS: Final = (*DIGESTED, "digest")
_INSERT: Final = (
    f"INSERT INTO chat_ledgerentry ({', '.join(_COLUMNS)})"  # noqa: S608 (names of our own)
    f" VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
)
_INSERT_ALL: Final = (
    "INSERT INTO chat_ledgerentry SELECT r.* FROM json_populate_recordset(NULL::chat_ledgerentry, %s) r"
)


def digest_of(values: Sequence[Any]) -> str:
    """SHA-256 over one spelling of a row's values (see DIGESTED), 64 hexadecimal digits."""
    return _digest(_spelled(values))


def _spelled(values: Sequence[Any]) -> list[Any]:
    return [v.astimezone(UTC).isoformat() if v.__class__ is datetime else v for v in values]


def _digest(spelled: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(spelled)).hexdigest()


def _inserts(entries: Sequence[LedgerEntry], spelled: Sequence[list[Any]]) -> list[Statement]:
    """What writes entries; `spelled`: their values as they were digested."""
    if connection.vendor == "postgresql":
        rows = zip(entries, spelled, strict=True)
        named = [dict(zip(_COLUMNS, (*values, entry.digest), strict=True)) for entry, values in rows]
        return [(_INSERT_ALL, [orjson.dumps(named).decode()])]
    adapt = connection.ops.adapt_datetimefield_value
    return [
        (_INSERT, [adapt(v) if v.__class__ is datetime else v for v in (*entry.values(), entry.digest)])
        for entry in entries
    ]


def lock_chain() -> None:
    """Have all others who write the ledger wait until this transaction ends; SQLite has one writer."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])


def _head(user: int) -> list[Any]:
    """The last row's number and digest, the roll-ups' zone, edition and closed days, key and name of a
    person's team, and the newest price's row or None; from behind the lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # the second sees all from before the lock
            cursor.execute(f"SELECT pg_advisory_xact_lock({CHAIN_LOCK}); {_HEAD.format(user=int(user))}")
            cursor.nextset()
            row = cursor.fetchone()
    else:
        row = fetch(_HEAD_OF_SQLITE, [user]) or ()
    return [*row[:7], row[7:] if row[7] is not None else None]


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def append(self, entries: Sequence[LedgerEntry]) -> None:
        """Add entries to the end of the chain, with the team and the price of now, and add them to the
        roll-ups. Inside a transaction that ends soon: on PostgreSQL the others wait for it."""
        if not entries:
            return
        users = {entry.user_id for entry in entries if entry.user_id}
        number, previous, zone, edition, closed, *team, newest = _head(max(users, default=0))
        teams = teams_of(users) if len(users) > 1 else {}
        if len(users) == 1 and team[0] is not None:
            teams = {next(iter(users)): (team[0], team[1])}
        prices = Prices.after(newest)
        spelled = []
        for place, entry in enumerate(entries, (number or 0) + 1):
            entry.id, entry.previous = place, previous or ""
            entry.team_id, entry.team = teams.get(entry.user_id, (None, ""))
            entry.take_price(prices.value_of(entry))
            spelled.append(_spelled(entry.values()))
            previous = entry.digest = _digest(spelled[-1])
        if zone is None:
            state = rollups.begin(ready=number is None)
            zone, edition, closed = state.zone, state.edition, state.closed
        change_all(_inserts(entries, spelled) + adding.statements(entries, zone, edition, closed))

    def first_broken(self, after: int = 0, previous: str | None = None) -> int | None:
        """The number of the first row whose digest, or whose link to the one before, does not hold;
        None when all do. `after` and `previous` begin behind a row that is known to be right."""
        previous = previous or ""
        rows = self.filter(pk__gt=after).order_by("pk").values_list(*DIGESTED, "digest")
        for *values, digest in rows.iterator(chunk_size=5000):
            if values[-1] != previous or digest_of(values) != digest:
                return int(values[0])
            previous = digest
        return None


class LedgerEntry(models.Model):
    """What one upstream call used, in the upstream's own words, and what it was worth as of then.

    Tokens are counts, `cached_tokens` a part of the user's and `reasoning_tokens` of the output's.
    `price_*` are millionths of a currency unit for a million tokens, `amount` is in thousand-millionths
    (10**-9) of a unit; NULL where no price held or nothing is known of the tokens. `raw_usage` is JSON
    text as it came. `retry_of` is the public id of the entry that this call repeats; of an answer that is
    tried again, that of the older answer.
    """

    class Certainty(models.TextChoices):
        REPORTED = "reported", _("reported")
        ESTIMATED = "estimated", _("estimated")
        UNKNOWN = "unknown", _("not reported")

    class Purpose(models.TextChoices):
        ANSWER = "answer", _("answer")
        AGAIN = "again", _("answer tried again")
        CONTINUED = "continued", _("answer continued")
        TITLE = "title", _("title")
        COMPARED = "compared", _("comparison")
        COMMAND = "command", _("command")
        BATCH = "batch", _("batch")
        TEST = "test", _("test of an agent")
        API = "api", _("API")

    id = models.BigIntegerField(_("number"), primary_key=True, editable=False)
    public_id = models.CharField(max_length=26, unique=True, editable=False)
    user_id = models.BigIntegerField(null=True)
    username = models.CharField(_("person"), max_length=150)
    team_id = models.BigIntegerField(null=True)
    team = models.CharField(_("team"), max_length=150, blank=True, default="")
    agent_id = models.BigIntegerField(null=True)
    agent_name = models.CharField(_("agent"), max_length=80)
    provider = models.CharField(_("provider"), max_length=120)
    model = models.CharField(_("model"), max_length=120, blank=True, default="")
    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose.choices, default=Purpose.ANSWER)
    conversation_id = models.CharField(_("conversation"), max_length=26)
    message_id = models.CharField(_("message"), max_length=26)
    retry_of = models.CharField(_("repeats"), max_length=26, blank=True, default="")
    user_tokens = models.BigIntegerField(_("user tokens"), null=True)
    enrichment_tokens = models.BigIntegerField(_("enrichment tokens"), null=True)
    output_tokens = models.BigIntegerField(_("output tokens"), null=True)
    cached_tokens = models.BigIntegerField(_("cached tokens"), null=True)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), null=True)
    raw_usage = models.TextField(_("as reported"), null=True)
    certainty = models.CharField(_("certainty"), max_length=9, choices=Certainty.choices)
    outcome = models.CharField(_("outcome"), max_length=11)
    error_code = models.CharField(_("error"), max_length=32, blank=True, default="")
    upstream_id = models.CharField(_("upstream id"), max_length=120, blank=True, default="")
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"))
    first_delta_ms = models.PositiveIntegerField(_("first delta, ms"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration, ms"))
    price_id = models.BigIntegerField(_("price"), null=True)
    price_user = models.BigIntegerField(null=True)
    price_enrichment = models.BigIntegerField(null=True)
    price_output = models.BigIntegerField(null=True)
    price_cached = models.BigIntegerField(null=True)
    price_reasoning = models.BigIntegerField(null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True, default="")
    amount = models.BigIntegerField(_("amount"), null=True)
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(_("digest"), max_length=64)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("ended_at", "user_id"), name="ledger_day_person"),
            models.Index(fields=("user_id", "ended_at"), name="ledger_person"),
            models.Index(fields=("agent_id", "ended_at"), name="ledger_agent"),
            models.Index(fields=("conversation_id", "message_id"), name="ledger_conversation"),
            models.Index(
                fields=("ended_at",), condition=~models.Q(certainty="reported"), name="ledger_unreported"
            ),
            models.Index(
                fields=("ended_at",), condition=~models.Q(outcome="completed"), name="ledger_incomplete"
            ),
        )
        verbose_name = _("upstream call")
        verbose_name_plural = _("token ledger")

    def __str__(self) -> str:
        return self.public_id

    def values(self) -> list[Any]:
        """What its digest covers."""
        return [getattr(self, name) for name in DIGESTED]

    def computed(self) -> str:
        """The digest that this row must have."""
        return digest_of(self.values())

    def take_price(self, value: Value) -> None:
        """Keep the price as of now and what the call is worth by it."""
        self.price_id, self.currency, self.amount = value.price_id, value.currency, value.amount
        self.price_user, self.price_enrichment, self.price_output = value.parts[:3]
        self.price_cached, self.price_reasoning = value.parts[3:]


#: What is not known before an entry is appended.
_LATER: Final = frozenset(("id", "previous", "team_id", "team", "price_id", "currency", "amount"))


class PendingCall(models.Model):
    """A call that is still read to its end after its answer was stopped. `entries` is what goes into the
    ledger if the process that reads it dies: our estimate."""

    message_id = models.CharField(max_length=26, unique=True)
    owner = models.CharField(max_length=26)
    entries = models.JSONField()

    def __str__(self) -> str:
        return f"pending {self.message_id}"

    @classmethod
    def of(cls, message_id: str, owner: str, entries: Sequence[LedgerEntry]) -> PendingCall:
        """Entries put by. Not saved."""
        names = [name for name in DIGESTED if name not in _LATER and not name.startswith("price_")]
        kept = [{name: _kept(getattr(entry, name)) for name in names} for entry in entries]
        return cls(message_id=message_id, owner=owner, entries=kept)

    def taken_up(self) -> list[LedgerEntry]:
        """The entries, to be appended."""
        moments = ("started_at", "ended_at")
        return [
            LedgerEntry(**{**kept, **{name: datetime.fromisoformat(kept[name]) for name in moments}})
            for kept in self.entries
        ]


def _kept(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
