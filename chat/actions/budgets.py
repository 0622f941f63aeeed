"""What a person may do about budgets: see those that concern them, and ask for more with a reason."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from chat.actions.recording import record
from chat.actions.refusals import Refused
from chat.models import Budget, BudgetRequest
from chat.threads import write_transaction

#: Characters of a reason.
REASON = 1000


def ask_for_more(user: Any, *, budget: str, reason: str) -> BudgetRequest:
    """Ask the administrators for more of a budget; one question at a time. Raises Refused."""
    reason = reason.strip().replace("\x00", "")[:REASON]
    with write_transaction():
        row = Budget.objects.visible_to(user).filter(enabled=True).named(budget).select_for_update().first()
        if row is None:
            raise Refused("not_found")
        if not reason:
            raise Refused("reason_missing")
        if row.requests.filter(person=user, grant=None, declined_at=None).exists():
            raise Refused("asked_already")
        request = BudgetRequest.objects.create(
            budget=row, person=user, reason=reason, created_at=timezone.now()
        )
        record("budget.asked", f"budget:{row.public_id}", {"reason": reason}, actor=user)
    return request
