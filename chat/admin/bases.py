"""What our admin pages have in common: rows that are only read, and changes that the audit log is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from chat.actions.recording import record_change, state_of
from chat.threads import write_transaction


class Recorded(admin.ModelAdmin):  # type: ignore[type-arg]
    """Adds the event in the transaction of the change. `record_kind` is the first part of its action and
    target; `record_fields` what is told, never a secret."""

    record_kind = ""
    record_fields: Sequence[str] = ()

    def record_name(self, row: Any) -> str:
        """What the row is called in the log."""
        return str(row)

    def record_lost(self, row: Any) -> None:
        """Records what goes with a row that is about to be deleted."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = self.model._default_manager.filter(pk=obj.pk).first() if change else None
        form.recorded_before = state_of(stored, self.record_fields) if stored else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The last step of a save: groups and permissions stand by now."""
        super().save_related(request, form, formsets, change)
        row: Model = form.instance
        action = f"{self.record_kind}.{'changed' if change else 'created'}"
        record_change(action, self._target(row), form.recorded_before, state_of(row, self.record_fields))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._delete([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete(queryset)

    def _delete(self, rows: Iterable[Any]) -> None:
        with write_transaction():
            for row in list(rows):
                before = state_of(row, self.record_fields)
                self.record_lost(row)
                record_change(f"{self.record_kind}.deleted", self._target(row), before, {})
                row.delete()

    def _target(self, row: Any) -> str:
        return f"{self.record_kind}:{self.record_name(row)}"


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows to be read: no adding, no changing, no deleting."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
