"""Making, publishing again and revoking share links. What a reader may see is decided here alone.

A link is made of exactly the text that its owner has just seen: the preview carries the checksum of
that text, and a text that has another one by now is shown again first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from chat import limits
from chat.actions.refusals import Refused
from chat.actions.share_sources import last_of, source_of
from chat.models import AuditEvent, Conversation, Share, ShareVersion
from chat.models.audit_log import canonical, checksum
from chat.models.shares import new_token, token_hash
from chat.sharing.snapshot import CHOICES, Frozen, Shown, freeze
from chat.threads import write_transaction
from chat.turns import runtime

#: Characters of a passphrase; below, ten thousand tries a day would be worth somebody's while.
PASSPHRASE_LENGTH = (8, 128)
#: Seconds between two looks for live links that have ended by themselves.
CLOSING = 5.0
#: Openings that may be asked for.
MAX_OPENINGS = 100_000


class NotShared(Exception):
    """A refusal with a code of chat/views/sharing.py: changed, forbidden, days, openings, passphrase,
    groups, empty."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Terms:
    """Who may read and how long. `passphrase` in plain text, empty for none."""

    audience: str = "colleagues"
    groups: Collection[int] = ()
    days: int = 30
    passphrase: str = ""
    max_openings: int | None = None
    live: bool = False
    embed: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be published now, and how to say so when making it."""

    frozen: Frozen
    until: str
    digest: str
    parts: list[str] = field(default_factory=list)


def topic_of(share_pk: int) -> str:
    """The hub's topic that tells open pages of a link to look whether it still is one."""
    return f"share.{share_pk}"


def preview(user: Any, *, conversation: str, shown: Shown, until: str | None = None) -> Preview:
    """What a reader would see, up to the message `until` (now: the last one). Raises Refused."""
    row = _own(user, conversation)
    return _preview(row, _allowed(shown), until)


def make(
    user: Any, *, conversation: str, until: str, digest: str, shown: Shown, terms: Terms
) -> tuple[Share, str]:
    """The new link and its token, which is known this once. Raises Refused, NotShared."""
    _check(terms)
    row = _own(user, conversation)
    shown = _allowed(shown)
    ready = _as_seen(row, shown, until, digest)
    groups = list(Group.objects.filter(pk__in=terms.groups, user=user)) if terms.groups else []
    if terms.audience == Share.Audience.GROUPS and (not groups or len(groups) != len(set(terms.groups))):
        raise NotShared("groups")
    passphrase = make_password(terms.passphrase) if terms.passphrase else ""
    token, now = new_token(), timezone.now()
    with write_transaction():
        share = Share.objects.create(
            token_hash=token_hash(token), conversation=row, owner=user, audience=terms.audience,
            passphrase=passphrase, expires_at=now + timedelta(days=terms.days), created_at=now,
            max_openings=terms.max_openings, live=terms.live, embed=terms.embed,
            choices=sorted(shown.choices), hidden=sorted(shown.hidden), shown=sorted(shown.kept or ()),
        )  # fmt: skip
        if terms.audience == Share.Audience.GROUPS:
            share.groups.set(groups)
        _add_version(user, share, ready.frozen.content, "share.made")
    return share, token


def publish(user: Any, *, share: str, until: str, digest: str, shown: Shown) -> ShareVersion:
    """The next version under the same address. Raises Refused, NotShared."""
    row = _own_share(user, share)
    shown = _allowed(shown)
    ready = _as_seen(row.conversation, shown, until, digest)
    with write_transaction():
        row = Share.objects.select_for_update(of=("self",)).get(pk=row.pk)
        if row.revoked_at is not None:
            raise Refused("not_found")
        row.choices, row.hidden = sorted(shown.choices), sorted(shown.hidden)
        row.shown = sorted(shown.kept or ())
        row.save(update_fields=["choices", "hidden", "shown"])
        version = _add_version(user, row, ready.frozen.content, "share.published")
        _ring([row])
    return version


def revoke(user: Any, *, share: str) -> Share:
    """End one link of a person's own, at once and for good. Raises Refused."""
    row = _own_share(user, share)
    end(user, [row])
    return row


def revoke_all(user: Any) -> int:
    """End all links of a person's own; returns how many there were."""
    return end(user, Share.objects.visible_to(user).filter(revoked_at=None))


def end(actor: Any, shares: Iterable[Share]) -> int:
    """End these links; `actor` is their owner or an administrator. Returns how many were still there."""
    ended = 0
    for share in list(shares):
        with write_transaction():
            row = _locked(share.pk)
            if row.revoked_at is not None:
                continue
            if row.live and ends_at(row) > timezone.now():
                # What its readers saw last is kept, so that it too can be proved.
                _add_version(actor, row, live_view(row).content, "share.closed")
            row.revoked_at = timezone.now()
            row.save(update_fields=["revoked_at"])
            AuditEvent.objects.append(actor, "share.revoked", f"share:{row.public_id}", {
                "owner": row.owner_id, "openings": row.openings,
            })  # fmt: skip
            _ring([row])
            ended += 1
    return ended


def shown_of(share: Share) -> Shown:
    """The decisions that a link was last published with."""
    policy = limits.of_sharing()
    choices = [name for name in share.choices if name in policy.options]
    return Shown(choices, share.hidden, share.shown)


