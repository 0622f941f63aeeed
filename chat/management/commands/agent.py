"""`manage.py agent`: agents from the command line. A secret is read from a file, never an argument."""

from __future__ import annotations

import asyncio
import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from chat import limits
from chat.actions import Refused
from chat.actions import agents as verbs
from chat.actions.beginning import config_of
from chat.actions.calls import Call, hold, record_calls
from chat.agents import AgentRequest
from chat.agents.blocking import AgentResponse
from chat.agents.configuration import ConfigurationError
from chat.agents.presets import PRESETS
from chat.agents.probe import QUESTION, probe
from chat.management.arguments import named_agent, options_of, over_budget_argument, quoted, refusal
from chat.management.explaining import of_agent, of_server
from chat.models import Agent, LedgerEntry

EXAMPLE = (
    "manage.py agent add Architect --kind stackspot --realm REALM --agent-id ID"
    " --client-id ID --client-secret-file FILE"
)


class Command(BaseCommand):
    help = "Add, list, test, explain, disable and enable agents; replace a secret; encrypt all secrets anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        # No abbreviations: --client-secret must not be taken for --client-secret-file.
        self._add_arguments(commands.add_parser("add", help=f"for example: {EXAMPLE}", allow_abbrev=False))
        commands.add_parser("list", help="every agent, and whether it can be asked")
        for name, does in (
            ("test", "ask one question and say, step by step, what works"),
            ("disable", "take it out of people's choice; answers that run go on"),
            ("enable", "put it back"),
        ):
            command = commands.add_parser(name, help=does)
            command.add_argument("name", metavar="NAME")
            if name == "test":
                over_budget_argument(command)
        secret = commands.add_parser("secret", help="replace the client secret", allow_abbrev=False)
        secret.add_argument("name", metavar="NAME")
        _secret_argument(secret)
        explain = commands.add_parser("explain", help="every value in use, and where it comes from")
        explain.add_argument(
            "name", metavar="NAME", nargs="?", help="an agent; without it, what holds for all"
        )
        commands.add_parser("reseal", help="encrypt every secret with the newest of the encryption keys")

    def _add_arguments(self, add: ArgumentParser) -> None:
        add.add_argument("name", metavar="NAME", help="as people will see it")
        add.add_argument("--kind", choices=Agent.Kind.values, default=Agent.Kind.STACKSPOT)
        where = add.add_mutually_exclusive_group()
        where.add_argument("--agent-id", default="", metavar="ID", help="as the agent's page shows it")
        where.add_argument("--model", default="", help="the model of an OpenAI-compatible server")
        add.add_argument("--preset", choices=sorted(PRESETS), default="", help="what such a server needs")
        add.add_argument("--base-url", default="", metavar="URL", help="default: StackSpot's own")
        token = add.add_mutually_exclusive_group()
        token.add_argument("--token-url", default="", metavar="URL")
        token.add_argument("--realm", default="", help="the account's realm; makes StackSpot's token URL")
        add.add_argument("--client-id", default="", metavar="ID")
        _secret_argument(add)
        add.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="an option of this kind of agent (docs/agents.md); VALUE is JSON, or else text",
        )
        add.add_argument("--continue", dest="on_length", choices=Agent.OnLength.values,
                         default=Agent.OnLength.ASK, help="answers that are cut by their length")  # fmt: skip
        for name, does in (
            ("continue-times", "how often at most, with --continue auto"),
            ("history-bytes", "earlier messages that go along; default: STKWEB_PROMPT_BYTES"),
            ("requests-per-minute", "calls to this address with this credential, in all processes"),
            ("concurrent-streams", "answers at the same time, likewise"),
        ):
            add.add_argument(f"--{name}", type=int, default=None, metavar="N", help=does)
        add.add_argument("--description", default="", help="one line, shown beside the name")
        add.add_argument(
            "--example",
            action="append",
            default=[],
            metavar="TEXT",
            help="a question to begin with; up to three",
        )
        add.add_argument("--ca-bundle", default="", metavar="FILE", help="certificates to trust, PEM")
        add.add_argument("--proxy", default="", metavar="URL")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        try:
            getattr(self, f"_{command}")(options)
        except ValidationError as exc:
            raise CommandError(_sentences(exc)) from None

    # -- the commands ------------------------------------------------------------------------------

    def _add(self, options: dict[str, Any]) -> None:
        realm = options["realm"]
        secret = _secret_of(options)
        numbers = ("continue_times", "history_bytes", "requests_per_minute", "concurrent_streams")
        agent = verbs.add_agent(
            name=options["name"],
            kind=options["kind"],
            preset=options["preset"],
            secret=secret,
            options=options_of(options["option"]),
            on_length=options["on_length"],
            **{name: options[name] for name in numbers if options[name] is not None},
            base_url=options["base_url"],
            token_url=verbs.token_url_of(realm) if realm else options["token_url"],
            agent_id=options["agent_id"] or options["model"],
            client_id=options["client_id"],
            description=options["description"],
            examples=options["example"][:3],
            ca_bundle=options["ca_bundle"],
            proxy=options["proxy"],
        )
        self.stdout.write(f"{agent.name} was added. Try it: manage.py agent test {quoted(agent.name)}")

    def _list(self, options: dict[str, Any]) -> None:
        lines = [("NAME", "KIND", "STATE", "SECRET", "AGENT ID", "BASE URL")]
        lines += [
            (
                agent.name,
                agent.kind,
                "enabled" if agent.enabled else "disabled",
                "-" if agent.kind == Agent.Kind.DEMO else verbs.secret_state(agent),
                agent.agent_id or "-",
                agent.base_url or "-",
            )
            for agent in Agent.objects.all()
        ]
        self._table(lines)

    def _explain(self, options: dict[str, Any]) -> None:
        try:
            values = list(of_server())
        except ConfigurationError as error:
            raise CommandError(str(error)) from None
        if options["name"]:
            # What the SDK would ask of its environment, an agent's row answers.
            rest = [value for value in values if not value.name.startswith(("auth.", "agent.base_url"))]
            values = [*of_agent(named_agent(options["name"])), *rest]
        self._table([("NAME", "VALUE", "FROM"), *((v.name, v.value, v.source) for v in values)])

    def _table(self, lines: Sequence[tuple[str, ...]]) -> None:
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _test(self, options: dict[str, Any]) -> None:
        agent = named_agent(options["name"])
        try:
            config = config_of(agent)
        except Refused:
            raise CommandError(
                f"The secret of {agent.name} cannot be opened with the encryption key at hand."
                f" Give it once more: manage.py agent secret {quoted(agent.name)} --client-secret-file FILE"
            ) from None
        calls: list[Call] = []
        username = getpass.getuser()
        try:
            held = hold(agent, AgentRequest(QUESTION), username=username, agreed=options["over_budget"])
        except Refused as refused:
            raise CommandError(refusal(refused)) from None
        try:
            works = asyncio.run(self._probe(config, calls))
        finally:
            record_calls(agent, calls, username=username, purpose=LedgerEntry.Purpose.TEST, held=held)
        if not works:
            raise CommandError(f"{agent.name} cannot be asked. See the advice above.")
        state = "" if agent.enabled else " It is disabled: manage.py agent enable " + quoted(agent.name)
        self.stdout.write(f"{agent.name} answers.{state}")

    async def _probe(self, config: Any, calls: list[Call]) -> bool:
        works, started_at = True, timezone.now()

        def told(response: AgentResponse, first_ms: int | None) -> None:
            calls.append(Call(response, started_at, timezone.now(), first_ms))

        async for step in probe(config, limits.of_agents(), vet=limits.vet(), told=told):
            mark = {True: "ok", False: "FAILED", None: "-"}[step.ok]
            self.stdout.write(f"  {step.name:<11} {mark:<7} {step.ms:>6} ms  {step.detail}".rstrip())
            if step.advice:
                self.stdout.write(f"  {'':<11} -> {step.advice}")
            works = works and step.ok is not False
        return works

    def _disable(self, options: dict[str, Any]) -> None:
        agent = named_agent(options["name"])
        verbs.set_enabled(agent, False)
        self.stdout.write(f"{agent.name} is disabled: nobody can choose it. Conversations with it stay.")

    def _enable(self, options: dict[str, Any]) -> None:
        agent = named_agent(options["name"])
        verbs.set_enabled(agent, True)
        self.stdout.write(f"{agent.name} is enabled.")

    def _secret(self, options: dict[str, Any]) -> None:
        agent = named_agent(options["name"])
        verbs.replace_secret(agent, _read_secret(options["client_secret_file"]))
        self.stdout.write(f"The secret of {agent.name} was replaced; the next question uses it.")

    def _reseal(self, options: dict[str, Any]) -> None:
        done, unreadable = verbs.reseal_all()
        self.stdout.write(f"{len(done)} secrets are encrypted with the newest key.")
        if unreadable:
            raise CommandError(
                f"No key at hand opens the secret of: {', '.join(unreadable)}."
                " Put the former key back behind the new one in STKWEB_ENCRYPTION_KEYS, or give these"
                " secrets once more with `manage.py agent secret`. Do not drop the old key yet."
            )


