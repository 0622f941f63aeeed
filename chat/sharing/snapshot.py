"""The frozen text of a share: an allow-list of fields, made from plain values at one moment.

    {"format": 1, "title", "date", "agents": [names], "author"?, "messages": [
        {"role": "question", "text", "files"?: [{"id", "name", "size"}]},
        {"role": "answer", "text", "agent", "unfinished"?, "reasoning"?, "usage"?}]}

What is not named here does not exist for a reader: no ids (those of files are for the server alone), no
e-mail, no sources, no errors, no address of an agent. `author`, `reasoning`, `usage` and `files` are there
only where the owner switched them on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from chat.sharing.scanner import Kind, scan

FORMAT = 1
#: Stands in the place of what was blanked; of one length, so that it tells nothing.
BLANK = "█████"
#: What an owner may switch on; all of them are off until then.
CHOICES = ("names", "reasoning", "tokens", "files")
#: The fields that a frozen text may have, at its top and in a message.
TOP_FIELDS = frozenset({"format", "title", "date", "agents", "author", "messages"})
MESSAGE_FIELDS = frozenset({"role", "text", "agent", "unfinished", "reasoning", "usage", "files"})


@dataclass(frozen=True, slots=True)
class Part:
    """One message as it is offered for sharing. `key` tells it from the others and is never frozen."""

    key: str
    role: str
    text: str
    agent: str = ""
    reasoning: str = ""
    usage: dict[str, int | None] | None = None
    unfinished: bool = False
    files: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """What a share is made from: the shown branch up to a certain message."""

    title: str
    date: str
    author: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Shown:
    """The owner's decisions. `hidden` holds keys of parts, `kept` ids of findings not to be blanked;
    with `kept` None nothing is blanked at all."""

    choices: Collection[str] = ()
    hidden: Collection[str] = ()
    kept: Collection[str] | None = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One finding of the scan where it stands: `before` + `text` + `after` is its surroundings."""

    id: str
    part: str
    kind: Kind
    text: str
    before: str
    after: str


@dataclass
class Frozen:
    """`content` is what is published; `hits` what the scan found in it; `keys` the parts it holds."""

    content: dict[str, Any]
    hits: list[Hit] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


#: Characters shown around a finding.
_AROUND = 32


def freeze(source: Source, shown: Shown) -> Frozen:
    """The content for these decisions, and the findings in what is not hidden."""
    frozen = Frozen({})

    def cleaned(part: str, name: str) -> Callable[[str], str]:
        return lambda text: _cleaned(text, part, name, shown.kept, frozen.hits)

    content: dict[str, Any] = {
        "format": FORMAT,
        "title": cleaned("", "title")(source.title),
        "date": source.date,
        "agents": [],
        "messages": [],
    }
    if "names" in shown.choices:
        content["author"] = source.author
    for part in source.parts:
        if part.key in shown.hidden:
            continue
        frozen.keys.append(part.key)
        content["messages"].append(_message(part, shown.choices, cleaned))
        if part.agent and part.agent not in content["agents"]:
            content["agents"].append(part.agent)
    frozen.content = content
    return frozen


def _message(
    part: Part, choices: Collection[str], cleaned: Callable[[str, str], Callable[[str], str]]
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": part.role, "text": cleaned(part.key, "text")(part.text)}
    if "files" in choices and part.files:
        clean = cleaned(part.key, "files")
        message["files"] = [{**file, "name": clean(file["name"])} for file in part.files]
    if part.role != "answer":
        return message
    message["agent"] = part.agent
    if part.unfinished:
        message["unfinished"] = True
    if "reasoning" in choices and part.reasoning:
        message["reasoning"] = cleaned(part.key, "reasoning")(part.reasoning)
    if "tokens" in choices and part.usage is not None:
        message["usage"] = {name: part.usage.get(name) for name in ("user", "enrichment", "output", "total")}
    return message


def _cleaned(text: str, part: str, name: str, kept: Collection[str] | None, hits: list[Hit]) -> str:
    """`text` with its findings blanked, but those in `kept`; every finding is added to `hits`."""
    if kept is None:
        return text
    pieces, end, seen = [], 0, dict[str, int]()
    for finding in scan(text):
        found = text[finding.start : finding.end]
        seen[found] = seen.get(found, 0) + 1
        identity = f"{part}\n{name}\n{finding.kind}\n{found}\n{seen[found]}"
        hit_id = hashlib.sha256(identity.encode()).hexdigest()[:20]
        before = text[max(0, finding.start - _AROUND - 1) : finding.start]
        after = text[finding.end : finding.end + _AROUND + 1]
        hits.append(Hit(hit_id, part, finding.kind, found, _end_of(before), _beginning_of(after)))
        pieces += [text[end : finding.start], found if hit_id in kept else BLANK]
        end = finding.end
    return "".join([*pieces, text[end:]])


def _end_of(text: str) -> str:
    return f"…{text[-_AROUND:]}" if len(text) > _AROUND else text


def _beginning_of(text: str) -> str:
    return f"{text[:_AROUND]}…" if len(text) > _AROUND else text


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new version would change: messages of the new one by place, and those that would go."""

    added: frozenset[int]
    changed: frozenset[int]
    removed: Sequence[dict[str, Any]]
    title: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.title)


def difference(old: dict[str, Any], new: dict[str, Any]) -> Difference:
    """What changes from the frozen text `old` to `new`; the date alone is no difference."""
    before, after = [_comparable(m) for m in old["messages"]], [_comparable(m) for m in new["messages"]]
    added: set[int] = set()
    changed: set[int] = set()
    removed: list[dict[str, Any]] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        both = min(i2 - i1, j2 - j1)
        changed |= set(range(j1, j1 + both))
        added |= set(range(j1 + both, j2))
        removed += old["messages"][i1 + both : i2]
    title = (old["title"], old.get("author")) != (new["title"], new.get("author"))
    return Difference(frozenset(added), frozenset(changed), tuple(removed), title)


def _comparable(message: dict[str, Any]) -> str:
    # What was stored comes back with its keys in another order, those of its counts and files too.
    return json.dumps(message, sort_keys=True)
