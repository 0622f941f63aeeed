"""Opening a share link, and going on with a copy of it. An opening changes the counter and nothing else.

Every refusal looks the same from outside and takes the same way through the database: what is
unknown, expired, used up, revoked, deleted, forbidden by now, or for somebody else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db.models import Exists, F, OuterRef, Subquery
from django.utils import timezone

from chat import limits
from chat.actions.refusals import Refused
from chat.actions.share_openings import Opening, note
from chat.actions.sharing import ends_at, live_view
from chat.models import (
    Agent,
    AuditEvent,
    ContextFile,
    Conversation,
    FileState,
    Message,
    Share,
    ShareOpening,
    ShareVersion,
    State,
)
from chat.models.shares import ShareQuerySet, token_hash
from chat.models.statements import find as find_row
from chat.models.statements import first
from chat.sharing.throttle import Throttle
from chat.threads import write_transaction

#: Seconds over which wrong passphrases are counted.
PASSPHRASE_WINDOW = 900.0


class PassphraseWanted(Exception):
    """`share` is there, and asks for its passphrase first. `wrong`: the one that was given is not it."""

    def __init__(self, share: Share, *, wrong: bool) -> None:
        super().__init__()
        self.share, self.wrong = share, wrong


@dataclass(frozen=True, slots=True)
class Reader:
    """Who knocks: a signed-in, active user or None, and a coarse network."""

    user: Any
    network: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a reader gets: the frozen text, or with a live link what it shows now.

    `keys` tells the messages of a live link apart; they say nothing about the rows.
    """

    share: Share
    content: dict[str, Any]
    version: int
    frozen_at: Any
    checksum: str
    keys: Sequence[str] = ()


def find(token: str, reader: Reader) -> Share | None:
    """The link of this address if this reader may open it now. One query, whatever comes of it."""
    return _admitted(first(_by_token, token_hash(token), _key(reader)), reader)


def find_again(share_pk: int, reader: Reader) -> Share | None:
    """The same for a link that was opened before; used-up openings do not end a page that is open."""
    return _admitted(first(_by_key, share_pk, _key(reader)), reader, used_up_is_over=False)


def open_link(token: str, reader: Reader, passphrase: str | None = None) -> Share | None:
    """Open a link and count it; None when there is nothing to open. Raises PassphraseWanted.

    `passphrase` is what the reader typed, None when they only followed the address.
    """
    share = find(token, reader)
    if passphrase is not None or (share is not None and share.passphrase):
        share = _with_passphrase(share, reader, passphrase)
    return share if share is not None and count(share, reader) else None


def count(share: Share, reader: Reader) -> bool:
    """Count that `reader` opens `share`, which was found just now; False when it is used up by then."""
    network = "" if reader.user else reader.network
    opening = Opening(share.pk, timezone.now(), reader.user.pk if reader.user else None, network)
    if share.max_openings is None:
        note(opening)
        return True
    return _counted(opening)


def _counted(opening: Opening) -> bool:
    """Count an opening of a link that has a number of them; False when there is none left."""
    with write_transaction():
        left = Share.objects.live(opening.at).filter(pk=opening.share)
        if not left.update(openings=F("openings") + 1, last_opened_at=opening.at):
            return False
        ShareOpening.objects.create(
            share_id=opening.share, opened_at=opening.at, reader_id=opening.reader, network=opening.network
        )
    return True


def opened(share: Share) -> Opened:
    """What `share` shows, without counting anything."""
    known: int | None = getattr(share, "version_pk", None)
    version = find_row(ShareVersion, {"id": known}) if known else share.versions.order_by("-number").first()
    assert version is not None, "a link is made with its first version"
    facts = (version.number, version.created_at, version.checksum)
    if not share.live:
        return Opened(share, json.loads(version.content), *facts)
    view = live_view(share)
    keys = [hashlib.sha256(f"{share.token_hash} {key}".encode()).hexdigest()[:16] for key in view.keys]
    return Opened(share, view.content, *facts, keys)


def over_by(share: Share) -> str:
    """Why nobody can open `share`: "revoked", "forbidden" by the administrator, "expired" or "used_up"; empty
    while it opens."""
    if share.revoked_at is not None:
        return "revoked"
    protected = bool(share.passphrase)
    if not limits.of_sharing().allows(share.audience, has_passphrase=protected, live=share.live):
        return "forbidden"
    if ends_at(share) <= timezone.now():
        return "expired"
    return "used_up" if share.max_openings is not None and share.openings >= share.max_openings else ""


