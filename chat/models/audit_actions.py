"""What the actions of the audit log mean, in words. What it must not do: record; the verbs do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

ACTIONS: Final[Mapping[str, Any]] = {
    "person.signed_in": _("Somebody signed in"),
    "person.signed_out": _("Somebody signed out"),
    "person.sign_in_failed": _("A sign-in failed"),
    "person.locked_out": _("Sign-in was locked after too many wrong passwords"),
    "person.created": _("An account was made"),
    "person.changed": _("An account was changed"),
    "person.deleted": _("An account was deleted"),
    "person.password_changed": _("A password was changed"),
    "group.created": _("A group was made"),
    "group.changed": _("A group was changed"),
    "group.deleted": _("A group was deleted"),
    "team.created": _("A person was put into a team"),
    "team.changed": _("A person's team was changed"),
    "team.deleted": _("A person was taken out of a team"),
    "agent.created": _("An agent was added"),
    "agent.changed": _("An agent was changed"),
    "agent.deleted": _("An agent was deleted"),
    "agent.refused": _("A change of agents was refused: no permission"),
    "agent.secrets_resealed": _("Agents' secrets were encrypted anew"),
    "price.created": _("A price was written"),
    "price.changed": _("A price was changed"),
    "price.deleted": _("A price was deleted"),
    "budget.created": _("A budget was made"),
    "budget.changed": _("A budget was changed"),
    "budget.deleted": _("A budget was deleted"),
    "budget.reached": _("A part of a budget was reached"),
    "budget.confirmed": _("Somebody confirmed going over a soft budget"),
    "budget.asked": _("More of a budget was asked for"),
    "budget.granted": _("More of a budget was granted"),
    "budget.declined": _("More of a budget was declined"),
    "share.made": _("A share link was made"),
    "share.published": _("A share link was published anew"),
    "share.copied": _("A shared conversation was copied"),
    "share.closed": _("A live share link ended"),
    "share.revoked": _("A share link was revoked"),
    "conversation.deleted": _("A conversation was deleted"),
    "conversation.restored": _("A conversation was brought back"),
    "conversation.purged": _("Deleted conversations were removed for good"),
    "file.deleted": _("A file of a conversation was deleted"),
    "reading.begun": _("Somebody's conversation was opened for a reason"),
    "reading.looked": _("Somebody's conversation was read"),
    "reading.ended": _("The reading of a conversation was ended"),
    "settings.changed": _("The server started with other settings"),
    "audit.viewed": _("The audit was looked at"),
    "export.begun": _("A file of the audit was begun"),
    "export.finished": _("A file of the audit was taken"),
    "export.broken_off": _("A file of the audit was not taken whole"),
    "log.exported": _("The audit log was taken as a file"),
    "reconcile.done": _("A provider's export was compared"),
    "chain.verified": _("Both chains were verified"),
    "ledger.verified": _("The ledger was verified"),
}


def label_of(action: str) -> str:
    """An action in words; one that is no longer known as it was written."""
    return str(ACTIONS.get(action, action))


__all__ = ["ACTIONS", "label_of"]
