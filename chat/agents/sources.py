"""The sources that an event names, as ids or as objects. Nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .values import Source

LONGEST_WORD: Final = 500


def sources_of(chunk: Mapping[str, Any]) -> tuple[Source, ...]:
    """The sources a chunk names, as ids or as objects, each once."""
    found: dict[str, Source] = {}
    known: set[str] = set()
    for key in ("source", "cross_account_source", "knowledge_source_id"):
        members = chunk.get(key)
        for member in members if isinstance(members, list) else [members]:
            source, names = _source(member, key)
            if source is not None and source.id not in known:
                found[source.id] = source
                known |= names
    return tuple(found.values())


def _source(member: Any, key: str) -> tuple[Source | None, set[str]]:
    if isinstance(member, str) and member.strip():
        text = member.strip()[:LONGEST_WORD]
        return Source(text, text, kind="knowledge_source" if key == "knowledge_source_id" else None), {text}
    if not isinstance(member, dict):
        return None, set()

    def word(*names: str) -> str | None:
        values = (member.get(name) for name in names)
        return next((v.strip()[:LONGEST_WORD] for v in values if isinstance(v, str) and v.strip()), None)

    identity = word("document_id", "id", "slug", "name")
    if identity is None:
        return None, set()
    url = word("url", "link")
    source = Source(
        identity,
        word("name", "title", "slug") or identity,
        url=url if url is not None and url.lower().startswith(("https://", "http://")) else None,
        kind=word("type"),
    )
    return source, {identity, *filter(None, (word("id"), word("slug")))}