def files_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The files that a frozen text names, in order."""
    return [file for message in content["messages"] for file in message.get("files", ())]


def file_of(share: Share, number: int) -> ContextFile | None:
    """The file with this number (from 1) of what `share` shows; None when there is none (any more)."""
    if "files" not in limits.of_sharing().options:
        return None
    shown = files_of(opened(share).content)
    if not 1 <= number <= len(shown):
        return None
    rows = share.conversation.files.filter(state=FileState.READY).select_related("stored")
    return rows.filter(public_id=shown[number - 1]["id"]).first()


def copy_link(user: Any, share: Share) -> Conversation:
    """A conversation of one's own with the texts of a link. Raises Refused."""
    if "copy" not in limits.of_sharing().options:
        raise Refused("not_found")
    content, now = opened(share).content, timezone.now()
    agent = Agent.objects.visible_to(user).filter(pk=share.conversation.agent_id or 0).first()
    with write_transaction():
        copy = Conversation.objects.create(
            owner=user, title=content["title"][:120], agent=agent, updated_at=now
        )
        rows = Message.objects.bulk_create(
            [
                _copied(copy, user, message, number, now)
                for number, message in enumerate(content["messages"], 1)
            ]
        )
        for above, row in zip(rows, rows[1:], strict=False):
            row.parent = above
        Message.objects.bulk_update(rows[1:], ["parent"], batch_size=200)
        copy.leaf, copy.seq = rows[-1] if rows else None, len(rows)
        copy.branch_seq = len(rows)
        copy.save(update_fields=["leaf", "seq", "branch_seq"])
        AuditEvent.objects.append(
            user, "share.copied", f"share:{share.public_id}", {"conversation": copy.public_id}
        )
    return copy


def _copied(copy: Conversation, user: Any, message: dict[str, Any], seq: int, now: Any) -> Message:
    question = message["role"] == "question"
    return Message(
        conversation=copy, role=Message.Role.USER if question else Message.Role.ASSISTANT,
        author=user if question else None, text=message["text"], reasoning=message.get("reasoning", ""),
        state=State.STOPPED if message.get("unfinished") else State.COMPLETED, seq=seq,
        agent_name=message.get("agent", ""), created_at=now, ended_at=None if question else now,
    )  # fmt: skip


def _by_token(hashed: str, user_pk: int) -> ShareQuerySet:
    return _deciding(Share.objects.filter(token_hash=hashed), user_pk)


def _by_key(share_pk: int, user_pk: int) -> ShareQuerySet:
    return _deciding(Share.objects.filter(pk=share_pk), user_pk)


def _key(reader: Reader) -> int:
    return reader.user.pk if reader.user else 0


def _deciding(rows: ShareQuerySet, user_pk: int) -> ShareQuerySet:
    """Adds `is_member`, whether that person is in one of the link's groups, `gone`, when the conversation
    was deleted, and `version_pk`, which version is shown. No row is joined in: making objects of it
    would take time that tells."""
    members = Share.groups.through.objects.filter(share_id=OuterRef("pk"), group__user=user_pk)
    versions = ShareVersion.objects.filter(share_id=OuterRef("pk")).order_by("-number")
    return rows.order_by().annotate(
        is_member=Exists(members), gone=F("conversation__deleted_at"),
        version_pk=Subquery(versions.values("pk")[:1]),
    )  # fmt: skip


def _admitted(share: Share | None, reader: Reader, *, used_up_is_over: bool = True) -> Share | None:
    if share is None or share.gone is not None:  # type: ignore[attr-defined]
        return None
    if over_by(share) not in ("", *(() if used_up_is_over else ("used_up",))):
        return None
    if share.audience == Share.Audience.ANYONE:
        return share
    if reader.user is None or (share.audience == Share.Audience.GROUPS and not share.is_member):  # type: ignore[attr-defined]
        return None
    return share


def _with_passphrase(share: Share | None, reader: Reader, passphrase: str | None) -> Share | None:
    """`share` when the passphrase is right, None when there is none to be opened (any more)."""
    wanted = share.passphrase if share is not None else ""
    key = f"{share.pk if share is not None else 0} {reader.user.pk if reader.user else reader.network}"
    over = share is not None and _wrong_passphrases().over(key)
    # One hash is computed for every passphrase that comes, so that time tells nothing.
    right = passphrase is not None and check_password(passphrase, wanted or _some_hash())
    if share is None or over:
        return None
    if not wanted or right:
        return share
    if passphrase is not None:
        _wrong_passphrases().note(key)
    raise PassphraseWanted(share, wrong=passphrase is not None)


@cache
def _wrong_passphrases() -> Throttle:
    return Throttle(settings.SHARE_PASSPHRASE_TRIES, PASSPHRASE_WINDOW)


@cache
def _some_hash() -> str:
    return make_password("nothing that anybody types")
