"""Setting agents up: add, change, switch off and on, a new secret, a new encryption key.

These are administrators' verbs. Whoever may not call them is stopped by the door; what is wrong
with an agent is said here, once for every door, as a ValidationError {field: sentences}.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from chat.agents.stackspot import DEFAULT_BASE_URL, DEFAULT_TOKEN_URL, OPTIONS
from chat.models import Agent, SecretUnreadable
from chat.models.secrets import reseal
from chat.threads import write_transaction

log = logging.getLogger(__name__)

#: A client secret is a line; a file above this many bytes is another file.
SECRET_BYTES = 8 * 1024

_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,120}")
_REALM = re.compile(r"[A-Za-z0-9._-]{1,80}")


def token_url_of(realm: str) -> str:
    """StackSpot's token URL for an account's realm. Raises ValidationError."""
    if not _REALM.fullmatch(realm):
        raise ValidationError({"realm": _("A realm is one word: letters, digits, dot, dash, underscore.")})
    return DEFAULT_TOKEN_URL.format(realm=realm)


def add_agent(*, name: str, kind: str, secret: str = "", **fields: Any) -> Agent:
    """A new, enabled agent. `fields` are those of the row. Raises ValidationError."""
    agent = Agent(name=" ".join(name.split()), kind=kind, **fields)
    if kind == Agent.Kind.STACKSPOT and not agent.base_url:
        agent.base_url = DEFAULT_BASE_URL
    check_agent(agent, secret=secret)
    agent.set_secret(secret)
    with write_transaction():
        agent.save(force_insert=True)
    log.info("agent %r was added", agent.name)
    return agent


def set_enabled(agent: Agent, enabled: bool) -> None:
    """Let people choose it, or not; answers that run go on."""
    with write_transaction():
        Agent.objects.filter(pk=agent.pk).update(enabled=enabled)
    log.info("agent %r was %s", agent.name, "enabled" if enabled else "disabled")


def replace_secret(agent: Agent, secret: str) -> None:
    """Another client secret, from the next question on. Raises ValidationError."""
    check_secret(secret)
    agent.set_secret(secret)
    with write_transaction():
        Agent.objects.filter(pk=agent.pk).update(sealed_secret=agent.sealed_secret)
    log.info("the secret of agent %r was replaced", agent.name)


def reseal_all() -> tuple[list[str], list[str]]:
    """Encrypt every secret anew with the newest key; names of the agents (resealed, unreadable).

    One transaction: either all that can be opened are under the newest key, or nothing changed.
    """
    done, unreadable = [], []
    with write_transaction():
        for agent in Agent.objects.exclude(sealed_secret="").select_for_update():
            try:
                agent.secret()
                sealed = reseal(agent.sealed_secret)
            except SecretUnreadable:
                unreadable.append(agent.name)
                continue
            Agent.objects.filter(pk=agent.pk).update(sealed_secret=sealed)
            done.append(agent.name)
    return done, unreadable


def secret_state(agent: Agent) -> str:
    """`none`, `set`, or `unreadable` with the keys at hand; never a part of it."""
    if not agent.sealed_secret:
        return "none"
    try:
        agent.secret()
    except SecretUnreadable:
        return "unreadable"
    return "set"


def from_environment(values: Mapping[str, str]) -> tuple[Agent | None, list[str]]:
    """The agent that STACKSPOT_* describe, unless there is one with its id: (agent, what is missing).

    `values` is settings.FIRST_AGENT. Raises ValidationError when they are complete and wrong.
    """
    if not values["STACKSPOT_AGENT_ID"]:
        return None, []
    if Agent.objects.filter(kind=Agent.Kind.STACKSPOT, agent_id=values["STACKSPOT_AGENT_ID"]).exists():
        return None, []
    missing = [name for name in ("STACKSPOT_CLIENT_ID", "STACKSPOT_CLIENT_SECRET") if not values[name]]
    if not values["STACKSPOT_REALM"] and not values["STKAI_AUTH_TOKEN_URL"]:
        missing.append("STACKSPOT_REALM")
    if missing:
        return None, missing
    token_url = values["STKAI_AUTH_TOKEN_URL"] or token_url_of(values["STACKSPOT_REALM"])
    agent = add_agent(
        name=_free_name("StackSpot"),
        kind=Agent.Kind.STACKSPOT,
        secret=values["STACKSPOT_CLIENT_SECRET"],
        base_url=values["STKAI_AGENT_BASE_URL"],
        token_url=token_url,
        agent_id=values["STACKSPOT_AGENT_ID"],
        client_id=values["STACKSPOT_CLIENT_ID"],
        position=50,  # before the demo agent: the first one is a new conversation's
    )
    return agent, []


def _free_name(name: str) -> str:
    taken = set(Agent.objects.values_list("name", flat=True))
    numbered = (f"{name} {n}" for n in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)


# -- what is wrong with an agent -------------------------------------------------------------------


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
    return errors


def check_secret(secret: str) -> None:
    """Raises ValidationError for what cannot be a client secret."""
    if not secret or secret != secret.strip():
        raise ValidationError({"secret": _("Give the client secret; it must not be empty.")})
    if len(secret.encode()) > SECRET_BYTES or not secret.isprintable():
        raise ValidationError({"secret": _("This is not a client secret: it is one line of text.")})


def _wrong_stackspot(agent: Agent, secret: str) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    for field in ("base_url", "token_url"):
        problem = url_problem(getattr(agent, field))
        if problem:
            errors[field] = problem
    if not _AGENT_ID.fullmatch(agent.agent_id):
        errors["agent_id"] = _(
            "An agent id is letters, digits, dash and underscore, as the agent's page shows it."
        )
    if not agent.client_id or not agent.client_id.isprintable():
        errors["client_id"] = _("Give the client id that belongs to the secret.")
    if secret or not agent.sealed_secret:
        try:
            check_secret(secret)
        except ValidationError as exc:
            errors["secret"] = exc.messages
    if agent.ca_bundle and not Path(agent.ca_bundle).is_file():
        errors["ca_bundle"] = _("There is no such file on the server.")
    if agent.proxy and urlsplit(agent.proxy).scheme not in ("http", "https"):
        errors["proxy"] = _("Give the proxy as http://host:port.")
    return errors


def _wrong_options(agent: Agent) -> dict[str, str]:
    errors = {}
    if not isinstance(agent.options, dict):
        errors["options"] = _("Options are a JSON object, for example {}.")
    elif agent.kind == Agent.Kind.STACKSPOT and (unknown := set(agent.options) - OPTIONS):
        errors["options"] = _("Unknown option %(names)s. There are: %(known)s.") % {
            "names": ", ".join(sorted(unknown)),
            "known": ", ".join(sorted(OPTIONS)),
        }
    if not isinstance(agent.examples, list) or not all(isinstance(text, str) for text in agent.examples):
        errors["examples"] = _('Example questions are a JSON list of texts, for example ["How do I …?"].')
    return errors


def url_problem(url: str) -> str:
    """Why an agent may not be at `url`; empty when it may.

    A secret and every question go there: https, but for this machine itself and for the hosts of
    STKWEB_PLAIN_HTTP_HOSTS.
    """
    if not url:
        return _("Give the address, for example https://host.")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return _("This is not an address.")
    if parts.scheme not in ("http", "https") or not host:
        return _("An address begins with https:// and names a host.")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in url or "#" in url:
        return _("The address must hold neither a password nor anything after ? or #.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return _("The address holds a character that has no place in it.")
    if parts.scheme == "http" and not _may_be_plain(host):
        return _(
            "Use https://: the secret and every question go there. A host that is known to be safe"
            " is allowed by STKWEB_PLAIN_HTTP_HOSTS=%(host)s."
        ) % {"host": host}
    return ""


def _may_be_plain(host: str) -> bool:
    if host == "localhost" or host in settings.PLAIN_HTTP_HOSTS:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
