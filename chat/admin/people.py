"""People: Django's own pages. What goes with a deleted person is counted, not listed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

User = get_user_model()
admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    list_display = ("username", "is_active", "is_staff", "is_superuser", "last_login")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Django's answer without its list, which would name thousands of rows."""
        _listed, counts, needed, protected = super().get_deleted_objects(objs, request)
        people: Iterable[str] = [str(person) for person in objs]
        return people, counts, needed, protected
