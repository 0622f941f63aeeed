"""`manage.py ask`: one question, or a file of them, from the command line.

Text goes to standard output as it comes, everything about it to standard error. Each call is in the
ledger, under the name of whoever runs the command.
"""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from chat import faults, limits
from chat.actions import Refused
from chat.actions.beginning import config_of, rule_of
from chat.agents import (
    AgentError,
    AgentEvent,
    AgentRequest,
    Done,
    ReasoningDelta,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolsCalled,
)
from chat.agents.blocking import AgentResponse, Status
from chat.agents.continuing import GoesOn, at_most, never
from chat.agents.handlers import as_json as json_handler
from chat.agents.handlers import raw
from chat.management.arguments import named_agent, options_of, over_budget_argument, quoted, refusal
from chat.management.batch import Answers, Prompt, read_prompts
from chat.management.calling import Purse, RecordingClient, as_json, prompt_of
from chat.models import Agent, LedgerEntry
from chat.turns.allowance import open_allowance
from chat.turns.places import Ticket, key_of

#: What a terminal would take for an order.
_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
INTERRUPTED = 130
BAR = 30


class Command(BaseCommand):
    help = "Ask an agent a question, or every question of a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("agent", metavar="AGENT", help="its name, as `manage.py agent list` shows it")
        parser.add_argument("question", nargs="?", default="", help="- or nothing reads standard input")
        parser.add_argument("--file", action="append", default=[], metavar="FILE",
                            help="a text file to ask about; may be given several times")  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print the whole response as JSON")
        parser.add_argument("--result", choices=("text", "json"), default="text",
                            help="json: take the JSON out of the answer, also of a code block")  # fmt: skip
        parser.add_argument("--reasoning", action="store_true", help="show the reasoning too")
        parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                            help="an option of this kind of agent, for this question alone")  # fmt: skip
        parser.add_argument("--as", dest="username", default="", metavar="NAME",
                            help="who asks, for the ledger: an account's name counts for that "
                                 "person and team; default: the user of the system")  # fmt: skip
        over_budget_argument(parser)
        parser.add_argument("--batch", metavar="FILE", help="questions, one JSON text or object a line")
        parser.add_argument("--out", metavar="FILE", help="where their answers go, one JSON object a line")
        parser.add_argument("--workers", type=int, default=None, metavar="N",
                            help="questions at a time; default: STKAI_AGENT_MAX_WORKERS, or 8")  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        agent = named_agent(options["agent"])
        if not agent.enabled:
            raise CommandError(f"{agent.name} is disabled: manage.py agent enable {quoted(agent.name)}")
        username = options["username"] or getpass.getuser()
        purposes = LedgerEntry.Purpose
        named = get_user_model().objects.filter(username=options["username"]) if options["username"] else ()
        person = next(iter(named), None)
        self._purse = Purse(
            agent, username=username, account=person.pk if person else None, agreed=options["over_budget"],
            purpose=purposes.BATCH if options["batch"] else purposes.COMMAND,
        )  # fmt: skip
        try:
            config = config_of(agent)
            rule = rule_of(agent)
            allowance = open_allowance(settings.REDIS_URL)
            client = RecordingClient(
                allowance,
                lambda: Ticket(key_of(config), f"command:{username}", rule),
                self._purse,
                config,
                limits.of_agents(),
                policy=replace(limits.policy(), on_busy=partial(allowance.pause, key_of(config))),
                vet=limits.vet(),
                goes_on=self._goes_on(agent, options),
            )
        except Refused:
            raise CommandError(
                f"The secret of {agent.name} cannot be opened with the encryption key at hand."
            ) from None
        if bool(options["batch"]) != bool(options["out"]):
            raise CommandError("Give --batch and --out together.")
        if options["batch"]:
            self._batch(client, options)
        else:
            self._one(client, options)

    # -- one question ------------------------------------------------------------------------------

    def _one(self, client: RecordingClient, options: dict[str, Any]) -> None:
        question = options["question"]
        if question in ("", "-"):
            if "-" in options["file"]:
                raise CommandError("Standard input can be the question or a file, not both.")
            question = sys.stdin.read()
        request = AgentRequest(
            prompt_of(question, options["file"], sys.stdin), options=options_of(options["option"])
        )
        if options["json"] or options["result"] == "json":
            handler = json_handler if options["result"] == "json" else raw
            try:
                response = client.chat(request, handler)
            except KeyboardInterrupt:
                raise SystemExit(INTERRUPTED) from None
            self._check_budget()
            shown = as_json(response) if options["json"] else response.result
            if options["json"] or response.status is Status.SUCCESS:
                self.stdout.write(json.dumps(shown, indent=2))
        else:
            try:
                response = self._stream(client, request, options["reasoning"])
            except Refused as refused:
                raise CommandError(refusal(refused)) from None
        if response.status is not Status.SUCCESS:
            raise CommandError(_sentence(response))

    def _stream(self, client: RecordingClient, request: AgentRequest, reasoning: bool) -> AgentResponse:
        text, done = [], Done()
        sources: dict[str, str] = {}
        calls: tuple[ToolCall, ...] = ()
        status, error = Status.CANCELLED, None
        stream = cast(Generator[list[AgentEvent], None, None], client.stream(request))
        try:
            for events in stream:
                for event in events:
                    if isinstance(event, TextDelta):
                        text.append(event.text)
                        self._show(event.text)
                    elif isinstance(event, ReasoningDelta) and reasoning:
                        self._show(event.text, aside=True)
                    elif isinstance(event, SourcesFound):
                        sources |= {source.id: source.title for source in event.sources}
                    elif isinstance(event, ToolsCalled):
                        calls = event.calls
                    elif isinstance(event, Done):
                        done, status = event, Status.SUCCESS
        except AgentError as failure:
            status, error = Status.ERROR, failure
        except KeyboardInterrupt:
            stream.close()  # what has come stands, and is entered like everything else
        response = AgentResponse(
            request, status, text="".join(text), stop_reason=done.stop_reason,
            usage=error.usage if error else done.usage, message_id=done.message_id, error=error,
            tool_calls=calls, continued=done.continued,
        )  # fmt: skip
        self.stdout.write("")
        if status is Status.CANCELLED:
            raise SystemExit(INTERRUPTED)
        if status is Status.SUCCESS:
            self._tell(response, list(sources.values()))
        return response

    def _check_budget(self) -> None:
        """Raises CommandError where a budget had no room."""
        if self._purse.refused is not None:
            raise CommandError(refusal(self._purse.refused))

    def _goes_on(self, agent: Agent, options: dict[str, Any]) -> GoesOn:
        """What the agent's administrator decided of answers cut by their length; a person is asked where
        there is one."""
        if agent.on_length == Agent.OnLength.AUTO:
            return at_most(agent.continue_times)
        plain = not (options["json"] or options["batch"] or options["result"] == "json")
        asks = agent.on_length == Agent.OnLength.ASK and plain
        return self._ask_whether if asks and sys.stdin.isatty() and self.stdout.isatty() else never

    def _ask_whether(self, continued: int) -> bool:
        self.stderr.write(
            "\nThe answer was cut because of its length. Go on? [y/N] ", style_func=str, ending=""
        )
        self.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _show(self, text: str, *, aside: bool = False) -> None:
        stream = self.stderr if aside else self.stdout
        terminal = stream.isatty()
        stream.write(_ORDERS.sub("\ufffd", text) if terminal else text, style_func=str, ending="")
        stream.flush()

    def _tell(self, response: AgentResponse, sources: list[str]) -> None:
        lines = [f"Sources: {', '.join(sources)}"] if sources else []
        usage = response.usage
        if usage is None or usage.total is None:
            lines.append("Tokens: not reported")
        else:
            named = {"asked": usage.user, "knowledge": usage.enrichment, "answered": usage.output}
            parts = [f"{n} {name}" for name, n in named.items() if n is not None]
            lines.append(f"Tokens: {usage.total} ({', '.join(parts)})")
        lines += [f"Called: {call.name}({json.dumps(call.arguments)})" for call in response.tool_calls]
        if response.continued:
            lines.append(f"Cut because of its length, and continued {response.continued} times.")
        if response.stop_reason == "length":
            lines.append("The answer was cut because of its length.")
        for line in lines:
            self.stderr.write(_ORDERS.sub("\ufffd", line), style_func=str)

    # -- many questions ----------------------------------------------------------------------------

    def _batch(self, client: RecordingClient, options: dict[str, Any]) -> None:
        workers = limits.sdk()["agent.max_workers"] if options["workers"] is None else options["workers"]
        if workers < 1:
            raise CommandError("--workers must be at least 1.")
        if options["question"] or options["file"]:
            raise CommandError("With --batch, the questions are in the file alone.")
        handler = json_handler if options["result"] == "json" else raw
        prompts = read_prompts(options["batch"], options_of(options["option"]))
        with Answers(options["out"], prompts) as answers:
            missing = answers.missing
            by_request = {id(prompt.request): prompt for prompt in missing}
            progress = _Progress(self.stderr, len(prompts), len(prompts) - len(missing))

            def drain(*_told: object) -> None:
                while not client.answers.empty():
                    _keep(client.answers.get(), by_request, answers, progress)

            try:
                client.chat_many(
                    [prompt.request for prompt in missing], handler,
                    workers=workers, on_progress=drain,
                )  # fmt: skip
            except KeyboardInterrupt:
                drain()
                progress.end()
                self.stderr.write("Interrupted. What was answered is kept; the same command goes on.")
                raise SystemExit(INTERRUPTED) from None
            drain()
            progress.end()
        self._check_budget()
        if progress.failed:
            raise CommandError(
                f"{progress.failed} of {len(prompts)} failed. The same command asks those again."
            )


