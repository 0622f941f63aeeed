"""Receipts of sends, so that sending twice makes one question and one answer; and what a send looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, models

from chat.models.execution import fetch
from chat.models.ids import may_be_id
from chat.models.messages import Message


class SendReceipt(models.Model):
    """What an Idempotency-Key of this person led to. Kept for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    question = models.ForeignKey(Message, models.CASCADE, related_name="+")
    answer = models.ForeignKey(Message, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "key"), name="one_send_a_key"),)

    def __str__(self) -> str:
        return f"send {self.pk}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a key led to."""

    created_at: datetime
    fingerprint: str
    question_pk: int
    answer: str


@dataclass(frozen=True, slots=True)
class Before:
    """What a person did before a send. `over` is when the oldest of the last so many questions was asked;
    None when there were fewer. `draft` is the draft that the send takes the place of."""

    running: int
    over: datetime | None
    draft: int | None
    receipt: Receipt | None


#: A person's running answers are looked for in what they used or deleted since then: of all that ran
#: here, 150 at a time made that look a third of a send. A turn is over by STKWEB_TURN_SECONDS after its
#: conversation was last used; this is what it may wait for besides.
RECENT = timedelta(hours=1)

_RUNNING = """
        SELECT count(*) FROM chat_conversation c CROSS JOIN chat_message m
        WHERE c.owner_id = %s AND {which} AND m.conversation_id = c.id AND m.state IN ('queued', 'streaming')
"""

# One statement: built by the ORM as four, this was a quarter of a send's CPU. All of it is written here.
_BEFORE = f"""
SELECT ({_RUNNING.format(which="c.deleted_at IS NULL AND c.updated_at > %s")}),
       ({_RUNNING.format(which="c.deleted_at > %s")}),
       (SELECT created_at FROM chat_message WHERE author_id = %s AND role = 'user' AND created_at > %s
        ORDER BY created_at DESC LIMIT 1 OFFSET %s),
       (SELECT d.id FROM chat_draft d LEFT JOIN chat_conversation c ON c.id = d.conversation_id
        WHERE d.user_id = %s AND coalesce(c.public_id, '') = %s),
       r.created_at, r.fingerprint, r.question_id, a.public_id
FROM (SELECT 1) AS one
LEFT JOIN chat_sendreceipt r ON r.user_id = %s AND r.key = %s
LEFT JOIN chat_message a ON a.id = r.answer_id
"""  # noqa: S608


def before_send(user_pk: int, key: str, conversation: str | None, since: datetime, sends: int) -> Before:
    """What counts for a send under `key` into `conversation` (None for a new one). `over` looks at the last
    `sends` questions after `since`."""
    thread_id = conversation if conversation and may_be_id(conversation) else ""
    adapt = connections[DEFAULT_DB_ALIAS].ops.adapt_datetimefield_value
    moment, recent = adapt(since), adapt(since - RECENT - timedelta(seconds=settings.LIMIT_TURN))
    found = fetch(
        _BEFORE,
        [user_pk, recent, user_pk, recent, user_pk, moment, sends - 1, user_pk, thread_id, user_pk, key],
    )
    assert found is not None
    running, leaving, over, draft, created_at, fingerprint, question_pk, answer = found
    receipt = fingerprint and Receipt(_moment(created_at), fingerprint, question_pk, answer)
    return Before(running + leaving, over and _moment(over), draft, receipt or None)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value  # SQLite keeps text
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
