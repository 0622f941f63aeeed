"""Rows, and who may see them. No I/O beyond the database, no announcements, no verbs."""

from __future__ import annotations

from chat.models.agents import Agent, SecretUnreadable
from chat.models.audit_log import AuditEvent
from chat.models.conversations import Conversation
from chat.models.ids import new_id
from chat.models.ledger import LedgerEntry
from chat.models.messages import Message, State
from chat.models.people import Draft
from chat.models.sends import SendReceipt
from chat.models.shares import Share, ShareOpening, ShareVersion
from chat.models.workers import Worker

__all__ = [
    "Agent",
    "AuditEvent",
    "Conversation",
    "Draft",
    "LedgerEntry",
    "Message",
    "SecretUnreadable",
    "SendReceipt",
    "Share",
    "ShareOpening",
    "ShareVersion",
    "State",
    "Worker",
    "new_id",
]
