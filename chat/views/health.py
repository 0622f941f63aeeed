"""Doors for those who run it: alive, ready, how much. They tell nothing about people."""

from __future__ import annotations

import os
import shutil

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat import metrics
from chat.turns import runtime
from chat.views.answers import not_there

#: Bytes of the data folder's disk that must be free: SQLite needs room for its log.
FREE_BYTES = 64 * 1024 * 1024
#: Seconds that Redis may take to answer.
REDIS_SECONDS = 2.0

_migrated = False


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when questions can be taken, else 503 with the reasons by name."""
    looks = {"database": _database, "channel_layer": _channel_layer, "disk": _disk, "runtime": _runtime}
    problems = {name: problem for name, look in looks.items() if (problem := look())}
    return JsonResponse({"ready": not problems, "problems": problems}, status=503 if problems else 200)


def _database() -> str:
    global _migrated
    try:
        if _migrated:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            return ""
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError):
        return "does not answer"
    _migrated = not behind
    return "is behind this version: run `manage.py setup`" if behind else ""


def _channel_layer() -> str:
    if not settings.REDIS_URL:
        return ""
    seconds = REDIS_SECONDS
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=seconds, socket_connect_timeout=seconds
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "Redis does not answer"
    return ""


def _disk() -> str:
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError:
        return "the data folder is not there"
    if not os.access(settings.DATA_DIR, os.W_OK):
        return "the data folder cannot be written"
    return "is almost full" if free < FREE_BYTES else ""


def _runtime() -> str:
    try:
        runtime.current()
    except runtime.NotServing:
        return "is starting or stopping"
    return ""


@never_cache
@require_safe
def numbers(request: HttpRequest) -> HttpResponse:
    """/metrics for whoever knows STKWEB_METRICS_TOKEN; for everybody else it is not there."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if not token or not constant_time_compare(given, f"Bearer {token}"):
        return not_there(request)
    return HttpResponse(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
