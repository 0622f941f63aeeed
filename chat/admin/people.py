"""People and groups: Django's own pages, told to the audit log, and whose team a person's calls count for.

What goes with a deleted person is counted, not listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from chat.actions.budgets import record_lost
from chat.actions.recording import record
from chat.admin.bases import Recorded
from chat.models import Membership
from chat.threads import write_transaction

User = get_user_model()
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(Recorded, UserAdmin):  # type: ignore[type-arg]
    list_display = ("username", "is_active", "is_staff", "is_superuser", "last_login")
    record_kind = "person"
    record_fields = (
        "username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser", "groups",
        "user_permissions",
    )  # fmt: skip

    def record_lost(self, row: Any) -> None:
        record_lost(person=row)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Django's answer without its list, which would name thousands of rows."""
        _listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        people: Iterable[str] = [str(person) for person in objs]
        return people, counts, needed, protected

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:  # noqa: A002
        """An administrator gives somebody another password, or takes the use of one away."""
        with write_transaction():
            before: Any = self.get_object(request, unquote(id))
            response = super().user_change_password(request, id, form_url)
            person: Any = self.get_object(request, unquote(id))
            if before is not None and person.password != before.password:
                record("person.password_changed", f"person:{person.get_username()}")
        return response


@admin.register(Group)
class TeamAdmin(Recorded, GroupAdmin):
    record_kind = "group"
    record_fields = ("name", "permissions")

    def record_lost(self, row: Any) -> None:
        record_lost(team=row)


@admin.register(Membership)
class MembershipAdmin(Recorded):
    """Which team a person's calls are counted for, from now on."""

    list_display = ("user", "team")
    list_select_related = ("user", "team")
    list_filter = ("team",)
    search_fields = ("user__username", "team__name")
    autocomplete_fields = ("user",)
    record_kind = "team"
    record_fields = ("user", "team")

    def record_name(self, row: Any) -> str:
        return str(row.user)
