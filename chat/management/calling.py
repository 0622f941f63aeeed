"""Calling agents from commands: prompts with files in them, calls that are timed and recorded,
answers as JSON. Prints nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.utils import timezone

from chat.actions import Refused
from chat.actions.calls import Call, hold, record_calls
from chat.agents import AgentError, AgentEvent, AgentRequest, Done, Limits, ReasoningDelta, TextDelta, Usage
from chat.agents.blocking import AgentResponse, BlockingClient, Cancellation, Status
from chat.agents.continuing import in_calls
from chat.agents.handlers import ResultHandler, raw
from chat.models import Agent
from chat.turns.allowance import Allowance
from chat.turns.places import Ticket

#: How many characters of a text file may be no text at all: none.
_BINARY = "\x00"


def prompt_of(question: str, files: Sequence[str], standard_input: TextIO) -> str:
    """The question with the files in front of it. Raises CommandError for what is no text, or too long.

    The marks around each file get a number that occurs in none of them, so that a file which
    contains such marks cannot pass for another.
    """
    texts = [(Path(name).name, _text_of(name, standard_input)) for name in files]
    number = 1
    while any(f"file-{number}" in text for _, text in (*texts, ("", question))):
        number += 1
    parts = [f'<file-{number} name="{name}">\n{text}\n</file-{number}>\n' for name, text in texts]
    prompt = "\n".join([*parts, question]).strip()
    size = len(prompt.encode("utf-8", "replace"))
    if not question.strip():
        raise CommandError("There is no question: give it as an argument, or on standard input.")
    if size > settings.LIMIT_PROMPT_BYTES:
        raise CommandError(f"{size} bytes are too long to ask; the limit is {settings.LIMIT_PROMPT_BYTES}.")
    return prompt


def _text_of(name: str, standard_input: TextIO) -> str:
    limit = settings.LIMIT_PROMPT_BYTES
    try:
        if name == "-":
            text = standard_input.read(limit + 1)
        else:
            with Path(name).open(encoding="utf-8-sig") as file:
                text = file.read(limit + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not text in UTF-8.") from None
    if _BINARY in text:
        raise CommandError(f"{name} is not text.")
    return text


class Purse:
    """What a command may use of budgets: an answer is held before it is asked for, and settled after. From
    whichever thread; `account`: the key of the person it counts for, if it is anybody's; `agreed`: soft
    budgets may be gone over."""

    def __init__(
        self, agent: Agent, *, username: str, purpose: str, agreed: bool, account: int | None = None
    ) -> None:
        self._agent, self._purpose, self._agreed = agent, purpose, agreed
        self._username, self._account = username, account
        self._settled = threading.Condition()
        self._running = 0
        #: Why nothing more is asked.
        self.refused: Refused | None = None

    def take(self, request: AgentRequest) -> str:
        """Hold what an answer may use. Where others of this command run, what they leave is waited for;
        else it is refused, and everything after it. Raises Refused."""
        with self._settled:
            while self.refused is None:
                try:
                    held = hold(
                        self._agent, request, username=self._username, account=self._account,
                        agreed=self._agreed,
                    )  # fmt: skip
                except Refused as refused:
                    if not self._running:
                        self.refused = refused
                        break
                    self._settled.wait()
                else:
                    self._running += 1
                    return held
            raise self.refused

    def settle(self, calls: list[Call], held: str) -> None:
        """Enter what was called for an answer."""
        try:
            record_calls(
                self._agent, calls, username=self._username, account=self._account,
                purpose=self._purpose, held=held,
            )  # fmt: skip
        finally:
            with self._settled:
                self._running -= 1
                self._settled.notify_all()
            if threading.current_thread() is not threading.main_thread():
                connections.close_all()  # a batch's thread keeps none while its agent writes


class RecordingClient(BlockingClient):
    """Holds what each answer may use, enters every call that was begun, and puts every whole answer of
    `chat` into `answers`, from whichever thread it was. Each call waits for a place of the agent's
    allowance."""

    def __init__(
        self, allowance: Allowance, ticket: Callable[[], Ticket], purse: Purse, *values: Any, **named: Any
    ) -> None:
        super().__init__(*values, **named)
        self._allowance, self._ticket, self._purse = allowance, ticket, purse
        self.answers: queue.SimpleQueue[AgentResponse] = queue.SimpleQueue()

    def stream(
        self, request: AgentRequest, cancellation: Cancellation | None = None
    ) -> Iterator[list[AgentEvent]]:
        """As its base's; raises Refused where a budget has no room."""
        ended, made = cancellation or Cancellation(), list[Call]()
        held = self._purse.take(request)
        try:
            yield from in_calls(
                request, lambda asked, limits: self._recorded(asked, ended, limits, made), self._limits,
                self._goes_on,
            )  # fmt: skip
        finally:
            self._purse.settle(made, held)

    def _recorded(
        self, request: AgentRequest, cancellation: Cancellation, limits: Limits, made: list[Call]
    ) -> Iterator[list[AgentEvent]]:
        with self._allowance.hold(self._ticket(), cancellation.sleep):
            if cancellation.cancelled:
                return
            response = AgentResponse(request, Status.CANCELLED)
            started_at, first_at = timezone.now(), None
            texts: list[str] = []
            thoughts: list[str] = []
            try:
                for events in self.call(request, cancellation, limits):
                    texts += [event.text for event in events if isinstance(event, TextDelta)]
                    thoughts += [event.text for event in events if isinstance(event, ReasoningDelta)]
                    if first_at is None and texts:
                        first_at = timezone.now()
                    if isinstance(done := events[-1], Done):
                        response = replace(
                            response, status=Status.SUCCESS, usage=done.usage, message_id=done.message_id
                        )
                    yield events
            except AgentError as error:
                response = replace(response, status=Status.ERROR, usage=error.usage, error=error)
                raise
            finally:
                first = int((first_at - started_at).total_seconds() * 1000) if first_at else None
                response = replace(response, text="".join(texts), reasoning="".join(thoughts))
                made.append(Call(response, started_at, timezone.now(), first))

    def chat(
        self, request: AgentRequest, handler: ResultHandler = raw, cancellation: Cancellation | None = None
    ) -> AgentResponse:
        """As its base's; what a budget has no room for is not asked (the purse knows why)."""
        try:
            response = super().chat(request, handler, cancellation)
        except Refused:
            return AgentResponse(request, Status.CANCELLED)
        self.answers.put(response)
        return response


def as_json(response: AgentResponse) -> dict[str, Any]:
    """A whole response; what was not reported is null."""
    error = response.error
    return {
        "status": str(response.status),
        "text": response.text,
        "result": response.result,
        "reasoning": response.reasoning,
        "stop_reason": response.stop_reason,
        "usage": _usage_json(response.usage),
        "conversation_id": response.conversation_id,
        "message_id": response.message_id,
        "continued": response.continued,
        "tool_calls": [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in response.tool_calls],
        "sources": [{"id": s.id, "title": s.title, "url": s.url, "kind": s.kind} for s in response.sources],
        "error": None if error is None else _error_json(error),
    }


def _usage_json(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "user": usage.user,
        "enrichment": usage.enrichment,
        "output": usage.output,
        "total": usage.total,
        "cached": usage.cached,
        "reasoning": usage.reasoning,
        "raw": dict(usage.raw) if usage.raw is not None else None,
    }


def _error_json(error: Exception) -> dict[str, Any]:
    if isinstance(error, AgentError):
        return {"code": error.code, "detail": error.detail, "status": error.status}
    return {"code": "result", "detail": str(error), "status": None}
