"""Reading somebody's conversation: for a reason, for a while, and its owner is told at once.

Every look is an event of the audit log, written before anything is shown. Only a reader's own, open readings
reach a conversation here; no other verb or door knows of them.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from chat.actions.recording import record
from chat.actions.refusals import Refused
from chat.models import Conversation
from chat.models.readings import Reading, may_read
from chat.protocol import frames
from chat.threads import write_transaction
from chat.turns import items, runtime
from chat.turns.hub import feed_topic

#: For how long a conversation may be opened, in hours.
HOURS = (1, 4, 24)
#: Characters of a reason; a shorter one tells its owner nothing.
REASON = (10, 500)
#: Notices of one conversation that its owner is shown, the newest.
NOTICES = 5


def begin(user: Any, *, conversation: str, reason: str, hours: int) -> Reading:
    """Open a conversation to `user`. Raises Refused, ValidationError {field: sentences}."""
    if not may_read(user):
        raise Refused("not_found")
    reason = " ".join(reason.split())
    shortest, longest = REASON
    if not shortest <= len(reason) <= longest:
        raise ValidationError({"reason": _("Say why, in at least ten characters: the person will read it.")})
    if hours not in HOURS:
        raise ValidationError({"hours": _("Choose one of the times on offer.")})
    now = timezone.now()
    with write_transaction():
        row = Conversation.objects.filter(deleted_at=None).named(conversation).select_related("owner").first()
        if row is None:
            raise ValidationError({"conversation": _("There is no conversation with this id (any more).")})
        reading = Reading.objects.create(
            conversation=row, reader=user, reader_name=user.get_username(), reason=reason, created_at=now,
            until=now + timedelta(hours=hours),
        )  # fmt: skip
        record("reading.begun", f"conversation:{row.public_id}", {
            "reading": reading.public_id, "owner": row.owner.get_username(), "reason": reason,
            "until": reading.until.isoformat(),
        }, actor=user)  # fmt: skip
        _tell(reading)
    return reading


def look(user: Any, *, reading: str) -> Reading:
    """The reading with its conversation, once the look is recorded. Raises Refused when it is not open."""
    with write_transaction():
        found = Reading.objects.visible_to(user).open().named(reading)
        row = found.select_related("conversation__owner").first()
        if row is None:
            raise Refused("not_found")
        found.update(looks=F("looks") + 1)
        target = f"conversation:{row.conversation.public_id}"
        record("reading.looked", target, {"reading": row.public_id}, actor=user)
    return row


def end(user: Any, *, reading: str) -> None:
    """End a reading before its time; one that is over stays as it is. Raises Refused."""
    with write_transaction():
        row = Reading.objects.visible_to(user).named(reading).select_related("conversation").first()
        if row is None:
            raise Refused("not_found")
        if row.over_at > timezone.now():
            Reading.objects.filter(pk=row.pk).update(ended_at=timezone.now())
            target = f"conversation:{row.conversation.public_id}"
            record("reading.ended", target, {"reading": row.public_id}, actor=user)


def notices(user: Any, conversation: Conversation) -> list[str]:
    """What the owner is told of readings of this conversation, newest first; marks them as seen."""
    rows = list(Reading.objects.filter(conversation=conversation, conversation__owner=user)[:NOTICES])
    unseen = [row.pk for row in rows if row.seen_at is None]
    if unseen:
        Reading.objects.filter(pk__in=unseen).update(seen_at=timezone.now())
    return [notice(row) for row in rows]


def unseen_notices(user: Any) -> list[tuple[str, str]]:
    """(title, public id) of a person's conversations with a reading whose notice was not seen."""
    rows = Conversation.objects.visible_to(user).filter(readings__isnull=False, readings__seen_at=None)
    return list(rows.order_by("pk").distinct().values_list("title", "public_id")[:NOTICES])


def notice(reading: Reading) -> str:
    """One reading as its owner reads it."""
    over = reading.over_at
    facts = {
        "who": reading.reader_name,
        "since": formats.date_format(timezone.localtime(reading.created_at), "SHORT_DATETIME_FORMAT"),
        "until": formats.date_format(timezone.localtime(over), "SHORT_DATETIME_FORMAT"),
        "reason": reading.reason,
    }
    if over > timezone.now():
        told = _("%(who)s (administration) may read this conversation until %(until)s. Reason: %(reason)s")
    else:
        told = _("%(who)s (administration) could read this from %(since)s to %(until)s. Reason: %(reason)s")
    return told % facts


def _tell(reading: Reading) -> None:
    """The owner's open pages show it at once, in their own language."""
    conversation = reading.conversation
    entry = items.feed_entry(conversation, running=conversation.messages.running().exists())
    told = {"who": reading.reader_name, "until": reading.until.isoformat(), "reason": reading.reason}
    frame = frames.feed("opened_to", {**entry, "reading": told})
    transaction.on_commit(partial(runtime.publish, feed_topic(conversation.owner_id), 0, frame))
