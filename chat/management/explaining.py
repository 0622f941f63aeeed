"""Every value that an agent's calls depend on, and where it comes from. A secret is said to be set
or not, and never a part of it. Prints nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from django.conf import settings

from chat import limits
from chat.actions.agents import secret_state
from chat.agents import stackspot
from chat.agents.configuration import NOT_APPLICABLE
from chat.models import Agent

#: Each limit of a call: the setting it comes from.
LIMITS: Final = {
    "connect": "STKWEB_CONNECT_SECONDS",
    "first_byte": "STKWEB_FIRST_BYTE_SECONDS",
    "idle": "STKWEB_IDLE_SECONDS",
    "total": "STKWEB_TURN_SECONDS",
    "event_bytes": "STKWEB_EVENT_BYTES",
    "answer_bytes": "STKWEB_ANSWER_BYTES",
}
_ROW: Final = (
    "kind", "base_url", "token_url", "agent_id", "client_id", "ca_bundle", "proxy", "on_length", "on_stop",
    "continue_times", "history_bytes", "requests_per_minute", "concurrent_streams", "enabled",
)  # fmt: skip
_STACKSPOT_DEFAULTS: Final = {
    "use_conversation": True, "stackspot_knowledge": False, "return_ks_in_response": True,
    "cumulative": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """One value as it is used. `source` is `row`, `default` or `env:NAME`."""

    name: str
    value: str
    source: str


def of_server() -> Iterator[Value]:
    """What holds for every agent. Raises ConfigurationError for a STKAI_* that cannot be used."""
    for explained in limits.sdk().explain():
        if explained.name not in NOT_APPLICABLE:
            yield Value(explained.name, explained.value, explained.source)
    for name, reason in NOT_APPLICABLE.items():
        yield Value(name, f"not applicable: {reason}", _sdk_source(name))
    effective = limits.of_agents()
    for field in fields(effective):
        variable = LIMITS.get(field.name)
        value = getattr(effective, field.name)
        yield Value(f"limit.{field.name}", f"{value:g}", _limit_source(field.name, variable))
    hosts = ", ".join(settings.AGENT_HOSTS) or "public addresses alone"
    yield Value("allowed_hosts", hosts, _source("STKWEB_AGENT_HOSTS"))


def of_agent(agent: Agent) -> Iterator[Value]:
    """What is the agent's own. Where its row says nothing, the default that is used instead."""
    for name in _ROW:
        value = getattr(agent, name)
        if (
            name == "requests_per_minute"
            and (found := limits.requests_per_minute(agent.kind, value)) != value
        ):
            yield Value(name, str(found), "env:STKAI_RATE_LIMIT_MAX_REQUESTS")
        elif value in ("", None):
            yield Value(name, _unset(name), "default")
        else:
            yield Value(name, str(value), "row")
    if agent.kind != Agent.Kind.DEMO:
        name = "client_secret" if agent.kind == Agent.Kind.STACKSPOT else "api_key"
        state = secret_state(agent)
        yield Value(name, "not set" if state == "none" else state, "default" if state == "none" else "row")
    yield from _options(agent)


def _options(agent: Agent) -> Iterator[Value]:
    defaults: dict[str, Any] = _STACKSPOT_DEFAULTS if agent.kind == Agent.Kind.STACKSPOT else {}
    if agent.kind == Agent.Kind.OPENAI:
        defaults = {"include_usage": True}
    for name in sorted({*defaults, *agent.options}):
        source = "row" if name in agent.options else "default"
        yield Value(f"option.{name}", str(agent.options.get(name, defaults.get(name))), source)


def _unset(name: str) -> str:
    if name == "base_url":
        return stackspot.DEFAULT_BASE_URL
    if name == "history_bytes":
        return str(settings.LIMIT_PROMPT_BYTES)
    return "no limit" if name in ("requests_per_minute", "concurrent_streams") else "-"


def _limit_source(name: str, variable: str | None) -> str:
    if name == "first_byte" and limits.first_byte_is_the_sdks():
        return "env:STKAI_AGENT_REQUEST_TIMEOUT"
    return _source(variable) if variable else "default"


def _sdk_source(name: str) -> str:
    """Whether a name of the SDK's, or one that begins like it, is set all the same."""
    variable = "STKAI_" + name.upper().replace(".", "_")
    found = [
        known for known, value in os.environ.items()
        if value and (known == variable or (variable.endswith("*") and known.startswith(variable[:-1])))
    ]  # fmt: skip
    return ", ".join(f"env:{known}" for known in sorted(found)) or "-"


def _source(variable: str) -> str:
    for name in (variable, f"{variable}_FILE"):
        if os.environ.get(name, "").strip():
            return f"env:{name}"
    return "default"
