"""Doors of files: announce, send a slice, look, download, take away; and a conversation's tray.

What a person gave leaves only as an attachment, under a policy that runs nothing; what is shown inline
are pictures that were made anew.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.http import FileResponse, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chat.actions import Refused
from chat.actions import files as verbs
from chat.extract import kinds
from chat.files import storing
from chat.models import ContextFile, FileState
from chat.views.answers import (
    View,
    back,
    fields_of,
    member,
    not_there,
    optional_field,
    refusals,
    text_field,
    wants_json,
)
from chat.views.file_states import state_of, states_of

#: Runs nothing, loads nothing, belongs to no origin.
SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
#: What a browser may know of a given file's type; everything else is just bytes.
_TOLD = ("pdf", "image", "office")


def json_errors(view: View) -> View:
    """Scripts alone come here: refusals are JSON whatever the request prefers."""
    guarded = refusals(view)

    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.META["HTTP_ACCEPT"] = "application/json"
        return guarded(request, *args, **kwargs)

    return asked


@require_POST
@member
@refusals
def announce(request: HttpRequest) -> HttpResponseBase:
    """Announce a file."""
    fields = fields_of(request)
    size = fields.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise Refused("bad_request")
    given = verbs.Announced(
        name=text_field(fields, "name"), size=size, type=text_field(fields, "type", ""),
        sha256=text_field(fields, "sha256", "").lower(), agent=text_field(fields, "agent"),
        conversation=optional_field(fields, "conversation"),
    )  # fmt: skip
    row, known = verbs.announce(request.user, given, key=request.headers.get("Idempotency-Key", ""))
    return JsonResponse(state_of(row), status=200 if known else 201)


@never_cache
@require_http_methods(["GET", "HEAD", "PUT"])
@member
@json_errors
def one(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """A file's state; PUT brings a slice."""
    if request.method != "PUT":
        return JsonResponse(state_of(verbs.find(request.user, file_id)))
    row = verbs.take_slice(
        request.user, file=file_id, offset=_number(request, "Upload-Offset"), body=request,  # type: ignore[arg-type]
        length=_number(request, "Content-Length"), digest=_digest(request.headers.get("Content-Digest", "")),
    )  # fmt: skip
    return JsonResponse({"offset": row.offset, "state": row.state})


def _number(request: HttpRequest, header: str) -> int:
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdigit() and len(value) <= 15):
        raise Refused("bad_request")
    return int(value)


def _digest(header: str) -> bytes | None:
    """The SHA-256 of a Content-Digest (RFC 9530); None when there is no such header. Raises Refused."""
    if not header:
        return None
    for member_ in header.split(","):
        name, _, value = member_.strip().partition("=")
        if name.lower() == "sha-256" and value.startswith(":") and value.endswith(":"):
            try:
                found = base64.b64decode(value[1:-1], validate=True)
            except binascii.Error:
                break
            if len(found) == 32:
                return found
    raise Refused("bad_request")


@require_POST
@member
@refusals
def remove(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """Take it away."""
    verbs.remove(request.user, file=file_id)
    return JsonResponse({}) if wants_json(request) else back(request, "/")


@require_POST
@member
@refusals
def renew(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """Have it handed to its agent again."""
    row = verbs.renew(request.user, file=file_id)
    return JsonResponse(state_of(row), status=202) if wants_json(request) else back(request, "/")


@never_cache
@require_safe
@member
@refusals
def tray(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """The files of a conversation."""
    states = states_of(verbs.in_conversation(request.user, thread_id))
    if wants_json(request):
        return JsonResponse({"files": states})
    return render(request, "chat/files.html", {"files": states, "thread_id": thread_id})


@require_safe
@member
@refusals
def download(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """The bytes, as an attachment."""
    row = verbs.find(request.user, file_id)
    if row.state != FileState.READY:
        raise Refused("not_found")
    return attachment(request, row)


@require_safe
@member
@refusals
def thumbnail(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """The preview of an image, made anew from its pixels."""
    row = verbs.find(request.user, file_id)
    if row.state != FileState.READY:
        raise Refused("not_found")
    return preview(request, row)


def attachment(request: HttpRequest, row: ContextFile) -> HttpResponseBase:
    """The file's bytes for whoever was let in to them."""
    assert row.stored is not None, "a file that is ready is stored"
    type_ = row.type if row.kind in _TOLD else "application/octet-stream"
    if row.kind == "text" and kinds.is_utf8(_head(row)):
        type_ = "text/plain; charset=utf-8"
    response = _stored(request, row.stored.name, type_)
    response["Content-Disposition"] = content_disposition_header(True, row.name) or "attachment"
    return response


def _head(row: ContextFile) -> bytes:
    try:
        return storing.head_of(row.stored.name, kinds.HEAD) if row.stored else b""
    except storing.STORAGE_ERRORS:
        return b""


def preview(request: HttpRequest, row: ContextFile) -> HttpResponseBase:
    """The file's thumbnail for whoever was let in to it."""
    if row.stored is None or not row.stored.thumbnail:
        return not_there(request)
    return _stored(request, row.stored.thumbnail, "image/webp")


def _stored(request: HttpRequest, name: str, type_: str) -> HttpResponseBase:
    try:
        content = storing.open_stored(name)
    except storing.STORAGE_ERRORS:
        return not_there(request)
    response = FileResponse(content, content_type=type_)
    response["Content-Security-Policy"] = SANDBOX
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
