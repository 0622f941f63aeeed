"""The token ledger in the administration's list: its rows are read on the audit's pages.

A list of Django's own counts and sorts whole tables, which takes many seconds at ten million rows.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse

from chat.admin.bases import ReadOnly
from chat.models import LedgerEntry


@admin.register(LedgerEntry)
class LedgerAdmin(ReadOnly):
    """Leads to the calls, and from a row's number to its call."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        self._check(request)
        return HttpResponseRedirect(f"{reverse('admin:audit')}?view=calls")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        self._check(request)
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return HttpResponseRedirect(reverse("admin:audit_call", args=[row.public_id]))

    def _check(self, request: HttpRequest) -> None:
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
