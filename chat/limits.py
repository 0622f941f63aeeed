"""The limits of design and deployment as typed values; each is a setting STKWEB_*.

Read at the time of use, so that a test or a shell may override a setting.
"""

from __future__ import annotations

import os
from functools import lru_cache

from django.conf import settings

from chat import agents
from chat.agents.addresses import vetting
from chat.agents.configuration import Configuration
from chat.agents.http import Vet
from chat.agents.retry import RetryPolicy
from chat.sharing.policy import SharingPolicy


def of_agents() -> agents.Limits:
    """What one upstream call may take; seconds and bytes."""
    return agents.Limits(
        connect=settings.LIMIT_CONNECT,
        first_byte=sdk()["agent.request_timeout"] if first_byte_is_the_sdks() else settings.LIMIT_FIRST_BYTE,
        idle=settings.LIMIT_IDLE,
        total=settings.LIMIT_TURN,
        event_bytes=settings.LIMIT_EVENT_BYTES,
        answer_bytes=settings.LIMIT_ANSWER_BYTES,
    )


def sdk() -> Configuration:
    """The SDK's settings by their names (STKAI_*). Raises ConfigurationError; a check says it first."""
    return Configuration()


def requests_per_minute(kind: str, own: int | None) -> int | None:
    """An agent's own limit; where it has none, a StackSpot agent has that of STKAI_RATE_LIMIT_*."""
    return sdk().requests_per_minute if own is None and _sdk_limits(kind) else own


def longest_wait(kind: str) -> float:
    """Seconds a question of such an agent may wait for its place."""
    seconds = sdk()["rate_limit.max_wait_time"] if _sdk_limits(kind) else None
    return min(settings.LIMIT_TURN, seconds or settings.LIMIT_TURN)


def _sdk_limits(kind: str) -> bool:
    # Asked with every question: the whole of the SDK's settings is read only where it matters.
    return kind == "stackspot" and bool(os.environ.get("STKAI_RATE_LIMIT_ENABLED"))


def first_byte_is_the_sdks() -> bool:
    """Whether STKAI_AGENT_REQUEST_TIMEOUT counts: when it is set and ours is not."""
    ours = os.environ.get("STKWEB_FIRST_BYTE_SECONDS") or os.environ.get("STKWEB_FIRST_BYTE_SECONDS_FILE")
    return not ours and bool(os.environ.get("STKAI_AGENT_REQUEST_TIMEOUT"))


def policy() -> RetryPolicy:
    """How calls to agents are made again."""
    return sdk().policy("agent")


def vet() -> Vet:
    """Where agents may be: the same function as long as STKWEB_AGENT_HOSTS is the same, for tokens
    and connections are shared by it."""
    return _vet(tuple(settings.AGENT_HOSTS))


@lru_cache(maxsize=8)
def _vet(hosts: tuple[str, ...]) -> Vet:
    return vetting(hosts)


def of_sharing() -> SharingPolicy:
    """What the administrator allows of share links."""
    return SharingPolicy(
        audiences=settings.SHARE_WITH,
        days=min(settings.SHARE_DAYS, settings.SHARE_MAX_DAYS),
        max_days=settings.SHARE_MAX_DAYS,
        passphrase=settings.SHARE_PASSPHRASE,
        options=settings.SHARE_OPTIONS,
        embed_origins=settings.SHARE_EMBED_ORIGINS,
    )
