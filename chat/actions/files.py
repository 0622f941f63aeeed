"""What a person does with files: announce, send slice by slice, remove, hand on again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any
from unicodedata import category

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.utils import timezone

from chat.actions.beginning import config_of
from chat.actions.recording import record
from chat.actions.refusals import Refused
from chat.actions.text import checked_key
from chat.agents import AgentError
from chat.extract import kinds
from chat.files import checking, handing, pools, spool
from chat.files.taking import Taking, taking
from chat.models import Agent, ContextFile, Conversation, FileBytes, FileState, Handing, new_id
from chat.threads import write_transaction

#: Bytes of one slice.
SLICE = 4 * 1024 * 1024
#: PostgreSQL's name for the lock under which room is given away; any constant does.
ROOM_LOCK = 7305804402
_SHA256 = re.compile("[0-9a-f]{64}")
_COMING = (FileState.UPLOADING, FileState.CHECKING)


@dataclass(frozen=True, slots=True)
class Announced:
    """What a page says of a file before it sends it. `size` in bytes, `sha256` "" when it is not known."""

    name: str
    size: int
    type: str = ""
    sha256: str = ""
    agent: str = ""
    conversation: str | None = None

    @property
    def fingerprint(self) -> str:
        fields = [self.name, self.size, self.type, self.sha256, self.agent, self.conversation]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def clean_name(name: str) -> str:
    """The last part of a path, without characters that steer, hide or reverse; "" when nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(c for c in last if category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    shown = " ".join(shown.split()).strip(". ")
    stem, dot, end = shown.rpartition(".")
    return f"{stem[: 199 - len(end)]}.{end}" if dot and len(end) < 20 else shown[:200]


def announce(user: Any, given: Announced, *, key: str) -> tuple[ContextFile, bool]:
    """Make room for a file: its row, and whether `key` had made it before. Raises Refused."""
    key = checked_key(key) or new_id()
    known = _known(user, key, given)
    if known is not None:
        return known, True
    agent, taken = _recipient(user, given)
    name = _checked(given, taken)
    kind = kinds.by_name(name)
    now = timezone.now()
    try:
        with write_transaction():
            _check_room(user, given.size)
            row = ContextFile.objects.create(
                owner=user, agent=agent, key=key, fingerprint=given.fingerprint, name=name,
                claimed="".join(c for c in given.type[:100] if c.isprintable()),
                type=kind.type, kind=kind.kind, size=given.size, sha256=given.sha256,
                created_at=now, changed_at=now,
            )  # fmt: skip
    except IntegrityError:
        known = _known(user, key, given)
        if known is None:
            raise
        return known, True
    return row, False


def _known(user: Any, key: str, given: Announced) -> ContextFile | None:
    row = ContextFile.objects.filter(owner=user, key=key).first()
    if row is not None and row.fingerprint != given.fingerprint:
        raise Refused("key_reused")
    return row


def _recipient(user: Any, given: Announced) -> tuple[Agent, Taking]:
    if given.conversation and not Conversation.objects.visible_to(user).named(given.conversation).exists():
        raise Refused("not_found")
    agent = Agent.objects.visible_to(user).named(given.agent).first()
    if agent is None:
        raise Refused("agent_unusable")
    taken = taking(agent)
    if not taken.takes:
        raise Refused("files_not_taken")
    return agent, taken


def _checked(given: Announced, taken: Taking) -> str:
    name = clean_name(given.name)
    if not name:
        raise Refused("file_name_invalid")
    if given.size == 0:
        raise Refused("file_empty")
    if given.size > (taken.max_bytes or 0):
        raise Refused("file_too_large", limit=taken.max_bytes or 0, size=given.size)
    if not taken.takes_kind(name, kinds.by_name(name).kind):
        raise Refused("file_type_not_taken", name=name)
    if given.sha256 and not _SHA256.fullmatch(given.sha256):
        raise Refused("bad_request")
    return name


def _check_room(user: Any, size: int) -> None:
    """Inside the transaction that takes the room: announcements wait for each other here."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROOM_LOCK])
    mine = ContextFile.objects.filter(owner=user)
    if (
        mine.filter(conversation=None, state__in=(*_COMING, FileState.READY)).count()
        >= settings.LIMIT_FILES_UNSENT
    ):
        raise Refused("too_many_unsent_files", limit=settings.LIMIT_FILES_UNSENT)
    coming = ContextFile.objects.filter(state__in=_COMING, stored=None)
    kept, of_person = FileBytes.objects.all(), settings.LIMIT_FILES_OF_PERSON
    for files, bytes_, limit, code in (
        (coming.filter(owner=user), kept.filter(owner_pk=user.pk), of_person, "files_of_person_full"),
        (coming, kept, settings.LIMIT_FILES_IN_ALL, "files_full"),
    ):
        if _sum(files) + _sum(bytes_) + size > limit:
            raise Refused(code, limit=limit)


def _sum(rows: Any) -> int:
    return rows.aggregate(total=Sum("size"))["total"] or 0


def find(user: Any, public_id: str) -> ContextFile:
    """A file that this person may see. Raises Refused."""
    row = (
        ContextFile.objects.visible_to(user).select_related("stored", "conversation").named(public_id).first()
    )
    if row is None:
        raise Refused("not_found")
    if row.state == FileState.CHECKING:
        checking.give_up(pk=row.pk)
    return row


def take_slice(
    user: Any, *, file: str, offset: int, body: IO[bytes], length: int, digest: bytes | None,
    whole: Callable[[int], object] = checking.begin,
) -> ContextFile:  # fmt: skip
    """Write one slice of `length` bytes down; after the last one `whole` is called with the row's key, which
    begins the file's check. Raises Refused.

    `digest` is the SHA-256 that the sender says it has, None when it cannot say.
    """
    row = find(user, file)
    if row.owner_id != user.pk:
        raise Refused("not_found")
    if not 0 < length <= SLICE:
        raise Refused("slice_too_large", limit=SLICE)
    if row.state != FileState.UPLOADING:
        return _after_the_end(row, offset, length)
    try:
        with spool.locked(file) as part:
            row.refresh_from_db(fields=["offset", "state"])
            if row.state != FileState.UPLOADING:
                return _after_the_end(row, offset, length)
            if offset + length <= row.offset:
                return row
            if offset != row.offset or offset + length > row.size:
                raise Refused("wrong_offset", offset=row.offset)
            written, found = spool.write(part, offset, body, length)
            if written != length or (digest is not None and digest != found):
                raise Refused("slice_damaged", offset=row.offset)
            _advance(row, offset + length, whole)
    except ContextFile.DoesNotExist:
        spool.remove(file)
        raise Refused("not_found") from None
    except OSError as error:
        _forget(row)
        raise Refused("storage_failed") from error
    return row


def _after_the_end(row: ContextFile, offset: int, length: int) -> ContextFile:
    if row.state in (FileState.CHECKING, FileState.READY) and offset + length <= row.size:
        return row
    raise Refused("file_over")


def _advance(row: ContextFile, offset: int, whole: Callable[[int], object]) -> None:
    row.offset, row.changed_at = offset, timezone.now()
    row.state = FileState.CHECKING if offset == row.size else FileState.UPLOADING
    with write_transaction():
        ours = ContextFile.objects.filter(pk=row.pk, state=FileState.UPLOADING)
        ours.update(offset=row.offset, changed_at=row.changed_at, state=row.state)
        if row.state == FileState.CHECKING:
            transaction.on_commit(lambda: whole(row.pk))


def _forget(row: ContextFile) -> None:
    """The disk is full: what has come makes room again."""
    with write_transaction():
        ContextFile.objects.filter(pk=row.pk).update(state=FileState.REFUSED, code="storage_failed")
    spool.remove(row.public_id)


def take_whole(user: Any, given: Announced, body: IO[bytes], *, key: str) -> ContextFile:
    """A file that came in one piece with a form; waits until it is checked. Raises Refused."""
    row, known = announce(user, given, key=key)
    if not known:
        for offset in range(0, given.size, SLICE):
            length = min(SLICE, given.size - offset)
            row = take_slice(
                user, file=row.public_id, offset=offset, body=body, length=length, digest=None,
                whole=checking.check,
            )  # fmt: skip
    row = find(user, row.public_id)
    if row.state == FileState.REFUSED:
        raise Refused(row.code, file=row.public_id, name=row.name)
    return row


def agent_of(user: Any, conversation: str | None) -> str:
    """The id of the agent that a question without one goes to; "" when there is none."""
    agents = Agent.objects.visible_to(user)
    row = Conversation.objects.visible_to(user).named(conversation or "").select_related("agent").first()
    agent = row.agent if row and row.agent else agents.first()
    return agent.public_id if agent else ""


def remove(user: Any, *, file: str) -> None:
    """Take a file away: an unsent one altogether, of a sent one the name stays. Raises Refused."""
    pk = find(user, file).pk
    with write_transaction():
        # Held and read again: a message that is being sent may have taken it along meanwhile.
        row = ContextFile.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            return
        if row.conversation_id is None:
            row.delete()
        else:
            row.handings.all().delete()
            ContextFile.objects.filter(pk=pk).update(state=FileState.GONE, stored=None)
            if row.state != FileState.GONE:
                told = {"conversation": str(row.conversation)}
                record("file.deleted", f"file:{row.public_id}", told, actor=user)
        checking.release_later({row.stored_id} if row.stored_id else set())
    spool.remove(file)


def renew(user: Any, *, file: str) -> ContextFile:
    """Have a file handed to its conversation's agent again, aside. Raises Refused."""
    row = find(user, file)
    agent = row.conversation.agent if row.conversation else None
    if row.state != FileState.READY or agent is None or not agent.enabled or not taking(agent).takes:
        raise Refused("cannot_renew")
    if agent.kind == Agent.Kind.STACKSPOT:
        to = handing.Recipient(agent.pk, config_of(agent))
        with write_transaction():
            begun = {
                "state": Handing.State.RENEWING,
                "at": timezone.now(),
                "upload_id": "",
                "expires_at": None,
            }
            Handing.objects.update_or_create(file=row, agent=agent, defaults=begun)
            transaction.on_commit(lambda: pools.submit(pools.HANDS, _renew, row, to))
    return row


def _renew(row: ContextFile, to: handing.Recipient) -> None:
    try:
        handing.hand_again(row, to)
    except AgentError:
        return  # its row says so


def in_conversation(user: Any, conversation: str) -> Sequence[ContextFile]:
    """The files of a conversation, oldest first. Raises Refused."""
    row = Conversation.objects.visible_to(user).named(conversation).first()
    if row is None:
        raise Refused("not_found")
    return list(row.files.select_related("stored", "conversation").order_by("pk"))
