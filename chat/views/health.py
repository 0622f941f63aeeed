"""Doors for those who run it: alive, ready. They tell nothing about people."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat.turns import runtime


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when questions can be taken, else 503 with the reasons by name."""
    problems = {}
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            problems["migrations"] = "run `manage.py migrate`"
    except (DatabaseError, InterfaceError):
        problems["database"] = "does not answer"
    try:
        runtime.current()
    except runtime.NotServing:
        problems["runtime"] = "is starting or stopping"
    return JsonResponse({"ready": not problems, "problems": problems}, status=503 if problems else 200)
