"""Hands the files of a request to its agent, before the call: as ids of its own storage, or as content.

The request names its files (`FilePart.ref`); what comes back holds what the agent's kind needs. Blocks,
for as long as an agent's storage takes; a caller who gives up sets `over`, and no further file begins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Any

from django.conf import settings
from django.utils import timezone

from chat import limits
from chat.agents import AgentConfig, AgentError, AgentRequest, FilePart, options
from chat.agents.uploads import Upload, UploadClient
from chat.extract import kinds
from chat.files import pools, storing
from chat.models import Agent, ContextFile, FileState, Handing
from chat.threads import write_transaction

#: Refusals of an agent's storage that say more than that it did not work.
_TELLING = frozenset(
    {"upload_forbidden", "busy", "credit", "credentials", "agent_misconfigured", "file_lost"}
)
#: Pictures of one request; the newest.
_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the files: an agent's row and its settings as the turn has them."""

    pk: int
    config: AgentConfig


def files_of(request: AgentRequest) -> list[FilePart]:
    """Every file of the request, the newest first."""
    told = [part for message in request.history for part in message.files]
    return [*request.files, *reversed(told)]


async def with_files(request: AgentRequest, to: Recipient, seconds: float) -> AgentRequest:
    """`hand_over` in a thread of the files' own; at once when the request has none. Raises AgentError."""
    if not files_of(request):
        return request
    over = Event()
    try:
        async with asyncio.timeout(seconds):
            return await pools.run(pools.HANDS, hand_over, request, to, over)
    except TimeoutError:
        raise AgentError("upload_failed", detail="it took too long") from None
    finally:
        over.set()


def hand_over(request: AgentRequest, to: Recipient, over: Event) -> AgentRequest:
    """The request as the agent needs it. Raises AgentError."""
    rows = _rows(part.ref for part in files_of(request))
    if to.config.kind == "stackspot":
        return _uploaded(request, to, rows, over)
    return _told(request, to, rows)


def hand_again(row: ContextFile, to: Recipient) -> None:
    """Hand one file to an agent's storage anew. Raises AgentError."""
    _upload(row, to)


def _rows(refs: Iterable[str]) -> dict[str, ContextFile]:
    rows = ContextFile.objects.filter(public_id__in=list(refs), state=FileState.READY)
    return {row.public_id: row for row in rows.select_related("stored")}


# -- agents with a storage of their own ------------------------------------------------------------


def _uploaded(
    request: AgentRequest, to: Recipient, rows: dict[str, ContextFile], over: Event
) -> AgentRequest:
    parts = files_of(request)[: settings.LIMIT_FILES]
    valid = _valid(to, rows.values())
    ids: list[str] = []
    for part in parts:
        row = rows.get(part.ref)
        if row is None:
            continue  # removed since
        if over.is_set():
            raise AgentError("upload_failed", detail="the turn was stopped")
        ids.append(valid.get(row.pk) or _upload(row, to))
    return replace(request, upload_ids=(*request.upload_ids, *ids))


def _valid(to: Recipient, rows: Iterable[ContextFile]) -> dict[int, str]:
    """Ids that the agent's storage still knows: not over, and given since the agent was last changed."""
    changed_at = Agent.objects.filter(pk=to.pk).values_list("updated_at", flat=True).first()
    known = Handing.objects.filter(
        file__in=list(rows), agent_id=to.pk, expires_at__gt=timezone.now(), at__gte=changed_at
    ).exclude(upload_id="")
    return dict(known.values_list("file_id", "upload_id"))