def live_view(share: Share, before: datetime | None = None) -> Frozen:
    """What a live link shows at this moment, without the messages that came later than `before`; `share`
    comes with its conversation and that one's owner."""
    return freeze(source_of(share.conversation, growing=True, before=before), shown_of(share))


def ends_at(share: Share) -> datetime:
    """When a link is over by itself: its own end, or the administrator's ceiling of today."""
    return min(share.expires_at, share.created_at + timedelta(days=limits.of_sharing().max_days))


def close_expired() -> int:
    """Freeze what live links showed last that have ended by themselves. Returns how many. Blocks.

    A version that is younger than the link's end says that it was done.
    """
    now, ceiling = timezone.now(), timedelta(days=limits.of_sharing().max_days)
    versions = ShareVersion.objects.filter(share=OuterRef("pk"))
    proved = Q(created_at__gte=OuterRef("expires_at")) | Q(created_at__gte=OuterRef("created_at") + ceiling)
    over = (
        Share.objects.filter(live=True, revoked_at=None, conversation__deleted_at=None)
        .filter(Q(expires_at__lte=now) | Q(created_at__lte=now - ceiling))
        .exclude(Exists(versions.filter(proved)))
    )
    return sum(_close(None, share.pk) for share in over)


def close_of(actor: Any, conversation: Conversation) -> None:
    """Freeze what the live links of a conversation show, which is about to be taken away."""
    for share in conversation.shares.filter(live=True, revoked_at=None, expires_at__gt=timezone.now()):
        _close(actor, share.pk)


def _close(actor: Any, share_pk: int) -> bool:
    with write_transaction():
        share = _locked(share_pk)
        over = ends_at(share)
        if share.revoked_at is not None or share.versions.filter(created_at__gte=over).exists():
            return False
        _add_version(actor, share, live_view(share, before=over).content, "share.closed")
        _ring([share])
    return True


def _locked(share_pk: int) -> Share:
    rows = Share.objects.select_for_update(of=("self",)).select_related("conversation__owner")
    return rows.get(pk=share_pk)


def _preview(row: Conversation, shown: Shown, until: str | None) -> Preview:
    until = until or last_of(row)
    source = source_of(row, until=until)
    frozen = freeze(source, shown)
    return Preview(frozen, until, checksum(canonical(frozen.content)), [part.key for part in source.parts])


def _as_seen(row: Conversation, shown: Shown, until: str, digest: str) -> Preview:
    ready = _preview(row, shown, until)
    if ready.digest != digest:
        raise NotShared("changed")
    if not ready.frozen.content["messages"]:
        raise NotShared("empty")
    return ready


def _allowed(shown: Shown) -> Shown:
    """`shown` without what the administrator does not allow; blanking cannot be switched off as a whole."""
    policy = limits.of_sharing()
    if not policy.allowed:
        raise Refused("not_found")
    choices = [name for name in CHOICES if name in shown.choices and name in policy.options]
    return Shown(choices, shown.hidden, shown.kept or ())


def _check(terms: Terms) -> None:
    policy = limits.of_sharing()
    if not policy.allowed:
        raise Refused("not_found")
    shortest, longest = PASSPHRASE_LENGTH
    if terms.passphrase and (
        policy.passphrase == "off" or not shortest <= len(terms.passphrase) <= longest  # noqa: S105
    ):
        raise NotShared("passphrase")
    if not terms.passphrase and policy.passphrase == "required" and terms.audience == "anyone":  # noqa: S105
        raise NotShared("passphrase")
    if not policy.allows(terms.audience, has_passphrase=bool(terms.passphrase), live=terms.live):
        raise NotShared("forbidden")
    if not 1 <= terms.days <= policy.max_days:
        raise NotShared("days")
    if terms.max_openings is not None and (
        "openings" not in policy.options or not 1 <= terms.max_openings <= MAX_OPENINGS
    ):
        raise NotShared("openings")
    if terms.embed and (not policy.embed_origins or terms.audience != "anyone"):
        raise NotShared("forbidden")


def _own(user: Any, public_id: str) -> Conversation:
    row = Conversation.objects.visible_to(user).select_related("owner").filter(public_id=public_id).first()
    if row is None:
        raise Refused("not_found")
    return row


def _own_share(user: Any, public_id: str) -> Share:
    row = (
        Share.objects.visible_to(user).select_related("conversation__owner")
        .filter(public_id=public_id, revoked_at=None).first()
    )  # fmt: skip
    if row is None:
        raise Refused("not_found")
    return row


def _add_version(actor: Any, share: Share, content: dict[str, Any], action: str) -> ShareVersion:
    last = share.versions.order_by("-number").values_list("number", flat=True).first() or 0
    text = canonical(content)
    version = ShareVersion.objects.create(
        share=share, number=last + 1, content=text, checksum=checksum(text), created_at=timezone.now()
    )
    AuditEvent.objects.append(actor, action, f"share:{share.public_id}", {
        "version": version.number, "checksum": version.checksum, "messages": len(content["messages"]),
        "conversation": share.conversation.public_id, "owner": share.owner_id, "audience": share.audience,
        "choices": share.choices, "hidden": len(share.hidden), "passphrase": bool(share.passphrase),
        "expires_at": share.expires_at.isoformat(), "max_openings": share.max_openings, "live": share.live,
        "embed": share.embed,
    })  # fmt: skip
    return version


def _ring(shares: Iterable[Share]) -> None:
    for share in shares:
        transaction.on_commit(partial(runtime.publish, topic_of(share.pk), 0, ""))
