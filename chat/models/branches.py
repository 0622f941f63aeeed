"""Reading one branch of a conversation's tree, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from chat.models.conversations import Conversation
from chat.models.files import Attachment, ContextFile
from chat.models.ledger import LedgerEntry
from chat.models.messages import Message

#: Messages of one page of a conversation.
PAGE = 50


@dataclass(frozen=True, slots=True)
class Branch:
    """Part of the shown branch, oldest first, with what its messages need beside their rows.

    `siblings` maps a message's key to the public ids of the answers (or questions) that share its
    parent, oldest first; `parents` to its parent's public id; `usage` an answer's public id to the
    ledger's sums as (user, enrichment, output), None where nothing was reported; `estimated` to the tokens
    that we estimated beside them; `files` a message's key to the files it carries.
    """

    messages: list[Message]
    siblings: Mapping[int, list[str]] = field(default_factory=dict)
    parents: Mapping[int, str | None] = field(default_factory=dict)
    usage: Mapping[str, tuple[int | None, int | None, int | None]] = field(default_factory=dict)
    earlier: bool = False
    files: Mapping[int, list[ContextFile]] = field(default_factory=dict)
    estimated: Mapping[str, int] = field(default_factory=dict)


def path_to(
    conversation: Conversation, leaf: int | None
) -> tuple[list[int], dict[int, tuple[int | None, str]]]:
    """Keys from the first message to `leaf`, and every message's (parent key, public id)."""
    rows = conversation.messages.order_by("pk").values_list("pk", "parent_id", "public_id")
    tree: dict[int, tuple[int | None, str]] = {pk: (parent, public_id) for pk, parent, public_id in rows}
    path: list[int] = []
    while leaf in tree:
        path.append(leaf)
        leaf = tree[leaf][0]
    return path[::-1], tree


def read_branch(
    conversation: Conversation, *, before: str | None = None, after_seq: int | None = None, limit: int = PAGE
) -> Branch:
    """The last `limit` messages of the shown branch; those older than the message `before`; or,
    with `after_seq`, those of the branch that changed since that number."""
    path, tree = path_to(conversation, conversation.leaf_id)
    if before is not None:
        index = next((i for i, pk in enumerate(path) if tree[pk][1] == before), 0)
        path = path[:index]
    earlier = len(path) > limit
    path = path[-limit:]
    rows = conversation.messages.filter(pk__in=path).select_related("author", "agent")
    if after_seq is not None:
        rows = rows.filter(seq__gt=after_seq)
    messages = sorted(rows, key=lambda message: path.index(message.pk))
    siblings = _siblings(messages, tree)
    parents = {m.pk: tree[m.parent_id][1] if m.parent_id else None for m in messages}
    ended = [m.public_id for m in messages if m.role == Message.Role.ASSISTANT and not m.is_running]
    files = files_of(messages) if conversation.has_files else {}
    usage, estimated = used_by(conversation.public_id, ended) if ended else ({}, {})
    return Branch(messages, siblings, parents, usage, earlier, files, estimated)


def files_of(messages: Iterable[Message]) -> dict[int, list[ContextFile]]:
    """The files that these messages carry, in their order, by the message's key."""
    found: dict[int, list[ContextFile]] = {}
    for carried in Attachment.objects.filter(message__in=messages).select_related("file__stored"):
        found.setdefault(carried.message_id, []).append(carried.file)
    return found


def _siblings(messages: list[Message], tree: dict[int, tuple[int | None, str]]) -> dict[int, list[str]]:
    wanted = {m.parent_id for m in messages}
    found: dict[int | None, list[str]] = {}
    for parent, public_id in tree.values():
        if parent in wanted:
            found.setdefault(parent, []).append(public_id)
    return {m.pk: found[m.parent_id] for m in messages}


def usage_of(
    conversation: str, message_ids: Iterable[str]
) -> dict[str, tuple[int | None, int | None, int | None]]:
    """What was reported for these answers of a conversation, all by their public ids, by the ledger. Several
    calls of one answer are added up; a kind that none of them reported stays None."""
    return used_by(conversation, message_ids)[0]


def used_by(
    conversation: str,
    message_ids: Iterable[str],
) -> tuple[dict[str, tuple[int | None, int | None, int | None]], dict[str, int]]:
    """What was reported for these answers, as `usage_of` has it, and beside it how many tokens we estimated
    for calls of theirs that were cut off."""
    reported: dict[str, tuple[int | None, int | None, int | None]] = {}
    estimated: dict[str, int] = {}
    rows = LedgerEntry.objects.filter(conversation_id=conversation, message_id__in=list(message_ids)).filter(
        Q(user_tokens__isnull=False) | Q(enrichment_tokens__isnull=False) | Q(output_tokens__isnull=False)
    )
    for message_id, certainty, *counts in rows.values_list(
        "message_id", "certainty", "user_tokens", "enrichment_tokens", "output_tokens"
    ):
        if certainty == LedgerEntry.Certainty.ESTIMATED:
            estimated[message_id] = estimated.get(message_id, 0) + sum(n or 0 for n in counts)
            continue
        before = reported.get(message_id, (None, None, None))
        user, enrichment, output = (plus(a, b) for a, b in zip(before, counts, strict=True))
        reported[message_id] = (user, enrichment, output)
    return reported, estimated


def plus(a: int | None, b: int | None) -> int | None:
    """The sum of what is known; None when neither is."""
    return b if a is None else a if b is None else a + b
