"""What is wrong with an agent: {field: sentences}, once for every door, before it is saved.

It asks nobody: an agent that passes may still be unreachable (`manage.py agent test`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from chat.actions.addresses import proxy_problem, url_problem
from chat.agents import AgentConfig, AgentError, AgentRequest, openai, stackspot
from chat.models import Agent

#: A secret is a line; a file above this many bytes is another file.
SECRET_BYTES = 8 * 1024

_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,120}")
_KNOWN_OPTIONS: Mapping[str, frozenset[str]] = {
    Agent.Kind.STACKSPOT: stackspot.OPTIONS | {"upload_base_url"},
    Agent.Kind.OPENAI: openai.OPTIONS,
    Agent.Kind.DEMO: frozenset({"pace", "first_after"}),
}


def check_agent(agent: Agent, *, secret: str = "") -> None:
    """Raises ValidationError {field: sentences} for an agent that could never answer.

    `secret` is a new one; without it the row's own counts.
    """
    errors: dict[str, Any] = {}
    try:
        agent.full_clean(exclude=["public_id", "sealed_secret"])
    except ValidationError as exc:
        errors.update(exc.update_error_dict({}))
    errors.update(problems(agent, secret=secret))
    if errors:
        raise ValidationError(errors)


def problems(agent: Agent, *, secret: str = "") -> dict[str, Any]:
    """What is wrong with an agent beyond what its fields say by themselves: {field: sentences}."""
    errors: dict[str, Any] = {}
    if not agent.name.isprintable():
        errors["name"] = _("A name is text on one line.")
    errors.update(_wrong_options(agent))
    if agent.kind == Agent.Kind.STACKSPOT:
        errors.update(_wrong_stackspot(agent, secret))
    elif agent.kind == Agent.Kind.OPENAI:
        errors.update(_wrong_openai(agent, secret))
    return errors


def check_secret(secret: str) -> None:
    """Raises ValidationError for what cannot be a client secret or an API key."""
    if not secret or secret != secret.strip():
        raise ValidationError({"secret": _("Give the client secret; it must not be empty.")})
    if len(secret.encode()) > SECRET_BYTES or not secret.isprintable():
        raise ValidationError({"secret": _("This is not a client secret: it is one line of text.")})


def _wrong_stackspot(agent: Agent, secret: str) -> dict[str, Any]:
    errors = _wrong_network(agent, "base_url", "token_url")
    if not _AGENT_ID.fullmatch(agent.agent_id):
        errors["agent_id"] = _(
            "An agent id is letters, digits, dash and underscore, as the agent's page shows it."
        )
    if not agent.client_id or not agent.client_id.isprintable():
        errors["client_id"] = _("Give the client id that belongs to the secret.")
    if secret or not agent.sealed_secret:
        errors.update(_wrong_secret(secret))
    return errors


def _wrong_openai(agent: Agent, secret: str) -> dict[str, Any]:
    """Servers in one's own house often need no key, so that none is no error."""
    errors = _wrong_network(agent, "base_url")
    if not agent.agent_id.strip() or not agent.agent_id.isprintable():
        errors["agent_id"] = _("Give the model's name, as the server lists it under /v1/models.")
    if agent.client_id or agent.token_url:
        field = "client_id" if agent.client_id else "token_url"
        errors[field] = _("An OpenAI-compatible server has a key alone: leave this empty.")
    if secret:
        errors.update(_wrong_secret(secret))
        if not secret.isascii():
            errors["secret"] = _("This is not an API key: it is one line of plain letters.")
    return errors


def _wrong_secret(secret: str) -> dict[str, Any]:
    try:
        check_secret(secret)
    except ValidationError as exc:
        return {"secret": exc.messages}
    return {}


def _wrong_network(agent: Agent, *urls: str) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    for field in urls:
        problem = url_problem(getattr(agent, field))
        if problem:
            errors[field] = problem
    if agent.ca_bundle and not Path(agent.ca_bundle).is_file():
        errors["ca_bundle"] = _("There is no such file on the server.")
    problem = proxy_problem(agent.proxy)
    if problem:
        errors["proxy"] = problem
    return errors


def _wrong_options(agent: Agent) -> dict[str, str]:
    errors = {}
    if not isinstance(agent.options, dict):
        errors["options"] = _("Options are a JSON object, for example {}.")
    elif unknown := set(agent.options) - _KNOWN_OPTIONS.get(agent.kind, frozenset()):
        errors["options"] = _("Unknown option %(names)s. There are: %(known)s.") % {
            "names": ", ".join(sorted(unknown)),
            "known": ", ".join(sorted(_KNOWN_OPTIONS[agent.kind])),
        }
    elif problem := _option_problem(agent):
        errors["options"] = problem
    if not isinstance(agent.examples, list) or not all(isinstance(text, str) for text in agent.examples):
        errors["examples"] = _('Example questions are a JSON list of texts, for example ["How do I …?"].')
    return errors


def _option_problem(agent: Agent) -> str:
    """What the client itself says of the options: the name and the range; empty when it takes them."""
    checks: dict[str, Callable[[AgentConfig, AgentRequest], Any]] = {
        Agent.Kind.STACKSPOT: stackspot.payload_of,
        Agent.Kind.OPENAI: _openai_payload,
    }
    check = checks.get(agent.kind)
    if check is None:
        return ""
    kind: Any = agent.kind
    config = AgentConfig(
        kind, agent.name, base_url="https://host", agent_id="any", options=agent.options
    )  # what else is wrong with it is said field by field
    try:
        check(config, AgentRequest("any"))
    except AgentError as error:
        return error.detail
    return ""


def _openai_payload(config: AgentConfig, request: AgentRequest) -> None:
    openai.OpenAIEndpoint(config)
    openai.payload_of(config, request)
