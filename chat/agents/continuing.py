"""Continuing an answer that the agent cut because it was long: what is asked, and how often.

No I/O: whoever calls decides whether it goes on, and counts each call by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from .errors import AgentError
from .values import (
    AgentEvent,
    AgentRequest,
    Done,
    HistoryMessage,
    Limits,
    TextDelta,
    ToolsCalled,
    Usage,
)

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
            first, prompt=CONTINUE, history=(), conversation_id=done.conversation_id, upload_ids=(),
            files=(), attempts=[],
        )  # fmt: skip
    question = HistoryMessage("user", first.prompt, files=first.files)
    told = (*first.history, question, HistoryMessage("assistant", text))
    return replace(first, prompt=CONTINUE, history=told, conversation_id=None, files=(), attempts=[])


def sum_of(calls: Sequence[Usage | None]) -> Usage | None:
    """What several calls used together. What none of them reported stays None; `raw` has each call's."""
    if len(calls) == 1:
        return calls[0]
    known = [usage for usage in calls if usage is not None]
    if not known:
        return None
    counts = {}
    for name in ("user", "enrichment", "output", "cached", "reasoning"):
        reported = [n for usage in known if (n := getattr(usage, name)) is not None]
        counts[name] = sum(reported) if reported else None
    return Usage(**counts, raw={"calls": [usage and usage.raw for usage in calls]})


#: Whether an answer that its length cut off goes on, when it did so this often already.
GoesOn = Callable[[int], bool]
OneCall = Callable[[AgentRequest, Limits], Iterator[list[AgentEvent]]]


def never(continued: int) -> bool:
    """An answer that was cut off stays as it is."""
    return False


def at_most(times: int) -> GoesOn:
    """An answer that was cut off goes on by itself, this often at most."""
    return lambda continued: continued < times


def in_calls(
    request: AgentRequest, call: OneCall, limits: Limits, goes_on: GoesOn
) -> Iterator[list[AgentEvent]]:
    """The events of one answer, for which `call` is made as often as `goes_on` wants.

    Ends after one `Done` with the usage of all calls, or as `call` does, whose AgentError then has it.
    The calls share the time and the bytes of one.
    """
    until = time.monotonic() + limits.total
    room = limits.answer_bytes
    texts: list[str] = []
    spent: list[Usage | None] = []
    asked = request
    while True:
        left = replace(limits, total=max(until - time.monotonic(), 0.001))
        parts: list[str] = []
        done, called = None, False
        try:
            for events in call(asked, left):
                parts += [event.text for event in events if isinstance(event, TextDelta)]
                called = called or any(isinstance(event, ToolsCalled) for event in events)
                if isinstance(events[-1], Done):
                    done = events[-1]
                    events = events[:-1]
                if events:
                    yield events
        except AgentError as error:
            error.usage = sum_of([*spent, error.usage])
            if not spent or error.code != "empty_answer":
                raise
            # Who is asked to go on and has no more to say has answered.
            yield [Done(LENGTH, error.usage, continued=len(spent))]
            return
        if done is None:
            return
        said = "".join(parts)
        texts.append(said)
        room -= len(said.encode("utf-8", "replace"))
        cut = done.stop_reason == LENGTH and bool(said) and not called
        if not (cut and room > 0 and time.monotonic() < until and goes_on(len(spent))):
            yield [replace(done, usage=sum_of([*spent, done.usage]), continued=len(spent))]
            return
        spent.append(done.usage)
        asked = continuation(request, "".join(texts), done)