def _keep(
    response: AgentResponse, by_request: dict[int, Prompt], answers: Answers, progress: _Progress
) -> None:
    if response.status is not Status.CANCELLED:
        answers.add(by_request[id(response.request)], response)
        progress.add(response.status is Status.SUCCESS)


class _Progress:
    """A bar on a terminal; one line at the end elsewhere."""

    def __init__(self, stream: Any, total: int, done: int) -> None:
        self._stream = stream
        self._total, self._done, self._before = total, done, done
        self._started = time.monotonic()
        self.failed = 0
        self._draw()

    def add(self, good: bool) -> None:
        self._done += 1
        self.failed += not good
        self._draw()

    def _line(self) -> str:
        share = self._done / self._total if self._total else 1.0
        filled = round(BAR * share)
        seconds = time.monotonic() - self._started
        here = self._done - self._before
        left = f", {seconds / here * (self._total - self._done):.0f} s left" if here else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"[{'#' * filled}{'.' * (BAR - filled)}] {self._done} of {self._total}{failed}{left}"

    def _draw(self) -> None:
        if self._stream.isatty():
            self._stream.write(f"\r{self._line()}\x1b[K", style_func=str, ending="")
            self._stream.flush()

    def end(self) -> None:
        """Nothing more comes."""
        if self._stream.isatty():
            self._stream.write("")
        else:
            self._stream.write(self._line(), style_func=str)


def _sentence(response: AgentResponse) -> str:
    error = response.error
    if not isinstance(error, AgentError):
        return str(error or "The answer was cancelled.")
    said = faults.text_of(error.code)["sentence"]
    return f"{said} ({error.code}{f': {error.detail}' if error.detail else ''})"
