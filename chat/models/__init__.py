"""Rows, and who may see them. No I/O beyond the database, no announcements, no verbs."""

from __future__ import annotations

from chat.models.agents import Agent, SecretUnreadable
from chat.models.audit_log import AuditEvent
from chat.models.budgets import (
    Budget,
    BudgetConsent,
    BudgetGrant,
    BudgetHold,
    BudgetPeriod,
    BudgetRequest,
    BudgetTold,
)
from chat.models.conversations import Conversation
from chat.models.files import Attachment, ContextFile, FileBytes, FileState, Handing
from chat.models.ids import new_id
from chat.models.ledger import LedgerEntry, PendingCall
from chat.models.messages import Message, State
from chat.models.people import Draft
from chat.models.prices import Price
from chat.models.readings import Reading
from chat.models.rollups import Rollup, RollupKey, RollupState
from chat.models.sends import SendReceipt
from chat.models.shares import Share, ShareOpening, ShareVersion
from chat.models.teams import Membership
from chat.models.workers import Worker

__all__ = [
    "Agent",
    "Attachment",
    "AuditEvent",
    "Budget",
    "BudgetConsent",
    "BudgetGrant",
    "BudgetHold",
    "BudgetPeriod",
    "BudgetRequest",
    "BudgetTold",
    "ContextFile",
    "Conversation",
    "Draft",
    "FileBytes",
    "FileState",
    "Handing",
    "LedgerEntry",
    "Membership",
    "Message",
    "PendingCall",
    "Price",
    "Rollup",
    "RollupKey",
    "RollupState",
    "Reading",
    "SecretUnreadable",
    "SendReceipt",
    "Share",
    "ShareOpening",
    "ShareVersion",
    "State",
    "Worker",
    "new_id",
]
