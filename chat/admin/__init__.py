"""The administration: agents and the token ledger, beside Django's own people and groups.

No page here shows a conversation, a message or a draft, and none shows a part of a secret.
"""

from __future__ import annotations

from chat.admin import agents, ledger, people, shares  # noqa: F401 (register themselves)
