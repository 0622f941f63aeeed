"""Continuing an answer that the agent cut because it was long: what is asked, and how often.

Knows no rows and does no I/O: the runner asks, the ledger counts each call by itself.
"""

from __future__ import annotations

from dataclasses import replace

from chat.agents import AgentRequest, Done, HistoryMessage

#: Asked of the agent when an answer that was cut is to go on.
CONTINUE = (
    "Your last answer was cut off. Continue it exactly where it stopped, in the same language and form."
    " Do not repeat anything and do not comment on the interruption."
)

#: What agents call the end of an answer that was too long for them.
LENGTH = "length"


def continuation(first: AgentRequest, text: str, done: Done) -> AgentRequest:
    """What is asked after `text`, which came of `first` and ended with `done`.

    An agent that remembers the conversation is only asked to go on; any other is told the question
    and all of the answer so far.
    """
    if done.conversation_id:
        return replace(
            first, prompt=CONTINUE, history=(), conversation_id=done.conversation_id, upload_ids=()
        )
    told = (*first.history, HistoryMessage("user", first.prompt), HistoryMessage("assistant", text))
    return replace(first, prompt=CONTINUE, history=told, conversation_id=None)


__all__ = ["CONTINUE", "LENGTH", "continuation"]
