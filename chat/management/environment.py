"""The agent that STACKSPOT_* describe, made by the first start that sees them."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError

from chat.actions.agents import from_environment


def make_agent(say: Callable[[str], object]) -> None:
    """Make it, or say in a line what is wrong: a half-set environment does not stop the product."""
    try:
        agent, missing = from_environment(settings.FIRST_AGENT)
    except ValidationError as exc:
        say("The agent of STACKSPOT_AGENT_ID was not made: " + " ".join(exc.messages))
    except ImproperlyConfigured as exc:
        say(f"The agent of STACKSPOT_AGENT_ID was not made: {exc}")
    else:
        if missing:
            say(f"The agent of STACKSPOT_AGENT_ID was not made: set {', '.join(missing)} too.")
        if agent is not None:
            say(f'The agent "{agent.name}" was made. Try it: manage.py agent test "{agent.name}"')
