"""Receipts of sends, so that sending twice makes one question and one answer; and what a send looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, models

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


# One statement: built by the ORM as four, this was a quarter of a send's CPU.
_BEFORE = """
SELECT (SELECT count(*) FROM chat_message m JOIN chat_conversation c ON c.id = m.conversation_id
        WHERE m.owner <> '' AND m.state IN ('queued', 'streaming') AND c.owner_id = %s),
       (SELECT created_at FROM chat_message WHERE author_id = %s AND role = 'user' AND created_at > %s
        ORDER BY created_at DESC LIMIT 1 OFFSET %s),
       (SELECT d.id FROM chat_draft d LEFT JOIN chat_conversation c ON c.id = d.conversation_id
        WHERE d.user_id = %s AND coalesce(c.public_id, '') = %s),
       r.created_at, r.fingerprint, r.question_id, a.public_id
FROM (SELECT 1) AS one
LEFT JOIN chat_sendreceipt r ON r.user_id = %s AND r.key = %s
LEFT JOIN chat_message a ON a.id = r.answer_id
"""


def before_send(user_pk: int, key: str, conversation: str | None, since: datetime, sends: int) -> Before:
    """What counts for a send under `key` into `conversation` (None for a new one). `over` looks at the last
    `sends` questions after `since`."""
    thread_id = conversation if conversation and may_be_id(conversation) else ""
    moment = connection.ops.adapt_datetimefield_value(since)
    found = fetch(_BEFORE, [user_pk, user_pk, moment, sends - 1, user_pk, thread_id, user_pk, key])
    assert found is not None
    running, over, draft, created_at, fingerprint, question_pk, answer = found
    receipt = fingerprint and Receipt(_moment(created_at), fingerprint, question_pk, answer)
    return Before(running, over and _moment(over), draft, receipt or None)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value  # SQLite keeps text
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
