"""What a person does with conversations: rename, delete and bring back, read, leave a draft."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from chat.actions.recording import record
from chat.actions.refusals import Refused
from chat.actions.sharing import close_of
from chat.actions.stopping import stop
from chat.actions.text import checked_title
from chat.models import Conversation, Draft
from chat.protocol import frames
from chat.threads import write_transaction
from chat.turns import items, runtime
from chat.turns.hub import feed_topic


def _announce(user: Any, kind: str, conversation: Conversation) -> None:
    running = conversation.messages.running().exists()
    frame = frames.feed(kind, dict(items.feed_entry(conversation, running=running)))
    transaction.on_commit(lambda: runtime.publish(feed_topic(user.pk), 0, frame))


def _visible(user: Any, public_id: str) -> Conversation:
    row = Conversation.objects.visible_to(user).select_for_update().named(public_id).first()
    if row is None:
        raise Refused("not_found")
    return row


def rename(user: Any, *, conversation: str, title: str) -> Conversation:
    """Give a conversation another title. Raises Refused."""
    title = checked_title(title)
    with write_transaction():
        row = _visible(user, conversation)
        row.title = title
        row.save(update_fields=["title"])
        _announce(user, "renamed", row)
    return row


def delete(user: Any, *, conversation: str) -> Conversation:
    """Take a conversation out of every view; its answer is stopped, its ledger entries stay.

    `restore` brings it back until it is purged. Raises Refused.
    """
    stop(user, conversation=conversation)
    with write_transaction():
        row = _visible(user, conversation)
        close_of(user, row)
        row.deleted_at = timezone.now()
        row.save(update_fields=["deleted_at"])
        record("conversation.deleted", f"conversation:{row.public_id}", actor=user)
        _announce(user, "deleted", row)
    return row


def restore(user: Any, *, conversation: str) -> Conversation:
    """Bring a deleted conversation back. Raises Refused."""
    with write_transaction():
        deleted = Conversation.objects.deleted_by(user).select_for_update()
        row = deleted.named(conversation).first()
        if row is None:
            raise Refused("not_found")
        row.deleted_at = None
        row.save(update_fields=["deleted_at"])
        record("conversation.restored", f"conversation:{row.public_id}", actor=user)
        _announce(user, "restored", row)
    return row


def mark_read(user: Any, conversation: Conversation) -> None:
    """The person has it before the eyes."""
    if not conversation.unread:
        return
    changed = (
        Conversation.objects.visible_to(user).filter(pk=conversation.pk, unread=True).update(unread=False)
    )
    if changed:
        conversation.unread = False
        _announce(user, "read", conversation)


def save_draft(user: Any, *, conversation: str | None, text: str) -> None:
    """Keep unsent text; the empty text removes it. Raises Refused."""
    row = None
    if conversation is not None:
        row = Conversation.objects.visible_to(user).named(conversation).first()
        if row is None:
            raise Refused("not_found")
    text = text.replace("\x00", "").encode(errors="replace").decode()[:300_000]
    with write_transaction():
        if text.strip():
            # Two tabs may both make the first one: this survives that.
            Draft.objects.update_or_create(user=user, conversation=row, defaults={"text": text})
        else:
            Draft.objects.filter(user=user, conversation=row).delete()
