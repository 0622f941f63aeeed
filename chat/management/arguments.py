"""What several commands take as arguments: an agent by its name, options as NAME=VALUE."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError

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
