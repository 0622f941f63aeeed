"""The limits of design and deployment as typed values; each is a setting STKWEB_*.

Read at the time of use, so that a test or a shell may override a setting.
"""

from __future__ import annotations

from django.conf import settings

from chat import agents
from chat.sharing.policy import SharingPolicy


def of_agents() -> agents.Limits:
    """What one upstream call may take; seconds and bytes."""
    return agents.Limits(
        connect=settings.LIMIT_CONNECT,
        first_byte=settings.LIMIT_FIRST_BYTE,
        idle=settings.LIMIT_IDLE,
        total=settings.LIMIT_TURN,
        event_bytes=settings.LIMIT_EVENT_BYTES,
        answer_bytes=settings.LIMIT_ANSWER_BYTES,
    )


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
