"""Error pages, and the same as JSON: a sentence, what was kept, what to do next. No detail leaks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from chat.views.answers import error_json, not_there, wants_json


def _answer(request: HttpRequest, template: str, code: str, status: int) -> HttpResponse:
    if wants_json(request):
        return error_json(code, status)
    return render(request, template, status=status)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400."""
    return _answer(request, "400.html", "bad_request", 400)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """403."""
    return _answer(request, "403.html", "forbidden_request", 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without its token; the text is kept by the page."""
    return _answer(request, "403_csrf.html", "forbidden_request", 403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """404, the same for what is missing and for what is somebody else's."""
    return not_there(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    return _answer(request, "500.html", "server_error", 500)
