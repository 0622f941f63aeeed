"""What several commands take as arguments: an agent by its name, options as NAME=VALUE, leave to go over a
soft budget; and what they say when a budget holds them back.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from chat import faults
from chat.actions import Refused
from chat.models import Agent


def named_agent(name: str) -> Agent:
    """The agent called `name`; raises CommandError that names those there are."""
    agent = Agent.objects.filter(name=name).first()
    if agent is None:
        known = ", ".join(quoted(n) for n in Agent.objects.values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no agent {quoted(name)}. There are: {known}.")
    return agent


def quoted(name: str) -> str:
    """A name as it is typed."""
    return f'"{name}"' if " " in name else name


def options_of(given: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is no JSON is text. Raises CommandError."""
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise CommandError(f"Give an option as --option NAME=VALUE, not as {pair!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def over_budget_argument(parser: ArgumentParser) -> None:
    """--over-budget."""
    parser.add_argument(
        "--over-budget", action="store_true", help="go over soft budgets; the audit log keeps that"
    )


def refusal(refused: Refused) -> str:
    """Why a budget has no room, when it begins anew, whom to ask, and what else may be done."""
    said = faults.text_of(refused.code, params=refused.params)["sentence"]
    soft = " Give --over-budget to confirm that." if refused.code == "budget_over" else ""
    return f"{said}{soft} Ask {refused.params['contact']} for more. ({refused.code})"
