"""Setting agents up: add, change, switch off and on, a new secret, a new encryption key.

These are administrators' verbs. Whoever may not call them is stopped by the door; what is wrong
with an agent is said in agent_checks, once for every door, as a ValidationError {field: sentences}.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from chat.actions.agent_checks import check_agent, check_secret, problems
from chat.actions.budgets import record_lost
from chat.actions.recording import record, record_change, state_of
from chat.agents.presets import PRESETS
from chat.agents.stackspot import DEFAULT_BASE_URL, DEFAULT_TOKEN_URL
from chat.models import Agent, SecretUnreadable
from chat.models.secrets import reseal
from chat.threads import write_transaction

log = logging.getLogger(__name__)

#: What the audit log tells of an agent.
RECORDED = (
    "name", "kind", "description", "examples", "base_url", "token_url", "agent_id", "client_id", "options",
    "on_length", "continue_times", "on_stop", "history_bytes", "requests_per_minute", "concurrent_streams",
    "ca_bundle", "proxy", "enabled", "position",
)  # fmt: skip

_REALM = re.compile(r"[A-Za-z0-9._-]{1,80}")


def token_url_of(realm: str) -> str:
    """StackSpot's token URL for an account's realm. Raises ValidationError."""
    if not _REALM.fullmatch(realm):
        raise ValidationError({"realm": _("A realm is one word: letters, digits, dot, dash, underscore.")})
    return DEFAULT_TOKEN_URL.format(realm=realm)


def apply_preset(agent: Agent, name: str) -> None:
    """Fill in what a common server needs, where the row says nothing itself. Raises ValidationError."""
    preset = PRESETS[name]
    agent.base_url = agent.base_url or preset.base_url
    if preset.placeholder and preset.placeholder in agent.base_url:
        example = preset.base_url.replace(preset.placeholder, "NAME")
        raise ValidationError(
            {"base_url": _("Give the address with your own name in it, for example %s.") % example}
        )
    if isinstance(agent.options, dict):
        agent.options = {**preset.options, **agent.options}


def add_agent(*, name: str, kind: str, secret: str = "", preset: str = "", **fields: Any) -> Agent:
    """A new, enabled agent. `fields` are those of the row, `preset` a name of PRESETS.

    Raises ValidationError.
    """
    agent = Agent(name=" ".join(name.split()), kind=kind, **fields)
    if preset:
        apply_preset(agent, preset)
    if kind == Agent.Kind.STACKSPOT and not agent.base_url:
        agent.base_url = DEFAULT_BASE_URL
    check_agent(agent, secret=secret)
    save_agent(agent, secret=secret)
    log.info("agent %r was added", agent.name)
    return agent


def save_agent(agent: Agent, *, secret: str = "") -> None:
    """Save a checked row, new or changed; `secret` is a new one, empty to keep what is set."""
    with write_transaction():
        stored = Agent.objects.filter(pk=agent.pk).first() if agent.pk else None
        before = _recorded(stored) if stored else {}
        if secret:
            agent.set_secret(secret)
        agent.save()
        more = {"secret": "replaced" if stored and stored.sealed_secret else "set"} if secret else {}
        action = "agent.changed" if stored else "agent.created"
        record_change(action, f"agent:{agent.name}", before, _recorded(agent), **more)


def delete_agents(agents: Iterable[Agent]) -> None:
    """Take agents away; conversations and the ledger keep their names."""
    with write_transaction():
        for agent in list(agents):
            record_lost(agent=agent)
            record_change("agent.deleted", f"agent:{agent.name}", _recorded(agent), {})
            agent.delete()


def record_refused(key: str | None) -> None:
    """Somebody without leave tried to change the agent with this key, or to add one (None)."""
    agent = Agent.objects.filter(pk=key).first() if key and key.isdecimal() else None
    with write_transaction():
        record("agent.refused", f"agent:{agent.name if agent else '-'}")


def set_enabled(agent: Agent, enabled: bool) -> None:
    """Let people choose it, or not; answers that run go on."""
    with write_transaction():
        stored = Agent.objects.get(pk=agent.pk)
        Agent.objects.filter(pk=agent.pk).update(enabled=enabled)
        record_change(
            "agent.changed", f"agent:{agent.name}", {"enabled": stored.enabled}, {"enabled": enabled}
        )
    log.info("agent %r was %s", agent.name, "enabled" if enabled else "disabled")


def replace_secret(agent: Agent, secret: str) -> None:
    """Another client secret, from the next question on. Raises ValidationError."""
    check_secret(secret)
    agent.set_secret(secret)
    with write_transaction():
        Agent.objects.filter(pk=agent.pk).update(sealed_secret=agent.sealed_secret)
        record("agent.changed", f"agent:{agent.name}", {"secret": "replaced"})
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
        record("agent.secrets_resealed", "agents", {"resealed": done, "unreadable": unreadable})
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
    The SDK's own names for the credential (STKAI_AUTH_*) are taken where ours are not set.

    `values` is settings.FIRST_AGENT. Raises ValidationError when they are complete and wrong.
    """
    if not values["STACKSPOT_AGENT_ID"]:
        return None, []
    values = {
        **values,
        "STACKSPOT_CLIENT_ID": values["STACKSPOT_CLIENT_ID"] or values.get("STKAI_AUTH_CLIENT_ID", ""),
        "STACKSPOT_CLIENT_SECRET": values["STACKSPOT_CLIENT_SECRET"]
        or values.get("STKAI_AUTH_CLIENT_SECRET", ""),
    }
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


__all__ = [
    "add_agent",
    "apply_preset",
    "check_agent",
    "check_secret",
    "from_environment",
    "problems",
    "replace_secret",
    "reseal_all",
    "secret_state",
    "set_enabled",
    "token_url_of",
]


def _recorded(agent: Agent) -> dict[str, Any]:
    """An agent as the audit log has it: a proxy without its password, of `extra` the names alone."""
    found = state_of(agent, RECORDED)
    scheme, at, host = agent.proxy.rpartition("@")
    found["proxy"] = f"{scheme.partition('://')[0]}://…@{host}" if at else agent.proxy
    if isinstance(agent.options, dict) and isinstance(agent.options.get("extra"), dict):
        found["options"] = {**agent.options, "extra": sorted(agent.options["extra"])}
    return found