def _upload(row: ContextFile, to: Recipient) -> str:
    assert row.stored is not None, "a file that is ready is stored"
    policy, sdk = limits.sdk().policy("file_upload"), limits.sdk()
    where = {"upload_base_url": sdk["file_upload.base_url"], **to.config.options}
    client = UploadClient(
        replace(to.config, options=where), policy=policy, form_timeout=sdk["file_upload.request_timeout"],
        transfer_timeout=sdk["file_upload.transfer_timeout"], connect_timeout=settings.LIMIT_CONNECT,
        vet=limits.vet(),
    )  # fmt: skip
    began = timezone.now()
    try:
        with _path(row) as path:
            upload = Upload(row.name, path, expiration=settings.LIMIT_HANDED, content_type=row.type)
            upload_id = client.upload(upload)
    except AgentError as error:
        known = error if error.code in _TELLING else AgentError(
            "upload_failed", detail=str(error), status=error.status, retry_after=error.retry_after
        )  # fmt: skip
        _note(row, to, state=Handing.State.FAILED, code=known.code, upload_id="", expires_at=None)
        raise known from error
    ends = began + timedelta(seconds=settings.LIMIT_HANDED)
    _note(row, to, state=Handing.State.HANDED, code="", upload_id=upload_id[:200], expires_at=ends, at=began)
    return upload_id


@contextlib.contextmanager
def _path(row: ContextFile) -> Iterator[Any]:
    assert row.stored is not None, "a file that is ready is stored"
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(storing.on_disk(row.stored.name))
            there = path.is_file()
        except storing.STORAGE_ERRORS as error:
            raise AgentError("file_lost", detail=type(error).__name__) from error
        if not there:
            raise AgentError("file_lost", detail=row.public_id)
        yield path


def _note(row: ContextFile, to: Recipient, **fields: Any) -> None:
    with write_transaction():
        if ContextFile.objects.filter(pk=row.pk).exists() and Agent.objects.filter(pk=to.pk).exists():
            defaults = {"at": timezone.now(), **fields}
            Handing.objects.update_or_create(file=row, agent_id=to.pk, defaults=defaults)


# -- agents that are told the content --------------------------------------------------------------


def _told(request: AgentRequest, to: Recipient, rows: dict[str, ContextFile]) -> AgentRequest:
    # The demo agent cannot see, and not every model can.
    sees = to.config.kind == "openai" and options.boolean("images", to.config.options.get("images", False))
    room, pictures = settings.LIMIT_FILE_TEXT, _PICTURES if sees else 0
    filled: dict[str, FilePart] = {}
    for part in files_of(request):
        row = rows.get(part.ref)
        if row is None or part.ref in filled:
            continue
        try:
            if row.kind == "image":
                filled[part.ref] = _with_picture(part, row) if pictures > 0 else part
                pictures -= 1
            else:
                filled[part.ref] = _with_text(part, row, room)
                room -= len((filled[part.ref].text or "").encode())
        except storing.STORAGE_ERRORS as error:
            raise AgentError("file_lost", detail=type(error).__name__) from error
    _note_told(filled, rows, to)

    def with_content(parts: tuple[FilePart, ...]) -> tuple[FilePart, ...]:
        return tuple(filled.get(part.ref, part) for part in parts)

    history = tuple(
        replace(message, files=with_content(message.files)) if message.files else message
        for message in request.history
    )
    return replace(request, files=with_content(request.files), history=history)


def _with_picture(part: FilePart, row: ContextFile) -> FilePart:
    assert row.stored is not None, "a file that is ready is stored"
    with storing.open_stored(row.stored.shown) as content:
        return replace(part, image=content.read(), media_type=row.stored.shown_type)


def _with_text(part: FilePart, row: ContextFile, room: int) -> FilePart:
    """With as much of its text as there is room for, cut between characters."""
    assert row.stored is not None, "a file that is ready is stored"
    name = row.stored.name if row.kind == "text" else row.stored.text
    if not name:
        return part
    head = storing.head_of(name, max(room, 0) + 4)
    whole = len(head) <= max(room, 0)
    text = kinds.decoded(head, final=whole) or ""
    kept = text.encode("utf-8", "replace")[: max(room, 0)].decode("utf-8", "ignore")
    return replace(part, text=kept, cut=not whole or len(kept) < len(text) or row.stored.text_cut)


def _note_told(filled: dict[str, FilePart], rows: dict[str, ContextFile], to: Recipient) -> None:
    given = [rows[ref] for ref, part in filled.items() if part.text is not None or part.image is not None]
    known = set(Handing.objects.filter(file__in=given, agent_id=to.pk).values_list("file_id", flat=True))
    for row in given:
        if row.pk not in known:
            _note(row, to, state=Handing.State.HANDED)
