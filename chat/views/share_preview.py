"""The preview: what a reader will see, message by message, with what the scan found beside it."""

from __future__ import annotations

import json
from typing import Any

from django.utils.html import escape
from django.utils.translation import gettext_lazy as _

from chat.actions.share_sources import source_of
from chat.actions.sharing import Preview
from chat.models import Conversation, Share
from chat.sharing.scanner import Kind
from chat.sharing.snapshot import BLANK, Hit, Shown, difference
from chat.views.share_rendering import drawn_message, highlighted, message_html, moment

KINDS = {
    Kind.KEY: _("Key or token"),
    Kind.PASSWORD: _("Password or secret"),
    Kind.CPF: _("CPF"),
    Kind.CNPJ: _("CNPJ"),
    Kind.EMAIL: _("E-mail address"),
    Kind.PHONE: _("Phone number"),
    Kind.CARD: _("Card number"),
}
#: Characters of a hidden message that its owner is reminded of.
_REMINDER = 90


def drawn_preview(ready: Preview, shown: Shown, row: Conversation, user: Any) -> dict[str, Any]:
    """Context of the preview: `content`, `date`, `entries` in order, `hits` of the title, their number."""
    content, kept = ready.frozen.content, set(shown.kept or ())
    by_part: dict[str, list[dict[str, Any]]] = {}
    for hit in ready.frozen.hits:
        by_part.setdefault(hit.part, []).append(_hit(hit, kept))
    messages = dict(zip(ready.frozen.keys, content["messages"], strict=True))
    entries = []
    for part in source_of(row, until=ready.until).parts:
        hits = by_part.get(part.key, [])
        entry: dict[str, Any] = {"key": part.key, "role": part.role, "hits": hits, "hidden": True}
        if part.key in messages:
            html = message_html(messages[part.key], content.get("author", ""))
            entry |= {"hidden": False, "html": highlighted(html, [BLANK, *(h["text"] for h in hits)])}
        else:
            entry["reminder"] = part.text[:_REMINDER]
        entries.append(entry)
    blanked = sum(hit.id not in kept for hit in ready.frozen.hits)
    return {
        "content": content, "date": moment(content["date"]), "entries": entries,
        "title_html": highlighted(escape(content["title"]), [BLANK]),
        "title_hits": by_part.get("", []), "found": len(ready.frozen.hits), "blanked": blanked,
    }  # fmt: skip


def drawn_difference(share: Share, ready: Preview) -> dict[str, Any]:
    """Context of what a new version would change."""
    last = share.versions.order_by("-number").first()
    assert last is not None, "a link is made with its first version"
    changes = difference(json.loads(last.content), ready.frozen.content)
    keys = ready.frozen.keys
    return {
        "last": last,
        "changes": changes,
        "added": [keys[index] for index in sorted(changes.added)],
        "changed": [keys[index] for index in sorted(changes.changed)],
        "removed": [drawn_message(message, "") for message in changes.removed],
    }


def _hit(hit: Hit, kept: set[str]) -> dict[str, Any]:
    return {
        "id": hit.id, "kind": KINDS[hit.kind], "text": hit.text, "before": hit.before, "after": hit.after,
        "blank": hit.id not in kept,
    }  # fmt: skip
