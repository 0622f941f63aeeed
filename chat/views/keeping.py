"""Doors of what a person keeps: rename, delete, bring back, drafts, preferences. All of them are POSTs."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from chat import actions
from chat.actions import Refused
from chat.views.answers import back, fields_of, member, optional_field, refusals, text_field, wants_json
from chat.views.context import THEME_COOKIE, THEMES

YEAR = 365 * 24 * 3600
SEND_KEYS = ("enter", "mod-enter")


@require_POST
@member
@refusals
def rename(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Another title."""
    row = actions.rename(request.user, conversation=thread_id, title=text_field(fields_of(request), "title"))
    return JsonResponse({"title": row.title}) if wants_json(request) else back(request, f"/c/{thread_id}/")


@require_POST
@member
@refusals
def delete(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Out of every view; may be brought back."""
    actions.delete(request.user, conversation=thread_id)
    if wants_json(request):
        return JsonResponse({})
    messages.info(request, _("The conversation was deleted."), extra_tags=f"restore:{thread_id}")
    return back(request, "/")


@require_POST
@member
@refusals
def restore(request: HttpRequest, thread_id: str) -> HttpResponseBase:
    """Bring it back."""
    actions.restore(request.user, conversation=thread_id)
    return JsonResponse({}) if wants_json(request) else back(request, f"/c/{thread_id}/")


@require_POST
@member
@refusals
def draft(request: HttpRequest) -> HttpResponseBase:
    """Keep unsent text of a conversation, or of a new one."""
    fields = fields_of(request)
    thread_id = optional_field(fields, "conversation")
    actions.save_draft(request.user, conversation=thread_id, text=text_field(fields, "text", ""))
    return HttpResponse(status=204)


@require_POST
@refusals
def preferences(request: HttpRequest) -> HttpResponseBase:
    """Theme, language and the key that sends; cookies, so that they hold on the sign-in page too."""
    fields = fields_of(request)
    response = HttpResponse(status=204) if wants_json(request) else back(request, "/")
    allowed = {
        "theme": (THEME_COOKIE, THEMES),
        "language": (settings.LANGUAGE_COOKIE_NAME, tuple(dict(settings.LANGUAGES))),
        "send_key": ("stkweb_send", SEND_KEYS),
    }
    for name, (cookie, values) in allowed.items():
        value = optional_field(fields, name)
        if value is None:
            continue
        if value not in values:
            raise Refused("bad_request")
        response.set_cookie(cookie, value, max_age=YEAR, secure=settings.HTTPS, samesite="Lax", httponly=True)
    return response