def _secret_of(options: dict[str, Any]) -> str:
    """The secret that this kind of agent needs; raises CommandError for what belongs to another."""
    kind, preset = options["kind"], options["preset"]
    for name, owner in (("realm", Agent.Kind.STACKSPOT), ("preset", Agent.Kind.OPENAI)):
        if options[name] and kind != owner:
            raise CommandError(f"--{name} belongs to --kind {owner}.")
    if kind == Agent.Kind.DEMO:
        return ""
    if kind == Agent.Kind.STACKSPOT:
        if not (options["realm"] or options["token_url"]):
            raise CommandError("Say where tokens come from: --realm REALM, or --token-url URL.")
        return _read_secret(options["client_secret_file"])
    path = options["client_secret_file"]
    if path is None and preset and PRESETS[preset].needs_key:
        raise CommandError("Say where the API key is: --api-key-file FILE, or - to type or pipe it.")
    return _read_secret(path) if path is not None else ""


def _secret_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--client-secret-file",
        "--api-key-file",
        dest="client_secret_file",
        metavar="FILE",
        default=None,
        help="file that holds the client secret or API key; - reads standard input, or asks at a terminal",
    )


def _read_secret(path: str | None) -> str:
    """The secret in a file, from standard input, or typed without being shown."""
    if path is None:
        raise CommandError(
            "Say where the client secret is: --client-secret-file FILE, or - to type or pipe it."
            " It is not taken as an argument, because every user of this machine could read it there."
        )
    if path == "-":
        return getpass.getpass("Client secret: ") if sys.stdin.isatty() else sys.stdin.read(10_000).strip()
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(10_000).strip()
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not text, so it is not a client secret.") from None


def _sentences(exc: ValidationError) -> str:
    """Each field under the name of its option."""
    model = "model" in exc.message_dict.get("agent_id", [""])[0]
    options = {"name": "NAME", "secret": "--client-secret-file", "options": "--option", "__all__": ""}
    if model:
        options["agent_id"] = "--model"
    lines = []
    for field, messages in exc.message_dict.items():
        option = options.get(field, "--" + field.replace("_", "-"))
        lines += [f"{option}: {message}".removeprefix(": ") for message in messages]
    return "\n".join(lines)
