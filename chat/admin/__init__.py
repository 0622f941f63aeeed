"""The administration: agents and the token ledger, beside Django's own people and groups.

No page here shows a conversation, a message or a draft but one (chat/admin/readings.py), and none shows a
part of a secret.
"""

from __future__ import annotations

from chat.admin import agents, audit_log, budgets, ledger, people, prices, readings, shares  # noqa: F401 (register themselves)
