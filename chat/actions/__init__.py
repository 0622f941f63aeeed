"""The verbs that write: check, write, record, announce on commit. Every door calls these.

A verb takes the person first and reaches rows only through `visible_to`. It raises Refused with a
code of chat/faults.py and then has changed nothing.
"""

from __future__ import annotations

from chat.actions.asking import Sent, ask, continue_answer, retry
from chat.actions.branching import show
from chat.actions.keeping import delete, mark_read, rename, restore, save_draft
from chat.actions.refusals import Refused
from chat.actions.stopping import stop
from chat.actions.tool_outputs import Taken, add_tool_output

__all__ = [
    "Refused",
    "Sent",
    "Taken",
    "add_tool_output",
    "ask",
    "continue_answer",
    "delete",
    "mark_read",
    "rename",
    "restore",
    "retry",
    "save_draft",
    "show",
    "stop",
]
