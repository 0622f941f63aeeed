"""Rows, and who may see them. No I/O beyond the database, no announcements, no verbs."""

from __future__ import annotations

from chat.models.agents import Agent, SecretUnreadable
from chat.models.conversations import Conversation
from chat.models.ids import new_id
from chat.models.ledger import LedgerEntry
from chat.models.messages import Message, State
from chat.models.people import Draft
from chat.models.sends import SendReceipt
from chat.models.workers import Worker

__all__ = [
    "Agent",
    "Conversation",
    "Draft",
    "LedgerEntry",
    "Message",
    "SecretUnreadable",
    "SendReceipt",
    "State",
    "Worker",
    "new_id",
]
