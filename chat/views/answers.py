"""How the doors answer: JSON for scripts, pages and redirects for forms; the same refusals for both."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from chat import faults
from chat.actions import Refused

View = Callable[..., HttpResponseBase]


def wants_json(request: HttpRequest) -> bool:
    """True for a request that sent JSON or prefers it."""
    if request.content_type == "application/json":
        return True
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def fields_of(request: HttpRequest) -> dict[str, Any]:
    """The body's fields, of a form or of a JSON object. Raises Refused."""
    if request.content_type != "application/json":
        return {name: request.POST[name] for name in request.POST}
    try:
        fields = json.loads(request.body)
    except (ValueError, RecursionError) as exc:
        raise Refused("bad_request") from exc
    if not isinstance(fields, dict):
        raise Refused("bad_request")
    return fields


def text_field(fields: dict[str, Any], name: str, default: str | None = None) -> str:
    """A field that must be text; `default` when it is absent or null. Raises Refused."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise Refused("bad_request")
    return value


def optional_field(fields: dict[str, Any], name: str) -> str | None:
    """A field that may be absent, null or empty: then None. Raises Refused."""
    return text_field(fields, name, "") or None


def error_json(code: str, status: int, params: dict[str, Any] | None = None) -> JsonResponse:
    """{"error": {code, message, kept, next, ...}} in the request's language."""
    text = faults.text_of(code, params=params)
    error = {"code": code, "message": text["sentence"], "kept": text["kept"], "next": text["next"]}
    response = JsonResponse({"error": {**error, **(params or {})}}, status=status)
    if params and "retry_after" in params:
        response["Retry-After"] = str(params["retry_after"])
    return response


def back(request: HttpRequest, default: str) -> HttpResponseRedirect:
    """A redirect (303) to the form's `next` when it is ours, else to `default`."""
    target = request.POST.get("next", "") if request.content_type != "application/json" else ""
    ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    response = HttpResponseRedirect(target if ours else default)
    response.status_code = 303
    return response


def member(view: View) -> View:
    """For signed-in people alone: others get 401 as JSON, or the sign-in page."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if wants_json(request):
            return error_json("not_signed_in", 401)
        return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")

    return guarded


def refusals(view: View) -> View:
    """A verb's refusal as JSON, or as a message on the page that the form came from."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Refused as refused:
            if wants_json(request):
                return error_json(refused.code, refused.status, refused.params)
            if refused.status == 404:
                return not_there(request)
            text = faults.text_of(refused.code, params=refused.params)
            tags = f"over:{refused.params['budget']}" if refused.code == "budget_over" else ""
            messages.error(request, f"{text['sentence']} {text['kept']} {text['next']}", extra_tags=tags)
            thread_id = kwargs.get("thread_id")
            return back(request, f"/c/{thread_id}/" if thread_id else "/")

    return answered


def not_there(request: HttpRequest) -> HttpResponse:
    """404: the one answer for what is missing and for what is somebody else's."""
    if wants_json(request):
        return error_json("not_found", 404)
    return render(request, "404.html", status=404)
